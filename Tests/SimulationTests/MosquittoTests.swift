import Foundation
import Machine
import Shell
import Simulation
import TestSupport
import Testing

/// A real mosquitto behind the same port as the simulated broker.
final class MosquittoPort: BrokerPort {
    private let folder: TemporaryFolder
    private let socket: String
    private let file: String
    private var program: ProgramFixture
    private var sessions: [String: ClientSession] = [:]
    private var replaced: [ClientSession] = []
    private var barriers = 0

    init() throws {
        folder = try TemporaryFolder()
        socket = folder.path + "/b.sock"
        let lines = [
            "allow_anonymous true", "persistence true", "persistence_location \(folder.path)/", "autosave_interval 0",
            "listener 0 \(socket)", "max_queued_messages 100000", "max_inflight_messages 100",
            getuid() == 0 ? "user root" : "",
        ]
        file = try folder.write("broker.conf", lines.joined(separator: "\n") + "\n")
        program = try ProgramFixture(BrokerFixture.executable, ["-c", file])
    }

    func connect(_ client: String, keeps: Bool, will: OutboundMessage?) async throws {
        var options = ConnectionOptions(
            address: BrokerAddress(transport: .unix, host: socket, port: 0), clientID: client)
        options.username = client
        options.cleanStart = !keeps
        options.sessionExpirySeconds = keeps ? 3600 : 0
        let session = ClientSession(options, will: will)
        try session.connect(timeoutMs: 10_000)
        try session.subscribe([Subscription(filter: "barrier/\(client)", wantsRetained: false)], timeoutMs: 10_000)
        if let old = sessions.removeValue(forKey: client) { replaced.append(old) }
        sessions[client] = session
    }

    private func session(_ client: String) throws -> ClientSession { try #require(sessions[client]) }

    func subscribe(_ client: String, _ list: [Subscription]) async throws {
        try session(client).subscribe(list, timeoutMs: 10_000)
    }

    func publish(_ client: String, _ message: OutboundMessage) async throws {
        if message.atLeastOnce {
            try session(client).publish(message, timeoutMs: 10_000)
        } else {
            try session(client).post(message)
            let after = OutboundMessage(topic: "barrier/none", payload: [])
            try session(client).publish(after, timeoutMs: 10_000)
        }
    }

    func disconnect(_ client: String) async throws {
        try session(client).close()
        sessions[client] = nil
    }

    func drop(_ client: String) async throws {
        try session(client).abort()
        sessions[client] = nil
    }

    /// A message through the broker and back comes after everything that was sent before it; two, because a lost
    /// connection and the first one may be handled in one round of the broker's loop.
    func received(_ client: String) async throws -> [InboundMessage] {
        if sessions["barrier"] == nil { try await connect("barrier") }
        var messages: [InboundMessage] = []
        for _ in 0..<2 {
            barriers += 1
            let marker = Array("\(barriers)".utf8)
            let topic = "barrier/\(client)"
            try session("barrier").publish(OutboundMessage(topic: topic, payload: marker), timeoutMs: 10_000)
            while let message = try session(client).nextMessage(timeoutMs: 10_000) {
                if message.topic != topic { messages.append(message) } else if message.payload == marker { break }
            }
        }
        return messages
    }

    func restart() async throws {
        await program.end()
        for client in sessions.keys.sorted() { sessions[client]?.abort() }
        sessions.removeAll()
        program = try ProgramFixture(BrokerFixture.executable, ["-c", file])
    }

    func end() async {
        for client in sessions.keys.sorted() { sessions[client]?.abort() }
        await program.end()
    }
}

@Suite(.serialized) struct MosquittoBehaviour {
    @Test(arguments: BrokerSuite.rules.map(\.0)) func keepsTheRule(_ name: String) async throws {
        let rule = try #require(BrokerSuite.rules.first { $0.0 == name })
        let port = try MosquittoPort()
        do {
            try await rule.1(BrokerSuite(port: port))
        } catch {
            await port.end()
            throw error
        }
        await port.end()
    }
}
