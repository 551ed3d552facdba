import Contract
import Machine
import TimeModel
import Wire

/// What was missed: stated once it is known, and remembered in the journal until it is stated.
extension MonitorCore {
    /// States that something is missing.
    mutating func state(_ gap: HistoryGap, of subject: String, _ now: Now) {
        totals.gaps += 1
        statedAt = now.monotonic
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

    /// The broker kept nothing: whatever was sent since the last recorded message is not in the history.
    mutating func sessionLost() {
        session.isLost = true
        // The numbers of events begin anew: a gap will be stated.
        cursors.removeAll()
    }

    /// A connection begins: until the contrary is shown, something may be missing since the last recorded message. A
    /// monitor that was never connected misses nothing.
    mutating func doubt(_ now: Now) {
        session.connections += 1
        session.canBeCleared = session.since == nil && !session.isLost
        session.isLost = false
        guard session.since == nil, let heardAt else { return }
        session.since = min(heardAt, now.wall)
        effects.append(.append(MonitorCore.sessionRecord(session.since)))
    }

    /// Own numbers came back, sent before or behind this connection's subscriptions: in the first case the session had
    /// its subscriptions all the while, in the second it has them from now on.
    mutating func hearOwnNumbers(_ numbers: JSONValue, _ now: Now) {
        guard numbers["term"]?.intValue == term, numbers["connections_total"]?.intValue == session.connections,
            let subscriptions = numbers["subscriptions_total"]?.intValue
        else { return }
        if subscriptions == session.connections { return stateSession(now) }
        guard session.canBeCleared, session.since != nil, !session.isStated else { return }
        clearSession()
    }

    private mutating func stateSession(_ now: Now) {
        guard let since = session.since, !session.isStated, unwritten == nil else { return }
        var gap = HistoryGap(.sessionLost)
        gap.from = since
        gap.to = now.wall
        state(gap, of: "monitor", now)
        session.isStated = true
    }

    private mutating func clearSession() {
        session.since = nil
        effects.append(.append(MonitorCore.sessionRecord(nil)))
    }

    /// A gap is in the history once the turn in which it was stated is over, unless the disk took nothing: that is the
    /// first thing told in the next turn. All inputs of a turn have one time.
    mutating func confirmStatements(_ input: ServiceInput, _ now: Now) {
        var isWritten = true
        if case .archive(.lost) = input { isWritten = false }
        guard !isWritten || now.monotonic > statedAt else { return }
        if session.isStated, isWritten { clearSession() }
        if writing.isStated, isWritten {
            writing.since = nil
            effects.append(.append(MonitorCore.writingRecord(nil)))
        }
        session.isStated = false
        writing.isStated = false
    }

    mutating func lost(_ count: Int, _ since: WallTime, _ reason: String) {
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
        past.since = min(past.since, since, writing.since ?? since)
        unwritten = past
        if writing.since != past.since {
            writing.since = past.since
            effects.append(.append(MonitorCore.writingRecord(past.since)))
        }
        raiseDiskAlert()
    }

    mutating func recovered(_ now: Now) {
        guard let past = unwritten else { return }
        unwritten = nil
        stateUnwritten(past.since, count: past.count, now)
        clearDiskAlert()
    }

    mutating func stateUnwritten(_ since: WallTime, count: Int?, _ now: Now) {
        var gap = HistoryGap(.notWritten)
        gap.from = min(since, now.wall)
        gap.to = now.wall
        gap.count = count
        state(gap, of: "monitor", now)
        writing.isStated = true
    }
}
