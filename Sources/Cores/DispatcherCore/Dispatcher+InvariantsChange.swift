import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// What must hold between two states, the earlier and the later one of an input.
extension Dispatcher {
    /// Returns a sentence for each invariant that the step from `previous` to this state breaks: terminal states and
    /// epochs (I2, I3), what was given out (I8, I9, I23, I26), circuits (I14), costs of what has ended (I21).
    public func checkInvariants(since previous: Dispatcher) -> [String] {
        var faults: [String] = []
        if term < previous.term || lastEpoch < previous.lastEpoch || lastNumber < previous.lastNumber {
            faults.append("I2: a counter fell")
        }
        for number in previous.tasks.keys.sorted() {
            guard let old = previous.tasks[number] else { continue }
            checkStep(from: old, &faults)
        }
        for number in ended.keys.sorted() { checkEnd(number, previous, &faults) }
        for number in leases.keys.sorted() {
            guard let lease = leases[number], lease.epoch != previous.leases[number]?.epoch else { continue }
            checkGrant(number, lease, previous, &faults)
        }
        for key in circuits.keys.sorted() {
            guard let old = previous.circuits[key], let new = circuits[key] else { continue }
            checkChange(key.capability.name, old, new, &faults)
        }
        return faults
    }

    private func checkStep(from old: TaskRecord, _ faults: inout [String]) {
        let name = "task \(old.number)"
        if let new = tasks[old.number] {
            if new.epoch < old.epoch { faults.append("I2: \(name): its epoch fell") }
            if new.rev < old.rev || (new.rev == old.rev && new.state != old.state) {
                faults.append("I3: \(name): its rev did not rise")
            }
        } else if let record = ended[old.number] {
            if record.epoch < old.epoch { faults.append("I2: \(name): its epoch fell") }
            if record.rev <= old.rev { faults.append("I3: \(name): its rev did not rise") }
        }
    }

    private func checkEnd(_ number: Int, _ previous: Dispatcher, _ faults: inout [String]) {
        guard let record = ended[number] else { return }
        if let old = previous.ended[number] {
            let isSame = record.status == old.status && record.rev == old.rev && record.code == old.code
            if !isSame || (record.result != nil && record.result != old.result) {
                faults.append("I3: the end of task \(number) changed")
            }
            return
        }
        guard record.attachedTo == nil, !record.spec.isPlan, let raw = record.result, let result = try? TaskResult(raw),
            result.attempts.count < Limits.attemptRecords
        else { return }
        let costs = result.attempts.reduce(0) { $0 + ($1.cost ?? 0) }
        if costs != (result.cost ?? 0) + (result.wastedCost ?? 0) {
            faults.append("I21: the attempts of task \(number) cost \(costs)")
        }
    }

    private func checkGrant(_ number: Int, _ lease: Lease, _ previous: Dispatcher, _ faults: inout [String]) {
        guard let task = tasks[number] else { return }
        let name = "task \(number)"
        if lease.epoch <= previous.lastEpoch { faults.append("I2: \(name): its epoch is no new one") }
        if now.monotonic > task.deadline { faults.append("I8: \(name) was given out after its deadline") }
        if Int(task.tries) > task.spec.retryCount { faults.append("I8: \(name) had no try left") }
        let pair = Pair(lease.executor, task.capability)
        if let registration = registrations[pair], obstacle(lease.executor, registration) != nil {
            faults.append("I23: \(name) was given to \(lease.name), which is quarantined or shadowed")
        }
        let executor = executors[lease.executor]
        if executor.used > executor.slots { faults.append("I9: \(name): \(lease.name) has no slot") }
        let urgent = executor.tasks.reduce(0) { sum, other in
            let isUrgent = tasks[other]?.spec.priority == .critical && previous.leases[other] != leases[other]
            return sum + (isUrgent ? leases[other]?.slotCost ?? 0 : 0)
        }
        if task.spec.priority != .critical, !lease.isForced, !executor.isCardless,
            executor.used - urgent > executor.slots - executor.reserve
        {
            faults.append("I9: \(name) took a slot of the reserve of \(lease.name)")
        }
        if let plan = boundedPlan(task.spec), let left = planLeft(plan), left < 0 {
            faults.append("I26: \(name) started though plan \(plan) cannot pay it")
        }
    }

    private func checkChange(_ name: String, _ old: Circuit, _ new: Circuit, _ faults: inout [String]) {
        let steps = new.generation - old.generation
        if steps < 0 || (steps == 0 && new.state != old.state) { faults.append("I14: \(name): its generation") }
        guard steps == 1, new.forcedBy == nil else { return }
        let isReset = new.state == .closed && new.trips == 0 && new.window.isEmpty
        switch (old.state, new.state) {
        case (.closed, .open), (.open, .halfOpen), (.halfOpen, _): break
        default: if !isReset { faults.append("I14: \(name) went from \(old.state) to \(new.state)") }
        }
    }
}
