public import TimeModel
public import Wire

/// What kind of rule gives a schedule its slots.
public enum ScheduleType: String, CaseIterable, Hashable, Sendable {
    /// A cron expression in a zone.
    case cron
    /// A fixed distance.
    case interval
    /// One instant.
    case oneShot = "one-shot"

    /// The type of a word of the wire, aliases included.
    public init?(word: String) { self.init(rawValue: word == "once" || word == "one_shot" ? "one-shot" : word) }
}

/// What becomes of a missed slot.
public enum MisfirePolicy: String, CaseIterable, Hashable, Sendable {
    /// It is skipped; the default.
    case skip
    /// The latest one is run late, once.
    case deferOnce = "defer_once"
}

/// Whether a schedule decides slots.
public enum ScheduleStatus: String, CaseIterable, Hashable, Sendable {
    /// It does.
    case active
    /// Not until it is resumed.
    case paused
    /// Its life is over, unless it is enabled again.
    case disabled
}

/// Why a slot did not become a run; raw values stand in events and in the counts of a view (`topics/events.md`).
public enum SkipReason: String, CaseIterable, Hashable, Sendable, Comparable {
    /// On purpose.
    case paused, updated, deleted, cooldown
    case limitPerDay = "limit_per_day"
    case daysOfWeek = "condition:days_of_week"
    case activeHours = "condition:active_hours"
    case environment = "condition:environment"
    case sessionActive = "condition:session_active"
    case custom = "condition:custom"
    case customError = "condition:custom_error"
    /// A check whose target is at rest; told by no event.
    case rest
    /// Missed.
    case superseded, late, absorbed, overlap, target, expired

    /// The event that tells of it.
    public var event: EventName {
        switch self {
        case .superseded, .late, .absorbed, .overlap, .target, .expired: .misfiredSkipped
        default: .scheduleSkipped
        }
    }

    /// In the order of their words.
    public static func < (a: SkipReason, b: SkipReason) -> Bool { a.rawValue < b.rawValue }
}

/// Why a schedule's life is over.
public enum DisableReason: String, CaseIterable, Hashable, Sendable {
    /// A one-shot was triggered; was missed or skipped.
    case completed, expired
    /// `bounds.max_runs` is reached; no slot is left.
    case maxRuns = "max_runs"
    case ended
    /// `policy.disable_after` runs in a row without success.
    case failures
    /// New zone data lacks the zone; or leaves no slot.
    case zoneUnknown = "zone_unknown"
    case neverFires = "never_fires"
}

/// What started a run.
public enum RunTrigger: String, CaseIterable, Hashable, Sendable {
    /// A slot of that type.
    case cron, interval
    case oneShot = "one-shot"
    /// `schedule/trigger`.
    case manual
}

/// Where a notification goes.
public enum NotificationChannel: String, CaseIterable, Hashable, Sendable {
    /// The newest ten, retained; the default.
    case memory
    /// One message, not retained.
    case log
    /// An intent for `notify.webhook`.
    case webhook
}

/// One fault of a document, in `data.problems`.
public struct ScheduleProblem: Hashable, Sendable, WireWritable {
    /// Where, such as `spec.expr`.
    public var path: String
    /// Which code it has.
    public var code: Code
    /// One sentence.
    public var why: String
    /// Byte offset within the text at `path`.
    public var at: Int?

    /// A fault.
    public init(_ path: String, _ code: Code, _ why: String, at: Int? = nil) {
        self.path = path
        self.code = code
        self.why = why
        self.at = at
    }

    /// Writes the fault.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("path", path)
            $0.field("code", code.rawValue)
            $0.field("why", why)
            $0.field("at", at)
        }
    }
}

/// A time of a document before its zone is known.
public enum ScheduleTime: Hashable, Sendable {
    /// A point in time.
    case instant(WallTime)
    /// What a clock in `spec.timezone` shows, with milliseconds beyond the second.
    case local(CivilTime, millisecond: Int)
}

extension Limits {
    /// A schedule's document.
    public static let scheduleDocument = 16 * 1024
    /// A schedule's view.
    public static let scheduleView = 24 * 1024
    /// Notifications of one kind; their `config` in bytes.
    public static let notifications = 4
    /// A schedule's note in bytes.
    public static let scheduleNote = 512
    /// Faults told at once.
    public static let problems = 10
    /// Shortest interval, unless configured.
    public static let shortestIntervalMs = 1000
    /// Longest interval: 100 years.
    public static let longestIntervalMs = 3_155_760_000_000
    /// Schedules of one named agent, unless configured.
    public static let schedulesPerAgent = 20
    /// Schedules of one workspace, unless configured.
    public static let schedulesPerWorkspace = 100_000
    /// Runs that no answer has come for.
    public static let unconfirmedRuns = 2000
    /// Events that wait to be sent before `put` is refused.
    public static let unsentEvents = 10_000
    /// Notifications of the channel `log` that wait for a connection; beyond, the oldest are lost.
    public static let heldNotes = 1000
    /// Events that wait to be sent before the oldest are lost.
    public static let keptEvents = 50_000
    /// Slots that are counted when they are skipped together.
    public static let countedSlots = 1000
    /// Notifications kept in `memory`.
    public static let memoryNotes = 10
    /// Their bytes.
    public static let memoryBytes = 8192
    /// Live runs shown in a view.
    public static let liveShown = 16
    /// Manual requests that are remembered per schedule.
    public static let manualRequests = 16
    /// A manual `request_id` in bytes.
    public static let requestID = 48
}
