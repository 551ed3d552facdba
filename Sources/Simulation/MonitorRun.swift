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
    private let diesAtConnect: Bool
    private let everyMs: Int
    private let end: Int
    private let ledger: MonitorLedger
    private let answers: MonitorAnswers
    private var publisher: SimulatedClient?
    private var isHealing = false
    private var sent = 0
    private var events = 0
    /// Events that were published.
    private var seq = 0
    private var firstReady: Int?

    /// Who asks at the end; an operator of the monitor.
    public static var asker: String { "ops" }

    /// A run of `seed`, with a planted bug if one is named. `make` builds the monitor's core from a seed of its own.
    public init(seed: UInt64, mutant: MonitorMutant? = nil, make: @escaping (UInt64) -> S) {
        self.seed = seed
        world = World(seed: seed)
        history = History(world)
        ledger = MonitorLedger(history)
        answers = MonitorAnswers(world, name: MonitorRun.asker)
        var drawn: Set<Fault> = []
        for fault in Fault.allCases where world.random.chance(1, of: 2) { drawn.insert(fault) }
        // Every fifth seed kills it just when it has connected: what its session lost is not stated yet.
        diesAtConnect = seed % 5 == 0
        if diesAtConnect { drawn.formUnion([.kill, .brokerEmpty]) }
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
        monitor.makeArchive = { [files] in
            guard let mutant else { return HistoryStore(files: files, limits: limits) }
            let shown: any ArchiveFiles = mutant == .keepsTornEnd ? UncutFiles(files) : files
            return TamperedArchive(HistoryStore(files: shown, limits: limits), mutant)
        }
        mutant?.plant(in: monitor)
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
        answers.start()
        events += world.run(until: end + 130_000)
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
        switch world.random.uniform(0...9) {
        case 0, 1: publishEvent(.leaseRevoked, at)
        case 2: publishEvent(.checkResult, at)
        case 3: publishLog(at)
        default: publishResult(at)
        }
        world.after(world.random.uniform(1...400)) { [weak self] in self?.publish() }
    }

    private func publish(_ place: Topic.Place, _ payload: [UInt8]) {
        publisher?.publish(OutboundMessage(topic: Topic(Names.defaultWorkspace, place).name, payload: payload))
    }

    private func publishEvent(_ name: EventName, _ at: WallTime) {
        seq += 1
        let event = Event(
            eventID: "dispatcher.1.\(seq)", event: name, seq: seq, at: at, actor: "dispatcher",
            workspace: Names.defaultWorkspace, subject: "s\(sent)")
        publish(.event(name: name.rawValue, key: "dispatcher.s\(sent)"), event.encoded)
    }

    private func publishLog(_ at: WallTime) {
        let payload = RawJSON { writer in
            writer.object {
                $0.field("request_id", "s\(sent)")
                $0.field("status", "success")
                $0.field("timestamp", at)
            }
        }
        publish(.log(request: "s\(sent)", record: "step"), payload.bytes)
    }

    /// A result; now and then another principal gets it too, and a failed one may be a dead letter as well.
    private func publishResult(_ at: WallTime) {
        let status = Status.allCases[world.random.uniform(0...4)]
        var result = TaskResult(task: "s\(sent)", status: status, finishedAt: at)
        let executor = "e\(world.random.uniform(0...3))"
        result.executor = executor
        (result.cost, result.durationMs) = (world.random.uniform(0...9), world.random.uniform(0...5000))
        result.attempts = [AttemptRecord(number: 1, executor: executor, epoch: sent, mode: .push, startedAt: at)]
        let capability = "c\(world.random.uniform(0...3))"
        publish(.result(principal: "alice", capability: capability, id: "s\(sent)"), result.encoded)
        if world.random.chance(1, of: 10) {
            publish(.result(principal: "bob", capability: capability, id: "s\(sent)"), result.encoded)
        }
        if status == .failed, world.random.chance(1, of: 3) {
            let letter = DeadLetter(result: result, principal: "alice", input: .emptyObject)
            publish(.dead(capability: capability, id: "s\(sent)"), letter.encoded)
        }
    }

    private func observe(_ username: String, _ message: InboundMessage) {
        guard let topic = Topic(message.topic) else { return }
        if username == "monitor" {
            guard case .service = topic.place else { return }
            if firstReady == nil { firstReady = world.time }
            if diesAtConnect, !isHealing, world.random.chance(1, of: 3) { dieSoon() }
            return
        }
        var taken = MonitorLedger.Taken(at: monitor.clock.now(world.time).wall.milliseconds)
        switch topic.place {
        case .result(let principal, _, _):
            guard principal == "alice" else { break }
            taken.isCounted = true
            taken.cost = (try? TaskResult(decoding: message.payload))?.cost ?? 0
        case .event, .log, .dead: break
        default: return
        }
        ledger.note(message.topic, taken)
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

    private func dieSoon() {
        world.after(world.random.uniform(0...10)) { [weak self] in
            guard let self, !self.isHealing, self.monitor.core != nil else { return }
            self.history.saw("killed at connect")
            self.monitor.kill()
            self.restart()
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
        let found = ledger.read(store.records(at: now), now: now.wall)
        ledger.check(found, start: monitor.clock.now(firstReady ?? 0).wall.milliseconds)
        ledger.compare(answers, found)
        let summary = Topic(Names.defaultWorkspace, .summary(by: "workspace", name: Names.defaultWorkspace)).name
        ledger.checkSummary(world.broker.retained.first { $0.topic == summary }?.payload, found)
    }
}
