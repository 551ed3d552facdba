import Glibc
import Machine
import TestSupport
import Testing
import TimeModel

@testable import Shell

@Suite struct LinkTests {
    /// Serves a link until one of its events is wanted; returns all that came.
    private func serve(_ links: [Link], until isWanted: (LinkEvent) -> Bool) -> [LinkEvent] {
        var events: [LinkEvent] = []
        let deadline = SystemClock.monotonic + 20_000
        while SystemClock.monotonic < deadline {
            var now = SystemClock.monotonic
            for link in links { link.advance(at: now, will: { nil }) }
            var entries = links.map { link in
                let interest = link.interest
                return pollfd(fd: interest.descriptor, events: interest.events, revents: 0)
            }
            let wake = links.compactMap(\.nextWake).min() ?? deadline
            _ = poll(&entries, nfds_t(entries.count), Int32(clamping: max(0, min(wake - now, 1000))))
            now = SystemClock.monotonic
            for (link, entry) in zip(links, entries) {
                if entry.revents != 0 { link.read(at: now) }
                link.flush(at: now)
                let new = link.takeEvents()
                events += new
                if new.contains(where: isWanted) { return events }
            }
        }
        return events
    }

    private func isConnected(_ event: LinkEvent) -> Bool { if case .connected = event { true } else { false } }

    @Test func unacknowledgedPublishesGoFirstAfterAReconnect() throws {
        let broker = try TestBroker()
        var options = ConnectionOptions(address: broker.address, clientID: "link")
        options.cleanStart = true
        let link = Link(options, seed: 3)
        _ = serve([link], until: isConnected)
        // A frozen broker takes bytes and acknowledges nothing.
        broker.send(SIGSTOP)
        for number in 0..<300 {
            #expect(link.publish(OutboundMessage(topic: "t/\(number)", payload: [1], token: number)))
        }
        link.flush(at: SystemClock.monotonic)
        #expect(link.unacknowledged == 300)
        broker.kill(SIGKILL)
        _ = serve([link]) { if case .disconnected = $0 { true } else { false } }
        try broker.start()
        let watcher = try broker.session("watcher")
        try watcher.subscribe([Subscription(filter: "t/#", wantsRetained: false)], timeoutMs: 5000)
        let events = serve([link]) { if case .delivered(token: 299) = $0 { true } else { false } }
        let tokens = events.compactMap { if case .delivered(let token) = $0 { token } else { nil } }
        #expect(tokens == Array(0..<300))
        for number in 0..<300 { #expect(watcher.nextMessage(timeoutMs: 5000)?.topic == "t/\(number)") }
    }

    @Test("G-03 what waits to be written does not put off the next attempt")
    func unwrittenAcknowledgementsDoNotKeepItFromReconnecting() throws {
        let broker = try TestBroker()
        let link = Link(ConnectionOptions(address: broker.address, clientID: "link"), seed: 3)
        _ = serve([link], until: isConnected)
        #expect(link.subscribe([Subscription(filter: "in/#", wantsRetained: false)]))
        _ = serve([link]) { if case .subscribed = $0 { true } else { false } }
        let other = try broker.session("other")
        for number in 0..<3 {
            try other.publish(OutboundMessage(topic: "in/\(number)", payload: [1]), timeoutMs: 5000)
        }
        // One publish is on its way, and three acknowledgements wait to be written, when the broker goes.
        broker.send(SIGSTOP)
        #expect(link.publish(OutboundMessage(topic: "t", payload: [1], token: 1)))
        link.flush(at: SystemClock.monotonic)
        link.read(at: SystemClock.monotonic)
        #expect(!link.takeEvents().isEmpty && link.unacknowledged == 1)
        broker.kill(SIGKILL)
        var events: [LinkEvent] = []
        while events.isEmpty {
            link.read(at: SystemClock.monotonic)
            events = link.takeEvents()
        }
        let next = link.nextWake
        for _ in 0..<3 { link.flush(at: SystemClock.monotonic) }
        #expect(link.nextWake == next)
        #expect(!link.hasEvents)
        // Nor does it end a probe of a broker that is elsewhere.
        link.state = .probing(descriptor: -1, until: SystemClock.monotonic + 60_000)
        link.read(at: SystemClock.monotonic)
        link.flush(at: SystemClock.monotonic)
        guard case .probing = link.state else {
            Issue.record("the probe was ended")
            return
        }
        link.state = .waiting(until: SystemClock.monotonic)
        try broker.start()
        let last = serve([link], until: isConnected).last
        #expect(last.map(isConnected) == true)
    }

    @Test func twoClientsWithOneIdentitySaySo() throws {
        let broker = try TestBroker()
        let options = ConnectionOptions(address: broker.address, clientID: "twin")
        let links = [Link(options, seed: 1), Link(options, seed: 2)]
        let events = serve(links) { if case .evictedRepeatedly = $0 { true } else { false } }
        #expect(events.contains { if case .evictedRepeatedly = $0 { true } else { false } })
    }

    @Test func refusedPublishesAreTold() throws {
        let folder = try TemporaryFolder()
        let rights = try folder.write("acl", "topic readwrite free/#\n")
        let broker = try TestBroker(["allow_anonymous true", "acl_file \(rights)"])
        let session = try broker.session()
        try session.publish(OutboundMessage(topic: "free/x", payload: []), timeoutMs: 5000)
        #expect(throws: ClientError.refused(topic: "closed/x", reason: "Not authorized")) {
            try session.publish(OutboundMessage(topic: "closed/x", payload: []), timeoutMs: 5000)
        }
    }

    @Test func aRefusedAccountIsNamed() throws {
        let broker = try TestBroker(["allow_anonymous false"])
        let session = ClientSession(broker.client())
        #expect(throws: ClientError.self) { try session.connect(timeoutMs: 5000) }
        do { try session.connect(timeoutMs: 1) } catch {
            guard case .notAdmitted = error else { return #expect(Bool(false), "\(error)") }
        }
    }

    @Test func largePayloadsAndManyMessages() throws {
        let broker = try TestBroker(["allow_anonymous true", "max_queued_messages 100000"])
        let session = try broker.session()
        try session.subscribe([Subscription(filter: "#", wantsRetained: false)], timeoutMs: 5000)
        let large = [UInt8](repeating: 7, count: 262_144)
        try session.publish(OutboundMessage(topic: "large", payload: large), timeoutMs: 10_000)
        #expect(try session.wait(timeoutMs: 5000) { $0.topic == "large" }.payload == large)
        for number in 0..<3000 { try session.post(OutboundMessage(topic: "n/\(number)", payload: [])) }
        for number in 0..<3000 { #expect(session.nextMessage(timeoutMs: 10_000)?.topic == "n/\(number)") }
        session.close()
    }

    @Test func theQueueIsBounded() {
        var queue = PublishQueue()
        let message = Link.Queued.publish(OutboundMessage(topic: "t", payload: []))
        var accepted = 0
        while queue.append(message) { accepted += 1 }
        #expect(accepted == PublishQueue.countLimit)
        let first = queue.popFirst()
        let again = queue.append(message)
        #expect(first != nil && again)
        var heavy = PublishQueue()
        let block = Link.Queued.publish(OutboundMessage(topic: "t", payload: [UInt8](repeating: 0, count: 8 << 20)))
        var taken = 0
        while heavy.append(block) { taken += 1 }
        #expect(taken == 31)
    }

    @Test func delaysDoubleToThirtySeconds() {
        var backoff = ReconnectBackoff(seed: 9)
        var bound = 100
        for _ in 0..<12 {
            let delay = backoff.next()
            #expect(delay >= bound / 2 && delay <= bound)
            bound = min(30_000, bound * 2)
        }
        backoff.connectionLasted(9999)
        let late = backoff.next()
        backoff.connectionLasted(10_000)
        let early = backoff.next()
        #expect(late >= 15_000 && early <= 100)
    }

    @Test func addressesAreReadAsTheyAreWritten() {
        for text in ["mqtt://host:1883", "mqtts://host:8883", "unix:/run/x.sock", "mqtt://[::1]:99"] {
            #expect(BrokerAddress(text)?.description == text)
        }
        #expect(BrokerAddress("mqtt://host")?.port == 1883)
        #expect(BrokerAddress("mqtts://host/")?.port == 8883)
        for text in [
            "", "host", "http://x", "mqtt://", "mqtt://a:0", "mqtt://a:b", "mqtt://u:p@h", "unix:x", "mqtt://[::1",
        ] {
            #expect(BrokerAddress(text) == nil)
        }
    }
}
