import Contract
import Machine
import TimeModel
import Wire

/// What waits for an answer of the history.
enum Question: Hashable, Sendable {
    /// A principal's command.
    case command(Caller, HistoryCommand)
    /// The last event of a service.
    case cursor(String)
    /// Sums for a slot of the window.
    case slot(WallTime)
    /// The newest results, of which copies may come.
    case newest
    /// How much there is.
    case size
}

/// The history: questions and answers.
extension MonitorCore {
    /// Questions that may wait at a time.
    static let questionLimit = 1000
    /// Services that publish events.
    static let publishers = ["dispatcher", "heartbeat", "scheduler"]

    /// Asks the history; false when too much waits already.
    @discardableResult mutating func ask(_ question: HistoryQuestion, _ purpose: Question) -> Bool {
        guard questions.count < MonitorCore.questionLimit else { return false }
        lastQuestion += 1
        questions[lastQuestion] = purpose
        effects.append(.archive(.ask(id: lastQuestion, question.raw)))
        return true
    }

    mutating func take(_ event: ArchiveEvent, _ now: Now) {
        switch event {
        case .opened(let state, let digests): opened(JSONValue(state), digests, now)
        case .answered(let id, let answer):
            guard let purpose = questions.removeValue(forKey: id) else { return }
            answered(purpose, answer, now)
        case .lost(let count, let since, let reason): lost(count, since, reason)
        case .recovered: recovered(now)
        }
    }

    /// The history is open: what this process must know of its past.
    private mutating func opened(_ state: JSONValue, _ digests: [UInt64], _ now: Now) {
        for digest in digests { _ = recent.insert(digest) }
        takeSize(state)
        heardAt = state["last_at"]?.stringValue.flatMap { WallTime(rfc3339: $0) } ?? firstUpAt
        // What could not be written before this process began, and was not stated.
        if let since = writing.since { stateUnwritten(since, count: nil, now) }
        // Copies of what was recorded last may still come.
        var newest = HistoryQuestion(.query)
        newest.command.record = .result
        newest.command.limit = MonitorCore.newestResults
        newest.command.bodies = true
        ask(newest, .newest)
        for service in MonitorCore.publishers {
            var question = HistoryQuestion(.query)
            question.command.type = service
            question.command.limit = 10
            question.command.bodies = true
            ask(question, .cursor(service))
        }
        for span in window.spans(now.wall) {
            var question = HistoryQuestion(.groups)
            question.command.from = span.from
            question.command.to = span.to
            ask(question, .slot(span.from))
        }
    }

    private mutating func answered(_ purpose: Question, _ answer: RawJSON, _ now: Now) {
        switch purpose {
        case .command(let caller, let command): reply(caller, command, answer)
        case .cursor(let service): takeCursor(service, JSONValue(answer))
        case .slot(let at): takeSlot(answer, at)
        case .newest: takeNewest(answer)
        case .size: takeSize(JSONValue(answer))
        }
    }

    /// Results that were recorded before the start; a copy follows its first one closely.
    private mutating func takeNewest(_ answer: RawJSON) {
        var records: [HistoryRecord] = []
        do throws(WireError) {
            var reader = try JSONReader(answer.bytes, limits: JSONLimits())
            try reader.beginObject()
            while let key = reader.nextKey() {
                guard key == "items" else {
                    reader.skip()
                    continue
                }
                try reader.beginArray()
                while reader.nextElement() { records.append(try HistoryRecord(from: &reader)) }
            }
        } catch { return }
        for record in records.reversed() {
            guard let body = record.body else { continue }
            _ = bodies.insert(MonitorCore.bodyDigest(body, record.workspace))
        }
    }

    /// So many results are read at the start: more than the broker has on their way at a time.
    private static let newestResults = 200

    private mutating func takeCursor(_ service: String, _ answer: JSONValue) {
        guard cursors[service] == nil, case .array(let items)? = answer["items"] else { return }
        let newest = items.first { ["event", "check"].contains($0["record"]?.stringValue ?? "") }
        cursors[service] = newest?["body"]?["seq"]?.intValue
    }

    private mutating func takeSlot(_ answer: RawJSON, _ at: WallTime) {
        guard case .array(let items)? = JSONValue(answer)["items"] else { return }
        for item in items {
            guard case .array(let list)? = item["k"], let sum = try? Aggregate(item.raw) else { continue }
            let names = list.compactMap(\.stringValue)
            guard names.count == 7 else { continue }
            let groups = [
                (HistoryDimension.workspace, names[0]), (.capability, names[2]), (.executor, names[3]),
                (.type, names[4]),
            ]
            window.add(sum, to: groups, names[0], at: at)
            workspaces.insert(names[0])
        }
    }

    private mutating func takeSize(_ answer: JSONValue) {
        guard let records = answer["records"]?.intValue else { return }
        size.records = records
        size.dataBytes = answer["data_bytes"]?.intValue ?? 0
        size.indexBytes = answer["index_bytes"]?.intValue ?? 0
        size.segments = answer["segments"]?.intValue ?? 0
    }
}
