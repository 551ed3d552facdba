/// A date of the proleptic Gregorian calendar, without a zone.
public struct CivilDate: Hashable, Comparable, Sendable {
    /// Astronomical year: 1 BC is 0.
    public var year: Int
    /// 1 to 12.
    public var month: Int
    /// 1 to 31.
    public var day: Int

    /// A date as given; nothing is checked, see `isReal`.
    public init(year: Int, month: Int, day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// The date that many days after 1970-01-01; negative numbers lie before it.
    public init(dayNumber: Int) {
        // Years that begin in March, in eras of 400 years: the leap day comes last and no table is needed.
        let shifted = dayNumber + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    /// Days since 1970-01-01. A day past the end of the month counts on into the next one.
    public var dayNumber: Int {
        let marchYear = month <= 2 ? year - 1 : year
        let era = (marchYear >= 0 ? marchYear : marchYear - 399) / 400
        let yearOfEra = marchYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// 0 Sunday to 6 Saturday.
    public var weekday: Int { CivilDate.weekday(dayNumber: dayNumber) }

    /// Whether month and day exist in this year.
    public var isReal: Bool {
        month >= 1 && month <= 12 && day >= 1 && day <= CivilDate.daysInMonth(year: year, month: month)
    }

    /// 0 Sunday to 6 Saturday for a day counted from 1970-01-01, a Thursday.
    public static func weekday(dayNumber: Int) -> Int {
        let remainder = (dayNumber + 4) % 7
        return remainder < 0 ? remainder + 7 : remainder
    }

    /// Whether the year has a 29 February.
    public static func isLeap(_ year: Int) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    /// 28 to 31; `month` is 1 to 12.
    public static func daysInMonth(year: Int, month: Int) -> Int {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Earlier is less.
    public static func < (a: CivilDate, b: CivilDate) -> Bool {
        (a.year, a.month, a.day) < (b.year, b.month, b.day)
    }
}

/// What a calendar and a clock on the wall show: a date and a time of day, without a zone.
public struct CivilTime: Hashable, Comparable, Sendable {
    /// Seconds since 1970-01-01T00:00:00 as if the zone were UTC; the natural order of local times.
    public var seconds: Int

    /// A local time by its count of seconds.
    public init(seconds: Int) { self.seconds = seconds }

    /// A local time by its parts; nothing is checked.
    public init(_ date: CivilDate, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        seconds = date.dayNumber * 86_400 + hour * 3600 + minute * 60 + second
    }

    /// Days since 1970-01-01.
    public var dayNumber: Int { floorDivide(seconds, 86_400) }
    /// The date.
    public var date: CivilDate { CivilDate(dayNumber: dayNumber) }
    /// Seconds since midnight, 0 to 86 399.
    public var secondOfDay: Int { seconds - dayNumber * 86_400 }
    /// 0 to 23.
    public var hour: Int { secondOfDay / 3600 }
    /// 0 to 59.
    public var minute: Int { secondOfDay / 60 % 60 }
    /// 0 to 59.
    public var second: Int { secondOfDay % 60 }

    /// Earlier on the same wall is less.
    public static func < (a: CivilTime, b: CivilTime) -> Bool { a.seconds < b.seconds }
}

/// Quotient rounded down; `divisor` is positive.
@inlinable
public func floorDivide(_ value: Int, _ divisor: Int) -> Int {
    let quotient = value / divisor
    return value % divisor < 0 ? quotient - 1 : quotient
}
