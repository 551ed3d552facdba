/// Why zone data was refused.
public enum ZoneError: Error, Hashable, Sendable {
    /// Not an IANA name: `..`, a leading `/`, `right/`, other characters.
    case badName
    /// More than `Zone.largestFile` bytes.
    case tooLarge
    /// Not a TZif file, or one that ends early.
    case notTZif
    /// Only the 32-bit block of version 1 is there.
    case noWideBlock
    /// Counts, indexes, times or offsets that contradict each other.
    case inconsistent
    /// The footer's rule cannot be read.
    case badRule
}

extension Zone {
    /// Largest accepted zone file: 1 MiB.
    public static let largestFile = 1 << 20

    /// Reads a TZif file (RFC 9636): its 64-bit block and the footer's rule; leap-second records are ignored.
    public init(name: String, tzif bytes: [UInt8]) throws(ZoneError) {
        guard Zone.isName(name) else { throw .badName }
        guard bytes.count <= Zone.largestFile else { throw .tooLarge }
        var reader = ZoneFileReader(bytes)
        let narrow = try reader.header()
        guard narrow.version >= 0x32 else { throw .noWideBlock }
        try reader.skip(narrow.length(timeSize: 4))
        let wide = try reader.header()
        let block = try reader.block(wide)
        let rule = try reader.footer()
        self = try Zone.assemble(name: name, block: block, rule: rule)
    }

    /// Whether text has the form of an IANA zone name that may be looked up below a zone directory.
    public static func isName(_ text: String) -> Bool {
        guard !text.isEmpty, text.utf8.count <= 64, !text.hasPrefix("right/"), !text.hasPrefix("posix/"),
            text != "localtime", text != "posixrules"
        else { return false }
        var partLength = 0
        var onlyDots = true
        for byte in text.utf8 {
            switch byte {
            case 0x2F:
                if partLength == 0 || onlyDots { return false }
                partLength = 0
                onlyDots = true
            case 0x2E:
                partLength += 1
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x2B, 0x2D:
                partLength += 1
                onlyDots = false
            default: return false
            }
        }
        return partLength > 0 && !onlyDots
    }

    private static func assemble(name: String, block: ZoneFileBlock, rule: ZoneRule?) throws(ZoneError) -> Zone {
        var builder = ZoneBuilder(first: block.offsets[0])
        for (index, time) in block.times.enumerated() {
            try builder.append(time, block.offsets[Int(block.kinds[index])])
        }
        guard let rule else { return builder.zone(name: name, repeatsFrom: nil) }
        if block.times.isEmpty { builder = ZoneBuilder(first: rule.standard) }
        guard let saving = rule.saving else {
            if let last = block.times.last { try builder.append(last, rule.standard) }
            return builder.zone(name: name, repeatsFrom: nil)
        }
        let last = block.times.last ?? CivilTime(CivilDate(year: 1900, month: 1, day: 1)).seconds
        let firstYear = CivilTime(seconds: last).date.year
        var events: [(time: Int, isSaving: Bool)] = []
        for year in firstYear - 1...firstYear + 402 {
            let starts = saving.start.second(inYear: year) - rule.standard.seconds
            let ends = saving.end.second(inYear: year) - saving.offset.seconds
            events.append((starts, true))
            events.append((ends, false))
        }
        // At one instant the end comes first: daylight time that ends where the next one begins lasts all year.
        events.sort { ($0.time, $0.isSaving ? 1 : 0) < ($1.time, $1.isSaving ? 1 : 0) }
        for event in events where event.time > last {
            try builder.append(event.time, event.isSaving ? saving.offset : rule.standard)
        }
        let repeats = CivilTime(CivilDate(year: firstYear + 401, month: 7, day: 1)).seconds
        return builder.zone(name: name, repeatsFrom: repeats)
    }
}

/// Collects spans and joins those that do not differ.
private struct ZoneBuilder {
    private var starts = [Int.min]
    private var kinds: [UInt8] = [0]
    private var offsets: [ZoneOffset]

    init(first: ZoneOffset) { offsets = [first] }

    mutating func append(_ time: Int, _ offset: ZoneOffset) throws(ZoneError) {
        let kind: UInt8
        if let known = offsets.firstIndex(of: offset) {
            kind = UInt8(known)
        } else {
            guard offsets.count < 256 else { throw .inconsistent }
            kind = UInt8(offsets.count)
            offsets.append(offset)
        }
        if starts[starts.count - 1] == time {
            kinds[kinds.count - 1] = kind
            if kinds.count > 1, kinds[kinds.count - 2] == kind {
                starts.removeLast()
                kinds.removeLast()
            }
            return
        }
        guard kinds[kinds.count - 1] != kind else { return }
        starts.append(time)
        kinds.append(kind)
    }

    func zone(name: String, repeatsFrom: Int?) -> Zone {
        Zone(name: name, starts: starts, kinds: kinds, offsets: offsets, repeatsFrom: repeatsFrom)
    }
}

/// The six counts of a TZif header.
private struct ZoneFileHeader {
    var version: UInt8
    var utcIndicators: Int
    var standardIndicators: Int
    var leaps: Int
    var times: Int
    var types: Int
    var characters: Int

    func length(timeSize: Int) -> Int {
        times * timeSize + times + types * 6 + characters + leaps * (timeSize + 4) + standardIndicators
            + utcIndicators
    }
}

/// Transitions and offsets of a data block.
private struct ZoneFileBlock {
    var times: [Int]
    var kinds: [UInt8]
    var offsets: [ZoneOffset]
}

private struct ZoneFileReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func skip(_ count: Int) throws(ZoneError) {
        guard count <= bytes.count - position else { throw .notTZif }
        position += count
    }

    private mutating func number(_ size: Int) throws(ZoneError) -> Int {
        let start = position
        try skip(size)
        var value = bytes[start] >= 0x80 ? -1 : 0
        for byte in bytes[start..<start + size] { value = value << 8 | Int(byte) }
        return value
    }

    private mutating func count() throws(ZoneError) -> Int {
        let value = try number(4)
        guard value >= 0, value <= Zone.largestFile else { throw .inconsistent }
        return value
    }

    mutating func header() throws(ZoneError) -> ZoneFileHeader {
        let start = position
        try skip(20)
        guard bytes[start..<start + 4].elementsEqual("TZif".utf8) else { throw .notTZif }
        let version = bytes[start + 4]
        let utcIndicators = try count()
        let standardIndicators = try count()
        let leaps = try count()
        let times = try count()
        let types = try count()
        let characters = try count()
        return ZoneFileHeader(
            version: version, utcIndicators: utcIndicators, standardIndicators: standardIndicators, leaps: leaps,
            times: times, types: types, characters: characters)
    }

    mutating func block(_ header: ZoneFileHeader) throws(ZoneError) -> ZoneFileBlock {
        guard header.types >= 1, header.types <= 256, header.characters >= 1,
            header.utcIndicators == 0 || header.utcIndicators == header.types,
            header.standardIndicators == 0 || header.standardIndicators == header.types
        else { throw .inconsistent }
        let end = position
        try skip(header.length(timeSize: 8))
        position = end
        var times: [Int] = []
        for _ in 0..<header.times {
            let time = try number(8)
            // Some files begin with a placeholder before all history; it is kept as far as arithmetic allows.
            guard time >= -(1 << 59), time <= 1 << 55 else { throw .inconsistent }
            if let last = times.last, last >= time { throw .inconsistent }
            times.append(time)
        }
        let kinds = Array(bytes[position..<position + header.times])
        guard kinds.allSatisfy({ Int($0) < header.types }) else { throw .inconsistent }
        try skip(header.times)
        let offsets = try types(header)
        try skip(header.leaps * 12 + header.standardIndicators + header.utcIndicators)
        return ZoneFileBlock(times: times, kinds: kinds, offsets: offsets)
    }

    private mutating func types(_ header: ZoneFileHeader) throws(ZoneError) -> [ZoneOffset] {
        let names = position + header.types * 6
        var offsets: [ZoneOffset] = []
        for _ in 0..<header.types {
            let seconds = try number(4)
            let isDaylight = bytes[position]
            let nameStart = Int(bytes[position + 1])
            try skip(2)
            guard abs(seconds) <= Zone.greatestOffset, isDaylight <= 1, nameStart < header.characters
            else { throw .inconsistent }
            let tail = bytes[names + nameStart..<names + header.characters]
            guard let stop = tail.firstIndex(of: 0) else { throw .inconsistent }
            let name = String(decoding: tail[tail.startIndex..<stop], as: UTF8.self)
            offsets.append(ZoneOffset(seconds: seconds, isDaylight: isDaylight == 1, abbreviation: name))
        }
        try skip(header.characters)
        return offsets
    }

    /// The rule between the two newlines; none when they enclose nothing.
    mutating func footer() throws(ZoneError) -> ZoneRule? {
        guard position < bytes.count, bytes[position] == 0x0A else { throw .notTZif }
        let start = position + 1
        guard let end = bytes[start...].firstIndex(of: 0x0A) else { throw .notTZif }
        if start == end { return nil }
        return try ZoneRule(bytes[start..<end])
    }
}
