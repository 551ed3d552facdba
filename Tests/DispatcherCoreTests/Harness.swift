import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// A dispatcher between a clock that stands still and a broker that never loses anything: what it publishes is kept,
/// retained and handed back where it has subscribed; every journal record is kept for restarts.
struct Harness {
    /// The core under test.
    private(set) var core: Dispatcher
    /// Both clocks.
    private(set) var now: Now
    /// All it has published, oldest first.
    private(set) var messages: [OutboundMessage] = []
    /// All it has journaled.
    private(set) var records: [[UInt8]] = []
    /// All it has logged.
    private(set) var logs: [LogEvent] = []
    /// The broker's retained messages.
    private(set) var retained: [String: [UInt8]] = [:]
    /// What it asked the shell for at the end.
    private(set) var quit: ServiceEffect?
    /// Whether publishes are acknowledged at once.
    var acknowledges = true
    /// Whether what it publishes comes back to it where it has subscribed.
    var echoes = true
    /// Whether a log line of level error is expected.
    var allowsErrors = false
    /// Whether all invariants are checked after each input.
    var checks = true
    /// A dispatcher that is made from the journal alone, record by record; absent: none is compared.
    private var shadow: Dispatcher?
    /// Whether the wall clock was set since the last start.
    private var clockWasSet = false
    /// Whether the broker keeps the session over broken connections, and so hears at once what is published.
    var keepsSession = false
    /// The workspace of all shorthand.
    var workspace = "main"
    private let configuration: String
    private var lost = ""
    private var subscriptions: [Subscription] = []
    private var inbox: [InboundMessage] = []
    private var taken: [String: Int] = [:]
    private var isConnected = false
    private var starts: UInt64 = 0

    /// A started, connected and settled dispatcher with this section of configuration.
    init(_ configuration: String = "{}", settled: Bool = true) throws {
        self.configuration = configuration
        core = Dispatcher(configuration: try DispatcherConfiguration(decoding: Array(configuration.utf8)), seed: 1)
        now = Now(wall: WallTime(milliseconds: 1_795_168_800_000), monotonic: MonotonicTime(milliseconds: 50_000))
        input(.started)
        if settled { connect() }
    }

    // MARK: - Time and the broker

    /// Hands one input to the core, carries out its effects and delivers what comes back, until all is quiet.
    mutating func input(_ input: ServiceInput) {
        handle(input)
        while !inbox.isEmpty { handle(.message(inbox.removeFirst())) }
        settle()
    }

    /// Lets the core do what is due at this very moment.
    private mutating func settle() {
        var turns = 0
        while let due = core.nextWake, due <= now.monotonic, turns < 10_000 {
            handle(.wake)
            while !inbox.isEmpty { handle(.message(inbox.removeFirst())) }
            turns += 1
        }
        #expect(turns < 10_000, "the core never comes to rest")
    }

    private mutating func handle(_ input: ServiceInput) {
        var effects: [ServiceEffect] = []
        let previous = shadow == nil ? nil : core
        core.handle(input, at: now, emitting: &effects)
        if let previous {
            let faults = core.checkInvariants(since: previous)
            #expect(faults.isEmpty, "after \(input): \(faults)")
            if !faults.isEmpty { shadow = nil }
        }
        if case .message = input {
            let isEarly = core.isSettled && inbox.contains { $0.retained && $0.topic.contains("/executor/") }
            #expect(!isEarly, "settled before all that is retained has come")
        }
        if checks {
            let faults = core.checkInvariants()
            #expect(faults.isEmpty, "after \(input): \(faults)")
            // One fault is enough: what follows from it says nothing more.
            if !faults.isEmpty { (checks, shadow) = (false, nil) }
        }
        var tokens: [Int] = []
        for effect in effects {
            switch effect {
            case .append(let record): append(record)
            case .publish(let message):
                carry(message)
                if let token = message.token { tokens.append(token) }
            case .subscribe(let list): subscribe(list)
            case .log(let event):
                logs.append(event)
                #expect(allowsErrors || event.level != .error, "\(event)")
            case .quit: quit = effect
            case .startChild, .stopChild, .status, .ready, .archive: break
            }
        }
        compareShadow(after: input)
        if acknowledges { for token in tokens { handle(.delivered(token: token)) } }
    }

    private mutating func append(_ record: [UInt8]) {
        records.append(record)
        do { try shadow?.replay(record) } catch { Issue.record("I18: a record that cannot be replayed: \(error)") }
    }

    /// From now on, after each input, what the journal gives is compared with what the dispatcher keeps.
    mutating func comparesReplay() throws { shadow = try replayed() }

    /// The journal becomes the snapshot of the present state.
    mutating func compact() throws {
        records = []
        core.snapshot { records.append($0) }
        if shadow != nil { shadow = try replayed() }
    }

    /// What the checkers say of a state that somebody has spoilt; the core itself stays as it is.
    func faults(_ spoil: (inout Dispatcher) -> Void) -> [String] {
        var spoilt = core
        spoil(&spoilt)
        return spoilt.checkInvariants() + spoilt.checkInvariants(since: core)
    }

    private func replayed() throws -> Dispatcher {
        let settings = try DispatcherConfiguration(decoding: Array(configuration.utf8))
        var replayed = Dispatcher(configuration: settings, seed: 99)
        for record in records { try replayed.replay(record) }
        return replayed
    }

    /// I18: at every point at which the process could be killed the journal gives the state.
    private mutating func compareShadow(after input: ServiceInput) {
        guard let shadow,
            shadow.stateHash(at: now, clockWasSet: clockWasSet)
                != core.stateHash(at: now, clockWasSet: clockWasSet)
        else { return }
        let own = core.kept(at: now, clockWasSet: clockWasSet).map { String(decoding: $0, as: UTF8.self) }
        let other = shadow.kept(at: now, clockWasSet: clockWasSet).map { String(decoding: $0, as: UTF8.self) }
        let lost = own.filter { !other.contains($0) }
        let made = other.filter { !own.contains($0) }
        self.shadow = nil
        Issue.record("I18: after \(input): kept \(lost.prefix(2)), replayed \(made.prefix(2))")
    }

    private mutating func carry(_ message: OutboundMessage) {
        #expect(isConnected, "published without a connection: \(message.topic)")
        messages.append(message)
        if message.retain { retained[message.topic] = message.payload.isEmpty ? nil : message.payload }
        if echoes { deliver(message.topic, message.payload, retained: message.retain) }
    }

    private mutating func deliver(_ topic: String, _ payload: [UInt8], retained: Bool) {
        guard isConnected, subscriptions.contains(where: { Harness.matches(topic, $0.filter) }) else { return }
        inbox.append(InboundMessage(topic: topic, payload: payload, retained: retained))
    }

    private mutating func subscribe(_ list: [Subscription]) {
        subscriptions.removeAll { old in list.contains { $0.filter == old.filter } }
        subscriptions += list
        for subscription in list where subscription.wantsRetained && echoes {
            for (topic, payload) in retained.sorted(by: { $0.key < $1.key })
            where Harness.matches(topic, subscription.filter) && topic != lost {
                inbox.append(InboundMessage(topic: topic, payload: payload, retained: true))
            }
        }
    }

    /// Whether a topic fits a filter (MQTT 5.0 §4.7).
    static func matches(_ topic: String, _ filter: String) -> Bool {
        let levels = topic.split(separator: "/", omittingEmptySubsequences: false)
        let wanted = filter.split(separator: "/", omittingEmptySubsequences: false)
        for (index, word) in wanted.enumerated() {
            if word == "#" { return true }
            guard index < levels.count, word == "+" || word == levels[index] else { return false }
        }
        return levels.count == wanted.count
    }

    /// The connection comes up.
    mutating func connect() {
        isConnected = true
        if !keepsSession { subscriptions = [] }
        input(.connected)
    }

    /// The connection breaks.
    mutating func disconnect() {
        isConnected = false
        input(.disconnected)
    }

    /// The process is killed and started anew from its journal; the clocks go on, the monotonic one from elsewhere.
    mutating func restart(after ms: Int = 0, connects: Bool = true) throws {
        starts += 1
        isConnected = false
        let plans = core.plans
        if !keepsSession { subscriptions = [] }
        inbox = []
        let settings = try DispatcherConfiguration(decoding: Array(configuration.utf8))
        core = Dispatcher(configuration: settings, seed: 1 + starts)
        for record in records { try core.replay(record) }
        if shadow != nil {
            shadow = core
            compareShadow(after: .started)
            clockWasSet = false
        }
        now = Now(wall: now.wall + ms, monotonic: MonotonicTime(milliseconds: 7_000_000 * Int(starts)))
        input(.started)
        if shadow != nil { comparePlans(plans) }
        if connects { connect() }
    }

    /// I18: how far plans were is known again.
    private func comparePlans(_ before: [Int: PlanState]) {
        for (number, old) in before.sorted(by: { $0.key < $1.key }) {
            guard let new = core.plans[number] else {
                Issue.record("I18: plan \(number) is gone")
                continue
            }
            let isSame =
                new.run.ended == old.run.ended && new.steps == old.steps && new.spent == old.spent
                && (old.ending == nil || new.ending == old.ending || new.run.stopper != nil)
            #expect(isSame, "I18: plan \(number) was \(old), is \(new)")
        }
    }

    /// Time passes; the core is woken whenever something is due.
    mutating func advance(_ ms: Int) {
        let end = now.monotonic + ms
        while let due = core.nextWake, due <= end {
            step(to: max(due, now.monotonic))
            input(.wake)
        }
        step(to: end)
    }

    private mutating func step(to time: MonotonicTime) {
        now.wall = now.wall + (time - now.monotonic)
        now.monotonic = time
    }

    /// Time passes without a wake: the process did not run.
    mutating func jump(_ ms: Int) {
        step(to: now.monotonic + ms)
        input(.wake)
    }

    /// Time passes unnoticed: the next input comes so much later.
    mutating func late(_ ms: Int) { step(to: now.monotonic + ms) }

    /// The wall clock is set.
    mutating func setWall(_ time: WallTime) {
        now.wall = time
        clockWasSet = true
        input(.wake)
    }

    /// A message of somebody else, on a topic below `{workspace}/martlet1/`.
    mutating func send(_ place: String, _ payload: String, retain: Bool = false) {
        let topic = "\(workspace)/martlet1/\(place)"
        if retain { retained[topic] = payload.isEmpty ? nil : Array(payload.utf8) }
        guard isConnected else { return }
        input(.message(InboundMessage(topic: topic, payload: Array(payload.utf8), retained: retain)))
    }

    /// A message of another service, on a topic below `_sys/martlet1/`.
    mutating func sendSystem(_ place: String, _ payload: String) {
        let topic = "_sys/martlet1/\(place)"
        retained[topic] = Array(payload.utf8)
        input(.message(InboundMessage(topic: topic, payload: Array(payload.utf8), retained: true)))
    }

    /// Another service's retained message, which the broker holds before this dispatcher connects.
    mutating func leaves(_ place: String, _ payload: String) {
        retained["_sys/martlet1/\(place)"] = Array(payload.utf8)
    }

    /// A retained message that no subscriber is sent, as if its queue had been full.
    mutating func loses(_ place: String, _ payload: String) {
        lost = "\(workspace)/martlet1/\(place)"
        retained[lost] = Array(payload.utf8)
    }

    /// Up to how many executors are compared one by one.
    mutating func walks(upTo limit: Int) { core.walkLimit = limit }

    /// Messages on a topic or filter since the last call for it.
    mutating func takeAll(_ place: String) -> [OutboundMessage] {
        let from = taken[place] ?? 0
        taken[place] = messages.count
        return messages[from...].filter { Harness.matches($0.topic, "\(workspace)/martlet1/\(place)") }
    }

    // MARK: - Publishers and commands

    /// Sends an intent.
    mutating func intent(
        _ id: String, to capability: String = "c", by principal: String = "alice", _ json: String = "{}"
    ) {
        send("intent/\(principal)/\(capability)/\(id)", json)
    }

    /// The last result of a task.
    func result(_ id: String, of capability: String = "c", for principal: String = "alice") -> TaskResult? {
        let payload = last("result/\(principal)/\(capability)/\(id)")
        return payload.flatMap { try? TaskResult(decoding: $0) }
    }

    /// How often a result was published.
    func resultCount(_ id: String, of capability: String = "c", for principal: String = "alice") -> Int {
        all("result/\(principal)/\(capability)/\(id)").count
    }

    /// The updates of a task.
    func updates(_ id: String, of capability: String = "c", for principal: String = "alice") -> [Update] {
        all("update/\(principal)/\(capability)/\(id)").compactMap { try? Update(decoding: $0) }
    }

    /// Sends a command, `noun/verb/id`, and takes its reply.
    mutating func command(_ name: String, _ json: String = "", by principal: String = "ops") throws -> Reply {
        let before = messages.count
        send("command/\(principal)/\(name)", json)
        let topic = "\(workspace)/martlet1/reply/\(principal)/\(name)"
        let replies = messages[before...].filter { $0.topic == topic }
        #expect(replies.count == 1, "\(name): \(replies.count) replies")
        return try Reply(decoding: try #require(replies.last).payload)
    }

    /// What `task/explain` says of a task.
    mutating func explain(_ id: String, of principal: String = "alice") throws -> JSONValue {
        let reply = try command("task/explain/\(id)", #"{"principal":"\#(principal)"}"#)
        return JSONValue(try #require(reply.data))
    }

    // MARK: - Executors

    /// A plan whose first step has ended and whose second waits: `a` of the capability `c`, done by `e1`, and `b` of `d`.
    mutating func planHalfDone() throws {
        intent(
            "p", to: "plan",
            #"{"input":{"steps":[{"name":"a","type":"skill","capability":"c"},{"name":"b","type":"skill","capability":"d"}]}}"#
        )
        online("e2", #"{"name":"d"}"#)
        succeed("e1", try assignment("e1"))
    }

    /// An executor publishes its card and is online. `rest` goes into the card, as `"slots":2`.
    mutating func online(
        _ name: String, _ capabilities: String = #"{"name":"c"}"#, boot: String = "b1", rev: Int = 1, rest: String = ""
    ) {
        card(name, capabilities, boot: boot, rev: rev, rest: rest)
        status(name, "online", boot: boot)
    }

    /// An executor publishes its card.
    mutating func card(
        _ name: String, _ capabilities: String, boot: String = "b1", rev: Int = 1, rest: String = ""
    ) {
        let extra = rest.isEmpty ? "" : rest + ","
        send(
            "executor/\(name)/card",
            #"{"boot":"\#(boot)","rev":\#(rev),\#(extra)"capabilities":[\#(capabilities)]}"#, retain: true)
    }

    /// An executor, or the broker for it, publishes its status.
    mutating func status(_ name: String, _ word: String, boot: String = "b1", conn: Int = 1) {
        send("executor/\(name)/status", #"{"status":"\#(word)","boot":"\#(boot)","conn":\#(conn)}"#, retain: true)
    }

    /// The work messages for an executor since the last call.
    mutating func work(_ executor: String) -> [WorkMessage] {
        let from = taken[executor] ?? 0
        taken[executor] = messages.count
        return messages[from...].filter { Harness.matches($0.topic, "\(workspace)/martlet1/work/+/\(executor)") }
            .compactMap { try? WorkMessage(decoding: $0.payload) }
    }

    /// The assignments for an executor since the last look at its work.
    mutating func assignments(_ executor: String) -> [Assignment] {
        work(executor).compactMap { message in
            guard case .assign(let assignment) = message else { return nil }
            return assignment
        }
    }

    /// The one assignment for an executor since the last look.
    mutating func assignment(_ executor: String, at place: SourceLocation = #_sourceLocation) throws -> Assignment {
        let all = assignments(executor)
        #expect(all.count == 1, "\(executor) got \(all.count) assignments", sourceLocation: place)
        return try #require(all.last, sourceLocation: place)
    }

    /// A report on an attempt; `fields` follow the epoch.
    mutating func report(_ executor: String, _ assignment: Assignment, _ fields: String) {
        let name = #""epoch":\#(assignment.epoch),"principal":"\#(assignment.principal)""#
        send("report/\(executor)/\(assignment.task)", "{\(name),\(fields)}")
    }

    /// Accepts.
    mutating func accept(_ executor: String, _ assignment: Assignment) {
        report(executor, assignment, #""type":"accept""#)
    }

    /// Ends with success.
    mutating func succeed(_ executor: String, _ assignment: Assignment, output: String = "{}") {
        report(executor, assignment, #""type":"outcome","status":"success","output":\#(output)"#)
    }

    /// Ends with a failure.
    mutating func fail(_ executor: String, _ assignment: Assignment, code: String = "flaky", rest: String = "") {
        let extra = rest.isEmpty ? "" : "," + rest
        report(
            executor, assignment,
            #""type":"outcome","status":"failed","error":{"code":"\#(code)","message":"it failed"\#(extra)}"#)
    }

    /// Refuses.
    mutating func refuse(_ executor: String, _ assignment: Assignment, _ reason: String, rest: String = "") {
        let extra = rest.isEmpty ? "" : "," + rest
        report(executor, assignment, #""type":"refuse","reason":"\#(reason)"\#(extra)"#)
    }

    /// Beats, naming the leases.
    mutating func beat(_ executor: String, seq: Int, boot: String = "b1", leases: [Assignment] = []) {
        let pairs = leases.map { #"["\#($0.task)",\#($0.epoch)]"# }.joined(separator: ",")
        send("beat/\(executor)", #"{"boot":"\#(boot)","seq":\#(seq),"leases":[\#(pairs)]}"#)
    }

    /// Claims, and gives the answer if there is one at once.
    mutating func claim(_ executor: String, slot: String = "s1", _ json: String = "{}") throws -> Grant? {
        let before = messages.count
        send("claim/\(executor)/\(slot)", json)
        return try grant(executor, slot: slot, since: before)
    }

    /// The last grant of a slot among the messages from `since` on.
    func grant(_ executor: String, slot: String = "s1", since: Int = 0) throws -> Grant? {
        let topic = "\(workspace)/martlet1/grant/\(executor)/\(slot)"
        return try messages[since...].last { $0.topic == topic }.map { try Grant(decoding: $0.payload) }
    }

    // MARK: - What was published

    /// The payloads published on a topic below `{workspace}/martlet1/`; it may be a filter.
    func all(_ place: String) -> [[UInt8]] {
        let filter = "\(workspace)/martlet1/\(place)"
        let isName = !filter.contains("+") && !filter.contains("#")
        return messages.filter { isName ? $0.topic == filter : Harness.matches($0.topic, filter) }.map(\.payload)
    }

    /// The last of them.
    func last(_ place: String) -> [UInt8]? { all(place).last }

    /// The view that is retained on a topic, as a tree.
    func view(_ place: String) -> JSONValue? {
        retained["\(workspace)/martlet1/\(place)"].flatMap { try? RawJSON(validating: $0) }.map { JSONValue($0) }
    }

    /// The events of one name.
    func events(_ name: EventName) -> [Event] {
        all("event/\(name.rawValue)/+").compactMap { try? Event(decoding: $0) }
    }

    /// Dead letters of a capability.
    func deadLetters(_ capability: String = "c") -> [DeadLetter] {
        all("dead/\(capability)/+").compactMap { try? DeadLetter(decoding: $0) }
    }
}

extension JSONValue {
    /// A text at a pointer.
    func text(_ pointer: String) -> String? { at(pointer: pointer)?.stringValue }
    /// An integer at a pointer.
    func number(_ pointer: String) -> Int? { at(pointer: pointer)?.intValue }
}
