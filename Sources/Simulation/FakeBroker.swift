public import Machine

/// One packet between a client and the broker.
public enum Packet: Hashable, Sendable {
    /// A message; `id` is the packet identifier of QoS 1, `nil` at QoS 0.
    case publish(InboundMessage, id: Int?, duplicate: Bool)
    /// The receipt of a QoS 1 message; `refused` when the access list forbids it.
    case acknowledge(id: Int, refused: Bool)
    /// Filters, in order.
    case subscribe([Subscription])
    /// The broker has accepted the connection.
    case connected(sessionPresent: Bool)
}

/// Who connects, and how.
public struct Connect: Hashable, Sendable {
    /// The client id: one session per id.
    public var client: String
    /// The account, which is the principal.
    public var username: String
    /// Whether an earlier session is thrown away.
    public var cleanStart: Bool
    /// Whether the session outlives the connection.
    public var keepsSession: Bool
    /// What the broker publishes when the connection is lost.
    public var will: OutboundMessage?

    /// A connection.
    public init(client: String, username: String, cleanStart: Bool, keepsSession: Bool, will: OutboundMessage?) {
        self.client = client
        self.username = username
        self.cleanStart = cleanStart
        self.keepsSession = keepsSession
        self.will = will
    }
}

/// A broker in memory that behaves like mosquitto 2.0 as far as this project relies on it (`topics/broker.md`): QoS 0
/// and 1, sessions, retained messages, Wills, take-over, queue limits, receive maximum, restarts with and without
/// state. It carries bytes, so that every message passes the real codecs. It keeps no time: whoever owns it decides
/// when a packet arrives and when a lost connection is noticed.
public struct FakeBroker: Sendable {
    /// Limits as in the shipped configuration.
    public struct Limits: Hashable, Sendable {
        /// Messages queued for one session; further ones are lost.
        public var queued = 100_000
        /// Unacknowledged messages on their way to one client.
        public var inflight = 100

        /// The shipped limits.
        public init() {}
    }

    /// What a restart leaves.
    public enum Restart: Hashable, Sendable {
        /// A clean stop: every Will is published, everything is kept.
        case clean
        /// Killed: no Will, and what was last saved comes back.
        case oldState
        /// Killed without persistence: nothing comes back.
        case empty
    }

    /// A packet to hand to a connection.
    public struct Outgoing: Hashable, Sendable {
        /// The connection.
        public var connection: Int
        /// The packet.
        public var packet: Packet
    }

    private struct Subscribed: Hashable, Sendable {
        var levels: [Substring]
        var filter: String
        var atLeastOnce: Bool
        /// Whether one's own messages do not come back (MQTT 5.0 §3.8.3.1, No Local), as for all that is never retained.
        var leavesOutOwn: Bool
    }

    private struct Waiting: Hashable, Sendable {
        var message: InboundMessage
        var id: Int
        var sent: Bool
    }

    private struct Session: Hashable, Sendable {
        var client: String
        var username: String
        var connection: Int?
        var keepsSession: Bool
        var will: OutboundMessage?
        var subscriptions: [Subscribed] = []
        var inflight: [Waiting] = []
        var queue: [InboundMessage] = []
        var nextID = 1
        var dropped = 0
    }

    private struct Stored: Hashable, Sendable {
        var sessions: [Session] = []
        var retained: [String: InboundMessage] = [:]
    }

    private let limits: Limits
    /// Whether `username` may publish on a topic; the default allows all.
    private let mayWrite: @Sendable (_ username: String, _ topic: String) -> Bool
    /// Whether `username` may receive from a topic.
    private let mayRead: @Sendable (_ username: String, _ topic: String) -> Bool
    private var state = Stored()
    private var saved = Stored()
    private var outgoing: [Outgoing] = []

    /// A broker without clients.
    public init(
        limits: Limits = Limits(), mayWrite: @escaping @Sendable (String, String) -> Bool = { _, _ in true },
        mayRead: @escaping @Sendable (String, String) -> Bool = { _, _ in true }
    ) {
        self.limits = limits
        self.mayWrite = mayWrite
        self.mayRead = mayRead
    }

    /// The packets that are to be sent, in order; they are handed out once.
    public mutating func takeOutgoing() -> [Outgoing] {
        defer { outgoing.removeAll(keepingCapacity: true) }
        return outgoing
    }

    /// What is retained, by topic in rising order.
    public var retained: [InboundMessage] {
        state.retained.keys.sorted().compactMap { state.retained[$0] }
    }

    /// How many messages were lost because a session's queue was full.
    public var lost: Int { state.sessions.reduce(0) { $0 + $1.dropped } }

    /// Accepts a connection. A session of the same client id ends its old connection, whose number is returned. Its
    /// Will is published when the session is thrown away, and forgotten when the session goes on.
    public mutating func connect(_ connection: Int, _ request: Connect) -> Int? {
        var evicted: Int?
        var present = false
        if let at = state.sessions.firstIndex(where: { $0.client == request.client }) {
            if let old = state.sessions[at].connection {
                evicted = old
                // A session that goes on swallows the Will of its old connection.
                if !request.cleanStart { state.sessions[at].will = nil }
                lose(old)
            }
        }
        if let at = state.sessions.firstIndex(where: { $0.client == request.client }) {
            if request.cleanStart {
                state.sessions.remove(at: at)
            } else {
                present = true
                state.sessions[at].connection = connection
                state.sessions[at].username = request.username
                state.sessions[at].will = request.will
                state.sessions[at].keepsSession = request.keepsSession
            }
        }
        if !present {
            state.sessions.append(
                Session(
                    client: request.client, username: request.username, connection: connection,
                    keepsSession: request.keepsSession, will: request.will))
        }
        send(connection, .connected(sessionPresent: present))
        if let at = index(of: connection) { resend(at) }
        return evicted
    }

    /// Takes a packet from a client.
    public mutating func receive(_ connection: Int, _ packet: Packet) {
        guard let at = index(of: connection) else { return }
        switch packet {
        case .publish(let message, let id, _):
            let allowed = mayWrite(state.sessions[at].username, message.topic)
            if allowed { route(message, from: state.sessions[at].client, atLeastOnce: id != nil) }
            if let id { send(connection, .acknowledge(id: id, refused: !allowed)) }
        case .acknowledge(let id, _):
            state.sessions[at].inflight.removeAll { $0.id == id }
            fill(at)
        case .subscribe(let list): for subscription in list { subscribe(at, subscription) }
        case .connected: break
        }
    }

    /// The client has said goodbye: no Will.
    public mutating func disconnect(_ connection: Int) {
        guard let at = index(of: connection) else { return }
        state.sessions[at].will = nil
        lose(connection)
    }

    /// The broker has noticed that a connection is gone: its Will is published.
    public mutating func lose(_ connection: Int) {
        guard let at = index(of: connection) else { return }
        let will = state.sessions[at].will
        let (client, username) = (state.sessions[at].client, state.sessions[at].username)
        state.sessions[at].connection = nil
        state.sessions[at].will = nil
        if !state.sessions[at].keepsSession { state.sessions.remove(at: at) }
        if let will, mayWrite(username, will.topic) {
            let message = InboundMessage(topic: will.topic, payload: will.payload, retained: will.retain)
            route(message, from: client, atLeastOnce: will.atLeastOnce)
        }
    }

    /// Writes down the state that `restart(.oldState)` brings back.
    public mutating func save() { saved = state }

    /// Stops and starts again; every connection is gone, and their numbers are returned.
    public mutating func restart(_ kind: Restart) -> [Int] {
        let connections = state.sessions.compactMap(\.connection).sorted()
        switch kind {
        case .clean: for connection in connections { lose(connection) }
        case .oldState: state = saved
        case .empty: state = Stored()
        }
        for at in state.sessions.indices {
            state.sessions[at].connection = nil
            state.sessions[at].will = nil
            for k in state.sessions[at].inflight.indices { state.sessions[at].inflight[k].sent = false }
        }
        state.sessions.removeAll { !$0.keepsSession }
        outgoing.removeAll()
        return connections
    }

    private func index(of connection: Int) -> Int? { state.sessions.firstIndex { $0.connection == connection } }

    private mutating func send(_ connection: Int, _ packet: Packet) {
        outgoing.append(Outgoing(connection: connection, packet: packet))
    }

    private mutating func subscribe(_ at: Int, _ subscription: Subscription) {
        let levels = subscription.filter.split(separator: "/", omittingEmptySubsequences: false)
        let entry = Subscribed(
            levels: levels, filter: subscription.filter, atLeastOnce: subscription.atLeastOnce,
            leavesOutOwn: !subscription.wantsRetained)
        state.sessions[at].subscriptions.removeAll { $0.filter == subscription.filter }
        state.sessions[at].subscriptions.append(entry)
        guard subscription.wantsRetained else { return }
        for message in retained where FakeBroker.matches(levels, FakeBroker.levels(message.topic)) {
            if mayRead(state.sessions[at].username, message.topic) {
                deliver(message, to: at, atLeastOnce: subscription.atLeastOnce)
            }
        }
    }

    private mutating func route(_ message: InboundMessage, from client: String, atLeastOnce: Bool) {
        if message.retained {
            state.retained[message.topic] = message.payload.isEmpty ? nil : message
        }
        let levels = FakeBroker.levels(message.topic)
        for at in state.sessions.indices {
            let isOwn = state.sessions[at].client == client && !client.isEmpty
            let fitting = state.sessions[at].subscriptions.filter {
                !(isOwn && $0.leavesOutOwn) && FakeBroker.matches($0.levels, levels)
            }
            guard !fitting.isEmpty, mayRead(state.sessions[at].username, message.topic) else { continue }
            for filter in fitting { deliver(message, to: at, atLeastOnce: atLeastOnce && filter.atLeastOnce) }
        }
    }

    private mutating func deliver(_ message: InboundMessage, to at: Int, atLeastOnce: Bool) {
        guard atLeastOnce else {
            if let connection = state.sessions[at].connection {
                send(connection, .publish(message, id: nil, duplicate: false))
            }
            return
        }
        if state.sessions[at].queue.count >= limits.queued {
            state.sessions[at].dropped += 1
            return
        }
        state.sessions[at].queue.append(message)
        fill(at)
    }

    private mutating func fill(_ at: Int) {
        guard let connection = state.sessions[at].connection else { return }
        while state.sessions[at].inflight.count < limits.inflight, !state.sessions[at].queue.isEmpty {
            let message = state.sessions[at].queue.removeFirst()
            let id = state.sessions[at].nextID
            state.sessions[at].nextID += 1
            state.sessions[at].inflight.append(Waiting(message: message, id: id, sent: true))
            send(connection, .publish(message, id: id, duplicate: false))
        }
    }

    private mutating func resend(_ at: Int) {
        guard let connection = state.sessions[at].connection else { return }
        for waiting in state.sessions[at].inflight {
            send(connection, .publish(waiting.message, id: waiting.id, duplicate: waiting.sent))
        }
        fill(at)
    }

    private static func levels(_ topic: String) -> [Substring] {
        topic.split(separator: "/", omittingEmptySubsequences: false)
    }

    /// MQTT 5.0 §4.7: `+` is one level, a final `#` all that follow, also none.
    static func matches(_ filter: [Substring], _ topic: [Substring]) -> Bool {
        for (index, level) in filter.enumerated() {
            if level == "#" { return true }
            guard index < topic.count, level == "+" || level == topic[index] else { return false }
        }
        return filter.count == topic.count
    }
}
