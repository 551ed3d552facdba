import Contract
import TimeModel
import Wire

/// A document with everything that can be worked out from it once. It never changes and is shared: a schedule's record
/// holds one reference to it. What decisions need lies ready; the rest is read again from its text when it is asked for.
final class Definition: Sendable {
    /// The canonical document with its revision, as the journal and the view have it.
    let text: RawJSON
    /// The kind of rule.
    let type: ScheduleType
    /// The executor that is to do the work, or `@any`.
    let agent: String
    /// What is run.
    let capability: String
    /// Whether it begins active.
    let isEnabled: Bool
    /// Why it has no slots on this machine.
    let flaw: DisableReason?
    /// Rises with each change: the revision of the publication that told of it.
    let rev: Int
    /// Who put it first.
    let owner: String
    /// What the slots of an interval without `start_at` count from.
    let anchor: WallTime
    /// The slots.
    let timeline: Timeline
    /// Whose clock the day and the custom condition go by.
    let zone: Zone
    /// The fields of `work`, as they go into an intent; empty when there are none.
    private let intentText: [UInt8]
    /// What only some have: absent when all of it is the default.
    private let rest: Rest?

    /// The parts of a definition that most do without.
    private final class Rest: Sendable {
        let policy: SchedulePolicy
        let maxRuns: Int?
        let notifications: ScheduleNotifications
        let environment: [String]?
        let sessionActive: Bool?
        let window: LocalWindow?
        let custom: CustomCondition?
        let check: CheckRules?

        /// `nil` when all of it is the default.
        init?(_ worked: WorkedDefinition) {
            let document = worked.document
            policy = document.policy
            maxRuns = document.bounds.maxRuns
            notifications = document.notifications
            environment = document.conditions.environment
            sessionActive = document.conditions.sessionActive
            window = worked.window
            custom = worked.custom
            check = document.check
            let isPlain =
                policy == Rest.policy && maxRuns == nil && notifications == ScheduleNotifications()
                && document.conditions.isEmpty && check == nil
            if isPlain { return nil }
        }

        static let policy = SchedulePolicy()
    }

    /// A definition that was worked out.
    init(_ worked: WorkedDefinition, rev: Int, owner: String) {
        let document = worked.document
        text = RawJSON { writer in
            writer.object {
                $0.field("rev", rev)
                document.writeFields(to: &$0)
            }
        }
        type = document.type
        agent = document.agent
        capability = document.work.capability
        isEnabled = document.enabled
        flaw = worked.flaw
        intentText = document.work.intent == Intent() ? [] : document.work.intent.raw.bytes
        rest = Rest(worked)
        self.rev = rev
        self.owner = owner
        anchor = worked.anchor
        timeline = worked.timeline
        zone = worked.zone
    }

    /// How.
    var policy: SchedulePolicy { rest?.policy ?? Rest.policy }
    /// No more slots than that are triggered.
    var maxRuns: Int? { rest?.maxRuns }
    /// Who is told.
    var notifications: ScheduleNotifications { rest?.notifications ?? ScheduleNotifications() }
    /// The words of `conditions.environment`.
    var environment: [String]? { rest?.environment }
    /// `conditions.session_active`.
    var sessionActive: Bool? { rest?.sessionActive }
    /// Weekdays and hours, when there are any.
    var window: LocalWindow? { rest?.window }
    /// The custom condition.
    var custom: CustomCondition? { rest?.custom }
    /// What makes it a check.
    var check: CheckRules? { rest?.check }

    /// Whether these zones are those that it was worked out with.
    func hasZones(of zones: ZoneCatalog) -> Bool {
        let hours = window?.zone ?? zone
        return flaw == nil && zones.zone(named: zone.name) == zone && zones.zone(named: hours.name) == hours
    }

    /// Whether no executor is named.
    var isForAny: Bool { agent == ScheduleDocument.anyAgent }
    /// The intent's fields that the document gives.
    var intent: Intent { intentText.isEmpty ? Intent() : (try? Intent(decoding: intentText)) ?? Intent() }

    /// The document, read again from its text.
    var document: ScheduleDocument {
        ScheduleReader(text, shortestIntervalMs: 1, standardEveryMs: check == nil ? nil : Limits.checkEveryMs).document
    }

    /// What a slot's run says of its cause.
    var trigger: RunTrigger {
        switch type {
        case .cron: .cron
        case .interval: .interval
        case .oneShot: .oneShot
        }
    }

    /// When the run of a slot is due.
    func due(_ slot: WallTime, id: String) -> WallTime {
        timeline.due(slot, id: id, jitterMs: policy.jitterMs)
    }

    /// Everything that was worked out, with the document.
    var worked: WorkedDefinition {
        WorkedDefinition(
            document: document, anchor: anchor, timeline: timeline, window: window, zone: zone, custom: custom)
    }
}

extension Timeline {
    /// When the run of a slot is due: the slot and its jitter.
    func due(_ slot: WallTime, id: String, jitterMs: Int) -> WallTime {
        guard jitterMs > 0 else { return slot }
        return slot + Jitter.delay(id: id, slot: slot, following: next(after: slot), limit: jitterMs)
    }
}

/// A document and what was worked out from it.
struct WorkedDefinition: Sendable {
    /// What was put, in canonical form.
    var document: ScheduleDocument
    var anchor: WallTime
    var timeline: Timeline
    var window: LocalWindow?
    var zone: Zone
    var custom: CustomCondition?
    /// Why it has no slots on this machine.
    var flaw: DisableReason?

    /// Whether a document says the same.
    func isSame(as other: Definition) -> Bool { document == other.document }

    /// When the run of a slot is due.
    func due(_ slot: WallTime, id: String) -> WallTime {
        timeline.due(slot, id: id, jitterMs: document.policy.jitterMs)
    }

    /// A definition of it.
    func named(rev: Int, owner: String) -> Definition { Definition(self, rev: rev, owner: owner) }
}

extension ScheduleDocument {
    /// Whether the slots are the same: a change of rule or bounds would move them.
    func hasSameSlots(as other: ScheduleDocument) -> Bool {
        type == other.type && spec == other.spec && bounds == other.bounds
    }
}

/// Works a definition out, and collects what is wrong.
struct DefinitionCompiler {
    /// The schedule's id, from which `H` takes its value.
    let id: String
    let zones: ZoneCatalog
    /// The first slot of an interval without `start_at`, counted from the acceptance in intervals.
    let firstSlot: Int
    var problems: [ScheduleProblem] = []
    /// Whether a zone is unknown.
    var lacksZone = false
    /// Whether the expression never fires.
    var neverFires = false

    init(id: String, zones: ZoneCatalog, firstSlot: Int = 1) {
        self.id = id
        self.zones = zones
        self.firstSlot = firstSlot
    }

    /// The definition, or `nil` with `problems`. `anchor` is the acceptance, for an interval without `start_at`.
    mutating func compile(_ given: ScheduleDocument, anchor: WallTime) -> WorkedDefinition? {
        var document = given
        let zone = zone(document.spec.timezone, "spec.timezone", .invalidSpec) ?? .utc
        let timeline = timeline(&document, zone: zone, anchor: anchor)
        let window = window(document, zone: zone)
        let custom = custom(document)
        guard problems.isEmpty, var timeline else { return nil }
        timeline.notBefore = document.bounds.notBefore
        timeline.notAfter = document.bounds.notAfter
        if timeline.isEmpty {
            neverFires = true
            problems.append(ScheduleProblem("bounds", .invalidSpec, "never fires: no time of the rule lies within"))
            return nil
        }
        return WorkedDefinition(
            document: document, anchor: anchor, timeline: timeline, window: window, zone: zone, custom: custom)
    }

    private mutating func zone(_ name: String?, _ path: String, _ code: Code) -> Zone? {
        guard let name else { return .utc }
        if let zone = zones.zone(named: name) { return zone }
        lacksZone = true
        problems.append(ScheduleProblem(path, code, "unknown time zone"))
        return nil
    }

    private mutating func timeline(
        _ document: inout ScheduleDocument, zone: Zone, anchor: WallTime
    ) -> Timeline? {
        let spec = document.spec
        switch document.type {
        case .cron: return cron(spec, zone: zone)
        case .interval:
            guard let every = spec.everyMs else { return nil }
            if let start = spec.startAt { return Timeline(.interval(every: every, anchor: start, first: 0)) }
            return Timeline(.interval(every: every, anchor: anchor, first: firstSlot))
        case .oneShot:
            guard let time = spec.runAt else { return nil }
            let instant = resolve(time, zone: zone)
            document.spec.runAt = .instant(instant)
            return Timeline(.once(instant))
        }
    }

    /// A local time that clocks jump over runs after the gap, one that comes twice runs the first time.
    private func resolve(_ time: ScheduleTime, zone: Zone) -> WallTime {
        switch time {
        case .instant(let instant): return instant
        case .local(let local, let millisecond):
            switch zone.resolve(local) {
            case .once(let second): return WallTime(milliseconds: second * 1000 + millisecond)
            case .repeated(let first, _): return WallTime(milliseconds: first * 1000 + millisecond)
            case .missing(let after): return WallTime(milliseconds: after * 1000)
            }
        }
    }

    private mutating func cron(_ spec: ScheduleSpec, zone: Zone) -> Timeline? {
        let gap = GapRule(rawValue: spec.gap ?? "auto")
        let overlap = OverlapRule(rawValue: spec.overlap ?? "auto")
        if gap == nil { problems.append(ScheduleProblem("spec.dst_gap", .invalidSpec, "must be auto, after or skip")) }
        if overlap == nil {
            problems.append(ScheduleProblem("spec.dst_overlap", .invalidSpec, "must be auto, first, last or both"))
        }
        guard let text = spec.expression else { return nil }
        do {
            let expression = try CronExpression(text, seed: id)
            guard expression.everFires else {
                neverFires = true
                problems.append(ScheduleProblem("spec.expr", .invalidSpec, "never fires"))
                return nil
            }
            guard let gap, let overlap else { return nil }
            return Timeline(.cron(CronTimeline(expression, zone: zone, gap: gap, overlap: overlap)))
        } catch {
            let hint = error.hint.map { "; \($0)" } ?? ""
            problems.append(ScheduleProblem("spec.expr", .invalidSpec, error.reason + hint, at: error.offset))
            return nil
        }
    }

    private mutating func window(_ document: ScheduleDocument, zone: Zone) -> LocalWindow? {
        let conditions = document.conditions
        guard conditions.daysOfWeek != nil || conditions.activeHours != nil else { return nil }
        var window = LocalWindow(hours: nil, weekdays: nil, zone: zone)
        if let days = conditions.daysOfWeek {
            window.weekdays = WeekdaySet(days)
            if window.weekdays == nil {
                problems.append(
                    ScheduleProblem("conditions.days_of_week", .invalidCondition, "must be a list of mon to sun"))
            }
        }
        if let hours = conditions.activeHours {
            window.hours = ActiveHours(start: hours.start, end: hours.end)
            if window.hours == nil {
                problems.append(
                    ScheduleProblem(
                        "conditions.active_hours", .invalidCondition,
                        "start and end must be two different times HH:MM, the end up to 24:00"))
            }
            if hours.timezone != nil {
                window.zone =
                    self.zone(hours.timezone, "conditions.active_hours.timezone", .invalidCondition) ?? .utc
            }
        }
        return window
    }

    private mutating func custom(_ document: ScheduleDocument) -> CustomCondition? {
        guard let text = document.conditions.custom else { return nil }
        do { return try CustomCondition(text) } catch {
            problems.append(
                ScheduleProblem("conditions.custom", .invalidCondition, error.reason, at: error.offset))
            return nil
        }
    }
}
