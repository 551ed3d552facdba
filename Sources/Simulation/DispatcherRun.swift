import Contract
import Determinism
import DispatcherCore
import Machine
import TimeModel
import Wire

/// One swarm of publishers and executors around a dispatcher: a safety phase with faults, then a healed one in which
/// everything accepted must end, then probes of what must happen in time. All is recorded; the checkers judge it at
/// the end.
public final class DispatcherRun {
    /// The world it plays in.
    public let world: World
    /// What was seen.
    public let history: History
    /// The dispatcher.
    let dispatcher: ServiceNode<Dispatcher>
    /// The faults of this run.
    public let faults: Faults

    let workspace = Names.defaultWorkspace
    let mutant: Mutant?
    let setup: DispatcherSetup
    var executors: [ScriptedExecutor] = []
    var publishers: [ScriptedPublisher] = []
    var op: ScriptedPublisher
    var capabilities: [String] = []
    var isHealing = false
    var events = 0
    var plannedEnd = 0
    var nextTask = 0
    /// Tasks that may be dead letters: whose, and which.
    var failed: [(principal: String, id: String)] = []
    /// How often what the operator held was released.
    var releases = 0
    /// Tasks that the operator gave to one executor.
    var assigned: [(principal: String, id: String)] = []
    /// Cards by executor, for the probes of the last phase.
    var cards: [String: Card] = [:]
    private let seed: UInt64

    /// A run of `seed`; `mutant` plants a bug.
    public init(seed: UInt64, faults chosen: Faults? = nil, mutant: Mutant? = nil) {
        self.seed = seed
        self.mutant = mutant
        let faults: Faults
        var source = SeededGenerator(seed: seed ^ 0x5EED)
        faults = chosen ?? Faults(drawnFrom: &source)
        self.faults = faults
        capabilities = (0..<source.uniform(1...5)).map { "c\($0)" }
        let setup = DispatcherSetup(drawnFrom: &source, capabilities: capabilities)
        self.setup = setup
        var limits = FakeBroker.Limits()
        if faults.kinds.contains(.overflow) {
            limits.queued = source.uniform(20...200)
            limits.inflight = source.uniform(5...100)
        }
        world = World(seed: seed, broker: FakeBroker(limits: limits))
        history = History(world)
        history.setup = setup
        if let fault = setup.fault { history.violate("setup", fault) }
        op = ScriptedPublisher(world, history, name: "op", workspace: workspace)
        let configuration = setup.without(mutant)
        dispatcher = ServiceNode(world, name: "dispatcher") { Dispatcher(configuration: configuration, seed: $0) }
        connect()
        build()
    }

    private func connect() {
        let configuration = setup.without(mutant)
        world.observe = { [history] in history.observe($0, $1) }
        world.tookOver = { [history] in history.saw($0 == "dispatcher" ? "take-over of the dispatcher" : "take-over") }
        dispatcher.violated = { [history] in history.coreFault($0) }
        dispatcher.durable = { [history] in history.durable($0) }
        dispatcher.spoke = { [history] in history.spoke($0, $1) }
        dispatcher.dying = { [history, world, weak dispatcher] core, disk in
            guard let now = dispatcher?.clock.now(world.time) else { return }
            DispatcherRun.compare(core, disk, configuration, history, now)
        }
        dispatcher.quitted = { [history] status, reason in
            history.violate("G-18", "the dispatcher left with \(status): \(reason)")
        }
        if faults.kinds.contains(.duplicates) { world.duplicateOneIn = world.random.uniform(5...50) }
        if faults.kinds.contains(.slowLinks) { world.delay = 0...world.random.uniform(20...400) }
        dispatcher.clock = SimulatedClock(
            offsetMs: world.random.uniform(-2000...2000), ratePermille: world.random.uniform(-9...9))
        mutant?.plant(in: dispatcher, world: world, history: history)
    }

    /// I18: what the journal gives is the state that wrote it.
    private static func compare(
        _ core: Dispatcher, _ disk: FakeDisk, _ configuration: DispatcherConfiguration, _ history: History, _ now: Now
    ) {
        var replayed = Dispatcher(configuration: configuration, seed: 0)
        for record in disk.synced {
            do { try replayed.replay(record) } catch {
                return history.coreFault("I18: journal record refused: \(error.reason)")
            }
        }
        history.saw("replay compared")
        let live = core.kept(at: now, clockWasSet: history.clockWasSet)
        let again = replayed.kept(at: now, clockWasSet: history.clockWasSet)
        guard live != again else { return }
        let lost = live.first { !again.contains($0) } ?? Array("-".utf8)
        let new = again.first { !live.contains($0) } ?? Array("-".utf8)
        let texts = [lost, new].map { String(decoding: $0, as: UTF8.self) }
        history.coreFault("I18: the state has \(texts[0]), its replay \(texts[1])")
    }

    /// Plays all phases; at most `limit` events.
    public func run(limit: Int = 150_000) -> RunReport {
        dispatcher.start()
        for publisher in publishers + [op] { publisher.start() }
        for executor in executors {
            world.after(world.random.uniform(0...3000)) { executor.start() }
        }
        world.after(world.random.uniform(0...500)) { [weak self] in self?.load() }
        world.after(world.random.uniform(0...5000)) { [weak self] in self?.operate() }
        if !faults.kinds.isEmpty {
            world.after(world.random.uniform(500...faults.everyMs)) { [weak self] in self?.fault() }
        }
        world.after(20_000) { [weak self] in self?.saveBroker() }
        events += world.run(until: plannedEnd, limit: limit)
        heal()
        let settle = plannedEnd + 900_000
        while events < limit, world.time < settle {
            events += world.run(until: world.time + 2500, limit: limit - events)
            if isAnswered, releases == 2 { break }
            release()
        }
        if events < limit { probe(limit: limit) }
        finish(ranOut: events >= limit)
        return report()
    }

    /// Whether every request has its end and every command its reply; and whatever else was accepted, such as a request
    /// that was refused and then came again, or one that was redriven, has its end.
    var isAnswered: Bool {
        (publishers + [op]).allSatisfy { $0.open.isEmpty && $0.openCommands == 0 } && history.openNumbers.isEmpty
    }

    private func finish(ranOut: Bool) {
        if ranOut { history.saw("event limit") }
        history.isComplete = !ranOut
        if let core = dispatcher.core {
            DispatcherRun.compare(
                core, dispatcher.disk, setup.without(mutant), history, dispatcher.clock.now(world.time))
        }
        history.open = (publishers + [op]).flatMap { publisher in
            publisher.open.prefix(3).map { "\(publisher.name)/\($0)" }
        }
        history.unconfirmed = executors.flatMap(\.unsettled)
        history.parked = executors.flatMap(\.overdueClaims)
        history.retained = world.broker.retained
        if world.broker.lost > 0 { history.saw("overflow") }
        history.judge()
    }

    private func report() -> RunReport {
        RunReport(
            seed: seed, violations: history.violations, sometimes: history.sometimes.map { ($0, $1) },
            trace: world.trace.value, events: events, intents: publishers.reduce(0) { $0 + $1.sent },
            faults: faults.sorted.map(\.rawValue))
    }

    // MARK: - Cast

    private func build() {
        let atMostOnce = Set(capabilities.filter { _ in world.random.chance(1, of: 5) })
        for index in 0..<world.random.uniform(1...8) {
            let card = card(index, atMostOnce)
            let executor = ScriptedExecutor(world, history, name: "e\(index)", workspace: workspace, card: card)
            executor.temper = temper()
            cards[executor.name] = card
            executors.append(executor)
        }
        for index in 0..<world.random.uniform(1...3) {
            let publisher = ScriptedPublisher(world, history, name: "p\(index)", workspace: workspace)
            publisher.ended = { [weak self] id, result in
                guard result.status == .failed || result.status == .timeout else { return }
                self?.failed.append((publisher.name, id))
            }
            publishers.append(publisher)
        }
        op.approvalAsked = { [weak self] principal, id in self?.decide(principal, id) }
        plannedEnd = world.random.uniform(30_000...100_000)
    }

    private func card(_ index: Int, _ atMostOnce: Set<String>) -> Card {
        var offered = capabilities.filter { _ in world.random.chance(2, of: 3) }
        // Somebody offers everything, so that every task can end once all is well.
        if index == 0 || offered.isEmpty { offered = capabilities }
        let entries = offered.map { name in
            var entry = CapabilityEntry(name: name)
            entry.cost = CostRule(fixed: world.random.uniform(0...50), perUnit: world.random.uniform(0...10))
            entry.leaseMs = world.random.uniform(4...30) * 1000
            if world.random.chance(1, of: 6) { entry.maxConcurrent = 1 }
            if world.random.chance(1, of: 10) { entry.priority = .high }
            if atMostOnce.contains(name) { entry.delivery = .atMostOnce }
            return entry
        }
        var card = Card(boot: "b", rev: 0, capabilities: entries)
        card.slots = world.random.uniform(1...4)
        card.beatMs = world.random.uniform(1000...5000)
        let draw = world.random.uniform(0...3)
        card.modes = draw == 0 ? [.pull] : draw == 1 ? [.push, .pull] : [.push]
        card.labels = world.random.chance(1, of: 2) ? ["agent:fast"] : nil
        if index > 0, draw > 1, world.random.chance(1, of: 4) { card.wakeEveryMs = world.random.uniform(2...15) * 1000 }
        return card
    }

    private func temper() -> Temper {
        var temper = Temper()
        temper.workMs = 1...world.random.uniform(50...8000)
        temper.ratePermille = world.random.uniform(-9...9)
        temper.forgetsDeadline = mutant == .forgetsDeadline
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
}
