import Foundation
import TestSupport
import Testing

/// The README's commands, run in order as it shows them, and what they print.
@Suite(.serialized) struct ReadmeTests {
    private static func readme() throws -> [PageCommand] {
        PageCommands.read(try String(contentsOfFile: BuildFolder.repositoryFile("README.md"), encoding: .utf8))
    }

    @Test func commandsPrintWhatThePageShows() async throws {
        let commands = try ReadmeTests.readme()
        let first = try #require(commands.first { $0.command == "deploy/run" })
        let folder = try TemporaryFolder()
        let programs = try BuildFolder.program("martlet").deletingLastPathComponent().path(percentEncoded: false)
        let environment = [
            "HOME": folder.path, "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "",
            "PATH": "\(programs):/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "dumb",
        ]
        let stack = try ProgramFixture("martlet", ["up"], environment: environment)
        let isUp = try await Await.condition(seconds: 30) {
            !stack.isRunning || stack.output.contains("Ctrl-C stops everything.")
        }
        #expect(isUp && stack.isRunning, "\(stack.output)")
        compare(first, stack.output)
        let port = stack.output.split(separator: "mqtt://127.0.0.1:").last?.prefix { $0.isNumber } ?? "18830"
        var background: [ProgramFixture] = []
        for command in commands where !command.command.hasPrefix("deploy/") {
            let line = command.command.replacingOccurrences(of: "18830", with: port)
            if line.hasSuffix(" &") {
                background.append(try await start(line, environment))
            } else {
                let outcome = try await run("exec 2>&1; \(line)", environment)
                compare(command, outcome.output)
            }
        }
        for program in background { await program.end() }
        #expect(await stack.end(SIGINT) == 0, "\(stack.output)")
    }

    private func run(_ line: String, _ environment: [String: String]) async throws -> CommandOutcome {
        let top = BuildFolder.repositoryFile("")
        return try await ChildCommand.run(["/bin/sh", "-c", "cd '\(top)' && \(line)"], environment: environment)
    }

    /// Starts an executor of the page and waits until one more is known.
    private func start(_ line: String, _ environment: [String: String]) async throws -> ProgramFixture {
        let count = { try await run("martlet capability list", environment).output.split(separator: "\n").count }
        let before = try await count()
        let top = BuildFolder.repositoryFile("")
        let program = try ProgramFixture(
            "/bin/sh", ["-c", "cd '\(top)' && exec \(line.dropLast(2))"], environment: environment)
        let isKnown = try await Await.condition { try await count() > before }
        #expect(isKnown, "\(program.output)")
        return program
    }

    private func compare(_ command: PageCommand, _ output: String) {
        let got = output.split(separator: "\n").map { Mask.apply(String($0)) }
        let shown = command.output.map(Mask.apply).filter { !$0.isEmpty }
        #expect(got == shown, "README.md:\(command.line): \(command.command)\n\(output)")
    }

    /// The lines that `deploy/test` ends with are shown with the real words.
    @Test func testsCommandEndsAsShown() throws {
        let command = try #require(try ReadmeTests.readme().first { $0.command == "deploy/test" })
        let script = try String(contentsOfFile: BuildFolder.repositoryFile(".ci/check"), encoding: .utf8)
        #expect(command.output.contains { $0.contains("Test run with") && $0.contains("passed") })
        #expect(command.output.last?.hasPrefix("All checks passed; ") == true)
        #expect(script.contains("All checks passed; "))
    }

    @Test func masksKeepWhatMatters() {
        #expect(
            Mask.apply("task  demo.echo {\"hello\":1}  success  3 ms")
                == "task  demo.echo {\"hello\":1}  success  DURATION")
        #expect(Mask.apply("mqtt://127.0.0.1:18830") == Mask.apply("mqtt://127.0.0.1:40001"))
        #expect(Mask.apply("order-7f3a") == "order-7f3a")
    }
}
