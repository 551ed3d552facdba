public import Contract
import Determinism
import Machine
import Wire

/// A publisher written from the contract alone: it repeats each request with the same id until it is answered.
public final class ScriptedPublisher {
    private struct Request {
        var topic: String
        var payload: [UInt8]
        var isAnswered = false
        var isEnded = false
        var waitMs = 5000
    }

    /// Its name, account and client id.
    public let name: String
    private let world: World
    private let history: History
    private let workspace: String
    private var client: SimulatedClient?
    private var requests: [String: Request] = [:]
    private var commands: [String: (topic: String, payload: [UInt8], answered: Bool)] = [:]
    /// Called with each task that waits for an approval; an operator sets it.
    public var approvalAsked: ((_ principal: String, _ id: String) -> Void)?
    /// Called with each result.
    public var ended: ((_ id: String, _ result: TaskResult) -> Void)?

    /// A publisher that is not connected.
    public init(_ world: World, _ history: History, name: String, workspace: String) {
        self.world = world
        self.history = history
        self.name = name
        self.workspace = workspace
    }

    /// Connects.
    public func start() {
        client = SimulatedClient(
            world, name: "pub-\(name)", username: name, keepsSession: true,
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

    private func reconnect() {
        world.after(world.random.uniform(100...1500)) { [weak self] in self?.client?.connect(will: nil) }
    }

    private func connected() {
        client?.subscribe([
            Subscription(filter: "\(workspace)/martlet1/result/\(name)/#", wantsRetained: true),
            Subscription(filter: "\(workspace)/martlet1/update/\(name)/#", wantsRetained: false),
            Subscription(filter: "\(workspace)/martlet1/reply/\(name)/#", wantsRetained: false),
        ])
        guard approvalAsked != nil else { return }
        client?.subscribe([
            Subscription(
                filter: "\(workspace)/martlet1/event/\(EventName.approvalRequested.rawValue)/+", wantsRetained: false)
        ])
    }

    /// Sends an intent and repeats it until it is answered, and again until it has a result.
    public func send(_ intent: Intent, capability: String, id: String) {
        let topic = Topic(workspace, .intent(principal: name, capability: capability, id: id)).name
        requests[id] = Request(topic: topic, payload: intent.encoded)
        publish(id)
    }

    /// Sends raw bytes where an intent belongs.
    public func send(raw payload: [UInt8], capability: String, id: String, retain: Bool = false) {
        let topic = Topic(workspace, .intent(principal: name, capability: capability, id: id)).name
        client?.publish(OutboundMessage(topic: topic, payload: payload, retain: retain))
    }

    private func publish(_ id: String) {
        guard let request = requests[id], !request.isEnded else { return }
        client?.publish(OutboundMessage(topic: request.topic, payload: request.payload))
        let wait = request.isAnswered ? 60_000 : request.waitMs
        requests[id]?.waitMs = min(request.waitMs * 2, 60_000)
        world.after(wait) { [weak self] in self?.publish(id) }
    }

    /// Publishes the same bytes again at once.
    public func repeatRequest(_ id: String) {
        guard let request = requests[id] else { return }
        client?.publish(OutboundMessage(topic: request.topic, payload: request.payload))
    }

    /// Asks for the end of a task and repeats that until it is answered.
    public func cancel(_ id: String) {
        var command = DispatcherCommand()
        command.graceMs = world.random.uniform(100...5000)
        send(command, .task, "cancel", id)
    }

    /// Sends a command and repeats it until it is answered.
    public func send(_ command: DispatcherCommand, _ noun: Noun, _ verb: String, _ id: String) {
        let name = "\(noun.rawValue)/\(verb)/\(id)"
        let topic = Topic(workspace, .command(principal: self.name, noun: noun.rawValue, verb: verb, id: id)).name
        let isUnderWay = commands[name]?.answered == false
        commands[name] = (topic, command.encoded, false)
        if !isUnderWay { publishCommand(name) }
    }

    private func publishCommand(_ name: String) {
        guard let command = commands[name], !command.answered else { return }
        client?.publish(OutboundMessage(topic: command.topic, payload: command.payload))
        world.after(5000) { [weak self] in self?.publishCommand(name) }
    }

    private func take(_ message: InboundMessage) {
        guard let topic = Topic(message.topic) else { return }
        switch topic.place {
        case .update(_, _, let id): requests[id]?.isAnswered = true
        case .result(_, _, let id):
            guard !message.payload.isEmpty, let result = try? TaskResult(decoding: message.payload) else { return }
            requests[id]?.isAnswered = true
            let mayComeBack =
                result.acceptedAt == nil && (result.error?.code == .busy || result.error?.code == .shuttingDown)
            if !mayComeBack { requests[id]?.isEnded = true }
            ended?(id, result)
        case .reply(_, let noun, let verb, let id): commands["\(noun)/\(verb)/\(id)"]?.answered = true
        case .event:
            guard let event = try? Event(decoding: message.payload), event.event == .approvalRequested,
                let principal = event.data.flatMap({ JSONValue($0)["principal"]?.stringValue })
            else { return }
            approvalAsked?(principal, event.subject)
        default: break
        }
    }

    /// Requests that have no terminal answer, in order.
    public var open: [String] { requests.keys.sorted().filter { requests[$0]?.isEnded == false } }
    /// Commands that have no reply.
    public var openCommands: Int { commands.values.count { !$0.answered } }
    /// Requests it has sent.
    public var sent: Int { requests.count }
}
