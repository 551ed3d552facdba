public import TimeModel
public import Wire

/// How the slots of a schedule ended, so far.
public struct SlotCounts: Hashable, Sendable {
    /// Slots that became a run on time.
    public var triggered = 0
    /// Slots that became a run after a deferral.
    public var deferred = 0
    /// Slots that wait, or whose run nobody has confirmed.
    public var pending = 0
    /// Slots that did not run, by reason, in the order of the words.
    public var skipped: [SkipReason: Int] = [:]

    /// Nothing yet.
    public init() {}

    /// All slots that were decided.
    public var decided: Int { triggered + deferred + pending + skipped.values.reduce(0, +) }
    /// Slots that ended `MISFIRED_SKIPPED`.
    public var missed: Int {
        SkipReason.allCases.filter { $0.event == .misfiredSkipped }.reduce(0) { $0 + (skipped[$1] ?? 0) }
    }
}

/// The last run whose result is known.
public struct LastRun: Hashable, Sendable {
    /// Its id.
    public var run: String
    /// How it ended.
    public var status: Status
    /// Why not well.
    public var code: Code?
    /// When it began.
    public var startedAt: WallTime
    /// What it took, in ms.
    public var durationMs: Int?

    /// A run that has ended.
    public init(run: String, status: Status, code: Code?, startedAt: WallTime, durationMs: Int?) {
        self.run = run
        self.status = status
        self.code = code
        self.startedAt = startedAt
        self.durationMs = durationMs
    }
}

/// A missed slot that still waits to run.
public struct PendingDeferral: Hashable, Sendable {
    /// The run's id.
    public var run: String
    /// Why it was missed.
    public var reason: String
    /// Since when it waits.
    public var since: WallTime

    /// A deferral.
    public init(run: String, reason: String, since: WallTime) {
        self.run = run
        self.reason = reason
        self.since = since
    }
}

/// What a schedule has done and will do (`topics/schedules.md`, state).
public struct ScheduleState: Hashable, Sendable {
    /// Whether it decides slots.
    public var status = ScheduleStatus.active
    /// Why it does not.
    public var reason: String?
    /// What was said when it was paused.
    public var note: String?
    /// When it resumes by itself.
    public var until: WallTime?
    /// The next five slots.
    public var next: [WallTime] = []
    /// The first of them with its jitter.
    public var nextRunAt: WallTime?
    /// The latest decided slot.
    public var cursor = WallTime(milliseconds: 0)
    /// Start of the last run.
    public var lastRunAt: WallTime?
    /// The last run with a result.
    public var last: LastRun?
    /// Triggered, deferred and manual runs.
    public var runCount = 0
    /// Manual ones alone.
    public var manual = 0
    /// How slots ended.
    public var slots = SlotCounts()
    /// When a slot was missed last; absent: never.
    public var lastMissedAt: WallTime?
    /// The slot that was missed and still waits.
    public var pendingDeferred: PendingDeferral?
    /// Live runs, the first 16.
    public var live: [String] = []
    /// Runs without success in a row.
    public var failures = 0
    /// When it was put for the first time.
    public var createdAt = WallTime(milliseconds: 0)
    /// When its definition was changed.
    public var updatedAt = WallTime(milliseconds: 0)

    /// A state in which nothing has happened.
    public init() {}
}

/// A schedule as everybody sees it; retained on `schedule/S`.
public struct ScheduleView: Hashable, Sendable {
    /// Rises with each publication.
    public var rev = 0
    /// The scheduler's term.
    public var term = 0
    /// Whose rights its runs have.
    public var owner = ""
    /// Version of the zone data.
    public var timeZoneData: String?
    /// The canonical document, with its own `rev`.
    public var definition = RawJSON.emptyObject
    /// Revision of the definition's last change.
    public var definitionRev = 0
    /// What it has done and will do.
    public var state = ScheduleState()
    /// The schedule's id; in lists alone.
    public var schedule: String?
    /// The check's id; in lists alone.
    public var check: String?
    /// What makes it a check's view.
    public var health: CheckHealth?

    /// An empty view.
    public init() {}
}

extension ScheduleView: WireReadable, WireWritable {
    /// Reads a view.
    public init(from reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "rev": rev = try reader.int()
            case "term": term = try reader.int()
            case "owner": owner = try reader.name()
            case "tzdb": timeZoneData = try reader.string(limit: Names.limit)
            case "schedule": schedule = try reader.name()
            case "definition":
                definition = reader.raw()
                definitionRev = JSONValue(definition)["rev"]?.intValue ?? 0
            case "state": state = try ScheduleState(from: &reader)
            case "check": check = try reader.name()
            default:
                var found = health ?? CheckHealth()
                if try found.read(key, &reader) { health = found } else { reader.skip() }
            }
        }
    }

    /// Writes the view.
    public func write(to writer: inout JSONWriter) {
        writer.object { writeFields(to: &$0) }
    }

    /// Writes the fields without the braces, for replies that add fields of their own.
    public func writeFields(to writer: inout JSONWriter) {
        writer.field("schedule", schedule)
        writer.field("check", check)
        writer.field("rev", rev)
        writer.field("term", term)
        writer.field("owner", owner)
        writer.field("tzdb", timeZoneData)
        writer.field("definition", definition)
        writer.field("state", state)
        health?.writeFields(to: &writer)
    }
}

extension ScheduleState: WireReadable, WireWritable {
    /// Reads a state.
    public init(from reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "status": status = try reader.word()
            case "reason": reason = try reader.string(limit: Limits.text)
            case "note": note = try reader.string(limit: Limits.text)
            case "until": until = try reader.instant()
            case "next":
                try reader.beginArray()
                while reader.nextElement() { next.append(try reader.instant()) }
            case "next_run_at": nextRunAt = try reader.instant()
            case "cursor": cursor = try reader.instant()
            case "last_run_at": lastRunAt = try reader.instant()
            case "last": last = try LastRun(from: &reader)
            case "pending_deferred": pendingDeferred = try PendingDeferral(from: &reader)
            case "live":
                try reader.beginArray()
                while reader.nextElement() { live.append(try reader.id()) }
            default: try readCount(key, &reader)
            }
        }
    }

    private mutating func readCount(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "run_count": runCount = try reader.int()
        case "manual": manual = try reader.int()
        case "slots": slots = try SlotCounts(from: &reader)
        case "last_missed_at": lastMissedAt = try reader.instant()
        case "failures": failures = try reader.int()
        case "created_at": createdAt = try reader.instant()
        case "updated_at": updatedAt = try reader.instant()
        default: reader.skip()
        }
    }

    /// Writes the state.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("status", status)
            $0.field("reason", reason)
            $0.field("note", note)
            $0.field("until", until)
            $0.field("next", next.map(\.rfc3339))
            writeOrNull(nextRunAt.map { RawJSON(text: $0.rfc3339) }, "next_run_at", &$0)
            $0.field("cursor", cursor)
            writeOrNull(lastRunAt.map { RawJSON(text: $0.rfc3339) }, "last_run_at", &$0)
            writeOrNull(last?.raw, "last", &$0)
            $0.field("run_count", runCount)
            $0.field("manual", manual)
            $0.field("slots", slots)
            $0.field("missed", slots.missed)
            $0.field("last_missed_at", lastMissedAt)
            writeOrNull(pendingDeferred?.raw, "pending_deferred", &$0)
            $0.field("live", live)
            $0.field("failures", failures)
            $0.field("created_at", createdAt)
            $0.field("updated_at", updatedAt)
        }
    }

    private func writeOrNull(_ value: RawJSON?, _ name: StaticString, _ writer: inout JSONWriter) {
        writer.field(name, value ?? RawJSON.null)
    }
}

extension RawJSON {
    /// A JSON text.
    fileprivate init(text: String) { self.init { $0.value(text) } }
}

extension SlotCounts: WireReadable, WireWritable {
    /// Reads counts.
    public init(from reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "triggered": triggered = try reader.int()
            case "deferred": deferred = try reader.int()
            case "pending": pending = try reader.int()
            case "skipped":
                try reader.beginObject()
                while let word = reader.nextKey() {
                    if let reason = SkipReason(rawValue: word) {
                        skipped[reason] = try reader.int()
                    } else {
                        reader.skip()
                    }
                }
            default: reader.skip()
            }
        }
    }

    /// Writes counts.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("decided", decided)
            $0.field("triggered", triggered)
            $0.field("deferred", deferred)
            $0.field("pending", pending)
            $0.field("skipped") {
                for reason in skipped.keys.sorted() {
                    $0.field(named: reason.rawValue) { $0.value(skipped[reason] ?? 0) }
                }
            }
        }
    }
}

extension LastRun: WireReadable, WireWritable {
    /// Reads a run.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(run: "", status: .success, code: nil, startedAt: WallTime(milliseconds: 0), durationMs: nil)
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "run": run = try reader.id()
            case "status": status = try reader.word()
            case "code": code = try reader.code()
            case "started_at": startedAt = try reader.instant()
            case "duration_ms": durationMs = try reader.int()
            default: reader.skip()
            }
        }
    }

    /// Writes the run.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("run", run)
            $0.field("status", status)
            $0.field("code", code?.rawValue)
            $0.field("started_at", startedAt)
            $0.field("duration_ms", durationMs)
        }
    }
}

extension PendingDeferral: WireReadable, WireWritable {
    /// Reads a deferral.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(run: "", reason: "", since: WallTime(milliseconds: 0))
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "run": run = try reader.id()
            case "reason": reason = try reader.string(limit: Names.limit)
            case "since": since = try reader.instant()
            default: reader.skip()
            }
        }
    }

    /// Writes the deferral.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("run", run)
            $0.field("reason", reason)
            $0.field("since", since)
        }
    }
}
