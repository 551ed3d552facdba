import Machine
import Simulation
import Testing

/// The simulated broker, driven packet by packet.
final class FakePort: BrokerPort {
    private var broker = FakeBroker()
    private var connections: [String: Int] = [:]
    private var inboxes: [String: [InboundMessage]] = [:]
    private var next = 1

    func connect(_ client: String, keeps: Bool, will: OutboundMessage?) async throws {
        let number = next
        next += 1
        _ = broker.connect(
            number,
            Connect(client: client, username: client, cleanStart: !keeps, keepsSession: keeps, will: will))
        connections[client] = number
        pump()
    }

    func subscribe(_ client: String, _ list: [Subscription]) async throws { send(client, .subscribe(list)) }

    func publish(_ client: String, _ message: OutboundMessage) async throws {
        let inbound = InboundMessage(topic: message.topic, payload: message.payload, retained: message.retain)
        send(client, .publish(inbound, id: message.atLeastOnce ? 1 : nil, duplicate: false))
    }

    func disconnect(_ client: String) async throws {
        if let number = connections.removeValue(forKey: client) { broker.disconnect(number) }
        pump()
    }

    func drop(_ client: String) async throws {
        if let number = connections.removeValue(forKey: client) { broker.lose(number) }
        pump()
    }

    func received(_ client: String) async throws -> [InboundMessage] { inboxes.removeValue(forKey: client) ?? [] }

    func restart() async throws {
        _ = broker.restart(.clean)
        connections.removeAll()
    }

    func end() async {}

    private func send(_ client: String, _ packet: Packet) {
        if let number = connections[client] { broker.receive(number, packet) }
        pump()
    }

    private func pump() {
        while true {
            let outgoing = broker.takeOutgoing()
            if outgoing.isEmpty { return }
            for item in outgoing {
                guard case .publish(let message, let id, _) = item.packet else { continue }
                let client = connections.first { $0.value == item.connection }?.key ?? ""
                inboxes[client, default: []].append(message)
                if let id { broker.receive(item.connection, .acknowledge(id: id, refused: false)) }
            }
        }
    }
}

@Suite struct FakeBrokerBehaviour {
    @Test(arguments: BrokerSuite.rules.map(\.0)) func keepsTheRule(_ name: String) async throws {
        let rule = try #require(BrokerSuite.rules.first { $0.0 == name })
        try await rule.1(BrokerSuite(port: FakePort()))
    }

    @Test func whatWasNotAcknowledgedComesAgainMarkedAsADuplicate() {
        var broker = FakeBroker()
        let kept = Connect(client: "a", username: "a", cleanStart: false, keepsSession: true, will: nil)
        _ = broker.connect(1, kept)
        broker.receive(1, .subscribe([Subscription(filter: "x", wantsRetained: false)]))
        _ = broker.connect(2, Connect(client: "p", username: "p", cleanStart: true, keepsSession: false, will: nil))
        let message = InboundMessage(topic: "x", payload: [1])
        broker.receive(2, .publish(message, id: 9, duplicate: false))
        _ = broker.takeOutgoing()
        broker.lose(1)
        _ = broker.connect(3, kept)
        let packets = broker.takeOutgoing().map(\.packet)
        #expect(packets == [.connected(sessionPresent: true), .publish(message, id: 1, duplicate: true)])
    }

    @Test func aFullQueueLosesTheNewest() {
        var limits = FakeBroker.Limits()
        limits.queued = 2
        var broker = FakeBroker(limits: limits)
        _ = broker.connect(1, Connect(client: "a", username: "a", cleanStart: false, keepsSession: true, will: nil))
        broker.receive(1, .subscribe([Subscription(filter: "x", wantsRetained: false)]))
        broker.disconnect(1)
        _ = broker.connect(2, Connect(client: "p", username: "p", cleanStart: true, keepsSession: false, will: nil))
        for number in 0..<3 {
            broker.receive(2, .publish(InboundMessage(topic: "x", payload: [UInt8(number)]), id: 1, duplicate: false))
        }
        #expect(broker.lost == 1)
    }
}
