public import Contract
public import TimeModel
public import Wire

/// A live task: what changes while it waits and runs. Leases and what earlier attempts left stand in tables of their
/// own, so that a queued task is small.
public struct TaskRecord: Hashable, Sendable {
    // Ordered by size: ten thousand queued tasks are ten thousand of these.

    /// What does not change; a step's input is filled in when it becomes ready.
    public var spec: TaskSpec
    /// Why it is in this state, where there is a reason.
    public var code: Code?
    /// Who alone may get it, by command or by the intent.
    public var assignedTo: String?
    /// The newest fencing number; 0 before the first grant.
    public var epoch = 0
    private var readyAtMs = TaskRecord.never
    private var queuedAtMs = TaskRecord.never
    private var readyMs = TaskRecord.never
    /// The same as `spec.deadlineAt` by the clock that never steps.
    public var deadline = MonotonicTime(milliseconds: 0)
    /// The same as `queuedAt`.
    public var queued = MonotonicTime(milliseconds: 0)
    private var rev32: Int32 = 1
    private var demand32: Int32 = -1
    private var capability32: Int32 = -1
    /// Entries to `running`.
    public var attempts: Int32 = 0
    /// Ended attempts that count against `retry.count`.
    public var tries: Int32 = 0
    /// Offers nobody took.
    public var offers: Int32 = 0
    /// Executors lost during an attempt.
    public var lost: Int32 = 0
    /// Where it is in its life.
    public var state: TaskState
    /// Mode fixed by command or intent.
    public var mode = Mode.undecided
    /// Whether an assignment passes over circuits and reserve.
    public var isForced = false
    /// Whether a person has agreed to it.
    public var isApproved = false

    /// Stands for a time that there is not.
    private static let never = Int.min

    /// A task as it is accepted.
    public init(_ spec: TaskSpec, state: TaskState) {
        self.spec = spec
        self.state = state
        mode = spec.mode
        assignedTo = spec.extras?.intent.executor
    }

    /// Its number.
    public var number: Int { spec.number }

    /// Rises by one with each transition.
    public var rev: Int {
        get { Int(rev32) }
        set { rev32 = Int32(clamping: newValue) }
    }

    /// Its group of equal tasks while it is queued; -1 otherwise.
    public var demand: Int {
        get { Int(demand32) }
        set { demand32 = Int32(clamping: newValue) }
    }

    /// Index of its capability in the registry; -1 before it is in the tables.
    public var capability: Int {
        get { Int(capability32) }
        set { capability32 = Int32(clamping: newValue) }
    }

    /// When a delay ends, or an approval expires.
    public var readyAt: WallTime? {
        get { readyAtMs == TaskRecord.never ? nil : WallTime(milliseconds: readyAtMs) }
        set { readyAtMs = newValue?.milliseconds ?? TaskRecord.never }
    }

    /// When it was first queued: its place among the tasks of its owner.
    public var queuedAt: WallTime? {
        get { queuedAtMs == TaskRecord.never ? nil : WallTime(milliseconds: queuedAtMs) }
        set { queuedAtMs = newValue?.milliseconds ?? TaskRecord.never }
    }

    /// The same as `readyAt`.
    public var ready: MonotonicTime? {
        get { readyMs == TaskRecord.never ? nil : MonotonicTime(milliseconds: readyMs) }
        set { readyMs = newValue?.milliseconds ?? TaskRecord.never }
    }
}

extension TaskSpec: Hashable {
    /// By number: it is unique.
    public func hash(into hasher: inout Hasher) { hasher.combine(number) }
}

/// What attempts have left of a live task.
public struct RunRecord: Hashable, Sendable {
    /// When the first attempt began.
    public var firstStartAt: WallTime?
    /// The last executor that held it, for an outcome that comes late.
    public var holder: Holder?
    /// The executor that failed it last; another one is preferred.
    public var failedLast: String?
    /// What the next attempt gets.
    public var checkpoint: RawJSON?
    /// The last ended attempts.
    public var history: [AttemptRecord] = []
    /// What ended attempts cost.
    public var spent = 0
    /// Why the last try failed.
    public var lastError: ErrorBody?
    /// Why a cancel was asked for.
    public var cancelReason: String?

    /// Nothing yet.
    public init() {}
}

/// Who held a task under which epoch.
public struct Holder: Hashable, Sendable {
    /// The executor's name.
    public var executor: String
    /// Its boot.
    public var boot: String?
    /// The epoch.
    public var epoch: Int
    /// How it was given out.
    public var mode: Mode

    /// A holder.
    public init(executor: String, boot: String?, epoch: Int, mode: Mode) {
        self.executor = executor
        self.boot = boot
        self.epoch = epoch
        self.mode = mode
    }
}

/// A task that has ended: kept as long as its id is remembered.
public struct EndedRecord: Hashable, Sendable {
    /// What it was; without input when room was needed.
    public var spec: TaskSpec
    /// How it ended.
    public var status: Status
    /// Its last revision.
    public var rev: Int
    /// Why.
    public var code: Code?
    /// When.
    public var endedAt: WallTime
    /// Its result, byte for byte as published; dropped, oldest first, when room is needed.
    public var result: RawJSON?
    /// The newest epoch.
    public var epoch: Int
    /// The last executor that held it.
    public var holder: Holder?
    /// Whether a person had agreed to it.
    public var isApproved = false
    /// Whether it is a dead letter.
    public var isDead = false
    /// For a duplicate by key: the number of the task whose result it got.
    public var attachedTo: Int?
    /// Entries to `running`.
    public var attempts = 0
    /// Until when the result stays retained.
    public var keptUntil: WallTime?
    /// What the deciding attempt took, in ms.
    public var durationMs = 0
    /// What all its attempts cost.
    public var spent = 0
}

/// An intent that is attached to another task by their key.
public struct AttachedRecord: Hashable, Sendable {
    /// What it asked for.
    public var spec: TaskSpec
    /// The number of the task whose result it gets.
    public var first: Int
}
