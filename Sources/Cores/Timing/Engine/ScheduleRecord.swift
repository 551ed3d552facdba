import Contract
import TimeModel
import Wire

/// Names a schedule; ordered by workspace, then id, which also decides between slots of one instant.
///
/// Tables and queues hold it many times over, so it is one reference whose hash was worked out once.
public struct ScheduleKey: Hashable, Comparable, Sendable {
    private final class Name: Sendable {
        let workspace: String
        let name: String
        let hash: Int

        init(_ workspace: String, _ name: String) {
            self.workspace = workspace
            self.name = name
            hash = Int(truncatingIfNeeded: StableHash.value(workspace, name))
        }
    }

    private let value: Name

    /// The workspace.
    public var workspace: String { value.workspace }
    /// The id in the workspace.
    public var name: String { value.name }

    init(workspace: String, name: String) { value = Name(workspace, name) }

    /// Whether both name the same.
    public static func == (a: ScheduleKey, b: ScheduleKey) -> Bool {
        a.value === b.value
            || a.value.hash == b.value.hash && a.name == b.name && a.workspace == b.workspace
    }

    /// By workspace and id.
    public func hash(into hasher: inout Hasher) { hasher.combine(value.hash) }

    /// In order of workspaces, then ids.
    public static func < (a: ScheduleKey, b: ScheduleKey) -> Bool {
        if a.value === b.value { return false }
        return a.workspace == b.workspace ? a.name < b.name : a.workspace < b.workspace
    }
}

/// A slot that waits: in its window, or deferred.
struct OpenSlot: Hashable, Sendable {
    var slot: WallTime
    var due: WallTime
    /// Why it was deferred; absent while it is on time.
    var deferred: SkipReason?
    /// Since when it is deferred.
    var since: WallTime
    /// What its window ends with if nothing changes.
    var waitsFor = SkipReason.late
    /// What the target was found to be.
    var verdict: String?
    /// Whether the slot was decided before, at an earlier reading of the clock.
    var isRepeat = false
    /// Whether it was taken before it is due: its rule is gone since.
    var isEarly = false
}

/// One intent of a schedule whose end is not known.
struct Run: Hashable, Sendable {
    enum Kind: String, Hashable, Sendable { case slot, manual, notification }

    /// The task's id.
    var id: String
    var kind: Kind
    /// The slot, or the moment of a manual run.
    var slot: WallTime
    var deferred = false
    var isRepeat = false
    /// Whether the dispatcher has answered.
    var isConfirmed = false
    /// Whether its last answer was that there is no room.
    var wasRefused = false
    /// When it was first sent.
    var sentAt: WallTime
    /// After this the dispatcher takes it no more.
    var expiresAt: WallTime
    var capability: String
    /// The intent, sent again byte for byte.
    var body: [UInt8]
    /// When it is sent again; only in this life of the process.
    var resendAt = MonotonicTime(milliseconds: 0)
    /// The wait before the next repetition, in ms.
    var backoffMs = Run.firstBackoffMs

    static let firstBackoffMs = 5000
    static let longestBackoffMs = 60_000
    static let liveRepeatMs = 600_000

    /// Whether it counts against `max_concurrent_runs`.
    var isLive: Bool { kind != .notification }
}

/// A manual request that was answered; repeating it starts nothing.
struct ManualRequest: Hashable, Sendable {
    var run: String
    var isConfirmed: Bool
}

/// What most schedules do not have, or only once they have run: it is held apart, so that the others stay small.
private struct ScheduleTrace: Hashable, Sendable {
    var reason: String?
    var note: String?
    var until: WallTime?
    var open: OpenSlot?
    var last: LastRun?
    var lastRunAt: WallTime?
    var lastResultAt: WallTime?
    var lastMissedAt: WallTime?
    var overlapSkips = 0
    var day = 0
    var dayRuns = 0
    var disabledAt: WallTime?
    var requests: [ManualRequest] = []
    var notes: [RawJSON] = []
    /// One element, or none for the many that are no checks.
    var healths: [HealthRecord] = []

    static let none = ScheduleTrace()
}

/// All that is known of one schedule.
struct ScheduleRecord: Sendable {
    let key: ScheduleKey
    var definition: Definition
    var status = ScheduleStatus.active
    /// Whether the latest decided slot became a run.
    var lastSlotRan = false
    /// Whether some slots were too many to be counted.
    var hasUncounted = false
    /// Not journaled: whether the state must be journaled in this turn.
    var isDirty = false
    /// The latest decided slot.
    var cursor: WallTime
    /// The greatest cursor ever: slots up to it were counted.
    var highest: WallTime
    var runs: [Run] = []
    var counts = SlotCounts()
    var runCount = 0
    var manual = 0
    var failures = 0
    /// Triggered slots since the schedule was made or enabled.
    var usedRuns = 0
    var createdAt: WallTime
    var updatedAt: WallTime
    /// Rises with each change that is journaled.
    var rev = 0
    /// Not journaled: when the view was published last, and a hash of what was published.
    var viewedAt: MonotonicTime?
    var viewHash: UInt64 = 0
    /// One element, or none.
    private var traces: [ScheduleTrace] = []

    init(key: ScheduleKey, definition: Definition, cursor: WallTime, now: WallTime) {
        self.key = key
        self.definition = definition
        self.cursor = cursor
        highest = cursor
        createdAt = now
        updatedAt = now
    }

    private mutating func keep(_ change: (inout ScheduleTrace) -> Void) {
        if !traces.isEmpty { return change(&traces[0]) }
        var fresh = ScheduleTrace.none
        change(&fresh)
        if fresh != .none { traces = [fresh] }
    }

    /// Why it is not active.
    var reason: String? {
        get { traces.isEmpty ? ScheduleTrace.none.reason : traces[0].reason }
        set { keep { $0.reason = newValue } }
    }

    /// What was said when it was paused.
    var note: String? {
        get { traces.isEmpty ? ScheduleTrace.none.note : traces[0].note }
        set { keep { $0.note = newValue } }
    }

    /// When it resumes by itself.
    var until: WallTime? {
        get { traces.isEmpty ? ScheduleTrace.none.until : traces[0].until }
        set { keep { $0.until = newValue } }
    }

    /// The slot that waits.
    var open: OpenSlot? {
        get { traces.isEmpty ? ScheduleTrace.none.open : traces[0].open }
        set { keep { $0.open = newValue } }
    }

    /// The last run whose result is known.
    var last: LastRun? {
        get { traces.isEmpty ? ScheduleTrace.none.last : traces[0].last }
        set { keep { $0.last = newValue } }
    }

    /// When a run began last.
    var lastRunAt: WallTime? {
        get { traces.isEmpty ? ScheduleTrace.none.lastRunAt : traces[0].lastRunAt }
        set { keep { $0.lastRunAt = newValue } }
    }

    /// When a result came last.
    var lastResultAt: WallTime? {
        get { traces.isEmpty ? ScheduleTrace.none.lastResultAt : traces[0].lastResultAt }
        set { keep { $0.lastResultAt = newValue } }
    }

    /// When a slot was missed last.
    var lastMissedAt: WallTime? {
        get { traces.isEmpty ? ScheduleTrace.none.lastMissedAt : traces[0].lastMissedAt }
        set { keep { $0.lastMissedAt = newValue } }
    }

    /// Skips for `overlap` in a row.
    var overlapSkips: Int {
        get { traces.isEmpty ? ScheduleTrace.none.overlapSkips : traces[0].overlapSkips }
        set { keep { $0.overlapSkips = newValue } }
    }

    /// The local day that `dayRuns` counts.
    var day: Int {
        get { traces.isEmpty ? ScheduleTrace.none.day : traces[0].day }
        set { keep { $0.day = newValue } }
    }

    /// Triggered slots in that day.
    var dayRuns: Int {
        get { traces.isEmpty ? ScheduleTrace.none.dayRuns : traces[0].dayRuns }
        set { keep { $0.dayRuns = newValue } }
    }

    /// When it was disabled.
    var disabledAt: WallTime? {
        get { traces.isEmpty ? ScheduleTrace.none.disabledAt : traces[0].disabledAt }
        set { keep { $0.disabledAt = newValue } }
    }

    /// Runs by hand, oldest first.
    var requests: [ManualRequest] {
        get { traces.isEmpty ? ScheduleTrace.none.requests : traces[0].requests }
        set { keep { $0.requests = newValue } }
    }

    /// The notifications in `memory`, oldest first.
    var notes: [RawJSON] {
        get { traces.isEmpty ? ScheduleTrace.none.notes : traces[0].notes }
        set { keep { $0.notes = newValue } }
    }

    /// What a check has found.
    var health: HealthRecord {
        get { traces.isEmpty ? HealthRecord() : traces[0].healths.first ?? HealthRecord() }
        set { keep { $0.healths = newValue == HealthRecord() ? [] : [newValue] } }
    }

    var policy: SchedulePolicy { definition.policy }

    /// Runs by slot or by hand whose result is not known.
    var liveRuns: Int { runs.reduce(0) { $0 + ($1.isLive ? 1 : 0) } }
    /// Slots whose run nobody has confirmed.
    var unconfirmedSlots: Int { runs.reduce(0) { $0 + ($1.kind == .slot && !$1.isConfirmed && !$1.isRepeat ? 1 : 0) } }
    /// Whether `max_runs` leaves no slot.
    var isUsedUp: Bool { definition.maxRuns.map { usedRuns >= $0 } ?? false }

    /// The counts with what is pending now.
    var slotCounts: SlotCounts {
        var counts = counts
        counts.pending = unconfirmedSlots + (open.map { $0.isRepeat ? 0 : 1 } ?? 0)
        return counts
    }

    /// The id of a slot's run.
    func runID(_ slot: WallTime) -> String { "\(key.name)~\(slot.basicText)" }

    /// When the decision that comes next is due.
    func nextDecision() -> WallTime? {
        guard status == .active, !isUsedUp, let slot = definition.timeline.next(after: cursor) else { return nil }
        return open == nil ? definition.due(slot, id: key.name) : slot
    }

    /// Until when a deferred run may wait: its own limit, else the next slot, else one day.
    func deferralEnd(_ slot: WallTime, due: WallTime) -> WallTime {
        let next = definition.timeline.next(after: slot)
        if policy.deferMaxAgeMs > 0 {
            let limit = due + policy.deferMaxAgeMs
            return next.map { min($0, limit) } ?? limit
        }
        return next ?? due + 86_400_000
    }
}
