import Contract
import Determinism
public import Machine
import TimeModel
import Wire

/// A scheduler with interval schedules, a scripted dispatcher and executors that come and go: first with faults, then
/// healed. Every slot of every schedule must end exactly once, and no run may be executed twice.
public final class SchedulerRun<S: Service> {
    /// The kinds of faults.
    public enum Fault: String, CaseIterable, Hashable, Sendable {
        /// The scheduler dies at a random moment, or within a turn.
        case kill, crash
        /// It stops for a while.
        case freeze
        /// Its connection is cut.
        case cut
        /// The broker stops in good order, or comes back with nothing.
        case brokerRestart = "broker-restart"
        case brokerEmpty = "broker-empty"
        /// The dispatcher is away.
        case dispatcherAway = "dispatcher-away"
        /// The wall clock steps.
        case clockSteps = "clock-steps"
        /// Requests arrive twice.
        case duplicates
        /// Another process with the same journal begins while this one stands still.
        case takeOver = "take-over"
    }

    /// The world it plays in.
    public let world: World
    private let seed: UInt64
    private let history: History
    private var scheduler: ServiceNode<S>
    private let make: (UInt64) -> S
    private let mutant: SchedulerMutant?
    /// Processes that were taken over and have not noticed it yet.
    private var older: [ServiceNode<S>] = []
    private var heirs = 0
    /// The greatest term that was told to be up, and that of the process which was taken over last.
    private var newestTerm = 0
    private var olderTerm = 0
    private let dispatcher: ScriptedDispatcher
    private let ledger: SlotLedger
    private let faults: Set<Fault>
    private let everyMs: Int
    private var operatorClient: SimulatedClient?
    private var puts: [String: (topic: String, payload: [UInt8], answered: Bool)] = [:]
    private var isHealing = false
    private var events = 0
    private let end: Int

    /// A run of `seed`. `make` builds the scheduler's core from a seed of its own.
    public init(seed: UInt64, mutant: SchedulerMutant? = nil, make: @escaping (UInt64) -> S) {
        self.seed = seed
        self.make = make
        self.mutant = mutant
        world = World(seed: seed)
        history = History(world)
        var drawn: Set<Fault> = []
        for fault in Fault.allCases where world.random.chance(1, of: 2) { drawn.insert(fault) }
        faults = drawn
        everyMs = world.random.uniform(2000...20_000)
        end = world.random.uniform(120_000...600_000)
        scheduler = ServiceNode(world, name: "scheduler", make: make)
        dispatcher = ScriptedDispatcher(world, history)
        ledger = SlotLedger(history)
        scheduler.clock = SimulatedClock(ratePermille: world.random.uniform(-9...9))
        watch(scheduler)
        world.observe = { [weak self] in self?.observe($0, $1) }
        if faults.contains(.duplicates) { world.duplicateOneIn = world.random.uniform(5...30) }
    }

    /// Plays both phases.
    public func run() -> RunReport {
        dispatcher.start()
        scheduler.start()
        startOperator()
        world.after(2000) { [weak self] in self?.putAll() }
        if !faults.isEmpty { world.after(everyMs) { [weak self] in self?.fault() } }
        events += world.run(until: end)
        isHealing = true
        world.note("all faults end")
        world.duplicateOneIn = 0
        dispatcher.busyPercent = 0
        scheduler.crashNext = nil
        scheduler.thaw()
        scheduler.start()
        events += world.run(until: end + 120_000)
        if !older.isEmpty { history.violate("T2-24", "a scheduler with an older term is still there") }
        check()
        return RunReport(
            seed: seed, violations: history.violations, sometimes: history.sometimes.map { ($0, $1) },
            trace: world.trace.value, events: events, intents: dispatcher.executions.count,
            faults: Fault.allCases.filter { faults.contains($0) }.map(\.rawValue))
    }

    // MARK: Schedules

    private func startOperator() {
        operatorClient = SimulatedClient(
            world, name: "op", username: "op", keepsSession: true,
            handlers: SimulatedClient.Handlers(
                connected: { [weak self] in
                    self?.operatorClient?.subscribe([
                        Subscription(filter: "main/martlet1/reply/op/#", wantsRetained: false)
                    ])
                },
                disconnected: { [weak self] in
                    self?.world.after(500) { self?.operatorClient?.connect(will: nil) }
                },
                message: { [weak self] message, id in
                    if let id { self?.operatorClient?.acknowledge(id) }
                    self?.reply(message)
                },
                delivered: { _ in }))
        operatorClient?.connect(will: nil)
    }

    private func putAll() {
        for index in 0..<world.random.uniform(1...8) {
            let name = "s\(index)"
            let everyMs = world.random.uniform(1...30) * 1000
            let start = World.epoch / 1000 * 1000 + world.random.uniform(0...1) * 5000
            let policy = SlotLedger.Policy(
                graceMs: world.random.uniform(1...20) * 1000, defers: world.random.chance(1, of: 2))
            let topic = Topic("main", .command(principal: "op", noun: "schedule", verb: "put", id: name)).name
            puts[name] = (topic, document(everyMs, start, policy), false)
            ledger.add(name, startMs: start, everyMs: everyMs, policy: policy)
            put(name)
        }
    }

    private func document(_ everyMs: Int, _ start: Int, _ policy: SlotLedger.Policy) -> [UInt8] {
        RawJSON { writer in
            writer.object {
                $0.field("type", "interval")
                $0.field("spec") {
                    $0.field("every_ms", everyMs)
                    $0.field("start_at", WallTime(milliseconds: start))
                }
                $0.field("target") {
                    $0.field("workspace_id", "main")
                    $0.field("agent_id", "@any")
                }
                $0.field("work") { $0.field("capability", "c0") }
                $0.field("policy") {
                    $0.field("misfire", policy.defers ? "defer_once" : "skip")
                    $0.field("misfire_grace_ms", policy.graceMs)
                    $0.field("max_concurrent_runs", world.random.uniform(1...3))
                    if world.random.chance(1, of: 3) { $0.field("jitter_ms", world.random.uniform(1...5000)) }
                }
            }
        }.bytes
    }

    private func put(_ name: String) {
        guard let put = puts[name], !put.answered else { return }
        operatorClient?.publish(OutboundMessage(topic: put.topic, payload: put.payload))
        world.after(5000) { [weak self] in self?.put(name) }
    }

    private func reply(_ message: InboundMessage) {
        guard let topic = Topic(message.topic), case .reply(_, _, _, let id) = topic.place,
            let reply = try? Reply(decoding: message.payload)
        else { return }
        puts[id]?.answered = true
        if !reply.ok { history.saw("put refused \(reply.code?.rawValue ?? "-")") }
        if !reply.ok, reply.code != .busy, reply.code != .shuttingDown {
            history.violate("put", "\(id) was refused: \(reply.code?.rawValue ?? "") \(reply.message ?? "")")
        }
        if reply.code == .busy || reply.code == .shuttingDown { puts[id]?.answered = false }
    }

    private func observe(_ username: String, _ message: InboundMessage) {
        guard username == "scheduler", let topic = Topic(message.topic) else { return }
        do {
            switch topic.place {
            case .event:
                let event = try Event(decoding: message.payload)
                history.saw("event \(event.event.rawValue)")
                ledger.observe(event)
            case .intent(_, _, let id): ledger.observe(intent: id, try Intent(decoding: message.payload))
            case .schedule(let name): ledger.observe(view: name, message.payload)
            case .service: noteTerm(try ServiceRecord(decoding: message.payload))
            default: break
            }
        } catch { history.violate("contract", "\(message.topic) does not decode: \(error)") }
    }

    // MARK: Faults

    private func fault() {
        guard !isHealing else { return }
        let kinds = Fault.allCases.filter { faults.contains($0) }
        strike(kinds[world.random.uniform(0...kinds.count - 1)])
        world.after(world.random.uniform(1...2 * everyMs)) { [weak self] in self?.fault() }
    }

    private func strike(_ fault: Fault) {
        if hidesNewer(fault) { return }
        history.saw("fault \(fault.rawValue)")
        switch fault {
        case .kill:
            scheduler.kill()
            restart()
        case .crash:
            let points = ServiceNode<S>.CrashPoint.allCases
            scheduler.crashNext = points[world.random.uniform(0...points.count - 1)]
            restart()
        case .freeze:
            let node = scheduler
            node.freeze()
            world.after(world.random.uniform(500...90_000)) { [weak self] in
                if node === self?.scheduler { node.thaw() }
            }
        case .cut: scheduler.cut(noticeMs: world.random.uniform(0...5000))
        case .brokerRestart: world.restartBroker(.clean, downMs: world.random.uniform(10...30_000))
        case .brokerEmpty where !older.isEmpty:
            // Nobody could tell the older one of the newer one.
            break
        case .brokerEmpty: world.restartBroker(.empty, downMs: world.random.uniform(10...30_000))
        case .dispatcherAway: dispatcher.leave(for: world.random.uniform(500...60_000))
        case .clockSteps:
            let before = scheduler.clock.now(world.time).wall.milliseconds
            let farthest = world.random.chance(1, of: 4) ? 21_600_000 : 3_600_000
            scheduler.step(clockBy: world.random.uniform(-farthest...farthest))
            ledger.step(from: before, to: scheduler.clock.now(world.time).wall.milliseconds)
        case .duplicates: break
        case .takeOver: takeOver()
        }
    }

    /// Once the newer one has told of itself the older one may go on.
    private func noteTerm(_ record: ServiceRecord) {
        guard record.state == .up, record.term > newestTerm else { return }
        newestTerm = record.term
        for node in older {
            world.after(world.random.uniform(500...60_000)) { [weak self, weak node] in node.map { self?.goOn($0) } }
        }
    }

    /// An older one that meets no newer one that is up serves, as it must; what both decide then has two ends in two
    /// journals. So it goes on once the newer one is told to be up, and until it has left that one stays up.
    private func goOn(_ node: ServiceNode<S>) {
        let topic = Topic.system(.service(name: "scheduler", instance: "scheduler")).name
        let shown = world.broker.retained.first { $0.topic == topic }
        if let record = shown.flatMap({ try? ServiceRecord(decoding: $0.payload) }), record.state == .up,
            record.term > olderTerm, !scheduler.isFrozen
        {
            scheduler.crashNext = nil
            return node.thaw()
        }
        world.after(1000) { [weak self, weak node] in node.map { self?.goOn($0) } }
    }

    /// What would take the newer one's record from an older one that goes on, or keep the newer one from putting it right.
    private func hidesNewer(_ fault: Fault) -> Bool {
        [.kill, .crash, .freeze, .cut, .brokerRestart].contains(fault) && older.contains { !$0.isFrozen }
    }

    private func watch(_ node: ServiceNode<S>) {
        node.violated = { [history] in history.violate("core", $0) }
        node.quitted = { [weak self, weak node] status, reason in
            guard let self, let node else { return }
            // It yields with 78, and only to one of a greater term that is up.
            if status == 78, node !== self.scheduler, self.newestTerm > self.olderTerm {
                self.older.removeAll { $0 === node }
                return self.history.saw("left to a newer one")
            }
            self.history.violate("G-18", "the scheduler left with \(status): \(reason)")
        }
        mutant?.plant(in: node, world: world)
    }

    /// The process stands still; another one begins with what its journal holds, under a client id of its own. When the
    /// first one goes on, it has to leave: its term is the older one.
    private func takeOver() {
        guard older.isEmpty, let core = scheduler.core, !scheduler.isFrozen, heirs < 3 else { return }
        let old = scheduler
        olderTerm = core.will().flatMap { try? ServiceRecord(decoding: $0.payload) }?.term ?? 0
        old.crashNext = nil
        old.freeze()
        heirs += 1
        older.append(old)
        let heir = ServiceNode(world, name: "scheduler", clientID: "scheduler-\(heirs)", make: make)
        heir.inherit(old)
        watch(heir)
        scheduler = heir
        heir.start()
    }

    private func restart() {
        world.after(world.random.uniform(50...40_000)) { [weak self] in
            guard let self else { return }
            if self.scheduler.core == nil {
                self.scheduler.start()
            } else if self.scheduler.crashNext != nil {
                self.restart()
            }
        }
    }

    // MARK: Checks

    private func check() {
        for (run, count) in dispatcher.executions.sorted(by: { $0.key < $1.key }) where count > 1 {
            history.violate("I16", "\(run) was executed \(count) times")
        }
        var cursors: [String: Int] = [:]
        var created: [String: Int] = [:]
        for message in world.broker.retained {
            guard let topic = Topic(message.topic), case .schedule(let name) = topic.place,
                let raw = try? RawJSON(validating: message.payload)
            else { continue }
            let state = JSONValue(raw)["state"]
            func time(_ key: String) -> Int? {
                state?[key]?.stringValue.flatMap { WallTime(rfc3339: $0)?.milliseconds }
            }
            cursors[name] = openSlotFloor(state, time("cursor"))
            created[name] = time("created_at")
        }
        for name in puts.keys.sorted() where cursors[name] == nil && puts[name]?.answered == true {
            history.violate("G-15", "schedule/\(name) is not retained")
        }
        ledger.check(cursors: cursors, created: created)
    }

    /// The slots of the last minute may still be open; they are not asked for.
    private func openSlotFloor(_ state: JSONValue?, _ cursor: Int?) -> Int? { cursor.map { $0 - 61_000 } }
}
