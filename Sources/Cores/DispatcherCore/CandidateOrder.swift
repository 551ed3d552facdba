import Contract
import Determinism
import TimeModel

/// For which tasks an order holds: those that every executor judges alike, of one lane.
struct OrderKey: Hashable, Sendable {
    /// What the tasks have in common.
    var demand: DemandKey
    /// Their lane.
    var lane: Priority
}

/// Where a bid stands among others, the least first.
struct BidRank: Hashable, Comparable, Sendable {
    /// Score, or cost.
    var first: Int
    /// Slots in use, or latency.
    var second: Int
    /// Slots in use, where latency comes before them.
    var third: Int
    /// The executor's name.
    var name: String

    static func < (a: BidRank, b: BidRank) -> Bool {
        if a.first != b.first { return a.first < b.first }
        if a.second != b.second { return a.second < b.second }
        if a.third != b.third { return a.third < b.third }
        return a.name < b.name
    }
}

/// The executors of one capability as tasks of one kind would choose them (`topics/tasks.md`, which executor).
///
/// Choosing must not walk all executors. So their bids stand in heaps, one for each mode, and those who cannot take a
/// task stand apart, with a count of the reasons. An executor is judged anew when something happened to it, when its
/// obstacle's end has come, and when it comes to the top; so an entry may be too good, never too bad.
struct CandidateOrder: Sendable {
    /// After so many ms all are judged anew: what is old in a circuit's window drops out without an event.
    static let refreshMs = 10_000
    /// Orders of one capability that are kept.
    static let limit = 8

    private struct Block: Hashable, Sendable {
        var level: Int
        var code: Code
        var prospect: Code?

        /// It could take the task but for its slots.
        var isBusy: Bool { code == WaitCode.noSlot || code == WaitCode.reserved || code == WaitCode.maxConcurrent }
    }

    /// Executors of which something has changed.
    private(set) var stale: Set<Int> = []
    /// When all were judged; absent: they must be.
    private(set) var judgedAt: MonotonicTime?
    private var push = IndexedHeap<Int, BidRank>()
    private var pull = IndexedHeap<Int, BidRank>()
    private var blocked: [Int: Block] = [:]
    private var openings = IndexedHeap<Int, MonotonicTime>()
    private var levels = [[Code: Int]](repeating: [:], count: 10)
    private var prospects: [Code: Int] = [:]
    private var busyPush = 0

    /// An order of nobody, judged at a moment.
    init(at moment: MonotonicTime? = nil) { judgedAt = moment }

    private static func seat(_ executor: Int, _ mode: Mode) -> Int { executor * 2 + (mode == .pull ? 1 : 0) }

    // MARK: - What has changed

    /// Something happened to an executor.
    mutating func noteChange(of executor: Int) { stale.insert(executor) }

    /// Something happened to all of them.
    mutating func noteChange() { judgedAt = nil }

    /// Those of whom something changed, and those whose obstacle has ended.
    mutating func takeChanged(at now: MonotonicTime) -> [Int] {
        var changed = stale
        stale.removeAll(keepingCapacity: true)
        while let first = openings.first, first.priority <= now {
            openings.remove(first.key)
            changed.insert(first.key / 2)
        }
        return changed.sorted()
    }

    // MARK: - Places

    /// The best bid of a mode.
    func first(_ mode: Mode) -> (key: Int, priority: BidRank)? { mode == .pull ? pull.first : push.first }

    /// An executor passes; it stands by its rank.
    mutating func place(_ executor: Int, _ mode: Mode, _ rank: BidRank) {
        unblock(CandidateOrder.seat(executor, mode))
        if mode == .pull { pull.set(executor, rank) } else { push.set(executor, rank) }
    }

    /// An executor cannot take such a task.
    mutating func block(_ executor: Int, _ mode: Mode, _ judgement: Judgement, at now: MonotonicTime) {
        guard let obstacle = judgement.obstacle else { return }
        leave(executor, mode)
        let seat = CandidateOrder.seat(executor, mode)
        let block = Block(
            level: judgement.passed, code: obstacle.code, prospect: obstacle.knownProspect)
        blocked[seat] = block
        if block.isBusy, mode != .pull { busyPush += 1 }
        levels[block.level][block.code, default: 0] += 1
        if let prospect = block.prospect { prospects[prospect, default: 0] += 1 }
        if let until = obstacle.until { openings.set(seat, max(until, now + 1)) }
    }

    /// Takes an executor out of one mode.
    mutating func leave(_ executor: Int, _ mode: Mode) {
        unblock(CandidateOrder.seat(executor, mode))
        if mode == .pull { pull.remove(executor) } else { push.remove(executor) }
    }

    private mutating func unblock(_ seat: Int) {
        guard let block = blocked.removeValue(forKey: seat) else { return }
        openings.remove(seat)
        if block.isBusy, seat % 2 == 0 { busyPush -= 1 }
        let left = (levels[block.level][block.code] ?? 1) - 1
        levels[block.level][block.code] = left > 0 ? left : nil
        guard let prospect = block.prospect else { return }
        let others = (prospects[prospect] ?? 1) - 1
        prospects[prospect] = others > 0 ? others : nil
    }

    // MARK: - Why nobody can

    /// Whether somebody takes `assign` and is only busy.
    var isPushBusy: Bool { busyPush > 0 }

    /// Why nobody can take such a task now.
    var outlook: Outlook {
        var outlook = Outlook()
        if let level = levels.last(where: { !$0.isEmpty }), let code = level.keys.min(by: { $0.rawValue < $1.rawValue })
        {
            outlook.code = code
        }
        outlook.until = openings.first?.priority
        let known = prospects.values.reduce(0, +)
        outlook.allKnown = known > 0 && known == blocked.count
        let order: [Code] = [.circuitOpen, .resourceExhausted, .rateLimited, .budgetExceeded]
        outlook.prospect = order.first { prospects[$0] != nil }
        outlook.waitsForBudget = prospects[.budgetExceeded] != nil
        return outlook
    }
}
