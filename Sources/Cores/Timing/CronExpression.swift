import TimeModel

/// A cron expression, read once into bit masks (`topics/schedules.md`).
///
/// Equal values fire at equal local times. The zone, and what happens at its transitions, belong to `CronTimeline`.
public struct CronExpression: Hashable, Sendable {
    /// Bits 0 to 59.
    var seconds: UInt64 = 1
    /// Bits 0 to 59.
    var minutes: UInt64 = 0
    /// Bits 0 to 23.
    var hours: UInt64 = 0
    /// Bits 1 to 12.
    var months: UInt64 = 0
    /// Which days of a month match.
    var days = CronDays()
    /// Whether second, minute or hour begins with `*`; a schedule without such a field is *fixed-time*.
    public internal(set) var isWildcard = false
    /// Traits of the text that warnings speak of.
    var traits = CronTraits()
}

/// What the text of an expression looked like, as far as warnings care.
struct CronTraits: Hashable, Sendable {
    /// Day or weekday is a star with a step, and the other is restricted: both must match.
    var hasStarStepDay = false
    /// Day and weekday are both restricted: one match is enough.
    var hasEitherDay = false
    /// A field whose star step does not divide its range, so the last interval is shorter.
    var unevenStep: CronField?
}

/// The days that a day field and a weekday field select.
struct CronDays: Hashable, Sendable {
    /// Days of the month, bits 1 to 31.
    var numbers: UInt32 = 0
    /// Days before the last one, bits 0 to 30.
    var fromLast: UInt32 = 0
    /// Nearest working day to these days, bits 1 to 31.
    var nearWorkdays: UInt32 = 0
    /// The last Monday to Friday.
    var lastWorkday = false
    /// Weekdays, bits 0 (Sunday) to 6.
    var weekdays: UInt8 = 0
    /// The k-th of a weekday, bit (k − 1) · 7 + weekday.
    var ordinalWeekdays: UInt64 = 0
    /// The last of a weekday, bits 0 to 6.
    var lastWeekdays: UInt8 = 0
    /// Whether day and weekday must both match; else one is enough.
    var bothMustMatch = false

    /// The matching days of a month as bits 1 to 31.
    func mask(year: Int, month: Int) -> UInt32 {
        mask(
            length: CivilDate.daysInMonth(year: year, month: month),
            firstWeekday: CivilDate(year: year, month: month, day: 1).weekday)
    }

    /// The matching days of a month with that many days, the first of which is that weekday.
    func mask(length: Int, firstWeekday: Int) -> UInt32 {
        let all = (UInt32(1) << UInt32(length) &- 1) << 1
        let byNumber = dayMask(length: length, firstWeekday: firstWeekday, all: all)
        let byWeekday = weekdayMask(length: length, firstWeekday: firstWeekday)
        return (bothMustMatch ? byNumber & byWeekday : byNumber | byWeekday) & all
    }

    private func dayMask(length: Int, firstWeekday: Int, all: UInt32) -> UInt32 {
        var mask = numbers
        var rest = fromLast
        while rest != 0 {
            let back = rest.trailingZeroBitCount
            rest &= rest - 1
            if length - back >= 1 { mask |= 1 << UInt32(length - back) }
        }
        if lastWorkday {
            let weekday = (firstWeekday + length - 1) % 7
            mask |= 1 << UInt32(weekday == 6 ? length - 1 : weekday == 0 ? length - 2 : length)
        }
        rest = nearWorkdays & all
        while rest != 0 {
            let day = rest.trailingZeroBitCount
            rest &= rest - 1
            let weekday = (firstWeekday + day - 1) % 7
            if weekday == 6 {
                mask |= 1 << UInt32(day == 1 ? 3 : day - 1)
            } else if weekday == 0 {
                mask |= 1 << UInt32(day == length ? day - 2 : day + 1)
            } else {
                mask |= 1 << UInt32(day)
            }
        }
        return mask
    }

    private func weekdayMask(length: Int, firstWeekday: Int) -> UInt32 {
        let week = CronDays.rotate(UInt32(weekdays), firstWeekday)
        var mask = (week | week << 7 | week << 14 | week << 21 | week << 28) << 1
        if ordinalWeekdays != 0 {
            for k in 0..<5 {
                let ordinal = UInt32(truncatingIfNeeded: ordinalWeekdays >> UInt64(7 * k) & 0x7F)
                mask |= CronDays.rotate(ordinal, firstWeekday) << UInt32(7 * k + 1)
            }
        }
        if lastWeekdays != 0 {
            let weekday = (firstWeekday + length - 7) % 7
            mask |= CronDays.rotate(UInt32(lastWeekdays), weekday) << UInt32(length - 6)
        }
        return mask
    }

    /// Seven bits turned so that bit 0 stands for that weekday.
    private static func rotate(_ week: UInt32, _ weekday: Int) -> UInt32 {
        (week >> UInt32(weekday) | week << UInt32(7 - weekday)) & 0x7F
    }
}

extension CronExpression {
    /// Whether any date of the calendar matches; times always do.
    ///
    /// A month is one of 28 kinds, by its length and the weekday of its first, and each kind that its name allows comes
    /// about within 400 years; so a few masks decide it exactly.
    public var everFires: Bool {
        for month in 1...12 where months & 1 << UInt64(month) != 0 {
            let shortest = CivilDate.daysInMonth(year: 2001, month: month)
            for length in shortest...(month == 2 ? 29 : shortest) {
                for weekday in 0..<7 where days.mask(length: length, firstWeekday: weekday) != 0 { return true }
            }
        }
        return false
    }
}
