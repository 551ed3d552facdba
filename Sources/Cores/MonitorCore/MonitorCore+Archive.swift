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
    /// How much there is.
    case size
}

/// The history: questions, answers, and what was missed.
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
        heardAt = state["last_at"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
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
        case .size: takeSize(JSONValue(answer))
        }
    }

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

    // What was missed.

    /// States that something is missing.
    mutating func state(_ gap: HistoryGap, of subject: String, _ now: Now) {
        totals.gaps += 1
        var record = HistoryRecord(.gap, at: now.wall, workspace: Names.systemWorkspace, subject: subject)
        record.type = subject
        record.code = gap.reason.rawValue
        record.body = gap.raw
        write(record)
        effects.append(
            .log(
                LogEvent(
                    .warning, "gap", "Something is missing from the history",
                    [
                        LogField("reason", gap.reason.rawValue), LogField("subject", subject),
                        LogField("count", gap.count.map { String($0) } ?? "unknown"),
                    ])))
    }

    /// The broker kept nothing: whatever was sent since the last recorded message is not in the history. A monitor that
    /// was never connected misses nothing.
    mutating func sessionLost(_ now: Now) {
        guard let heardAt = heardAt.map({ min($0, now.wall) }) else { return }
        var gap = HistoryGap(.sessionLost)
        gap.from = heardAt
        gap.to = now.wall
        state(gap, of: "monitor", now)
        // The numbers of events begin anew: the gap is stated already.
        cursors.removeAll()
    }

    private mutating func lost(_ count: Int, _ since: WallTime, _ reason: String) {
        totals.lost += count
        if unwritten == nil {
            effects.append(
                .log(
                    LogEvent(
                        .warning, "history_not_written", "Records cannot be written: \(reason)",
                        [LogField("records", String(count))])))
        }
        var past = unwritten ?? Unwritten(since: since, count: 0, reason: reason)
        past.count += count
        past.since = min(past.since, since)
        unwritten = past
        raiseDiskAlert()
    }

    private mutating func recovered(_ now: Now) {
        guard let past = unwritten else { return }
        unwritten = nil
        var gap = HistoryGap(.notWritten)
        gap.from = past.since
        gap.to = now.wall
        gap.count = past.count
        state(gap, of: "monitor", now)
        clearDiskAlert()
    }
}
