import Contract
import Machine
import TimeModel
import Wire

/// Which alert it is.
struct AlertKey: Hashable, Comparable, Sendable {
    var workspace: String
    var key: String

    static func < (a: AlertKey, b: AlertKey) -> Bool { (a.workspace, a.key) < (b.workspace, b.key) }
}

/// Retained summaries, alerts, own numbers (`topics/history.md`, summaries, alerts).
extension MonitorCore {
    /// Summaries that are published in one second.
    static let summariesPerSecond = 100

    /// Publishes what changed: each group at most every 10 s, and not all at once.
    mutating func publishSummaries(_ now: Now) {
        let before = published
        let due = window.takeChanged(MonitorCore.summariesPerSecond) { group in
            before[group].map { now.monotonic - $0 >= MonitorCore.numbersEveryMs } ?? true
        }
        for group in due where group.isPublic {
            guard let sum = window.sum(group) else {
                published[group] = nil
                clear(summaryTopic(group))
                continue
            }
            summaryCount += 1
            published[group] = now.monotonic
            var summary = sum.summary(nil)
            summary.windowMs = window.slotMs * RollingWindow.slotCount
            summary.rev = term << 32 | summaryCount
            effects.append(
                .publish(OutboundMessage(topic: summaryTopic(group), payload: summary.encoded, retain: true)))
        }
    }

    private func summaryTopic(_ group: SummaryGroup) -> String {
        Topic(group.workspace, .summary(by: group.by.rawValue, name: group.name)).name
    }

    private mutating func clear(_ topic: String) {
        effects.append(.publish(OutboundMessage(topic: topic, payload: [], retain: true)))
    }

    /// A summary that came from the broker: our own, or one of an earlier run about which nothing is known any more.
    mutating func takeSummary(_ workspace: String, _ by: String, _ name: String, _ message: InboundMessage) {
        guard !message.payload.isEmpty else { return }
        let dimension = HistoryDimension(rawValue: by)
        let group = SummaryGroup(workspace: workspace, by: dimension ?? .workspace, name: name)
        if dimension == nil || window.sum(group) == nil { clear(message.topic) }
    }

    // Alerts.

    /// Looks at the thresholds.
    mutating func judge(_ now: Now) {
        for group in window.sorted where group.by == .capability || group.by == .workspace {
            guard let sum = window.sum(group) else { continue }
            if group.by == .capability {
                judgeSuccess(group, sum, now)
                judgeRun(group, sum, now)
            } else {
                judgeCost(group, sum, now)
            }
        }
        let gone = alerts.keys.filter { key in
            guard let group = MonitorCore.group(of: key) else { return false }
            return window.sum(group) == nil
        }
        for key in gone.sorted() { set(key, nil) }
    }

    /// What an alert's key names.
    private static func group(of alert: AlertKey) -> SummaryGroup? {
        for prefix in ["monitor.success.", "monitor.run."] where alert.key.hasPrefix(prefix) {
            let name = String(alert.key.dropFirst(prefix.count))
            return SummaryGroup(workspace: alert.workspace, by: .capability, name: name)
        }
        guard alert.key == "monitor.cost" else { return nil }
        return SummaryGroup(workspace: alert.workspace, by: .workspace, name: alert.workspace)
    }

    private mutating func judgeSuccess(_ group: SummaryGroup, _ sum: Aggregate, _ now: Now) {
        let key = AlertKey(workspace: group.workspace, key: "monitor.success.\(group.name)")
        let judged = sum.succeeded + sum.failed
        let floor = settings.successFloorPermille
        guard floor > 0, judged >= settings.successFloorCount else { return set(key, nil) }
        let permille = sum.succeeded * 1000 / judged
        // Once raised it stays until the rate is clearly above.
        let isLow = permille < floor || alerts[key] != nil && permille < min(1000, floor + 20)
        set(
            key,
            isLow
                ? Alert(
                    severity: .warning, since: alerts[key]?.since ?? now.wall,
                    text: "\(group.name): \(sum.failed) of \(judged) failed, fewer than \(floor) of 1000 succeed",
                    count: sum.failed) : nil)
    }

    private mutating func judgeRun(_ group: SummaryGroup, _ sum: Aggregate, _ now: Now) {
        let key = AlertKey(workspace: group.workspace, key: "monitor.run.\(group.name)")
        let ceiling = settings.runCeilingMs
        let p99 = sum.run.quantile(990)
        let isHigh = ceiling > 0 && (p99 > ceiling || alerts[key] != nil && p99 > ceiling * 9 / 10)
        set(
            key,
            isHigh
                ? Alert(
                    severity: .warning, since: alerts[key]?.since ?? now.wall,
                    text: "\(group.name): one run of 100 takes more than \(ceiling) ms") : nil)
    }

    private mutating func judgeCost(_ group: SummaryGroup, _ sum: Aggregate, _ now: Now) {
        let key = AlertKey(workspace: group.workspace, key: "monitor.cost")
        let spent = sum.cost + sum.wastedCost
        let isHigh = settings.costCeiling > 0 && spent > settings.costCeiling
        set(
            key,
            isHigh
                ? Alert(
                    severity: .warning, since: alerts[key]?.since ?? now.wall,
                    text: "more than \(settings.costCeiling) micro-units were spent within the window") : nil)
    }

    /// Raises, changes or clears an alert; one whose text stays is not published again.
    private mutating func set(_ key: AlertKey, _ alert: Alert?) {
        guard alerts[key]?.text != alert?.text, alert == nil || alerts.count < Limits.summaryGroups else { return }
        alerts[key] = alert
        publishAlert(key, alert)
    }

    mutating func publishAlert(_ key: AlertKey, _ alert: Alert?) {
        guard isConnected else { return }
        let topic = Topic(key.workspace, .alert(key: key.key)).name
        effects.append(.publish(OutboundMessage(topic: topic, payload: alert?.encoded ?? [], retain: true)))
    }

    /// An alert of an earlier run that stands no more is cleared.
    mutating func takeAlert(_ workspace: String, _ key: String, _ message: InboundMessage) {
        guard !message.payload.isEmpty, key.hasPrefix("monitor."),
            alerts[AlertKey(workspace: workspace, key: key)] == nil
        else { return }
        clear(message.topic)
    }

    mutating func raiseDiskAlert() {
        guard let past = unwritten else { return }
        let alert = Alert(
            severity: .critical, since: past.since, text: "records cannot be written: \(past.reason.prefix(1000))")
        for workspace in alertWorkspaces { set(AlertKey(workspace: workspace, key: "monitor.disk"), alert) }
    }

    mutating func clearDiskAlert() {
        for key in alerts.keys.sorted() where key.key == "monitor.disk" { set(key, nil) }
    }

    private var alertWorkspaces: [String] {
        workspaces.isEmpty ? [Names.defaultWorkspace] : workspaces.sorted()
    }

    // Own numbers.

    mutating func publishNumbers(_ now: Now, retain: Bool = true) {
        let topic = Topic.system(.metrics(name: "monitor")).name
        effects.append(
            .publish(OutboundMessage(topic: topic, payload: ownNumbers(now), atLeastOnce: false, retain: retain)))
    }

    private func ownNumbers(_ now: Now) -> [UInt8] {
        var writer = JSONWriter()
        writer.object {
            $0.field("term", term)
            $0.field("uptime_ms", max(0, now.wall - startedAt))
            $0.field("history_records", size.records)
            $0.field("history_bytes", size.dataBytes)
            $0.field("index_bytes", size.indexBytes)
            $0.field("segments", size.segments)
            $0.field("summaries", published.count)
            $0.field("alerts", alerts.count)
            $0.field("waiting_questions", questions.count)
            $0.field("connections_total", session.connections)
            $0.field("subscriptions_total", session.subscriptions)
            $0.field("received_total", totals.received)
            $0.field("recorded_total", totals.recorded)
            for kind in RecordKind.allCases {
                $0.field(named: "\(kind.rawValue)_records_total") { $0.value(totals.byKind[kind] ?? 0) }
            }
            $0.field("duplicates_total", totals.duplicates)
            $0.field("copies_total", totals.copies)
            $0.field("refused_total", totals.refused)
            $0.field("lost_total", totals.lost)
            $0.field("gaps_total", totals.gaps)
            $0.field("questions_total", totals.questions)
            $0.field("summaries_dropped_total", window.dropped)
        }
        return writer.bytes
    }
}
