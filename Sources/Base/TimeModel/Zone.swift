/// What holds between two transitions of a zone.
public struct ZoneOffset: Hashable, Sendable {
    /// Seconds east of UTC.
    public var seconds: Int
    /// Whether the data calls it daylight saving time.
    public var isDaylight: Bool
    /// Such as `CET`, or `-03`.
    public var abbreviation: String

    /// An offset with its name.
    public init(seconds: Int, isDaylight: Bool, abbreviation: String) {
        self.seconds = seconds
        self.isDaylight = isDaylight
        self.abbreviation = abbreviation
    }
}

/// A stretch of time with one offset.
public struct ZoneSpan: Hashable, Sendable {
    /// First second of the span, since 1970 UTC; `Int.min` for the first one.
    public var start: Int
    /// First second after the span; `Int.max` for the last one.
    public var end: Int
    /// Seconds east of UTC.
    public var offset: Int
    /// The local second up to which (exclusive) clocks on the wall had been before the span began; local times of this
    /// span below it are repetitions, a value below `start + offset` leaves a gap. `Int.min` in the first span.
    public var seenUntil: Int
    /// The least local second that a clock on the wall will show after this span; local times of this span from it on
    /// come again. `Int.max` in the last span.
    public var comesAgainFrom: Int

    /// The first local second of the span; `Int.min` in the first one.
    public var localStart: Int { start == Int.min ? Int.min : start + offset }
    /// The first local second after the span; `Int.max` in the last one.
    public var localEnd: Int { end == Int.max ? Int.max : end + offset }
}

/// Where a local time lies on the line of instants.
public enum LocalMoment: Hashable, Sendable {
    /// It happens once, at this second since 1970 UTC.
    case once(Int)
    /// It happens more than once: the first and the last second.
    case repeated(first: Int, last: Int)
    /// Clocks jump over it: the first second after the gap.
    case missing(after: Int)
}

/// A time zone: its transitions and what follows after them.
///
/// The rule that a file's footer gives is unrolled over 400 years, after which the calendar repeats exactly; so every
/// question is one binary search.
///
/// Its data is shared: whoever holds a zone holds one reference.
public struct Zone: Hashable, Sendable {
    /// The data of one zone.
    private final class Table: Sendable {
        let name: String
        /// `starts[i]` is the first second of span i; `starts[0]` is `Int.min`.
        let starts: [Int]
        /// The offset of each span, an index into `offsets`.
        let kinds: [UInt8]
        /// All offsets that occur.
        let offsets: [ZoneOffset]
        /// From this second on the spans repeat those of 400 years before; `nil` when the last offset holds for ever.
        let repeatsFrom: Int?

        init(name: String, starts: [Int], kinds: [UInt8], offsets: [ZoneOffset], repeatsFrom: Int?) {
            self.name = name
            self.starts = starts
            self.kinds = kinds
            self.offsets = offsets
            self.repeatsFrom = repeatsFrom
        }
    }

    private let table: Table

    /// The exact IANA name, such as `Europe/Berlin`.
    public var name: String { table.name }

    /// The largest distance from UTC of any zone, in seconds; wider data is refused.
    public static let greatestOffset = 26 * 3600 - 1
    /// 400 Gregorian years in seconds.
    static let cycle = 146_097 * 86_400

    /// Coordinated Universal Time, which needs no data.
    public static let utc = Zone(
        name: "UTC", starts: [Int.min], kinds: [0],
        offsets: [ZoneOffset(seconds: 0, isDaylight: false, abbreviation: "UTC")], repeatsFrom: nil)

    init(name: String, starts: [Int], kinds: [UInt8], offsets: [ZoneOffset], repeatsFrom: Int?) {
        table = Table(name: name, starts: starts, kinds: kinds, offsets: offsets, repeatsFrom: repeatsFrom)
    }

    /// Whether name and data are the same.
    public static func == (a: Zone, b: Zone) -> Bool {
        a.table === b.table
            || a.name == b.name && a.table.starts == b.table.starts && a.table.kinds == b.table.kinds
                && a.table.offsets == b.table.offsets && a.table.repeatsFrom == b.table.repeatsFrom
    }

    /// By name: two releases of one zone are rarely kept together.
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }

    /// Offset, daylight flag and abbreviation at a second since 1970 UTC.
    public func offset(at second: Int) -> ZoneOffset {
        table.offsets[Int(table.kinds[index(of: second - fold(second))])]
    }

    /// What the wall shows at a second since 1970 UTC.
    public func local(at second: Int) -> CivilTime {
        CivilTime(seconds: second + seconds(at: second))
    }

    /// Seconds east of UTC at a second since 1970 UTC.
    public func seconds(at second: Int) -> Int {
        seconds(ofSpan: index(of: second - fold(second)))
    }

    /// The span that holds a second since 1970 UTC.
    public func span(at second: Int) -> ZoneSpan {
        let shift = fold(second)
        let index = index(of: second - shift)
        let offset = seconds(ofSpan: index)
        let starts = table.starts
        var span = ZoneSpan(
            start: starts[index], end: Int.max, offset: offset, seenUntil: Int.min, comesAgainFrom: Int.max)
        span.seenUntil = localSeen(before: index)
        if index + 1 < starts.count {
            span.end = starts[index + 1]
            span.comesAgainFrom = localComing(after: index)
        }
        guard shift != 0 else { return span }
        span.start += shift
        span.seenUntil += shift
        if span.end != Int.max {
            span.end += shift
            span.comesAgainFrom += shift
        }
        return span
    }

    /// When a clock in this zone shows that local time.
    public func resolve(_ local: CivilTime) -> LocalMoment {
        var first: Int?
        var last = 0
        var gap: Int?
        var probe = local.seconds - Zone.greatestOffset
        while true {
            let span = span(at: probe)
            let candidate = local.seconds - span.offset
            if candidate >= span.start && candidate < span.end {
                first = first ?? candidate
                last = candidate
            } else if candidate < span.start && local.seconds >= span.seenUntil && gap == nil {
                gap = span.start
            }
            if span.end > local.seconds + Zone.greatestOffset { break }
            probe = span.end
        }
        if let first { return first == last ? .once(first) : .repeated(first: first, last: last) }
        return .missing(after: gap ?? local.seconds)
    }

    /// How far back a second is looked up: a whole number of 400 years.
    private func fold(_ second: Int) -> Int {
        guard let repeatsFrom = table.repeatsFrom, second >= repeatsFrom else { return 0 }
        return ((second - repeatsFrom) / Zone.cycle + 1) * Zone.cycle
    }

    private func seconds(ofSpan index: Int) -> Int { table.offsets[Int(table.kinds[index])].seconds }

    private func index(of second: Int) -> Int {
        let starts = table.starts
        var low = 0
        var high = starts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= second { low = middle } else { high = middle }
        }
        return low
    }

    /// The greatest local second shown before a span, exclusive. Only transitions within twice the widest offset of its
    /// start can matter.
    private func localSeen(before index: Int) -> Int {
        guard index > 0 else { return Int.min }
        let starts = table.starts
        var seen = starts[index] + seconds(ofSpan: index - 1)
        var earlier = index - 1
        while earlier > 0, starts[earlier] > starts[index] - 2 * Zone.greatestOffset {
            seen = max(seen, starts[earlier] + seconds(ofSpan: earlier - 1))
            earlier -= 1
        }
        return seen
    }

    private func localComing(after index: Int) -> Int {
        let starts = table.starts
        var coming = starts[index + 1] + seconds(ofSpan: index + 1)
        var later = index + 2
        while later < starts.count, starts[later] < starts[index + 1] + 2 * Zone.greatestOffset {
            coming = min(coming, starts[later] + seconds(ofSpan: later))
            later += 1
        }
        return coming
    }
}
