import Contract
import Machine
import Shell
import TimeModel

/// A connection to the broker as a command uses it: failures are sentences, Ctrl-C ends every wait.
final class BusClient {
    /// How it was reached, and as whom.
    let settings: ConnectionSettings
    /// How often the broker accepted the connection; who waits for an answer asks again when it grows.
    private(set) var connections = 1
    private let session: ClientSession
    private let interrupts: Interrupts

    /// Connects, or says within so many ms why not.
    init(_ settings: ConnectionSettings, interrupts: Interrupts, withinMs: Int = 5000) throws(Failure) {
        self.settings = settings
        self.interrupts = interrupts
        session = ClientSession(settings.options)
        do throws(ClientError) { try session.connect(timeoutMs: withinMs) } catch { throw failure(error) }
    }

    private func failure(_ error: ClientError) -> Failure {
        switch error {
        case .unreachable(let reason): return unreachable(reason)
        case .timedOut: return unreachable("no answer")
        case .notAdmitted(let reason):
            let who = settings.user.map { "the account \($0)" } ?? "a connection without account"
            return Failure(
                .forbidden, "the broker at \(settings.address) refuses \(who): \(reason)", code: .permissionDenied,
                tries: settings.user == nil ? ["--user NAME --password-file FILE"] : ["martlet context list"])
        case .refused(let topic, let reason):
            return Failure(
                .forbidden, "the broker refuses \(Terminal.escape(topic)) to \(settings.principal): \(reason)",
                code: .permissionDenied, tries: [neededRole(topic)])
        }
    }

    /// How somebody may do what this account may not.
    private func neededRole(_ topic: String) -> String {
        let isRequest =
            switch Topic(topic)?.place {
            case .intent, .command: true
            default: false
            }
        let workspace = settings.workspace == Names.defaultWorkspace ? "" : " --workspace \(settings.workspace)"
        return "an account with the role \(isRequest ? "publisher or operator" : "operator")\(workspace) "
            + "(martlet broker account add NAME --role operator\(workspace))"
    }

    private func unreachable(_ reason: String) -> Failure {
        Failure(
            .unreachable, "cannot reach the broker at \(settings.address): \(reason)",
            tries: ["martlet up", "martlet context list"])
    }

    /// Subscribes and waits for the broker's word.
    func subscribe(_ filters: [String], retained: Bool, atLeastOnce: Bool = true) throws(Failure) {
        let wanted = filters.map { Subscription(filter: $0, wantsRetained: retained, atLeastOnce: atLeastOnce) }
        do throws(ClientError) { try session.subscribe(wanted, timeoutMs: 5000) } catch { throw failure(error) }
    }

    /// Publishes at QoS 1 and waits until the broker has it.
    func publish(_ topic: Topic, _ payload: [UInt8]) throws(Failure) {
        guard payload.count <= Limits.payload else {
            throw Failure(
                .refused, "the payload has \(payload.count) bytes, at most \(Limits.payload) are allowed",
                code: .payloadTooLarge)
        }
        try publish(OutboundMessage(topic: topic.name, payload: payload))
    }

    /// Publishes a message as it is.
    func publish(_ message: OutboundMessage) throws(Failure) {
        do throws(ClientError) { try session.publish(message, timeoutMs: 5000) } catch { throw failure(error) }
    }

    /// The next message; `nil` at the deadline, or when the connection was made anew.
    func next(until deadline: MonotonicTime) throws(Failure) -> InboundMessage? {
        while true {
            let left = deadline - SystemClock.monotonic
            switch session.next(timeoutMs: max(0, left), alsoWatching: [interrupts.descriptor].filter { $0 >= 0 }) {
            case .message(let message): return message
            case .ready: if interrupts.take() { throw Failure(.interrupted, "interrupted") }
            case .disconnected: continue
            case .reconnected:
                connections += 1
                return nil
            case nil: return nil
            }
        }
    }

    /// Waits until the broker has everything, then leaves.
    func close() { session.close() }
}
