public import Determinism
public import Machine
public import TimeModel

/// Simulated time, the queue of what will happen, the broker and the links to it. Everything random comes from one
/// generator, everything that happens is added to one trace hash: a seed repeats a run exactly.
public final class World {
    private struct Due: Comparable {
        var time: Int
        var order: Int
        static func < (a: Due, b: Due) -> Bool { (a.time, a.order) < (b.time, b.order) }
    }

    private struct Link {
        var client: SimulatedClient
        /// The client's process is gone: what it sent still arrives, nothing reaches it.
        var isAbandoned = false
        var lastUp = 0
        var lastDown = 0
    }

    /// True time in ms since the start of the run.
    public private(set) var time = 0
    /// The source of all that is random.
    public var random: SeededGenerator
    /// The hash of all that has happened.
    public private(set) var trace = TraceHash()
    /// The broker.
    public private(set) var broker: FakeBroker
    /// Called with each message that the broker accepts, before anybody receives it: (publisher's account, message).
    public var observe: (String, InboundMessage) -> Void = { _, _ in }
    /// Called with the client id whose session is taken over from an older connection.
    public var tookOver: (String) -> Void = { _ in }
    /// A line for each thing that happens; for replays with `--trace`.
    public var tell: ((String) -> Void)?
    /// One way delay of a packet in ms.
    public var delay: ClosedRange<Int> = 0...3
    /// A packet in this many is delivered to the broker twice, as a sender that has lost an acknowledgement would.
    public var duplicateOneIn = 0
    /// Whether the broker runs.
    public private(set) var brokerIsUp = true

    private var queue = IndexedHeap<Int, Int>()
    private var actions: [Int: () -> Void] = [:]
    private var nextOrder = 0
    private var links: [Int: Link] = [:]
    private var nextConnection = 1

    /// A world in which nothing has happened.
    public init(seed: UInt64, broker: FakeBroker = FakeBroker()) {
        random = SeededGenerator(seed: seed)
        self.broker = broker
    }

    /// The wall clock at true time 0: 2026-11-20T00:00:00Z.
    public static let epoch = 1_795_132_800_000

    /// Adds a line to the trace.
    public func note(_ text: @autoclosure () -> String) {
        guard let tell else { return }
        tell("\(time) \(text())")
    }

    /// Adds numbers and bytes to the trace hash.
    public func hash(_ what: String, _ bytes: [UInt8] = []) {
        trace.add(time)
        trace.add(what)
        trace.add(bytes)
    }

    /// Does something after `ms`; things due at one moment are done in the order in which they were planned.
    @discardableResult public func after(_ ms: Int, _ action: @escaping () -> Void) -> Int {
        nextOrder += 1
        queue.set(nextOrder, time + max(ms, 0))
        actions[nextOrder] = action
        return nextOrder
    }

    /// Forgets something that was planned.
    public func cancel(_ order: Int) {
        queue.remove(order)
        actions[order] = nil
    }

    /// Does what is due next; `false` when nothing is planned up to `end`.
    public func step(until end: Int) -> Bool {
        guard let next = queue.first, next.priority <= end else {
            time = max(time, end)
            return false
        }
        queue.remove(next.key)
        time = max(time, next.priority)
        actions.removeValue(forKey: next.key)?()
        return true
    }

    /// Runs until `end`; returns how much was done.
    @discardableResult public func run(until end: Int, limit: Int = .max) -> Int {
        var done = 0
        while done < limit, step(until: end) { done += 1 }
        return done
    }

    // MARK: Links

    /// Asks the broker for a connection; the client hears of it, or of its end, later.
    func open(_ client: SimulatedClient, _ request: Connect) -> Int {
        let connection = nextConnection
        nextConnection += 1
        links[connection] = Link(client: client)
        up(connection) { [self] in
            guard brokerIsUp else {
                drop(connection)
                return
            }
            hash("connect \(request.client)")
            if let evicted = broker.connect(connection, request) {
                tookOver(request.client)
                cut(evicted)
            }
            flush()
        }
        return connection
    }

    /// Sends a packet to the broker.
    func send(_ connection: Int, _ packet: Packet) {
        up(connection) { [self] in
            guard brokerIsUp else { return }
            arrive(connection, packet)
            if case .publish(let message, let id?, _) = packet, duplicateOneIn > 0, random.chance(1, of: duplicateOneIn)
            {
                arrive(connection, .publish(message, id: id, duplicate: true))
            }
        }
    }

    private func arrive(_ connection: Int, _ packet: Packet) {
        if case .publish(let message, _, _) = packet, let link = links[connection] {
            hash("publish \(link.client.name) \(message.topic)", message.payload)
            note(
                "\(link.client.name) > \(message.topic) \(String(decoding: message.payload.prefix(400), as: UTF8.self))"
            )
            observe(link.client.username, message)
        }
        broker.receive(connection, packet)
        flush()
    }

    /// Says goodbye: what was sent before still arrives, then the connection ends without a Will.
    func close(_ connection: Int) {
        up(connection) { [self] in
            broker.disconnect(connection)
            flush()
            links[connection] = nil
        }
    }

    /// The client's process is gone without a word: what it had sent still arrives. The broker notices after
    /// `noticeMs`.
    func abandon(_ connection: Int, noticeMs: Int) {
        guard let link = links[connection] else { return }
        links[connection]?.isAbandoned = true
        after(max(noticeMs, link.lastUp - time + 1)) { [self] in
            guard links.removeValue(forKey: connection) != nil, brokerIsUp else { return }
            hash("lose \(connection)")
            broker.lose(connection)
            flush()
        }
    }

    /// Cuts a connection: what is on its way is lost, the client notices now, the broker after `noticeMs`.
    public func drop(_ connection: Int, noticeMs: Int = 0) {
        guard let link = links.removeValue(forKey: connection) else { return }
        link.client.connectionLost(connection)
        after(noticeMs) { [self] in
            guard brokerIsUp else { return }
            broker.lose(connection)
            flush()
        }
    }

    private func cut(_ connection: Int) {
        guard let link = links.removeValue(forKey: connection) else { return }
        link.client.connectionLost(connection)
    }

    /// The connections that are open, in order.
    public var connections: [Int] { links.keys.sorted().filter { links[$0]?.isAbandoned == false } }

    /// Stops the broker and starts it again after `downMs`.
    public func restartBroker(_ kind: FakeBroker.Restart, downMs: Int) {
        guard brokerIsUp else { return }
        note("broker restarts: \(kind)")
        hash("broker restart")
        brokerIsUp = false
        for connection in broker.restart(kind) { cut(connection) }
        for connection in connections { cut(connection) }
        _ = broker.takeOutgoing()
        after(downMs) { [self] in brokerIsUp = true }
    }

    /// Writes the broker's state down, as its autosave would.
    public func saveBroker() { broker.save() }

    private func up(_ connection: Int, _ action: @escaping () -> Void) {
        guard var link = links[connection] else { return }
        let arrival = max(link.lastUp, time + random.uniform(delay))
        link.lastUp = arrival
        links[connection] = link
        after(arrival - time) { [self] in if links[connection] != nil { action() } }
    }

    private func flush() {
        for outgoing in broker.takeOutgoing() {
            guard var link = links[outgoing.connection] else { continue }
            let arrival = max(link.lastDown, time + random.uniform(delay))
            link.lastDown = arrival
            links[outgoing.connection] = link
            after(arrival - time) { [self] in
                guard let link = links[outgoing.connection], !link.isAbandoned else { return }
                link.client.receive(outgoing.connection, outgoing.packet)
            }
        }
    }
}

/// A process's own clocks: an offset of the wall clock, which may step, and a rate that is up to one percent wrong.
public struct SimulatedClock: Hashable, Sendable {
    /// Wall clock minus true time, in ms.
    public var offsetMs: Int
    /// Parts per thousand by which both clocks run fast.
    public var ratePermille: Int
    /// What the monotonic clock shows at true time 0.
    public var start: Int

    /// A clock.
    public init(offsetMs: Int = 0, ratePermille: Int = 0, start: Int = 1_000_000) {
        self.offsetMs = offsetMs
        self.ratePermille = ratePermille
        self.start = start
    }

    /// Both readings at a true time.
    public func now(_ time: Int) -> Now {
        let passed = time + time * ratePermille / 1000
        return Now(
            wall: WallTime(milliseconds: World.epoch + passed + offsetMs),
            monotonic: MonotonicTime(milliseconds: start + passed))
    }

    /// How long to wait in true time until the monotonic clock shows `moment`.
    public func wait(until moment: MonotonicTime, at time: Int) -> Int {
        let lack = moment - now(time).monotonic
        return lack <= 0 ? 0 : lack * 1000 / (1000 + ratePermille) + 1
    }
}
