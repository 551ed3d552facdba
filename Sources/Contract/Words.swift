/// How urgent a task is; also the name of its lane.
public enum Priority: String, CaseIterable, Hashable, Sendable, Comparable {
    /// From least to most urgent.
    case low, normal, high, critical

    /// Less urgent is less.
    public static func < (a: Priority, b: Priority) -> Bool { a.rank < b.rank }

    /// 0 for `low` to 3 for `critical`.
    public var rank: Int {
        switch self {
        case .low: 0
        case .normal: 1
        case .high: 2
        case .critical: 3
        }
    }
}

/// How an executor gets a task.
public enum Mode: String, CaseIterable, Hashable, Sendable {
    /// Open to both; the first executor that fits gets it.
    case undecided
    /// The dispatcher sends `assign`.
    case push
    /// The executor claims.
    case pull

    /// The mode of a word of the wire, aliases included, or `nil`.
    public init?(word: String) {
        switch word {
        case "ssh_cli": self = .push
        case "http_pull": self = .pull
        default: self.init(rawValue: word)
        }
    }
}

/// Whether a task may run more than once.
public enum Delivery: String, CaseIterable, Hashable, Sendable {
    /// It is given out again after a loss; the default.
    case atLeastOnce = "at_least_once"
    /// Once it may have started, it is never given out again unless that is known to be safe.
    case atMostOnce = "at_most_once"
}

/// The terminal status of a task.
public enum Status: String, CaseIterable, Hashable, Sendable {
    /// The five statuses.
    case success, failed, timeout, canceled, rejected

    /// The status of a word of the wire; `cancelled` is accepted.
    public init?(word: String) { self.init(rawValue: word == "cancelled" ? "canceled" : word) }
}

/// The state of a task: seven live ones, then one of the five statuses.
public enum TaskState: String, CaseIterable, Hashable, Sendable {
    /// Waits for a person's decision.
    case awaitingApproval = "awaiting_approval"
    /// A plan's step that waits for earlier ones.
    case blocked
    /// Waits for its delay or for the time of a retry.
    case delayed
    /// Waits for an executor.
    case queued
    /// Sent to an executor that has not accepted yet.
    case offered
    /// An executor holds its lease.
    case running
    /// An executor was asked to stop.
    case canceling
    /// The five terminal states.
    case success, failed, timeout, canceled, rejected

    /// The state of a status.
    public init(_ status: Status) {
        switch status {
        case .success: self = .success
        case .failed: self = .failed
        case .timeout: self = .timeout
        case .canceled: self = .canceled
        case .rejected: self = .rejected
        }
    }

    /// The status, when the state is terminal.
    public var status: Status? { Status(rawValue: rawValue) }
    /// Whether it never changes again.
    public var isTerminal: Bool { status != nil }
    /// Whether no executor holds or was offered it and it has not ended.
    public var isWaiting: Bool { self == .awaitingApproval || self == .blocked || self == .delayed || self == .queued }
    /// Whether it has a lease (plans aside).
    public var isLeased: Bool { self == .offered || self == .running || self == .canceling }
}

/// How long a dedup key stands for its first task.
public enum DedupMode: String, CaseIterable, Hashable, Sendable {
    /// Until the first runs.
    case untilStart = "until_start"
    /// Until the first has ended; the default.
    case untilDone = "until_done"
    /// Until the first has ended and `dedup_window_ms` have passed since it was accepted.
    case window
}

/// What happens to a task whose dedup key is taken.
public enum OnDuplicate: String, CaseIterable, Hashable, Sendable {
    /// It gets the first one's result; the default.
    case attach
    /// It is rejected.
    case reject
    /// The first one ends, this one takes its place.
    case replace
    /// It is canceled.
    case drop
}

/// Which updates a publisher gets.
public enum UpdateLevel: String, CaseIterable, Hashable, Sendable {
    /// `accepted` and `duplicate`; the default.
    case accepted
    /// Every transition and progress too.
    case all
    /// Only the result.
    case none
}

/// What a failure means for the next attempt (`topics/tasks.md`, retries).
public enum ErrorClass: String, CaseIterable, Hashable, Sendable {
    /// A further attempt would fail the same way.
    case permanent
    /// A further attempt may succeed; the default.
    case transient
    /// The executor is asked too often.
    case rateLimited = "rate_limited"
    /// The executor's quota is used up.
    case quota
    /// The attempt took too long.
    case timeout
    /// The executor's own rules refuse the task.
    case policy
}

/// What an executor says of itself in its retained status.
public enum ExecutorState: String, CaseIterable, Hashable, Sendable {
    /// Ready for work.
    case online
    /// Connected now and then; see the card's `wake_every_ms`.
    case sleeping
    /// Takes nothing new, finishes what it has.
    case draining
    /// Takes nothing.
    case paused
    /// Left in good order.
    case offline
    /// Published by the broker as its Will.
    case lost
}

/// What heartbeat says of an executor.
public enum Verdict: String, CaseIterable, Hashable, Sendable {
    /// The verdicts, from able to unable.
    case ready, running, busy, degraded, stale, offline, draining, paused, unknown
}

/// The state of a circuit.
public enum CircuitState: String, CaseIterable, Hashable, Sendable {
    /// Normal operation.
    case closed
    /// Nothing is given out.
    case open
    /// One probe at a time.
    case halfOpen = "half_open"
}

/// How a lifeless request is to be repeated.
public enum RetryAdvice: String, CaseIterable, Hashable, Sendable {
    /// Not at all: it would be refused again.
    case no
    /// With the same id.
    case same
    /// With the same id after `retry_after_ms`.
    case after
}

/// How grave an alert is.
public enum Severity: String, CaseIterable, Hashable, Sendable {
    /// From least to most grave.
    case info, warning, critical
}
