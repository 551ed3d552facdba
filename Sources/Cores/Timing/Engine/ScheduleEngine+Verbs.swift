import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Pause, resume, enable, trigger, delete.
extension ScheduleEngine {
    mutating func pause(
        _ record: inout ScheduleRecord, _ caller: Caller, _ command: ScheduleCommand, _ now: Now
    ) -> Reply {
        if record.status == .disabled { return .refused(.expired, "the schedule is disabled: \(record.reason ?? "")") }
        let isSame = record.status == .paused && record.note == command.note && record.until == command.until
        if !isSame { pause(&record, by: caller.principal, note: command.note, until: command.until, now) }
        return .done(rev: record.definition.rev, data: view(record, now.wall).raw)
    }

    mutating func pause(
        _ record: inout ScheduleRecord, by actor: String, note: String?, until: WallTime?, _ now: Now
    ) {
        if let open = record.open {
            record.open = nil
            skip(&record, .paused, open, now)
        }
        let wasPaused = record.status == .paused
        record.status = .paused
        record.reason = "operator"
        record.note = note
        record.until = until
        record.isDirty = true
        updateAlert(&record)
        guard !wasPaused else { return }
        emit(.schedulePaused, record, .principal(actor), now) {
            $0.field("reason", "operator")
            $0.field("until", until)
            $0.field("note", note)
        }
    }

    mutating func resume(
        _ record: inout ScheduleRecord, _ caller: Caller, _ command: ScheduleCommand, _ now: Now
    ) -> Reply {
        if record.status == .disabled { return .refused(.expired, "the schedule is disabled: \(record.reason ?? "")") }
        if command.catchUp, record.policy.misfire == .skip {
            return .refused(.invalidMisfirePolicy, "catch_up needs policy.misfire defer_once")
        }
        if record.status == .paused {
            resume(&record, by: caller.principal, reason: "operator", catchUp: command.catchUp, now)
        }
        return .done(rev: record.definition.rev, data: view(record, now.wall).raw)
    }

    /// What the pause swallowed is skipped together; with `catch_up` the latest of it is deferred.
    mutating func resume(
        _ record: inout ScheduleRecord, by actor: String, reason: String, catchUp: Bool, _ now: Now
    ) {
        record.status = .active
        record.reason = nil
        record.note = nil
        record.until = nil
        record.isDirty = true
        updateAlert(&record)
        leavePause(&record, catchUp: catchUp, now)
        emit(.scheduleResumed, record, .principal(actor), now) {
            $0.field("reason", reason)
            $0.field("next_run_at", record.nextDecision())
        }
        judge(&record, now)
        endIfOver(&record, now)
    }

    /// Decides the slots of a pause; the cursor comes to now.
    private mutating func leavePause(_ record: inout ScheduleRecord, catchUp: Bool, _ now: Now) {
        let timeline = record.definition.timeline
        let counted = max(record.cursor, record.highest)
        let latest = catchUp ? timeline.previous(atOrBefore: now.wall).flatMap { $0 > counted ? $0 : nil } : nil
        if let range = timeline.slots(after: counted, before: latest ?? now.wall + 1, limit: Limits.countedSlots) {
            skip(&record, .paused, range, now)
        }
        moveCursor(&record, max(record.cursor, now.wall))
        guard let latest else { return }
        var open = OpenSlot(
            slot: latest, due: record.definition.due(latest, id: record.key.name), deferred: .paused, since: now.wall)
        if let reason = closedWindow(record, at: latest) { return skip(&record, reason, open, now) }
        open.waitsFor = .late
        record.open = open
        let run = record.runID(latest)
        emit(.misfiredDeferred, record, .run(run), now) {
            $0.field("reason", SkipReason.paused)
            $0.field("run", run)
        }
    }

    mutating func enable(_ record: inout ScheduleRecord, _ caller: Caller, _ now: Now) -> Reply {
        guard record.status == .disabled else {
            return .done(rev: record.definition.rev, data: view(record, now.wall).raw)
        }
        guard record.definition.timeline.next(after: now.wall) != nil, !lacksZone(record) else {
            return .refused(.invalidSpec, "no slot lies ahead")
        }
        if let refusal = overLimit(record.key.workspace, record.definition.agent) { return refusal }
        activate(&record, now)
        emit(.scheduleResumed, record, .principal(caller.principal), now) {
            $0.field("reason", "enabled")
            $0.field("next_run_at", record.nextDecision())
        }
        return .done(rev: record.definition.rev, data: view(record, now.wall).raw)
    }

    private func lacksZone(_ record: ScheduleRecord) -> Bool {
        var compiler = settings.compiler(record.key.name)
        return compiler.compile(record.definition.document, anchor: record.definition.anchor) == nil
    }

    /// From disabled to active: nothing of the time in between is owed.
    mutating func activate(_ record: inout ScheduleRecord, _ now: Now) {
        skipUpToNow(&record, .paused, now)
        record.status = .active
        record.reason = nil
        record.disabledAt = nil
        record.usedRuns = 0
        record.failures = 0
        moveCursor(&record, max(record.cursor, now.wall))
    }

    /// A run by hand: passes pause, hours, condition, cooldown and limit; the dispatcher decides the rest.
    mutating func triggerNow(
        _ record: inout ScheduleRecord, _ caller: Caller, _ command: ScheduleCommand, _ now: Now
    ) -> Reply? {
        let request = command.requestID ?? WallTime(milliseconds: now.wall.milliseconds / 1000 * 1000).basicText
        let id = "\(record.key.name)~m.\(request)"
        guard Names.isID(id) else { return .refused(.invalidField, "request_id is too long for this schedule") }
        if let known = record.requests.first(where: { $0.run == id }), known.isConfirmed {
            return .done(data: ScheduleEngine.task(id, confirmed: true))
        }
        if !record.requests.contains(where: { $0.run == id }) {
            if !isInEnvironment(record) {
                return .refused(.invalidCondition, "the environment is \(settings.environment)")
            }
            if record.liveRuns >= record.policy.maxConcurrentRuns {
                return .refused(.busy, "as many runs are live as max_concurrent_runs allows", retryAfterMs: 1000)
            }
            startManual(&record, id, caller.principal, now)
        }
        let reply = PendingReply(
            at: now.monotonic + ScheduleEngine.replyWithinMs, key: record.key, run: id, topic: caller.replyTopic,
            correlation: caller.correlation)
        replies.append(reply)
        return nil
    }

    /// How long `trigger` waits for the dispatcher.
    static let replyWithinMs = 5000

    private mutating func startManual(_ record: inout ScheduleRecord, _ id: String, _ principal: String, _ now: Now) {
        let expires = now.wall + record.policy.graceMs
        var run = Run(
            id: id, kind: .manual, slot: now.wall, sentAt: now.wall, expiresAt: expires,
            capability: record.definition.capability, body: [])
        let origin = RunOrigin(
            trigger: .manual, scheduledAt: now.wall, dueAt: now.wall, deferred: false, expiresAt: expires)
        run.body = intent(record, id, origin, listener: principal)
        record.requests.append(ManualRequest(run: id, isConfirmed: false))
        if record.requests.count > Limits.manualRequests { record.requests.removeFirst() }
        record.lastRunAt = now.wall
        begin(&record, &run, now)
    }

    mutating func delete(_ caller: Caller, _ record: ScheduleRecord, _ command: ScheduleCommand, _ now: Now) -> Reply {
        if let wanted = command.ifRev, !ScheduleEngine.isUnchanged(record, since: wanted) {
            return .refused(.conflictRev, "the schedule has changed", data: view(record, now.wall).raw)
        }
        remove(record, actor: caller.principal, reason: "operator", now)
        return .done(rev: record.definition.rev)
    }

    /// Ends a schedule for good: its view and notes are cleared, its live runs go on without it.
    mutating func remove(_ given: ScheduleRecord, actor: String, reason: String, _ now: Now) {
        var record = given
        if let open = record.open {
            record.open = nil
            skip(&record, .deleted, open, now)
        }
        if record.overlapSkips >= ScheduleEngine.stalledAfter { setStalled(record.key, false, now) }
        emit(.scheduleDeleted, record, .principal(actor), now) { $0.field("reason", reason) }
        for run in record.runs where run.kind == .manual { answer(run.id, record.key, confirmed: run.isConfirmed) }
        let key = record.key
        journal {
            $0.field("k", "del")
            $0.field("w", key.workspace)
            $0.field("s", key.name)
        }
        if isConnected {
            effects.append(.publish(OutboundMessage(topic: viewTopic(key), payload: [], retain: true)))
            effects.append(.publish(OutboundMessage(topic: memoryTopic(key), payload: [], retain: true)))
            if record.health.isAlerting { publishAlert(key.workspace, eventKey(key), nil) }
        }
        forget(&record)
    }

    /// Drops all that is held of a schedule.
    mutating func forget(_ record: inout ScheduleRecord) {
        let key = record.key
        guard let known = schedules.removeValue(forKey: key) else { return }
        let face = ScheduleFace(known)
        if let agent = face.countedAgent {
            let number = (agentCounts[agent] ?? 0) - 1
            agentCounts[agent] = number > 0 ? number : nil
        }
        unconfirmed -= face.unconfirmed
        let number = (workspaceCounts[key.workspace] ?? 0) - 1
        workspaceCounts[key.workspace] = number > 0 ? number : nil
        decisions.set(key, nil)
        repetitions.remove(key)
        views.remove(key)
        openSlots.remove(key)
        heldBack.remove(key)
        failingChecks.remove(key)
    }

    /// Refuses one schedule more than the limits allow.
    func overLimit(_ workspace: String, _ name: String) -> Reply? {
        guard name != ScheduleDocument.anyAgent, settings.schedulesPerAgent > 0 else { return nil }
        let agent = ScheduleKey(workspace: workspace, name: name)
        guard (agentCounts[agent] ?? 0) >= settings.schedulesPerAgent else { return nil }
        return .refused(.limitReached, "\(name) has \(settings.schedulesPerAgent) schedules")
    }
}
