public import TimeModel
public import Wire

/// What gives a schedule its slots, field by field; which fields are there depends on the type.
public struct ScheduleSpec: Hashable, Sendable {
    /// The cron expression.
    public var expression: String?
    /// Exact IANA name; absent: `UTC`.
    public var timezone: String?
    /// `auto`, `after`, `skip`; `nil`: `auto`.
    public var gap: String?
    /// `auto`, `first`, `last`, `both`; `nil`: `auto`.
    public var overlap: String?
    /// The interval in ms.
    public var everyMs: Int?
    /// The first slot of an interval.
    public var startAt: WallTime?
    /// The one instant.
    public var runAt: ScheduleTime?

    /// A spec without fields.
    public init() {}
}

/// What a run asks of the dispatcher; copied into the intent as it is.
public struct ScheduleWork: Hashable, Sendable {
    /// The capability; `run` unless given.
    public var capability = "run"
    /// The intent's fields: `input`, `action`, `priority`, limits, `retry`, `requires`, `mode`, `delivery`, `context`.
    public var intent = Intent()

    /// Work with the capability `run`.
    public init() {}
}

/// How missed slots, limits and delays are treated (`topics/schedules.md`, policy). Times in ms.
public struct SchedulePolicy: Hashable, Sendable {
    /// What becomes of a missed slot.
    public var misfire = MisfirePolicy.skip
    /// How late a run may start, 1000 to one day.
    public var graceMs = 60_000
    /// How long a deferred run may wait; 0: until the next slot.
    public var deferMaxAgeMs = 0
    /// Runs at one time, 1 to 1000.
    public var maxConcurrentRuns = 1
    /// Rest after a run's result.
    public var cooldownMs = 0
    /// Triggered slots in a local day; 0: no limit.
    public var limitPerDay = 0
    /// Runs without success in a row that disable it; 0: never.
    public var disableAfter = 0
    /// Greatest delay behind the slot, to one day.
    public var jitterMs = 0
    /// A disabled schedule is deleted after that.
    public var keepMs = 86_400_000

    /// The defaults.
    public init() {}
}

/// What cuts a schedule's slots.
public struct ScheduleBounds: Hashable, Sendable {
    /// No slot before it.
    public var notBefore: WallTime?
    /// No slot after it.
    public var notAfter: WallTime?
    /// At most so many triggered slots.
    public var maxRuns: Int?

    /// No bounds.
    public init() {}

    /// Whether nothing is bounded.
    public var isEmpty: Bool { notBefore == nil && notAfter == nil && maxRuns == nil }
}

/// The hours in which runs are wanted, as they are written.
public struct ScheduleHours: Hashable, Sendable {
    /// `HH:MM`.
    public var start: String
    /// `HH:MM`, exclusive; up to `24:00`.
    public var end: String
    /// The zone of hours and weekdays; absent: the spec's.
    public var timezone: String?
}

/// What must hold when a slot is due.
public struct ScheduleConditions: Hashable, Sendable {
    /// `mon` to `sun`.
    public var daysOfWeek: [String]?
    /// Hours of the day.
    public var activeHours: ScheduleHours?
    /// Environments in which it runs.
    public var environment: [String]?
    /// Whether the target's status has to be `online`.
    public var sessionActive: Bool?
    /// A yes-or-no expression.
    public var custom: String?

    /// No conditions.
    public init() {}

    /// Whether there are none.
    public var isEmpty: Bool { self == ScheduleConditions() }
}

/// One notification.
public struct ScheduleNotification: Hashable, Sendable {
    /// Where it goes.
    public var channel: NotificationChannel
    /// What the channel needs; an object.
    public var config: RawJSON?

    /// A notification.
    public init(channel: NotificationChannel, config: RawJSON? = nil) {
        self.channel = channel
        self.config = config
    }
}

/// Who is told of what; `nil`: the default, empty: nobody.
public struct ScheduleNotifications: Hashable, Sendable {
    /// Of a success.
    public var onSuccess: [ScheduleNotification]?
    /// Of every other status.
    public var onFailure: [ScheduleNotification]?
    /// Of a slot that was skipped or missed.
    public var onSkip: [ScheduleNotification]?

    /// The defaults.
    public init() {}
}

/// A schedule as it is defined (`topics/schedules.md`, the document), in canonical form.
public struct ScheduleDocument: Hashable, Sendable {
    /// The kind of rule.
    public var type = ScheduleType.cron
    /// The rule.
    public var spec = ScheduleSpec()
    /// Whose schedule: the topic's workspace.
    public var workspace = ""
    /// The executor that is to do the work, or `@any`.
    public var agent = ""
    /// What is to be done.
    public var work = ScheduleWork()
    /// How.
    public var policy = SchedulePolicy()
    /// Between when and when, how often.
    public var bounds = ScheduleBounds()
    /// Under which conditions.
    public var conditions = ScheduleConditions()
    /// Who is told.
    public var notifications = ScheduleNotifications()
    /// False: it begins paused.
    public var enabled = true
    /// A text for people.
    public var note: String?
    /// What makes it a check; `nil`: it is a schedule.
    public var check: CheckRules?

    /// An empty document.
    public init() {}

    /// The agent that lets the capability route.
    public static let anyAgent = "@any"
    /// Whether no executor is named.
    public var isForAny: Bool { agent == ScheduleDocument.anyAgent }
}

extension ScheduleDocument: WireWritable {
    /// Writes the canonical form.
    public func write(to writer: inout JSONWriter) { writer.object { writeFields(to: &$0) } }

    /// Writes the fields without the braces.
    public func writeFields(to writer: inout JSONWriter) {
        writer.field("type", type)
        writer.field("spec") { writeSpec(to: &$0) }
        writer.field("target") {
            $0.field("workspace_id", workspace)
            $0.field("agent_id", agent)
        }
        writer.field("work") { writeWork(to: &$0) }
        writer.field("policy") { writePolicy(to: &$0) }
        if !bounds.isEmpty { writer.field("bounds") { writeBounds(to: &$0) } }
        if !conditions.isEmpty { writer.field("conditions") { writeConditions(to: &$0) } }
        if notifications != ScheduleNotifications() {
            writer.field("notifications") { writeNotifications(to: &$0) }
        }
        check?.writeFields(to: &writer)
        writer.field("enabled", enabled)
        writer.field("note", note)
    }

    private func writeSpec(to writer: inout JSONWriter) {
        writer.field("expr", spec.expression)
        writer.field("every_ms", spec.everyMs)
        writer.field("start_at", spec.startAt)
        if case .instant(let time) = spec.runAt { writer.field("run_at", time) }
        writer.field("timezone", spec.timezone)
        writer.field("dst_gap", spec.gap)
        writer.field("dst_overlap", spec.overlap)
    }

    private func writeWork(to writer: inout JSONWriter) {
        let intent = work.intent
        writer.field("capability", work.capability)
        writer.field("action", intent.action)
        writer.field("input", intent.input)
        writer.field("priority", intent.priority)
        writer.field("timeout_ms", intent.timeoutMs)
        writer.field("deadline_ms", intent.deadlineMs)
        writer.field("retry", intent.retry)
        if let requires = intent.requires { writer.field("requires", requires) }
        writer.field("mode", intent.mode)
        writer.field("max_cost", intent.maxCost)
        writer.field("delivery", intent.delivery)
        writer.field("keep_ms", intent.keepMs)
        writer.field("context", intent.context)
    }

    private func writePolicy(to writer: inout JSONWriter) {
        writer.field("misfire", policy.misfire)
        writer.field("misfire_grace_ms", policy.graceMs)
        writer.field("defer_max_age_ms", policy.deferMaxAgeMs)
        writer.field("max_concurrent_runs", policy.maxConcurrentRuns)
        writer.field("cooldown_ms", policy.cooldownMs)
        writer.field("limit_per_day", policy.limitPerDay)
        writer.field("disable_after", policy.disableAfter)
        writer.field("jitter_ms", policy.jitterMs)
        writer.field("keep_ms", policy.keepMs)
    }

    private func writeBounds(to writer: inout JSONWriter) {
        writer.field("not_before", bounds.notBefore)
        writer.field("not_after", bounds.notAfter)
        writer.field("max_runs", bounds.maxRuns)
    }

    private func writeConditions(to writer: inout JSONWriter) {
        if let days = conditions.daysOfWeek { writer.field("days_of_week", days) }
        if let hours = conditions.activeHours {
            writer.field("active_hours") {
                $0.field("start", hours.start)
                $0.field("end", hours.end)
                $0.field("timezone", hours.timezone)
            }
        }
        if let environment = conditions.environment { writer.field("environment", environment) }
        writer.field("session_active", conditions.sessionActive)
        writer.field("custom", conditions.custom)
    }

    private func writeNotifications(to writer: inout JSONWriter) {
        let lists: [(StaticString, [ScheduleNotification]?)] = [
            ("on_success", notifications.onSuccess), ("on_failure", notifications.onFailure),
            ("on_skip", notifications.onSkip),
        ]
        for (name, list) in lists {
            guard let list else { continue }
            writer.key(name)
            writer.beginArray()
            for notification in list {
                writer.object {
                    $0.field("channel", notification.channel)
                    $0.field("config", notification.config)
                }
            }
            writer.endArray()
        }
    }
}
