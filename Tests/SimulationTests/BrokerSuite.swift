import Machine
import Simulation
import Testing

/// A broker under test: the simulated one, or a real mosquitto.
protocol BrokerPort: AnyObject {
    /// Connects a client; `keeps`: its session outlives the connection.
    func connect(_ client: String, keeps: Bool, will: OutboundMessage?) async throws
    /// Subscribes.
    func subscribe(_ client: String, _ list: [Subscription]) async throws
    /// Publishes and waits for the broker's acknowledgement of QoS 1 messages.
    func publish(_ client: String, _ message: OutboundMessage) async throws
    /// Says goodbye.
    func disconnect(_ client: String) async throws
    /// Loses the connection without a word.
    func drop(_ client: String) async throws
    /// Everything the client has received since it was last asked, once all that was sent has arrived.
    func received(_ client: String) async throws -> [InboundMessage]
    /// Stops the broker in good order and starts it again with what it kept; every client is gone.
    func restart() async throws
    /// Ends the broker.
    func end() async
}

extension BrokerPort {
    func connect(_ client: String) async throws { try await connect(client, keeps: false, will: nil) }

    func publish(_ client: String, _ topic: String, _ text: String, retain: Bool = false) async throws {
        try await publish(client, OutboundMessage(topic: topic, payload: Array(text.utf8), retain: retain))
    }

    func subscribe(_ client: String, _ filter: String, retained: Bool = true) async throws {
        try await subscribe(client, [Subscription(filter: filter, wantsRetained: retained)])
    }

    func texts(_ client: String) async throws -> [String] {
        try await received(client).map { String(decoding: $0.payload, as: UTF8.self) }
    }
}

/// What this project relies on, as behaviour of any broker. One function per rule, run against the simulated broker and
/// against mosquitto.
struct BrokerSuite {
    let port: any BrokerPort

    private func will(_ text: String, retain: Bool = false) -> OutboundMessage {
        OutboundMessage(topic: "w/will", payload: Array(text.utf8), retain: retain)
    }

    func retainedComesToLateSubscribersWithItsFlag() async throws {
        try await port.connect("a")
        try await port.publish("a", "w/view", "1", retain: true)
        try await port.publish("a", "w/view", "2", retain: true)
        try await port.connect("b")
        try await port.subscribe("b", "w/+")
        let first = try await port.received("b")
        #expect(first.map(\.payload) == [Array("2".utf8)])
        #expect(first.map(\.retained) == [true])
        try await port.publish("a", "w/view", "3", retain: true)
        try await port.publish("a", "w/view", "4")
        let live = try await port.received("b")
        #expect(live.map(\.retained) == [true, false])
    }

    func anEmptyRetainedPayloadClears() async throws {
        try await port.connect("a")
        try await port.publish("a", "w/view", "1", retain: true)
        try await port.publish("a", "w/view", "", retain: true)
        try await port.connect("b")
        try await port.subscribe("b", "w/#")
        #expect(try await port.texts("b").isEmpty)
    }

    func whoDoesNotWantRetainedGetsNone() async throws {
        try await port.connect("a")
        try await port.publish("a", "w/view", "1", retain: true)
        try await port.connect("b")
        try await port.subscribe("b", "w/#", retained: false)
        #expect(try await port.texts("b").isEmpty)
    }

    func aLostConnectionPublishesItsWillAndAGoodbyeDoesNot() async throws {
        try await port.connect("watch")
        try await port.subscribe("watch", "w/will")
        try await port.connect("a", keeps: false, will: will("lost a"))
        try await port.connect("b", keeps: false, will: will("lost b"))
        try await port.disconnect("b")
        try await port.drop("a")
        #expect(try await port.texts("watch") == ["lost a"])
    }

    func aTakeoverPublishesTheOldWillUnlessTheSessionGoesOn() async throws {
        try await port.connect("watch")
        try await port.subscribe("watch", "w/will")
        try await port.connect("a", keeps: true, will: will("kept"))
        try await port.connect("a", keeps: true, will: will("second"))
        #expect(try await port.texts("watch").isEmpty)
        try await port.connect("b", keeps: false, will: will("not kept"))
        try await port.connect("b", keeps: false, will: will("fourth"))
        #expect(try await port.texts("watch") == ["not kept"])
    }

    func aKeptSessionGetsWhatCameMeanwhileInOrder() async throws {
        try await port.connect("a", keeps: true, will: nil)
        try await port.subscribe("a", "w/+")
        try await port.disconnect("a")
        try await port.connect("p")
        for number in 0..<30 { try await port.publish("p", "w/x", "\(number)") }
        try await port.connect("a", keeps: true, will: nil)
        #expect(try await port.texts("a") == (0..<30).map(String.init))
    }

    func aSessionThatIsNotKeptGetsNothingOfTheMeanwhile() async throws {
        try await port.connect("a")
        try await port.subscribe("a", "w/+")
        try await port.disconnect("a")
        try await port.connect("p")
        try await port.publish("p", "w/x", "1")
        try await port.connect("a")
        #expect(try await port.texts("a").isEmpty)
    }

    func qosZeroIsNotKeptForTheAbsent() async throws {
        try await port.connect("a", keeps: true, will: nil)
        try await port.subscribe("a", "w/+")
        try await port.disconnect("a")
        try await port.connect("p")
        let message = OutboundMessage(topic: "w/x", payload: [0x30], atLeastOnce: false)
        try await port.publish("p", message)
        try await port.connect("a", keeps: true, will: nil)
        #expect(try await port.texts("a").isEmpty)
    }

    func whatIsSubscribedLastArrivesLast() async throws {
        try await port.connect("a")
        for number in 0..<50 { try await port.publish("a", "w/view/\(number)", "v", retain: true) }
        try await port.publish("a", "w/own", "own", retain: true)
        try await port.subscribe(
            "a",
            [
                Subscription(filter: "w/view/+", wantsRetained: true),
                Subscription(filter: "w/own", wantsRetained: true),
            ])
        let all = try await port.texts("a")
        #expect(all.count == 51)
        #expect(all.last == "own")
    }

    func overlappingFiltersDeliverOncePerFilter() async throws {
        try await port.connect("a")
        try await port.subscribe("a", "w/+/x", retained: false)
        try await port.subscribe("a", "w/#", retained: false)
        try await port.connect("p")
        try await port.publish("p", "w/1/x", "x")
        #expect(try await port.texts("a") == ["x", "x"])
    }

    func ownMessagesDoNotComeBack() async throws {
        try await port.connect("a")
        try await port.subscribe("a", "w/#", retained: false)
        try await port.publish("a", "w/x", "own")
        #expect(try await port.texts("a").isEmpty)
        try await port.subscribe("a", "v/#", retained: true)
        try await port.publish("a", "v/x", "own")
        #expect(try await port.texts("a") == ["own"], "who asks for what is retained gets its own back")
    }

    func wildcardsStandForOneLevelOrForAllThatFollow() async throws {
        try await port.connect("a")
        try await port.subscribe("a", "w/+/x", retained: false)
        try await port.connect("b")
        try await port.subscribe("b", "w/1/#", retained: false)
        try await port.connect("p")
        for topic in ["w/1/x", "w/1/2/x", "w/1", "w/x", "w/2/x"] { try await port.publish("p", topic, topic) }
        #expect(try await port.texts("a") == ["w/1/x", "w/2/x"])
        #expect(try await port.texts("b") == ["w/1/x", "w/1/2/x", "w/1"])
    }

    func aCleanRestartPublishesWillsAndKeepsTheRest() async throws {
        try await port.connect("a", keeps: true, will: will("lost", retain: true))
        try await port.subscribe("a", "w/q")
        try await port.publish("a", "w/view", "kept", retain: true)
        try await port.restart()
        try await port.connect("p")
        try await port.publish("p", "w/q", "after")
        try await port.connect("b")
        try await port.subscribe("b", "w/#")
        #expect(Set(try await port.texts("b")) == ["kept", "lost"])
        try await port.connect("a", keeps: true, will: nil)
        #expect(try await port.texts("a") == ["after"])
    }

    /// Every rule, by name.
    static let rules: [(String, @Sendable (BrokerSuite) async throws -> Void)] = [
        ("retained", { try await $0.retainedComesToLateSubscribersWithItsFlag() }),
        ("clear", { try await $0.anEmptyRetainedPayloadClears() }),
        ("no retained", { try await $0.whoDoesNotWantRetainedGetsNone() }),
        ("will", { try await $0.aLostConnectionPublishesItsWillAndAGoodbyeDoesNot() }),
        ("take-over", { try await $0.aTakeoverPublishesTheOldWillUnlessTheSessionGoesOn() }),
        ("kept session", { try await $0.aKeptSessionGetsWhatCameMeanwhileInOrder() }),
        ("session not kept", { try await $0.aSessionThatIsNotKeptGetsNothingOfTheMeanwhile() }),
        ("qos 0", { try await $0.qosZeroIsNotKeptForTheAbsent() }),
        ("order of filters", { try await $0.whatIsSubscribedLastArrivesLast() }),
        ("overlap", { try await $0.overlappingFiltersDeliverOncePerFilter() }),
        ("no local", { try await $0.ownMessagesDoNotComeBack() }),
        ("wildcards", { try await $0.wildcardsStandForOneLevelOrForAllThatFollow() }),
        ("restart", { try await $0.aCleanRestartPublishesWillsAndKeepsTheRest() }),
    ]
}
