import Machine
import Shell
import TestSupport
import Testing

@Suite struct ClientSessionTests {
    @Test func publishesAndReceives() throws {
        let broker = try TestBroker()
        let session = try broker.session()
        try session.subscribe([Subscription(filter: "a/#", wantsRetained: true)], timeoutMs: 5000)
        try session.publish(
            OutboundMessage(topic: "a/b", payload: [1, 2, 3], correlation: [9, 0, 9]), timeoutMs: 5000)
        let message = try session.wait(timeoutMs: 5000) { $0.topic == "a/b" }
        #expect(message.payload == [1, 2, 3])
        #expect(message.correlation == [9, 0, 9])
        #expect(!message.retained)
        session.close()
    }
}
