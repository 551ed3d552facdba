import Contract
import Machine
import Shell
import TimeModel
import Wire

/// An intent whose sender waits.
struct Question: Sendable {
    let id: String
    let capability: String
    let payload: [UInt8]
    let limits: AskLimits
    let continuation: CheckedContinuation<Answer, any Error>
    var nextSend = MonotonicTime(milliseconds: 0)
    var waitMs = 5000
    var until: MonotonicTime?
    var token = 0

    init(
        _ id: String, _ capability: String, _ payload: [UInt8], _ limits: AskLimits,
        _ continuation: CheckedContinuation<Answer, any Error>
    ) {
        self.id = id
        self.capability = capability
        self.payload = payload
        self.limits = limits
        self.continuation = continuation
    }
}

/// What clients ask of their thread.
enum ClientRequest: Sendable {
    /// Send this and wait.
    case ask(Question)
    /// Nobody waits for this id any more.
    case forget(String)
    /// Leave; tell when that is done.
    case close(CheckedContinuation<Void, Never>?)
}

/// The side of a client that lives on the connection's thread.
struct ClientHome: Resident {
    typealias Request = ClientRequest

    private let workspace: String
    private let user: String
    private var questions: [String: Question] = [:]
    private var lastToken = 0
    private var farewells: [CheckedContinuation<Void, Never>] = []
    private(set) var isDone = false

    /// The longest pause between two sends of one intent, in ms.
    private static let longestWaitMs = 60_000

    init(_ workspace: String, _ user: String) {
        self.workspace = workspace
        self.user = user
    }

    var nextWake: MonotonicTime? {
        questions.values.flatMap { [$0.nextSend, $0.until ?? $0.nextSend] }.min()
    }

    func will() -> OutboundMessage? { nil }

    mutating func take(_ request: ClientRequest, _ link: Link) {
        switch request {
        case .ask(var question):
            guard questions[question.id] == nil else {
                return question.continuation.resume(throwing: MartletError.idInUse(question.id))
            }
            question.until = question.limits.timeoutMs.map { SystemClock.monotonic + $0 }
            question.nextSend = SystemClock.monotonic + question.waitMs
            questions[question.id] = question
            if link.isOpen { send(question.id, link) }
        case .forget(let id): questions.removeValue(forKey: id)?.continuation.resume(throwing: CancellationError())
        case .close(let farewell):
            if let farewell { farewells.append(farewell) }
            isDone = true
        }
    }

    mutating func take(_ event: LinkEvent, _ link: Link) {
        switch event {
        case .connected:
            let filters = ["update", "result"].map { Topic.filter(workspace, $0, user, "#") }
            _ = link.subscribe(filters.map { Subscription(filter: $0, wantsRetained: false) })
            for id in questions.keys.sorted() { send(id, link) }
        case .message(let message): receive(message)
        case .attemptFailed(let reason, forbidden: true): failAll(.notAdmitted(reason))
        case .refused(let topic, let reason, let token):
            guard let id = questions.values.first(where: { $0.token == token })?.id else { return }
            questions.removeValue(forKey: id)?.continuation.resume(
                throwing: MartletError.refused(topic: topic, reason: reason))
        default: break
        }
    }

    mutating func wake(_ link: Link) {
        let now = SystemClock.monotonic
        for id in questions.keys.sorted() {
            guard let question = questions[id] else { continue }
            if let until = question.until, until <= now {
                questions.removeValue(forKey: id)?.continuation.resume(throwing: MartletError.timedOut)
            } else if question.nextSend <= now {
                questions[id]?.waitMs = min(ClientHome.longestWaitMs, question.waitMs * 2)
                questions[id]?.nextSend = now + question.waitMs
                if link.isOpen { send(id, link) }
            }
        }
    }

    mutating func ended() {
        failAll(.closed)
        for farewell in farewells { farewell.resume() }
    }

    private mutating func send(_ id: String, _ link: Link) {
        guard let question = questions[id] else { return }
        lastToken += 1
        questions[id]?.token = lastToken
        let topic = Topic(workspace, .intent(principal: user, capability: question.capability, id: id)).name
        _ = link.publish(OutboundMessage(topic: topic, payload: question.payload, token: lastToken))
    }

    private mutating func receive(_ message: InboundMessage) {
        switch Topic(message.topic)?.place {
        case .update(user, _, let id): receiveUpdate(message.payload, id)
        case .result(user, _, let id):
            guard let result = try? TaskResult(decoding: message.payload) else { return }
            questions.removeValue(forKey: id)?.continuation.resume(returning: .result(result))
        default: break
        }
    }

    /// The dispatcher has it: it is asked only rarely whether it still does.
    private mutating func receiveUpdate(_ payload: [UInt8], _ id: String) {
        guard let question = questions[id], let update = try? Update(decoding: payload) else { return }
        guard update.type == .accepted || update.type == .duplicate else { return }
        if question.limits.wantsResult {
            questions[id]?.waitMs = ClientHome.longestWaitMs
            questions[id]?.nextSend = SystemClock.monotonic + ClientHome.longestWaitMs
        } else {
            questions.removeValue(forKey: id)?.continuation.resume(returning: .accepted(id))
        }
    }

    private mutating func failAll(_ error: MartletError) {
        for id in questions.keys.sorted() { questions.removeValue(forKey: id)?.continuation.resume(throwing: error) }
    }
}
