/// The rule of a TZif footer: a POSIX `TZ` string with hours from −167 to 167 (RFC 9636 §3.3.1).
struct ZoneRule {
    /// When daylight time begins and ends, and its offset.
    struct Saving {
        var offset: ZoneOffset
        var start: RuleDate
        var end: RuleDate
    }

    var standard: ZoneOffset
    var saving: Saving?

    /// Reads `std offset [dst [offset],start[/time],end[/time]]`; daylight time without dates is refused.
    init(_ bytes: ArraySlice<UInt8>) throws(ZoneError) {
        var scanner = RuleScanner(bytes)
        let name = try scanner.name()
        let west = try scanner.time(hours: 24)
        standard = ZoneOffset(seconds: -west, isDaylight: false, abbreviation: name)
        if scanner.isAtEnd { return }
        let savingName = try scanner.name()
        var savingSeconds = standard.seconds + 3600
        if !scanner.skip(",") {
            savingSeconds = try -scanner.time(hours: 24)
            guard scanner.skip(",") else { throw .badRule }
        }
        let start = try scanner.date()
        guard scanner.skip(",") else { throw .badRule }
        let end = try scanner.date()
        guard scanner.isAtEnd else { throw .badRule }
        let offset = ZoneOffset(seconds: savingSeconds, isDaylight: true, abbreviation: savingName)
        saving = Saving(offset: offset, start: start, end: end)
    }
}

/// A yearly moment on the wall.
struct RuleDate {
    enum Day {
        /// `Jn`: 1 to 365, 29 February not counted.
        case ofCommonYear(Int)
        /// `n`: 0 to 365.
        case ofYear(Int)
        /// `Mm.w.d`: month, week 1 to 5 (5 the last), weekday.
        case ofMonth(Int, week: Int, weekday: Int)
    }

    var day: Day
    /// Seconds from midnight, −167 h to 167 h.
    var time: Int

    /// The local second since 1970 at which it falls in a year.
    func second(inYear year: Int) -> Int {
        let newYear = CivilDate(year: year, month: 1, day: 1).dayNumber
        let number: Int
        switch day {
        case .ofCommonYear(let day): number = newYear + day - 1 + (CivilDate.isLeap(year) && day >= 60 ? 1 : 0)
        case .ofYear(let day): number = newYear + day
        case .ofMonth(let month, let week, let weekday):
            let first = CivilDate(year: year, month: month, day: 1)
            var day = 1 + (weekday - first.weekday + 7) % 7 + (week - 1) * 7
            if day > CivilDate.daysInMonth(year: year, month: month) { day -= 7 }
            number = first.dayNumber + day - 1
        }
        return number * 86_400 + time
    }
}

private struct RuleScanner {
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    var isAtEnd: Bool { position == bytes.endIndex }

    private var current: UInt8? { isAtEnd ? nil : bytes[position] }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard let current, Unicode.Scalar(current) == character else { return false }
        position += 1
        return true
    }

    /// Three letters or more, or anything of letters, digits and signs in angle brackets.
    mutating func name() throws(ZoneError) -> String {
        let quoted = skip("<")
        let start = position
        while let byte = current {
            let isLetter = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A
            let isOther = byte >= 0x30 && byte <= 0x39 || byte == 0x2B || byte == 0x2D
            guard isLetter || quoted && isOther else { break }
            position += 1
        }
        let name = bytes[start..<position]
        guard name.count >= 3, !quoted || skip(">") else { throw .badRule }
        return String(decoding: name, as: UTF8.self)
    }

    mutating func number(digits: Int, in range: ClosedRange<Int>) throws(ZoneError) -> Int {
        var value = 0
        var count = 0
        while let byte = current, byte >= 0x30, byte <= 0x39, count < digits {
            value = value * 10 + Int(byte) - 0x30
            position += 1
            count += 1
        }
        guard count > 0, range.contains(value) else { throw .badRule }
        return value
    }

    /// `[+-]h[:mm[:ss]]` in seconds.
    mutating func time(hours: Int) throws(ZoneError) -> Int {
        let negative = skip("-")
        if !negative { _ = skip("+") }
        var seconds = try number(digits: 3, in: 0...hours) * 3600
        if skip(":") {
            seconds += try number(digits: 2, in: 0...59) * 60
            if skip(":") { seconds += try number(digits: 2, in: 0...59) }
        }
        return negative ? -seconds : seconds
    }

    mutating func date() throws(ZoneError) -> RuleDate {
        let day: RuleDate.Day
        if skip("M") {
            let month = try number(digits: 2, in: 1...12)
            guard skip(".") else { throw .badRule }
            let week = try number(digits: 1, in: 1...5)
            guard skip(".") else { throw .badRule }
            day = .ofMonth(month, week: week, weekday: try number(digits: 1, in: 0...6))
        } else if skip("J") {
            day = .ofCommonYear(try number(digits: 3, in: 1...365))
        } else {
            day = .ofYear(try number(digits: 3, in: 0...365))
        }
        return RuleDate(day: day, time: skip("/") ? try time(hours: 167) : 7200)
    }
}
