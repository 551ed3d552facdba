import Contract
import Machine
import TimeModel
import Wire

/// `put` and `preview`: documents come in.
extension ScheduleEngine {
    /// A document that passed every check that needs no other schedule.
    private struct Accepted {
        var definition: WorkedDefinition
        var warnings: [ScheduleWarning]
    }

    private enum Reading {
        case refused(Reply)
        case accepted(Accepted)
    }

    mutating func putDocument(_ caller: Caller, _ raw: RawJSON, _ now: Now) -> Reply {
        let reader = settings.reader(raw, shortestIntervalMs: settings.shortestIntervalMs)
        if reader.isUnsupported { return .refused(.unsupportedSchema, "schema_version must be 1") }
        let known = schedules[caller.key]
        let accepted: Accepted
        switch read(reader, caller, known, now) {
        case .refused(let reply): return reply
        case .accepted(let found): accepted = found
        }
        if let wanted = reader.ifRevision, !ScheduleEngine.isUnchanged(known, since: wanted) {
            let data = known.map { view($0, now.wall).raw }
            return .refused(.conflictRev, "the schedule has changed", data: data)
        }
        if outbox.items.count >= Limits.unsentEvents {
            return .refused(.busy, "too many events wait to be sent", retryAfterMs: 5000)
        }
        guard var record = known else { return create(caller, accepted, now) }
        let before = ScheduleFace(record)
        if !accepted.definition.isSame(as: record.definition) {
            replace(&record, accepted.definition, caller, now)
            settle(&record, before: before, now)
        }
        return done(schedules[caller.key] ?? record, accepted.warnings, now)
    }

    /// Whether `if_rev` holds: 0 for what is not there, else a revision after which the definition has not changed.
    static func isUnchanged(_ record: ScheduleRecord?, since rev: Int) -> Bool {
        guard let record else { return rev == 0 }
        return rev > 0 && record.definition.rev <= rev
    }

    private func done(_ record: ScheduleRecord, _ warnings: [ScheduleWarning], _ now: Now) -> Reply {
        // The view's own fields stand beside the warnings.
        let view = view(record, now.wall)
        let data = RawJSON { writer in
            writer.object {
                view.writeFields(to: &$0)
                if !warnings.isEmpty { $0.field("warnings", ScheduleEngine.list(warnings)) }
            }
        }
        return .done(rev: record.definition.rev, data: data)
    }

    private static func list(_ warnings: [ScheduleWarning]) -> JSONValue {
        .array(
            warnings.map {
                .object([.init("code", .string($0.code.rawValue)), .init("why", .string($0.text))])
            })
    }

    /// Judges a document in the order of the codes; all faults are told, the first code counts.
    private func read(
        _ reader: ScheduleReader, _ caller: Caller, _ known: ScheduleRecord?, _ now: Now
    ) -> Reading {
        var problems = reader.problems
        let document = reader.document
        let anchor = anchor(document, known, now)
        var compiler = settings.compiler(caller.key.name)
        let definition = compiler.compile(document, anchor: anchor)
        for problem in compiler.problems where !problems.contains(where: { $0.path == problem.path }) {
            problems.append(problem)
        }
        if !document.workspace.isEmpty, document.workspace != caller.key.workspace {
            problems.append(
                ScheduleProblem("target.workspace_id", .permissionDenied, "is not the workspace of the topic"))
        }
        if let known, caller.verb == "put", known.definition.owner != caller.principal,
            !settings.isOperator(caller.principal)
        {
            problems.append(ScheduleProblem("", .permissionDenied, "only the owner and operators may replace it"))
        }
        guard problems.isEmpty, let definition else { return .refused(ScheduleEngine.refusal(problems)) }
        return .accepted(Accepted(definition: definition, warnings: warnings(definition, caller.key, now)))
    }

    /// An interval without `start_at` counts from its acceptance, as long as its rule stays the same.
    private func anchor(_ document: ScheduleDocument, _ known: ScheduleRecord?, _ now: Now) -> WallTime {
        guard let known, known.definition.type == document.type, document.type == .interval,
            known.definition.document.spec == document.spec
        else { return now.wall }
        return known.definition.anchor
    }

    private static let order: [Code] = [
        .invalidSpec, .missingTarget, .permissionDenied, .invalidMisfirePolicy, .invalidCondition, .invalidField,
    ]

    private static func refusal(_ problems: [ScheduleProblem]) -> Reply {
        let sorted = order.flatMap { code in problems.filter { $0.code == code } }
        guard let first = sorted.first else { return .refused(.internal, "the document cannot be read") }
        let data = RawJSON { writer in
            writer.object { $0.field("problems", Array(sorted.prefix(Limits.problems))) }
        }
        let place = first.path.isEmpty ? "" : "\(first.path): "
        return .refused(first.code, place + first.why, data: data)
    }

    private func warnings(_ definition: WorkedDefinition, _ key: ScheduleKey, _ now: Now) -> [ScheduleWarning] {
        var found: [ScheduleWarning] = []
        switch definition.timeline.rule {
        case .cron(let cron): found = cron.warnings(now: now.wall)
        case .interval: break
        case .once(let instant):
            if instant <= now.wall { found.append(ScheduleWarning(.past, "run_at lies in the past")) }
        }
        if definition.document.policy.jitterMs == 0, let slot = definition.timeline.next(after: now.wall) {
            if decisions.crowd(at: slot) >= ScheduleEngine.crowd {
                found.append(
                    ScheduleWarning(
                        .sameInstant, "more than \(ScheduleEngine.crowd) schedules fire at its next instant")
                )
            }
        }
        return found
    }

    /// So many schedules on one instant deserve a warning.
    static let crowd = 100

    private mutating func create(_ caller: Caller, _ accepted: Accepted, _ now: Now) -> Reply {
        let definition = accepted.definition
        let limit = settings.schedulesPerWorkspace
        if limit > 0, (workspaceCounts[caller.key.workspace] ?? 0) >= limit {
            return .refused(.limitReached, "the workspace has \(limit) \(settings.role.noun.rawValue)s")
        }
        if let refusal = overLimit(caller.key.workspace, definition.document.agent) { return refusal }
        var cursor = before(now.wall, definition.document.type, definition.anchor)
        if case .once(let instant) = definition.timeline.rule { cursor = min(cursor, instant - 1) }
        let owned = definition.named(rev: 1, owner: caller.principal)
        var record = ScheduleRecord(key: caller.key, definition: owned, cursor: cursor, now: now.wall)
        if !owned.isEnabled {
            record.status = .paused
            record.reason = "disabled by definition"
        }
        insert(&record, now)
        // Whoever puts something new begins a history: what else is retained is a stranger's from now on.
        if isReady { hasHistory = true }
        change(caller.key, now) { core, record in
            core.emit(.scheduleCreated, record, .principal(caller.principal), now) { $0.field("rev", 1) }
            core.decideSlots(&record, now)
        }
        return done(schedules[caller.key] ?? record, accepted.warnings, now)
    }

    /// Where a rule begins that is accepted at an instant: a check's interval fires at that instant too.
    private func before(_ instant: WallTime, _ type: ScheduleType, _ anchor: WallTime) -> WallTime {
        guard settings.role == .heartbeat, type == .interval, anchor == instant else { return instant }
        return instant - 1
    }

    /// Adds a schedule that was not known.
    mutating func insert(_ record: inout ScheduleRecord, _ now: Now) {
        workspaceCounts[record.key.workspace, default: 0] += 1
        journalDefinition(record)
        record.isDirty = true
        settle(&record, before: nil, now)
    }

    /// Another content: another rule decides all old slots and begins anew from now.
    private mutating func replace(
        _ record: inout ScheduleRecord, _ definition: WorkedDefinition, _ caller: Caller, _ now: Now
    ) {
        let old = record.definition
        let isOtherRule = !old.document.hasSameSlots(as: definition.document)
        if isOtherRule { leaveRule(&record, now) }
        // The revision that this turn's publication will have.
        record.definition = definition.named(rev: record.rev + 1, owner: old.owner)
        record.updatedAt = now.wall
        record.isDirty = true
        journalDefinition(record)
        let rev = record.definition.rev
        emit(.scheduleUpdated, record, .principal(caller.principal), now) {
            $0.field("rev", rev)
            $0.field("reason", "put")
        }
        if isOtherRule { enterRule(&record, now) }
        if old.isEnabled != definition.document.enabled { switchOnOrOff(&record, caller, now) }
        decideSlots(&record, now)
    }

    private mutating func leaveRule(_ record: inout ScheduleRecord, _ now: Now) {
        decideSlots(&record, now)
        if let open = record.open {
            record.open = nil
            skip(&record, .updated, open, now)
        }
        // What a pause or the end of its life swallowed; of an active one what its jitter still holds back.
        skipUpToNow(&record, record.status == .active ? .updated : .paused, now)
    }

    private mutating func enterRule(_ record: inout ScheduleRecord, _ now: Now) {
        moveCursor(&record, max(record.cursor, before(now.wall, record.definition.type, record.definition.anchor)))
        record.lastSlotRan = false
        if case .once(let instant) = record.definition.timeline.rule, instant <= now.wall {
            record.cursor = instant - 1
            record.highest = instant - 1
        }
        guard record.status == .disabled, record.definition.timeline.next(after: now.wall) != nil else { return }
        if overLimit(record.key.workspace, record.definition.agent) == nil { activate(&record, now) }
    }

    private mutating func switchOnOrOff(_ record: inout ScheduleRecord, _ caller: Caller, _ now: Now) {
        let enabled = record.definition.isEnabled
        if enabled, record.status == .paused {
            resume(&record, by: caller.principal, reason: "operator", catchUp: false, now)
        } else if !enabled, record.status == .active {
            pause(&record, by: caller.principal, note: nil, until: nil, now)
        }
    }

    // Preview.

    func preview(_ caller: Caller, _ raw: RawJSON, _ now: Now) -> Reply {
        let value = JSONValue(raw)
        let isDocument = ["type", "spec", "schedule"].contains { value[$0] != nil }
        let definition: WorkedDefinition
        var found: [ScheduleWarning] = []
        let reader = settings.reader(raw, shortestIntervalMs: settings.shortestIntervalMs)
        if isDocument {
            if reader.isUnsupported { return .refused(.unsupportedSchema, "schema_version must be 1") }
            switch read(reader, caller, nil, now) {
            case .refused(let reply): return reply
            case .accepted(let accepted):
                definition = accepted.definition
                found = accepted.warnings
            }
        } else {
            if let problem = reader.problems.first(where: { $0.path == "from" || $0.path == "count" }) {
                return .refused(.invalidField, "\(problem.path) \(problem.why)")
            }
            guard let record = schedules[caller.key] else {
                return notFound(caller)
            }
            definition = record.definition.worked
            found = warnings(definition, caller.key, now)
        }
        let slots = definition.timeline.next(reader.count ?? 5, after: reader.from ?? now.wall)
        return .done(data: ScheduleEngine.previewData(slots, definition, caller.key.name, found))
    }

    private static func previewData(
        _ slots: [WallTime], _ definition: WorkedDefinition, _ id: String, _ warnings: [ScheduleWarning]
    ) -> RawJSON {
        RawJSON { writer in
            writer.object {
                $0.key("next")
                $0.beginArray()
                for slot in slots {
                    $0.object {
                        $0.field("slot", slot)
                        $0.field("due", definition.due(slot, id: id))
                        $0.field("local", local(slot, definition.zone))
                        $0.field("note", note(slot, definition))
                    }
                }
                $0.endArray()
                $0.key("warnings")
                $0.value(RawJSON { ScheduleEngine.list(warnings).write(to: &$0) })
            }
        }
    }

    /// The slot as clocks in its zone show it, with their distance from UTC.
    private static func local(_ slot: WallTime, _ zone: Zone) -> String {
        let offset = zone.seconds(at: floorDivide(slot.milliseconds, 1000))
        let shown = (slot + offset * 1000).rfc3339.dropLast()
        let minutes = abs(offset) / 60
        let sign = offset < 0 ? "-" : "+"
        let text = String(10_000 + minutes / 60 * 100 + minutes % 60).dropFirst()
        return "\(shown)\(sign)\(text.prefix(2)):\(text.suffix(2))"
    }

    private static func note(_ slot: WallTime, _ definition: WorkedDefinition) -> SlotNote? {
        if let window = definition.window {
            if !window.hasWeekday(at: slot) { return .outsideDays }
            if !window.hasHour(at: slot) { return .outsideHours }
        }
        if case .cron(let cron) = definition.timeline.rule { return cron.note(at: slot) }
        return nil
    }
}
