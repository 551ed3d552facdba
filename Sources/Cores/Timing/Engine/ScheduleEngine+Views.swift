import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// The retained view of each schedule (`topics/schedules.md`, state).
extension ScheduleEngine {
    /// Ends a turn: records, then events, then views.
    mutating func flush(_ now: Now) {
        journalDirty()
        flushEvents()
        flushViews(now)
        flushMetrics(now)
    }

    /// Views of one turn; the others follow in the next.
    static let viewsPerTurn = 500

    private mutating func flushViews(_ now: Now) {
        guard isReady, term > 0 else { return }
        var left = ScheduleEngine.viewsPerTurn
        while left > 0, let top = views.first, top.priority <= now.monotonic {
            views.remove(top.key)
            guard var record = schedules[top.key] else { continue }
            let payload = view(record, now.wall).encoded
            record.viewedAt = now.monotonic
            record.viewHash = ScheduleEngine.hash(payload)
            schedules[top.key] = record
            effects.append(
                .publish(OutboundMessage(topic: viewTopic(top.key), payload: payload, retain: true)))
            left -= 1
        }
    }

    private static func hash(_ bytes: [UInt8]) -> UInt64 {
        var hash = TraceHash()
        hash.add(bytes)
        return hash.value
    }

    func viewTopic(_ key: ScheduleKey) -> String { Topic(key.workspace, settings.role.view(key.name)).name }

    /// What everybody sees of a schedule.
    func view(_ record: ScheduleRecord, _ now: WallTime) -> ScheduleView {
        var view = ScheduleView()
        view.rev = record.rev
        view.term = term
        view.owner = record.definition.owner
        view.timeZoneData = settings.zones.version
        view.definition = record.definition.text
        view.definitionRev = record.definition.rev
        view.state = state(record)
        if settings.role == .heartbeat { view.health = record.health.shown }
        return view
    }

    private func state(_ record: ScheduleRecord) -> ScheduleState {
        var state = ScheduleState()
        state.status = record.status
        state.reason = record.reason
        state.note = record.note
        state.until = record.until
        if record.status == .active, !record.isUsedUp {
            state.next = record.definition.timeline.next(5, after: record.cursor)
            state.nextRunAt = state.next.first.map { record.definition.due($0, id: record.key.name) }
        }
        state.cursor = record.cursor
        state.lastRunAt = record.lastRunAt
        state.last = record.last
        state.runCount = record.runCount
        state.manual = record.manual
        state.slots = record.slotCounts
        state.lastMissedAt = record.lastMissedAt
        if let open = record.open, let reason = open.deferred {
            state.pendingDeferred = PendingDeferral(
                run: record.runID(open.slot), reason: reason.rawValue, since: open.since)
        }
        state.live = record.runs.filter { $0.isLive && $0.isConfirmed }.prefix(Limits.liveShown).map(\.id)
        state.failures = record.failures
        state.createdAt = record.createdAt
        state.updatedAt = record.updatedAt
        return state
    }

    /// A view that came from the broker: our own echo, a stranger's, or one that nobody owns.
    mutating func takeView(_ key: ScheduleKey, _ payload: [UInt8], _ now: Now) {
        guard let record = schedules[key] else {
            if payload.isEmpty { return }
            if isAdopting {
                // The own record comes behind all views, however many there are.
                if readyBy != nil { readyBy = now.monotonic + ScheduleEngine.readyWithinMs }
                return adopt(key, payload, now)
            }
            // Without a history it may be one of its own, from a journal that was lost: it can still be taken over. With
            // one it is a stranger's.
            if hasHistory, isConnected {
                effects.append(.publish(OutboundMessage(topic: viewTopic(key), payload: [], retain: true)))
            }
            return
        }
        // Not what was published last: it is put right. An own echo that was overtaken causes one more publication.
        if let viewedAt = record.viewedAt, views.priority(of: key) == nil,
            ScheduleEngine.hash(payload) != record.viewHash
        {
            views.set(key, max(now.monotonic, viewedAt + 1000))
        }
    }

    /// Takes a retained view over as if it had been put, with its cursor and counts.
    private mutating func adopt(_ key: ScheduleKey, _ payload: [UInt8], _ now: Now) {
        guard let view = try? ScheduleView(decoding: payload) else { return }
        var compiler = settings.compiler(key.name)
        let reader = settings.reader(view.definition, shortestIntervalMs: 1)
        guard reader.problems.isEmpty,
            let compiled = compiler.compile(reader.document, anchor: view.state.createdAt)
        else {
            effects.append(
                .log(
                    LogEvent(
                        .warning, "view_not_adopted", "A retained schedule cannot be read",
                        [LogField("workspace", key.workspace), LogField("schedule", key.name)])))
            return
        }
        if !isTakingOver { journalTakeOver(true) }
        termLeft = max(termLeft, view.term)
        let definition = compiled.named(rev: max(1, view.definitionRev), owner: view.owner)
        var record = ScheduleRecord(key: key, definition: definition, cursor: view.state.cursor, now: now.wall)
        record.take(view.state)
        record.rev = view.rev
        if record.status == .disabled { record.disabledAt = now.wall }
        insert(&record, now)
        change(key, now) { core, record in core.decideSlots(&record, now) }
    }
}

extension ScheduleRecord {
    /// Takes over what a view tells.
    mutating func take(_ state: ScheduleState) {
        status = state.status
        reason = state.reason
        note = state.note
        until = state.until
        counts = state.slots
        counts.pending = 0
        hasUncounted = true
        runCount = state.runCount
        manual = state.manual
        failures = state.failures
        last = state.last
        lastRunAt = state.lastRunAt
        lastMissedAt = state.lastMissedAt
        createdAt = state.createdAt
        updatedAt = state.updatedAt
        usedRuns = state.slots.triggered + state.slots.deferred
    }
}
