import Contract
import Determinism
import TimeModel

/// What must hold after every input.
extension Dispatcher {
    /// Returns a sentence for each invariant that does not hold; empty when all hold.
    public func checkInvariants() -> [String] {
        var faults: [String] = []
        for number in tasks.keys.sorted() {
            guard let task = tasks[number] else { continue }
            checkTask(task, &faults)
        }
        for index in executors.indices { checkExecutor(index, &faults) }
        checkKeys(&faults)
        checkCircuits(&faults)
        for workspace in workspaces { faults += lanes[workspace]?.checkInvariants() ?? [] }
        for index in capabilities.indices where !changedConflicts.contains(index) { checkConflicts(index, &faults) }
        if let first = out.first { faults.append("an effect stayed behind: \(first)") }
        checkBounds(&faults)
        return faults
    }

    private func checkTask(_ task: TaskRecord, _ faults: inout [String]) {
        let name = "task \(task.number)"
        let lease = leases[task.number]
        if !task.spec.isPlan, task.state.isLeased != (lease != nil) { faults.append("I1: \(name): lease and state") }
        if task.spec.isPlan, lease != nil { faults.append("I1: plan \(task.number) has a lease") }
        if task.state.isTerminal { faults.append("I3: \(name) is terminal and live") }
        if let lease {
            if lease.epoch != task.epoch { faults.append("I2: \(name): the lease's epoch is not the newest") }
            if lease.epoch > lastEpoch { faults.append("I2: \(name): an epoch ahead of the counter") }
            if lease.leaseUntil == nil, lease.offerUntil == nil { faults.append("I27: \(name): a lease without end") }
        }
        if Int(task.tries) > task.spec.retryCount + 1 { faults.append("I8: \(name): too many tries") }
        if Int(task.lost) > Defaults.poisonLosses { faults.append("I8: \(name): too many losses") }
        let isInLane = lanes[task.spec.key.workspace]?.contains(task.number) ?? false
        let waits = waitingKey(task.spec).map { concurrency[$0]?.waiting.contains(task.number) ?? false } ?? false
        let index = capabilityIndex[ScopedName(task.spec.key.workspace, task.spec.capability)]
        let isAside = index.map { capabilities[$0].aside.contains(task.number) } ?? false
        let places = [isInLane, waits, isAside].count { $0 }
        if task.state == .queued, places != 1 { faults.append("I11: \(name) is queued in \(places) places") }
        if task.state != .queued, isInLane || waits { faults.append("I11: \(name) is queued in state \(task.state)") }
        if ids[task.spec.key] != task.number { faults.append("I16: \(name) is not found by its id") }
        if ended[task.number] != nil { faults.append("I3: \(name) is live and ended") }
        let isStopping = plans[task.number]?.ending != nil
        if !timers.contains(TimerKey(.task, task.number)), task.state != .canceling, !isStopping {
            faults.append("I27: \(name) has no timer")
        }
    }

    private func checkExecutor(_ index: Int, _ faults: inout [String]) {
        let executor = executors[index]
        let leased = executor.tasks.reduce(0) { $0 + (leases[$1]?.slotCost ?? 0) }
        let zombies = executor.zombies.reduce(0) { $0 + $1.slotCost }
        if leased + zombies != executor.used {
            faults.append("I9: \(executor.name.name): \(executor.used) slots counted, \(leased + zombies) in use")
        }
        for number in executor.tasks where leases[number]?.executor != index {
            faults.append("I9: \(executor.name.name) counts task \(number), which it does not hold")
        }
        for capability in executor.capabilities {
            let pair = Pair(index, capability)
            if registrations[pair]?.running != heldCount(pair) {
                faults.append("I9: \(executor.name.name): running of \(capabilities[capability].name.name)")
            }
        }
    }

    private func checkKeys(_ faults: inout [String]) {
        var holders: [ScopedName: Int] = [:]
        for number in leases.keys {
            guard let spec = tasks[number]?.spec, let key = waitingKey(spec) else { continue }
            holders[key, default: 0] += 1
        }
        for key in Set(holders.keys).union(concurrency.keys).sorted() {
            let counted = concurrency[key]?.holders ?? 0
            if counted != holders[key] ?? 0 { faults.append("I10: key \(key.name): \(counted) holders counted") }
            if counted > configuration.limit(ofKey: key.name) {
                faults.append("I10: key \(key.name): too many holders")
            }
        }
    }

    private func checkCircuits(_ faults: inout [String]) {
        var probes: [CircuitKey: Int] = [:]
        for number in leases.keys.sorted() {
            guard let lease = leases[number], let spec = tasks[number]?.spec, !lease.isForced,
                let index = capabilityIndex[ScopedName(spec.key.workspace, spec.capability)]
            else { continue }
            let pair = circuitKey(Pair(lease.executor, index))
            if circuits[pair]?.state == .halfOpen, circuits[pair]?.generation == lease.pairGeneration {
                probes[pair, default: 0] += 1
            }
        }
        for (key, count) in probes.sorted(by: { $0.key < $1.key }) where count > 1 {
            faults.append("I13: \(count) probes of \(key.capability.name)")
        }
        if circuits.count > Limits.circuits { faults.append("I15: too many circuits") }
    }

    private func checkConflicts(_ index: Int, _ faults: inout [String]) {
        let (list, quarantined, shadowed) = conflicts(index)
        let name = capabilities[index].name.name
        if list.map(\.conflictClass) != capabilities[index].conflicts.map(\.conflictClass) {
            faults.append("I22: conflicts of \(name)")
        }
        for executor in capabilities[index].executors {
            let registration = registrations[Pair(executor, index)]
            if registration?.isQuarantined != quarantined.contains(executor) { faults.append("I22: \(name)") }
            if registration?.isShadowed != shadowed.contains(executor) { faults.append("I22: \(name)") }
        }
    }

    private func checkBounds(_ faults: inout [String]) {
        if endedOrder.count > configuration.idMemory { faults.append("I15: too many ids are remembered") }
        if dead.count > Limits.deadLetters { faults.append("I15: too many dead letters") }
        for number in leases.keys.sorted() where tasks[number] == nil {
            faults.append("I1: a lease of the unknown task \(number)")
        }
        for first in attachments.keys.sorted() {
            let followers = attachments[first] ?? []
            if followers.count > Limits.attached { faults.append("I15: too many attached to \(first)") }
            if tasks[first] == nil { faults.append("I17: attached to a task that has ended") }
        }
    }
}
