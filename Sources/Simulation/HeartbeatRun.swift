import Contract
import Determinism
public import Machine
import TimeModel
import Wire

/// A heartbeat with checks, a scripted dispatcher that makes them fail now and then, and executors that beat, die, freeze
/// and come back: first with faults, then healed. No verdict may be false, every slot of every check must end exactly
/// once, and alerts must stand exactly while something is wrong.
public final class HeartbeatRun<S: Service> {
    /// The kinds of faults.
    public enum Fault: String, CaseIterable, Hashable, Sendable {
        /// Heartbeat dies at a random moment, or within a turn.
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
        /// An executor dies, freezes, leaves, or its connection is cut.
        case executorKill = "executor-kill"
        case executorFreeze = "executor-freeze"
        case executorLeaves = "executor-leaves"
        case executorCut = "executor-cut"
    }

    /// The world it plays in.
    public let world: World
    private let seed: UInt64
    private let history: History
    private let heartbeat: ServiceNode<S>
    private let dispatcher: ScriptedDispatcher
    private let beaters: [ScriptedBeater]
    private let pulses: PulseLedger
    private let slots: SlotLedger
    private let checks: CheckLedger
    private let faults: Set<Fault>
    private let everyMs: Int
    private let end: Int
    private var operatorClient: SimulatedClient?
    private var puts = SortedDictionary<String, (topic: String, payload: [UInt8], answered: Bool)>()
    private var isHealing = false
    private var events = 0

    /// A run of `seed`; `make` builds heartbeat's core from a seed of its own. With `pausedForMs` only the heartbeat's
    /// process stops now and then, for so long a time, and nobody ever fails.
    public init(
        seed: UInt64, mutant: HeartbeatMutant? = nil, pausedForMs: Int? = nil, make: @escaping (UInt64) -> S
    ) {
        self.seed = seed
        world = World(seed: seed)
        history = History(world)
        var drawn: Set<Fault> = []
        for fault in Fault.allCases where world.random.chance(1, of: 2) { drawn.insert(fault) }
        faults = pausedForMs == nil ? drawn : [.freeze]
        everyMs = world.random.uniform(2000...20_000)
        end = pausedForMs ?? world.random.uniform(120_000...600_000)
        heartbeat = ServiceNode(world, name: "heartbeat", make: make)
        dispatcher = ScriptedDispatcher(world, history)
        slots = SlotLedger(history)
        checks = CheckLedger(history)
        var beaters: [ScriptedBeater] = []
        for index in 0..<world.random.uniform(2...8) {
            let beatMs = world.random.uniform(1...10) * 1000
            beaters.append(ScriptedBeater(world, name: "e\(index)", beatMs: beatMs))
        }
        self.beaters = beaters
        pulses = PulseLedger(world, history, beaters)
        pulses.forbidsAll = pausedForMs != nil
        heartbeat.clock = SimulatedClock(ratePermille: world.random.uniform(-9...9))
        heartbeat.violated = { [history] in history.violate("core", $0) }
        heartbeat.quitted = { [history] in history.violate("G-18", "heartbeat left with \($0): \($1)") }
        mutant?.plant(in: heartbeat, world: world)
        dispatcher.output = { [world] _ in HeartbeatRun.output(world) }
        world.observe = { [weak self] in self?.observe($0, $1) }
        if faults.contains(.duplicates) { world.duplicateOneIn = world.random.uniform(5...30) }
    }

    private static func output(_ world: World) -> RawJSON? {
        let words = ["ok", "ok", "ok", "warning", "error", nil]
        guard let word = words[world.random.uniform(0...words.count - 1)] else { return nil }
        return RawJSON { $0.object { $0.field("status", word) } }
    }

    /// Plays both phases.
    public func run() -> RunReport {
        dispatcher.start()
        heartbeat.start()
        for beater in beaters { beater.start() }
        startOperator()
        world.after(2000) { [weak self] in self?.putAll() }
        if !faults.isEmpty { world.after(everyMs) { [weak self] in self?.fault() } }
        events += world.run(until: end)
        heal()
        // The worst lag of the last minute widens the limits of silence: by then it is forgotten.
        events += world.run(until: end + 90_000)
        for beater in beaters where !pulses.forbidsAll { decideFate(beater) }
        events += world.run(until: end + 130_000)
        check()
        return RunReport(
            seed: seed, violations: history.violations, sometimes: history.sometimes.map { ($0, $1) },
            trace: world.trace.value, events: events, intents: dispatcher.executions.count,
            faults: Fault.allCases.filter { faults.contains($0) }.map(\.rawValue))
    }

    private func heal() {
        isHealing = true
        world.note("all faults end")
        world.duplicateOneIn = 0
        dispatcher.busyPercent = 0
        heartbeat.crashNext = nil
        heartbeat.thaw()
        heartbeat.start()
        for beater in beaters { beater.revive() }
    }

    private func decideFate(_ beater: ScriptedBeater) {
        switch world.random.uniform(0...3) {
        case 0: beater.kill(noticeMs: 0)
        case 1: beater.freeze()
        case 2: beater.leave()
        default: break
        }
    }

    // MARK: Checks

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
        for index in 0..<world.random.uniform(1...6) {
            let name = "k\(index)"
            let everyMs = world.random.uniform(1...30) * 1000
            let start = World.epoch / 1000 * 1000 + world.random.uniform(0...1) * 5000
            let rules = CheckLedger.Rules(
                failAfter: world.random.uniform(1...3), recoverAfter: world.random.uniform(1...3))
            let topic = Topic("main", .command(principal: "op", noun: "check", verb: "put", id: name)).name
            puts[name] = (topic, document(everyMs, start, rules), false)
            slots.add(name, startMs: start, everyMs: everyMs)
            checks.add(name, rules)
            put(name)
        }
    }

    private func document(_ everyMs: Int, _ start: Int, _ rules: CheckLedger.Rules) -> [UInt8] {
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
                    $0.field("misfire_grace_ms", world.random.uniform(1...20) * 1000)
                    $0.field("max_concurrent_runs", world.random.uniform(1...2))
                }
                $0.field("fail_after", rules.failAfter)
                $0.field("recover_after", rules.recoverAfter)
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
        puts[id]?.answered = reply.ok || (reply.code != .busy && reply.code != .shuttingDown)
        if !reply.ok, reply.code != .busy, reply.code != .shuttingDown {
            history.violate("put", "\(id) was refused: \(reply.code?.rawValue ?? "") \(reply.message ?? "")")
        }
    }

    private func observe(_ username: String, _ message: InboundMessage) {
        pulses.observe(username, message)
        guard let topic = Topic(message.topic) else { return }
        switch (username, topic.place) {
        case ("dispatcher", .result): checks.result(message)
        case ("heartbeat", .event):
            do {
                let event = try Event(decoding: message.payload)
                history.saw("event \(event.event.rawValue)")
                slots.observe(event)
                checks.observe(event)
            } catch { history.violate("contract", "\(message.topic) does not decode: \(error)") }
        default: break
        }
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
            heartbeat.kill()
            restart()
        case .crash:
            let points = ServiceNode<S>.CrashPoint.allCases
            heartbeat.crashNext = points[world.random.uniform(0...points.count - 1)]
            restart()
        case .freeze:
            heartbeat.freeze()
            world.after(world.random.uniform(500...90_000)) { [heartbeat] in heartbeat.thaw() }
        case .cut: heartbeat.cut(noticeMs: world.random.uniform(0...5000))
        case .brokerRestart: world.restartBroker(.clean, downMs: world.random.uniform(10...30_000))
        case .brokerEmpty:
            world.restartBroker(.empty, downMs: world.random.uniform(10...30_000))
            pulses.isLossyUntil = world.time + 60_000
        case .dispatcherAway: dispatcher.leave(for: world.random.uniform(500...60_000))
        case .clockSteps:
            let before = heartbeat.clock.now(world.time).wall.milliseconds
            heartbeat.step(clockBy: world.random.uniform(-3_600_000...3_600_000))
            slots.step(from: before, to: heartbeat.clock.now(world.time).wall.milliseconds)
        case .duplicates: break
        case .executorKill, .executorFreeze, .executorLeaves, .executorCut: strikeExecutor(fault)
        }
    }

    private func strikeExecutor(_ fault: Fault) {
        let beater = beaters[world.random.uniform(0...beaters.count - 1)]
        switch fault {
        case .executorKill: beater.kill(noticeMs: world.random.uniform(0...20_000))
        case .executorFreeze: beater.freeze()
        case .executorLeaves: beater.leave()
        default: return beater.cut(noticeMs: world.random.uniform(0...5000))
        }
        world.after(world.random.uniform(100...60_000)) { beater.revive() }
    }

    private func restart() {
        world.after(world.random.uniform(50...40_000)) { [weak self] in
            guard let self else { return }
            if self.heartbeat.core == nil {
                self.heartbeat.start()
            } else if self.heartbeat.crashNext != nil {
                self.restart()
            }
        }
    }

    // MARK: The end

    private func check() {
        for (run, count) in dispatcher.executions.sorted(by: { $0.key < $1.key }) where count > 1 {
            history.violate("I16", "\(run) was executed \(count) times")
        }
        pulses.check(healedAt: end)
        var retained: [String: [UInt8]] = [:]
        for message in world.broker.retained { retained[message.topic] = message.payload }
        checkSlots(retained)
        checkStatuses(retained)
        for beater in beaters where retained[Topic("main", .liveness(executor: beater.name)).name] == nil {
            history.violate("G-15", "liveness/\(beater.name) is not retained")
        }
    }

    private func checkSlots(_ retained: [String: [UInt8]]) {
        var cursors: [String: Int] = [:]
        var created: [String: Int] = [:]
        for (name, put) in puts where put.answered {
            guard let view = retained[Topic("main", .check(name)).name].flatMap({ try? ScheduleView(decoding: $0) })
            else {
                history.violate("G-15", "check/\(name) is not retained")
                continue
            }
            // A result that the broker forgot is asked for again within ten minutes.
            guard view.state.live.isEmpty else {
                history.saw("live at the end")
                continue
            }
            // The slots of the last minute may still be open, or their runs have no result yet.
            cursors[name] = view.state.cursor.milliseconds - 61_000
            created[name] = view.state.createdAt.milliseconds
        }
        slots.check(cursors: cursors, created: created)
    }

    /// The status is what the results make it; the alert stands exactly while it is not `ok`.
    private func checkStatuses(_ retained: [String: [UInt8]]) {
        let statuses = checks.check()
        for (name, put) in puts where put.answered {
            guard let view = retained[Topic("main", .check(name)).name].flatMap({ try? ScheduleView(decoding: $0) })
            else { continue }
            if view.health?.status != statuses[name] {
                let shown = view.health?.status?.rawValue ?? "nothing"
                history.violate(
                    "check", "\(name) shows \(shown), its runs make \(statuses[name]?.rawValue ?? "nothing")")
            }
            let isAlerted = retained[Topic("main", .alert(key: "heartbeat.check.\(name)")).name] != nil
            let isBad = (statuses[name] ?? .ok) != .ok
            history.saw(isBad ? "alert stands at the end" : "no alert at the end")
            if isAlerted != isBad {
                history.violate(
                    "alert",
                    "\(name) is \(statuses[name]?.rawValue ?? "new"), its alert \(isAlerted ? "stands" : "is gone")")
            }
        }
    }
}
