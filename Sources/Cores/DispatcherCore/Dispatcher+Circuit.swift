import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Which circuit.
struct CircuitKey: Hashable, Sendable, Comparable {
    /// Workspace and capability.
    let capability: ScopedName
    /// The executor of a pair; absent: the capability's own.
    let executor: String?
    /// Of both, computed once: keys are looked up many times for each decision.
    private let digest: Int

    /// A key.
    init(capability: ScopedName, executor: String?) {
        self.capability = capability
        self.executor = executor
        var hasher = Hasher()
        hasher.combine(capability)
        hasher.combine(executor)
        digest = hasher.finalize()
    }

    func hash(into hasher: inout Hasher) { hasher.combine(digest) }

    func _rawHashValue(seed: Int) -> Int { Number.spread(digest, seed) }

    static func == (a: CircuitKey, b: CircuitKey) -> Bool {
        a.digest == b.digest && a.executor == b.executor && a.capability == b.capability
    }

    static func < (a: CircuitKey, b: CircuitKey) -> Bool {
        (a.capability, a.executor ?? "") < (b.capability, b.executor ?? "")
    }
}

/// Circuits (`topics/tasks.md`, circuits): asked at each grant, told of each end.
extension Dispatcher {
    /// The circuit of a pair.
    func circuitKey(_ pair: Pair) -> CircuitKey {
        if let known = registrations[pair]?.circuit { return known }
        return CircuitKey(capability: capabilities[pair.capability].name, executor: executors[pair.executor].name.name)
    }

    /// The circuit of a capability.
    func capabilityCircuitKey(_ capability: Int) -> CircuitKey { capabilities[capability].circuit }

    /// Notes a grant; returns the generation that the lease keeps: 1 for a circuit nothing is known of.
    mutating func noteGrant(_ key: CircuitKey, _ epoch: Int) -> Int {
        let granted = circuits.change(key) { ($0.grant(epoch: epoch), $0.deadline) }
        guard let (generation, deadline) = granted else { return 1 }
        if deadline != nil || !circuitNumbers.isEmpty { setCircuitTimer(key) }
        return generation
    }

    /// Thresholds of a capability by configuration.
    private func trips(_ capability: String) -> CircuitTrips {
        var trips = CircuitTrips()
        for rule in configuration.circuits where DispatcherConfiguration.matches(capability, rule.capability) {
            trips.consecutive = rule.failures ?? trips.consecutive
            trips.sample = rule.sample ?? trips.sample
            break
        }
        return trips
    }

    /// Tells both circuits how an attempt ended.
    mutating func judgeCircuits(
        _ number: Int, _ lease: Lease, pair: CircuitVerdict, capability: CircuitVerdict, _ code: Code?
    ) {
        guard let task = tasks[number] else { return }
        (quietSuccess, quietTask) = ([], number)
        let index = task.capability
        let own = circuitKey(Pair(lease.executor, index))
        tell(own, pair, CircuitGrant(generation: lease.pairGeneration, epoch: lease.epoch, executor: lease.name), code)
        tell(
            capabilityCircuitKey(index), capability,
            CircuitGrant(generation: lease.capabilityGeneration, epoch: lease.epoch, executor: lease.name), code)
    }

    /// A lease that ends without a verdict, by a cancel, a deadline or a steal, must not keep the place of a probe.
    mutating func freeProbes(_ number: Int, _ lease: Lease) {
        guard let task = tasks[number] else { return }
        let index = task.capability
        for (key, generation) in [
            (circuitKey(Pair(lease.executor, index)), lease.pairGeneration),
            (capabilityCircuitKey(index), lease.capabilityGeneration),
        ] where circuits[key]?.probe == lease.epoch {
            tell(key, .neutral, CircuitGrant(generation: generation, epoch: lease.epoch, executor: lease.name), nil)
        }
    }

    private mutating func tell(_ key: CircuitKey, _ verdict: CircuitVerdict, _ grant: CircuitGrant, _ code: Code?) {
        if circuits[key] == nil {
            // A circuit that only ever saw nothing worth counting is not kept.
            if verdict == .neutral { return }
            if circuits.count >= Limits.circuits { forgetCircuit(sparing: key.capability) }
            circuits[key] = Circuit(at: now.monotonic)
        }
        let trips = trips(key.capability.name)
        let rule = CircuitRule(key.executor == nil ? trips.acrossExecutors : trips, using: &generator)
        let time = now.monotonic
        let told = circuits.change(key) {
            let isPresent = $0.generation == grant.generation
            let change = $0.record(verdict, of: grant, why: code, at: time, rule: rule)
            return (change, isPresent && $0.state == .closed)
        }
        guard let (change, isCounted) = told else { return }
        // The end of the task, which follows, tells the journal of a success that changes nothing else.
        let isQuiet = change == nil && verdict == .success && code == nil && isCounted
        if isQuiet { quietSuccess.insert(key.executor == nil ? .capabilitySuccess : .pairSuccess) }
        if isQuiet, circuitNumbers.isEmpty, circuits[key]?.deadline == nil { return }
        afterChange(key, change, isQuiet: isQuiet)
    }

    /// Makes room: a circuit that never left `closed` goes first.
    private mutating func forgetCircuit(sparing capability: ScopedName) {
        let others = circuits.keys.filter { $0.capability != capability }
        guard let key = others.filter({ circuits[$0]?.hasView == false }).min() ?? others.min() else { return }
        let marks = quietSuccess
        removeCircuit(key)
        quietSuccess = marks
    }

    /// Journals, tells and wakes what a change of a circuit concerns.
    mutating func afterChange(_ key: CircuitKey, _ change: CircuitChange?, isQuiet: Bool = false) {
        setCircuitTimer(key)
        if let name = change?.event {
            let why = circuits[key]?.why
            event(name, in: key.capability.workspace, subject: key.capability.name) {
                $0.field("executor", key.executor)
                $0.field("why", why)
            }
        }
        if change != nil, circuits[key]?.hasView == true { publishCircuit(key) }
        if !isQuiet, let circuit = circuits[key] {
            journal(.circuit(key.capability, executor: key.executor, circuit.record(at: now)))
        }
        guard let index = capabilityIndex[key.capability], let change else { return }
        touch(capability: index)
        guard change.wakes else { return }
        wake(capability: index, for: key.executor.flatMap { executorIndex[ScopedName(key.capability.workspace, $0)] })
    }

    /// Publishes the view of a circuit, a changed one or the same again.
    mutating func publishCircuit(_ key: CircuitKey, again: Bool = false) {
        guard var circuit = circuits[key] else { return }
        let view = again ? circuit.view(at: now) : circuit.nextView(at: now)
        circuits[key] = circuit
        let place = Topic.Place.circuit(capability: key.capability.name, executor: key.executor)
        publishView(Topic(key.capability.workspace, place).name, view.encoded)
    }

    /// Forgets a circuit, and clears its view.
    mutating func removeCircuit(_ key: CircuitKey) {
        guard let circuit = circuits.removeValue(forKey: key) else { return }
        quietSuccess.remove(key.executor == nil ? .capabilitySuccess : .pairSuccess)
        setCircuitTimer(key)
        journal(.circuit(key.capability, executor: key.executor, nil))
        if circuit.state != .closed, let index = capabilityIndex[key.capability] { wake(capability: index) }
        guard circuit.hasView else { return }
        let place = Topic.Place.circuit(capability: key.capability.name, executor: key.executor)
        clearView(Topic(key.capability.workspace, place).name)
    }

    /// Opens the circuit of a pair whose quota is used up.
    mutating func openForQuota(_ pair: Pair, _ ms: Int?) {
        let key = circuitKey(pair)
        if circuits[key] == nil { circuits[key] = Circuit(at: now.monotonic) }
        let change = circuits[key]?.open(for: ms ?? Defaults.quotaMs, why: "quota", at: now.monotonic)
        if let change { afterChange(key, change) }
    }

    /// The timer of a circuit: its deadline.
    mutating func setCircuitTimer(_ key: CircuitKey) {
        guard let deadline = circuits[key]?.deadline else {
            if let number = circuitNumbers.removeValue(forKey: key) {
                circuitTimers[number] = nil
                timers.remove(TimerKey(.circuit, number))
            }
            return
        }
        let number: Int
        if let known = circuitNumbers[key] {
            number = known
        } else {
            lastCircuit += 1
            number = lastCircuit
            circuitNumbers[key] = number
            circuitTimers[number] = key
        }
        timers.set(TimerKey(.circuit, number), deadline)
    }

    /// What is due for a circuit.
    mutating func circuitDue(_ number: Int) {
        guard let key = circuitTimers[number] else { return }
        let change = circuits[key]?.poll(at: now.monotonic)
        afterChange(key, change)
    }
}

extension CircuitRecord {
    /// Adds a success to the window, as a circuit does.
    mutating func addSuccess(of executor: String, at time: WallTime) {
        window.removeAll { time - $0.at >= Circuit.windowMs }
        window.append(Mark(at: time, executor: executor, failed: false))
        if window.count > Circuit.windowSize { window.removeFirst() }
        if time - since >= Circuit.calmMs { trips = 0 }
    }
}
