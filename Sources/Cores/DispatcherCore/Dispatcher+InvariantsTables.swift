import Contract
import Determinism
import TimeModel
import Wire

/// What must hold of executors, circuits, conflicts and of what is counted.
extension Dispatcher {
    /// I9: slots in use are those of leases and of what was fenced.
    func checkExecutor(_ index: Int, _ faults: inout [String]) {
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

    /// I13, I14: probes, windows and open times.
    func checkCircuits(_ faults: inout [String]) {
        var probes: [CircuitKey: Int] = [:]
        for number in leases.keys.sorted() {
            guard let lease = leases[number], let task = tasks[number], !lease.isForced else { continue }
            let pair = circuitKey(Pair(lease.executor, task.capability))
            let own = capabilityCircuitKey(task.capability)
            for (key, generation) in [(pair, lease.pairGeneration), (own, lease.capabilityGeneration)]
            where circuits[key]?.state == .halfOpen && circuits[key]?.generation == generation {
                probes[key, default: 0] += 1
            }
        }
        for (key, count) in probes.sorted(by: { $0.key < $1.key }) where count > 1 {
            faults.append("I13: \(count) probes of \(key.capability.name)")
        }
        for key in circuits.keys.sorted() {
            if let circuit = circuits[key] { checkCircuit(circuit, key.capability.name, &faults) }
        }
    }

    private func checkCircuit(_ circuit: Circuit, _ name: String, _ faults: inout [String]) {
        if circuit.state != .closed, !circuit.window.isEmpty {
            faults.append("I13: \(name) is not closed and has a window")
        }
        if circuit.window.contains(where: { $0.at < circuit.since }) {
            faults.append("I13: the window of \(name) has outcomes of an earlier generation")
        }
        if let probe = circuit.probe, epochIndex[probe].map({ leases[$0]?.epoch != probe }) ?? true {
            faults.append("I13: the probe of \(name) is no lease")
        }
        guard circuit.state == .open, circuit.forcedBy == nil else { return }
        let base = min(Circuit.longestOpenMs, Circuit.openMs << min(max(0, circuit.trips - 1), 10))
        let isLong = circuit.until.map { $0 - circuit.since >= base * 8 / 10 } ?? false
        if !isLong, circuit.why != "quota" || circuit.until == nil {
            faults.append("I14: \(name) is open for too short a time")
        }
    }

    /// I22: conflicts are a function of the registrations.
    func checkConflicts(_ index: Int, _ faults: inout [String]) {
        let (list, quarantined, shadowed) = conflicts(index)
        let name = capabilities[index].name.name
        let isEqual = list.elementsEqual(capabilities[index].conflicts) {
            $0.conflictClass == $1.conflictClass && $0.executors == $1.executors && $0.resolution == $1.resolution
        }
        if !isEqual { faults.append("I22: conflicts of \(name)") }
        for executor in capabilities[index].executors {
            let registration = registrations[Pair(executor, index)]
            if registration?.isQuarantined != quarantined.contains(executor) {
                faults.append("I22: \(name): quarantine")
            }
            if registration?.isShadowed != shadowed.contains(executor) { faults.append("I22: \(name): shadow") }
        }
    }

    /// I15: nothing grows over its bound.
    func checkBounds(_ faults: inout [String]) {
        if dead.count > Limits.deadLetters { faults.append("I15: too many dead letters") }
        if circuits.count > Limits.circuits { faults.append("I15: too many circuits") }
        if executorIndex.count > Limits.executors { faults.append("I15: too many executors") }
        if capabilities.count > Limits.capabilities + 1 { faults.append("I15: too many capabilities") }
        for number in leases.keys.sorted() where tasks[number] == nil {
            faults.append("I1: a lease of the unknown task \(number)")
        }
        for first in attachments.keys.sorted() {
            let followers = attachments[first] ?? []
            if followers.count > Limits.attached { faults.append("I15: too many attached to \(first)") }
            if tasks[first] == nil { faults.append("I17: attached to a task that has ended") }
            for number in followers where attached[number]?.first != first {
                faults.append("I17: \(number) is attached to nothing")
            }
        }
    }

    /// I15, I16: what is counted along equals a count.
    func checkCounts(_ faults: inout [String]) {
        var owners: [ScopedName: Int] = [:]
        var (live, queued, running) = ([Int: Int](), [Int: Int](), [Int: Int]())
        var standing: [DedupKey: Int] = [:]
        var bytes = 0
        var uses: [String: WorkspaceUse] = [:]
        for task in tasks.values {
            owners[ScopedName(task.spec.key.workspace, task.spec.owner), default: 0] += 1
            live[task.capability, default: 0] += 1
            if task.state == .queued { queued[task.capability, default: 0] += 1 }
            if leases[task.number] != nil { running[task.capability, default: 0] += 1 }
            bytes += task.spec.size
            uses[task.spec.key.workspace, default: WorkspaceUse()].add(task.spec.size)
            guard let intent = task.spec.extras?.intent, let key = intent.dedupKey else { continue }
            if intent.dedup == .untilStart, hasStarted(task) { continue }
            standing[
                DedupKey(workspace: task.spec.key.workspace, capability: task.spec.capability, key: key),
                default: 0] += 1
        }
        for record in attached.values {
            owners[ScopedName(record.spec.key.workspace, record.spec.owner), default: 0] += 1
            bytes += record.spec.size
            uses[record.spec.key.workspace, default: WorkspaceUse()].add(record.spec.size)
        }
        let delayed = tasks.values.count { $0.state == .delayed }
        if delayed != delayedOrder.values.reduce(0, { $0 + $1.count }) {
            faults.append("I15: delayed tasks are miscounted")
        }
        if uses != workspaceUse { faults.append("I15: tasks of workspaces are miscounted") }
        if owners != ownerCounts { faults.append("I15: tasks of owners are miscounted") }
        if bytes != taskBytes { faults.append("I15: the size of tasks is miscounted") }
        for index in capabilities.indices {
            let record = capabilities[index]
            let isRight =
                record.live == live[index] ?? 0 && record.queued == queued[index] ?? 0
                && record.running == running[index] ?? 0
            if !isRight { faults.append("I15: tasks of \(record.name.name) are miscounted") }
        }
        for (key, count) in standing.sorted(by: { $0.key < $1.key }) where count > 1 {
            faults.append("I16: \(count) tasks stand for the key \(key.key)")
        }
        checkMemory(&faults)
    }

    private func checkMemory(_ faults: inout [String]) {
        var (size, deadSize, needed) = (0, 0, 0)
        for number in ended.keys.sorted() {
            guard let record = ended[number] else { continue }
            if ids[record.spec.key] != number { faults.append("I16: the ended task \(number) is not found by its id") }
            if let result = record.result { size += result.bytes.count + (record.spec.input?.bytes.count ?? 0) }
            if let plan = record.spec.step?.plan, tasks[plan] != nil { needed += 1 }
        }
        for number in attached.keys.sorted() {
            guard let attachment = attached[number], ids[attachment.spec.key] != number else { continue }
            faults.append("I16: the attached task \(number) is not found by its id")
        }
        for record in dead.values { deadSize += record.spec.size }
        if size != resultBytes { faults.append("I15: the size of results is miscounted") }
        if deadSize != deadBytes { faults.append("I15: the size of dead letters is miscounted") }
        if endedOrder.count - needed > configuration.idMemory { faults.append("I15: too many ids are remembered") }
        if resultsOrder.count > mostInResultsOrder { faults.append("I15: forgotten results are still queued") }
        if ids.count != tasks.count + ended.count + attached.count { faults.append("I16: ids without a task") }
    }
}
