public import TimeModel

/// Something legal that may surprise; told with `put` and `preview`, refused nowhere.
public struct ScheduleWarning: Hashable, Sendable {
    /// What may surprise; the raw value stands on the wire.
    public enum Code: String, Hashable, Sendable, CaseIterable {
        /// A star with a step in day or weekday: both fields must match.
        case starStepDay = "star_step_day"
        /// Day and weekday are both given: one match is enough.
        case eitherDay = "either_day"
        /// Within a year clocks jump over a fire time, or pass it twice.
        case clockChange = "clock_change"
        /// A step that does not divide its range: the last distance is shorter.
        case unevenStep = "uneven_step"
        /// It fires each second.
        case everySecond = "every_second"
        /// Many schedules fire at one instant.
        case sameInstant = "same_instant"
        /// The one instant lies in the past.
        case past
    }

    /// What may surprise.
    public var code: Code
    /// One sentence.
    public var text: String

    /// A warning.
    public init(_ code: Code, _ text: String) {
        self.code = code
        self.text = text
    }
}

/// What a preview says beside a slot; the raw value stands on the wire.
public enum SlotNote: String, Hashable, Sendable, CaseIterable {
    /// Clocks jump over the local time; it fires after the gap.
    case gapShifted = "gap_shifted"
    /// The local time comes twice; this is the first, and the only one that fires.
    case repeatedFirst = "repeated_first"
    /// `active_hours` will skip it.
    case outsideHours = "outside_hours"
    /// `days_of_week` will skip it.
    case outsideDays = "outside_days"
}

extension CronTimeline {
    /// What may surprise in this expression and zone during the year after `now`.
    public func warnings(now: WallTime) -> [ScheduleWarning] {
        var found: [ScheduleWarning] = []
        let traits = expression.traits
        if traits.hasStarStepDay {
            found.append(.init(.starStepDay, "a day field that begins with * restricts the other one: both must match"))
        }
        if traits.hasEitherDay {
            found.append(.init(.eitherDay, "day and weekday are both given: it fires when either matches"))
        }
        if let change = clockChange(now: now) {
            found.append(
                .init(.clockChange, "on \(change.text) clocks in \(zone.name) jump over or repeat a fire time"))
        }
        if let field = traits.unevenStep {
            found.append(
                .init(.unevenStep, "the step of field \(field.name) does not divide it: the last distance is shorter"))
        }
        if expression.firesEverySecond { found.append(.init(.everySecond, "it fires each second")) }
        return found
    }

    /// What a preview says of a slot.
    public func note(at slot: WallTime) -> SlotNote? {
        let second = floorDivide(slot.milliseconds, 1000)
        let span = zone.span(at: second)
        let local = second + span.offset
        if !expression.matches(local: local) { return .gapShifted }
        return overlap == .first && local >= span.comesAgainFrom && local < span.localEnd ? .repeatedFirst : nil
    }

    /// The local date of the first transition within a year that touches a fire time. One that fires in every hour of the
    /// day goes on as before.
    private func clockChange(now: WallTime) -> CivilDate? {
        guard !expression.isWildcard || expression.hours != (1 << 24) - 1 else { return nil }
        var second = floorDivide(now.milliseconds, 1000)
        let limit = second + 366 * 86_400
        while true {
            let before = zone.span(at: second)
            guard before.end < limit else { return nil }
            let after = zone.span(at: before.end)
            let low = min(after.seenUntil, after.localStart)
            let high = max(after.seenUntil, after.localStart)
            if low < high, let local = expression.nextLocal(from: low), local < high {
                return CivilTime(seconds: before.localEnd).date
            }
            second = before.end
        }
    }
}

extension CronExpression {
    /// Whether every second of its minutes fires.
    var firesEverySecond: Bool { seconds == (1 << 60) - 1 }
}
