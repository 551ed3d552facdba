import Contract
import Determinism
public import Machine
import MonitorCore
import TimeModel
import Wire

/// A monitor and a publisher of results and events: first with faults, then healed. Its history must hold what the broker
/// took, each message once; what is missing must lie in a gap that it states.
public final class MonitorRun<S: Service> {
    /// The kinds of faults.
    public enum Fault: String, CaseIterable, Hashable, Sendable {
        /// The monitor dies at a random moment, or within a turn; a write may be torn.
        case kill, crash
        /// It stops for a while.
        case freeze
        /// Its connection, or the publisher's, is cut.
        case cut, cutPublisher = "cut-publisher"
        /// The broker stops in good order, or comes back with nothing.
        case brokerRestart = "broker-restart"
        case brokerEmpty = "broker-empty"
        /// The disk of the history is full for a while.
        case diskFull = "disk-full"
        /// Messages arrive twice.
        case duplicates
    }

    /// The world it plays in.
    public let world: World
    private let seed: UInt64
    private let history: History
    private let monitor: ServiceNode<S>
    private let files = FakeFiles()
    private let limits: HistoryLimits
    private let faults: Set<Fault>
    private let everyMs: Int
    private let end: Int
    private var publisher: SimulatedClient?
    private var isHealing = false
    private var sent = 0
    private var events = 0
    /// What the broker took, by subject, with the monitor's wall clock at that moment.
    private var taken: [String: Int] = [:]
    private var firstReady: Int?

    /// A run of `seed`. `make` builds the monitor's core from a seed of its own.
    public init(seed: UInt64, make: @escaping (UInt64) -> S) {
        self.seed = seed
        world = World(seed: seed)
        history = History(world)
        var drawn: Set<Fault> = []
        for fault in Fault.allCases where world.random.chance(1, of: 2) { drawn.insert(fault) }
        faults = drawn
        everyMs = world.random.uniform(1000...15_000)
        end = world.random.uniform(60_000...240_000)
        var limits = HistoryLimits()
        limits.segmentRecords = world.random.uniform(20...400)
        limits.freeBytes = 0
        self.limits = limits
        monitor = ServiceNode(world, name: "monitor", make: make)
        monitor.violated = { [history] in history.violate("core", $0) }
        monitor.quitted = { [history] in history.violate("G-18", "the monitor left with \($0): \($1)") }
        monitor.makeArchive = { [files] in HistoryStore(files: files, limits: limits) }
        monitor.crashArchive = { [weak self] in self?.crashDisk() }
        world.observe = { [weak self] in self?.observe($0, $1) }
        if faults.contains(.duplicates) { world.duplicateOneIn = world.random.uniform(5...30) }
    }

    /// Plays both phases.
    public func run() -> RunReport {
        monitor.start()
        startPublisher()
        world.after(3000) { [weak self] in self?.publish() }
        if !faults.isEmpty { world.after(4000 + everyMs) { [weak self] in self?.fault() } }
        events += world.run(until: end)
        isHealing = true
        world.note("all faults end")
        world.duplicateOneIn = 0
        monitor.crashNext = nil
        files.room = nil
        monitor.thaw()
        monitor.start()
        events += world.run(until: end + 120_000)
        check()
        return RunReport(
            seed: seed, violations: history.violations, sometimes: history.sometimes.map { ($0, $1) },
            trace: world.trace.value, events: events, intents: sent,
            faults: Fault.allCases.filter { faults.contains($0) }.map(\.rawValue))
    }

    // MARK: Publishing

    private func startPublisher() {
        publisher = SimulatedClient(
            world, name: "dispatcher", username: "dispatcher", keepsSession: true,
            handlers: SimulatedClient.Handlers(
                connected: {},
                disconnected: { [weak self] in
                    self?.world.after(500) { self?.publisher?.connect(will: nil) }
                }, message: { _, _ in }, delivered: { _ in }))
        publisher?.connect(will: nil)
    }

    private func publish() {
        guard !isHealing else { return }
        sent += 1
        let at = monitor.clock.now(world.time).wall
        if world.random.chance(1, of: 4) {
            let event = Event(
                eventID: "dispatcher.1.\(sent)", event: .leaseRevoked, seq: sent, at: at, actor: "dispatcher",
                workspace: "main", subject: "s\(sent)")
            let topic = Topic("main", .event(name: event.event.rawValue, key: "dispatcher.s\(sent)"))
            publisher?.publish(OutboundMessage(topic: topic.name, payload: event.encoded))
        } else {
            let status = Status.allCases[world.random.uniform(0...4)]
            var result = TaskResult(task: "s\(sent)", status: status, finishedAt: at)
            result.executor = "e\(world.random.uniform(0...3))"
            (result.cost, result.durationMs) = (world.random.uniform(0...9), world.random.uniform(0...5000))
            let capability = "c\(world.random.uniform(0...3))"
            let topic = Topic("main", .result(principal: "alice", capability: capability, id: "s\(sent)"))
            publisher?.publish(OutboundMessage(topic: topic.name, payload: result.encoded))
        }
        world.after(world.random.uniform(1...400)) { [weak self] in self?.publish() }
    }

    private func observe(_ username: String, _ message: InboundMessage) {
        guard let topic = Topic(message.topic) else { return }
        if username == "monitor" {
            if case .service = topic.place, firstReady == nil { firstReady = world.time }
            return
        }
        let subject: String
        switch topic.place {
        case .result(_, _, let id): subject = id
        case .event(_, let key): subject = String(key.dropFirst("dispatcher.".count))
        default: return
        }
        if taken[subject] == nil { taken[subject] = monitor.clock.now(world.time).wall.milliseconds }
    }

    // MARK: Faults

    private func fault() {
        guard !isHealing else { return }
        let kinds = Fault.allCases.filter { faults.contains($0) }
        strike(kinds[world.random.uniform(0...kinds.count - 1)])
        world.after(world.random.uniform(1...2 * everyMs)) { [weak self] in self?.fault() }
    }

    private func strike(_ fault: Fault) {
        history.saw("fault \(fault.rawValue)")
        switch fault {
        case .kill:
            monitor.kill()
            restart()
        case .crash:
            let points = ServiceNode<S>.CrashPoint.allCases
            monitor.crashNext = points[world.random.uniform(0...points.count - 1)]
            restart()
        case .freeze:
            monitor.freeze()
            world.after(world.random.uniform(500...20_000)) { [monitor] in monitor.thaw() }
        case .cut: monitor.cut(noticeMs: world.random.uniform(0...5000))
        case .cutPublisher: if let number = publisher?.connectionNumber { world.drop(number) }
        case .brokerRestart: world.restartBroker(.clean, downMs: world.random.uniform(10...20_000))
        case .brokerEmpty: world.restartBroker(.empty, downMs: world.random.uniform(10...20_000))
        case .diskFull:
            files.room = world.random.uniform(0...2000)
            world.after(world.random.uniform(500...20_000)) { [files] in files.room = nil }
        case .duplicates: break
        }
    }

    private func restart() {
        world.after(world.random.uniform(50...20_000)) { [weak self] in
            guard let self else { return }
            if self.monitor.core == nil {
                self.monitor.start()
            } else if self.monitor.crashNext != nil {
                self.restart()
            }
        }
    }

    /// What a dying process had begun to write may be there in part.
    private func crashDisk() {
        files.crash(&world.random)
        guard world.random.chance(1, of: 2), files.room == nil, let names = try? files.names(),
            let last = names.last(where: { $0.hasSuffix(".jsonl") })
        else { return }
        history.saw("torn write")
        let torn = Array(#"{"n":999999,"at":"2026-11-20T00:0"#.utf8.prefix(world.random.uniform(1...30)))
        try? files.append(torn, to: last)
        files.crash(&world.random)
    }

    // MARK: Checks

    private func check() {
        let store = HistoryStore(files: files, limits: limits)
        let now = monitor.clock.now(world.time)
        guard (try? store.open(at: now)) != nil else { return history.violate("G-20", "the history cannot be opened") }
        var held: [String: Int] = [:]
        var gaps: [HistoryGap] = []
        var last = Int.max
        var newerAt: WallTime?
        for record in store.records(at: now) {
            if record.number >= last { history.violate("order", "record \(record.number) stands behind \(last)") }
            last = record.number
            if record.record == .result || record.record == .event { held[record.subject, default: 0] += 1 }
            if record.record == .gap, let body = record.body, var gap = try? HistoryGap(body) {
                // One without an end lasts until something was recorded again.
                gap.to = gap.to ?? newerAt ?? now.wall
                gaps.append(gap)
            } else {
                newerAt = record.at
            }
        }
        for gap in gaps { history.saw("gap \(gap.reason.rawValue)") }
        for (subject, count) in held.sorted(by: { $0.key < $1.key }) {
            if count > 1 { history.violate("once", "\(subject) is recorded \(count) times") }
            if taken[subject] == nil { history.violate("invented", "\(subject) was never published") }
        }
        checkMissing(held, gaps)
    }

    /// What the broker took and the history lacks must lie within a gap.
    private func checkMissing(_ held: [String: Int], _ gaps: [HistoryGap]) {
        let start = monitor.clock.now(firstReady ?? 0).wall.milliseconds
        for (subject, at) in taken.sorted(by: { $0.key < $1.key }) where held[subject] == nil && at > start + 1000 {
            let isStated = gaps.contains { gap in
                guard let from = gap.from, let to = gap.to else { return false }
                return at >= from.milliseconds - MonitorRun.slackMs && at <= to.milliseconds + MonitorRun.slackMs
            }
            if isStated {
                history.saw("stated as missing")
            } else {
                history.violate("stated", "\(subject), published at \(at), is neither held nor stated as missing")
            }
        }
    }

    /// What was on its way when the last message was heard.
    private static var slackMs: Int { 2000 }
}
