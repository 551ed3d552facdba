import Contract
import Foundation
import Machine
import SchedulerCore
import Testing
import TimeModel
import Timing
import Wire

/// Drives a scheduler with inputs alone and keeps what it asks for: a clock, a journal, a broker and a dispatcher of
/// the simplest kind.
final class Bench {
    /// How the dispatcher treats runs.
    enum Dispatcher { case away, accepts, completes }

    struct Published {
        var topic: String
        var message: OutboundMessage
        var at: WallTime
    }

    var core: SchedulerCore
    var settings: SchedulerSettings
    var wall: WallTime
    var monotonic = MonotonicTime(milliseconds: 1_000_000)
    var journal: [[UInt8]] = []
    var intents: [Published] = []
    var events: [Event] = []
    var seenEvents: Set<String> = []
    var logs: [LogEvent] = []
    var replies: [String: Reply] = [:]
    var retained: [String: [UInt8]] = [:]
    var notes: [Published] = []
    var quits = 0
    /// How often it said that it is ready.
    var readies = 0
    var dispatcher = Dispatcher.accepts
    /// Whether invariants are checked after each input; with thousands of schedules that takes its time.
    var checksInvariants = true
    var isConnected = false
    /// Whether its own record comes back at once.
    var returnsRecords = true
    /// Runs the dispatcher has accepted; a repeated one is a duplicate.
    var known: Set<String> = []

    /// A scheduler that has connected to a broker which retained `before`.
    init(
        _ start: String = "2026-11-20T08:00:00.000Z", before: [String: [UInt8]] = [:], returnsRecords: Bool = true,
        configure: (inout SchedulerSettings) -> Void = { _ in }
    ) {
        var settings = SchedulerSettings()
        settings.boot = "b1"
        settings.version = "1"
        settings.zones = SystemZones.catalog
        configure(&settings)
        self.settings = settings
        self.returnsRecords = returnsRecords
        core = SchedulerCore(settings: settings)
        wall = WallTime(rfc3339: start) ?? WallTime(milliseconds: 0)
        retained = before
        give(.started)
        connect()
        status("desk", .online)
    }

    // Inputs.

    func give(_ input: ServiceInput) {
        var effects: [ServiceEffect] = []
        core.handle(input, at: Now(wall: wall, monotonic: monotonic), emitting: &effects)
        if checksInvariants { for sentence in core.checkInvariants() { Issue.record("\(sentence)") } }
        for case .append(let record) in effects { journal.append(record) }
        var answers: [InboundMessage] = []
        for effect in effects { carryOut(effect, &answers) }
        for answer in answers { give(.message(answer)) }
    }

    func connect() {
        isConnected = true
        give(.connected)
    }

    func disconnect() {
        isConnected = false
        give(.disconnected)
    }

    private func carryOut(_ effect: ServiceEffect, _ answers: inout [InboundMessage]) {
        switch effect {
        case .publish(let message): published(message, &answers)
        // Behind the own record nobody waits for views: the tests send these where they matter.
        case .subscribe(let list) where list.contains { $0.filter.contains("/service/") }: takeViews(list)
        case .log(let event): logs.append(event)
        case .quit: quits += 1
        case .ready: readies += 1
        default: break
        }
    }

    /// What is retained comes as it is subscribed to, before the own record; own views only when they are asked for there.
    private func takeViews(_ list: [Subscription]) {
        for (topic, payload) in retained.sorted(by: { $0.key < $1.key })
        where topic.contains("/status") || topic.contains("/liveness/") || topic.contains("/service/heartbeat") {
            give(.message(InboundMessage(topic: topic, payload: payload, retained: true)))
        }
        guard list.contains(where: { $0.filter.hasSuffix("/schedule/+") }) else { return }
        for (topic, payload) in retained.sorted(by: { $0.key < $1.key }) where topic.contains("/schedule/") {
            give(.message(InboundMessage(topic: topic, payload: payload, retained: true)))
        }
    }

    private func published(_ message: OutboundMessage, _ answers: inout [InboundMessage]) {
        #expect(isConnected, "published while not connected: \(message.topic)")
        if let token = message.token { give(.delivered(token: token)) }
        guard let topic = Topic(message.topic) else {
            Issue.record("no topic: \(message.topic)")
            return
        }
        if message.retain {
            retained[message.topic] = message.payload.isEmpty ? nil : message.payload
        }
        switch topic.place {
        case .intent(let principal, let capability, let id):
            intents.append(Published(topic: message.topic, message: message, at: wall))
            answers += answer(topic.workspace, principal, capability, id)
        case .event:
            guard let event = try? Event(decoding: message.payload) else {
                Issue.record("no event: \(message.topic)")
                return
            }
            // At least once: one that is sent again has the same id.
            if seenEvents.insert(event.eventID).inserted { events.append(event) }
        case .reply: replies[message.topic] = try? Reply(decoding: message.payload)
        case .service:
            // The own record comes back behind all that is retained.
            if returnsRecords { answers.append(InboundMessage(topic: message.topic, payload: message.payload)) }
        case .notify: notes.append(Published(topic: message.topic, message: message, at: wall))
        default: break
        }
    }

    private func answer(_ workspace: String, _ principal: String, _ capability: String, _ id: String)
        -> [InboundMessage]
    {
        if dispatcher == .away { return [] }
        let isNew = known.insert(id).inserted
        var update = Update(isNew ? .accepted : .duplicate, task: id, state: .queued, rev: 1, at: wall)
        update.state = .queued
        let topic = Topic(workspace, .update(principal: principal, capability: capability, id: id)).name
        var list = [InboundMessage(topic: topic, payload: update.encoded)]
        if dispatcher == .completes { list.append(resultMessage(id, .success, capability)) }
        return list
    }

    func resultMessage(
        _ id: String, _ status: Status, _ capability: String = "run", code: Code? = nil, retryAfterMs: Int? = nil
    ) -> InboundMessage {
        var result = TaskResult(task: id, status: status, finishedAt: wall)
        if let code { result.error = ErrorBody(code, "a fault", retryAfterMs: retryAfterMs) }
        result.durationMs = 12
        let topic = Topic("main", .result(principal: "scheduler", capability: capability, id: id)).name
        return InboundMessage(topic: topic, payload: result.encoded)
    }

    /// The result of a run comes.
    func finish(_ id: String, _ status: Status = .success, code: Code? = nil) {
        give(.message(resultMessage(id, status, code: code)))
    }

    func status(_ executor: String, _ state: ExecutorState?) {
        let topic = Topic("main", .status(executor: executor)).name
        retained[topic] = state.map { ExecutorStatus($0, boot: "x").encoded }
        let payload = retained[topic] ?? []
        if isConnected { give(.message(InboundMessage(topic: topic, payload: payload, retained: true))) }
    }

    @discardableResult func command(
        _ verb: String, _ id: String, _ body: String = "", by principal: String = "shop", workspace: String = "main"
    ) -> Reply? {
        let topic = "\(workspace)/martlet1/command/\(principal)/schedule/\(verb)/\(id)"
        let answer = "\(workspace)/martlet1/reply/\(principal)/schedule/\(verb)/\(id)"
        replies[answer] = nil
        give(.message(InboundMessage(topic: topic, payload: Array(body.utf8))))
        return replies[answer]
    }

    /// A document with the usual target and what `rest` adds.
    @discardableResult func put(
        _ id: String, _ type: String, _ spec: String, _ rest: String = "", agent: String = "desk"
    ) -> Reply? {
        command(
            "put", id,
            #"{"type":"\#(type)","spec":\#(spec),"target":{"workspace_id":"main","agent_id":"\#(agent)"}\#(rest)}"#)
    }

    // Time.

    /// Time passes; the core is woken whenever it asked to be.
    func pass(_ ms: Int) {
        let end = monotonic + ms
        var turns = 0
        while let wake = core.nextWake, wake <= end, turns < 200_000 {
            jump(max(0, wake - monotonic))
            give(.wake)
            turns += 1
        }
        jump(end - monotonic)
        give(.wake)
    }

    /// Time passes while the process does not run.
    func jump(_ ms: Int) {
        wall = wall + ms
        monotonic = monotonic + ms
    }

    func until(_ text: String) {
        guard let time = WallTime(rfc3339: text) else {
            Issue.record("no time: \(text)")
            return
        }
        pass(time - wall)
    }

    /// The clock is set.
    func set(clockBy ms: Int) {
        wall = wall + ms
        give(.wake)
    }

    /// The process is killed, stays away for a while, and starts again with its journal.
    func restart(after ms: Int = 0, keepingJournal: Bool = true) {
        jump(ms)
        if !keepingJournal { journal.removeAll() }
        isConnected = false
        settings.boot += "x"
        core = SchedulerCore(settings: settings)
        for record in journal {
            do { try core.replay(record) } catch { Issue.record("\(error.reason)") }
        }
        give(.started)
        if journal.count > 200 {
            journal.removeAll()
            core.snapshot { journal.append($0) }
        }
        connect()
    }

    // What came of it.

    func view(_ id: String) -> ScheduleView? {
        guard let data = command("get", id)?.data else { return nil }
        return try? ScheduleView(data)
    }

    func state(_ id: String) throws -> ScheduleState { try #require(view(id)).state }

    /// The runs that were sent, each once.
    var runs: [String] {
        var seen: [String] = []
        for intent in intents {
            guard let id = intent.topic.split(separator: "/").last.map(String.init) else { continue }
            if !seen.contains(id) { seen.append(id) }
        }
        return seen
    }

    /// Events as `NAME reason` with the count of slots where it is not one.
    var told: [String] {
        events.map { event in
            let data = event.data.map(JSONValue.init)
            let reason = data?["reason"]?.stringValue.map { " \($0)" } ?? ""
            let count = data?["count"]?.intValue ?? 1
            let more = data?["more"] == nil ? "" : " more"
            return event.event.rawValue + reason + (count == 1 ? "" : " \(count)") + more
        }
    }

    /// Of the events only those about slots.
    var slotsTold: [String] {
        told.filter {
            $0.hasPrefix("MISFIRED") || $0.hasPrefix("SCHEDULE_SKIPPED") || $0.hasPrefix("SCHEDULE_TRIGGERED")
        }
    }

    func forgetAll() {
        intents.removeAll()
        events.removeAll()
        notes.removeAll()
    }
}

/// The zone data of the machine, read once.
enum SystemZones {
    static let catalog: ZoneCatalog = {
        var catalog = ZoneCatalog(version: "test")
        for name in ["Europe/Berlin", "America/New_York", "Asia/Tokyo"] {
            guard let data = FileManager.default.contents(atPath: "/usr/share/zoneinfo/\(name)") else { continue }
            do { try catalog.add(name, tzif: [UInt8](data)) } catch { fatalError("\(name): \(error)") }
        }
        return catalog
    }()
}
