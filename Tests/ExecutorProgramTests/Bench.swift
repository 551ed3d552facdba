import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing
import TimeModel
import Wire

/// The real executor at a real broker, and a test that plays the dispatcher.
final class Bench {
    let broker: TestBroker
    let folder: TemporaryFolder
    private let session: ClientSession
    private let file: String
    private(set) var program: ProgramFixture
    private(set) var boot = ""
    private var runs = 0
    /// Everything that came, in its order.
    private(set) var messages: [InboundMessage] = []

    /// Starts both with a manifest of these capabilities; `scripts` are written beside it.
    init(_ capabilities: String, scripts: [String: String] = [:], settings: String = "") throws {
        broker = try TestBroker()
        folder = try TemporaryFolder()
        for (name, text) in scripts {
            let path = try folder.write(name, text)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        }
        file = try folder.write(
            "manifest.json", "{\"slots\": 4, \"beat_ms\": 500, \(settings)\n\"capabilities\": [\(capabilities)]}")
        session = try broker.session("dispatcher")
        try session.subscribe([Subscription(filter: "main/martlet1/#", wantsRetained: true)], timeoutMs: 5000)
        program = try Bench.start(broker, folder, file)
        try awaitCard()
    }

    private static func start(_ broker: TestBroker, _ folder: TemporaryFolder, _ file: String) throws -> ProgramFixture
    {
        try ProgramFixture(
            "martlet-executor",
            [
                "--broker", broker.address.description, "--user", "e1", "--state-directory", folder.path + "/state",
                "--manifest", file,
            ])
    }

    /// Waits for the card of a start that is not known yet.
    private func awaitCard() throws {
        let known = boot
        let message = try wait { message in
            guard message.topic == "main/martlet1/executor/e1/card" else { return false }
            return (try? Card(decoding: message.payload))?.boot != known
        }
        boot = try Card(decoding: message.payload).boot
    }

    /// Kills the program and starts it again in the same state directory.
    func restart() async throws {
        await program.end(SIGKILL)
        program = try Bench.start(broker, folder, file)
        try awaitCard()
    }

    func wait(_ isWanted: (InboundMessage) -> Bool) throws -> InboundMessage {
        let end = SystemClock.monotonic + 20_000
        while let message = session.nextMessage(timeoutMs: end - SystemClock.monotonic) {
            messages.append(message)
            if isWanted(message) { return message }
        }
        throw NotSeen(description: "the awaited message did not come:\n\(program.output)")
    }

    func send(_ work: WorkMessage, capability: String = "_") throws {
        let topic = "main/martlet1/work/\(capability)/e1"
        try session.publish(OutboundMessage(topic: topic, payload: work.encoded), timeoutMs: 5000)
    }

    func assign(
        _ task: String, epoch: Int, _ capability: String, _ input: String = "{}",
        limits: (timeoutMs: Int, leaseMs: Int) = (10_000, 10_000)
    ) throws {
        var assignment = Assignment(
            task: task, epoch: epoch, term: 1, attempt: 1, capability: capability, principal: "me")
        assignment.input = try RawJSON(validating: Array(input.utf8))
        (assignment.leaseMs, assignment.timeoutMs, assignment.acceptMs) = (limits.leaseMs, limits.timeoutMs, 2000)
        assignment.boot = boot
        try send(.assign(assignment), capability: capability)
    }

    /// The next report of a kind on a task.
    func report(_ task: String, _ kind: Report.Kind = .outcome) throws -> Report {
        let message = try wait {
            $0.topic == "main/martlet1/report/e1/\(task)" && (try? Report(decoding: $0.payload))?.type == kind
        }
        return try Report(decoding: message.payload)
    }

    /// Runs one task, with an id of its own, to its outcome.
    func run(_ capability: String, _ input: String = "{}", timeoutMs: Int = 10_000) throws -> Report {
        runs += 1
        let task = "t\(runs)-\(capability)"
        try assign(task, epoch: runs, capability, input, limits: (timeoutMs, 10_000))
        return try report(task)
    }

    /// The next status.
    func status(_ state: ExecutorState) throws -> ExecutorStatus {
        let message = try wait {
            $0.topic == "main/martlet1/executor/e1/status"
                && (try? ExecutorStatus(decoding: $0.payload))?.status == state
        }
        return try ExecutorStatus(decoding: message.payload)
    }

    /// The lines of a file in its folder.
    func lines(_ file: String) throws -> [String] {
        try String(contentsOfFile: folder.path + "/" + file, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    func end() async {
        await program.end(SIGKILL)
        session.close()
    }
}

/// A message that did not come, with what the program wrote.
struct NotSeen: Error, CustomStringConvertible {
    var description: String
}
