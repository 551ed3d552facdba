import Contract
import Machine
import Shell
import TimeModel
import Wire

/// When a request goes out again: after 5 s, doubling to 60 s, at once after a reconnect; always with the same id.
struct Repetition {
    private var waitMs = 5000
    private var dueAt: MonotonicTime
    private var connections: Int

    /// The first one went out now.
    init(_ client: BusClient) {
        dueAt = SystemClock.monotonic + waitMs
        connections = client.connections
    }

    /// When to look again.
    var nextWake: MonotonicTime { dueAt }

    /// Whether it is time; plans the next time.
    mutating func isDue(_ client: BusClient) -> Bool {
        let now = SystemClock.monotonic
        guard now >= dueAt || client.connections != connections else { return false }
        connections = client.connections
        waitMs = min(waitMs * 2, 60_000)
        dueAt = now + waitMs
        return true
    }

    /// Sends it again in so many ms instead.
    mutating func postpone(_ ms: Int) { dueAt = SystemClock.monotonic + ms }
}

/// What the services say of themselves, as far as this account may read it.
struct ServiceWatch {
    private var records: [String: ServiceRecord] = [:]
    private let workspace: String

    /// What one workspace sees: other cells are none of its business.
    init(workspace: String) { self.workspace = workspace }

    /// The filter of the records of one service.
    static func filter(_ service: String) -> String {
        Topic.filter(Names.systemWorkspace, "service", service, "+")
    }

    /// Takes a message if it is a record; true if it was.
    mutating func take(_ message: InboundMessage) -> Bool {
        guard let topic = Topic(message.topic), case .service(_, let instance) = topic.place else { return false }
        let record = try? ServiceRecord(decoding: message.payload)
        records[instance] = record.flatMap { $0.serves(workspace) ? $0 : nil }
        return true
    }

    /// Whether the service is known to be down.
    var isDown: Bool { !records.isEmpty && records.values.allSatisfy { $0.state == .down } }
}

/// A command to a service, with its one reply.
struct CommandRequest {
    let noun: Noun
    let verb: String
    let id: String
    let payload: [UInt8]

    /// A command; without an object's id any name will do.
    init(_ noun: Noun, _ verb: String, _ id: String? = nil, payload: [UInt8] = []) {
        self.noun = noun
        self.verb = verb
        self.id = id ?? RandomText.id()
        self.payload = payload
    }

    /// Sends it until it is answered. A refusal is a reply too; one that asks to come back is obeyed while there is time.
    func reply(_ client: BusClient, withinMs: Int) throws(Failure) -> (reply: Reply, bytes: [UInt8]) {
        let workspace = client.settings.workspace
        let principal = client.settings.principal
        let topic = Topic(workspace, .command(principal: principal, noun: noun.rawValue, verb: verb, id: id))
        let answer = Topic(workspace, .reply(principal: principal, noun: noun.rawValue, verb: verb, id: id)).name
        try client.subscribe([answer], retained: false)
        try client.subscribe([ServiceWatch.filter(noun.service)], retained: true)
        try client.publish(topic, payload)
        var watch = ServiceWatch(workspace: workspace)
        var repetition = Repetition(client)
        let deadline = SystemClock.monotonic + withinMs
        while SystemClock.monotonic < deadline {
            if let message = try client.next(until: min(deadline, repetition.nextWake)), !watch.take(message),
                message.topic == answer
            {
                guard let reply = try? Reply(decoding: message.payload) else {
                    throw Failure(.ownFault, "the reply of the \(noun.service) cannot be read")
                }
                let wait = reply.retryAfterMs ?? 1000
                guard reply.retry == .after || reply.retry == .same, SystemClock.monotonic + wait < deadline else {
                    return (reply, message.payload)
                }
                repetition.postpone(wait)
            }
            if repetition.isDue(client) { try client.publish(topic, payload) }
        }
        throw noAnswer(watch, withinMs)
    }

    private func noAnswer(_ watch: ServiceWatch, _ ms: Int) -> Failure {
        if watch.isDown {
            return Failure(
                .unreachable, "the \(noun.service) is down; what was asked will be done when it is back",
                tries: ["martlet top --once"])
        }
        return Failure(
            .noAnswer, "no answer from the \(noun.service) within \(Durations.text(ms)): the outcome is unknown",
            tries: ["the same again", "a longer --timeout"])
    }
}

extension Session {
    /// Asks a service; a refusal ends the command.
    func ask(_ request: CommandRequest) throws(Failure) -> (reply: Reply, bytes: [UInt8]) {
        let answer = try request.reply(try client(), withinMs: answerMs)
        guard answer.reply.ok else {
            if wantsJSON { terminal.print(answer.bytes) }
            throw refusal(answer.reply, of: request)
        }
        return answer
    }

    /// A refused command as a failure.
    func refusal(_ reply: Reply, of request: CommandRequest) -> Failure {
        let what = "\(request.noun.rawValue) \(request.verb)"
        let message = reply.message.map { Terminal.escape($0) } ?? "\(what) was refused"
        var failure = Failure(ExitStatus(refusal: reply.code), message, code: reply.code)
        if reply.code == .notFound {
            failure.tries = ["martlet \(request.noun == .history ? "history query" : "\(request.noun.rawValue) list")"]
            failure.meant = LiveObjects.kind(of: request.noun).flatMap { kind in
                (try? client()).flatMap { LiveObjects.nearest(kind, to: request.id, $0) }
            }
        } else if let code = reply.code {
            failure.tries = ["martlet code \(code.rawValue)"]
        }
        return failure
    }

    /// All items of a list, page by page, up to `limit`.
    func items(_ noun: Noun, _ limit: Int, _ fields: (inout JSONWriter) -> Void) throws(Failure) -> [JSONValue] {
        var items: [JSONValue] = []
        var after = invocation.text("after")
        while items.count < limit {
            let body = RawJSON {
                $0.object { writer in
                    writer.field("limit", min(limit - items.count, Limits.page))
                    writer.field("after", after)
                    fields(&writer)
                }
            }
            let reply = try ask(CommandRequest(noun, "list", payload: body.bytes)).reply
            guard let data = reply.data.map({ JSONValue($0) }), case .array(let page)? = data["items"] else { break }
            items += page
            after = data["after"]?.stringValue
            if after == nil || page.isEmpty { break }
        }
        return items
    }
}
