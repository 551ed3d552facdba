import Contract
import Machine
import Shell
import TimeModel
import Wire

/// `martlet tail`: what happens, one line each, as it happens.
struct TailCommand {
    private let session: Session
    private let filters: [(flag: String, value: String)]

    /// The command; Ctrl-C ends it well.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        let flags = ["task", "capability", "executor", "event", "principal"]
        let tail = TailCommand(
            session: session,
            filters: flags.compactMap { flag in session.invocation.text(flag).map { (flag, $0) } })
        do throws(Failure) { try tail.follow() } catch  where error.status == .interrupted { return .done }
        return .done
    }

    private func follow() throws(Failure) {
        let client = try session.client()
        let workspace = client.settings.workspace
        try client.subscribe(
            [
                Topic.filter(workspace, "event", "+", "+"), Topic.filter(workspace, "alert", "+"),
                Topic.filter(workspace, "result", client.settings.principal, "#"),
            ], retained: false)
        session.terminal.detail("watching \(workspace); Ctrl-C ends")
        let limit = session.invocation.integer("count") ?? .max
        var shown = 0
        while shown < limit {
            guard let message = try client.next(until: SystemClock.monotonic + 3_600_000) else { continue }
            guard let topic = Topic(message.topic), let happening = Happening(topic, message.payload) else { continue }
            guard filters.allSatisfy({ happening.fits($0.flag, $0.value) }) else { continue }
            shown += 1
            if session.wantsJSON {
                session.terminal.print(message.payload)
            } else {
                session.terminal.print(happening.line(at: SystemClock.wall, session.terminal))
            }
        }
    }
}

/// One message that `tail` shows.
struct Happening {
    /// When, if the message says so.
    let at: WallTime?
    /// The event's name, `alert` or `result`.
    let name: String
    /// To what it happened.
    let subject: String
    /// What changed.
    let change: String
    /// What filters look at.
    private let names: [String: String]

    /// Reads a message; `nil` for others than events, alerts and results.
    init?(_ topic: Topic, _ payload: [UInt8]) {
        switch topic.place {
        case .event(let name, _):
            guard let event = try? Event(decoding: payload) else { return nil }
            self.init(event, name)
        case .alert(let key):
            let alert = try? Alert(decoding: payload)
            self.init(
                at: alert?.since, name: "alert", subject: key,
                change: alert.map { "\($0.severity.rawValue): \($0.text)" } ?? "over", names: ["event": "alert"])
        case .result(let principal, let capability, let id):
            guard let result = try? TaskResult(decoding: payload) else { return nil }
            self.init(
                at: result.finishedAt, name: "result", subject: id, change: Happening.change(result),
                names: [
                    "event": "result", "task": id, "capability": capability, "principal": principal,
                    "executor": result.executor ?? "",
                ])
        default: return nil
        }
    }

    private init(at: WallTime?, name: String, subject: String, change: String, names: [String: String]) {
        self.at = at
        self.name = Terminal.escape(name)
        self.subject = Terminal.escape(subject)
        self.change = Terminal.escape(change)
        self.names = names
    }

    private init(_ event: Event, _ name: String) {
        let data = event.data.map { JSONValue($0) } ?? .null
        var found = ["event": event.event.rawValue, "principal": event.actor]
        for key in ["task", "capability", "executor", "principal"] {
            if let text = data[key]?.stringValue { found[key] = text }
        }
        if event.event.rawValue.hasPrefix("TASK_") { found["task"] = found["task"] ?? event.subject }
        if event.event.rawValue.hasPrefix("CIRCUIT_") { found["capability"] = found["capability"] ?? event.subject }
        if event.event.rawValue.hasPrefix("EXECUTOR_") { found["executor"] = found["executor"] ?? event.subject }
        self.init(at: event.at, name: name, subject: event.subject, change: Happening.change(data), names: found)
    }

    /// Whether a filter lets it pass.
    func fits(_ flag: String, _ value: String) -> Bool { names[flag] == value }

    private static func change(_ data: JSONValue) -> String {
        guard case .object(let fields) = data else { return "" }
        return fields.map { field in
            let text = field.value.stringValue ?? field.value.raw.text
            return "\(field.key)=\(text)"
        }.joined(separator: " ")
    }

    private static func change(_ result: TaskResult) -> String {
        var words = [result.status.rawValue]
        var tail: [String] = []
        if let executor = result.executor { tail.append(executor) }
        if let last = result.attempts.last { tail.append("attempt \(last.number)") }
        if let ms = result.durationMs { tail.append(Durations.text(ms)) }
        if let cost = result.cost, cost > 0 { tail.append("cost \(cost)") }
        if let error = result.error { tail.append(error.code.rawValue) }
        if !tail.isEmpty { words.append("  " + tail.joined(separator: ", ")) }
        return words.joined(separator: " ")
    }

    /// `14:06:41.003 CIRCUIT_HALF_OPEN  print.label   after 30 s`.
    func line(at now: WallTime, _ terminal: Terminal) -> String {
        let when = at ?? now
        let text =
            terminal.timeStyle == .local ? Happening.localClock(when) : String(when.rfc3339.dropFirst(11).prefix(12))
        return "\(text) \(name.padded(to: 19))\(subject)" + (change.isEmpty ? "" : "   \(change)")
    }

    private static func localClock(_ time: WallTime) -> String {
        let milliseconds = String(1000 + (time.milliseconds % 1000 + 1000) % 1000).dropFirst()
        return "\(Terminal.local(time).dropFirst(11).prefix(8)).\(milliseconds)"
    }
}
