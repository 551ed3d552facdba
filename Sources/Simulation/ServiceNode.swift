import Determinism
public import Machine

/// A journal on a disk that forgets what was not synced.
public struct FakeDisk: Hashable, Sendable {
    /// Records that survive anything.
    public private(set) var synced: [[UInt8]] = []
    /// Records of this turn, which a crash may lose.
    public private(set) var unsynced: [[UInt8]] = []

    /// An empty disk.
    public init() {}

    /// Appends without syncing.
    public mutating func append(_ record: [UInt8]) { unsynced.append(record) }

    /// Makes everything durable.
    public mutating func sync() {
        synced += unsynced
        unsynced.removeAll()
    }

    /// A crash: what one turn wrote had reached the disk as a whole, or is lost as a whole, as the journal's frames
    /// guarantee.
    public mutating func crash(keepsUnsynced: Bool) {
        if keepsUnsynced { synced += unsynced }
        unsynced.removeAll()
    }

    /// Replaces everything by a snapshot.
    public mutating func replace(_ records: [[UInt8]]) {
        synced = records
        unsynced.removeAll()
    }
}

/// A real core in a simulated process: inbox, turns, journal, connection, crashes and restarts, in the order that the
/// real event loop keeps: inputs, appends, one sync, then publishes and acknowledgements.
public final class ServiceNode<S: Service> {
    /// Where within a turn a crash strikes.
    public enum CrashPoint: CaseIterable, Hashable, Sendable {
        /// Inputs were handled, nothing is written.
        case beforeAppend
        /// Records are written, not synced.
        case beforeSync
        /// Records are durable, nothing was said.
        case beforePublish
        /// The sync fails: the socket is closed unwritten, and the journal is read anew.
        case syncFails
    }

    /// The node's name and account.
    public let name: String
    /// Under which client id it connects; its name unless said otherwise.
    public let clientID: String
    /// The core; `nil` while the process is down.
    public private(set) var core: S?
    /// The journal.
    public private(set) var disk = FakeDisk()
    /// The process's clocks.
    public var clock = SimulatedClock()
    /// A crash to strike in the next turn.
    public var crashNext: CrashPoint?
    /// Called with each violation of an invariant.
    public var violated: (String) -> Void = { _ in }
    /// Called after each start, with the replayed core.
    public var restarted: (S) -> Void = { _ in }
    /// Called when the core asks to quit.
    public var quitted: (Int, String) -> Void = { _, _ in }
    /// Changes the effects of a turn before they are carried out: how planted bugs get in.
    public var tamper: ([ServiceEffect]) -> [ServiceEffect] = { $0 }
    /// Changes a message before the core gets it: how planted bugs get in.
    public var tamperMessage: (InboundMessage) -> InboundMessage = { $0 }
    /// Called with records that have become durable.
    public var durable: ([[UInt8]]) -> Void = { _ in }
    /// Called with the inputs of a turn and its effects, when these are carried out.
    public var spoke: ([ServiceInput], [ServiceEffect]) -> Void = { _, _ in }
    /// Called with the core and its journal when the process dies with all of its state durable.
    public var dying: (S, FakeDisk) -> Void = { _, _ in }
    /// A planted bug: publishes and acknowledges before the journal is synced.
    public var speaksBeforeSync = false
    /// Whether the process is stopped without being dead.
    public private(set) var isFrozen = false
    /// How often it was started.
    public private(set) var starts = 0
    /// Between two compactions of the journal, in records; 0: never.
    public var compactEvery = 2000

    /// The store of a service that keeps more than its journal, on a disk of its own; made anew at each start.
    public var makeArchive: () -> (any Archive)? = { nil }
    /// What a crash does to the disk of the archive.
    public var crashArchive: () -> Void = {}

    private var archive: (any Archive)?
    private let world: World
    private let make: (UInt64) -> S
    private var client: SimulatedClient?
    private var inbox: [(ServiceInput, Int?)] = []
    private var turn: Int?
    private var alarm: Int?
    private var generation = 0
    private var reconnects = 0

    /// A node that is down. `make` builds a fresh core from a seed.
    public init(_ world: World, name: String, clientID: String? = nil, make: @escaping (UInt64) -> S) {
        self.world = world
        self.name = name
        self.clientID = clientID ?? name
        self.make = make
    }

    /// Starts the process: replay, `started`, connect.
    public func start() {
        guard core == nil else { return }
        starts += 1
        generation += 1
        world.note("\(name) starts")
        world.hash("start \(name)")
        var fresh = make(world.random.next())
        for record in disk.synced {
            do {
                try fresh.replay(record)
            } catch {
                violated("I18: journal record refused: \(error.reason)")
            }
        }
        core = fresh
        restarted(fresh)
        let generation = generation
        client = SimulatedClient(
            world, name: clientID, username: name, keepsSession: true,
            handlers: SimulatedClient.Handlers(
                connected: { [weak self] in
                    if self?.client?.hadSession == false { self?.enqueue(.sessionLost, nil, generation) }
                    self?.enqueue(.connected, nil, generation)
                },
                disconnected: { [weak self] in self?.lostConnection(generation) },
                message: { [weak self] in self?.enqueue(.message($0), $1, generation) },
                delivered: { [weak self] in self?.enqueue(.delivered(token: $0), nil, generation) }))
        enqueue(.started, nil, generation)
        openArchive(generation)
        reconnects = 0
        client?.connect(will: fresh.will())
    }

    /// Begins with what another process has made durable so far: a copy of its disk and its clock.
    public func inherit(_ other: ServiceNode<S>) {
        disk = other.disk
        disk.crash(keepsUnsynced: false)
        clock = other.clock
    }

    /// Kills the process at once.
    public func kill(keepsUnsynced: Bool = false, noticeMs: Int = 0) {
        guard let core else { return }
        world.note("\(name) is killed")
        world.hash("kill \(name)")
        if keepsUnsynced { durable(disk.unsynced) }
        let isWhole = keepsUnsynced || disk.unsynced.isEmpty
        disk.crash(keepsUnsynced: keepsUnsynced)
        if isWhole { dying(core, disk) }
        archive = nil
        crashArchive()
        client?.kill(noticeMs: noticeMs)
        client = nil
        self.core = nil
        inbox.removeAll()
        isFrozen = false
        turn = nil
        alarm = nil
        crashNext = nil
        generation += 1
    }

    /// Stops the process without ending it; nothing is read or done until `thaw`.
    public func freeze() { isFrozen = core != nil }

    /// Lets the process go on.
    public func thaw() {
        guard isFrozen else { return }
        isFrozen = false
        schedule()
    }

    /// Asks the process to end.
    public func terminate() { enqueue(.terminate, nil, generation) }

    /// Cuts its connection; the broker notices after `noticeMs`.
    public func cut(noticeMs: Int) {
        if let number = client?.connectionNumber { world.drop(number, noticeMs: noticeMs) }
    }

    /// Its disk has no room, or has room again.
    public func setWritable(_ flag: Bool) { enqueue(.journalWritable(flag), nil, generation) }

    /// Moves its wall clock.
    public func step(clockBy ms: Int) {
        clock.offsetMs += ms
        enqueue(.wake, nil, generation)
    }

    private func lostConnection(_ generation: Int) {
        guard generation == self.generation, core != nil else { return }
        enqueue(.disconnected, nil, generation)
        reconnects += 1
        let wait = min(30_000, 100 << min(reconnects, 9))
        reconnect(after: world.random.uniform(wait / 2...wait), generation)
    }

    /// A process that stands still does not connect either.
    private func reconnect(after ms: Int, _ generation: Int) {
        world.after(ms) { [weak self] in
            guard let self, generation == self.generation, let core = self.core else { return }
            if self.isFrozen { return self.reconnect(after: 100, generation) }
            self.client?.connect(will: core.will())
        }
    }

    private func enqueue(_ input: ServiceInput, _ acknowledge: Int?, _ generation: Int) {
        guard generation == self.generation, core != nil else { return }
        if case .connected = input { reconnects = 0 }
        inbox.append((input, acknowledge))
        schedule()
    }

    private func schedule() {
        guard turn == nil, !isFrozen else { return }
        let generation = generation
        turn = world.after(0) { [weak self] in
            guard let self, generation == self.generation else { return }
            self.turn = nil
            if !self.isFrozen { self.runTurn() }
        }
    }

    private func runTurn() {
        guard var running = core else { return }
        core = nil
        var effects: [ServiceEffect] = []
        var acknowledgements: [Int] = []
        let batch = inbox
        inbox.removeAll()
        let now = clock.now(world.time)
        for (input, acknowledge) in batch {
            if case .message(let message) = input {
                running.handle(.message(tamperMessage(message)), at: now, emitting: &effects)
            } else {
                running.handle(input, at: now, emitting: &effects)
            }
            if let acknowledge { acknowledgements.append(acknowledge) }
        }
        if let wake = running.nextWake, wake <= now.monotonic { running.handle(.wake, at: now, emitting: &effects) }
        for sentence in running.checkInvariants() { violated(sentence) }
        core = running
        if carryOut(tamper(effects), batch.map(\.0), acknowledgements) {
            compact()
            setAlarm()
        }
    }

    /// False when the process died of it.
    private func carryOut(_ effects: [ServiceEffect], _ inputs: [ServiceInput], _ acknowledgements: [Int]) -> Bool {
        let point = crashNext
        if speaksBeforeSync { speak(effects, inputs, acknowledgements) }
        if point == .beforeAppend {
            die()
            return false
        }
        for case .append(let record) in effects { disk.append(record) }
        for case .archive(.record(let record)) in effects { archive?.add(record) }
        if point == .beforeSync || point == .syncFails {
            die(keepsUnsynced: world.random.chance(1, of: 2))
            if point == .syncFails { world.after(100) { [weak self] in self?.start() } }
            return false
        }
        durable(disk.unsynced)
        disk.sync()
        if let event = archive?.commit(at: clock.now(world.time)) { enqueue(.archive(event), nil, generation) }
        if point == .beforePublish {
            kill()
            return false
        }
        if !speaksBeforeSync { speak(effects, inputs, acknowledgements) }
        return core != nil
    }

    /// Dies in the middle of a turn: the state that was worked out is lost with it.
    private func die(keepsUnsynced: Bool = false) {
        let compare = dying
        if !keepsUnsynced { dying = { _, _ in } }
        kill(keepsUnsynced: keepsUnsynced)
        dying = compare
    }

    private func speak(_ effects: [ServiceEffect], _ inputs: [ServiceInput], _ acknowledgements: [Int]) {
        spoke(inputs, effects)
        for effect in effects { apply(effect) }
        for id in acknowledgements { client?.acknowledge(id) }
    }

    private func apply(_ effect: ServiceEffect) {
        switch effect {
        case .publish(let message): client?.publish(message)
        case .subscribe(let list): client?.subscribe(list)
        case .log(let event):
            world.note("\(name) \(event.name): \(event.text)")
            if event.level == .error { violated("\(name) logged an error: \(event.name): \(event.text)") }
        case .quit(let status, let reason):
            world.note("\(name) quits: \(reason)")
            client?.disconnect()
            client = nil
            core = nil
            inbox.removeAll()
            generation += 1
            quitted(status, reason)
        case .archive(.ask(let id, let question)):
            guard let archive else { return }
            let answer = archive.answer(question, at: clock.now(world.time))
            enqueue(.archive(.answered(id: id, answer)), nil, generation)
        case .append, .startChild, .stopChild, .status, .ready, .archive: break
        }
    }

    private func openArchive(_ generation: Int) {
        archive = makeArchive()
        guard let archive else { return }
        do throws(ArchiveFault) {
            try archive.open(at: clock.now(world.time))
            enqueue(.archive(archive.opening), nil, generation)
        } catch {
            violated("\(name): the archive cannot be opened: \(error)")
        }
    }

    private func compact() {
        guard compactEvery > 0, disk.synced.count > compactEvery, let core else { return }
        var records: [[UInt8]] = []
        core.snapshot { records.append($0) }
        disk.replace(records)
        compactEvery = max(compactEvery, records.count * 4)
    }

    private func setAlarm() {
        if let alarm { world.cancel(alarm) }
        alarm = nil
        guard let wake = core?.nextWake else { return }
        let generation = generation
        alarm = world.after(clock.wait(until: wake, at: world.time)) { [weak self] in
            guard let self, generation == self.generation else { return }
            self.alarm = nil
            self.schedule()
        }
    }
}
