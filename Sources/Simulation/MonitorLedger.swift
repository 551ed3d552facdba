import Contract
import Machine
import MonitorCore
import TimeModel
import Wire

/// What the broker took of the messages that belong into a history, and whether the history is true to it.
final class MonitorLedger {
    /// A message that the broker took.
    struct Taken {
        /// The monitor's wall clock at that moment, in ms.
        var at: Int
        /// What its task cost; 0 for what is no result, or not the first one of its task.
        var cost = 0
        /// Whether it stands for one end of one task.
        var isCounted = false
    }

    private let history: History
    /// By topic.
    private(set) var taken: [String: Taken] = [:]

    init(_ history: History) { self.history = history }

    /// Notes a message once.
    func note(_ topic: String, _ message: Taken) {
        if taken[topic] == nil { taken[topic] = message }
    }

    /// What was on its way when the last message was heard.
    private static let slackMs = 2000

    /// What is found in a history.
    struct Found {
        /// How often each topic's message is held.
        var held: [String: Int] = [:]
        var gaps: [HistoryGap] = []
        /// Results that stand for one end of one task, and what these cost.
        var counted = 0
        var cost = 0
        /// The numbers of all records, the newest first.
        var numbers: [Int] = []
    }

    /// Reads all records, the newest first.
    func read(_ records: [HistoryRecord], now: WallTime) -> Found {
        var found = Found()
        var newerAt: WallTime?
        for record in records {
            if let last = found.numbers.last, record.number >= last {
                history.violate("order", "record \(record.number) stands behind \(last)")
            }
            found.numbers.append(record.number)
            if let topic = MonitorLedger.topic(record) { found.held[topic, default: 0] += 1 }
            if record.record == .result, !record.isCopy {
                found.counted += 1
                found.cost += record.cost ?? 0
            }
            if record.record == .gap, let body = record.body, var gap = try? HistoryGap(body) {
                // One without an end lasts until something was recorded again.
                gap.to = gap.to ?? newerAt ?? now
                found.gaps.append(gap)
            } else {
                newerAt = record.at
            }
        }
        return found
    }

    /// The topic that a record's message came on; `nil` for what the ledger does not follow.
    private static func topic(_ record: HistoryRecord) -> String? {
        let place: Topic.Place
        switch record.record {
        case .result:
            place = .result(
                principal: record.principal ?? "", capability: record.capability ?? "", id: record.subject)
        case .dead: place = .dead(capability: record.capability ?? "", id: record.subject)
        case .event, .check:
            place = .event(name: record.code ?? "", key: "\(record.type ?? "").\(record.subject)")
        case .log: place = .log(request: record.subject, record: record.code ?? "")
        case .metric, .gap: return nil
        }
        return Topic(record.workspace, place).name
    }

    /// Each message once, none invented, and what is missing lies within a gap. Nothing is asked for before `start`, when
    /// the monitor was up for the first time.
    func check(_ found: Found, start: Int) {
        for gap in found.gaps { history.saw("gap \(gap.reason.rawValue)") }
        for (topic, count) in found.held.sorted(by: { $0.key < $1.key }) {
            if count > 1 { history.violate("once", "\(topic) is recorded \(count) times") }
            if taken[topic] == nil { history.violate("invented", "\(topic) was never published") }
        }
        for (topic, message) in taken.sorted(by: { $0.key < $1.key })
        where found.held[topic] == nil && message.at > start + 1000 {
            let isStated = found.gaps.contains { gap in
                guard let from = gap.from, let to = gap.to else { return false }
                return message.at >= from.milliseconds - MonitorLedger.slackMs
                    && message.at <= to.milliseconds + MonitorLedger.slackMs
            }
            if isStated {
                history.saw("stated as missing")
            } else {
                history.violate("stated", "\(topic), taken at \(message.at), is neither held nor stated as missing")
            }
        }
    }

    /// What the monitor answered must be what its files hold.
    func compare(_ answered: MonitorAnswers, _ found: Found) {
        guard answered.isComplete else {
            return history.violate("H6", "of the questions at the end \(answered.open) has no answer")
        }
        if answered.numbers != found.numbers.filter({ $0 <= answered.newest }) {
            history.violate(
                "pages", "\(answered.numbers.count) records are answered, \(found.numbers.count) are in the files")
        }
        if answered.counted != found.counted || answered.cost != found.cost {
            history.violate(
                "sums",
                "\(answered.counted) results for \(answered.cost) are answered, the files hold "
                    + "\(found.counted) for \(found.cost)")
        }
    }

    /// Rolling numbers tell of what is held, and besides of no more than what could not be written.
    func checkSummary(_ payload: [UInt8]?, _ found: Found) {
        guard let payload, let summary = try? HistorySummary(decoding: payload) else {
            if found.counted > 0 { history.violate("summary", "summary/workspace/main is not retained") }
            return
        }
        let most = taken.values.count(where: \.isCounted)
        if summary.count < found.counted || summary.count > most {
            history.violate(
                "summary",
                "\(summary.count) results are summed up, \(found.counted) are held and \(most) were published")
        }
        if summary.count > found.counted { history.saw("summed up but not written") }
    }
}

/// Asks the monitor over the broker for all of its records, page by page, and for the sums of its results.
final class MonitorAnswers {
    private let world: World
    private let name: String
    private var client: SimulatedClient?
    private var awaited = ""
    private var after: String?
    private var asked = 0
    private var stage = 0

    /// The numbers of all records answered, the newest first.
    private(set) var numbers: [Int] = []
    private(set) var counted = 0
    private(set) var cost = 0
    /// The question that is not answered.
    private(set) var open = "none"

    init(_ world: World, name: String) {
        self.world = world
        self.name = name
    }

    /// Whether everything was answered.
    var isComplete: Bool { stage == 2 }
    /// The newest record that was asked about.
    var newest: Int { numbers.first ?? 0 }

    /// Connects and asks.
    func start() {
        client = SimulatedClient(
            world, name: name, username: name, keepsSession: false,
            handlers: SimulatedClient.Handlers(
                connected: { [weak self] in self?.connected() }, disconnected: {},
                message: { [weak self] message, id in
                    if let id { self?.client?.acknowledge(id) }
                    self?.take(message)
                }, delivered: { _ in }))
        client?.connect(will: nil)
    }

    private func connected() {
        client?.subscribe([
            Subscription(filter: Topic.filter(Names.defaultWorkspace, "reply", name, "#"), wantsRetained: false)
        ])
        askOn()
    }

    private func askOn() {
        switch stage {
        case 0: ask("query", after.map { #"{"limit":100,"after":"\#($0)"}"# } ?? #"{"limit":100}"#)
        case 1: ask("stats", #"{"by":"workspace"}"#)
        default: break
        }
    }

    private func ask(_ verb: String, _ payload: String) {
        asked += 1
        open = "\(verb) \(payload)"
        let reply = Topic.Place.reply(principal: name, noun: "history", verb: verb, id: "q\(asked)")
        awaited = Topic(Names.defaultWorkspace, reply).name
        let place = Topic.Place.command(principal: name, noun: "history", verb: verb, id: "q\(asked)")
        client?.publish(
            OutboundMessage(topic: Topic(Names.defaultWorkspace, place).name, payload: Array(payload.utf8)))
    }

    private func take(_ message: InboundMessage) {
        guard message.topic == awaited, let reply = try? Reply(decoding: message.payload), let raw = reply.data else {
            return
        }
        let data = JSONValue(raw)
        guard case .array(let items)? = data["items"] else { return }
        if stage == 0 {
            numbers += items.compactMap { $0["n"]?.intValue }
            after = data["after"]?.stringValue
            if after == nil { stage = 1 }
        } else if let total = data["total"] {
            (counted, cost) = (total["count"]?.intValue ?? 0, total["cost"]?.intValue ?? 0)
            stage = 2
        }
        askOn()
    }
}
