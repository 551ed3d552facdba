/// A point of the calendar: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted. May step.
public struct WallTime: Hashable, Comparable, Sendable {
    /// Milliseconds since 1970 UTC.
    public var milliseconds: Int

    /// A point of the calendar.
    @inlinable public init(milliseconds: Int) { self.milliseconds = milliseconds }

    /// Earlier is less.
    @inlinable public static func < (a: WallTime, b: WallTime) -> Bool { a.milliseconds < b.milliseconds }
    /// A later point, `ms` milliseconds on.
    @inlinable public static func + (a: WallTime, ms: Int) -> WallTime { WallTime(milliseconds: a.milliseconds + ms) }
    /// An earlier point.
    @inlinable public static func - (a: WallTime, ms: Int) -> WallTime { WallTime(milliseconds: a.milliseconds - ms) }
    /// Milliseconds from `b` to `a`.
    @inlinable public static func - (a: WallTime, b: WallTime) -> Int { a.milliseconds - b.milliseconds }
}

/// A point of a clock that never steps: milliseconds since an arbitrary start, suspended time included.
public struct MonotonicTime: Hashable, Comparable, Sendable {
    /// Milliseconds since the clock's start.
    public var milliseconds: Int

    /// A point of the monotonic clock.
    @inlinable public init(milliseconds: Int) { self.milliseconds = milliseconds }

    /// Earlier is less.
    @inlinable public static func < (a: MonotonicTime, b: MonotonicTime) -> Bool { a.milliseconds < b.milliseconds }
    /// A later point, `ms` milliseconds on.
    @inlinable public static func + (a: MonotonicTime, ms: Int) -> MonotonicTime {
        MonotonicTime(milliseconds: a.milliseconds + ms)
    }
    /// An earlier point.
    @inlinable public static func - (a: MonotonicTime, ms: Int) -> MonotonicTime {
        MonotonicTime(milliseconds: a.milliseconds - ms)
    }
    /// Milliseconds from `b` to `a`.
    @inlinable public static func - (a: MonotonicTime, b: MonotonicTime) -> Int { a.milliseconds - b.milliseconds }
}
