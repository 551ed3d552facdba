import Contract
import Determinism
import Machine
import TimeModel

/// What is decided for a task.
enum Match: Hashable, Sendable {
    /// `assign` to an executor.
    case push(Int, Judgement)
    /// `grant` to a parked claim.
    case pull(Int, slot: String, Judgement)
    /// Nobody now.
    case wait(Outlook)
}

/// One executor that passes all filters.
struct Bid: Sendable {
    /// Its index.
    var executor: Int
    /// Its price and score.
    var judgement: Judgement
}

/// What a search among the executors has found.
struct Search: Sendable {
    /// The task.
    var task: TaskRecord
    /// Index of its capability.
    var capability: Int
    /// The best who takes `assign`.
    var push: Bid?
    /// The best whose claim waits.
    var pull: Bid?
    /// Who failed the task last: asked only if nobody else passes.
    var avoided: Int?
    /// Whether the task's deadline is too near for somebody.
    var isTooSlow = false
    /// Whether somebody takes `assign` and is only busy.
    var isPushBusy = false
    /// Why the others cannot.
    var tally = OutlookTally()
    /// The same, when it is known as a whole.
    var outlook: Outlook?
}

/// Choosing an executor (`topics/tasks.md`, which executor).
extension Dispatcher {
    /// The best executor for a queued task, by a walk over all; one that failed it last only if no other passes.
    func match(_ task: TaskRecord) -> Match {
        let index = task.capability
        var search = Search(task: task, capability: index)
        let avoided = runs[task.number]?.failedLast
        for executor in capabilities[index].executors {
            if let avoided, executors[executor].name.name == avoided { continue }
            consider(executor, &search)
        }
        if let avoided, search.push == nil,
            let executor = capabilities[index].executors.first(where: { executors[$0].name.name == avoided })
        {
            if search.pull == nil { consider(executor, &search) } else { notePushBusy(executor, &search) }
        }
        return choose(search)
    }

    /// Judges one executor in each of its modes.
    func consider(_ executor: Int, _ search: inout Search) {
        let pair = Pair(executor, search.capability)
        if search.task.mode != .pull, takes(.push, executors[executor]) {
            let judgement = judge(Candidate(task: search.task, pair: pair, mode: .push))
            if judgement.obstacle != nil {
                search.isPushBusy = search.isPushBusy || Dispatcher.isBusy(judgement)
                search.tally.add(judgement)
            } else if isBetter(Bid(executor: executor, judgement: judgement), than: search.push) {
                search.push = Bid(executor: executor, judgement: judgement)
            }
        }
        if search.task.mode != .push, takes(.pull, executors[executor]) {
            let judgement = judge(Candidate(task: search.task, pair: pair, mode: .pull))
            if judgement.obstacle != nil {
                search.tally.add(judgement)
            } else if isBetter(Bid(executor: executor, judgement: judgement), than: search.pull) {
                search.pull = Bid(executor: executor, judgement: judgement)
            }
        }
    }

    /// One that is not asked, because it failed the task last, may still be what the task waits for: how long claims
    /// are kept waiting must not differ among tasks that are parked together. While it is free, nobody waits for others:
    /// the next task may be one that it takes.
    func notePushBusy(_ executor: Int, _ search: inout Search) {
        guard search.task.mode != .pull, takes(.push, executors[executor]) else { return }
        let judgement = judge(Candidate(task: search.task, pair: Pair(executor, search.capability), mode: .push))
        let isFree = judgement.obstacle == nil
        search.isPushBusy = !isFree && (search.isPushBusy || Dispatcher.isBusy(judgement))
    }

    /// What follows from a search.
    func choose(_ search: Search) -> Match {
        if let pull = search.pull, let slot = claimSlot(search.task, pull.executor) {
            guard let push = search.push else { return choosePull(search, pull, slot) }
            if configuration.routing == .costFirst, isCheaper(pull, than: push) {
                return .pull(pull.executor, slot: slot, pull.judgement)
            }
        }
        if let push = search.push { return .push(push.executor, push.judgement) }
        return .wait(search.outlook ?? search.tally.outlook)
    }

    /// Claims are served at once, unless push executors are only busy and the configuration waits for them.
    private func choosePull(_ search: Search, _ pull: Bid, _ slot: String) -> Match {
        let opens = pushWaitEnd(search.task)
        guard search.isPushBusy, opens > now.monotonic else {
            return .pull(pull.executor, slot: slot, pull.judgement)
        }
        var outlook = search.outlook ?? search.tally.outlook
        // What only this task's deadline keeps from it does not keep the others.
        if outlook.code != WaitCode.tooSlow { outlook.code = WaitCode.pushWait }
        outlook.until = min(opens, outlook.until ?? opens)
        outlook.allKnown = false
        return .wait(outlook)
    }

    /// Whether it could take the task but for its slots.
    private static func isBusy(_ judgement: Judgement) -> Bool {
        let code = judgement.obstacle?.code
        return code == WaitCode.noSlot || code == WaitCode.reserved || code == WaitCode.maxConcurrent
    }

    private func isBetter(_ bid: Bid, than best: Bid?) -> Bool {
        guard let best else { return true }
        if configuration.routing == .costFirst { return isCheaper(bid, than: best) }
        let (a, b) = (bid.judgement, best.judgement)
        if a.score != b.score { return a.score < b.score }
        if a.used != b.used { return a.used < b.used }
        return executors[bid.executor].name.name < executors[best.executor].name.name
    }

    private func isCheaper(_ a: Bid, than b: Bid) -> Bool {
        let (x, y) = (a.judgement, b.judgement)
        if x.cost != y.cost { return x.cost < y.cost }
        if x.latencyMs != y.latencyMs { return x.latencyMs < y.latencyMs }
        if x.used != y.used { return x.used < y.used }
        return executors[a.executor].name.name < executors[b.executor].name.name
    }

    /// Whether an executor works in a mode.
    func takes(_ mode: Mode, _ executor: ExecutorRecord) -> Bool {
        switch mode {
        case .undecided: true
        case .push: executor.card?.takesPush ?? false
        case .pull: executor.isCardless || executor.card?.takesPull ?? false
        }
    }
}
