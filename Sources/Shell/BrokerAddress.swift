/// Where a broker listens: `mqtt://host:port`, `mqtts://host:port` or `unix:/path`.
public struct BrokerAddress: Hashable, Sendable, CustomStringConvertible {
    /// How it is reached.
    public enum Transport: Hashable, Sendable {
        /// Plain TCP.
        case tcp
        /// TCP with TLS.
        case tls
        /// A Unix socket: no Nagle delay, and the fastest.
        case unix
    }

    /// How it is reached.
    public var transport: Transport
    /// Host name or address, or the path of the Unix socket.
    public var host: String
    /// Port; 0 for a Unix socket.
    public var port: Int

    /// `mqtt://127.0.0.1:1883`, where nothing else is configured.
    public static let standard = BrokerAddress(transport: .tcp, host: "127.0.0.1", port: 1883)

    /// An address from its parts.
    public init(transport: Transport, host: String, port: Int) {
        self.transport = transport
        self.host = host
        self.port = port
    }

    /// Reads an address; `nil` when it has another form. Without a port 1883, with TLS 8883. Credentials in an address
    /// are refused: they belong into a file.
    public init?(_ text: String) {
        if text.hasPrefix("unix:") {
            var path = String(text.dropFirst(5))
            if path.hasPrefix("//") { path = String(path.dropFirst(2)) }
            guard path.hasPrefix("/"), path.utf8.count < 108 else { return nil }
            self.init(transport: .unix, host: path, port: 0)
            return
        }
        let tls = text.hasPrefix("mqtts://")
        guard tls || text.hasPrefix("mqtt://") else { return nil }
        var rest = text.dropFirst(tls ? 8 : 7)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard !rest.isEmpty, !rest.contains("@"), !rest.contains("/") else { return nil }
        var host = rest
        var port = tls ? 8883 : 1883
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = rest[rest.index(after: rest.startIndex)..<end]
            rest = rest[rest.index(after: end)...]
        } else if let colon = rest.firstIndex(of: ":") {
            host = rest[..<colon]
            rest = rest[colon...]
        } else {
            rest = ""
        }
        if !rest.isEmpty {
            guard rest.hasPrefix(":"), let number = Int(rest.dropFirst()), (1...65_535).contains(number) else {
                return nil
            }
            port = number
        }
        guard !host.isEmpty else { return nil }
        self.init(transport: tls ? .tls : .tcp, host: String(host), port: port)
    }

    /// The address as it is written.
    public var description: String {
        let name = host.contains(":") ? "[\(host)]" : host
        switch transport {
        case .unix: return "unix:\(host)"
        case .tls: return "mqtts://\(name):\(port)"
        case .tcp: return "mqtt://\(name):\(port)"
        }
    }

    /// Whether the kernel answers a connection at once, so that it may be made without looking first.
    var answersAtOnce: Bool { transport == .unix || host == "::1" || host == "localhost" || host.hasPrefix("127.") }
}

/// How to connect: address, identity and MQTT session.
public struct ConnectionOptions: Sendable {
    /// Where the broker listens.
    public var address: BrokerAddress
    /// MQTT client id.
    public var clientID: String
    /// The broker account, which is the principal; `nil` for an anonymous connection.
    public var username: String?
    /// File with the account's password in its first line; read anew before each connection.
    public var passwordFile: String?
    /// File with the authorities that may sign the broker's certificate; the system's own when `nil`.
    public var authorityFile: String?
    /// File with a client certificate, with its key in `keyFile`.
    public var certificateFile: String?
    /// File with the key of `certificateFile`.
    public var keyFile: String?
    /// Seconds without traffic after which the link is checked; 5 to 65535.
    public var keepaliveSeconds = 30
    /// Whether the broker forgets an earlier session. Services keep theirs; clients start clean.
    public var cleanStart = false
    /// Seconds that the broker keeps the session after the connection is gone.
    public var sessionExpirySeconds = 3600
    /// Whether `OutboundMessage.expirySeconds` is sent; only for brokers from mosquitto 2.0.15 on, since earlier ones
    /// may strand valid messages behind expired ones.
    public var messageExpiry = false

    /// Whether subscriptions without retained messages leave out what this client publishes itself: a service never
    /// hears its own requests. Clients do.
    public var leavesOutOwn = true

    /// Options with a persistent session of one hour, unless changed.
    public init(address: BrokerAddress, clientID: String) {
        self.address = address
        self.clientID = clientID
    }

    /// Options of a short-lived client: random client id, clean start, no session afterwards.
    public static func client(_ address: BrokerAddress, name: String = "client") -> ConnectionOptions {
        var options = ConnectionOptions(
            address: address, clientID: "\(name)-\(RandomSource.hexadecimal(bytes: 16))")
        options.cleanStart = true
        options.sessionExpirySeconds = 0
        options.leavesOutOwn = false
        return options
    }
}
