import Contract
public import Machine
import TimeModel
public import Wire

/// Questions (`topics/history.md`, questions).
extension HistoryStore {
    /// Answers a question of the core. It looks at no more than `Limits.historyScan` rows; a page that is cut short by
    /// that ends in a cursor.
    public func answer(_ raw: RawJSON, at now: Now) -> RawJSON {
        do throws(WireError) {
            let question = try HistoryQuestion(raw)
            do throws(ArchiveFault) {
                switch question.what {
                case .query, .get: return try page(question)
                case .stats, .groups: return try sums(question)
                case .size: return RawJSON { writer in writer.object { writeSize(to: &$0) } }
                }
            } catch {
                return HistoryStore.failure(error.description)
            }
        } catch {
            return HistoryStore.failure(error.message)
        }
    }

    private static func failure(_ text: String) -> RawJSON {
        RawJSON { writer in writer.object { $0.field("error", text) } }
    }

    // Pages.

    private func page(_ question: HistoryQuestion) throws(ArchiveFault) -> RawJSON {
        var page = HistoryPage(question)
        if let active { try search(active, &page) }
        for segment in sealed.reversed() where !page.isDone {
            guard segment.name.first < page.before else { continue }
            if let from = question.command.from, segment.latest < from.milliseconds { continue }
            if let to = question.command.to, segment.earliest > to.milliseconds { continue }
            try search(segment, &page)
        }
        return page.encoded(isLast: !page.isDone)
    }

    private func search(_ segment: ActiveSegment, _ page: inout HistoryPage) throws(ArchiveFault) {
        guard let filter = RowFilter(page.question, segment.names) else { return }
        var ordinal = min(segment.rows.count, max(0, page.before - segment.name.first)) - 1
        while ordinal >= 0, !page.isDone {
            page.look(segment.name.first + ordinal)
            let row = segment.rows[ordinal]
            if filter.accepts(row) { try take(row, segment.name, &page) }
            ordinal -= 1
        }
    }

    private func search(_ segment: SealedSegment, _ page: inout HistoryPage) throws(ArchiveFault) {
        var best: Range<Int>?
        for key in page.question.command.postingKeys {
            let range = try segment.range(of: key, files)
            if range.isEmpty { return }
            if best.map({ range.count < $0.count }) ?? true { best = range }
        }
        guard let filter = RowFilter(page.question, try names(of: segment)) else { return }
        if let best {
            try walk(best, segment, filter, &page)
        } else {
            try walkAll(segment, filter, &page)
        }
    }

    /// Rows of a range of postings, from the newest.
    private func walk(
        _ range: Range<Int>, _ segment: SealedSegment, _ filter: RowFilter, _ page: inout HistoryPage
    ) throws(ArchiveFault) {
        var end = range.upperBound
        while end > range.lowerBound, !page.isDone {
            let start = max(range.lowerBound, end - 256)
            for posting in try segment.postings(start..<end, files).reversed() where !page.isDone {
                let ordinal = Int(posting & 0xFFFF_FFFF)
                guard segment.name.first + ordinal < page.before else { continue }
                page.look(segment.name.first + ordinal)
                guard let row = try segment.rows(ordinal..<ordinal + 1, files).first, filter.accepts(row) else {
                    continue
                }
                try take(row, segment.name, &page)
            }
            end = start
        }
    }

    private func walkAll(
        _ segment: SealedSegment, _ filter: RowFilter, _ page: inout HistoryPage
    ) throws(ArchiveFault) {
        var end = min(segment.count, max(0, page.before - segment.name.first))
        while end > 0, !page.isDone {
            let start = max(0, end - 1024)
            let rows = try segment.rows(start..<end, files)
            for ordinal in (start..<end).reversed() where !page.isDone && ordinal - start < rows.count {
                page.look(segment.name.first + ordinal)
                if filter.accepts(rows[ordinal - start]) { try take(rows[ordinal - start], segment.name, &page) }
            }
            end = start
        }
    }

    private func take(_ row: HistoryRow, _ name: SegmentName, _ page: inout HistoryPage) throws(ArchiveFault) {
        let line = try files.read(name.data, at: Int(row.offset), count: Int(row.length))
        guard let record = HistoryLine.decode(line) else {
            note(
                LogEvent(
                    .warning, "history_line_damaged", "A line of the history is damaged and was passed over",
                    [LogField("file", name.data), LogField("offset", String(row.offset))]))
            return
        }
        if page.question.command.confirms(record) { page.add(record) }
    }

    // Sums.

    private func sums(_ question: HistoryQuestion) throws(ArchiveFault) -> RawJSON {
        var sums = HistorySums(question)
        for segment in sealed where sums.overlaps(segment) {
            if sums.covers(segment) {
                for (key, sum) in try segment.summaries(files) { sums.add(key, sum) }
                continue
            }
            let names = try names(of: segment)
            guard let filter = RowFilter(sums.question, names) else { continue }
            var start = 0
            while start < segment.count {
                let rows = try segment.rows(start..<min(segment.count, start + 1024), files)
                if rows.isEmpty { break }
                for row in rows where row.isCounted && filter.accepts(row) { sums.add(row, names) }
                start += rows.count
            }
        }
        if let active, let filter = RowFilter(sums.question, active.names) {
            for row in active.rows where row.isCounted && filter.accepts(row) { sums.add(row, active.names) }
        }
        return sums.encoded
    }
}

/// The page that a question gets.
struct HistoryPage {
    let question: HistoryQuestion
    /// Only records with a smaller number.
    let before: Int
    private let limit: Int
    private var lines: [RawJSON] = []
    private var bytes = 0
    private var last = 0
    private var lastTaken = 0
    private var scanned = 0
    private var isFull = false

    init(_ question: HistoryQuestion) {
        self.question = question
        before = question.command.after.flatMap { Int($0) } ?? .max
        limit = question.command.limit ?? (question.what == .get ? Limits.historyOfOne : Defaults.page)
    }

    /// Whether no further row is to be looked at.
    var isDone: Bool { isFull || lines.count >= limit || scanned >= Limits.historyScan }

    /// Notes that a row is looked at.
    mutating func look(_ number: Int) {
        scanned += 1
        last = number
    }

    /// Adds a record if the page still has room for it.
    mutating func add(_ found: HistoryRecord) {
        var record = found
        if question.command.bodies != true, question.what == .query { record.body = nil }
        var line = record.raw
        let room = Limits.payload - Limits.envelope
        if line.bytes.count > room {
            record.body = nil
            line = record.raw
        }
        if bytes + line.bytes.count > room, !lines.isEmpty {
            isFull = true
            last = lastTaken
            return
        }
        bytes += line.bytes.count + 1
        lines.append(line)
        lastTaken = last
    }

    func encoded(isLast: Bool) -> RawJSON {
        RawJSON { writer in
            writer.object {
                $0.field("items", lines)
                if !isLast { $0.field("after", String(last)) }
            }
        }
    }
}

/// Sums of results by a dimension.
struct HistorySums {
    let question: HistoryQuestion
    private let by: HistoryDimension
    private var sums: [String: Aggregate] = [:]
    private var groups: [SummaryKey: Aggregate] = [:]

    init(_ question: HistoryQuestion) {
        self.question = question
        by = question.command.by ?? .capability
    }

    func overlaps(_ segment: SealedSegment) -> Bool {
        segment.latest >= question.command.from?.milliseconds ?? .min
            && segment.earliest <= question.command.to?.milliseconds ?? .max
    }

    /// Whether the segment's own sums are enough: all of its time is asked for, and nothing that they lack.
    func covers(_ segment: SealedSegment) -> Bool {
        segment.earliest >= question.command.from?.milliseconds ?? .min
            && segment.latest <= question.command.to?.milliseconds ?? .max
    }

    mutating func add(_ key: SummaryKey, _ sum: Aggregate) {
        let command = question.command
        guard question.workspace == nil || key.names[0] == question.workspace else { return }
        for (place, wanted) in [command.principal, command.capability, command.executor, command.type].enumerated() {
            if let wanted, key.names[place + 1] != wanted { return }
        }
        if question.what == .groups {
            groups[key, default: Aggregate()].add(sum)
        } else {
            sums[key.name(by), default: Aggregate()].add(sum)
        }
    }

    mutating func add(_ row: HistoryRow, _ names: NameTable) {
        if question.what == .groups { return groups[SummaryKey(row, names), default: Aggregate()].add(row) }
        let name: String
        switch by {
        case .workspace: name = names.name(row.workspace) ?? ""
        case .capability: name = names.name(row.capability) ?? ""
        case .executor: name = names.name(row.executor) ?? ""
        case .type: name = names.name(row.type) ?? ""
        case .kind: name = names.name(row.kind) ?? ""
        case .principal: name = names.name(row.principal) ?? ""
        case .day: name = SegmentName.day(WallTime(milliseconds: Int(row.at)))
        }
        sums[name, default: Aggregate()].add(row)
    }

    var encoded: RawJSON {
        RawJSON { writer in
            writer.object {
                $0.key("items")
                $0.beginArray()
                for key in groups.keys.sorted() {
                    guard let sum = groups[key] else { continue }
                    $0.object {
                        $0.field("k", key.names)
                        sum.writeFields(to: &$0)
                    }
                }
                for name in sums.keys.sorted() {
                    guard let sum = sums[name] else { continue }
                    $0.object {
                        $0.field("name", name)
                        sum.writeFields(to: &$0)
                    }
                }
                $0.endArray()
            }
        }
    }
}
