import Contract
public import Machine
import TimeModel
import Wire

/// Connecting, the own record, the end.
extension MonitorCore {
    mutating func connect(_ now: Now) {
        isConnected = true
        isReady = false
        nextTick = now.monotonic
        nextNumbers = now.monotonic
        doubt(now)
        if heardAt == nil {
            heardAt = now.wall
            firstUpAt = now.wall
            effects.append(.append(MonitorCore.firstRecord(now.wall)))
        }
        // Comes back only if the session has its subscriptions from before.
        publishNumbers(now, retain: false)
        // Who reads that it is up may rely on it: what is sent from now on is recorded.
        effects.append(.subscribe(subscriptions))
        session.subscriptions = session.connections
        publishRecord(state: .up)
        for key in alerts.keys.sorted() { publishAlert(key, alerts[key]) }
        window.touchAll()
        published.removeAll()
    }

    private var subscriptions: [Subscription] {
        func live(_ word: String, _ levels: Int) -> Subscription {
            let filter = (["+", Names.protocolLevel, word] + Array(repeating: "+", count: levels)).joined(
                separator: "/")
            return Subscription(filter: filter, wantsRetained: false)
        }
        let system = "\(Names.systemWorkspace)/\(Names.protocolLevel)"
        return [
            Subscription(filter: Topic.filter("+", "executor", "+", "card"), wantsRetained: true),
            live("result", 3), live("dead", 2), live("event", 2), live("log", 2),
            Subscription(filter: Topic.filter("+", "command", "+", "history", "+", "+"), wantsRetained: false),
            Subscription(filter: Topic.filter("+", "alert", "+"), wantsRetained: true),
            Subscription(filter: Topic.filter("+", "summary", "+", "+"), wantsRetained: true),
            Subscription(filter: "\(system)/service/+/+", wantsRetained: true),
            // The last one: own numbers that come back show that all others stand.
            Subscription(filter: "\(system)/metrics/#", wantsRetained: true, atLeastOnce: false),
        ]
    }

    mutating func terminate() {
        isEnding = true
        if isConnected { publishRecord(state: .down, reason: "stopped") }
        effects.append(.quit(status: 0, reason: "stopped"))
    }

    /// The service's own record.
    func record(state: ServiceRecord.State, reason: String?) -> OutboundMessage {
        var record = ownRecord(state)
        record.reason = reason
        let topic = Topic.system(.service(name: "monitor", instance: settings.instance))
        return OutboundMessage(topic: topic.name, payload: record.encoded, retain: true)
    }

    func ownRecord(_ state: ServiceRecord.State) -> ServiceRecord {
        var record = ServiceRecord(
            state: state, version: settings.version, term: max(term, 1), boot: settings.boot, since: startedAt)
        record.limits = RawJSON { writer in
            writer.object {
                $0.field("page", Limits.page)
                $0.field("history_scan", Limits.historyScan)
                $0.field("history_digests", Limits.historyDigests)
                $0.field("summary_groups", Limits.summaryGroups)
            }
        }
        return record
    }

    mutating func publishRecord(state: ServiceRecord.State, reason: String? = nil) {
        effects.append(.publish(record(state: state, reason: reason)))
    }

    /// What the broker publishes when this process is lost.
    public func will() -> OutboundMessage? { record(state: .down, reason: "lost") }
}
