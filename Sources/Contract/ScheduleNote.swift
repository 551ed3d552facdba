public import TimeModel
public import Wire

/// What a notification says (`topics/schedules.md`, notifications); an element of `notify/memory/K`, and all of
/// `notify/log/K`.
public struct ScheduleNote: Hashable, Sendable, WireWritable {
    /// The schedule, when it tells of one.
    public var schedule: String?
    /// The check, when it tells of one.
    public var check: String?
    /// The run.
    public var run: String?
    /// The event that it tells of.
    public var event: String?
    /// The reason of a skip.
    public var reason: String?
    /// How the run ended.
    public var status: Status?
    /// Why it did not end well.
    public var code: Code?
    /// A sentence for people, at most 512 bytes.
    public var message: String?
    /// What a check says.
    public var health: CheckStatus?
    /// How grave that is.
    public var level: Severity?
    /// Of a check's `remember`: how much it matters, 0 to 100.
    public var importance: Int?
    /// Of a check's `remember`: a word to find it by.
    public var category: String?
    /// The slot.
    public var scheduledAt: WallTime?
    /// What the run took, in ms.
    public var durationMs: Int?

    /// A notification about a schedule.
    public init(schedule: String) { self.schedule = schedule }

    /// A notification about a check.
    public init(check: String) { self.check = check }

    /// Writes the notification.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("schedule", schedule)
            $0.field("check", check)
            $0.field("run", run)
            $0.field("event", event)
            $0.field("reason", reason)
            $0.field("status", status)
            $0.field("code", code?.rawValue)
            $0.field("message", message)
            $0.field("health", health)
            $0.field("level", level)
            $0.field("importance", importance)
            $0.field("category", category)
            $0.field("scheduled_at", scheduledAt)
            $0.field("duration_ms", durationMs)
        }
    }
}
