import Contract
import Determinism
import Machine
import TimeModel

/// What must hold after every input (`README.md`, invariants). Each sentence begins with the id of its invariant.
///
/// All of a small state is looked at; of a large one a part that changes with each acceptance, so that a call costs
/// the same however much is queued.
extension Dispatcher {
    /// Up to so many live tasks all are looked at.
    static let checkedTasks = 1000
    /// How many executors are judged for tasks that wait.
    static let checkedJudgements = 2000

    /// Returns a sentence for each invariant that does not hold; empty when all hold.
    public func checkInvariants() -> [String] {
        var faults: [String] = []
        let numbers = checkedNumbers
        for number in numbers { if let task = tasks[number] { checkTask(task, &faults) } }
        for index in executors.indices { checkExecutor(index, &faults) }
        checkKeys(&faults)
        checkRates(&faults)
        checkCircuits(&faults)
        for workspace in workspaces { faults += lanes[workspace]?.checkInvariants() ?? [] }
        for index in capabilities.indices where !changedConflicts.contains(index) { checkConflicts(index, &faults) }
        if let first = out.first { faults.append("I19: an effect stayed behind: \(first)") }
        checkBounds(&faults)
        checkParked(numbers, &faults)
        for plan in plans.keys.sorted() { checkPlan(plan, &faults) }
        checkBudgets(&faults)
        if tasks.count <= Dispatcher.checkedTasks || lastNumber % 64 == 0 { checkCounts(&faults) }
        return faults
    }

    /// The live tasks to be looked at, ascending.
    private var checkedNumbers: [Int] {
        let step = max(1, tasks.count / Dispatcher.checkedTasks)
        return tasks.keys.filter { ($0 + lastNumber) % step == 0 }.sorted()
    }

    private func checkTask(_ task: TaskRecord, _ faults: inout [String]) {
        let name = "task \(task.number)"
        let lease = leases[task.number]
        if !task.spec.isPlan, task.state.isLeased != (lease != nil) { faults.append("I1: \(name): lease and state") }
        if task.spec.isPlan, lease != nil { faults.append("I1: plan \(task.number) has a lease") }
        if task.state.isTerminal { faults.append("I3: \(name) is terminal and live") }
        if ended[task.number] != nil { faults.append("I3: \(name) is live and ended") }
        if let lease { checkLease(lease, task, &faults) }
        if task.epoch > lastEpoch { faults.append("I2: \(name): an epoch ahead of the counter") }
        if Int(task.tries) > task.spec.retryCount + 1 { faults.append("I8: \(name): too many tries") }
        if Int(task.lost) > Defaults.poisonLosses { faults.append("I8: \(name): too many losses") }
        checkPlace(task, &faults)
        if ids[task.spec.key] != task.number { faults.append("I16: \(name) is not found by its id") }
        let isStopping = plans[task.number]?.ending != nil
        if !timers.contains(TimerKey(.task, task.number)), task.state != .canceling, !isStopping {
            faults.append("I27: \(name) has no timer")
        }
        guard let run = runs[task.number], run.history.count < Limits.attemptRecords else { return }
        if run.spent != run.history.reduce(0, { $0 + ($1.cost ?? 0) }) {
            faults.append("I21: \(name): its attempts' costs are not what it spent")
        }
    }

    private func checkLease(_ lease: Lease, _ task: TaskRecord, _ faults: inout [String]) {
        let name = "task \(task.number)"
        if lease.epoch != task.epoch { faults.append("I2: \(name): the lease's epoch is not the newest") }
        if epochIndex[lease.epoch] != task.number { faults.append("I2: \(name) is not found by its epoch") }
        if lease.leaseUntil == nil, lease.offerUntil == nil { faults.append("I27: \(name): a lease without end") }
        let key = circuitKey(Pair(lease.executor, task.capability))
        if !lease.isForced, let circuit = circuits[key], circuit.state == .open, circuit.forcedBy == nil,
            circuit.generation == lease.pairGeneration
        {
            faults.append("I8: \(name) was given out against an open circuit")
        }
    }

    /// I11: a queued task stands in one place.
    private func checkPlace(_ task: TaskRecord, _ faults: inout [String]) {
        let name = "task \(task.number)"
        let isInLane = lanes[task.spec.key.workspace]?.contains(task.number) ?? false
        let waits = waitingKey(task.spec).map { concurrency[$0]?.waiting.contains(task.number) ?? false } ?? false
        let index = capabilityIndex[ScopedName(task.spec.key.workspace, task.spec.capability)]
        let isAside = index.map { capabilities[$0].aside.contains(task.number) } ?? false
        let places = [isInLane, waits, isAside].count { $0 }
        if task.state == .queued, places != 1 { faults.append("I11: \(name) is queued in \(places) places") }
        if task.state != .queued, isInLane || waits { faults.append("I11: \(name) is queued in state \(task.state)") }
    }

    // MARK: - Waiting tasks

    /// Where a queued task waits that stands in no lane.
    private func place(of task: TaskRecord) -> String? {
        if waitingKey(task.spec).map({ concurrency[$0]?.waiting.contains(task.number) ?? false }) ?? false {
            return "for its concurrency key"
        }
        return capabilities[task.capability].aside.contains(task.number) ? "set aside" : nil
    }

    /// Whether nothing is due: then what waits, waits for a reason.
    private var isAtRest: Bool {
        isSettled && isConnected && !isTerminating && isWritable && dirtyExecutors.isEmpty && changedConflicts.isEmpty
            && (nextWake.map { $0 > now.monotonic } ?? true)
    }

    /// I12: the deciding functions themselves find nobody for a task that waits.
    private func checkParked(_ numbers: [Int], _ faults: inout [String]) {
        guard isAtRest else { return }
        var left = Dispatcher.checkedJudgements
        for number in numbers where left > 0 {
            guard let task = tasks[number], task.state == .queued else { continue }
            let lane = lanes[task.spec.key.workspace]
            if lane?.contains(number) ?? false, !(lane?.isParked(task.demand) ?? false) {
                faults.append("I12: task \(number) got no decision")
            }
            left -= 1 + capabilities[task.capability].executors.count
            let who: Int
            switch match(task) {
            case .wait: continue
            case .push(let executor, _), .pull(let executor, _, _): who = executor
            }
            let why = place(of: task) ?? demands[task.demand]?.code?.rawValue ?? "no decision"
            faults.append("I12: task \(number) waits (\(why)), but \(executors[who].name.name) could take it")
        }
    }

    // MARK: - Keys and rates

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

    private func checkRates(_ faults: inout [String]) {
        if let name = rates.fault(configuration, at: now.monotonic) {
            faults.append("I10: the bucket of \(name) holds more than its burst")
        }
    }
}
