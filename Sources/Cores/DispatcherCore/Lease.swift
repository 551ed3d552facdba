public import Contract
public import TimeModel

/// The time-limited right of one executor to make one attempt (`topics/executors.md`, leases). A task has at most one.
public struct Lease: Hashable, Sendable {
    /// Index of the executor in the registry.
    public var executor: Int
    /// The executor's name.
    public var name: String
    /// The boot it was given to; absent for an executor that named none.
    public var boot: String?
    /// The fencing number.
    public var epoch: Int
    /// How it was given out.
    public var mode: Mode
    /// The slot of the claim, for pull.
    public var slot: String?
    /// Slots it takes.
    public var slotCost: Int
    /// Which attempt it is, from 1.
    public var attempt: Int
    /// How long it lasts without renewal, in ms.
    public var leaseMs: Int
    /// How long it is on offer, in ms.
    public var offerMs = 0
    /// How long the attempt may take, in ms.
    public var timeoutMs: Int
    /// How long it may take to stop once its cancel is asked for, in ms.
    public var graceMs: Int?
    /// When it was given out.
    public var grantedAt: WallTime
    /// When the attempt began; absent while offered.
    public var startedAt: WallTime?
    /// Generation of the pair's circuit at the grant; an outcome of another one does not count in it.
    public var pairGeneration = 0
    /// Generation of the capability's circuit at the grant.
    public var capabilityGeneration = 0
    /// What the attempt is expected to cost, in micro-units; reserved in budgets.
    public var estimate = 0
    /// What was charged to the owner's turn.
    public var charge = 0
    /// Whether the grant passed over the reserve and circuits by command.
    public var isForced = false

    /// When it was given out, by the clock that never steps.
    public var granted = MonotonicTime(milliseconds: 0)
    /// Until when it is on offer.
    public var offerUntil: MonotonicTime?
    /// Until when it lasts; absent while offered.
    public var leaseUntil: MonotonicTime?
    /// Until when the attempt must have ended; absent while offered.
    public var execUntil: MonotonicTime?
    /// Until when a canceled attempt may answer.
    public var cancelUntil: MonotonicTime?
    /// Since when its executor is lost and the grace runs.
    public var lostUntil: MonotonicTime?
    /// When the attempt began, by the clock that never steps.
    public var started: MonotonicTime?

    /// A grant.
    public init(executor: Int, name: String, epoch: Int, mode: Mode, grantedAt: WallTime) {
        self.executor = executor
        self.name = name
        self.epoch = epoch
        self.mode = mode
        self.grantedAt = grantedAt
        slotCost = 1
        attempt = 1
        leaseMs = Defaults.leaseMs
        timeoutMs = Defaults.timeoutMs
    }

    /// The earliest of its times.
    public var nextDue: MonotonicTime? {
        var due = MonotonicTime.earlier(offerUntil, leaseUntil)
        due = MonotonicTime.earlier(due, execUntil)
        due = MonotonicTime.earlier(due, cancelUntil)
        return MonotonicTime.earlier(due, lostUntil)
    }

    /// Moves all its times on, because nobody could have kept them.
    mutating func shift(by ms: Int) {
        granted = granted + ms
        offerUntil = offerUntil.map { $0 + ms }
        leaseUntil = leaseUntil.map { $0 + ms }
        execUntil = execUntil.map { $0 + ms }
        cancelUntil = cancelUntil.map { $0 + ms }
        lostUntil = lostUntil.map { $0 + ms }
        started = started.map { $0 + ms }
    }
}

/// Slots that stay used after a fence until the executor says that the old attempt has ended, or its lease is over.
public struct Zombie: Hashable, Sendable {
    /// The task's number.
    public var task: Int
    /// The task's key, for reports that name it.
    public var key: TaskKey
    /// Index of the capability in the registry.
    public var capability: Int
    /// The epoch that was fenced.
    public var epoch: Int
    /// Slots it takes.
    public var slotCost: Int
    /// When it ends by itself.
    public var until: MonotonicTime
    /// The same for the journal.
    public var untilAt: WallTime
}
