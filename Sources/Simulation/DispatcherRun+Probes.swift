import Contract
import Determinism
import DispatcherCore
import Machine
import Wire

/// What must happen in time once all is well: circuits close again under traffic (I31), work of a dead or frozen
/// executor goes on elsewhere (I29), zombies end and outcomes are settled (I30).
extension DispatcherRun {
    func probe(limit: Int) {
        probeCircuits(limit: limit)
        probeLoss(freezes: false, limit: limit)
        probeLoss(freezes: true, limit: limit)
        events += world.run(until: world.time + 40_000, limit: max(0, limit - events))
    }

    private func wait(_ ms: Int, limit: Int, until isDone: () -> Bool = { false }) {
        let end = world.time + ms
        while events < limit, world.time < end, !isDone() {
            events += world.run(until: min(end, world.time + 500), limit: limit - events)
        }
    }

    private func send(_ intent: Intent, _ capability: String) -> History.Key {
        let id = "probe\(nextTask)"
        nextTask += 1
        publishers[0].send(intent, capability: capability, id: id)
        return History.Key(workspace: workspace, principal: publishers[0].name, id: id)
    }

    // MARK: - I31

    /// Circuits that are retained and not closed.
    private var openCircuits: [(capability: String, executor: String?)] {
        world.broker.retained.compactMap { message in
            guard let topic = Topic(message.topic), case .circuit(let capability, let executor) = topic.place,
                let view = try? CircuitView(decoding: message.payload), view.state != .closed
            else { return nil }
            return (capability, executor)
        }
    }

    /// Whether the view of a capability names an executor that is kept from its work.
    private func isAnyQuarantined(_ capability: String) -> Bool {
        world.broker.retained.contains { message in
            guard let topic = Topic(message.topic), case .capability(capability) = topic.place,
                let view = try? CapabilityView(decoding: message.payload)
            else { return false }
            return view.executors.contains { $0.code == "quarantined" }
        }
    }

    private func probeCircuits(limit: Int) {
        guard !openCircuits.isEmpty else { return }
        history.saw("circuit open after the faults")
        let end = world.time + 900_000
        while events < limit, world.time < end, !openCircuits.isEmpty {
            for circuit in openCircuits {
                var intent = Intent()
                intent.executor = circuit.executor
                intent.deadlineMs = 20_000
                _ = send(intent, circuit.capability)
            }
            wait(15_000, limit: limit)
        }
        guard events < limit else { return }
        explainOpenCircuits(limit: limit)
        for circuit in openCircuits.prefix(2) {
            let name = "\(circuit.capability)/\(circuit.executor ?? "*")"
            history.expectations.append(
                .init(rule: "I31", text: "the circuit \(name) is not closed after 15 min of traffic", isMet: false))
        }
    }

    /// Asks in a trace why the last probes wait.
    private func explainOpenCircuits(limit: Int) {
        let asked = openCircuits.prefix(2).map { circuit in
            var intent = Intent()
            intent.executor = circuit.executor
            return send(intent, circuit.capability)
        }
        for verb in ["approve", "explain"] {
            wait(2000, limit: limit)
            for key in asked {
                var command = DispatcherCommand()
                command.principal = key.principal
                op.send(command, .task, verb, key.id)
            }
        }
        wait(2000, limit: limit)
    }

    // MARK: - I29

    /// Executors that are pushed to, awake, and alone decide how long they take.
    private func awake(_ capability: String) -> [ScriptedExecutor] {
        executors.filter { executor in
            guard let card = cards[executor.name] else { return false }
            // Who beats less than three times in a lease loses it by itself.
            return card.wakeEveryMs == nil && (card.modes ?? [.push]).contains(.push)
                && card.capabilities.contains {
                    $0.name == capability && ($0.leaseMs ?? 0) >= 3 * (card.beatMs ?? Defaults.beatMs)
                }
        }
    }

    /// Whether another one has begun, or has it in its session and sleeps.
    private func isGivenAnew(_ key: History.Key, since moment: Int) -> Bool {
        if history.starts.contains(where: { $0.key == key && $0.time > moment }) { return true }
        return history.said.contains { said in
            guard said.time > moment, case .assign(let assignment, let executor, _) = said.saying else { return false }
            return history.key(of: assignment) == key && cards[executor]?.wakeEveryMs != nil
        }
    }

    /// A holder dies, or freezes: another one must have the work in time.
    private func probeLoss(freezes: Bool, limit: Int) {
        guard let capability = capabilities.first(where: { awake($0).count >= 2 }), openCircuits.isEmpty,
            setup.configuration.rates.isEmpty, setup.configuration.budgets.isEmpty, !setup.hasPolicy, events < limit,
            !cards.values.contains(where: { card in
                card.capabilities.contains { $0.name == capability && $0.delivery == .atMostOnce }
            })
        else { return }
        // Slots of what was fenced are used until the old lease is over; the others must be free.
        wait(60_000, limit: limit) { history.zombies.isEmpty && history.openNumbers.isEmpty }
        // Whose boot changed too often gets no work until one has stayed for a minute; the view says so a moment later.
        wait(1500, limit: limit)
        wait(70_000, limit: limit) { !isAnyQuarantined(capability) }
        for executor in executors { executor.temper.workMs = 50_000...50_000 }
        var intent = Intent()
        intent.retry = RetryRule(count: 3, delayMs: 1000)
        intent.mode = .push
        let key = send(intent, capability)
        wait(10_000, limit: limit) { history.starts.contains { $0.key == key } }
        for executor in executors { executor.temper.workMs = 1...500 }
        // A beat and an accept later the lease is a running one.
        wait(6000, limit: limit)
        guard let start = history.starts.last(where: { $0.key == key }), history.stopped[start.epoch] == nil else {
            return
        }
        let holder = start.executor
        guard let executor = executors.first(where: { $0.name == holder }),
            awake(capability).contains(where: { $0 === executor })
        else { return }
        let lease = cards[holder]?.capabilities.first { $0.name == capability }?.leaseMs ?? Defaults.leaseMs
        let allowed = (freezes ? lease : Defaults.willGraceMs) + 1000 + 2500
        let moment = world.time
        if freezes { executor.freeze() } else { executor.kill() }
        wait(allowed, limit: limit) { isGivenAnew(key, since: moment) }
        guard events < limit else { return }
        history.saw(freezes ? "probe of a freeze" : "probe of a kill")
        let isMet = isGivenAnew(key, since: moment)
        let what = freezes ? "froze" : "died"
        history.expectations.append(
            .init(
                rule: "I29", text: "\(key.id) was not given anew within \(allowed) ms after \(holder) \(what)",
                isMet: isMet))
        if freezes { executor.thaw() } else { executor.start() }
        wait(60_000, limit: limit) { publishers[0].open.isEmpty }
    }
}
