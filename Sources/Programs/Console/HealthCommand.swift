import Contract
import Machine
import Shell
import TimeModel

/// `martlet health`: reads retained views, asks each service one harmless command, and judges.
enum HealthCommand {
    /// How long retained views may take to come, and the pause that ends them, in ms.
    private static let gatherMs = 2000
    private static let quietMs = 150
    /// How long a service may take to answer, in ms.
    private static let replyMs = 2000

    /// The command.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        let (parts, name) = try asked(session)
        let format: HealthFormat = session.invocation.word("format") ?? (session.wantsJSON ? .json : .text)
        let lines: [HealthLine]
        do throws(Failure) { lines = try report(session, parts).lines(parts, name: name) } catch {
            if error.status == .interrupted { throw error }
            let isBroker = parts == [.broker] && error.status == .unreachable
            lines = [HealthLine(part: "broker", level: isBroker ? .critical : .unknown, text: error.text)]
        }
        for line in format.lines(lines, session.terminal) { session.terminal.print(line) }
        return ExitStatus(rawValue: HealthLevel.worst(lines.map(\.level)).rawValue) ?? .ownFault
    }

    private static func asked(_ session: Session) throws(Failure) -> ([HealthPart], String?) {
        guard let word = session.invocation.argument(0) else { return (HealthPart.whole, nil) }
        guard let part = HealthPart(rawValue: word) else {
            throw .usage(
                "\"\(Terminal.escape(word))\" is nothing that has a health",
                meant: Nearest.name(to: word, in: HealthPart.allCases.map(\.rawValue)), tries: ["martlet help health"])
        }
        guard part.needsName else {
            if session.invocation.argument(1) != nil { throw .usage("health \(word) takes no name") }
            return ([part], nil)
        }
        guard session.invocation.argument(1) != nil else {
            throw .usage("health \(word) needs a name", tries: ["martlet \(word) list"])
        }
        return ([part], try session.nameArgument(1))
    }

    /// What is read and judged, for some parts.
    static func report(_ session: Session, _ parts: [HealthPart]) throws(Failure) -> HealthReport {
        let client = try session.client()
        var report = HealthReport(workspace: client.settings.workspace)
        let start = SystemClock.monotonic
        try client.subscribe(HealthReport.filters(client.settings.workspace), retained: true)
        report.roundTripMs = max(0, SystemClock.monotonic - start)
        let deadline = start + gatherMs
        while let message = try client.next(until: min(deadline, SystemClock.monotonic + quietMs)) {
            report.take(message)
        }
        report.now = SystemClock.wall
        for part in parts where HealthPart.services.contains(part) {
            let name = part.rawValue
            guard report.services[name]?.state == .up else { continue }
            report.silent[name] = try silence(name, client)
        }
        return report
    }

    /// Why a service cannot be called well, or `nil` when it answers. An account without the right to ask says nothing.
    private static func silence(_ service: String, _ client: BusClient) throws(Failure) -> String? {
        guard let (noun, verb) = harmless[service] else { return nil }
        let payload = Array(#"{"limit":1}"#.utf8)
        do throws(Failure) {
            _ = try CommandRequest(noun, verb, payload: payload).reply(client, withinMs: replyMs)
            return nil
        } catch {
            switch error.status {
            case .noAnswer: return "is up but does not answer within \(Durations.text(replyMs))"
            case .unreachable, .forbidden: return nil
            default: throw error
            }
        }
    }

    /// What each service is asked.
    private static let harmless: [String: (Noun, String)] = [
        "dispatcher": (.capability, "list"), "scheduler": (.schedule, "list"), "heartbeat": (.check, "list"),
        "monitor": (.history, "query"),
    ]
}
