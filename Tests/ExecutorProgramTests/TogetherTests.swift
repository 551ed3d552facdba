import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing
import TimeModel
import Wire

/// A broker, the dispatcher and executors, and a publisher that asks.
final class Fleet {
    let broker: TestBroker
    let folder: TemporaryFolder
    private let session: ClientSession
    private let dispatcher: ProgramFixture
    private var executors: [String: ProgramFixture] = [:]
    private(set) var messages: [InboundMessage] = []

    init() throws {
        broker = try TestBroker()
        folder = try TemporaryFolder()
        session = try broker.session("me")
        try session.subscribe([Subscription(filter: "main/martlet1/#", wantsRetained: true)], timeoutMs: 5000)
        dispatcher = try ProgramFixture(
            "martlet-dispatcher",
            ["--broker", broker.address.description, "--state-directory", folder.path + "/dispatcher"])
    }

    /// Starts an executor and waits until the dispatcher offers what it can do.
    func start(_ name: String, _ manifest: String, awaiting capability: String) throws {
        let file = try folder.write("\(name).json", manifest)
        executors[name] = try ProgramFixture(
            "martlet-executor",
            [
                "--broker", broker.address.description, "--user", name, "--state-directory",
                folder.path + "/" + name, file,
            ])
        _ = try wait("\(capability) of \(name)") {
            $0.topic == "main/martlet1/capability/\(capability)"
                && String(decoding: $0.payload, as: UTF8.self).contains("\"\(name)\"")
        }
    }

    func executor(_ name: String) throws -> ProgramFixture { try #require(executors[name]) }

    func wait(_ what: String, _ isWanted: (InboundMessage) -> Bool) throws -> InboundMessage {
        let end = SystemClock.monotonic + 30_000
        while let message = session.nextMessage(timeoutMs: max(0, end - SystemClock.monotonic)) {
            messages.append(message)
            if isWanted(message) { return message }
        }
        let logs = ([dispatcher] + executors.keys.sorted().compactMap { executors[$0] }).map(\.output)
        throw NotSeen(description: "\(what) did not come:\n" + logs.joined(separator: "\n---\n"))
    }

    func publish(_ id: String, _ capability: String, _ intent: String = "{}") throws {
        let topic = "main/martlet1/intent/me/\(capability)/\(id)"
        try session.publish(OutboundMessage(topic: topic, payload: Array(intent.utf8)), timeoutMs: 5000)
    }

    func result(_ id: String) throws -> TaskResult {
        let message = try wait("the result of \(id)") {
            $0.topic.hasPrefix("main/martlet1/result/me/") && $0.topic.hasSuffix("/\(id)")
        }
        return try TaskResult(decoding: message.payload)
    }

    func run(_ id: String, _ capability: String, _ intent: String = "{}") throws -> TaskResult {
        try publish(id, capability, intent)
        return try result(id)
    }

    /// Sends a command about an executor and returns its reply.
    func command(_ verb: String, _ executor: String, _ payload: String) throws -> Reply {
        let topic = "main/martlet1/command/me/executor/\(verb)/\(executor)"
        try session.publish(OutboundMessage(topic: topic, payload: Array(payload.utf8)), timeoutMs: 5000)
        let answer = try wait("the reply to \(verb)") {
            $0.topic == "main/martlet1/reply/me/executor/\(verb)/\(executor)"
        }
        return try Reply(decoding: answer.payload)
    }

    func end() async {
        for name in executors.keys.sorted() { await executors[name]?.end(SIGTERM) }
        await dispatcher.end(SIGTERM)
        session.close()
    }
}

/// The executor with the real dispatcher.
@Suite(.serialized) struct TogetherTests {
    private let demo = """
        {"slots": 2, "beat_ms": 1000, "drain_ms": 100, "capabilities": [
          {"name": "demo.echo", "builtin": "echo"}, {"name": "demo.sleep", "builtin": "sleep"},
          {"name": "demo.fail", "builtin": "fail"}, {"name": "later", "builtin": "echo", "loaded": false},
          {"name": "gone", "command": ["./no-such-program"]}
        ]}
        """

    @Test func tasksRunFailAndAreTriedAgain() async throws {
        let fleet = try Fleet()
        try fleet.start("e1", demo, awaiting: "demo.sleep")
        let echo = try fleet.run("a", "demo.echo", #"{"input":{"x":[1]}}"#)
        #expect(echo.status == .success)
        #expect(echo.output?.text == #"{"x":[1]}"#)
        #expect(echo.executor == "e1")
        let retried = try fleet.run("b", "demo.fail", #"{"input":{"times":1},"retry":{"delay_ms":1}}"#)
        #expect(retried.status == .success)
        #expect(retried.attempts.map(\.outcome) == ["failed", "success"])
        let missing = try fleet.run("c", "gone")
        #expect(missing.status == .failed)
        #expect(missing.error?.errorClass == .permanent)
        #expect(missing.error?.message?.contains("no-such-program") == true)
        #expect(missing.attempts.count == 1)
        await fleet.end()
    }

    @Test func T1_11_workOverItsTimeIsATimeoutAndTheExecutorIsToldToStop() async throws {
        let fleet = try Fleet()
        try fleet.start("e1", demo, awaiting: "demo.sleep")
        let intent = #"{"input":{"ms":2000},"timeout_ms":50,"retry":{"count":0}}"#
        let result = try fleet.run("a", "demo.sleep", intent)
        #expect(result.status == .timeout)
        #expect(result.error?.code == .executionTimeout)
        #expect(result.durationMs.map { (50..<1000).contains($0) } == true)
        let outcome = try fleet.wait("the outcome of the canceled attempt") {
            (try? Report(decoding: $0.payload))?.status == .canceled
        }
        #expect(outcome.topic == "main/martlet1/report/e1/a")
        await fleet.end()
    }

    @Test func T1_10_loadRunUnloadRunLoadRun() async throws {
        let fleet = try Fleet()
        try fleet.start("e1", demo, awaiting: "demo.sleep")
        #expect(try fleet.run("a", "later").error?.code == .unknownCapability)
        let loaded = try fleet.command("load", "e1", #"{"name":"later"}"#)
        #expect(loaded.ok)
        #expect(loaded.rev == 2)
        #expect(try fleet.run("b", "later").status == .success)
        #expect(try fleet.command("load", "e1", #"{"name":"later"}"#).ok)
        let unloaded = try fleet.command("unload", "e1", #"{"name":"later"}"#)
        #expect(unloaded.ok)
        #expect(try fleet.run("c", "later").error?.code == .skillNotLoaded)
        #expect(try fleet.command("unload", "e1", #"{"name":"later"}"#).code == .notFound)
        #expect(try fleet.command("load", "e1", #"{"name":"later"}"#).ok)
        #expect(try fleet.run("d", "later").status == .success)
        await fleet.end()
    }

    @Test func G09_theTaskOfAKilledExecutorGoesToAnother() async throws {
        let fleet = try Fleet()
        try fleet.start("e1", demo, awaiting: "demo.sleep")
        try fleet.publish("a", "demo.sleep", #"{"input":{"ms":1500}}"#)
        _ = try fleet.wait("the accept") { (try? Report(decoding: $0.payload))?.type == .accept }
        try fleet.start("e2", demo, awaiting: "demo.sleep")
        await (try fleet.executor("e1")).end(SIGKILL)
        let result = try fleet.result("a")
        #expect(result.status == .success)
        #expect(result.executor == "e2")
        #expect(result.attempts.map(\.outcome) == ["lost", "success"])
        await fleet.end()
    }

    @Test func anExecutorThatLeavesGivesItsTaskBackWithoutUsingUpATry() async throws {
        let fleet = try Fleet()
        try fleet.start("e1", demo, awaiting: "demo.sleep")
        try fleet.publish("a", "demo.sleep", #"{"input":{"ms":1500},"retry":{"count":0}}"#)
        _ = try fleet.wait("the accept") { (try? Report(decoding: $0.payload))?.type == .accept }
        try fleet.start("e2", demo, awaiting: "demo.sleep")
        #expect(await (try fleet.executor("e1")).end(SIGTERM) == 0)
        let result = try fleet.result("a")
        #expect(result.status == .success)
        #expect(result.attempts.map(\.outcome) == ["released", "success"])
        await fleet.end()
    }

    @Test func pullExecutorsGetTheirWorkByClaims() async throws {
        let fleet = try Fleet()
        let pull = """
            {"modes": ["pull"], "slots": 2, "beat_ms": 1000, "wait_ms": 2000, "capabilities": [
              {"name": "demo.echo", "builtin": "echo"}, {"name": "shell", "command": ["cat"]}
            ]}
            """
        try fleet.start("e1", pull, awaiting: "shell")
        for number in 0..<6 {
            let capability = number % 2 == 0 ? "demo.echo" : "shell"
            let result = try fleet.run("t\(number)", capability, "{\"input\":\(number)}")
            #expect(result.status == .success)
            #expect(result.mode == .pull)
            #expect(result.output?.text == "\(number)")
        }
        await fleet.end()
    }
}
