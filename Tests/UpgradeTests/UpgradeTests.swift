import Foundation
import TestSupport
import Testing

/// What earlier releases have written (`record` beside this file), and what a later one might write.
@Suite(.serialized) struct UpgradeTests {
    /// The state directories that were kept: one folder for each release.
    private static let releases: [String] = {
        let folder = BuildFolder.repositoryFile("Tests/UpgradeTests/Fixtures")
        return ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }()

    private static let services = ["dispatcher", "scheduler", "heartbeat", "monitor"]

    /// A copy of what a release left behind.
    private func copy(of release: String) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try FileManager.default.copyItem(
            atPath: BuildFolder.repositoryFile("Tests/UpgradeTests/Fixtures/\(release)"), toPath: folder.path + "/state"
        )
        return folder
    }

    private func start(_ name: String, in folder: TemporaryFolder, at address: String) throws -> ProgramFixture {
        let program =
            name == "executor" ? ["--manifest", BuildFolder.repositoryFile("deploy/executors/demo.json")] : []
        return try ProgramFixture(
            "martlet-\(name)",
            program + [
                "--broker", address, "--user", name == "executor" ? "demo" : name, "--state-directory",
                "\(folder.path)/state/\(name)",
            ])
    }

    /// One command of the command line, until it is answered.
    private func ask(_ words: [String], at address: String, in folder: TemporaryFolder) async throws -> String {
        let program = try BuildFolder.program("martlet").path(percentEncoded: false)
        var errors = ""
        for _ in 0..<5 {
            let outcome = try await ChildCommand.run(
                [program] + words + ["--json", "--broker", address, "--user", "me"],
                environment: ["HOME": folder.path, "XDG_CONFIG_HOME": folder.path, "XDG_STATE_HOME": folder.path])
            if outcome.status == 0 { return outcome.output }
            errors = outcome.errors
        }
        Issue.record("\(words): \(errors)")
        return ""
    }

    /// Every service reads the journal of every earlier release, and has what was in it.
    @Test("G-22 this release goes on with the journals of earlier ones", arguments: UpgradeTests.releases)
    func g22EarlierJournals(release: String) async throws {
        let folder = try copy(of: release)
        let broker = try await BrokerFixture()
        var programs: [ProgramFixture] = []
        for name in Self.services + ["executor"] {
            programs.append(try start(name, in: folder, at: broker.address))
        }
        let asked: [(words: [String], parts: [String])] = [
            (["task", "get", "later"], ["later", "demo.echo"]), (["task", "get", "running"], ["demo.sleep"]),
            (["task", "get", "asked"], ["text.count"]), (["task", "get", "bound"], ["\"assigned_to\":\"demo\""]),
            (["task", "get", "half"], ["plan"]),
            (["circuit", "get", "file.checksum"], ["\"open\"", "\"forced_by\":\"me\""]),
            (["schedule", "get", "daily"], ["0 9 * * 1-5", "Europe/Berlin", "defer_once"]),
            (["schedule", "get", "idle"], ["paused"]), (["schedule", "list"], ["\"tick\"", "\"once\""]),
            (["check", "get", "alive"], ["host.load", "\"demo\""]), (["history", "query"], []),
        ]
        for (words, parts) in asked {
            let answer = try await ask(words, at: broker.address, in: folder)
            for part in parts { #expect(answer.contains(part), "\(words): \(answer)") }
        }
        let schedules = try await ask(["schedule", "list"], at: broker.address, in: folder)
        #expect(!schedules.contains("\"gone\""), "a deleted schedule is back")
        for (name, program) in zip(Self.services + ["executor"], programs) {
            #expect(program.isRunning, "\(name): \(program.output)")
            #expect(await program.end() == 0, "\(name): \(program.output)")
        }
        await broker.end()
    }

    /// A journal of a newer form is neither read nor touched: the service says which release is needed, and ends.
    @Test("G-22 a newer journal is refused", arguments: UpgradeTests.services + ["executor"])
    func g22NewerJournals(name: String) async throws {
        let release = try #require(Self.releases.last)
        let folder = try copy(of: release)
        let file = URL(filePath: "\(folder.path)/state/\(name)/journal")
        var bytes = [UInt8](try Data(contentsOf: file))
        bytes[8] += 1
        let sum = checksum(bytes[..<12])
        for index in 0..<4 { bytes[12 + index] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * index)) }
        try Data(bytes).write(to: file)
        let program = try start(name, in: folder, at: "mqtt://127.0.0.1:9")
        #expect(await program.ended() == 78, "\(program.output)")
        #expect(program.output.contains("use the newer release"), "\(program.output)")
        #expect([UInt8](try Data(contentsOf: file)) == bytes)
    }

    /// CRC-32C, a bit at a time.
    private func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        ~bytes.reduce(UInt32.max) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { part, _ in part & 1 == 1 ? part >> 1 ^ 0x82F6_3B78 : part >> 1 }
        }
    }
}
