/// Why a cron expression was refused.
public struct CronError: Error, Hashable, Sendable {
    /// Byte of the text at which the fault was found.
    public var offset: Int
    /// One sentence: what is wrong.
    public var reason: String
    /// What to write instead, where that is known.
    public var hint: String?

    init(_ offset: Int, _ reason: String, hint: String? = nil) {
        self.offset = offset
        self.reason = reason
        self.hint = hint
    }
}

/// The six fields, in the order of the text.
enum CronField: Int8, Sendable {
    case second, minute, hour, day, month, weekday

    /// The least value.
    var lowest: Int { self == .day || self == .month ? 1 : 0 }

    /// The greatest value; Sunday as 7 stands apart.
    var highest: Int {
        switch self {
        case .second, .minute: 59
        case .hour: 23
        case .day: 31
        case .month: 12
        case .weekday: 6
        }
    }

    /// What `H` alone chooses from: a day that every month has.
    var hashHighest: Int { self == .day ? 28 : highest }

    /// The field's name in the hash.
    var hashName: String {
        switch self {
        case .second: "second"
        case .minute: "minute"
        case .hour: "hour"
        case .day: "dom"
        case .month: "month"
        case .weekday: "dow"
        }
    }

    /// The field's name in sentences.
    var name: String {
        switch self {
        case .day: "day of month"
        case .weekday: "weekday"
        default: hashName
        }
    }
}

extension CronExpression {
    /// Longest accepted text, in bytes.
    public static let longestText = 256

    /// Reads five fields (minute, hour, day, month, weekday), six with the second first, or a macro such as `@daily`.
    ///
    /// `seed` is the schedule's id, from which `H` takes its value.
    public init(_ text: String, seed: String = "") throws(CronError) {
        let bytes = Array(text.utf8)
        guard bytes.count <= CronExpression.longestText else {
            throw CronError(CronExpression.longestText, "longer than \(CronExpression.longestText) bytes")
        }
        let fields = try CronExpression.split(bytes)
        guard let first = fields.first else { throw CronError(0, "the expression is empty") }
        if bytes[first.lowerBound] == 0x40 {
            try self.init(macro: Array(bytes[first]), at: first.lowerBound, alone: fields.count == 1)
            return
        }
        try CronExpression.checkCount(fields, bytes)
        self.init()
        var kinds: [CronField] = [.minute, .hour, .day, .month, .weekday]
        if fields.count == 6 { kinds.insert(.second, at: 0) }
        var parsed: [CronFieldParser] = []
        for (kind, range) in zip(kinds, fields) {
            var parser = CronFieldParser(kind, bytes: bytes, range: range, seed: seed)
            try parser.parse()
            parsed.append(parser)
        }
        take(parsed)
    }

    private init(macro name: [UInt8], at offset: Int, alone: Bool) throws(CronError) {
        let word = String(decoding: name, as: UTF8.self)
        if word.hasPrefix("@every") {
            throw CronError(offset, "@every is not a cron expression", hint: "use type interval with every_ms")
        }
        guard alone else { throw CronError(offset, "a macro stands alone") }
        let text: String
        switch word {
        case "@hourly": text = "0 * * * *"
        case "@daily", "@midnight": text = "0 0 * * *"
        case "@weekly": text = "0 0 * * 0"
        case "@monthly": text = "0 0 1 * *"
        case "@yearly", "@annually": text = "0 0 1 1 *"
        case "@reboot": throw CronError(offset, "@reboot has no time", hint: "start work with the program itself")
        default:
            throw CronError(
                offset, "unknown macro",
                hint: "lower case: @hourly @daily @midnight @weekly @monthly @yearly @annually")
        }
        try self.init(text)
    }

    /// The ranges of the fields between spaces and tabs.
    private static func split(_ bytes: [UInt8]) throws(CronError) -> [Range<Int>] {
        var fields: [Range<Int>] = []
        var start: Int?
        for (index, byte) in bytes.enumerated() {
            guard byte < 0x80 else { throw CronError(index, "only ASCII is allowed") }
            if byte == 0x20 || byte == 0x09 {
                if let begun = start { fields.append(begun..<index) }
                start = nil
            } else if byte < 0x20 || byte == 0x7F {
                throw CronError(index, "only spaces and tabs part the fields")
            } else if start == nil {
                start = index
            }
        }
        if let begun = start { fields.append(begun..<bytes.count) }
        return fields
    }

    private static func checkCount(_ fields: [Range<Int>], _ bytes: [UInt8]) throws(CronError) {
        let first = String(decoding: bytes[fields[0]], as: UTF8.self)
        if first.hasPrefix("TZ=") || first.hasPrefix("CRON_TZ=") {
            throw CronError(fields[0].lowerBound, "the zone has a field of its own", hint: "use spec.timezone")
        }
        if fields.count == 7 {
            throw CronError(fields[6].lowerBound, "a year is not supported", hint: "use bounds.not_before, not_after")
        }
        guard fields.count == 5 || fields.count == 6 else {
            let end = fields.last?.upperBound ?? 0
            throw CronError(
                end, "\(fields.count) fields, where 5 or 6 are needed",
                hint: "[second] minute hour day month weekday")
        }
    }

    private mutating func take(_ fields: [CronFieldParser]) {
        var dayStar = false
        var weekdayStar = false
        var starStep = false
        for field in fields {
            switch field.kind {
            case .second: seconds = field.values
            case .minute: minutes = field.values
            case .hour: hours = field.values
            case .month: months = field.values
            case .day:
                days.numbers = UInt32(truncatingIfNeeded: field.values)
                days.fromLast = field.fromLast
                days.nearWorkdays = field.nearWorkdays
                days.lastWorkday = field.lastWorkday
                dayStar = field.beginsOpen
            case .weekday:
                days.weekdays = UInt8(truncatingIfNeeded: field.values & 0x7F | field.values >> 7 & 1)
                days.ordinalWeekdays = field.ordinals
                days.lastWeekdays = field.lastWeekdays
                weekdayStar = field.beginsOpen
                days.bothMustMatch = field.hasPlus
            }
            if field.kind.rawValue <= CronField.hour.rawValue, field.beginsWithStar { isWildcard = true }
            if field.kind == .day || field.kind == .weekday, field.hasStarStep { starStep = true }
            if traits.unevenStep == nil, field.hasUnevenStep { traits.unevenStep = field.kind }
        }
        let isPlain = days.bothMustMatch
        days.bothMustMatch = isPlain || dayStar || weekdayStar
        traits.hasEitherDay = !days.bothMustMatch
        let isDayFree = days.numbers == 0xFFFF_FFFE
        let isWeekdayFree = days.weekdays == 0x7F
        traits.hasStarStepDay = starStep && !isDayFree && !isWeekdayFree && !isPlain
    }
}
