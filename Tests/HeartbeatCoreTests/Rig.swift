import Contract
import HeartbeatCore
import Machine
import Testing
import TimeModel
import Timing
import Wire

/// Drives a heartbeat with inputs alone: a clock, a journal, and a broker that returns what heartbeat subscribes to.
final class Rig {
    var core: HeartbeatCore
    var settings: HeartbeatSettings
    var wall: WallTime
    var monotonic = MonotonicTime(milliseconds: 1_000_000)
    var journal: [[UInt8]] = []
    var retained: [String: [UInt8]] = [:]
    var intents: [(topic: String, intent: Intent, at: WallTime)] = []
    var events: [Event] = []
    var logged: [[UInt8]] = []
    var replies: [String: Reply] = [:]
    var isConnected = false
    /// Whether what is retained is still coming: the own record comes last.
    private var isConnecting = false
    /// Whether the own metrics come back at once.
    var returnsMetrics = true
    /// Whether the dispatcher accepts intents at once.
    var accepts = true

    init(_ configure: (inout HeartbeatSettings) -> Void = { _ in }) {
        var settings = HeartbeatSettings()
        settings.engine.boot = "h1"
        settings.engine.version = "1"
        configure(&settings)
        self.settings = settings
        core = HeartbeatCore(settings: settings)
        wall = WallTime(rfc3339: "2026-11-20T08:00:00.000Z") ?? WallTime(milliseconds: 0)
        give(.started)
        connect()
    }

    func give(_ input: ServiceInput) {
        var effects: [ServiceEffect] = []
        core.handle(input, at: Now(wall: wall, monotonic: monotonic), emitting: &effects)
        for sentence in core.checkInvariants() { Issue.record("\(sentence)") }
        for case .append(let record) in effects { journal.append(record) }
        var answers: [InboundMessage] = []
        for case .publish(let message) in effects { published(message, &answers) }
        for answer in answers { give(.message(answer)) }
    }

    private func published(_ message: OutboundMessage, _ answers: inout [InboundMessage]) {
        if let token = message.token { give(.delivered(token: token)) }
        guard let topic = Topic(message.topic) else {
            Issue.record("no topic: \(message.topic)")
            return
        }
        if message.retain { retained[message.topic] = message.payload.isEmpty ? nil : message.payload }
        let echo = InboundMessage(topic: message.topic, payload: message.payload, retained: message.retain)
        switch topic.place {
        case .intent(let principal, let capability, let id):
            guard let intent = try? Intent(decoding: message.payload) else {
                Issue.record("no intent: \(message.topic)")
                return
            }
            intents.append((message.topic, intent, wall))
            guard accepts else { return }
            let update = Update(.accepted, task: id, state: .queued, rev: 1, at: wall)
            let place = Topic.Place.update(principal: principal, capability: capability, id: id)
            answers.append(InboundMessage(topic: Topic(topic.workspace, place).name, payload: update.encoded))
        case .event: if let event = try? Event(decoding: message.payload) { events.append(event) }
        case .notify(let channel, _): if channel == "log" { logged.append(message.payload) }
        case .reply: replies[message.topic] = try? Reply(decoding: message.payload)
        case .metrics: if returnsMetrics { answers.append(echo) }
        case .liveness, .check, .alert: answers.append(echo)
        case .service: if !isConnecting { answers.append(echo) }
        default: break
        }
    }

    /// The link comes up: what is retained comes again, the own record last.
    func connect() {
        isConnected = true
        isConnecting = true
        give(.connected)
        isConnecting = false
        for (topic, payload) in retained.sorted(by: { $0.key < $1.key }) where !topic.contains("/service/heartbeat/") {
            give(.message(InboundMessage(topic: topic, payload: payload, retained: true)))
        }
        let own = "_sys/martlet1/service/heartbeat/heartbeat"
        give(.message(InboundMessage(topic: own, payload: retained[own] ?? [], retained: true)))
    }

    func disconnect() {
        isConnected = false
        give(.disconnected)
    }

    /// The process is killed and starts again with its journal.
    func restart(after ms: Int = 0) {
        jump(ms)
        settings.engine.boot += "x"
        core = HeartbeatCore(settings: settings)
        for record in journal {
            do { try core.replay(record) } catch { Issue.record("\(error.reason)") }
        }
        give(.started)
        connect()
    }

    // Executors.

    func card(_ name: String, _ fields: String = "") {
        let topic = "main/martlet1/executor/\(name)/card"
        retained[topic] = Array(#"{"boot":"b1","rev":1\#(fields),"capabilities":[]}"#.utf8)
        give(.message(InboundMessage(topic: topic, payload: retained[topic] ?? [], retained: true)))
    }

    func status(_ name: String, _ state: ExecutorState?, boot: String = "b1", conn: Int = 1) {
        let topic = Topic("main", .status(executor: name)).name
        retained[topic] = state.map { ExecutorStatus($0, boot: boot, conn: conn).encoded }
        give(.message(InboundMessage(topic: topic, payload: retained[topic] ?? [], retained: true)))
    }

    func beat(_ name: String, _ fields: String = "", boot: String = "b1") {
        let topic = Topic("main", .beat(executor: name)).name
        let payload = Array(#"{"boot":"\#(boot)","seq":1\#(fields)}"#.utf8)
        give(.message(InboundMessage(topic: topic, payload: payload)))
    }

    func view(_ name: String) -> LivenessView? {
        retained[Topic("main", .liveness(executor: name)).name].flatMap { try? LivenessView(decoding: $0) }
    }

    func verdict(_ name: String) -> Verdict? { view(name)?.verdict }

    func alert(_ key: String) -> Alert? {
        retained[Topic("main", .alert(key: key)).name].flatMap { try? Alert(decoding: $0) }
    }

    // Checks.

    @discardableResult func command(_ verb: String, _ id: String, _ body: String = "") -> Reply? {
        let answer = "main/martlet1/reply/shop/check/\(verb)/\(id)"
        replies[answer] = nil
        let topic = "main/martlet1/command/shop/check/\(verb)/\(id)"
        give(.message(InboundMessage(topic: topic, payload: Array(body.utf8))))
        return replies[answer]
    }

    @discardableResult func put(_ id: String, _ fields: String = "") -> Reply? {
        command(
            "put", id,
            #"{"target":{"workspace_id":"main","agent_id":"desk"},"work":{"capability":"check.disk"}\#(fields)}"#)
    }

    /// The newest run of a check ends with an output.
    func finish(_ id: String, _ output: String) {
        end(id) { $0.output = try? RawJSON(validating: Array(output.utf8)) }
    }

    func fail(_ id: String, _ status: Status, _ code: Code) {
        end(id, status) { $0.error = ErrorBody(code, "a fault") }
    }

    private func end(_ id: String, _ status: Status = .success, _ fill: (inout TaskResult) -> Void) {
        let prefix = "main/martlet1/intent/heartbeat/check.disk/\(id)~"
        guard let topic = intents.last(where: { $0.topic.hasPrefix(prefix) })?.topic else {
            Issue.record("\(id) has no run")
            return
        }
        let run = String(topic.split(separator: "/").last ?? "")
        var result = TaskResult(task: run, status: status, finishedAt: wall)
        result.durationMs = 7
        fill(&result)
        let place = Topic.Place.result(principal: "heartbeat", capability: "check.disk", id: run)
        give(.message(InboundMessage(topic: Topic("main", place).name, payload: result.encoded)))
    }

    /// Runs of a check, in order.
    func runs(_ id: String) -> [WallTime] {
        intents.filter { $0.topic.contains("/check.disk/\(id)~") }.map(\.at)
    }

    func check(_ id: String) -> ScheduleView? {
        retained[Topic("main", .check(id)).name].flatMap { try? ScheduleView(decoding: $0) }
    }

    // Time.

    /// Time passes; the core is woken whenever it asked to be.
    func pass(_ ms: Int) {
        let end = monotonic + ms
        var turns = 0
        while let wake = core.nextWake, wake <= end, turns < 100_000 {
            jump(max(0, wake - monotonic))
            give(.wake)
            turns += 1
        }
        #expect(turns < 100_000)
        jump(end - monotonic)
        give(.wake)
    }

    /// Time passes while the process does not run.
    func jump(_ ms: Int) {
        wall = wall + ms
        monotonic = monotonic + ms
    }
}
