import CPlatform
import Glibc
public import Machine
import TimeModel

/// Why a client did not get what it asked for.
public enum ClientError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The broker cannot be reached, with the last reason.
    case unreachable(String)
    /// The broker refuses the account.
    case notAdmitted(String)
    /// The broker refused a publish or a subscription: its topic and the reason.
    case refused(topic: String, reason: String)
    /// Nothing came in time.
    case timedOut

    /// One sentence.
    public var description: String {
        switch self {
        case .unreachable(let reason): return "the broker cannot be reached: \(reason)"
        case .notAdmitted(let reason): return "the broker does not admit this account: \(reason)"
        case .refused(let topic, let reason): return "the broker refused \(topic): \(reason)"
        case .timedOut: return "no answer in time"
        }
    }
}

/// A connection for programs that ask and wait: no journal, no callbacks, every call ends at its deadline. It connects
/// anew by itself and then subscribes to the same filters again. Not for more than one thread.
public final class ClientSession {
    /// What `next` returns.
    public enum Event: Sendable {
        /// A message came.
        case message(InboundMessage)
        /// One of the other descriptors is ready.
        case ready(Int32)
        /// The connection was lost or has failed; the session goes on trying.
        case disconnected(String)
        /// The connection stands again.
        case reconnected
    }

    private let link: Link
    private let will: OutboundMessage?
    private var filters: [Subscription] = []
    private var inbox: [InboundMessage] = []
    private var inboxHead = 0
    private var notices: [Event] = []
    private var delivered: Set<Int> = []
    private var refusals: [Int: ClientError] = [:]
    private var lastRefusal: ClientError?
    private var lastFailure: ClientError?
    private var nextToken = 1
    private var connections = 0
    /// Messages that wait for `next` or `wait`; older ones are dropped above this number.
    public var inboxLimit = 100_000

    /// A session that is not connected yet.
    public init(_ options: ConnectionOptions, will: OutboundMessage? = nil) {
        link = Link(options, seed: RandomSource.seed)
        self.will = will
    }

    /// Whether the broker has accepted the connection.
    public var isConnected: Bool { link.isOpen }

    /// What the broker said of itself when it accepted the last connection.
    public var limits: BrokerLimits { link.limits }

    /// Publishes and subscriptions without the broker's answer.
    public var unacknowledged: Int { link.unacknowledged }

    /// Waits until the broker has accepted the connection. Throws at once when it refuses the account.
    public func connect(timeoutMs: Int) throws(ClientError) {
        let deadline = SystemClock.monotonic + timeoutMs
        while !link.isOpen {
            guard step(until: deadline) else { throw lastFailure ?? .timedOut }
            if case .notAdmitted = lastFailure { throw lastFailure ?? .timedOut }
        }
    }

    /// Subscribes and waits for the broker's answers. The broker grants also what its rules then never deliver.
    public func subscribe(_ subscriptions: [Subscription], timeoutMs: Int) throws(ClientError) {
        let deadline = SystemClock.monotonic + timeoutMs
        lastRefusal = nil
        filters += subscriptions
        guard link.subscribe(subscriptions) else { throw .refused(topic: "", reason: "too much waits already") }
        while link.unacknowledged > 0 {
            if let lastRefusal { throw lastRefusal }
            guard step(until: deadline) else { throw lastFailure ?? .timedOut }
        }
        if let lastRefusal { throw lastRefusal }
    }

    /// Publishes and waits for the acknowledgement, which says no more than that the broker has it.
    public func publish(_ message: OutboundMessage, timeoutMs: Int) throws(ClientError) {
        let deadline = SystemClock.monotonic + timeoutMs
        let token = try post(message)
        while delivered.remove(token) == nil {
            if let refusal = refusals.removeValue(forKey: token) { throw refusal }
            guard step(until: deadline) else { throw lastFailure ?? .timedOut }
        }
    }

    /// Publishes without waiting; the returned number tells the acknowledgement apart (`isDelivered`). The message leaves
    /// with the next call that waits.
    @discardableResult public func post(_ message: OutboundMessage) throws(ClientError) -> Int {
        var numbered = message
        numbered.token = nextToken
        nextToken += 1
        guard link.publish(numbered) else { throw .refused(topic: message.topic, reason: "too much waits already") }
        return nextToken - 1
    }

    /// Whether the broker has acknowledged a posted message; asking forgets it.
    public func isDelivered(_ token: Int) -> Bool { delivered.remove(token) != nil }

    /// Sends what was posted and takes what has come, without waiting.
    public func pump() { _ = step(until: SystemClock.monotonic) }

    /// The next message that came, or `nil` at the deadline. What happens to the connection is passed over.
    public func nextMessage(timeoutMs: Int) -> InboundMessage? {
        let deadline = SystemClock.monotonic + timeoutMs
        while true {
            if let message = popMessage() { return message }
            notices.removeAll()
            guard step(until: deadline) else { return popMessage() }
        }
    }

    /// The first message for which `isWanted` says yes; others that came are dropped. Throws `timedOut` at the deadline.
    public func wait(
        timeoutMs: Int, for isWanted: (InboundMessage) -> Bool
    ) throws(ClientError) -> InboundMessage {
        let deadline = SystemClock.monotonic + timeoutMs
        while true {
            let left = max(0, deadline - SystemClock.monotonic)
            guard let message = nextMessage(timeoutMs: left) else { throw lastFailure ?? .timedOut }
            if isWanted(message) { return message }
        }
    }

    /// The next event of any kind, also that one of `descriptors` can be read; `nil` at the deadline.
    public func next(timeoutMs: Int, alsoWatching descriptors: [Int32] = []) -> Event? {
        let deadline = SystemClock.monotonic + timeoutMs
        while true {
            if !notices.isEmpty { return notices.removeFirst() }
            if let message = popMessage() { return .message(message) }
            guard step(until: deadline, descriptors) else {
                if !notices.isEmpty { return notices.removeFirst() }
                return popMessage().map { .message($0) }
            }
        }
    }

    /// Ends the connection in an orderly way; what was published is sent before.
    public func close(timeoutMs: Int = 1000) {
        let deadline = SystemClock.monotonic + timeoutMs
        while link.isOpen, link.unacknowledged > 0, step(until: deadline) {}
        link.leave(at: SystemClock.monotonic)
        while !link.isClosed, step(until: deadline) {}
        link.drop()
    }

    /// Drops the connection without a word, as a crash would.
    public func abort() { link.drop() }

    private func popMessage() -> InboundMessage? {
        guard inboxHead < inbox.count else { return nil }
        defer {
            inboxHead += 1
            if inboxHead == inbox.count {
                inbox.removeAll(keepingCapacity: true)
                inboxHead = 0
            }
        }
        return inbox[inboxHead]
    }

    /// One turn: waits for something, at most to the deadline. False when the deadline has passed.
    private func step(until deadline: MonotonicTime, _ others: [Int32] = []) -> Bool {
        var now = SystemClock.monotonic
        link.advance(at: now, will: { will })
        link.flush(at: now)
        let wake = min(deadline, link.nextWake ?? deadline)
        let wait = link.hasEvents ? 0 : max(0, wake - now)
        let interest = link.interest
        var entries = [pollfd(fd: interest.descriptor, events: interest.events, revents: 0)]
        entries += others.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        _ = poll(&entries, nfds_t(entries.count), Int32(clamping: wait))
        let expired = now >= deadline
        now = SystemClock.monotonic
        if entries[0].revents != 0 { link.read(at: now) }
        link.flush(at: now)
        for event in link.takeEvents() { note(event) }
        for entry in entries.dropFirst() where entry.revents != 0 { notices.append(.ready(entry.fd)) }
        return !expired
    }

    private func note(_ event: LinkEvent) {
        switch event {
        case .message(let message):
            inbox.append(message)
            if inbox.count - inboxHead > inboxLimit { inboxHead += 1 }
        case .connected:
            connections += 1
            lastFailure = nil
            guard connections > 1 else { return }
            _ = link.subscribe(filters)
            notices.append(.reconnected)
        case .disconnected(let reason):
            lastFailure = .unreachable(reason)
            notices.append(.disconnected(reason))
        case .attemptFailed(let reason, let forbidden):
            lastFailure = forbidden ? .notAdmitted(reason) : .unreachable(reason)
        case .delivered(let token): delivered.insert(token)
        case .refused(let topic, let reason, let token):
            let refusal = ClientError.refused(topic: topic, reason: reason)
            lastRefusal = refusal
            if let token { refusals[token] = refusal }
        case .subscribed, .evictedRepeatedly, .sessionLost: break
        }
    }
}
