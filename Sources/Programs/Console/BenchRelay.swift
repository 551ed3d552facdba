import Contract
import Machine
import Shell
import TimeModel
import Wire

/// `martlet bench relay`: passes messages on as the dispatcher would, and does nothing else. What it reaches is what
/// this machine and this broker allow for as many messages as a task needs.
final class BenchRelay {
    private let loop: BenchLoop
    private let executors: [String]
    private var connection = 0
    private var epoch = 0
    private var senders: [String: (principal: String, capability: String)] = [:]

    private init(_ loop: BenchLoop, _ executors: [String]) {
        self.loop = loop
        self.executors = executors
    }

    /// The command; it ends by a signal.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        let settings = try ConnectionSettings(session.invocation, environment: session.environment)
        let executors = session.invocation.arguments
        let loop = BenchLoop(interrupts: session.interrupts)
        let relay = BenchRelay(loop, executors)
        relay.connection = loop.add(settings) { [unowned relay] message in relay.take(message) }
        loop.subscribe(relay.connection, ["main/martlet1/intent/+/+/+", "main/martlet1/report/+/+"])
        try loop.settle(withinMs: 10_000)
        do throws(Failure) { while true { try loop.turn(waitMs: 1000) } } catch  where error.status == .interrupted {
            loop.close()
            return .done
        }
    }

    private func publish(_ place: Topic.Place, _ payload: [UInt8]) {
        loop.publish(connection, Topic(Names.defaultWorkspace, place).name, payload)
    }

    private func take(_ message: InboundMessage) {
        guard let topic = Topic(message.topic) else { return }
        switch topic.place {
        case .intent(let principal, let capability, let id): passOn(principal, capability, id, message.payload)
        case .report(_, let id): answer(id, message.payload)
        default: return
        }
    }

    /// Intent in; `accepted` and `assign` out.
    private func passOn(_ principal: String, _ capability: String, _ id: String, _ payload: [UInt8]) {
        epoch += 1
        senders[id] = (principal, capability)
        let update = Update(.accepted, task: id, state: .queued, rev: 1, at: SystemClock.wall)
        publish(.update(principal: principal, capability: capability, id: id), update.encoded)
        var assignment = Assignment(
            task: id, epoch: epoch, term: 1, attempt: 1, capability: capability, principal: principal)
        assignment.input = (try? Intent(decoding: payload))?.input
        let executor = executors[epoch % executors.count]
        publish(.work(capability: capability, executor: executor), WorkMessage.assign(assignment).encoded)
    }

    /// Outcome in; result out.
    private func answer(_ id: String, _ payload: [UInt8]) {
        guard let (principal, capability) = senders.removeValue(forKey: id),
            let report = try? Report(decoding: payload)
        else { return }
        var result = TaskResult(task: id, status: .success, finishedAt: SystemClock.wall)
        result.output = report.output
        publish(.result(principal: principal, capability: capability, id: id), result.encoded)
    }
}
