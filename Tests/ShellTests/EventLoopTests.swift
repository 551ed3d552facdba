import Determinism
import Glibc
import Machine
import TestSupport
import Testing
import TimeModel

@testable import Shell

@Suite struct EventLoopTests {
    private func intent(_ number: Int) -> OutboundMessage { OutboundMessage(topic: "in/\(number)", payload: []) }

    @Test func relaysAndKeepsItsState() throws {
        let broker = try TestBroker()
        let fixture = try LoopFixture(broker)
        let client = try broker.session()
        try client.subscribe([Subscription(filter: "out/#", wantsRetained: false)], timeoutMs: 5000)
        fixture.run { $0.order.contains("up") }
        for number in 0..<50 { try client.post(intent(number)) }
        fixture.run(while: client) { $0.delivered.count == 50 }
        #expect(fixture.core.delivered == Array(0..<50))
        for number in 0..<50 { #expect(client.nextMessage(timeoutMs: 5000)?.topic == "out/\(number)") }
        try fixture.startAgain()
        #expect(fixture.core.seen == (0..<50).map(String.init))
        #expect(fixture.core.starts == 2)
    }

    @Test("G-01 killed at every point of a turn, nothing that was acknowledged is lost", arguments: LoopStage.allCases)
    func killedAtEveryPoint(stage: LoopStage) throws {
        let broker = try TestBroker()
        let fixture = try LoopFixture(broker)
        let watcher = try broker.session("watcher")
        try watcher.subscribe([Subscription(filter: "out/#", wantsRetained: false)], timeoutMs: 5000)
        fixture.run { $0.order.contains("up") }
        let client = try broker.session("client")
        var generator = SeededGenerator(seed: 5)
        var relayed: Set<String> = []
        for kill in 0..<12 {
            for number in 0..<20 { try client.post(intent(kill * 20 + number)) }
            var left = generator.uniform(1...6)
            fixture.loop.diesAt = { reached in
                if reached == stage { left -= 1 }
                return left <= 0
            }
            let ending = fixture.run(while: client) { _ in false }
            #expect(ending?.reason == "killed by a test")
            while case .message(let message)? = watcher.next(timeoutMs: 0) { relayed.insert(message.topic) }
            try fixture.startAgain()
            let durable = Set(fixture.core.seen.map { "out/\($0)" })
            #expect(relayed.isSubset(of: durable), "published before it was durable")
        }
        fixture.run(while: client) { $0.seen.count == 240 }
        #expect(Set(fixture.core.seen) == Set((0..<240).map(String.init)))
    }

    @Test(
        "G-19 a failed write or sync accepts and acknowledges nothing, and recovers by itself",
        arguments: [true, false])
    func failingJournal(write: Bool) throws {
        let broker = try TestBroker()
        let fixture = try LoopFixture(broker)
        fixture.run { $0.order.contains("up") }
        let client = try broker.session()
        let filters = ["up", "out/#"]
        try client.subscribe(filters.map { Subscription(filter: $0, wantsRetained: true) }, timeoutMs: 5000)
        try fail(fixture.loop.parts.journal, write: write)
        for number in 0..<10 { try client.post(intent(number)) }
        let deadline = SystemClock.monotonic + 10_000
        while fixture.loop.recoverAt == nil, SystemClock.monotonic < deadline {
            client.pump()
            _ = fixture.loop.turn()
        }
        // The broker says that the service is lost, since its connection was dropped without a word.
        var early: [String] = []
        let lost = try client.wait(timeoutMs: 5000) { message in
            if message.topic.hasPrefix("out/") { early.append(message.topic) }
            return message.payload == Array("lost".utf8)
        }
        #expect(lost.retained)
        #expect(early.isEmpty, "published although the record did not reach the disk")
        fixture.run(while: client) { $0.seen.count == 10 && $0.delivered.count == 10 }
        #expect(Set(fixture.core.seen) == Set((0..<10).map(String.init)))
        #expect(fixture.core.starts == 2)
        try fixture.startAgain()
        #expect(fixture.core.seen.count == 10)
        #expect(fixture.core.starts == 3)
    }

    /// Puts something in the place of the journal's file that takes no write, or no sync.
    private func fail(_ journal: Journal, write: Bool) throws {
        if write {
            let full = open("/dev/full", O_WRONLY)
            dup2(full, journal.descriptor)
            close(full)
        } else {
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0)
            dup2(ends[1], journal.descriptor)
            close(ends[1])
        }
    }

    @Test func compactsItsJournal() throws {
        let broker = try TestBroker()
        let fixture = try LoopFixture(broker) { $0.recordPadding = 1000 }
        fixture.run { $0.order.contains("up") }
        let client = try broker.session()
        for number in 0..<200 { try client.post(intent(number)) }
        fixture.run(while: client) { $0.delivered.count == 200 }
        fixture.run { _ in fixture.loop.parts.journal.size < 100_000 }
        #expect(fixture.loop.parts.journal.size < 100_000)
        try fixture.startAgain()
        #expect(fixture.core.seen.count == 200)
    }

    @Test("G-24 a flood neither overtakes the publishes nor loses any", arguments: [20, 100])
    func flood(brokerWindow: Int) throws {
        let broker = try TestBroker([
            "allow_anonymous true", "max_queued_messages 100000", "max_inflight_messages \(brokerWindow)",
        ])
        let fixture = try LoopFixture(broker)
        fixture.run { $0.order.contains("up") }
        let client = try broker.session()
        for number in 0..<6000 { try client.post(intent(number)) }
        fixture.run(while: client) { $0.delivered.count == 6000 }
        #expect(fixture.core.delivered.count == 6000)
        #expect(fixture.core.seen == (0..<6000).map(String.init))
    }

    @Test func tellsTheCoreOfLossAndReturn() throws {
        let broker = try TestBroker()
        let fixture = try LoopFixture(broker)
        fixture.run { $0.order.contains("up") }
        broker.kill(SIGKILL)
        fixture.run { $0.order.last == "disconnected" }
        try broker.start()
        fixture.run { $0.order.last == "up" }
        #expect(fixture.core.order == ["up", "disconnected", "up"])
    }

    @Test("G-28 the end is orderly: the record says offline, the status is the core's") func quits() throws {
        let broker = try TestBroker()
        let fixture = try LoopFixture(broker)
        fixture.run { $0.order.contains("up") }
        fixture.loop.terminate(SIGTERM, at: SystemClock.now)
        let ending = fixture.run { _ in false }
        #expect(ending?.status == 0)
        let client = try broker.session()
        try client.subscribe([Subscription(filter: "up", wantsRetained: true)], timeoutMs: 5000)
        #expect(client.nextMessage(timeoutMs: 5000)?.payload == Array("offline".utf8))
    }

    @Test func servesUrgentTopicsFirst() throws {
        let broker = try TestBroker()
        let fixture = try LoopFixture(broker)
        fixture.run { $0.order.contains("up") }
        let client = try broker.session()
        var parts = fixture.loop.parts
        parts.servedFirst = { $0.hasPrefix("in/beat") }
        // A turn takes what came together; let all of it come before the next turn.
        for name in ["in/a", "in/b", "in/beat1", "in/c", "in/beat2"] {
            try client.publish(OutboundMessage(topic: name, payload: []), timeoutMs: 5000)
        }
        let loop = try EventLoop(parts)
        loop.core = fixture.core
        let deadline = SystemClock.monotonic + 10_000
        while loop.core.order.count < 6, SystemClock.monotonic < deadline { _ = loop.turn() }
        let urgent = loop.core.order.filter { $0.hasPrefix("in/beat") }
        #expect(urgent == ["in/beat1", "in/beat2"])
        #expect(loop.core.order.dropFirst().filter { !$0.hasPrefix("in/beat") } == ["in/a", "in/b", "in/c"])
        #expect(loop.core.order[1] == "in/beat1")
    }

    @Test func runsChildren() throws {
        let broker = try TestBroker()
        let fixture = try LoopFixture(broker) {
            $0.startsChild = ChildRequest(
                id: 7, arguments: ["/bin/cat"], input: [1, 2, 3], environment: [], directory: nil, timeoutMs: 10_000,
                graceMs: 100, outputLimit: 100, memoryLimit: 0)
        }
        fixture.run { $0.children[7] != nil }
        #expect(fixture.core.children[7]?.end == .exited(0))
        #expect(fixture.core.children[7]?.output == [1, 2, 3])
    }

    @Test func wakesAtTheMomentThatTheCoreNames() throws {
        let broker = try TestBroker()
        let fixture = try LoopFixture(broker)
        let due = SystemClock.monotonic + 30
        fixture.loop.core.wakeAt = due
        fixture.run { $0.wakes == 1 }
        #expect(fixture.core.wakes == 1)
        #expect(SystemClock.monotonic >= due)
    }

    @Test("G-19 little free space is told to the core") func littleSpace() throws {
        let broker = try TestBroker()
        let scratch = try Scratch()
        var limits = Journal.Limits()
        limits.freeSpace = Int.max / 4
        let parts = LoopParts(
            makeCore: { RelayCore() }, journal: Journal(directory: scratch.path, limits: limits),
            link: Link(broker.client(), seed: 1), log: LogWriter(format: .text, level: .error, descriptor: -1))
        let loop = try EventLoop(parts)
        try loop.begin()
        let deadline = SystemClock.monotonic + 10_000
        while loop.core.writable.isEmpty, SystemClock.monotonic < deadline { _ = loop.turn() }
        #expect(loop.core.writable == [false])
    }

    @Test func theJournalsNumbersStandBesideTheCores() throws {
        let broker = try TestBroker()
        let scratch = try Scratch()
        var parts = LoopParts(
            makeCore: {
                var core = RelayCore()
                core.numbers = Array(#"{"queued":3}"#.utf8)
                return core
            },
            journal: Journal(directory: scratch.path), link: Link(broker.client(), seed: 1),
            log: LogWriter(format: .text, level: .error, descriptor: -1))
        parts.isMetrics = { $0 == "numbers" }
        let loop = try EventLoop(parts)
        try loop.begin()
        let client = try broker.session()
        try client.subscribe([Subscription(filter: "numbers", wantsRetained: true)], timeoutMs: 5000)
        let deadline = SystemClock.monotonic + 10_000
        var found: InboundMessage?
        while found == nil, SystemClock.monotonic < deadline {
            _ = loop.turn()
            client.pump()
            if case .message(let message)? = client.next(timeoutMs: 0) { found = message }
        }
        let text = String(decoding: try #require(found).payload, as: UTF8.self)
        #expect(text.hasPrefix(#"{"queued":3,"journal_bytes":"#) && text.hasSuffix("}"), "\(text)")
        for key in ["journal_sync_ms", "publish_dropped_total", "journal_disk_bytes", "journal_disk_free_bytes"] {
            #expect(text.contains("\"\(key)\":"), "\(text)")
        }
    }
}
