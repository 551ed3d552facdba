import Contract
import TimeModel
import Wire

/// A task, whatever the attempt: ids of two principals may be equal.
struct TaskKey: Hashable, Comparable, Sendable {
    var principal: String
    var task: String

    static func < (a: TaskKey, b: TaskKey) -> Bool { (a.principal, a.task) < (b.principal, b.task) }
}

/// One attempt at a task.
struct AttemptKey: Hashable, Comparable, Sendable {
    var task: TaskKey
    var epoch: Int

    init(principal: String, task: String, epoch: Int) {
        self.task = TaskKey(principal: principal, task: task)
        self.epoch = epoch
    }

    init(_ assignment: Assignment) {
        self.init(principal: assignment.principal, task: assignment.task, epoch: assignment.epoch)
    }

    init(_ name: AttemptName) { self.init(principal: name.principal, task: name.task, epoch: name.epoch) }

    /// As beats name it.
    var pair: LeasePair { LeasePair(task.task, epoch) }

    static func < (a: AttemptKey, b: AttemptKey) -> Bool { (a.task, a.epoch) < (b.task, b.epoch) }
}

/// One attempt that this executor makes now.
struct Attempt: Hashable, Sendable {
    /// Where it stands.
    enum Phase: Hashable, Sendable {
        /// It has not begun: an older attempt still stops, no slot is free yet, or the lease is to be confirmed first.
        case waiting
        /// A program runs, under this number.
        case child(Int)
        /// The executor's own work; ends at this moment.
        case timer(MonotonicTime)
    }

    /// Why it is being stopped.
    enum Stop: Hashable, Sendable {
        /// The dispatcher asks for the outcome `canceled`.
        case canceled
        /// The right is gone, or a newer attempt takes its place.
        case revoked
        /// The lease ran out by this executor's own clock.
        case fenced
        /// The executor leaves.
        case leaving
    }

    var assignment: Assignment
    var capability: OfferedCapability
    /// The slot that claimed it; absent when it was pushed.
    var claimSlot: String?
    var phase = Phase.waiting
    var stop: Stop?
    /// Until when the lease certainly holds; absent once it was acted upon.
    var deadline: MonotonicTime?
    /// Whether the lease may have begun earlier than this executor knows; then an answered beat comes first.
    var needsRenewal = false
    var startedAt: MonotonicTime?
    /// When the executor's own work tells its progress next.
    var progressAt: MonotonicTime?

    var leaseMs: Int { assignment.leaseMs > 0 ? assignment.leaseMs : Defaults.leaseMs }
    var timeoutMs: Int { assignment.timeoutMs > 0 ? assignment.timeoutMs : Defaults.timeoutMs }

    /// When this executor stops by itself, when the lease was last asked for at `sentAt`: always before the
    /// dispatcher's own clock, with no common time (`topics/executors.md`, leases).
    func deadline(from sentAt: MonotonicTime) -> MonotonicTime { sentAt + max(0, leaseMs - max(500, leaseMs / 10)) }

    /// The limit of the work. The dispatcher's clock decides; this one stands a little behind it.
    var workLimitMs: Int { timeoutMs + min(1000, max(100, timeoutMs / 10)) }
}

/// An outcome that nobody has confirmed.
struct KeptOutcome: Hashable, Sendable {
    /// The report as it is sent.
    var payload: [UInt8]
    /// Whether an earlier run of this executor made it.
    var isInherited = false
}

/// The highest epoch seen of each task; the tasks seen first go when there are too many.
struct EpochMemory: Hashable, Sendable {
    private var epochs: [TaskKey: Int] = [:]
    private var order: [TaskKey] = []
    private var head = 0

    subscript(key: TaskKey) -> Int? { epochs[key] }

    mutating func note(_ key: AttemptKey) {
        if let known = epochs[key.task] {
            epochs[key.task] = max(known, key.epoch)
            return
        }
        epochs[key.task] = key.epoch
        order.append(key.task)
        guard epochs.count > Limits.executorEpochs else { return }
        epochs[order[head]] = nil
        head += 1
        if head > Limits.executorEpochs {
            order.removeFirst(head)
            head = 0
        }
    }

    /// All of it, first seen first.
    var all: [AttemptKey] {
        order[head...].compactMap { key in
            epochs[key].map { AttemptKey(principal: key.principal, task: key.task, epoch: $0) }
        }
    }
}
