import Contract
import Determinism
import Machine
import TimeModel

/// The queues: where a queued task stands, and what wakes it.
extension Dispatcher {
    /// Puts a queued task in its place; other states have none.
    mutating func enqueue(_ number: Int) {
        guard let task = tasks[number], task.state == .queued else { return }
        let workspace = task.spec.key.workspace
        let demand = demandNumber(task)
        _ = tasks.change(number) { $0.demand = demand }
        if !lanes.contains(workspace) {
            lanes.add(workspace, Lanes(weights: configuration.weights))
            workspaces.append(workspace)
            workspaces.sort()
        }
        let place = Lanes.Place(
            lane: task.spec.priority, owner: task.spec.owner, demand: demand, queued: task.queued)
        let isParked = lanes.change(workspace) {
            $0.insert(number, place)
            return $0.isParked(demand)
        }
        guard isParked ?? false, let parked = demands[demand] else { return }
        if let code = parked.prospect, parked.until.map({ $0 > task.deadline }) ?? true {
            return endWithoutProspect(number, code)
        }
        // A retry keeps its place: it may have waited for push executors as long as it must already.
        if parked.code == WaitCode.pushWait, pushWaitEnd(task) < parked.until ?? now.monotonic {
            return wake(demand: demand, workspace)
        }
        // It gets no decision for now, and must not keep the turn of its key meanwhile.
        passKeyOn(number, task.spec)
    }

    /// Takes a task out of its place.
    mutating func leaveQueue(_ task: TaskRecord) {
        _ = lanes.change(task.spec.key.workspace) { $0.remove(task.number) }
        if let key = waitingKey(task.spec) { concurrency[key]?.waiting.remove(task.number) }
        if !capabilities[task.capability].aside.isEmpty {
            capabilities[task.capability].aside.removeAll { $0 == task.number }
        }
        _ = tasks.change(task.number) { $0.demand = -1 }
        settleDemand(task.demand, task.spec.key.workspace)
        passKeyOn(task.number, task.spec)
    }

    /// Forgets a demand that has no tasks any more.
    mutating func settleDemand(_ demand: Int, _ workspace: String) {
        guard let record = demands[demand], lanes.count(demand, in: workspace) == 0 else { return }
        demands[demand] = nil
        demandIndex[record.key] = nil
        capabilities[record.key.capability].demands.removeAll { $0 == demand }
        timers.remove(TimerKey(.demand, demand))
        budgetDemands.remove(demand)
    }

    /// The group of tasks like this one.
    private mutating func demandNumber(_ task: TaskRecord) -> Int {
        let key = demandKey(task)
        if let known = demandIndex[key] { return known }
        lastDemand += 1
        demandIndex[key] = lastDemand
        demands[lastDemand] = Demand(key: key)
        capabilities[key.capability].demands.append(lastDemand)
        return lastDemand
    }

    /// What the task has in common with others.
    mutating func demandKey(_ task: TaskRecord) -> DemandKey {
        let spec = task.spec
        let labels = spec.extras?.intent.requires?.filter { $0.hasPrefix("agent:") }.sorted() ?? []
        return DemandKey(
            capability: task.capability, labels: labels, mode: task.mode, assignedTo: task.assignedTo,
            maxCost: spec.maxCost, units: spec.units, isCritical: spec.priority == .critical, delivery: spec.delivery,
            isForced: task.isForced,
            isCheck: spec.origin?.kind == "check",
            owner: configuration.budgets.contains { $0.owner != nil } ? spec.owner : nil, plan: boundedPlan(spec))
    }

    /// Something changed for an executor: what waits for its capabilities is looked at again.
    mutating func touch(executor: Int) {
        dirtyExecutors.insert(executor)
        for capability in executors[executor].capabilities { touch(capability: capability) }
    }

    /// The views of a capability have changed.
    mutating func touch(capability: Int) {
        dirtyCapabilities.insert(capability)
    }

    /// Wakes all tasks that wait for a capability, since something happened to one of its executors, or to all.
    mutating func wake(capability: Int, for executor: Int? = nil) {
        for order in capabilities[capability].orders {
            if let executor {
                orders[order]?.noteChange(of: executor)
            } else {
                orders[order]?.noteChange()
            }
        }
        let workspace = capabilities[capability].name.workspace
        for demand in capabilities[capability].demands { wake(demand: demand, workspace) }
        wakeAside(capability)
    }

    /// Wakes the tasks of a demand.
    mutating func wake(demand: Int, _ workspace: String) {
        guard lanes.isParked(demand, in: workspace) else { return }
        _ = lanes.change(workspace) { $0.wake(demand) }
        timers.remove(TimerKey(.demand, demand))
        budgetDemands.remove(demand)
        demands[demand]?.until = nil
        demands[demand]?.prospect = nil
    }

    /// Nobody can take the tasks of a demand now; `until`: when something is known to open.
    mutating func park(_ demand: Int, _ workspace: String, _ outlook: Outlook) {
        _ = lanes.change(workspace) { $0.park(demand) }
        demands[demand]?.until = outlook.until
        demands[demand]?.prospect = outlook.allKnown ? outlook.prospect : nil
        demands[demand]?.code = outlook.code
        if outlook.waitsForBudget { budgetDemands.insert(demand) }
        if let until = outlook.until {
            timers.set(TimerKey(.demand, demand), max(until, now.monotonic + 1))
        } else {
            timers.remove(TimerKey(.demand, demand))
        }
        guard !calledForKey.isEmpty else { return }
        for number in calledForKey.sorted() {
            if let task = tasks[number], task.demand == demand { passKeyOn(number, task.spec) }
        }
    }

    /// T17: no executor will be able to take it before its deadline.
    mutating func endWithoutProspect(_ number: Int, _ code: Code) {
        finish(number, Ending(.failed, ErrorBody(code, "no executor opens before the deadline")))
    }

    // MARK: - Decisions

    /// Decisions for what can be decided: up to 64 heads of each workspace, in turn.
    mutating func decide() {
        judgeConflicts()
        if !dirtyExecutors.isEmpty {
            let dirty = dirtyExecutors.count == 1 ? Array(dirtyExecutors) : dirtyExecutors.sorted()
            for executor in dirty {
                for capability in executors[executor].capabilities { wake(capability: capability, for: executor) }
            }
            dirtyExecutors.removeAll(keepingCapacity: true)
        }
        if isMoreToSpend { wakeSpenders() }
        moreDecisions = false
        guard isSettled, isConnected, !isTerminating, isWritable else { return }
        var quota = 64
        var active = workspaces
        while quota > 0, !active.isEmpty {
            quota -= 1
            active.removeAll { !decideHead($0) }
        }
        moreDecisions = !active.isEmpty
    }

    private mutating func nextTask(_ workspace: String) -> Int? {
        let time = now.monotonic
        return lanes.change(workspace) { $0.next(at: time) } ?? nil
    }

    /// Looks at the first task of a workspace; false when there is none.
    private mutating func decideHead(_ workspace: String) -> Bool {
        guard let number = nextTask(workspace) else { return false }
        decide(number, workspace)
        return true
    }

    private mutating func decide(_ number: Int, _ workspace: String) {
        guard let task = tasks[number] else { return }
        metrics.decisions += 1
        if task.attempts == 0, task.spec.delivery == .atLeastOnce, summary(of: task.capability).isAtMostOnce {
            return raiseDelivery(task)
        }
        if !isKeyFree(task.spec) {
            _ = lanes.change(workspace) { $0.passedOver(number) }
            waitForKey(task)
            return settleDemand(task.demand, workspace)
        }
        switch choose(for: task) {
        case .push(let executor, let candidate): grantPush(number, executor, candidate)
        case .pull(let executor, let slot, let candidate): grantPull(number, executor, slot, candidate)
        case .wait(let outlook):
            if let plan = boundedPlan(task.spec), exceedsPlan(plan, task.spec) {
                overspend(plan)
            } else if outlook.allKnown, let code = outlook.prospect, outlook.isPast(task.deadline) {
                endWithoutProspect(number, code)
            } else if isUnsupported(task) {
                finishUnsupported(number)
            } else if outlook.code == WaitCode.tooSlow {
                setAside(task, outlook)
            } else if outlook.code == WaitCode.pushWait {
                waitForPush(task, workspace, outlook)
            } else {
                park(task.demand, workspace, outlook)
            }
        }
    }

    /// The wait for a push executor counts from each task's own start: of the tasks that wait alike, the oldest may be
    /// given to a claim before the one whose turn it is.
    private mutating func waitForPush(_ task: TaskRecord, _ workspace: String, _ outlook: Outlook) {
        var earliest = outlook
        if let oldest = lanes[workspace]?.oldest(of: task.demand), let other = tasks[oldest] {
            let opens = pushWaitEnd(other)
            if oldest != task.number, opens <= now.monotonic { return decide(oldest, workspace) }
            earliest.until = MonotonicTime.earlier(earliest.until, opens)
        }
        park(task.demand, workspace, earliest)
    }

    /// From when on a task goes to a claim although push executors are only busy.
    func pushWaitEnd(_ task: TaskRecord) -> MonotonicTime {
        task.queued + (configuration.pushWaitMs[task.spec.capability] ?? 0)
    }
}

extension Dispatcher {
    /// `at_most_once` on a card holds for the capability: for a step too, and for what was accepted before the card was
    /// read. The task stands anew, among others of its kind.
    private mutating func raiseDelivery(_ task: TaskRecord) {
        let number = task.number
        leaveQueue(task)
        setSpec(number, task.spec.atMostOnce)
        if let raised = tasks[number] {
            journal(.changed(TaskChange(task: raised, run: runs[number], raisesDelivery: true)))
        }
        enqueue(number)
    }

    /// Whether all who offer a task's capability have refused it as unsupported.
    func isUnsupported(_ task: TaskRecord) -> Bool {
        let index = task.capability
        let executors = capabilities[index].executors
        return !executors.isEmpty
            && executors.allSatisfy { registrations[Pair($0, index)]?.isUnsupported ?? false }
    }

    /// A task that only its own deadline keeps from running: others of its demand may still run.
    private mutating func setAside(_ task: TaskRecord, _ outlook: Outlook) {
        _ = lanes.change(task.spec.key.workspace) { $0.passedOver(task.number) }
        capabilities[task.capability].aside.append(task.number)
        if outlook.waitsForBudget { budgetCapabilities.insert(task.capability) }
        if let until = outlook.until {
            let key = TimerKey(.aside, task.capability)
            timers.set(key, MonotonicTime.earlier(timers.priority(of: key), max(until, now.monotonic + 1)) ?? until)
        }
        passKeyOn(task.number, task.spec)
    }

    /// Tasks that were set aside come back into their lanes.
    mutating func wakeAside(_ capability: Int) {
        guard !capabilities[capability].aside.isEmpty else { return }
        timers.remove(TimerKey(.aside, capability))
        budgetCapabilities.remove(capability)
        let aside = capabilities[capability].aside
        capabilities[capability].aside.removeAll()
        for number in aside { enqueue(number) }
    }

    /// More may be spent than a moment ago.
    mutating func noteMoreToSpend() {
        guard !budgetDemands.isEmpty || !budgetCapabilities.isEmpty else { return }
        (isMoreToSpend, moreDecisions) = (true, true)
    }

    /// What waits for a budget is looked at again, whatever its capability.
    private mutating func wakeSpenders() {
        isMoreToSpend = false
        for demand in budgetDemands.sorted() {
            guard let record = demands[demand] else { continue }
            for order in record.orders { orders[order]?.noteChange() }
            wake(demand: demand, capabilities[record.key.capability].name.workspace)
        }
        for capability in budgetCapabilities.sorted() { wakeAside(capability) }
    }

    /// All queued tasks take their places anew: what makes them alike, or keeps them, has changed.
    mutating func requeue() {
        for number in tasks.keys.sorted() {
            guard let task = tasks[number], task.state == .queued else { continue }
            _ = lanes.change(task.spec.key.workspace) { $0.remove(number) }
            if let key = waitingKey(task.spec) { concurrency[key]?.waiting.remove(number) }
            settleDemand(task.demand, task.spec.key.workspace)
        }
        concurrency = concurrency.filter { $0.value.holders > 0 }
        for key in concurrency.keys { concurrency[key]?.called = 0 }
        calledForKey.removeAll()
        for capability in capabilities.indices {
            capabilities[capability].aside.removeAll()
            timers.remove(TimerKey(.aside, capability))
        }
        budgetCapabilities.removeAll()
        for number in tasks.keys.sorted() { enqueue(number) }
    }
}

/// Why a task cannot be given out now, over all candidates.
struct Outlook: Hashable, Sendable {
    /// The code of the nearest miss.
    var code = WaitCode.noExecutor
    /// The earliest known moment at which a candidate opens.
    var until: MonotonicTime?
    /// Whether each candidate's obstacle has a known end, or is known to have none.
    var allKnown = false
    /// The code of a task that ends because all of them lie past its deadline.
    var prospect: Code?
    /// Whether a budget keeps a candidate from it.
    var waitsForBudget = false

    /// Whether nobody opens up to a moment, if all is known.
    func isPast(_ moment: MonotonicTime) -> Bool { until.map { $0 > moment } ?? true }
}
