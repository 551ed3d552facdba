import Contract
import Machine
import Shell
import TimeModel
import Wire

/// `martlet bridge home-assistant`: keeps the discovery documents of executors, schedules and circuits, and turns orders
/// of Home Assistant into commands.
final class BridgeCommand {
    private let session: Session
    private let client: BusClient
    private let target: HomeAssistant
    private var known: Set<HomeAssistant.Subject> = []
    /// Topics on which a document of ours is retained, as far as seen.
    private var retained: Set<String> = []
    /// Commands without a reply, by the topic of the reply.
    private var open: [String: (topic: Topic, payload: [UInt8], repetition: Repetition)] = [:]

    private init(_ session: Session) throws(Failure) {
        self.session = session
        client = try session.client()
        let prefix = session.invocation.text("prefix") ?? "homeassistant"
        guard !prefix.isEmpty, !prefix.contains(where: { "+#/$".contains($0) }) else {
            throw .usage("--prefix \(Terminal.escape(prefix)): one topic level, as in Home Assistant's own settings")
        }
        target = HomeAssistant(prefix: prefix, workspace: client.settings.workspace)
    }

    /// The command; Ctrl-C ends it.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        let bridge = try BridgeCommand(session)
        do throws(Failure) {
            try bridge.begin()
            while true { try bridge.step() }
        } catch  where error.status == .interrupted {
            if session.invocation.has("clean") { try bridge.clean() }
            bridge.client.close()
            return .done
        }
    }

    private func begin() throws(Failure) {
        let workspace = client.settings.workspace
        try client.subscribe(
            [
                target.discoveryFilter, Topic.filter(workspace, "executor", "+", "status"),
                Topic.filter(workspace, "schedule", "+"), Topic.filter(workspace, "circuit", "#"),
            ], retained: true)
        try client.subscribe(
            [
                target.birthTopic, target.orderFilter,
                Topic.filter(workspace, "reply", client.settings.principal, "schedule", "#"),
            ], retained: false)
        let quiet = 1000
        var until = SystemClock.monotonic + quiet
        while SystemClock.monotonic < until {
            if let message = try client.next(until: until) {
                try take(message)
                until = SystemClock.monotonic + quiet
            }
        }
        let wanted = Set(known.flatMap { target.documents(of: $0).map(\.topic) })
        for topic in retained.subtracting(wanted).sorted() { try clear(topic) }
        session.terminal.say(
            "\(known.count) objects of \(workspace) are shown to Home Assistant under \(target.prefix); Ctrl-C ends")
    }

    private func step() throws(Failure) {
        let wake = open.values.map(\.repetition.nextWake).min() ?? SystemClock.monotonic + 3_600_000
        let connections = client.connections
        if let message = try client.next(until: wake) { try take(message) }
        if client.connections != connections { try publishAll() }
        for (answer, command) in open.sorted(by: { $0.key < $1.key }) {
            var repetition = command.repetition
            guard repetition.isDue(client) else { continue }
            open[answer]?.repetition = repetition
            try client.publish(command.topic, command.payload)
        }
    }

    private func take(_ message: InboundMessage) throws(Failure) {
        if message.topic == target.birthTopic {
            if message.payload == Array("online".utf8) { try publishAll() }
        } else if let order = target.order(message.topic, message.payload) {
            if !message.retained { try obey(order.schedule, order.verb) }
        } else if message.topic.hasPrefix("\(target.prefix)/") {
            if message.payload.isEmpty { retained.remove(message.topic) } else { retained.insert(message.topic) }
        } else if open[message.topic] != nil {
            try answered(message)
        } else if let topic = Topic(message.topic), let subject = HomeAssistant.Subject(topic.place) {
            try changed(subject, isGone: message.payload.isEmpty)
        }
    }

    private func changed(_ subject: HomeAssistant.Subject, isGone: Bool) throws(Failure) {
        guard isGone else {
            if known.insert(subject).inserted { try publish(subject) }
            return
        }
        guard known.remove(subject) != nil else { return }
        for document in target.documents(of: subject) { try clear(document.topic) }
    }

    private func publish(_ subject: HomeAssistant.Subject) throws(Failure) {
        for document in target.documents(of: subject) {
            retained.insert(document.topic)
            try client.publish(OutboundMessage(topic: document.topic, payload: document.payload, retain: true))
        }
    }

    private func publishAll() throws(Failure) {
        let subjects = known.map { (target.documents(of: $0).first?.topic ?? "", $0) }.sorted { $0.0 < $1.0 }
        for (_, subject) in subjects { try publish(subject) }
    }

    private func clear(_ topic: String) throws(Failure) {
        retained.remove(topic)
        try client.publish(OutboundMessage(topic: topic, payload: [], retain: true))
    }

    private func clean() throws(Failure) {
        for topic in retained.sorted() { try clear(topic) }
    }

    private func obey(_ schedule: String, _ verb: String) throws(Failure) {
        let settings = client.settings
        let place = { (answer: Bool) -> Topic in
            answer
                ? Topic(
                    settings.workspace,
                    .reply(principal: settings.principal, noun: "schedule", verb: verb, id: schedule))
                : Topic(
                    settings.workspace,
                    .command(principal: settings.principal, noun: "schedule", verb: verb, id: schedule))
        }
        let payload =
            verb == "trigger"
            ? RawJSON { $0.object { $0.field("request_id", RandomText.id()) } }.bytes : Array("{}".utf8)
        try client.publish(place(false), payload)
        open[place(true).name] = (place(false), payload, Repetition(client))
        session.terminal.detail("\(verb) \(schedule)")
    }

    private func answered(_ message: InboundMessage) throws(Failure) {
        guard let reply = try? Reply(decoding: message.payload) else { return }
        let command = open.removeValue(forKey: message.topic)
        guard !reply.ok, case .command(_, _, let verb, let schedule)? = command?.topic.place else { return }
        session.terminal.say(
            "\(verb) \(schedule) is refused: \(Terminal.escape(reply.message ?? "")) (\(reply.code?.rawValue ?? ""))")
    }
}
