import Foundation
import TestSupport
import Testing

@testable import Console

/// The programs as their units start them: the same command line, the password from the folder of credentials, the state
/// where the service manager says. Nothing else names the secret. The broker asks for passwords.
@Suite(.serialized) struct CredentialTests {
    /// What a unit says about its program, `%i` being filled in.
    private struct Unit {
        /// The name of its executor.
        static let executor = "label-1"
        /// The command line.
        var command: [String] = []
        /// The names and files of its credentials.
        var credentials: [(name: String, file: String)] = []

        init(_ name: String) throws {
            let file = BuildFolder.repositoryFile("deploy/systemd/martlet-\(name).service")
            for line in try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n") {
                let words = line.replacingOccurrences(of: "%i", with: Unit.executor)
                    .split(separator: "=", maxSplits: 1).map(String.init)
                guard words.count == 2 else { continue }
                if words[0] == "ExecStart" { command = words[1].split(separator: " ").map(String.init) }
                if words[0] == "LoadCredential" {
                    let parts = words[1].split(separator: ":").map(String.init)
                    try #require(parts.count == 2)
                    credentials.append((parts[0], parts[1]))
                }
            }
            try #require(!command.isEmpty)
        }
    }

    /// Starts what a unit starts; the configuration names the broker only.
    private func start(_ unit: Unit, in fleet: SecureFleet, credentials: String) throws -> ProgramFixture {
        let manifest = "/etc/martlet/executors/\(Unit.executor).json"
        var arguments = unit.command.dropFirst().map {
            $0 == manifest ? BuildFolder.repositoryFile("deploy/executors/demo.json") : $0
        }
        let file = try fleet.folder.write("unit.json", "{\"broker\":{\"address\":\"\(fleet.address)\"}}\n")
        arguments += ["--config", file]
        let program = try #require(unit.command.first?.split(separator: "/").last.map(String.init))
        return try ProgramFixture(
            program, arguments,
            environment: [
                "CREDENTIALS_DIRECTORY": credentials, "STATE_DIRECTORY": "\(fleet.folder.path)/unit-\(program)",
            ])
    }

    /// What the service manager does: a copy of each file under the credential's name.
    private func load(_ unit: Unit, account: String, in fleet: SecureFleet) throws -> String {
        let folder = "\(fleet.folder.path)/credentials-\(account)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for credential in unit.credentials {
            let file = "\(folder)/\(credential.name)"
            try FileManager.default.copyItem(atPath: fleet.brokerFolder.secretFile(account), toPath: file)
            try FileManager.default.setAttributes([.posixPermissions: 0o400], ofItemAtPath: file)
        }
        return folder
    }

    @Test("The four services reach a broker with passwords by what their units hand them")
    func services() async throws {
        try await SecureFleet.run { fleet in
            var programs: [ProgramFixture] = []
            let dispatcher = try Unit("dispatcher")
            programs.append(
                try start(dispatcher, in: fleet, credentials: try load(dispatcher, account: "dispatcher", in: fleet)))
            try fleet.waitUntilUp("dispatcher", programs[0])
            for name in ["scheduler", "heartbeat", "monitor"] {
                let unit = try Unit(name)
                #expect(unit.credentials.map(\.file) == ["/etc/martlet/broker/secrets/\(name)"])
                let program = try start(unit, in: fleet, credentials: try load(unit, account: name, in: fleet))
                try fleet.waitUntilUp(name, program)
                programs.append(program)
            }
            for program in programs { #expect(await program.end() == 0, "\(program.output)") }
        }
    }

    @Test("So does an executor, which runs a task")
    func executor() async throws {
        try await SecureFleet.withDispatcher { fleet, _ in
            let unit = try Unit("executor@")
            #expect(unit.credentials.map(\.file) == ["/etc/martlet/executors/\(Unit.executor).password"])
            let program = try start(
                unit, in: fleet, credentials: try load(unit, account: Unit.executor, in: fleet))
            let watcher = try fleet.client(SecureFleet.tester)
            try watcher.subscribe("main/martlet1/capability/demo.echo", retained: true)
            _ = try watcher.wait("main/martlet1/capability/demo.echo")
            let result = try fleet.client("shop").result(of: "demo.echo", #"{"input":1}"#, id: "by-unit")
            #expect(result.contains("\"success\""), "\(result) \(program.output)")
            #expect(await program.end() == 0, "\(program.output)")
        }
    }

    @Test("Without the credential, or with another account's, the broker refuses it and the unit is not tried again")
    func refused() async throws {
        try await SecureFleet.run { fleet in
            let unit = try Unit("dispatcher")
            let empty = "\(fleet.folder.path)/nothing"
            try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: true)
            for folder in [empty, try load(unit, account: "scheduler", in: fleet)] {
                let program = try start(unit, in: fleet, credentials: folder)
                #expect(await program.ended(seconds: 20) == 77, "\(program.output)")
            }
        }
    }
}
