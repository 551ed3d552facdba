/// Reads one field: terms between commas, each of which adds bits.
struct CronFieldParser {
    let kind: CronField
    private let bytes: [UInt8]
    private let end: Int
    private let seed: String
    private var position: Int
    private let start: Int

    /// Plain values, bit per value; for weekdays bit 7 is Sunday too.
    var values: UInt64 = 0
    var fromLast: UInt32 = 0
    var nearWorkdays: UInt32 = 0
    var lastWorkday = false
    var ordinals: UInt64 = 0
    var lastWeekdays: UInt8 = 0
    var hasPlus = false
    var hasStarStep = false
    var hasUnevenStep = false

    init(_ kind: CronField, bytes: [UInt8], range: Range<Int>, seed: String) {
        self.kind = kind
        self.bytes = bytes
        self.seed = seed
        start = range.lowerBound
        end = range.upperBound
        position = range.lowerBound
    }

    /// Whether the field begins with `*`.
    var beginsWithStar: Bool { bytes[start] == 0x2A }
    /// Whether the field begins with `*` or `?`.
    var beginsOpen: Bool { beginsWithStar || bytes[start] == 0x3F }

    mutating func parse() throws(CronError) {
        if peek == 0x2B {
            guard kind == .weekday else { throw fault("+ stands before the weekday only") }
            hasPlus = true
            position += 1
        }
        while true {
            try term()
            if position == end { return }
            guard skip(0x2C) else { throw unexpected() }
        }
    }

    private var peek: UInt8? { position < end ? bytes[position] : nil }
    private var upper: UInt8? { peek.map { $0 >= 0x61 && $0 <= 0x7A ? $0 - 0x20 : $0 } }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard upper == byte else { return false }
        position += 1
        return true
    }

    private func fault(_ reason: String, at offset: Int? = nil, hint: String? = nil) -> CronError {
        CronError(offset ?? position, "\(kind.name): \(reason)", hint: hint)
    }

    private func unexpected() -> CronError {
        guard let byte = peek else { return fault("something is missing at the end") }
        if byte == 0x7E { return fault("~ is not supported", hint: "use H for a value derived from the id") }
        return fault("unexpected \"\(Character(Unicode.Scalar(byte)))\"")
    }

    private mutating func term() throws(CronError) {
        let first = position
        switch upper {
        case 0x2A:
            position += 1
            try steps(from: kind.lowest, to: kind.highest, star: true)
        case 0x3F:
            guard kind == .day || kind == .weekday else { throw fault("? stands for day or weekday only") }
            position += 1
            addRange(kind.lowest, kind.highest, 1)
        case 0x48:
            position += 1
            try hashed()
        case 0x4C:
            guard kind == .day else {
                throw fault(
                    "L alone stands for the last day of the month only",
                    hint: kind == .weekday ? "write 5L for the last Friday" : nil)
            }
            position += 1
            try last()
        default:
            let value = try self.value()
            try after(value, from: first)
        }
    }

    /// What may follow a value: `W`, `#k`, `L`, a range, a step.
    private mutating func after(_ value: Int, from first: Int) throws(CronError) {
        if kind == .day, skip(0x57) {
            nearWorkdays |= 1 << UInt32(value)
        } else if kind == .weekday, skip(0x4C) {
            lastWeekdays |= 1 << UInt8(value % 7)
        } else if kind == .weekday, skip(0x23) {
            let offset = position
            guard let k = digits(1), k >= 1, k <= 5 else { throw fault("# takes 1 to 5", at: offset) }
            ordinals |= 1 << UInt64((k - 1) * 7 + value % 7)
        } else if skip(0x2D) {
            let upTo = try self.value()
            try steps(from: value, to: upTo, star: false)
        } else if peek == 0x2F {
            try steps(from: kind == .weekday ? value % 7 : value, to: kind.highest, star: false)
        } else {
            values |= 1 << UInt64(value)
        }
    }

    private mutating func last() throws(CronError) {
        if skip(0x57) {
            lastWorkday = true
        } else if skip(0x2D) {
            let offset = position
            guard let back = digits(2), back <= 30 else { throw fault("L- takes 0 to 30", at: offset) }
            fromLast |= 1 << UInt32(back)
        } else {
            fromLast |= 1
        }
    }

    private mutating func hashed() throws(CronError) {
        var low = kind.lowest
        var high = kind.hashHighest
        if skip(0x28) {
            let offset = position
            guard let from = digits(2), skip(0x2D), let to = digits(2), skip(0x29) else { throw unexpected() }
            guard from >= kind.lowest, to <= kind.highest, from <= to else {
                throw fault("H takes a range within \(kind.lowest)-\(kind.highest)", at: offset)
            }
            low = from
            high = to
        }
        let hash = StableHash.value(seed, kind.hashName)
        let size = high - low + 1
        if let step = try step() {
            let first = low + Int(hash % UInt64(min(step, size)))
            addRange(first, high, step)
        } else {
            values |= 1 << (UInt64(low) + hash % UInt64(size))
        }
    }

    private mutating func steps(from: Int, to: Int, star: Bool) throws(CronError) {
        let step = try step()
        if let step, step > 1 {
            if star { hasStarStep = true }
            let size = kind.highest - kind.lowest + 1
            if star, kind != .day, size % step != 0 { hasUnevenStep = true }
        }
        addRange(from, to, step ?? 1)
    }

    private mutating func step() throws(CronError) -> Int? {
        guard skip(0x2F) else { return nil }
        let offset = position
        guard let step = digits(4), step >= 1 else { throw fault("a step is a number from 1 to 9999", at: offset) }
        return step
    }

    /// Adds every `step`-th value of a range; one that runs backwards passes the greatest value on to the least.
    private mutating func addRange(_ from: Int, _ to: Int, _ step: Int) {
        let from = from > to && kind == .weekday && from == 7 ? 0 : from
        let count = from <= to ? to - from + 1 : kind.highest - from + 1 + to - kind.lowest + 1
        var index = 0
        while index < count {
            let value = from + index
            let wraps = from > to && value > kind.highest
            values |= 1 << UInt64(wraps ? value - kind.highest - 1 + kind.lowest : value)
            index += step
        }
    }

    private mutating func digits(_ limit: Int) -> Int? {
        let first = position
        var value = 0
        while let byte = peek, byte >= 0x30, byte <= 0x39 {
            guard position - first < limit else { return nil }
            value = value * 10 + Int(byte) - 0x30
            position += 1
        }
        return position == first ? nil : value
    }

    /// A number of one or two digits, or a name of three letters.
    private mutating func value() throws(CronError) -> Int {
        let first = position
        guard let byte = peek else { throw unexpected() }
        if byte >= 0x30, byte <= 0x39 {
            let highest = kind == .weekday ? 7 : kind.highest
            guard let value = digits(2), value >= kind.lowest, value <= highest else {
                throw fault("a number from \(kind.lowest) to \(highest) is needed", at: first)
            }
            return value
        }
        guard kind == .month || kind == .weekday, end - position >= 3 else { throw unexpected() }
        let names = kind == .month ? CronFieldParser.monthNames : CronFieldParser.weekdayNames
        var packed = 0
        for byte in bytes[position..<position + 3] { packed = packed << 8 | Int(byte >= 0x61 ? byte & 0xDF : byte) }
        guard let index = names.firstIndex(of: packed) else {
            throw fault("unknown name", hint: kind == .month ? "JAN to DEC" : "SUN to SAT")
        }
        position += 3
        return index + kind.lowest
    }

    private static let monthNames = pack([
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ])
    private static let weekdayNames = pack(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])

    private static func pack(_ names: [String]) -> [Int] {
        names.map { $0.utf8.reduce(0) { $0 << 8 | Int($1) } }
    }
}
