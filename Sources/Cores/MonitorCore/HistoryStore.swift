import Contract
public import Machine
import TimeModel
public import Wire

/// What a history may take.
public struct HistoryLimits: Hashable, Sendable {
    /// Records of one segment.
    public var segmentRecords = Limits.segmentRecords
    /// Bytes of one segment.
    public var segmentBytes = Limits.segmentBytes
    /// How long records are kept, in ms; 90 days. Whole segments go.
    public var keepMs = 90 * 86_400_000
    /// Bytes that data and index files may take; 10 GiB. The oldest segments go.
    public var keepBytes = 10 << 30
    /// With fewer bytes free on the disk nothing is written; 64 MiB.
    public var freeBytes = 64 << 20

    /// The defaults.
    public init() {}
}

/// The history (`topics/history.md`, files): segments of lines that are only added to, and an index file beside each
/// finished one. The lines are the truth; an index that is missing is made again from them.
public final class HistoryStore: Archive {
    let files: any ArchiveFiles
    let limits: HistoryLimits
    var sealed: [SealedSegment] = []
    var active: ActiveSegment?
    /// The number of the next record.
    var nextNumber = 1
    /// Lines of this turn.
    private var pending: [UInt8] = []
    private var pendingRecords: [(record: HistoryRecord, length: Int)] = []
    /// Set when a write failed: what follows the whole lines must be cut before anything is written.
    private var mustCut = false
    private var isFailing = false
    private var nextSealTry = MonotonicTime(milliseconds: 0)
    private var nextUpkeep = MonotonicTime(milliseconds: 0)
    private var nextSpaceLook = MonotonicTime(milliseconds: 0)
    private var hasSpace = true
    private var events: [LogEvent] = []
    /// Names of the segments that were asked for last.
    var nameCache: [(first: Int, names: NameTable)] = []
    /// The digests of the newest records at the start.
    private var digests: [UInt64] = []

    /// A history in a folder; nothing is read yet.
    public init(files: any ArchiveFiles, limits: HistoryLimits = HistoryLimits()) {
        self.files = files
        self.limits = limits
    }

    // Opening.

    /// Reads the segments, cuts a torn end, makes missing index files.
    public func open(at now: Now) throws(ArchiveFault) {
        sealed = []
        active = nil
        nextNumber = 1
        digests = []
        for name in try files.names() where name.hasSuffix(".new") { try files.remove(name) }
        let names = try files.names().compactMap { SegmentName(data: $0) }.sorted { $0.first < $1.first }
        for (index, name) in names.enumerated() {
            let size = try files.size(of: name.data)
            if let segment = SealedSegment(name, dataBytes: size, files: files) {
                sealed.append(segment)
                nextNumber = max(nextNumber, segment.end)
                continue
            }
            try takeUp(name, size, isLast: index == names.count - 1)
        }
        takeReserve()
        try readDigests()
        nextUpkeep = now.monotonic
    }

    /// Reads a data file without an index: the last one goes on, others are finished.
    private func takeUp(_ name: SegmentName, _ size: Int, isLast: Bool) throws(ArchiveFault) {
        var reading = SegmentReading(name)
        try reading.read(files, size: size)
        if reading.bad > 0 {
            events.append(
                LogEvent(
                    .warning, "history_damaged", "Lines of the history are damaged and were passed over",
                    [LogField("file", name.data), LogField("lines", String(reading.bad))]))
        }
        if reading.end < size {
            events.append(
                LogEvent(
                    .warning, "history_tail_cut", "The unfinished end of the history was cut",
                    [LogField("file", name.data), LogField("bytes", String(size - reading.end))]))
            try files.cut(name.data, to: reading.end)
        }
        nextNumber = max(nextNumber, reading.segment.name.first, reading.lastNumber + 1)
        if isLast {
            active = reading.segment
        } else {
            try finish(reading.segment)
        }
    }

    /// Writes the index of a segment.
    private func finish(_ segment: ActiveSegment) throws(ArchiveFault) {
        try files.replace(segment.name.index, with: segment.index())
        guard let made = SealedSegment(segment.name, dataBytes: segment.bytes, files: files) else {
            throw ArchiveFault("the index \(segment.name.index) cannot be read back")
        }
        sealed.append(made)
    }

    private func readDigests() throws(ArchiveFault) {
        var parts: [[UInt64]] = [active?.rows.map(\.digest) ?? []]
        var count = parts[0].count
        for segment in sealed.reversed() where count < Limits.historyDigests {
            parts.append(try segment.rows(0..<segment.count, files).map(\.digest))
            count += segment.count
        }
        digests = Array(parts.reversed().joined().suffix(Limits.historyDigests))
    }

    /// What the core is told once the store is open.
    public var opening: ArchiveEvent {
        let state = RawJSON { writer in
            writer.object {
                writeSize(to: &$0)
                $0.field("last_at", latest.map { WallTime(milliseconds: $0) })
            }
        }
        return .opened(state, digests: digests)
    }

    /// The moment that the newest record of a message tells of; the monitor's own records are none.
    private var latest: Int? {
        let own = [RecordKind.metric, .gap].map { HistoryRow.number(of: $0) }
        if let row = active?.rows.last(where: { !own.contains($0.record) }) { return Int(row.at) }
        guard let segment = sealed.last else { return nil }
        let rows = try? segment.rows(max(0, segment.count - 1000)..<segment.count, files)
        return rows?.last { !own.contains($0.record) }.map { Int($0.at) } ?? segment.latest
    }

    /// How much there is.
    func writeSize(to writer: inout JSONWriter) {
        writer.field("records", sealed.reduce(0) { $0 + $1.count } + (active?.rows.count ?? 0))
        writer.field("data_bytes", sealed.reduce(0) { $0 + $1.dataBytes } + (active?.bytes ?? 0))
        writer.field("index_bytes", sealed.reduce(0) { $0 + $1.indexBytes })
        writer.field("segments", sealed.count + (active == nil ? 0 : 1))
        writer.field("last", nextNumber - 1)
    }

    // Writing.

    /// Adds a record to those of this turn.
    public func add(_ raw: RawJSON) {
        guard var record = try? HistoryRecord(raw) else { return }
        record.number = nextNumber + pendingRecords.count
        let line = HistoryLine.encode(record)
        pending.append(contentsOf: line)
        pendingRecords.append((record, line.count))
    }

    /// Writes the records of this turn and waits until they are on the disk.
    public func commit(at now: Now) -> ArchiveEvent? {
        defer {
            pending.removeAll(keepingCapacity: pending.capacity <= 1 << 20)
            pendingRecords.removeAll(keepingCapacity: true)
            upkeep(at: now)
        }
        guard !pendingRecords.isEmpty else { return isFailing ? probe(at: now) : nil }
        do throws(ArchiveFault) {
            try write(at: now)
        } catch {
            let since = pendingRecords.map(\.record.at).min() ?? now.wall
            if !isFailing { state(since, at: now) }
            isFailing = true
            hasSpace = false
            nextSpaceLook = now.monotonic + 1000
            return .lost(count: pendingRecords.count, since: since, reason: error.description)
        }
        return recovered()
    }

    /// Space that is given up when the disk is full, so that at least this can be written: from when on something is
    /// missing. Without an end it stands for a monitor that died before it could say more.
    private func state(_ since: WallTime, at now: Now) {
        var gap = HistoryGap(.notWritten)
        gap.from = since
        var record = HistoryRecord(.gap, at: now.wall, workspace: Names.systemWorkspace, subject: "monitor")
        (record.type, record.code, record.body) = ("monitor", gap.reason.rawValue, gap.raw)
        record.number = nextNumber
        let line = HistoryLine.encode(record)
        do throws(ArchiveFault) {
            try cutIfNeeded()
            try files.remove(HistoryStore.reserve)
            var segment = active ?? ActiveSegment(SegmentName(day: SegmentName.day(now.wall), first: nextNumber))
            mustCut = true
            try files.append(line, to: segment.name.data)
            try files.sync(segment.name.data)
            mustCut = false
            segment.add(record, length: line.count)
            active = segment
            nextNumber += 1
        } catch {
            events.append(LogEvent(.warning, "gap_not_written", "A gap cannot be stated: \(error)"))
        }
    }

    /// The file whose space is given up.
    private static let reserve = "reserve"
    private static let reserveBytes = 4096

    /// Takes that space again; without it a full disk leaves no room to say so.
    private func takeReserve() {
        if (try? files.size(of: HistoryStore.reserve)) == HistoryStore.reserveBytes { return }
        let blanks = [UInt8](repeating: 0x20, count: HistoryStore.reserveBytes)
        try? files.replace(HistoryStore.reserve, with: blanks)
    }

    private func recovered() -> ArchiveEvent? {
        guard isFailing else { return nil }
        isFailing = false
        takeReserve()
        return .recovered
    }

    /// While writing fails and nothing comes: once a second, whether it would work again.
    private func probe(at now: Now) -> ArchiveEvent? {
        guard now.monotonic >= nextSpaceLook else { return nil }
        lookForSpace(at: now)
        guard hasSpace, (try? cutIfNeeded()) != nil else { return nil }
        return recovered()
    }

    private func lookForSpace(at now: Now) {
        guard now.monotonic >= nextSpaceLook else { return }
        nextSpaceLook = now.monotonic + 1000
        // Somewhat more to begin again, so that the answer does not flutter at the limit.
        let needed =
            isFailing ? limits.freeBytes + limits.freeBytes / 8 + 2 * HistoryStore.reserveBytes : limits.freeBytes
        hasSpace = files.freeBytes.map { $0 >= needed } ?? true
    }

    private func write(at now: Now) throws(ArchiveFault) {
        lookForSpace(at: now)
        guard hasSpace else { throw ArchiveFault("fewer than \(limits.freeBytes) bytes are free on the disk") }
        try cutIfNeeded()
        let today = SegmentName.day(now.wall)
        if let segment = active, isFull(segment, today), now.monotonic >= nextSealTry { try seal(segment, at: now) }
        var segment = active ?? ActiveSegment(SegmentName(day: today, first: nextNumber))
        mustCut = true
        try files.append(pending, to: segment.name.data)
        try files.sync(segment.name.data)
        mustCut = false
        active = nil
        for entry in pendingRecords { segment.add(entry.record, length: entry.length) }
        active = segment
        nextNumber += pendingRecords.count
    }

    private func isFull(_ segment: ActiveSegment, _ today: String) -> Bool {
        !segment.rows.isEmpty
            && (segment.rows.count >= limits.segmentRecords || segment.bytes >= limits.segmentBytes
                || segment.name.day != today)
    }

    private func seal(_ segment: ActiveSegment, at now: Now) throws(ArchiveFault) {
        nextSealTry = now.monotonic + 10_000
        try finish(segment)
        nextSealTry = now.monotonic
        active = nil
    }

    /// Takes away what a failed write may have left behind the whole lines.
    private func cutIfNeeded() throws(ArchiveFault) {
        guard mustCut else { return }
        if let active {
            try files.cut(active.name.data, to: active.bytes)
        } else {
            for name in try files.names() {
                if let name = SegmentName(data: name), name.first == nextNumber { try files.remove(name.data) }
            }
        }
        mustCut = false
    }

    /// Once a minute: whole segments that are too old, or too many, go.
    private func upkeep(at now: Now) {
        guard now.monotonic >= nextUpkeep else { return }
        nextUpkeep = now.monotonic + 60_000
        var total = sealed.reduce(active?.bytes ?? 0) { $0 + $1.dataBytes + $1.indexBytes }
        while let oldest = sealed.first {
            let isOld = oldest.latest < now.wall.milliseconds - limits.keepMs
            guard isOld || total > limits.keepBytes else { return }
            do throws(ArchiveFault) {
                try files.remove(oldest.name.index)
                try files.remove(oldest.name.data)
            } catch {
                events.append(LogEvent(.warning, "history_not_removed", error.description))
                return
            }
            total -= oldest.dataBytes + oldest.indexBytes
            sealed.removeFirst()
            events.append(
                LogEvent(
                    .info, "history_removed", "A segment of the history was removed",
                    [
                        LogField("file", oldest.name.data), LogField("records", String(oldest.count)),
                        LogField("why", isOld ? "age" : "size"),
                    ]))
        }
    }

    // The rest.

    /// Replaces a file outside of the history.
    public func export(_ content: [UInt8], to path: String) throws(ArchiveFault) {
        try files.export(content, to: path)
    }

    /// What belongs into the log.
    public func takeLog() -> [LogEvent] {
        defer { events.removeAll() }
        return events
    }

    /// Notes something for the log.
    func note(_ event: LogEvent) { events.append(event) }

    /// The names of a segment; those that were asked for last are kept.
    func names(of segment: SealedSegment) throws(ArchiveFault) -> NameTable {
        if let at = nameCache.firstIndex(where: { $0.first == segment.name.first }) { return nameCache[at].names }
        let names = try segment.names(files)
        if segment.nameBytes <= 65_536 {
            if nameCache.count >= 32 { nameCache.removeFirst() }
            nameCache.append((segment.name.first, names))
        }
        return names
    }
}

/// Reads the lines of a data file into a segment.
private struct SegmentReading {
    var segment: ActiveSegment
    /// Where the last whole line ends.
    var end = 0
    var lastNumber = 0
    /// Damaged lines with whole ones behind them.
    var bad = 0
    private var badSoFar = 0
    private var at = 0

    init(_ name: SegmentName) { segment = ActiveSegment(name) }

    mutating func read(_ files: any ArchiveFiles, size: Int) throws(ArchiveFault) {
        var rest: [UInt8] = []
        var place = 0
        while place < size {
            let chunk = try files.read(segment.name.data, at: place, count: min(1 << 20, size - place))
            if chunk.isEmpty { break }
            place += chunk.count
            rest += chunk
            takeLines(&rest)
        }
    }

    private mutating func takeLines(_ bytes: inout [UInt8]) {
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            take(Array(bytes[start...end]))
            start = end + 1
        }
        bytes.removeFirst(start)
    }

    private mutating func take(_ line: [UInt8]) {
        at += line.count
        guard let record = HistoryLine.decode(line) else {
            badSoFar += 1
            return
        }
        bad += badSoFar
        badSoFar = 0
        // Damaged lines keep their place, so that offsets stay true.
        segment.bytes = at - line.count
        segment.add(record, length: line.count)
        lastNumber = record.number
        end = at
    }
}
