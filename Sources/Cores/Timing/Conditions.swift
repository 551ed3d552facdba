public import TimeModel

/// A part of the day: `[start, end)`, through midnight when it ends before it starts.
public struct ActiveHours: Hashable, Sendable {
    /// Minutes since midnight, 0 to 1439.
    public var start: Int
    /// Minutes since midnight, 1 to 1440; exclusive.
    public var end: Int

    /// Reads two times `HH:MM`, the end up to `24:00`; `nil` when one is none or both are equal.
    public init?(start: String, end: String) {
        guard let start = ActiveHours.minutes(start), let end = ActiveHours.minutes(end), start < 1440,
            end > 0 || start > 0,
            start != end
        else { return nil }
        self.start = start
        self.end = end
    }

    /// Whether a time of day, in seconds since midnight, lies inside.
    public func contains(secondOfDay: Int) -> Bool {
        let from = start * 60
        let to = end * 60
        return from < to ? secondOfDay >= from && secondOfDay < to : secondOfDay >= from || secondOfDay < to
    }

    /// The start as `HH:MM`.
    public var startText: String { ActiveHours.text(start) }
    /// The end as `HH:MM`.
    public var endText: String { ActiveHours.text(end) }

    private static func minutes(_ text: String) -> Int? {
        let bytes = Array(text.utf8)
        guard bytes.count == 5, bytes[2] == 0x3A else { return nil }
        var value = 0
        for index in [0, 1, 3, 4] {
            guard bytes[index] >= 0x30, bytes[index] <= 0x39 else { return nil }
            value = value * 10 + Int(bytes[index]) - 0x30
        }
        let hour = value / 100
        let minute = value % 100
        guard minute < 60, hour < 24 || hour == 24 && minute == 0 else { return nil }
        return hour * 60 + minute
    }

    private static func text(_ minutes: Int) -> String {
        let digits = String(10_000 + minutes / 60 * 100 + minutes % 60).dropFirst()
        return digits.prefix(2) + ":" + digits.suffix(2)
    }
}

/// A set of weekdays.
public struct WeekdaySet: Hashable, Sendable {
    /// Bits 0 (Sunday) to 6 (Saturday).
    public var bits: UInt8

    /// The wire words, Sunday first.
    public static let words = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    /// A set by its words; `nil` when one is unknown or none is given.
    public init?(_ words: [String]) {
        bits = 0
        for word in words {
            guard let index = WeekdaySet.words.firstIndex(of: word) else { return nil }
            bits |= 1 << UInt8(index)
        }
        if bits == 0 { return nil }
    }

    /// Whether it has a weekday, 0 Sunday to 6 Saturday.
    public func contains(_ weekday: Int) -> Bool { bits & 1 << UInt8(weekday) != 0 }

    /// Its words, Monday first.
    public var texts: [String] { [1, 2, 3, 4, 5, 6, 0].filter(contains).map { WeekdaySet.words[$0] } }
}

/// The two conditions that judge an instant by the local clock.
public struct LocalWindow: Hashable, Sendable {
    /// The time of day in which runs are wanted; absent: always.
    public var hours: ActiveHours?
    /// The weekdays on which runs are wanted; absent: all.
    public var weekdays: WeekdaySet?
    /// Whose clock and date count.
    public var zone: Zone

    /// A window in a zone.
    public init(hours: ActiveHours?, weekdays: WeekdaySet?, zone: Zone) {
        self.hours = hours
        self.weekdays = weekdays
        self.zone = zone
    }

    /// Whether the local date's weekday is wanted.
    public func hasWeekday(at time: WallTime) -> Bool {
        guard let weekdays else { return true }
        let local = zone.local(at: floorDivide(time.milliseconds, 1000))
        return weekdays.contains(CivilDate.weekday(dayNumber: local.dayNumber))
    }

    /// Whether the local time of day is wanted.
    public func hasHour(at time: WallTime) -> Bool {
        guard let hours else { return true }
        return hours.contains(secondOfDay: zone.local(at: floorDivide(time.milliseconds, 1000)).secondOfDay)
    }
}
