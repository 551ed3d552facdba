import Contract
import TimeModel
import Wire

/// Names of one segment, each with a number from 1 on; 0 stands for no name.
struct NameTable: Sendable {
    private(set) var names: [String] = []
    private var numbers: [String: UInt32] = [:]

    init() {}

    /// The number of a name that is known, 0 for `nil`, or `nil`.
    func number(of name: String?) -> UInt32? {
        guard let name else { return 0 }
        return numbers[name]
    }

    /// The number of a name, which is given one if it has none.
    mutating func add(_ name: String?) -> UInt32 {
        guard let name else { return 0 }
        if let known = numbers[name] { return known }
        names.append(name)
        let number = UInt32(names.count)
        numbers[name] = number
        return number
    }

    func name(_ number: UInt32) -> String? {
        number > 0 && Int(number) <= names.count ? names[Int(number) - 1] : nil
    }

    /// The table as a section of an index file.
    var packed: [UInt8] {
        var bytes: [UInt8] = []
        for name in names {
            Packed.append(UInt32(name.utf8.count), to: &bytes)
            bytes.append(contentsOf: name.utf8)
        }
        return bytes
    }

    /// Reads a section.
    init(packed bytes: [UInt8]) {
        var at = 0
        while at + 4 <= bytes.count {
            let count: UInt32 = Packed.number(bytes, at)
            guard at + 4 + Int(count) <= bytes.count else { return }
            _ = add(String(decoding: bytes[at + 4..<at + 4 + Int(count)], as: UTF8.self))
            at += 4 + Int(count)
        }
    }
}

/// What the index keeps of one record: 96 bytes.
struct HistoryRow: Hashable, Sendable {
    static let size = 96

    var at: Int64
    var digest: UInt64
    var cost: Int64
    var wastedCost: Int64
    /// Where its line begins in the data file, and its length with the line end.
    var offset: UInt32
    var length: UInt32
    // Numbers of names.
    var workspace: UInt32
    var principal: UInt32
    var capability: UInt32
    var executor: UInt32
    var type: UInt32
    var kind: UInt32
    var code: UInt32
    // Hashes.
    var subject: UInt32
    var user: UInt32
    var request: UInt32
    var queuedMs: UInt32
    var durationMs: UInt32
    var tokens: UInt32
    /// The place of the kind in the list of kinds.
    var record: UInt8
    /// 0 for none, 1 to 5 for the five statuses, more for other words.
    var status: UInt8
    /// 1: a copy, not counted. 2: an attempt was made.
    var flags: UInt8

    var isCopy: Bool { flags & 1 == 1 }
    var hasRun: Bool { flags & 2 == 2 }
    /// Whether it stands for one end of one task.
    var isCounted: Bool { record == 0 && !isCopy }

    /// Words besides the five statuses.
    private static let otherStatuses = ["ok", "warning", "error", "skipped", "unknown"]

    /// The number of a status word; 255 for one that is none of the contract's.
    static func number(ofStatus word: String?) -> UInt8 {
        guard let word else { return 0 }
        if let at = Status.allCases.firstIndex(where: { $0.rawValue == word }) { return UInt8(at + 1) }
        return otherStatuses.firstIndex(of: word).map { UInt8($0 + 1 + Status.allCases.count) } ?? 255
    }

    /// The number of a kind of record.
    static func number(of kind: RecordKind) -> UInt8 { UInt8(RecordKind.allCases.firstIndex(of: kind) ?? 0) }

    /// The row of a record whose line stands at a place of the data file.
    init(_ record: HistoryRecord, names: inout NameTable, offset: Int, length: Int) {
        at = Int64(record.at.milliseconds)
        digest = record.digest
        cost = Int64(record.cost ?? 0)
        wastedCost = Int64(record.wastedCost ?? 0)
        self.offset = UInt32(clamping: offset)
        self.length = UInt32(clamping: length)
        workspace = names.add(record.workspace)
        principal = names.add(record.principal)
        capability = names.add(record.capability)
        executor = names.add(record.executor)
        type = names.add(record.type)
        kind = names.add(record.kind)
        code = names.add(record.code)
        subject = StableHash.short(record.subject)
        user = StableHash.short(record.user)
        request = StableHash.short(record.request)
        queuedMs = UInt32(clamping: record.queuedMs ?? 0)
        durationMs = UInt32(clamping: record.durationMs ?? 0)
        tokens = UInt32(clamping: record.tokens ?? 0)
        self.record = HistoryRow.number(of: record.record)
        status = HistoryRow.number(ofStatus: record.status)
        flags = (record.isCopy ? 1 : 0) | (record.executor != nil && record.record == .result ? 2 : 0)
    }

    /// Adds the row to a section.
    func append(to bytes: inout [UInt8]) {
        Packed.append(at, to: &bytes)
        Packed.append(digest, to: &bytes)
        Packed.append(cost, to: &bytes)
        Packed.append(wastedCost, to: &bytes)
        for word in [
            offset, length, workspace, principal, capability, executor, type, kind, code, subject, user, request,
            queuedMs, durationMs, tokens,
        ] { Packed.append(word, to: &bytes) }
        bytes.append(record)
        bytes.append(status)
        bytes.append(flags)
        bytes.append(0)
    }

    /// Reads a row of a section.
    init(_ bytes: [UInt8], at start: Int) {
        func long(_ place: Int) -> UInt64 { Packed.number(bytes, start + place) }
        func word(_ index: Int) -> UInt32 { Packed.number(bytes, start + 32 + 4 * index) }
        at = Int64(bitPattern: long(0))
        digest = long(8)
        cost = Int64(bitPattern: long(16))
        wastedCost = Int64(bitPattern: long(24))
        offset = word(0)
        length = word(1)
        workspace = word(2)
        principal = word(3)
        capability = word(4)
        executor = word(5)
        type = word(6)
        kind = word(7)
        code = word(8)
        subject = word(9)
        user = word(10)
        request = word(11)
        queuedMs = word(12)
        durationMs = word(13)
        tokens = word(14)
        record = bytes[start + 92]
        status = bytes[start + 93]
        flags = bytes[start + 94]
    }
}

extension HistoryRecord {
    /// Tells this message from any other one: equal for copies of one message.
    var digest: UInt64 {
        var hash = StableHash.of(body?.bytes ?? [])
        for text in [record.rawValue, workspace, principal ?? "", capability ?? "", subject] {
            hash = StableHash.of(text, seed: hash)
        }
        return hash
    }
}

/// A line of a data file: `{"n":17,...,"crc":"01234567"}` and a line end. The checksum covers what stands before its own
/// field.
enum HistoryLine {
    /// `,"crc":"` and 8 digits, `"}` and the line end.
    private static let tail = Array(",\"crc\":\"".utf8)
    static let tailLength = 8 + 8 + 3

    /// The line of a record.
    static func encode(_ record: HistoryRecord) -> [UInt8] {
        var line = record.encoded
        line.removeLast()
        let sum = Checksum.of(line, 0..<line.count)
        line.append(contentsOf: tail)
        line.append(contentsOf: Checksum.text(sum))
        line.append(contentsOf: [UInt8(ascii: "\""), UInt8(ascii: "}"), 0x0A])
        return line
    }

    /// Whether a line, with its end, is what was written.
    static func isWhole(_ line: [UInt8]) -> Bool {
        let end = line.count - tailLength
        guard end > 1, line[line.count - 1] == 0x0A, line[end..<end + 8].elementsEqual(tail) else { return false }
        let sum = Checksum.text(Checksum.of(line, 0..<end))
        return line[end + 8..<end + 16].elementsEqual(sum)
    }

    /// The record of a line, or `nil` when it is damaged.
    static func decode(_ line: [UInt8]) -> HistoryRecord? {
        isWhole(line) ? try? HistoryRecord(decoding: line) : nil
    }
}
