import Contract
import Determinism
public import Machine
import Wire

/// One swarm of publishers and executors around a dispatcher: a safety phase with faults, then a healed one in which
/// everything accepted must end.
public final class DispatcherRun<S: Service> {
    /// The world it plays in.
    public let world: World
    /// What was seen.
    public let history: History
    /// The dispatcher.
    public let dispatcher: ServiceNode<S>
    /// The faults of this run.
    public let faults: Faults

    private let seed: UInt64
    private let workspace = Names.defaultWorkspace
    private var executors: [ScriptedExecutor] = []
    private var publishers: [ScriptedPublisher] = []
    private var capabilities: [String] = []
    private var isHealing = false
    private var events = 0
    private var plannedEnd = 0
    private var nextTask = 0

    /// A run of `seed`. `make` builds the dispatcher's core from a seed of its own; `mutant` plants a bug.
    public init(seed: UInt64, faults chosen: Faults? = nil, mutant: Mutant? = nil, make: @escaping (UInt64) -> S) {
        self.seed = seed
        world = World(seed: seed)
        history = History(world)
        faults = chosen ?? Faults(drawnFrom: &world.random)
        dispatcher = ServiceNode(world, name: "dispatcher", make: make)
        world.observe = { [history] in history.observe($0, $1) }
        dispatcher.violated = { [history] in history.violate("core", $0) }
        dispatcher.quitted = { [history] status, reason in
            history.violate("G-18", "the dispatcher left with \(status): \(reason)")
        }
        if faults.kinds.contains(.duplicates) { world.duplicateOneIn = world.random.uniform(5...50) }
        if faults.kinds.contains(.slowLinks) { world.delay = 0...world.random.uniform(20...400) }
        dispatcher.clock = SimulatedClock(
            offsetMs: world.random.uniform(-2000...2000), ratePermille: world.random.uniform(-9...9))
        mutant?.plant(in: dispatcher, world: world, history: history)
        build()
    }

    /// Plays both phases; at most `limit` events.
    public func run(limit: Int = 400_000) -> RunReport {
        dispatcher.start()
        for publisher in publishers { publisher.start() }
        for executor in executors {
            world.after(world.random.uniform(0...3000)) { executor.start() }
        }
        world.after(world.random.uniform(0...500)) { [weak self] in self?.load() }
        if !faults.kinds.isEmpty {
            world.after(world.random.uniform(500...faults.everyMs)) { [weak self] in self?.fault() }
        }
        world.after(20_000) { [weak self] in self?.saveBroker() }
        events += world.run(until: plannedEnd, limit: limit)
        heal()
        let settle = plannedEnd + 900_000
        while events < limit, world.time < settle, history.violations.isEmpty {
            let done = world.run(until: world.time + 5000, limit: limit - events)
            events += done
            if publishers.allSatisfy({ $0.open.isEmpty }) { break }
        }
        events += world.run(until: world.time + 15_000, limit: limit)
        finish(ranOut: events >= limit)
        return report()
    }

    private func finish(ranOut: Bool) {
        history.checkWork()
        guard !ranOut else {
            history.saw("event limit")
            return
        }
        for publisher in publishers {
            for id in publisher.open.prefix(3) {
                history.violate("I27", "\(publisher.name)/\(id) never ended though all is well")
            }
        }
        history.checkEnd(world.broker.retained)
    }

    private func report() -> RunReport {
        RunReport(
            seed: seed, violations: history.violations, sometimes: history.sometimes.map { ($0, $1) },
            trace: world.trace.value, events: events, intents: publishers.reduce(0) { $0 + $1.sent },
            faults: faults.sorted.map(\.rawValue))
    }

    // MARK: Cast

    private func build() {
        capabilities = (0..<world.random.uniform(1...5)).map { "c\($0)" }
        let atMostOnce = Set(capabilities.filter { _ in world.random.chance(1, of: 5) })
        for index in 0..<world.random.uniform(1...8) {
            let executor = ScriptedExecutor(
                world, history, name: "e\(index)", workspace: workspace, card: card(index, atMostOnce))
            executor.temper = temper()
            executors.append(executor)
        }
        for index in 0..<world.random.uniform(1...3) {
            publishers.append(ScriptedPublisher(world, history, name: "p\(index)", workspace: workspace))
        }
        plannedEnd = world.random.uniform(60_000...240_000)
    }

    private func card(_ index: Int, _ atMostOnce: Set<String>) -> Card {
        var offered = capabilities.filter { _ in world.random.chance(2, of: 3) }
        // Somebody offers everything, so that every task can end once all is well.
        if index == 0 || offered.isEmpty { offered = capabilities }
        let entries = offered.map { name in
            var entry = CapabilityEntry(name: name)
            entry.cost = CostRule(fixed: world.random.uniform(0...50), perUnit: world.random.uniform(0...10))
            entry.leaseMs = world.random.uniform(4...30) * 1000
            if atMostOnce.contains(name) { entry.delivery = .atMostOnce }
            return entry
        }
        var card = Card(boot: "b", rev: 0, capabilities: entries)
        card.slots = world.random.uniform(1...4)
        card.beatMs = world.random.uniform(1000...5000)
        let draw = world.random.uniform(0...3)
        card.modes = draw == 0 ? [.pull] : draw == 1 ? [.push, .pull] : [.push]
        card.labels = world.random.chance(1, of: 2) ? ["agent:fast"] : nil
        return card
    }

    private func temper() -> Temper {
        var temper = Temper()
        temper.workMs = 1...world.random.uniform(50...8000)
        guard faults.kinds.contains(.badExecutors) else { return temper }
        temper.transientPercent = world.random.uniform(0...60)
        temper.permanentPercent = world.random.uniform(0...10)
        temper.refusePercent = world.random.uniform(0...30)
        temper.releasePercent = world.random.uniform(0...20)
        temper.silentPercent = world.random.uniform(0...20)
        temper.repeatPercent = world.random.uniform(0...50)
        temper.disobeys = world.random.chance(1, of: 4)
        return temper
    }

    // MARK: Load

    private func load() {
        guard !isHealing else { return }
        let publisher = publishers[world.random.uniform(0...publishers.count - 1)]
        let draw = world.random.uniform(1...100)
        if draw <= 80 || nextTask == 0 {
            submit(publisher)
        } else if draw <= 88 {
            publisher.repeatRequest("t\(world.random.uniform(0...nextTask - 1))")
        } else if draw <= 95 {
            let id = "t\(world.random.uniform(max(0, nextTask - 10)...nextTask - 1))"
            if publisher.open.contains(id) { publisher.cancel(id) }
        } else if faults.kinds.contains(.garbage) {
            garbage(publisher)
        }
        world.after(world.random.uniform(0...2500)) { [weak self] in self?.load() }
    }

    private func submit(_ publisher: ScriptedPublisher) {
        var intent = Intent()
        intent.input = RawJSON { $0.object { $0.field("n", nextTask) } }
        if world.random.chance(1, of: 2) {
            intent.priority = Priority.allCases[world.random.uniform(0...3)]
        }
        if world.random.chance(1, of: 4) { intent.timeoutMs = world.random.uniform(500...20_000) }
        if world.random.chance(1, of: 5) { intent.deadlineMs = world.random.uniform(20_000...120_000) }
        if world.random.chance(1, of: 6) { intent.delayMs = world.random.uniform(1...10_000) }
        if world.random.chance(1, of: 4) {
            intent.retry = RetryRule(count: world.random.uniform(0...5), delayMs: world.random.uniform(0...3000))
        }
        if world.random.chance(1, of: 6) { intent.delivery = .atMostOnce }
        if world.random.chance(1, of: 8) { intent.concurrencyKey = "k\(world.random.uniform(0...1))" }
        if world.random.chance(1, of: 8) {
            intent.dedupKey = "d\(world.random.uniform(0...3))"
            intent.dedup = DedupMode.allCases[world.random.uniform(0...2)]
            intent.onDuplicate = OnDuplicate.allCases[world.random.uniform(0...3)]
            if intent.dedup == .window { intent.dedupWindowMs = 5000 }
        }
        if world.random.chance(1, of: 4) { intent.updates = .all }
        if world.random.chance(1, of: 10) { intent.requires = ["agent:fast", "urgent"] }
        if intent.requires != nil { intent.deadlineMs = 60_000 }
        let capability = capabilities[world.random.uniform(0...capabilities.count - 1)]
        publisher.send(intent, capability: capability, id: "t\(nextTask)")
        nextTask += 1
    }

    private func garbage(_ publisher: ScriptedPublisher) {
        let payloads: [[UInt8]] = [
            Array("{".utf8), Array("{\"timeout_ms\":-1}".utf8), [0xFF, 0xFE], Array("[[[[".utf8),
            Array("{\"a\":1,\"a\":2}".utf8), [UInt8](repeating: 0x20, count: Limits.payload + 1),
        ]
        history.saw("garbage")
        publisher.send(
            raw: payloads[world.random.uniform(0...payloads.count - 1)], capability: capabilities[0],
            id: "g\(world.random.uniform(0...1_000_000))", retain: world.random.chance(1, of: 4))
    }

    // MARK: Faults

    private func saveBroker() {
        world.saveBroker()
        world.after(20_000) { [weak self] in self?.saveBroker() }
    }

    private func fault() {
        guard !isHealing else { return }
        let kinds = faults.sorted
        strike(kinds[world.random.uniform(0...kinds.count - 1)])
        world.after(world.random.uniform(1...2 * faults.everyMs)) { [weak self] in self?.fault() }
    }

    private func strike(_ kind: Faults.Kind) {
        switch kind {
        case .dispatcherKill, .dispatcherCrash, .dispatcherFreeze: strikeDispatcher(kind)
        case .executorKill, .executorFreeze: strikeExecutor(kind)
        case .cut: cut()
        case .brokerRestart: restartBroker(.clean)
        case .brokerOldState: restartBroker(.oldState)
        case .brokerEmpty: restartBroker(.empty)
        case .clockSteps:
            history.saw("clock step")
            dispatcher.step(clockBy: world.random.uniform(-7_200_000...7_200_000))
        case .duplicates, .slowLinks, .badExecutors, .garbage: break
        }
    }

    private func restartBroker(_ kind: FakeBroker.Restart) {
        history.saw("broker restart \(kind)")
        world.restartBroker(kind, downMs: world.random.uniform(10...8000))
    }

    private func strikeDispatcher(_ kind: Faults.Kind) {
        switch kind {
        case .dispatcherKill:
            history.saw("dispatcher killed")
            dispatcher.kill(noticeMs: world.random.uniform(0...2000))
            restartDispatcher()
        case .dispatcherCrash:
            let points = ServiceNode<S>.CrashPoint.allCases
            let point = points[world.random.uniform(0...points.count - 1)]
            history.saw("crash \(point)")
            dispatcher.crashNext = point
            restartDispatcher()
        default:
            history.saw("dispatcher frozen")
            dispatcher.freeze()
            world.after(world.random.uniform(500...60_000)) { [dispatcher] in dispatcher.thaw() }
        }
    }

    private func restartDispatcher() {
        world.after(world.random.uniform(50...10_000)) { [weak self] in
            guard let self else { return }
            if self.dispatcher.core != nil { return self.dispatcher.crashNext == nil ? () : self.restartDispatcher() }
            self.dispatcher.start()
        }
    }

    private func strikeExecutor(_ kind: Faults.Kind) {
        let executor = executors[world.random.uniform(0...executors.count - 1)]
        if kind == .executorKill {
            history.saw("executor killed")
            executor.kill(noticeMs: world.random.chance(1, of: 2) ? 0 : world.random.uniform(1...20_000))
            world.after(world.random.uniform(100...30_000)) { executor.start() }
        } else {
            history.saw("executor frozen")
            executor.freeze()
            world.after(world.random.uniform(1000...90_000)) { executor.thaw() }
        }
    }

    private func cut() {
        let connections = world.connections
        guard !connections.isEmpty else { return }
        history.saw("cut")
        world.drop(
            connections[world.random.uniform(0...connections.count - 1)], noticeMs: world.random.uniform(0...15_000))
    }

    private func heal() {
        isHealing = true
        world.note("all faults end")
        world.duplicateOneIn = 0
        world.delay = 0...3
        dispatcher.crashNext = nil
        dispatcher.thaw()
        dispatcher.start()
        for executor in executors { executor.heal() }
    }
}
