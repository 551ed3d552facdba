import CPlatform
import Glibc
import Machine
import TestSupport
import Testing
import TimeModel

@testable import Shell

/// How a connection is made: the request itself, TLS, and hosts that do not answer at once.
@Suite struct ConnectionTests {
    @Test func theConnectionRequestSaysWhatServicesNeed() throws {
        let scratch = try Scratch()
        let listener = try listen(at: "\(scratch.path)/socket")
        defer { close(listener) }
        var options = ConnectionOptions(
            address: BrokerAddress(transport: .unix, host: "\(scratch.path)/socket", port: 0), clientID: "relay-1")
        options.username = "relay"
        let link = Link(options, seed: 1)
        let will = OutboundMessage(topic: "up", payload: Array("lost".utf8), retain: true)
        link.advance(at: SystemClock.monotonic, will: { will })
        let peer = accept(listener, nil, nil)
        defer { close(peer) }
        let bytes = receive(peer)
        // Type and length; protocol name and version 5; flags: user, will retained at QoS 1, no clean start.
        #expect(bytes.first == 0x10)
        #expect(Array(bytes.dropFirst(2).prefix(7)) == [0, 4] + Array("MQTT".utf8) + [5])
        #expect(bytes.dropFirst(9).first == 0b1010_1100)
        let properties = Array(bytes.dropFirst(12).prefix(9))
        #expect(properties.first == 8)
        #expect(contains(properties, [0x11, 0, 0, 0x0E, 0x10]), "session expiry of an hour: \(properties)")
        #expect(contains(properties, [0x21, 0, 100]), "receive maximum 100: \(properties)")
        #expect(contains(bytes, Array("relay-1".utf8)))
        link.drop()
    }

    private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
        bytes.indices.contains { bytes[$0...].starts(with: part) }
    }

    private func listen(at path: String) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
        }
        try #require(code == 0 && Glibc.listen(descriptor, 5) == 0)
        return descriptor
    }

    private func receive(_ descriptor: Int32) -> [UInt8] {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 5000) == 1 else { return [] }
        var bytes = [UInt8](repeating: 0, count: 1000)
        let count = read(descriptor, &bytes, bytes.count)
        return Array(bytes.prefix(max(0, count)))
    }

    /// A port that is free now.
    private func freePort() throws -> Int { try FreePort.take() }

    @Test func aHostIsLookedForWithoutWaiting() throws {
        let port = try freePort()
        let broker = try TestBroker(["allow_anonymous true", "listener \(port) 127.0.0.1"])
        // Not the name of this machine's loopback, so it may take its time.
        let session = ClientSession(.client(BrokerAddress(transport: .tcp, host: "0.0.0.0", port: port)))
        try session.connect(timeoutMs: 5000)
        try session.publish(OutboundMessage(topic: "t", payload: []), timeoutMs: 5000)
        session.close()
        withExtendedLifetime(broker) {}
        let nobody = ClientSession(.client(BrokerAddress(transport: .tcp, host: "0.0.0.0", port: try freePort())))
        #expect(throws: ClientError.self) { try nobody.connect(timeoutMs: 300) }
    }

    @Test func encryptedConnections() async throws {
        let scratch = try Scratch()
        let script = """
            cd \(scratch.path)
            openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-authority -keyout ca.key -out ca.crt
            openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
              -keyout server.key -out server.csr
            printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > ext
            openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.crt
            chmod 644 server.key
            """
        let made = try await ChildCommand.run(["/bin/sh", "-ec", script])
        try #require(made.status == 0, "\(made.errors)")
        let port = try freePort()
        let broker = try TestBroker([
            "allow_anonymous true", "listener \(port) 127.0.0.1", "certfile \(scratch.path)/server.crt",
            "keyfile \(scratch.path)/server.key",
        ])
        var options = ConnectionOptions.client(BrokerAddress(transport: .tls, host: "localhost", port: port))
        options.authorityFile = "\(scratch.path)/ca.crt"
        let session = ClientSession(options)
        try session.connect(timeoutMs: 5000)
        let large = [UInt8](repeating: 3, count: 200_000)
        try session.subscribe([Subscription(filter: "t", wantsRetained: true)], timeoutMs: 5000)
        try session.publish(OutboundMessage(topic: "t", payload: large), timeoutMs: 5000)
        #expect(session.nextMessage(timeoutMs: 5000)?.payload == large)
        session.close()
        options.authorityFile = nil
        let stranger = ClientSession(options)
        #expect(throws: ClientError.self) { try stranger.connect(timeoutMs: 300) }
        withExtendedLifetime(broker) {}
    }

    @Test func aChangedPasswordIsReadAnew() async throws {
        let scratch = try Scratch()
        func write(_ text: String) throws {
            let file = try #require(fopen("\(scratch.path)/password", "w"))
            fputs(text, file)
            fclose(file)
        }
        let made = try await ChildCommand.run([
            "mosquitto_passwd", "-b", "-c", "\(scratch.path)/accounts", "alice", "right",
        ])
        try #require(made.status == 0, "\(made.errors)")
        chmod("\(scratch.path)/accounts", 0o644)
        let broker = try TestBroker(["allow_anonymous false", "password_file \(scratch.path)/accounts"])
        var options = broker.client()
        options.username = "alice"
        options.passwordFile = "\(scratch.path)/password"
        try write("wrong\n")
        let session = ClientSession(options)
        #expect(throws: ClientError.self) { try session.connect(timeoutMs: 5000) }
        try write("right\nand more\n")
        let deadline = SystemClock.monotonic + 10_000
        while !session.isConnected, SystemClock.monotonic < deadline { session.pump() }
        #expect(session.isConnected)
    }
}
