import Contract
import Machine
import TimeModel
import Wire

/// Names of the files of one segment: the day on which it was begun, and the number of its first record.
struct SegmentName: Hashable, Sendable {
    var day: String
    var first: Int

    var data: String { "\(day).\(SegmentName.padded(first)).jsonl" }
    var index: String { "\(day).\(SegmentName.padded(first)).index" }

    init(day: String, first: Int) {
        self.day = day
        self.first = first
    }

    /// Takes the name of a data file apart.
    init?(data name: String) {
        let parts = name.split(separator: ".")
        guard parts.count == 3, parts[2] == "jsonl", parts[0].utf8.count == 10, let first = Int(parts[1]) else {
            return nil
        }
        self.init(day: String(parts[0]), first: first)
    }

    private static func padded(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, 12 - text.utf8.count)) + text
    }

    /// The day of a moment, UTC.
    static func day(_ time: WallTime) -> String { String(time.rfc3339.prefix(10)) }
}

/// What of a record can be looked up by its value.
enum PostingField: UInt64, CaseIterable {
    case subject = 1, principal, capability, executor, user, request
    /// Capability, or executor, with a status other than success.
    case capabilityStatus, executorStatus

    /// The key of a value.
    func key(_ hash: UInt32, _ status: UInt8 = 0) -> UInt32 {
        UInt32(truncatingIfNeeded: StableHash.mix(UInt64(hash) << 16 | UInt64(status) << 8 | rawValue))
    }
}

/// The segment that records are added to: its rows and names are in memory.
struct ActiveSegment: Sendable {
    var name: SegmentName
    var rows: [HistoryRow] = []
    var names = NameTable()
    /// Bytes of whole lines in the data file.
    var bytes = 0
    /// The number behind the last record.
    var end: Int

    init(_ name: SegmentName) {
        self.name = name
        end = name.first
    }

    /// Takes a record in whose line follows the last one.
    mutating func add(_ record: HistoryRecord, length: Int) {
        rows.append(HistoryRow(record, names: &names, offset: bytes, length: length))
        bytes += length
        end = record.number + 1
    }

    /// The index file of the finished segment.
    func index() -> [UInt8] {
        let postings = postings()
        let names = names.packed
        let summaries = summaries()
        let fence = stride(from: 0, to: postings.count, by: SealedSegment.fenceStep).map {
            UInt32(truncatingIfNeeded: postings[$0] >> 32)
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(
            SealedSegment.headerLength + rows.count * HistoryRow.size + postings.count * 8 + names.count)
        bytes.append(contentsOf: SealedSegment.magic)
        for number in [
            SealedSegment.version, rows.count, postings.count, fence.count, names.count, summaries.count,
        ] { Packed.append(UInt32(clamping: number), to: &bytes) }
        Packed.append(rows.map(\.at).min() ?? 0, to: &bytes)
        Packed.append(rows.map(\.at).max() ?? 0, to: &bytes)
        Packed.append(UInt64(self.bytes), to: &bytes)
        Packed.append(UInt64(end), to: &bytes)
        Packed.append(Checksum.of(bytes, 0..<bytes.count), to: &bytes)
        for key in fence { Packed.append(key, to: &bytes) }
        for row in rows { row.append(to: &bytes) }
        for posting in postings { Packed.append(posting, to: &bytes) }
        bytes.append(contentsOf: names)
        bytes.append(contentsOf: summaries)
        return bytes
    }

    /// Pairs of key and row, sorted.
    private func postings() -> [UInt64] {
        let hashes = [0] + names.names.map { StableHash.short($0) }
        var postings: [UInt64] = []
        postings.reserveCapacity(rows.count * 5)
        for (ordinal, row) in rows.enumerated() {
            func add(_ field: PostingField, _ hash: UInt32, _ status: UInt8 = 0) {
                guard hash != 0 else { return }
                postings.append(UInt64(field.key(hash, status)) << 32 | UInt64(ordinal))
            }
            add(.subject, row.subject)
            add(.principal, hashes[Int(row.principal)])
            add(.capability, hashes[Int(row.capability)])
            add(.executor, hashes[Int(row.executor)])
            add(.user, row.user)
            add(.request, row.request)
            guard row.status > 1 else { continue }
            add(.capabilityStatus, hashes[Int(row.capability)], row.status)
            add(.executorStatus, hashes[Int(row.executor)], row.status)
        }
        postings.sort()
        return postings
    }

    /// Sums of the counted results, one line for each group.
    private func summaries() -> [UInt8] {
        var groups: [SummaryKey: Aggregate] = [:]
        for row in rows where row.isCounted { groups[SummaryKey(row, names), default: Aggregate()].add(row) }
        var writer = JSONWriter(capacity: groups.count * 256)
        writer.beginArray()
        for key in groups.keys.sorted() {
            guard let sum = groups[key] else { continue }
            writer.object {
                $0.field("k", key.names)
                sum.writeFields(to: &$0)
            }
        }
        writer.endArray()
        return writer.bytes
    }
}

/// The group of a result in a segment's sums: workspace, principal, capability, executor, type, kind, day.
struct SummaryKey: Hashable, Comparable, Sendable {
    var names: [String]

    init(_ row: HistoryRow, _ table: NameTable) {
        names = [row.workspace, row.principal, row.capability, row.executor, row.type, row.kind].map {
            table.name($0) ?? ""
        }
        names.append(SegmentName.day(WallTime(milliseconds: Int(row.at))))
    }

    init(_ names: [String]) { self.names = names }

    static func < (a: SummaryKey, b: SummaryKey) -> Bool { a.names.lexicographicallyPrecedes(b.names) }

    /// The name by which a dimension groups it.
    func name(_ dimension: HistoryDimension) -> String {
        switch dimension {
        case .workspace: names[0]
        case .principal: names[1]
        case .capability: names[2]
        case .executor: names[3]
        case .type: names[4]
        case .kind: names[5]
        case .day: names[6]
        }
    }
}

/// A finished segment: what of its index file is held in memory.
struct SealedSegment: Sendable {
    static let magic = Array("MARTLETI".utf8)
    static let version = 1
    static let headerLength = 68
    /// Of so many postings the first one's key is held in memory.
    static let fenceStep = 128

    let name: SegmentName
    /// The name of its index file.
    let indexName: String
    var count: Int
    var postingCount: Int
    var nameBytes: Int
    var summaryBytes: Int
    var earliest: Int
    var latest: Int
    var dataBytes: Int
    var fence: [UInt32]

    var rowsAt: Int { SealedSegment.headerLength + fence.count * 4 }
    var postingsAt: Int { rowsAt + count * HistoryRow.size }
    var namesAt: Int { postingsAt + postingCount * 8 }
    var summariesAt: Int { namesAt + nameBytes }
    /// Bytes of the index file.
    var indexBytes: Int { summariesAt + summaryBytes }
    /// The number behind the last record.
    var end: Int

    /// Reads header and fence; `nil` when the file is not a whole index of a data file of this size.
    init?(_ name: SegmentName, dataBytes: Int, files: any ArchiveFiles) {
        let indexName = name.index
        guard let size = try? files.size(of: indexName),
            let header = try? files.read(indexName, at: 0, count: SealedSegment.headerLength),
            header.count == SealedSegment.headerLength, header.starts(with: SealedSegment.magic)
        else { return nil }
        let sum: UInt32 = Packed.number(header, SealedSegment.headerLength - 4)
        func number(_ index: Int) -> Int { Int(Packed.number(header, 8 + 4 * index) as UInt32) }
        func long(_ index: Int) -> Int { Int(truncatingIfNeeded: Packed.number(header, 32 + 8 * index) as UInt64) }
        guard sum == Checksum.of(header, 0..<SealedSegment.headerLength - 4), number(0) == SealedSegment.version else {
            return nil
        }
        self.name = name
        self.indexName = indexName
        count = number(1)
        postingCount = number(2)
        nameBytes = number(4)
        summaryBytes = number(5)
        earliest = long(0)
        latest = long(1)
        self.dataBytes = long(2)
        end = long(3)
        guard let bytes = try? files.read(indexName, at: SealedSegment.headerLength, count: number(3) * 4) else {
            return nil
        }
        fence = stride(from: 0, to: bytes.count - 3, by: 4).map { Packed.number(bytes, $0) }
        guard fence.count == number(3), size == indexBytes, dataBytes == self.dataBytes else { return nil }
    }

    /// The places of the postings of a key: one read for a key that is not in more than one block, as most are.
    func range(of key: UInt32, _ files: any ArchiveFiles) throws(ArchiveFault) -> Range<Int> {
        // Postings of the key begin in the block before the first one whose first key is not below, and end in the one
        // before the first whose first key is above.
        let low = firstBlock { $0 >= key }
        let high = firstBlock { $0 > key }
        guard high > 0 else { return 0..<0 }
        let first = max(0, low - 1)
        let start = try place(of: key, inBlock: first, files)
        // In one block both bounds lie close together.
        let last = high - 1
        if last == first { return start.first..<start.behind }
        return start.first..<(try place(of: key, inBlock: last, files)).behind
    }

    private func firstBlock(_ isBeyond: (UInt32) -> Bool) -> Int {
        var (low, high) = (0, fence.count)
        while low < high {
            let middle = (low + high) / 2
            if isBeyond(fence[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The first posting of a block that is not below a key, and the first that is above it.
    private func place(
        of key: UInt32, inBlock block: Int, _ files: any ArchiveFiles
    ) throws(ArchiveFault) -> (first: Int, behind: Int) {
        let start = block * SealedSegment.fenceStep
        let count = min(SealedSegment.fenceStep, postingCount - start)
        let bytes = try files.read(indexName, at: postingsAt + start * 8, count: count * 8)
        func bound(_ value: UInt64) -> Int {
            var (low, high) = (0, bytes.count / 8)
            while low < high {
                let middle = (low + high) / 2
                let posting: UInt64 = Packed.number(bytes, middle * 8)
                if posting < value { low = middle + 1 } else { high = middle }
            }
            return start + low
        }
        let behind = key == .max ? start + bytes.count / 8 : bound((UInt64(key) + 1) << 32)
        return (bound(UInt64(key) << 32), behind)
    }

    func postings(_ range: Range<Int>, _ files: any ArchiveFiles) throws(ArchiveFault) -> [UInt64] {
        let bytes = try files.read(indexName, at: postingsAt + range.lowerBound * 8, count: range.count * 8)
        return stride(from: 0, to: bytes.count - 7, by: 8).map { Packed.number(bytes, $0) }
    }

    func rows(_ range: Range<Int>, _ files: any ArchiveFiles) throws(ArchiveFault) -> [HistoryRow] {
        let bytes = try files.read(
            indexName, at: rowsAt + range.lowerBound * HistoryRow.size, count: range.count * HistoryRow.size)
        return (0..<bytes.count / HistoryRow.size).map { HistoryRow(bytes, at: $0 * HistoryRow.size) }
    }

    func names(_ files: any ArchiveFiles) throws(ArchiveFault) -> NameTable {
        NameTable(packed: try files.read(indexName, at: namesAt, count: nameBytes))
    }

    /// The sums of its results by group.
    func summaries(_ files: any ArchiveFiles) throws(ArchiveFault) -> [(SummaryKey, Aggregate)] {
        let bytes = try files.read(indexName, at: summariesAt, count: summaryBytes)
        do throws(WireError) {
            var reader = try JSONReader(bytes, limits: JSONLimits())
            var list: [(SummaryKey, Aggregate)] = []
            try reader.beginArray()
            while reader.nextElement() {
                var sum = Aggregate()
                var names: [String] = []
                try reader.beginObject()
                while let key = reader.nextKey() {
                    if key == "k" {
                        names = try reader.strings(limit: Limits.key, count: 7)
                    } else {
                        try sum.read(key, &reader)
                    }
                }
                if names.count == 7 { list.append((SummaryKey(names), sum)) }
            }
            return list
        } catch {
            throw ArchiveFault("the sums of \(name.index) cannot be read: \(error.message)")
        }
    }
}
