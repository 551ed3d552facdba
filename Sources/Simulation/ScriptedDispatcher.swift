import Contract
import Determinism
import Machine
import TimeModel
public import Wire

/// The dispatcher as a scheduler sees it, written from the contract alone: it accepts each id once, answers repetitions,
/// sometimes says `busy`, runs what it accepted and publishes one result. It is sometimes away.
public final class ScriptedDispatcher {
    /// Intents in a hundred that are refused for now.
    public var busyPercent = 10
    /// Runs in a hundred that fail.
    public var failPercent = 10
    /// How long a run takes in ms.
    public var runMs: ClosedRange<Int> = 1...3000
    /// What a run that succeeds gives, by capability.
    public var output: (String) -> RawJSON? = { _ in nil }
    /// How often each run id was executed, by id.
    public private(set) var executions: [String: Int] = [:]

    private let world: World
    private let history: History
    private var client: SimulatedClient?
    private var results: [String: [UInt8]] = [:]
    private var accepted: Set<String> = []
    private var isAway = false

    /// A dispatcher that is not connected.
    public init(_ world: World, _ history: History) {
        self.world = world
        self.history = history
    }

    /// Connects.
    public func start() {
        client = SimulatedClient(
            world, name: "dispatcher", username: "dispatcher", keepsSession: true,
            handlers: SimulatedClient.Handlers(
                connected: { [weak self] in self?.connected() },
                disconnected: { [weak self] in self?.reconnect() },
                message: { [weak self] message, id in
                    if let id { self?.client?.acknowledge(id) }
                    self?.take(message)
                },
                delivered: { _ in }))
        client?.connect(will: nil)
    }

    /// Leaves for a while; its session keeps what comes.
    public func leave(for ms: Int) {
        guard !isAway else { return }
        isAway = true
        client?.disconnect()
        world.after(ms) { [weak self] in
            self?.isAway = false
            self?.client?.connect(will: nil)
        }
    }

    private func reconnect() {
        world.after(world.random.uniform(100...1500)) { [weak self] in
            guard let self, !self.isAway else { return }
            self.client?.connect(will: nil)
        }
    }

    private func connected() {
        client?.subscribe([Subscription(filter: "+/martlet1/intent/+/+/+", wantsRetained: false)])
    }

    private var wall: WallTime { SimulatedClock().now(world.time).wall }

    private func take(_ message: InboundMessage) {
        guard let topic = Topic(message.topic), case .intent(let principal, let capability, let id) = topic.place,
            let intent = try? Intent(decoding: message.payload)
        else { return }
        let answer = Answer(workspace: topic.workspace, principal: principal, capability: capability, id: id)
        if accepted.contains(id) {
            history.saw("intent repeated")
            update(answer, .duplicate)
            if let result = results[id] { publish(answer.result, result) }
            return
        }
        if let limit = intent.origin?.expiresAt, limit < wall {
            history.saw("intent expired")
            return refuse(answer, ErrorBody(.expired, "too late"))
        }
        if world.random.chance(busyPercent, of: 100) {
            history.saw("intent busy")
            return refuse(answer, ErrorBody(.busy, "later", retryAfterMs: world.random.uniform(100...3000)))
        }
        accepted.insert(id)
        executions[id, default: 0] += 1
        update(answer, .accepted)
        world.after(world.random.uniform(runMs)) { [weak self] in self?.end(answer) }
    }

    private struct Answer {
        var workspace: String
        var principal: String
        var capability: String
        var id: String
        var result: String { Topic(workspace, .result(principal: principal, capability: capability, id: id)).name }
        var update: String { Topic(workspace, .update(principal: principal, capability: capability, id: id)).name }
    }

    private func end(_ answer: Answer) {
        var result = TaskResult(task: answer.id, status: .success, finishedAt: wall)
        if world.random.chance(failPercent, of: 100) {
            result.status = .failed
            result.error = ErrorBody(.attemptsExhausted, "it did not work")
        } else {
            result.output = output(answer.capability)
        }
        result.acceptedAt = wall
        results[answer.id] = result.encoded
        publish(answer.result, result.encoded)
    }

    private func update(_ answer: Answer, _ kind: Update.Kind) {
        let update = Update(kind, task: answer.id, state: .queued, rev: 1, at: wall)
        publish(answer.update, update.encoded)
    }

    private func refuse(_ answer: Answer, _ error: ErrorBody) {
        var result = TaskResult(task: answer.id, status: .rejected, finishedAt: wall)
        result.error = error
        publish(answer.result, result.encoded)
    }

    private func publish(_ topic: String, _ payload: [UInt8]) {
        client?.publish(OutboundMessage(topic: topic, payload: payload))
    }
}
