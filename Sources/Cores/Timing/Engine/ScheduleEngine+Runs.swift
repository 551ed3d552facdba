import Contract
import Machine
import TimeModel
import Wire

/// Runs: intents, their answers, their results (`topics/schedules.md`, runs).
extension ScheduleEngine {
    /// A slot becomes a run: counted and journaled in this turn, published behind the journal.
    mutating func trigger(_ record: inout ScheduleRecord, _ open: OpenSlot, _ now: Now) {
        let policy = record.policy
        let expires =
            policy.misfire == .skip
            ? open.due + window(record, open.slot) : record.deferralEnd(open.slot, due: open.due)
        var run = Run(
            id: record.runID(open.slot), kind: .slot, slot: open.slot, sentAt: now.wall, expiresAt: expires,
            capability: record.definition.capability, body: [])
        run.deferred = open.deferred != nil
        // Sent again after a step of the clock, unless the first sending is still to be counted.
        let known = record.runs.first { $0.id == run.id }
        run.isRepeat = open.isRepeat && known.map { $0.isConfirmed || $0.isRepeat } ?? true
        let origin = RunOrigin(
            trigger: record.definition.trigger, scheduledAt: open.slot, dueAt: open.due, deferred: run.deferred,
            expiresAt: expires)
        run.body = intent(record, run.id, origin, listener: nil)
        record.runs.removeAll { $0.id == run.id }
        if !open.isRepeat {
            record.usedRuns += 1
            let day = localDay(record, now.wall)
            record.dayRuns = record.day == day ? record.dayRuns + 1 : 1
            record.day = day
        }
        record.lastRunAt = now.wall
        record.isDirty = true
        begin(&record, &run, now)
    }

    /// How long after it is due a run may begin: the grace, for a check no longer than until its next slot.
    private func window(_ record: ScheduleRecord, _ slot: WallTime) -> Int {
        let grace = record.policy.graceMs
        guard settings.role == .heartbeat, let next = record.definition.timeline.next(after: slot) else { return grace }
        return min(grace, next - slot)
    }

    /// Journals a run and sends it for the first time.
    mutating func begin(_ record: inout ScheduleRecord, _ run: inout Run, _ now: Now) {
        journal(run, record.key)
        send(&run, record.key, now)
        record.runs.append(run)
        record.isDirty = true
    }

    /// Publishes a run's intent and sets the time of its repetition.
    private mutating func send(_ run: inout Run, _ key: ScheduleKey, _ now: Now) {
        let topic = Topic(
            key.workspace, .intent(principal: settings.principal, capability: run.capability, id: run.id))
        var message = OutboundMessage(topic: topic.name, payload: run.body)
        let left = run.expiresAt - now.wall
        if left > 0 { message.expirySeconds = max(1, left / 1000) }
        if isReady { effects.append(.publish(message)) }
        if run.isConfirmed {
            run.resendAt = now.monotonic + Run.liveRepeatMs
        } else {
            run.resendAt = now.monotonic + run.backoffMs
            run.backoffMs = min(run.backoffMs * 2, Run.longestBackoffMs)
        }
    }

    /// The intent of a run by slot or by hand.
    func intent(_ record: ScheduleRecord, _ id: String, _ origin: RunOrigin, listener: String?) -> [UInt8] {
        var intent = record.definition.intent
        intent.executor = record.definition.isForAny ? nil : record.definition.agent
        intent.updates = .accepted
        intent.listeners = listener.map { [$0] }
        var context = intent.context ?? Context()
        context.requestID = id
        intent.context = context
        intent.origin = try? Origin(
            RawJSON { writer in
                writer.object {
                    $0.field("kind", settings.role.noun.rawValue)
                    $0.field(named: settings.role.noun.rawValue) { $0.value(record.key.name) }
                    $0.field("rev", record.definition.rev)
                    $0.field("owner", record.definition.owner)
                    $0.field("trigger", origin.trigger)
                    $0.field("scheduled_at", origin.scheduledAt)
                    $0.field("due_at", origin.dueAt)
                    $0.field("deferred", origin.deferred)
                    $0.field("expires_at", origin.expiresAt)
                }
            })
        return intent.encoded
    }

    /// What is due by the monotonic clock: repetitions, and a further look at what waits.
    mutating func repeatWhatIsDue(_ record: inout ScheduleRecord, _ now: Now) {
        for index in record.runs.indices.reversed() where isConnected && record.runs[index].resendAt <= now.monotonic {
            let run = record.runs[index]
            if run.wasRefused, !run.isConfirmed, now.wall >= run.expiresAt {
                record.runs.remove(at: index)
                expire(&record, run, now)
            } else {
                send(&record.runs[index], record.key, now)
            }
        }
        decideSlots(&record, now)
    }

    /// All runs again, as after a reconnect.
    mutating func repeatAll(_ record: inout ScheduleRecord, _ now: Now) {
        for index in record.runs.indices {
            record.runs[index].backoffMs = Run.firstBackoffMs
            send(&record.runs[index], record.key, now)
        }
    }

    /// The dispatcher has a run: it counts from here on.
    mutating func confirm(_ record: inout ScheduleRecord, _ index: Int, _ now: Now) {
        guard !record.runs[index].isConfirmed else { return }
        record.runs[index].isConfirmed = true
        record.runs[index].wasRefused = false
        record.runs[index].resendAt = now.monotonic + Run.liveRepeatMs
        record.isDirty = true
        let run = record.runs[index]
        switch run.kind {
        case .notification:
            record.runs.remove(at: index)
            return
        case .manual:
            record.manual += 1
            record.runCount += 1
            totals.manual += 1
            if let known = record.requests.firstIndex(where: { $0.run == run.id }) {
                record.requests[known].isConfirmed = true
            }
            answer(run.id, record.key, confirmed: true)
        case .slot:
            record.lastSlotRan = true
            if record.overlapSkips >= ScheduleEngine.stalledAfter { setStalled(record.key, false, now) }
            record.overlapSkips = 0
            if run.isRepeat { break }
            totals.triggered += 1
            record.runCount += 1
            if run.deferred { record.counts.deferred += 1 } else { record.counts.triggered += 1 }
        }
        // A check tells of a run when it has its result; a slot that was told before is not told again.
        if settings.role == .heartbeat || run.isRepeat { return }
        let trigger = run.kind == .manual ? RunTrigger.manual : record.definition.trigger
        emit(.scheduleTriggered, record, .run(run.id), now) {
            $0.field("task", run.id)
            $0.field("scheduled_at", run.slot)
            $0.field("trigger", trigger)
            $0.field("deferred", run.deferred)
        }
    }

    /// The dispatcher took a slot's intent no more, or had no room until it was too late: no run.
    mutating func expire(_ record: inout ScheduleRecord, _ run: Run, _ now: Now) {
        record.isDirty = true
        switch run.kind {
        case .notification: return
        case .manual:
            record.requests.removeAll { $0.run == run.id }
            return answer(run.id, record.key, confirmed: false)
        case .slot: break
        }
        if run.isRepeat { return }
        record.usedRuns = max(0, record.usedRuns - 1)
        if record.day == localDay(record, run.sentAt) { record.dayRuns = max(0, record.dayRuns - 1) }
        let open = OpenSlot(slot: run.slot, due: run.slot, deferred: nil, since: now.wall)
        skip(&record, .expired, open, now)
    }

    /// An update of one of our runs.
    mutating func take(_ update: Update, _ key: ScheduleKey, _ id: String, _ now: Now) {
        guard update.type == .accepted || update.type == .duplicate else { return }
        change(key, now) { core, record in
            guard let index = record.runs.firstIndex(where: { $0.id == id }) else { return }
            core.confirm(&record, index, now)
            core.decideSlots(&record, now)
        }
    }

    /// The result of one of our runs. As a first answer it may mean that there is no task.
    mutating func take(_ result: TaskResult, _ key: ScheduleKey, _ id: String, _ now: Now) {
        change(key, now) { core, record in
            guard let index = record.runs.firstIndex(where: { $0.id == id }) else { return }
            let run = record.runs[index]
            if !run.isConfirmed, result.status == .rejected {
                switch result.error?.code {
                case .expired?:
                    record.runs.remove(at: index)
                    core.expire(&record, run, now)
                    return core.decideSlots(&record, now)
                case .busy?, .rateLimited?, .shuttingDown?:
                    core.postpone(&record, index, result.error?.retryAfterMs ?? Run.firstBackoffMs, now)
                    return
                default: break
                }
            }
            core.confirm(&record, index, now)
            core.finish(&record, id, result, now)
            core.decideSlots(&record, now)
        }
    }

    private mutating func postpone(_ record: inout ScheduleRecord, _ index: Int, _ waitMs: Int, _ now: Now) {
        totals.refused += 1
        record.runs[index].wasRefused = true
        let left = record.runs[index].expiresAt - now.wall
        record.runs[index].resendAt = now.monotonic + (left > 0 ? min(max(waitMs, 100), left) : 100)
        record.isDirty = true
    }

    /// A run has ended: the last run, failures in a row, notifications.
    private mutating func finish(_ record: inout ScheduleRecord, _ id: String, _ result: TaskResult, _ now: Now) {
        guard let index = record.runs.firstIndex(where: { $0.id == id }) else { return }
        let run = record.runs.remove(at: index)
        totals.results += 1
        let started = result.attempts.first?.startedAt ?? run.sentAt
        record.last = LastRun(
            run: id, status: result.status, code: result.error?.code, startedAt: started, durationMs: result.durationMs)
        if result.attempts.first != nil, record.runs.allSatisfy({ $0.sentAt <= run.sentAt }) {
            record.lastRunAt = started
        }
        record.lastResultAt = now.wall
        record.failures = result.status == .success ? 0 : record.failures + 1
        record.isDirty = true
        notify(&record, run, result, now)
        conclude(&record, run, result, now)
        let limit = record.policy.disableAfter
        if limit > 0, record.failures >= limit, record.status != .disabled { disable(&record, .failures, now) }
    }

    private mutating func notify(_ record: inout ScheduleRecord, _ run: Run, _ result: TaskResult, _ now: Now) {
        var note = blankNote(record)
        note.run = run.id
        note.status = result.status
        note.code = result.error?.code
        note.message = result.error?.message.map { String($0.prefix(512)) }
        note.scheduledAt = run.slot
        note.durationMs = result.durationMs
        let wanted = record.definition.notifications
        let standard = [ScheduleNotification(channel: .memory)]
        let list = result.status == .success ? wanted.onSuccess ?? [] : wanted.onFailure ?? standard
        notify(&record, list, note, now)
    }

    /// A notification that says nothing yet.
    func blankNote(_ record: ScheduleRecord) -> ScheduleNote {
        settings.role == .scheduler ? ScheduleNote(schedule: record.key.name) : ScheduleNote(check: record.key.name)
    }

    /// Sends a notification to each channel; one that fails stops no other.
    mutating func notify(
        _ record: inout ScheduleRecord, _ list: [ScheduleNotification], _ note: ScheduleNote, _ now: Now
    ) {
        var webhooks = 0
        for notification in list {
            switch notification.channel {
            case .log: publishLog(record.key, note)
            case .memory: remember(&record, note)
            case .webhook:
                webhooks += 1
                callWebhook(&record, notification, note, webhooks, now)
            }
        }
    }

    private mutating func callWebhook(
        _ record: inout ScheduleRecord, _ notification: ScheduleNotification, _ note: ScheduleNote, _ number: Int,
        _ now: Now
    ) {
        let id = "\(note.run ?? record.runID(now.wall)).n\(number)"
        guard Names.isID(id) else { return }
        var run = Run(
            id: id, kind: .notification, slot: now.wall, sentAt: now.wall,
            expiresAt: now.wall + ScheduleEngine.actionMs, capability: ScheduleEngine.webhook, body: [])
        var intent = Intent()
        intent.input = RawJSON { writer in
            writer.object {
                $0.field("config", notification.config ?? .emptyObject)
                $0.field("body", note)
            }
        }
        intent.updates = .accepted
        intent.context = Context(requestID: id)
        intent.origin = sideOrigin(record, run.expiresAt)
        run.body = intent.encoded
        begin(&record, &run, now)
    }
}

/// What an intent says of its cause.
struct RunOrigin {
    var trigger: RunTrigger
    var scheduledAt: WallTime
    var dueAt: WallTime
    var deferred: Bool
    var expiresAt: WallTime
}
