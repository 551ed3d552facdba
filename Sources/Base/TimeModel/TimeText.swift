/// A date and time as RFC 3339 text gives them: what the wall shows, and its distance from UTC if the text says so.
public struct TimeText: Hashable, Sendable {
    /// What the wall shows, in whole seconds.
    public var local: CivilTime
    /// 0 to 999; further digits of the fraction are dropped.
    public var millisecond: Int
    /// Seconds east of UTC; absent when the text ends after the time.
    public var offset: Int?

    /// The instant, if the text names its offset.
    public var instant: WallTime? {
        guard let offset else { return nil }
        return WallTime(milliseconds: (local.seconds - offset) * 1000 + millisecond)
    }

    /// Reads `YYYY-MM-DDThh:mm:ss[.fraction][Z|±hh:mm]` (RFC 3339 §5.6, the offset optional here).
    ///
    /// `T` and `Z` in either case; nothing before or after; a leap second (`:60`) is refused, since instants do not
    /// count them.
    public init?(_ bytes: some Sequence<UInt8>) {
        var scanner = TimeScanner(bytes.makeIterator())
        guard let year = scanner.number(4), scanner.skip("-"), let month = scanner.number(2), scanner.skip("-"),
            let day = scanner.number(2), scanner.skip("T", "t"), let hour = scanner.number(2), scanner.skip(":"),
            let minute = scanner.number(2), scanner.skip(":"), let second = scanner.number(2)
        else { return nil }
        let date = CivilDate(year: year, month: month, day: day)
        guard date.isReal, hour < 24, minute < 60, second < 60 else { return nil }
        local = CivilTime(date, hour: hour, minute: minute, second: second)
        guard let fraction = scanner.fraction(), let end = scanner.end() else { return nil }
        millisecond = fraction
        offset = end.offset
    }
}

/// Reads RFC 3339 text from left to right with one byte of look-ahead.
private struct TimeScanner<Bytes: IteratorProtocol> where Bytes.Element == UInt8 {
    private var bytes: Bytes
    private var current: UInt8?

    init(_ bytes: Bytes) {
        self.bytes = bytes
        current = self.bytes.next()
    }

    mutating func digit() -> Int? {
        guard let byte = current, byte >= 0x30, byte <= 0x39 else { return nil }
        current = bytes.next()
        return Int(byte) - 0x30
    }

    mutating func number(_ digits: Int) -> Int? {
        var value = 0
        for _ in 0..<digits {
            guard let next = digit() else { return nil }
            value = value * 10 + next
        }
        return value
    }

    mutating func skip(_ one: Unicode.Scalar, _ other: Unicode.Scalar? = nil) -> Bool {
        guard let byte = current else { return false }
        let scalar = Unicode.Scalar(byte)
        guard scalar == one || scalar == other else { return false }
        current = bytes.next()
        return true
    }

    /// Milliseconds of an optional fraction; `nil` when a point has no digit behind it.
    mutating func fraction() -> Int? {
        guard skip(".") else { return 0 }
        var value = 0
        var count = 0
        while let next = digit() {
            if count < 3 { value = value * 10 + next }
            count += 1
        }
        guard count > 0 else { return nil }
        for _ in min(count, 3)..<3 { value *= 10 }
        return value
    }

    /// The offset, or none at the end of the text; `nil` when something else stands there.
    mutating func end() -> (offset: Int?, Void)? {
        if current == nil { return (nil, ()) }
        if skip("Z", "z") { return current == nil ? (0, ()) : nil }
        let negative = skip("-")
        guard negative || skip("+"), let hours = number(2), skip(":"), let minutes = number(2), current == nil,
            hours < 24, minutes < 60
        else { return nil }
        let seconds = hours * 3600 + minutes * 60
        return (negative ? -seconds : seconds, ())
    }
}

extension WallTime {
    /// The earliest instant that `rfc3339` can write: the first of year 0000.
    public static let earliestText = WallTime(milliseconds: -62_167_219_200_000)
    /// The latest instant that `rfc3339` can write: the last millisecond of year 9999.
    public static let latestText = WallTime(milliseconds: 253_402_300_799_999)

    /// Reads RFC 3339 text with any offset, such as `2026-11-20T09:00:00.000Z` (contract rule 6 in `topics/README.md`).
    /// `nil` when it is not of that form, names no offset, or is outside the years 0000 to 9999 in UTC.
    public init?(rfc3339 text: String) { self.init(rfc3339: text.utf8) }

    /// Reads RFC 3339 text from its bytes.
    public init?(rfc3339 bytes: some Sequence<UInt8>) {
        guard let instant = TimeText(bytes)?.instant, instant >= .earliestText, instant <= .latestText else {
            return nil
        }
        self = instant
    }

    /// RFC 3339 in UTC with milliseconds, always 24 bytes: `2026-11-20T09:00:00.000Z`. Instants outside the years
    /// 0000 to 9999 are written as the nearest one inside.
    public var rfc3339: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(24)
        appendRFC3339(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends `rfc3339` as bytes.
    public func appendRFC3339(to bytes: inout [UInt8]) {
        let shown = min(max(self, .earliestText), .latestText)
        let seconds = floorDivide(shown.milliseconds, 1000)
        let local = CivilTime(seconds: seconds)
        let date = local.date
        let milliseconds = shown.milliseconds - seconds * 1000
        bytes.append(addingCapacity: 24) { span in
            appendPair(date.year / 100, to: &span)
            appendPair(date.year % 100, to: &span)
            span.append(0x2D)
            appendPair(date.month, to: &span)
            span.append(0x2D)
            appendPair(date.day, to: &span)
            span.append(0x54)
            appendPair(local.hour, to: &span)
            span.append(0x3A)
            appendPair(local.minute, to: &span)
            span.append(0x3A)
            appendPair(local.second, to: &span)
            span.append(0x2E)
            span.append(0x30 + UInt8(truncatingIfNeeded: milliseconds / 100))
            appendPair(milliseconds % 100, to: &span)
            span.append(0x5A)
        }
    }

    /// The short form that names carry, `20261120T090000Z`; `.SSS` stands before `Z` when milliseconds are not 0
    /// (run ids, `topics/schedules.md`).
    public var basicText: String {
        let shown = min(max(self, .earliestText), .latestText)
        let seconds = floorDivide(shown.milliseconds, 1000)
        let local = CivilTime(seconds: seconds)
        let date = local.date
        var bytes: [UInt8] = []
        bytes.reserveCapacity(20)
        appendDigits(date.year, 4, to: &bytes)
        appendDigits(date.month, 2, to: &bytes)
        appendDigits(date.day, 2, to: &bytes)
        bytes.append(0x54)
        appendDigits(local.hour, 2, to: &bytes)
        appendDigits(local.minute, 2, to: &bytes)
        appendDigits(local.second, 2, to: &bytes)
        let millisecond = shown.milliseconds - seconds * 1000
        if millisecond != 0 {
            bytes.append(0x2E)
            appendDigits(millisecond, 3, to: &bytes)
        }
        bytes.append(0x5A)
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension CivilDate {
    /// `2026-11-20`, for the years 0000 to 9999.
    public var text: String {
        var bytes: [UInt8] = []
        appendDigits(year, 4, to: &bytes)
        bytes.append(0x2D)
        appendDigits(month, 2, to: &bytes)
        bytes.append(0x2D)
        appendDigits(day, 2, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Appends a number of 0 to 99 as two digits.
private func appendPair(_ value: Int, to span: inout OutputSpan<UInt8>) {
    let tens = value / 10
    span.append(0x30 + UInt8(truncatingIfNeeded: tens))
    span.append(0x30 + UInt8(truncatingIfNeeded: value - tens * 10))
}

/// Appends a number of 0 or more with leading zeros.
func appendDigits(_ value: Int, _ digits: Int, to bytes: inout [UInt8]) {
    var divisor = 1
    for _ in 1..<digits { divisor *= 10 }
    while divisor > 0 {
        bytes.append(0x30 + UInt8(value / divisor % 10))
        divisor /= 10
    }
}
