public import Contract

/// For whom the engine decides: the scheduler's schedules, or heartbeat's checks.
///
/// Both are rules that send intents by time; this is the one place that says where they differ in names.
public enum EngineRole: String, Hashable, Sendable {
    /// Schedules.
    case scheduler
    /// Health checks.
    case heartbeat

    /// The service's name: of its account, record, metrics and section of the configuration.
    public var service: String { rawValue }

    /// The noun of its commands.
    public var noun: Noun { self == .scheduler ? .schedule : .check }

    /// The prefix of the keys of its events, alerts and notifications.
    public var keyPrefix: String { self == .scheduler ? "scheduler." : "heartbeat.check." }

    /// The first slot of an interval without `start_at`, counted from the acceptance in intervals.
    var firstSlot: Int { self == .scheduler ? 1 : 0 }

    func view(_ name: String) -> Topic.Place { self == .scheduler ? .schedule(name) : .check(name) }
}
