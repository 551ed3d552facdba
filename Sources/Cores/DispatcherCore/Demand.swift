import Contract
import TimeModel

/// What makes queued tasks alike for every executor.
struct DemandKey: Hashable, Sendable {
    /// Index of the capability; it knows its workspace.
    var capability: Int
    /// `agent:` labels an executor must have, sorted.
    var labels: [String]
    /// Mode that is asked for.
    var mode: Mode
    /// Who alone may get it.
    var assignedTo: String?
    /// The most an attempt may cost.
    var maxCost: Int?
    /// Units of work.
    var units: Int
    /// Whether the reserve is open to it.
    var isCritical: Bool
    /// Whether it may run more than once.
    var delivery: Delivery
    /// Whether circuits and reserve are passed over.
    var isForced: Bool
    /// Whether it is a health check, which degraded executors get too.
    var isCheck: Bool
    /// The owner, where budgets look at owners.
    var owner: String?
    /// The plan, where it bounds what its steps cost together.
    var plan: Int?
}

/// A group of queued tasks that every executor judges alike.
struct Demand: Sendable {
    /// What they have in common.
    var key: DemandKey
    /// When it was parked: the earliest known moment at which something opens.
    var until: MonotonicTime?
    /// When it was parked and all obstacles have known ends: the code of the nearest.
    var prospect: Code?
    /// When it was parked: why the nearest candidate could not take it.
    var code: Code?
    /// Numbers of the orders of its executors, by lane; 0 for none yet.
    var orders = [Int](repeating: 0, count: Priority.allCases.count)
}

/// Codes of `task/explain` that are no error codes (`topics/tasks.md`, why a task waits).
enum WaitCode {
    static let labelMissing = Code(rawValue: "label_missing")
    static let quarantined = Code(rawValue: "quarantined")
    static let shadowed = Code(rawValue: "shadowed")
    static let notAssigned = Code(rawValue: "not_assigned")
    static let offline = Code(rawValue: "offline")
    static let lost = Code(rawValue: "lost")
    static let silent = Code(rawValue: "silent")
    static let degraded = Code(rawValue: "degraded")
    static let sleeping = Code(rawValue: "sleeping")
    static let paused = Code(rawValue: "paused")
    static let draining = Code(rawValue: "draining")
    static let noSlot = Code(rawValue: "no_slot")
    static let reserved = Code(rawValue: "reserved")
    static let noClaim = Code(rawValue: "no_claim")
    static let maxConcurrent = Code(rawValue: "max_concurrent")
    static let circuitProbe = Code(rawValue: "circuit_probe")
    static let pairPaused = Code(rawValue: "pair_paused")
    static let concurrencyKey = Code(rawValue: "concurrency_key")
    static let tooExpensive = Code(rawValue: "too_expensive")
    static let tooSlow = Code(rawValue: "too_slow")
    static let failedLast = Code(rawValue: "failed_last")
    static let settling = Code(rawValue: "settling")
    static let turn = Code(rawValue: "turn")
    static let pushWait = Code(rawValue: "push_wait")
    static let noExecutor = Code(rawValue: "no_executor")
    static let needs = Code(rawValue: "needs")
    static let delay = Code(rawValue: "delay")
    static let retryDelay = Code(rawValue: "retry_delay")
}
