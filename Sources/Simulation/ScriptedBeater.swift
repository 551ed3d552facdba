import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// An executor that does nothing but be there: card, status, Will, beats. The only one who knows how it really is.
final class ScriptedBeater {
    /// How it is.
    enum Condition: String, CaseIterable {
        case alive, killed, frozen, left
    }

    let name: String
    let beatMs: Int
    private(set) var condition = Condition.alive
    /// When it came to its condition, in true ms.
    private(set) var since = 0
    /// When the broker got its last message, and the first one of its connection; `nil` without a connection.
    private(set) var lastArrival = 0
    /// The latest arrivals, oldest first.
    private var arrivals: [Int] = []
    private(set) var firstArrival: Int?
    private let world: World
    private var client: SimulatedClient?
    private var boot = 0
    private var conn = 0
    private var seq = 0
    private var beats: Int?

    init(_ world: World, name: String, beatMs: Int) {
        self.world = world
        self.name = name
        self.beatMs = beatMs
    }

    /// The boot that its card and its status carry.
    var bootName: String { "\(name)-\(boot)" }

    private func topic(_ place: Topic.Place) -> String { Topic("main", place).name }

    /// Begins, or begins anew.
    func start() {
        boot += 1
        conn = 0
        become(.alive)
        let own = boot
        client = SimulatedClient(
            world, name: name, username: name, keepsSession: false,
            handlers: SimulatedClient.Handlers(
                connected: { [weak self] in if self?.boot == own { self?.connected() } },
                disconnected: { [weak self] in if self?.boot == own { self?.reconnect(own) } },
                message: { [weak self] _, id in if let id { self?.client?.acknowledge(id) } },
                delivered: { _ in }))
        connect()
    }

    private func become(_ condition: Condition) {
        self.condition = condition
        since = world.time
        world.note("\(name) is \(condition.rawValue)")
    }

    private func connect() {
        guard condition == .alive else { return }
        conn += 1
        firstArrival = nil
        let lost = ExecutorStatus(.lost, boot: bootName, conn: conn)
        client?.connect(
            will: OutboundMessage(topic: topic(.status(executor: name)), payload: lost.encoded, retain: true))
    }

    private func reconnect(_ own: Int) {
        firstArrival = nil
        world.after(world.random.uniform(200...1500)) { [weak self] in
            guard let self, self.boot == own else { return }
            self.connect()
        }
    }

    private func connected() {
        var card = Card(boot: bootName, rev: 1, capabilities: [CapabilityEntry(name: "c0")])
        card.beatMs = beatMs
        publish(.card(executor: name), card.encoded, retain: true)
        publish(.status(executor: name), ExecutorStatus(.online, boot: bootName, conn: conn).encoded, retain: true)
        if let beats { world.cancel(beats) }
        beat()
    }

    private func beat() {
        beats = nil
        guard condition == .alive else { return }
        seq += 1
        var beat = Beat(boot: bootName, seq: seq)
        beat.freeSlots = world.random.uniform(0...2)
        publish(.beat(executor: name), beat.encoded, retain: false)
        beats = world.after(beatMs) { [weak self] in self?.beat() }
    }

    private func publish(_ place: Topic.Place, _ payload: [UInt8], retain: Bool) {
        guard client?.isUp == true else { return }
        client?.publish(OutboundMessage(topic: topic(place), payload: payload, retain: retain))
    }

    /// The broker has got a message of it.
    func arrived() {
        lastArrival = world.time
        arrivals.append(world.time)
        if arrivals.count > ScriptedBeater.keptArrivals { arrivals.removeFirst() }
        if firstArrival == nil, client?.isUp == true { firstArrival = world.time }
    }

    private static let keptArrivals = 16

    /// How long it has been silent for whoever hears the broker; what arrived within the last `ms` is still on its way.
    func silence(but ms: Int) -> Int { world.time - (arrivals.last { $0 <= world.time - ms } ?? 0) }

    /// Whether whoever hears the broker has heard for so long that it is there.
    func isKnownToBeThere(for ms: Int) -> Bool {
        guard client?.isUp == true, condition != .killed, let firstArrival else { return false }
        return world.time - firstArrival > ms
    }

    // What happens to it.

    /// Dies; the broker publishes its Will.
    func kill(noticeMs: Int) {
        guard condition == .alive || condition == .frozen else { return }
        become(.killed)
        client?.kill(noticeMs: noticeMs)
        firstArrival = nil
    }

    /// Stops without dying; its connection stands.
    func freeze() {
        if condition == .alive { become(.frozen) }
    }

    /// Says goodbye.
    func leave() {
        guard condition == .alive else { return }
        publish(.status(executor: name), ExecutorStatus(.offline, boot: bootName, conn: conn).encoded, retain: true)
        become(.left)
        client?.disconnect()
    }

    /// Whatever it was: alive from now on.
    func revive() {
        switch condition {
        case .alive: break
        case .killed, .left: start()
        case .frozen:
            become(.alive)
            if client?.isUp == true { beat() } else { connect() }
        }
    }

    /// Its connection is cut.
    func cut(noticeMs: Int) {
        if condition == .alive, let number = client?.connectionNumber { world.drop(number, noticeMs: noticeMs) }
    }
}
