public import Machine

/// The MQTT side of a simulated process, as libmosquitto behaves: unacknowledged QoS 1 messages are kept and sent again
/// after a reconnect; a received one is acknowledged when the process says so.
public final class SimulatedClient {
    /// What a process does about its connection.
    public struct Handlers {
        /// The connection stands.
        public var connected: () -> Void
        /// It is gone.
        public var disconnected: () -> Void
        /// A message came; the number acknowledges it, `nil` at QoS 0.
        public var message: (InboundMessage, Int?) -> Void
        /// The broker has acknowledged the message with this token.
        public var delivered: (Int) -> Void

        /// Handlers.
        public init(
            connected: @escaping () -> Void, disconnected: @escaping () -> Void,
            message: @escaping (InboundMessage, Int?) -> Void, delivered: @escaping (Int) -> Void
        ) {
            self.connected = connected
            self.disconnected = disconnected
            self.message = message
            self.delivered = delivered
        }
    }

    private struct Unacknowledged {
        var id: Int
        var message: OutboundMessage
    }

    /// The client id, which also names it in the trace.
    public let name: String
    /// The account.
    public let username: String
    /// Whether its session outlives a connection.
    public let keepsSession: Bool
    private let world: World
    private let handlers: Handlers
    private var connection: Int?
    private var isConnected = false
    private var unacknowledged: [Unacknowledged] = []
    private var nextID = 1

    /// Whether the broker still had the session at the last connect.
    public private(set) var hadSession = false

    /// A client that is not connected.
    public init(_ world: World, name: String, username: String, keepsSession: Bool, handlers: Handlers) {
        self.world = world
        self.name = name
        self.username = username
        self.keepsSession = keepsSession
        self.handlers = handlers
    }

    /// Whether the broker has accepted the connection.
    public var isUp: Bool { isConnected }
    /// The number of its connection.
    public var connectionNumber: Int? { connection }

    /// Connects; nothing happens when a connection stands or is under way.
    public func connect(will: OutboundMessage?) {
        guard connection == nil else { return }
        connection = world.open(
            self,
            Connect(
                client: name, username: username, cleanStart: !keepsSession, keepsSession: keepsSession, will: will))
    }

    /// Publishes; while there is no connection, a QoS 1 message waits for one.
    public func publish(_ message: OutboundMessage) {
        if message.atLeastOnce {
            let entry = Unacknowledged(id: nextID, message: message)
            nextID += 1
            unacknowledged.append(entry)
            if isConnected { send(entry, duplicate: false) }
        } else if isConnected, let connection {
            world.send(connection, .publish(SimulatedClient.inbound(message), id: nil, duplicate: false))
        }
    }

    /// Subscribes.
    public func subscribe(_ list: [Subscription]) {
        if isConnected, let connection { world.send(connection, .subscribe(list)) }
    }

    /// Acknowledges a received message.
    public func acknowledge(_ id: Int) {
        if isConnected, let connection { world.send(connection, .acknowledge(id: id, refused: false)) }
    }

    /// Leaves in good order.
    public func disconnect() {
        if let connection { world.close(connection) }
        forget()
    }

    /// The process is gone: everything it held is lost. The broker notices after `noticeMs`.
    public func kill(noticeMs: Int) {
        if let connection { world.abandon(connection, noticeMs: noticeMs) }
        forget()
        unacknowledged.removeAll()
    }

    /// The process drops its socket without writing anything more.
    public func dropSocket() {
        if let connection { world.abandon(connection, noticeMs: 0) }
        let wasConnected = isConnected
        forget()
        unacknowledged.removeAll()
        if wasConnected { handlers.disconnected() }
    }

    /// Whether everything it published has been acknowledged.
    public var isSettled: Bool { unacknowledged.isEmpty }

    func connectionLost(_ number: Int) {
        guard connection == number else { return }
        forget()
        handlers.disconnected()
    }

    func receive(_ number: Int, _ packet: Packet) {
        guard connection == number else { return }
        switch packet {
        case .connected(let present):
            isConnected = true
            hadSession = present
            for entry in unacknowledged { send(entry, duplicate: true) }
            handlers.connected()
        case .publish(let message, let id, _): handlers.message(message, id)
        case .acknowledge(let id, _):
            guard let at = unacknowledged.firstIndex(where: { $0.id == id }) else { return }
            let entry = unacknowledged.remove(at: at)
            if let token = entry.message.token { handlers.delivered(token) }
        case .subscribe: break
        }
    }

    private func forget() {
        connection = nil
        isConnected = false
    }

    private func send(_ entry: Unacknowledged, duplicate: Bool) {
        guard let connection else { return }
        world.send(
            connection, .publish(SimulatedClient.inbound(entry.message), id: entry.id, duplicate: duplicate))
    }

    private static func inbound(_ message: OutboundMessage) -> InboundMessage {
        InboundMessage(
            topic: message.topic, payload: message.payload, retained: message.retain, correlation: message.correlation)
    }
}
