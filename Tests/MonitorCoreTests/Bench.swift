import Contract
import Machine
import Simulation
import Testing
import TimeModel
import Wire

@testable import MonitorCore

/// Drives a monitor and its history on a fake disk with inputs alone, and keeps what it publishes.
final class Bench {
    let files: FakeFiles
    var core: MonitorCore
    var store: HistoryStore
    var wall: WallTime
    var monotonic = MonotonicTime(milliseconds: 1_000_000)
    var journal: [[UInt8]] = []
    var published: [OutboundMessage] = []
    var retained: [String: [UInt8]] = [:]
    var subscriptions: [Subscription] = []
    var logs: [LogEvent] = []
    var quits = 0
    private let settings: MonitorSettings
    private let limits: HistoryLimits
    private var isConnected = false
    /// Whether the broker's session has the monitor's subscriptions.
    var isSubscribed = false
    /// Whether subscriptions never reach the broker.
    var dropsSubscriptions = false
    private var asked = 0

    init(
        _ start: String = "2026-11-20T09:00:00.000Z", files: FakeFiles = FakeFiles(),
        limits: HistoryLimits = HistoryLimits(), configure: (inout MonitorSettings) -> Void = { _ in }
    ) throws {
        var settings = MonitorSettings()
        settings.boot = "b1"
        settings.version = "1"
        settings.operators = ["ops"]
        // Records of numbers, its own among them, only where a test is about them.
        settings.metricsEveryMs = 0
        configure(&settings)
        self.settings = settings
        self.limits = limits
        self.files = files
        core = MonitorCore(settings: settings)
        store = HistoryStore(files: files, limits: limits)
        wall = try #require(WallTime(rfc3339: start))
        try begin()
    }

    private func begin() throws {
        try store.open(at: now)
        logs += store.takeLog()
        give(.started)
        give(.archive(store.opening))
        give(.sessionLost)
        connect()
    }

    /// A new process on the same disk.
    func restart(sessionLost: Bool = false) throws {
        core = MonitorCore(settings: settings)
        for record in journal { try core.replay(record) }
        store = HistoryStore(files: files, limits: limits)
        try store.open(at: now)
        logs += store.takeLog()
        give(.started)
        give(.archive(store.opening))
        if sessionLost { loseSession() }
        connect()
    }

    /// The broker forgets the session, and says so at the next connection.
    func loseSession() {
        isSubscribed = false
        give(.sessionLost)
    }

    func connect() {
        isConnected = true
        give(.connected)
        for (topic, payload) in retained.sorted(by: { $0.key < $1.key }) where !topic.contains("/metrics/") {
            give(.message(InboundMessage(topic: topic, payload: payload, retained: true)))
        }
    }

    func disconnect() {
        isConnected = false
        give(.disconnected)
    }

    var now: Now { Now(wall: wall, monotonic: monotonic) }

    /// One turn of the shell with one input.
    func give(_ input: ServiceInput) {
        var effects: [ServiceEffect] = []
        core.handle(input, at: now, emitting: &effects)
        for sentence in core.checkInvariants() { Issue.record("\(sentence)") }
        for effect in effects {
            switch effect {
            case .append(let record): journal.append(record)
            case .archive(.record(let record)): store.add(record)
            default: break
            }
        }
        let event = store.commit(at: now)
        logs += store.takeLog()
        var answers: [ServiceInput] = event.map { [.archive($0)] } ?? []
        for effect in effects { carryOut(effect, &answers) }
        for answer in answers { give(answer) }
    }

    private func carryOut(_ effect: ServiceEffect, _ answers: inout [ServiceInput]) {
        switch effect {
        case .publish(let message):
            #expect(isConnected, "published while not connected: \(message.topic)")
            published.append(message)
            // As a broker does: one's own numbers come back while there is a subscription.
            if message.topic == "_sys/martlet1/metrics/monitor", isSubscribed {
                answers.append(
                    .message(
                        InboundMessage(topic: message.topic, payload: message.payload, retained: message.retain)))
            }
            guard message.retain else { return }
            retained[message.topic] = message.payload.isEmpty ? nil : message.payload
        case .subscribe(let list):
            subscriptions += list
            isSubscribed = isSubscribed || !dropsSubscriptions
        case .log(let event): logs.append(event)
        case .archive(.ask(let id, let question)):
            answers.append(.archive(.answered(id: id, store.answer(question, at: now))))
        case .archive(.export(let path, let bytes)): try? files.export(bytes, to: path)
        case .quit: quits += 1
        default: break
        }
    }

    /// Lets time pass second by second.
    func wait(_ ms: Int) {
        var left = ms
        while left > 0 {
            let step = min(1000, left)
            wall = wall + step
            monotonic = monotonic + step
            left -= step
            give(.wake)
        }
    }

    func message(_ topic: String, _ payload: [UInt8], retained: Bool = false) {
        give(.message(InboundMessage(topic: "main/martlet1/\(topic)", payload: payload, retained: retained)))
    }

    func message(_ topic: String, _ text: String, retained: Bool = false) {
        message(topic, Array(text.utf8), retained: retained)
    }

    /// A card of an executor.
    func card(_ executor: String, type: String, kinds: [(String, String)]) {
        let list = kinds.map { #"{"name":"\#($0.0)","kind":"\#($0.1)"}"# }.joined(separator: ",")
        let text = #"{"boot":"b","rev":1,"type":"\#(type)","modes":["push"],"slots":1,"capabilities":[\#(list)]}"#
        message("executor/\(executor)/card", text, retained: true)
    }

    /// A result as the dispatcher would publish it.
    func result(_ id: String, _ status: Status = .success, _ change: (inout ResultSketch) -> Void = { _ in }) {
        var sketch = ResultSketch(id: id, status: status, at: wall)
        change(&sketch)
        message("result/\(sketch.principal)/\(sketch.capability)/\(id)", sketch.payload)
    }

    /// Sends a command and returns its reply.
    func ask(_ verb: String, _ payload: String = "{}", id: String = "q", as principal: String = "ops") throws -> Reply {
        let before = published.count
        message("command/\(principal)/history/\(verb)/\(id)", payload)
        let topic = "main/martlet1/reply/\(principal)/history/\(verb)/\(id)"
        let message = try #require(published[before...].last { $0.topic == topic })
        return try Reply(decoding: message.payload)
    }

    /// The items of a reply that must be good.
    func items(_ verb: String, _ payload: String = "{}", id: String = "q", as principal: String = "ops") throws
        -> [JSONValue]
    {
        let reply = try ask(verb, payload, id: id, as: principal)
        #expect(reply.ok, "\(reply)")
        guard let data = reply.data, case .array(let items)? = JSONValue(data)["items"] else { return [] }
        return items
    }

    func subjects(_ payload: String, as principal: String = "ops") throws -> [String] {
        try items("query", payload, as: principal).compactMap { $0["subject"]?.stringValue }
    }
}

/// What a result says.
struct ResultSketch {
    var id: String
    var status: Status
    var at: WallTime
    var principal = "alice"
    var capability = "c"
    var executor: String? = "e1"
    var code: String?
    var cost = 0
    var wasted = 0
    var queuedMs = 1
    var durationMs = 10
    var tokens = 0
    var user: String?
    var output = "{}"

    init(id: String, status: Status, at: WallTime) {
        self.id = id
        self.status = status
        self.at = at
    }

    var payload: [UInt8] {
        var result = TaskResult(task: id, status: status, finishedAt: at)
        result.output = try? RawJSON(validating: Array(output.utf8))
        result.executor = executor
        result.error = code.map { ErrorBody(Code(rawValue: $0)) }
        result.cost = cost
        result.wastedCost = wasted
        result.queuedMs = queuedMs
        result.durationMs = durationMs
        result.acceptedAt = at - durationMs - queuedMs
        if tokens > 0 {
            result.usage = try? Usage(decoding: Array(#"{"tokens_used":\#(tokens)}"#.utf8))
        }
        if let user { result.context = Context(userID: user) }
        if let executor {
            result.attempts = [
                AttemptRecord(number: 1, executor: executor, epoch: 1, mode: .push, startedAt: at - durationMs)
            ]
        }
        return result.encoded
    }
}
