import Contract
import Machine
import TimeModel
import Wire

/// Who asks, and where the reply goes.
struct Caller: Hashable, Sendable {
    var workspace: String
    var principal: String
    var verb: String
    var id: String
    /// The level that breaks the grammar, if one does.
    var illegalName: String?
    var replyTopic: String
    var correlation: [UInt8]?

    init(_ topic: Topic, _ principal: String, _ verb: String, _ id: String, _ message: InboundMessage) {
        workspace = topic.workspace
        self.principal = principal
        self.verb = verb
        self.id = id
        illegalName = topic.illegalName
        let own = "\(topic.workspace)/\(Names.protocolLevel)/reply/\(principal)/"
        if let response = message.responseTopic, response.hasPrefix(own), response.utf8.count > own.utf8.count {
            replyTopic = response
        } else {
            let place = Topic.Place.reply(
                principal: principal, noun: Noun.history.rawValue, verb: verb, id: id)
            replyTopic = Topic(topic.workspace, place).name
        }
        correlation = message.correlation
    }
}

/// Commands (`topics/commands.md`, history).
extension MonitorCore {
    mutating func command(_ caller: Caller, _ message: InboundMessage, _ now: Now) {
        if message.retained {
            if message.payload.isEmpty { return }
            effects.append(.publish(OutboundMessage(topic: message.topic, payload: [], retain: true)))
        }
        if let refusal = judge(caller, message) { reply(caller, refusal) }
    }

    /// A refusal, or `nil` when the history was asked.
    private mutating func judge(_ caller: Caller, _ message: InboundMessage) -> Reply? {
        if message.payload.count > Limits.payload {
            return .refused(.payloadTooLarge, "the payload is larger than \(Limits.payload) bytes")
        }
        if message.retained { return .refused(.retainedRequest, "a request is never retained") }
        if let name = caller.illegalName { return .refused(.invalidName, "\(name.prefix(80)) is not a name") }
        let raw: RawJSON
        do throws(WireError) {
            raw = message.payload.isEmpty ? .emptyObject : try RawJSON(validating: message.payload)
        } catch { return .refused(.invalidJSON, error.message) }
        guard JSONReader(raw).kind == .object else { return .refused(.invalidField, "the payload must be an object") }
        if isEnding {
            var reply = Reply.refused(.shuttingDown, "the monitor is stopping")
            reply.retry = .same
            return reply
        }
        do throws(WireError) {
            return question(caller, try HistoryCommand(raw))
        } catch { return .refused(.invalidField, error.message) }
    }

    private mutating func question(_ caller: Caller, _ command: HistoryCommand) -> Reply? {
        guard let what = MonitorCore.what(caller.verb) else {
            return .refused(.invalidField, "history has no verb \(caller.verb.prefix(40))")
        }
        if let from = command.from, let to = command.to, from > to {
            return .refused(.invalidField, "from: must not be after to")
        }
        if what == .stats, let field = command.fieldThatSumsLack {
            return .refused(.invalidField, "\(field): \(caller.verb) cannot be limited by it")
        }
        if what != .stats, command.by != nil { return .refused(.invalidField, "by: only stats and cost are split") }
        var question = HistoryQuestion(what)
        question.workspace = caller.workspace
        question.command = command
        if settings.isOperator(caller.principal) {
            question.includesSystem = true
        } else {
            if let other = command.principal, other != caller.principal {
                return .refused(.permissionDenied, "only operators may read what is another's")
            }
            question.command.principal = caller.principal
        }
        if what == .get { question.command.subject = caller.id }
        guard ask(question, .command(caller, command)) else {
            return .refused(.busy, "too many questions wait", retryAfterMs: 1000)
        }
        totals.questions += 1
        return nil
    }

    private static func what(_ verb: String) -> HistoryQuestion.What? {
        switch verb {
        case "query": .query
        case "get": .get
        case "stats", "cost": .stats
        default: nil
        }
    }

    // Replies.

    mutating func reply(_ caller: Caller, _ reply: Reply) {
        guard isConnected else { return }
        effects.append(
            .publish(
                OutboundMessage(topic: caller.replyTopic, payload: reply.encoded, correlation: caller.correlation)))
    }

    /// The history's answer becomes the reply.
    mutating func reply(_ caller: Caller, _ command: HistoryCommand, _ answer: RawJSON) {
        let value = JSONValue(answer)
        if let error = value["error"]?.stringValue {
            return reply(caller, .refused(.internal, "the history cannot be read: \(error)"))
        }
        switch caller.verb {
        case "query": reply(caller, .done(data: answer))
        case "get":
            if case .array(let items)? = value["items"], items.isEmpty {
                return reply(caller, .refused(.notFound, "the history has nothing about \(caller.id)"))
            }
            reply(caller, .done(data: answer))
        default: reply(caller, .done(data: sums(caller, command, value)))
        }
    }

    /// The sums of a dimension, the greatest first, and all of them together.
    private func sums(_ caller: Caller, _ command: HistoryCommand, _ answer: JSONValue) -> RawJSON {
        var groups: [(name: String, sum: Aggregate)] = []
        var total = Aggregate()
        if case .array(let items)? = answer["items"] {
            for item in items {
                guard let sum = try? Aggregate(item.raw) else { continue }
                groups.append((item["name"]?.stringValue ?? "", sum))
                total.add(sum)
            }
        }
        let isCost = caller.verb == "cost"
        func weight(_ sum: Aggregate) -> Int { isCost ? sum.cost + sum.wastedCost : sum.count }
        let isByDay = command.by == .day
        groups.sort { a, b in
            if isByDay { return a.name > b.name }
            return (weight(b.sum), a.name) < (weight(a.sum), b.name)
        }
        let shown = groups.prefix(min(command.limit ?? Defaults.page, MonitorCore.groupsPerReply))
        return RawJSON { writer in
            writer.object {
                $0.field("by", command.by ?? .capability)
                $0.field("groups", groups.count)
                $0.key("total")
                MonitorCore.write(total, nil, isCost, &$0)
                $0.key("items")
                $0.beginArray()
                for group in shown { MonitorCore.write(group.sum, group.name, isCost, &$0) }
                $0.endArray()
            }
        }
    }

    /// Groups in one reply, so that it stays within the size of a payload.
    static let groupsPerReply = 400

    private static func write(_ sum: Aggregate, _ name: String?, _ isCost: Bool, _ writer: inout JSONWriter) {
        guard isCost else { return writer.value(sum.summary(name)) }
        writer.object {
            $0.field("name", name)
            $0.field("count", sum.count)
            $0.field("cost", sum.cost)
            $0.field("wasted_cost", sum.wastedCost)
            $0.field("tokens", sum.tokens)
        }
    }
}

extension HistoryCommand {
    /// The first field that sums cannot be limited by.
    var fieldThatSumsLack: String? {
        if record != nil { return "record" }
        if subject != nil { return "subject" }
        if status != nil { return "status" }
        if code != nil { return "code" }
        if user != nil { return "user" }
        if request != nil { return "request" }
        if bodies != nil { return "bodies" }
        if after != nil { return "after" }
        return nil
    }
}
