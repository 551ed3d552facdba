import Foundation
import TestSupport
import Testing

/// The whole stack by one command, and the commands against it.
@Suite struct UpTests {
    @Test func onceRunsOneTaskAndStopsEverything() async throws {
        let home = try TemporaryFolder()
        let outcome = try await martlet(["up", "--once", "--dir", home.path + "/up"], home)
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        let lines = outcome.output.split(separator: "\n")
        #expect(lines.first?.hasPrefix("martlet 0.1.0   everything in ") == true)
        #expect(lines.contains { $0.hasPrefix("services    dispatcher  scheduler  heartbeat  monitor") })
        #expect(lines.contains { $0.hasPrefix("executor    demo  (demo.echo") })
        #expect(lines.contains { $0.hasPrefix("task        demo.echo {\"hello\":1}  success {\"hello\":1}  ") })
        #expect(!FileManager.default.fileExists(atPath: home.path + "/up/processes"))
    }

    @Test func aBrokerWithoutAccountsWillDo() async throws {
        let broker = try await BrokerFixture()
        let home = try TemporaryFolder()
        let outcome = try await martlet(
            ["up", "--once", "--dir", home.path + "/up", "--broker", broker.address], home)
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        #expect(outcome.output.contains("success {\"hello\":1}"))
        await broker.end()
    }

    @Test func aFolderThatMosquittoCannotReadIsRefused() async throws {
        let home = try TemporaryFolder()
        let outcome = try await martlet(["up", "--once", "--dir", home.path + "/a b"], home)
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains("blank"))
    }

    @Test func otherTerminalsNeedNoFlags() async throws {
        let home = try TemporaryFolder()
        let up = try await RunningUp(home)
        try await runAndPublish(home)
        try await schedules(home)
        try await fleet(home)
        try await failures(home)
        let second = try await martlet(["up", "--dir", up.directory], home)
        #expect(second.status == 78)
        #expect(await up.program.end(SIGINT) == 0)
    }

    private func runAndPublish(_ home: TemporaryFolder) async throws {
        let run = try await martlet(["run", "demo.echo", "{\"hello\":2}", "--id", "first"], home)
        #expect(run.status == 0)
        #expect(run.output == "{\"hello\":2}\n")
        #expect(run.errors.contains("first success"))
        let again = try await martlet(["run", "demo.echo", "{\"hello\":2}", "--id", "first"], home)
        #expect(again.output == "{\"hello\":2}\n")
        let other = try await martlet(["run", "demo.echo", "{\"hello\":3}", "--id", "first"], home)
        #expect(other.status == 4)
        #expect(other.errors.contains("(id_reused)"))
        let json = try await martlet(["run", "demo.echo", "-", "--json", "--quiet"], home, input: "[1]")
        #expect(json.output.contains("\"status\":\"success\""))
        #expect(json.errors.isEmpty)
        let published = try await martlet(["publish", "demo.echo", "--id", "second", "--requires", "agent:none"], home)
        #expect(published.output == "second\n")
        let explained = try await martlet(["explain", "seco"], home)
        #expect(explained.output.contains("label_missing"))
        #expect(explained.output.contains("martlet task cancel second"))
        #expect(try await martlet(["task", "cancel", "second"], home).output == "second canceled\n")
        #expect(try await martlet(["task", "get", "second"], home).output.hasPrefix("second   demo.echo   canceled"))
    }

    private func schedules(_ home: TemporaryFolder) async throws {
        let put = try await martlet(["schedule", "put", "tick", "--every", "1h", "--capability", "demo.echo"], home)
        #expect(put.output.hasPrefix("tick is active, next in 59 min"), "\(put.output)\(put.errors)")
        #expect(try await martlet(["schedule", "list"], home).output.contains("every 1 h"))
        let triggered = try await martlet(["schedule", "trigger", "tick", "--request-id", "r1"], home)
        #expect(triggered.output == "tick~m.r1\n")
        #expect(try await martlet(["schedule", "delete", "tick", "--yes"], home).status == 0)
        #expect(try await martlet(["schedule", "get", "tick"], home).status == 66)
    }

    private func fleet(_ home: TemporaryFolder) async throws {
        #expect(try await martlet(["executor", "list"], home).output.contains("demo"))
        #expect(try await martlet(["capability", "get", "demo.echo"], home).output.contains("circuit closed"))
        #expect(try await martlet(["run", "demo.echo", "--dry-run"], home).output.contains("could start now"))
        #expect(
            try await martlet(["top", "--once"], home).output.contains("up: dispatcher scheduler heartbeat monitor"))
        let tail = try await martletTail(home)
        #expect(tail.contains("TASK_FINISHED"))
        let names = try await martlet(["completion", "names", "capability"], home)
        #expect(names.output.contains("demo.echo\n"))
    }

    /// One event of a task's life, seen while tasks run.
    private func martletTail(_ home: TemporaryFolder) async throws -> String {
        let words = ["tail", "--count", "1", "--event", "TASK_FINISHED", "--capability", "demo.echo"]
        let tail = try ProgramFixture("martlet", words, environment: surroundings(home))
        _ = try await Await.condition {
            _ = try await martlet(["run", "demo.echo"], home)
            return tail.output.contains("TASK_FINISHED")
        }
        await tail.ended()
        return tail.output
    }

    private func failures(_ home: TemporaryFolder) async throws {
        let unknown = try await martlet(["run", "demo.ehco"], home)
        #expect(unknown.status == 4)
        #expect(
            unknown.errors == "martlet: cannot run \"demo.ehco\": no executor ever offered it (unknown_capability). "
                + "Did you mean \"demo.echo\"? Try: martlet capability list\n")
        let failed = try await martlet(["run", "demo.fail", "--retry", "0"], home)
        #expect(failed.status == 1)
        #expect(try await martlet(["task", "get", "nowhere"], home).status == 66)
        let late = try await martlet(
            ["run", "demo.sleep", "{\"ms\":60000}", "--timeout", "200ms", "--at-most-once"], home)
        #expect(late.status == 2, "\(late.errors)")
    }
}

/// A `martlet up` that goes on until the test ends it.
struct RunningUp {
    /// The program.
    let program: ProgramFixture
    /// Where it keeps everything.
    let directory: String

    /// Starts it and waits until its first task is done and the context written.
    init(_ home: TemporaryFolder) async throws {
        directory = home.path + "/up"
        program = try ProgramFixture("martlet", ["up", "--dir", directory], environment: surroundings(home))
        let isReady = try await Await.condition { [program] in
            program.output.contains("Ctrl-C stops everything.") || !program.isRunning
        }
        if isReady, program.isRunning { return }
        Issue.record("martlet up is not ready:\n\(program.output)")
    }
}
