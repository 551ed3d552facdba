import Contract
import TimeModel

/// A document with everything that can be worked out from it once. It never changes and is shared: a schedule's record
/// holds one reference to it.
final class Definition: Sendable {
    /// What was put, in canonical form.
    let document: ScheduleDocument
    /// Rises by one with each change.
    let rev: Int
    /// Who put it first.
    let owner: String
    /// What the slots of an interval without `start_at` count from.
    let anchor: WallTime
    /// The slots.
    let timeline: Timeline
    /// Weekdays and hours, when there are any.
    let window: LocalWindow?
    /// Whose clock the day and the custom condition go by.
    let zone: Zone
    /// The custom condition.
    let custom: CustomCondition?

    /// A definition that was worked out; its owner and revision are given by `named`.
    init(
        document: ScheduleDocument, anchor: WallTime, timeline: Timeline, window: LocalWindow?, zone: Zone,
        custom: CustomCondition?
    ) {
        self.document = document
        rev = 1
        owner = ""
        self.anchor = anchor
        self.timeline = timeline
        self.window = window
        self.zone = zone
        self.custom = custom
    }

    private init(_ other: Definition, rev: Int, owner: String) {
        document = other.document
        self.rev = rev
        self.owner = owner
        anchor = other.anchor
        timeline = other.timeline
        window = other.window
        zone = other.zone
        custom = other.custom
    }

    /// The same under a revision and an owner.
    func named(rev: Int, owner: String) -> Definition { Definition(self, rev: rev, owner: owner) }

    /// The slots that a change of rule or bounds would move.
    func hasSameSlots(as other: ScheduleDocument) -> Bool {
        document.type == other.type && document.spec == other.spec && document.bounds == other.bounds
    }

    /// What a slot's run says of its cause.
    var trigger: RunTrigger {
        switch document.type {
        case .cron: .cron
        case .interval: .interval
        case .oneShot: .oneShot
        }
    }

    /// When the run of a slot is due.
    func due(_ slot: WallTime, id: String) -> WallTime {
        guard document.policy.jitterMs > 0 else { return slot }
        return slot
            + Jitter.delay(
                id: id, slot: slot, following: timeline.next(after: slot), limit: document.policy.jitterMs)
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
    mutating func compile(_ given: ScheduleDocument, anchor: WallTime) -> Definition? {
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
        return Definition(
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
