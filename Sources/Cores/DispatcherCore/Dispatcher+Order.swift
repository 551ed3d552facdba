import Contract
import Determinism
import Machine
import TimeModel

/// Choosing among many executors without walking them all.
extension Dispatcher {
    /// The best executor for the head of a queue. Few are compared one by one; of many the first in order is taken.
    mutating func choose(for task: TaskRecord) -> Match {
        let capability = task.capability
        let count = capabilities[capability].executors.count
        if count <= walkLimit {
            judgements += count
            return match(task)
        }
        if let outlook = commonObstacle(task) { return .wait(outlook) }
        let number = orderNumber(task)
        var order = orders.removeValue(forKey: number) ?? CandidateOrder()
        refresh(&order, task)
        var search = Search(task: task, capability: capability)
        let workspace = task.spec.key.workspace
        search.avoided = runs[task.number]?.failedLast.flatMap { executorIndex[ScopedName(workspace, $0)] }
        search.push = first(.push, &order, &search)
        search.pull = first(.pull, &order, &search)
        if let avoided = search.avoided, search.push == nil, search.pull == nil {
            if registrations[Pair(avoided, capability)] != nil { consider(avoided, &search) }
        }
        if search.push == nil, search.pull != nil {
            search.isPushBusy = order.isPushBusy
            if let avoided = search.avoided, registrations[Pair(avoided, capability)] != nil {
                notePushBusy(avoided, &search)
            }
        }
        var outlook = order.outlook
        if search.isTooSlow {
            outlook.code = WaitCode.tooSlow
            outlook.allKnown = false
        }
        search.outlook = outlook
        orders[number] = order
        return choose(search)
    }

    /// What keeps all executors of a capability from all work, with a known end: nobody need be judged.
    private func commonObstacle(_ task: TaskRecord) -> Outlook? {
        var outlook = Outlook()
        if let pause = capabilityPause(task.capability) {
            outlook.code = WaitCode.paused
            outlook.until = pause.end
            return outlook
        }
        guard !configuration.rates.isEmpty,
            let until = rates.opening(
                ofAll: task.spec.capability, in: task.spec.key.workspace, configuration, at: now.monotonic),
            until <= task.deadline
        else { return nil }
        outlook.code = .rateLimited
        outlook.until = until
        return outlook
    }

    /// The order in which tasks like this one choose.
    private mutating func orderNumber(_ task: TaskRecord) -> Int {
        let lane = task.spec.priority
        if let known = demands[task.demand]?.orders[lane.rank], orders[known] != nil { return known }
        let key = OrderKey(demand: demands[task.demand]?.key ?? demandKey(task), lane: lane)
        let number: Int
        if let known = orderIndex[key] {
            number = known
        } else {
            if capabilities[task.capability].orders.count >= CandidateOrder.limit { dropOrder(task.capability) }
            lastOrder += 1
            number = lastOrder
            orders[number] = CandidateOrder()
            orderIndex[key] = number
            capabilities[task.capability].orders.append(number)
        }
        demands[task.demand]?.orders[lane.rank] = number
        return number
    }

    /// Forgets the oldest order of a capability.
    private mutating func dropOrder(_ capability: Int) {
        let oldest = capabilities[capability].orders.removeFirst()
        orders[oldest] = nil
        guard let key = orderIndex.first(where: { $0.value == oldest })?.key else { return }
        orderIndex[key] = nil
    }

    /// Judges anew whom something happened to; all of them from time to time.
    private mutating func refresh(_ order: inout CandidateOrder, _ task: TaskRecord) {
        let capability = task.capability
        if let judged = order.judgedAt, now.monotonic - judged < CandidateOrder.refreshMs {
            for executor in order.takeChanged(at: now.monotonic) {
                order.leave(executor, .push)
                order.leave(executor, .pull)
                if registrations[Pair(executor, capability)] != nil { enroll(executor, &order, task) }
            }
            return
        }
        order = CandidateOrder(at: now.monotonic)
        for executor in capabilities[capability].executors { enroll(executor, &order, task) }
    }

    /// Puts an executor in its places, one for each of its modes.
    private mutating func enroll(_ executor: Int, _ order: inout CandidateOrder, _ task: TaskRecord) {
        for mode in [Mode.push, .pull] {
            guard task.mode == .undecided || task.mode == mode, takes(mode, executors[executor]) else { continue }
            let judgement = judged(executor, mode, task)
            if judgement.obstacle == nil || judgement.obstacle?.code == WaitCode.tooSlow {
                order.place(executor, mode, rank(judgement, executor))
            } else {
                order.block(executor, mode, judgement, at: now.monotonic)
            }
        }
    }

    private mutating func judged(_ executor: Int, _ mode: Mode, _ task: TaskRecord) -> Judgement {
        judgements += 1
        return judge(Candidate(task: task, pair: Pair(executor, task.capability), mode: mode))
    }

    private func rank(_ judgement: Judgement, _ executor: Int) -> BidRank {
        let name = executors[executor].name.name
        if configuration.routing == .costFirst {
            return BidRank(first: judgement.cost, second: judgement.latencyMs, third: judgement.used, name: name)
        }
        return BidRank(first: judgement.score, second: judgement.used, third: 0, name: name)
    }

    /// The first of a mode that passes for this very task. Who does not pass for the task alone keeps its place.
    private mutating func first(_ mode: Mode, _ order: inout CandidateOrder, _ search: inout Search) -> Bid? {
        var aside: [(executor: Int, rank: BidRank)] = []
        var found: Bid?
        while found == nil, let top = order.first(mode) {
            if top.key == search.avoided {
                aside.append((top.key, top.priority))
                order.leave(top.key, mode)
                continue
            }
            let judgement = judged(top.key, mode, search.task)
            let rank = rank(judgement, top.key)
            if judgement.obstacle?.code == WaitCode.tooSlow {
                search.isTooSlow = true
                aside.append((top.key, rank))
                order.leave(top.key, mode)
            } else if judgement.obstacle != nil {
                order.block(top.key, mode, judgement, at: now.monotonic)
            } else if rank == top.priority {
                found = Bid(executor: top.key, judgement: judgement)
            } else {
                order.place(top.key, mode, rank)
            }
        }
        for entry in aside { order.place(entry.executor, mode, entry.rank) }
        return found
    }
}
