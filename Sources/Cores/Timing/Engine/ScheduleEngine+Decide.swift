import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// The decision of slots (`topics/schedules.md`, decision).
extension ScheduleEngine {
    /// Decides what is due: a pause that ends, a disabled schedule whose time is over, slots.
    mutating func decide(_ record: inout ScheduleRecord, _ now: Now) {
        switch record.status {
        case .disabled:
            // Its view and notes can be cleared only now.
            if isReady, let since = record.disabledAt, now.wall >= since + record.policy.keepMs {
                remove(record, actor: settings.principal, reason: "keep_ms", now)
            }
        case .paused:
            if let until = record.until, now.wall >= until {
                resume(&record, by: settings.principal, reason: "until", catchUp: false, now)
            }
        case .active:
            guard settings.isEnabled else { return }
            decideSlots(&record, now)
        }
    }

    /// Looks at the latest slot, skips older ones together, and judges what waits.
    mutating func decideSlots(_ record: inout ScheduleRecord, _ now: Now) {
        guard record.status == .active, mayDecide, settings.isEnabled else { return }
        if !record.isUsedUp { takeLatest(&record, now) }
        judge(&record, now)
        endIfOver(&record, now)
    }

    private mutating func takeLatest(_ record: inout ScheduleRecord, _ now: Now) {
        let timeline = record.definition.timeline
        guard outbox.hasRoom, let latest = timeline.previous(atOrBefore: now.wall), latest > record.cursor else {
            return
        }
        if let open = record.open {
            record.open = nil
            skip(&record, .absorbed, open, now)
        }
        let counted = max(record.cursor, record.highest)
        if let older = timeline.slots(after: counted, before: latest, limit: Limits.countedSlots) {
            skip(&record, .superseded, older, now)
        }
        if let last = timeline.previous(atOrBefore: latest - 1), last > record.cursor { moveCursor(&record, last) }
        let due = record.definition.due(latest, id: record.key.name)
        guard now.wall >= due else { return }
        var open = OpenSlot(slot: latest, due: due, deferred: nil, since: now.wall)
        open.isRepeat = latest <= record.highest
        moveCursor(&record, latest)
        if isAtRest(record, latest) { return skip(&record, .rest, open, now) }
        if let reason = closedWindow(record, at: latest) { return skip(&record, reason, open, now) }
        record.open = open
        record.isDirty = true
        if now.wall - due > record.policy.graceMs { misfire(&record, .late, now) }
    }

    /// All slots up to now that are not decided yet end without a run, told together.
    mutating func skipUpToNow(_ record: inout ScheduleRecord, _ reason: SkipReason, _ now: Now) {
        let counted = max(record.cursor, record.highest)
        guard
            let range = record.definition.timeline.slots(
                after: counted, before: now.wall + 1, limit: Limits.countedSlots)
        else { return }
        skip(&record, reason, range, now)
        moveCursor(&record, max(record.cursor, range.last))
    }

    func moveCursor(_ record: inout ScheduleRecord, _ slot: WallTime) {
        record.cursor = slot
        record.highest = max(record.highest, slot)
        record.isDirty = true
    }

    /// Judges an open slot: triggers it, ends it, or lets it wait.
    mutating func judge(_ record: inout ScheduleRecord, _ now: Now) {
        guard var open = record.open, record.status == .active, now.wall >= open.due else { return }
        if open.isEarly {
            open.isEarly = false
            record.open = open
        }
        if open.deferred == nil, now.wall - open.due > record.policy.graceMs {
            misfire(&record, open.waitsFor, now)
        } else if open.deferred != nil, now.wall >= record.deferralEnd(open.slot, due: open.due) {
            record.open = nil
            return skip(&record, .late, open, now)
        }
        guard var open = record.open else { return }
        let isDeferred = open.deferred != nil
        switch gate(record, open, now) {
        case .open:
            record.open = nil
            trigger(&record, open, now)
        case .closed(let reason):
            if isDeferred { return }
            record.open = nil
            skip(&record, reason, open, now)
        case .overlap:
            if isDeferred { return }
            misfire(&record, .overlap, now)
        case .waits(let reason, let verdict):
            guard open.waitsFor != reason || open.verdict != verdict else { return }
            open.waitsFor = reason
            open.verdict = verdict
            record.open = open
        case .waitsForRoom:
            open.waitsFor = .late
            open.verdict = nil
            record.open = open
            heldBack.set(record.key, open.due)
        }
    }

    /// A slot was missed: it is skipped, or deferred once.
    private mutating func misfire(_ record: inout ScheduleRecord, _ reason: SkipReason, _ now: Now) {
        guard var open = record.open else { return }
        if record.policy.misfire == .skip {
            record.open = nil
            return skip(&record, reason, open, now)
        }
        open.deferred = reason
        open.since = now.wall
        record.open = open
        record.isDirty = true
        guard !open.isRepeat else { return }
        let run = record.runID(open.slot)
        emit(.misfiredDeferred, record, .run(run), now) {
            $0.field("reason", reason)
            $0.field("run", run)
            $0.field("verdict", open.verdict)
        }
    }

    /// One slot ends without a run.
    mutating func skip(_ record: inout ScheduleRecord, _ reason: SkipReason, _ open: OpenSlot, _ now: Now) {
        record.isDirty = true
        if open.isRepeat { return }
        let range = SlotRange(count: 1, first: open.slot, last: open.slot, more: false)
        skip(&record, reason, range, verdict: reason == .target ? open.verdict : nil, now)
    }

    /// Some slots end without a run, told together.
    mutating func skip(
        _ record: inout ScheduleRecord, _ reason: SkipReason, _ range: SlotRange, verdict: String? = nil, _ now: Now
    ) {
        record.isDirty = true
        record.counts.skipped[reason, default: 0] += range.count
        if range.more { record.hasUncounted = true }
        if range.last >= record.cursor { record.lastSlotRan = false }
        if reason.event == .misfiredSkipped {
            totals.missed += range.count
            record.lastMissedAt = now.wall
        } else {
            totals.skipped += range.count
        }
        noteOverlap(&record, reason, now)
        if reason == .rest { return }
        let run = record.runID(range.last)
        emit(reason.event, record, .run(run), now) {
            $0.field("reason", reason)
            $0.field("count", range.count)
            $0.field("first", range.first)
            $0.field("last", range.last)
            if range.more { $0.field("more", true) }
            $0.field("verdict", verdict)
        }
        switch reason {
        case .paused, .updated, .deleted: break
        default:
            var note = blankNote(record)
            note.run = run
            note.event = reason.event.rawValue
            note.reason = reason.rawValue
            note.scheduledAt = range.last
            notify(&record, record.definition.notifications.onSkip ?? [], note, now)
        }
    }

    /// Three skips for `overlap` in a row stand in an alert until a slot triggers.
    private mutating func noteOverlap(_ record: inout ScheduleRecord, _ reason: SkipReason, _ now: Now) {
        guard reason == .overlap else { return }
        record.overlapSkips += 1
        if record.overlapSkips == ScheduleEngine.stalledAfter { setStalled(record.key, true, now) }
    }

    static let stalledAfter = 3

    /// Disables a schedule that has nothing left to decide.
    mutating func endIfOver(_ record: inout ScheduleRecord, _ now: Now) {
        guard record.status == .active, record.open == nil, record.unconfirmedSlots == 0 else { return }
        if record.isUsedUp {
            disable(&record, .maxRuns, now)
        } else if record.definition.timeline.next(after: record.cursor) == nil {
            let isOneShot = record.definition.type == .oneShot
            disable(&record, isOneShot ? (record.lastSlotRan ? .completed : .expired) : .ended, now)
        }
    }

    /// Ends a schedule's life.
    mutating func disable(_ record: inout ScheduleRecord, _ reason: DisableReason, _ now: Now) {
        if let open = record.open {
            record.open = nil
            skip(&record, .updated, open, now)
        }
        record.status = .disabled
        record.reason = reason.rawValue
        record.until = nil
        record.disabledAt = now.wall
        record.isDirty = true
        updateAlert(&record)
        emit(.scheduleDisabled, record, .scheduler, now) { $0.field("reason", reason) }
    }
}

/// What the gates say of a slot that is due.
enum GateVerdict: Hashable {
    /// It may run.
    case open
    /// It is skipped.
    case closed(SkipReason)
    /// All runs are live.
    case overlap
    /// Not now; its window ends with this reason.
    case waits(SkipReason, verdict: String?)
    /// Too many runs are unconfirmed: in order of due as soon as there are fewer.
    case waitsForRoom
}

/// The gates, in their order; the first closed one is the reason.
extension ScheduleEngine {
    /// Gates 2 and 3, judged at an instant.
    func closedWindow(_ record: ScheduleRecord, at instant: WallTime) -> SkipReason? {
        guard let window = record.definition.window else { return nil }
        if !window.hasWeekday(at: instant) { return .daysOfWeek }
        return window.hasHour(at: instant) ? nil : .activeHours
    }

    /// Whether a check's target is at rest.
    func isAtRest(_ record: ScheduleRecord, _ instant: WallTime) -> Bool {
        !settings.rest.isEmpty && settings.isAtRest(record.definition.agent, at: instant)
    }

    func gate(_ record: ScheduleRecord, _ open: OpenSlot, _ now: Now) -> GateVerdict {
        if let reason = closedWindow(record, at: open.slot) { return .closed(reason) }
        if open.deferred != nil, let reason = closedWindow(record, at: now.wall) { return .closed(reason) }
        if let reason = closedCondition(record, open, now) { return .closed(reason) }
        if let reason = closedRate(record, now) { return .closed(reason) }
        if record.liveRuns >= record.policy.maxConcurrentRuns {
            return awaitsEnd(record, now) ? .waits(.overlap, verdict: nil) : .overlap
        }
        if !isConnected { return .waits(.late, verdict: nil) }
        let target = targetGate(record)
        return target == .open && unconfirmed >= Limits.unconfirmedRuns ? .waitsForRoom : target
    }

    /// Whether a check's live run is over by its own limit and its end is only not known yet: a target that nobody
    /// reaches is a finding at every slot, not at every other one.
    private func awaitsEnd(_ record: ScheduleRecord, _ now: Now) -> Bool {
        guard settings.role == .heartbeat else { return false }
        return record.runs.contains { run in
            run.isLive && (0..<ScheduleEngine.endKnownMs).contains(now.wall - run.expiresAt)
        }
    }

    /// How long after its limit the end of a check's run is waited for, in ms.
    static let endKnownMs = 2000

    /// Gate 4 alone, which a manual run has to pass too.
    func isInEnvironment(_ record: ScheduleRecord) -> Bool {
        record.definition.environment?.contains(settings.environment) ?? true
    }

    private func closedCondition(_ record: ScheduleRecord, _ open: OpenSlot, _ now: Now) -> SkipReason? {
        if !isInEnvironment(record) { return .environment }
        let target = target(record)
        if let wanted = record.definition.sessionActive, wanted != target.isOnline {
            return .sessionActive
        }
        guard let custom = record.definition.custom else { return nil }
        do {
            return try custom.holds { value($0, record, open, now) } ? nil : .custom
        } catch { return .customError }
    }

    private func closedRate(_ record: ScheduleRecord, _ now: Now) -> SkipReason? {
        if record.policy.cooldownMs > 0, let since = coolingSince(record), now.wall - since < record.policy.cooldownMs {
            return .cooldown
        }
        guard record.policy.limitPerDay > 0 else { return nil }
        let isSameDay = record.day == localDay(record, now.wall)
        return isSameDay && record.dayRuns >= record.policy.limitPerDay ? .limitPerDay : nil
    }

    /// The last run's result, or its start while it lives.
    private func coolingSince(_ record: ScheduleRecord) -> WallTime? {
        var since = record.lastResultAt
        for run in record.runs where run.isLive { since = max(since ?? run.sentAt, run.sentAt) }
        return since
    }

    func localDay(_ record: ScheduleRecord, _ instant: WallTime) -> Int {
        record.definition.zone.local(at: floorDivide(instant.milliseconds, 1000)).dayNumber
    }

    private func targetGate(_ record: ScheduleRecord) -> GateVerdict {
        // A check finds out about its target: no gate.
        if record.definition.isForAny || settings.role == .heartbeat { return .open }
        let verdict = verdict(target(record), in: record.key.workspace)
        switch verdict {
        case Verdict.ready.rawValue, Verdict.running.rawValue, Verdict.busy.rawValue: return .open
        default: return .waits(.target, verdict: verdict)
        }
    }

    func target(_ record: ScheduleRecord) -> TargetState {
        targets[ScheduleKey(workspace: record.key.workspace, name: record.definition.agent)] ?? TargetState()
    }

    /// What is thought of a target: heartbeat's word while there is one that serves the workspace, else its own status.
    func verdict(_ target: TargetState, in workspace: String) -> String {
        if heartbeats.values.contains(where: { $0.serves(workspace) }) { return (target.verdict ?? .unknown).rawValue }
        guard let status = target.status else { return Verdict.unknown.rawValue }
        return status == .online ? Verdict.ready.rawValue : status.rawValue
    }

    private func value(
        _ variable: ConditionVariable, _ record: ScheduleRecord, _ open: OpenSlot, _ now: Now
    ) -> ConditionValue {
        let instant = open.deferred == nil ? open.slot : now.wall
        let local = record.definition.zone.local(at: floorDivide(instant.milliseconds, 1000))
        switch variable {
        case .year: return .int(local.date.year)
        case .month: return .int(local.date.month)
        case .day: return .int(local.date.day)
        case .hour: return .int(local.hour)
        case .minute: return .int(local.minute)
        case .weekday: return .int(CivilDate.weekday(dayNumber: local.dayNumber))
        case .date: return .string(local.date.text)
        case .time: return .string(clockText(local))
        case .now: return .int(now.wall.milliseconds)
        case .slot: return .int(open.slot.milliseconds)
        case .lateness: return .int(now.wall - open.due)
        default: return stateValue(variable, record, open, now)
        }
    }

    private func stateValue(
        _ variable: ConditionVariable, _ record: ScheduleRecord, _ open: OpenSlot, _ now: Now
    ) -> ConditionValue {
        let target = target(record)
        switch variable {
        case .runCount: return .int(record.runCount)
        case .liveRuns: return .int(record.liveRuns)
        case .failures: return .int(record.failures)
        case .sinceLast: return record.lastRunAt.map { .int(now.wall - $0) } ?? .null
        case .lastStatus: return record.last.map { .string($0.status.rawValue) } ?? .null
        case .agentStatus:
            let isKnown = target.status != nil || target.verdict != nil
            return isKnown && !record.definition.isForAny ? .string(verdict(target, in: record.key.workspace)) : .null
        case .deferred: return .bool(open.deferred != nil)
        case .sessionActive: return .bool(target.isOnline)
        case .environment: return .string(settings.environment)
        case .workspace: return .string(record.key.workspace)
        case .agent: return .string(record.definition.agent)
        default: return .string(record.key.name)
        }
    }

    private func clockText(_ local: CivilTime) -> String {
        let hour = local.hour < 10 ? "0\(local.hour)" : "\(local.hour)"
        return local.minute < 10 ? "\(hour):0\(local.minute)" : "\(hour):\(local.minute)"
    }
}

/// What is known of an executor.
struct TargetState: Hashable, Sendable {
    /// What it says of itself.
    var status: ExecutorState?
    /// What heartbeat says of it.
    var verdict: Verdict?

    /// Whether its status is `online`.
    var isOnline: Bool { status == .online }
}
