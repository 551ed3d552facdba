public import Contract
import Determinism
import Machine
import Wire

/// How a scripted executor behaves.
public struct Temper: Hashable, Sendable {
    /// Ends of its attempts, in percent; the rest succeeds.
    public var transientPercent = 10
    /// Attempts that fail for good.
    public var permanentPercent = 3
    /// Assignments it refuses.
    public var refusePercent = 5
    /// Attempts it gives back.
    public var releasePercent = 2
    /// Attempts after which it says nothing, as if it had hung.
    public var silentPercent = 0
    /// Outcomes it sends again long after they were confirmed.
    public var repeatPercent = 5
    /// Outcomes it sends although its lease is over.
    public var disobeys = false
    /// How long an attempt takes, in ms.
    public var workMs: ClosedRange<Int> = 1...3000

    /// A dutiful one.
    public init() {}
}

/// An executor written from the contract alone, apart from the project's own: push and pull, leases, self-fence,
/// outcomes kept until they are confirmed. Its temper makes it late, forgetful or dishonest.
public final class ScriptedExecutor {
    private struct Attempt {
        var assignment: Assignment
        var end: Int
        var deadline: Int
        var isCanceled = false
    }

    private struct Outcome {
        var topicID: String
        var report: Report
        var nextSend: Int
    }

    /// Its name, account and client id.
    public let name: String
    /// How it behaves.
    public var temper = Temper()
    private let world: World
    private let history: History
    private let workspace: String
    private var card: Card
    private let pulls: Bool
    private let pushes: Bool
    private let slots: Int
    private var client: SimulatedClient?
    private var boot = ""
    private var conn = 0
    private var seq = 0
    private var attempts: [Int: Attempt] = [:]
    private var unconfirmed: [Int: Outcome] = [:]
    private var claimSeq: [Int: Int] = [:]
    private var highest: [String: Int] = [:]
    private var highestTerm = 0
    private var isUp = false
    private var isFrozen = false
    private var held: [InboundMessage] = []
    private var generation = 0

    /// An executor that is down. Its card says what it offers and how.
    public init(_ world: World, _ history: History, name: String, workspace: String, card: Card) {
        self.world = world
        self.history = history
        self.name = name
        self.workspace = workspace
        self.card = card
        pushes = (card.modes ?? [.push]).contains(.push)
        pulls = (card.modes ?? [.push]).contains(.pull)
        slots = card.slots ?? 1
    }

    private var beatMs: Int { card.beatMs ?? Defaults.beatMs }

    private func topic(_ place: Topic.Place) -> String { Topic(workspace, place).name }

    /// Starts the process under a new boot.
    public func start() {
        guard !isUp else { return }
        isUp = true
        generation += 1
        boot = "b\(world.random.next() % 1_000_000_007)"
        conn = 0
        card.boot = boot
        card.rev += 1
        world.note("\(name) starts as \(boot)")
        let generation = generation
        client = SimulatedClient(
            world, name: name, username: name, keepsSession: true,
            handlers: SimulatedClient.Handlers(
                connected: { [weak self] in self?.connected(generation) },
                disconnected: { [weak self] in self?.reconnect(generation) },
                message: { [weak self] message, id in self?.received(message, id, generation) },
                delivered: { _ in }))
        connect()
        tick(generation)
        beatLater(generation)
    }

    private func connect() {
        conn += 1
        let will = OutboundMessage(
            topic: topic(.status(executor: name)), payload: ExecutorStatus(.lost, boot: boot, conn: conn).encoded,
            retain: true)
        client?.connect(will: will)
    }

    private func reconnect(_ generation: Int) {
        world.after(world.random.uniform(100...2000)) { [weak self] in
            guard let self, self.generation == generation, self.isUp else { return }
            if self.isFrozen { return self.reconnect(generation) }
            self.connect()
        }
    }

    private func connected(_ generation: Int) {
        guard generation == self.generation, let client else { return }
        client.subscribe([
            Subscription(filter: "\(workspace)/martlet1/work/+/\(name)", wantsRetained: false),
            Subscription(filter: "\(workspace)/martlet1/grant/\(name)/+", wantsRetained: false),
        ])
        client.publish(OutboundMessage(topic: topic(.card(executor: name)), payload: card.encoded, retain: true))
        client.publish(
            OutboundMessage(
                topic: topic(.status(executor: name)),
                payload: ExecutorStatus(.online, boot: boot, conn: conn).encoded, retain: true))
        beat()
        claimAll()
    }

    /// Kills the process; all it held is lost.
    public func kill(noticeMs: Int = 0) {
        guard isUp else { return }
        world.note("\(name) is killed")
        isUp = false
        isFrozen = false
        generation += 1
        client?.kill(noticeMs: noticeMs)
        client = nil
        attempts.removeAll()
        unconfirmed.removeAll()
        claimSeq.removeAll()
        held.removeAll()
    }

    /// Stops the process without ending it.
    public func freeze() { isFrozen = isUp }

    /// Lets it go on.
    public func thaw() {
        guard isFrozen else { return }
        isFrozen = false
        let messages = held
        held.removeAll()
        for message in messages { take(message) }
    }

    /// Cuts its connection.
    public func cut(noticeMs: Int) {
        if let number = client?.connectionNumber { world.drop(number, noticeMs: noticeMs) }
    }

    /// Behaves from now on.
    public func heal() {
        temper = Temper()
        temper.transientPercent = 0
        temper.permanentPercent = 0
        temper.refusePercent = 0
        temper.releasePercent = 0
        temper.repeatPercent = 0
        temper.workMs = 1...500
        thaw()
        start()
    }

    // MARK: Messages

    private func received(_ message: InboundMessage, _ id: Int?, _ generation: Int) {
        guard generation == self.generation else { return }
        if let id { client?.acknowledge(id) }
        if isFrozen { held.append(message) } else { take(message) }
    }

    private func take(_ message: InboundMessage) {
        guard let topic = Topic(message.topic) else { return }
        switch topic.place {
        case .work:
            guard let work = try? WorkMessage(decoding: message.payload) else { return }
            take(work)
        case .grant(_, let slot):
            guard let grant = try? Contract.Grant(decoding: message.payload) else { return }
            take(grant, slot: Int(slot.dropFirst()) ?? 0)
        default: break
        }
    }

    private func take(_ work: WorkMessage) {
        switch work {
        case .assign(let assignment): begin(assignment, pulled: false)
        case .cancel(let attempt, _, _):
            if attempts[attempt.epoch] != nil { attempts[attempt.epoch]?.isCanceled = true }
        case .revoke(let attempt, _):
            attempts[attempt.epoch] = nil
            unconfirmed[attempt.epoch] = nil
        case .beatAck(let ack):
            for pair in ack.revoked {
                attempts[pair.epoch] = nil
                unconfirmed[pair.epoch] = nil
            }
            for pair in ack.confirmed { confirm(pair.epoch) }
            for pair in ack.resend { unconfirmed[pair.epoch]?.nextSend = 0 }
            if ack.code == .notFound {
                client?.publish(
                    OutboundMessage(topic: topic(.card(executor: name)), payload: card.encoded, retain: true))
            }
        case .load, .unload, .error: break
        }
    }

    private func confirm(_ epoch: Int) {
        guard let outcome = unconfirmed.removeValue(forKey: epoch) else { return }
        if world.random.chance(temper.repeatPercent, of: 100) {
            let generation = generation
            world.after(world.random.uniform(1000...60_000)) { [weak self] in
                guard let self, self.generation == generation else { return }
                self.history.saw("outcome repeated late")
                self.send(outcome)
            }
        }
    }

    private func take(_ grant: Contract.Grant, slot: Int) {
        switch grant {
        case .task(let assignment):
            begin(assignment, pulled: true)
        case .none(let retryAfterMs, _):
            let generation = generation
            world.after(retryAfterMs) { [weak self] in
                guard let self, self.generation == generation, !self.isFrozen else { return }
                self.claim(slot)
            }
        }
    }

    private func begin(_ assignment: Assignment, pulled: Bool) {
        if let wanted = assignment.boot, wanted != boot { return }
        if assignment.term < highestTerm { return }
        highestTerm = max(highestTerm, assignment.term)
        let key = "\(assignment.principal)/\(assignment.task)"
        if assignment.epoch <= highest[key] ?? -1 { return }
        if let older = highest[key] { attempts[older] = nil }
        highest[key] = assignment.epoch
        if !pulled && world.random.chance(temper.refusePercent, of: 100) { return refuse(assignment) }
        let length = world.random.uniform(temper.workMs)
        history.starts.append(
            History.Work(
                time: world.time, executor: name, key: historyKey(assignment), epoch: assignment.epoch))
        attempts[assignment.epoch] = Attempt(
            assignment: assignment, end: world.time + length, deadline: world.time + fence(assignment))
        if !(length < 500 && !pulled && world.random.chance(1, of: 3)) {
            report(Report(.accept, epoch: assignment.epoch), assignment.task)
        }
    }

    private func fence(_ assignment: Assignment) -> Int {
        assignment.leaseMs - max(500, assignment.leaseMs / 10)
    }

    private func historyKey(_ assignment: Assignment) -> History.Key {
        History.Key(workspace: workspace, principal: assignment.principal, id: assignment.task)
    }

    private func refuse(_ assignment: Assignment) {
        var refusal = Report(.refuse, epoch: assignment.epoch)
        let reasons: [Report.Reason] = [.busy, .rateLimited, .quota, .busy]
        refusal.reason = reasons[world.random.uniform(0...3)]
        refusal.retryAfterMs = world.random.uniform(100...2000)
        history.safeEpochs.insert(assignment.epoch)
        history.saw("refused \(refusal.reason?.rawValue ?? "")")
        report(refusal, assignment.task)
    }

    private func report(_ report: Report, _ task: String) {
        client?.publish(OutboundMessage(topic: topic(.report(executor: name, id: task)), payload: report.encoded))
    }

    // MARK: Time

    private func tick(_ generation: Int) {
        world.after(100) { [weak self] in
            guard let self, self.generation == generation, self.isUp else { return }
            if !self.isFrozen { self.advance() }
            self.tick(generation)
        }
    }

    private func advance() {
        for epoch in attempts.keys.sorted() {
            guard let attempt = attempts[epoch] else { continue }
            if attempt.isCanceled {
                finish(epoch, attempt, canceled: true)
            } else if world.time >= attempt.deadline && !temper.disobeys {
                history.saw("self-fence")
                attempts[epoch] = nil
                report(Report(.release, epoch: epoch), attempt.assignment.task)
                if pulls { claimAll() }
            } else if world.time >= attempt.end {
                finish(epoch, attempt, canceled: false)
            }
        }
        for epoch in unconfirmed.keys.sorted() {
            guard var outcome = unconfirmed[epoch], outcome.nextSend <= world.time else { continue }
            outcome.nextSend = world.time + 5000
            unconfirmed[epoch] = outcome
            send(outcome)
        }
    }

    private func finish(_ epoch: Int, _ attempt: Attempt, canceled: Bool) {
        attempts[epoch] = nil
        defer { if pulls { claimAll() } }
        if world.random.chance(temper.silentPercent, of: 100) {
            history.saw("executor silent")
            return
        }
        if !canceled && world.random.chance(temper.releasePercent, of: 100) {
            report(Report(.release, epoch: epoch), attempt.assignment.task)
            return
        }
        var outcome = Report(.outcome, epoch: epoch)
        outcome.status = canceled ? .canceled : .success
        outcome.output = RawJSON { $0.object { $0.field("by", name) } }
        outcome.cost = world.random.uniform(0...100)
        if !canceled { spoil(&outcome) }
        history.outcomes.append(
            History.Work(time: world.time, executor: name, key: historyKey(attempt.assignment), epoch: epoch))
        unconfirmed[epoch] = Outcome(topicID: attempt.assignment.task, report: outcome, nextSend: 0)
    }

    private func spoil(_ outcome: inout Report) {
        let draw = world.random.uniform(1...100)
        if draw <= temper.permanentPercent {
            outcome.status = .failed
            outcome.error = ErrorBody(Code(rawValue: "no_paper"), "the tray is empty", errorClass: .permanent)
        } else if draw <= temper.permanentPercent + temper.transientPercent {
            outcome.status = .failed
            let safe = world.random.chance(1, of: 3)
            outcome.error = ErrorBody(.internal, "it did not work", errorClass: .transient, safe: safe ? true : nil)
            if safe { history.safeEpochs.insert(outcome.epoch) }
        }
    }

    private func send(_ outcome: Outcome) { report(outcome.report, outcome.topicID) }

    // MARK: Beats and claims

    private func beatLater(_ generation: Int) {
        world.after(beatMs) { [weak self] in
            guard let self, self.generation == generation, self.isUp else { return }
            if !self.isFrozen { self.beat() }
            self.beatLater(generation)
        }
    }

    private func beat() {
        guard let client, client.isUp else { return }
        seq += 1
        var beat = Beat(boot: boot, seq: seq)
        beat.freeSlots = max(0, slots - attempts.count)
        beat.leases = attempts.keys.sorted().compactMap { epoch in
            attempts[epoch].map { LeasePair($0.assignment.task, epoch) }
        }
        beat.unconfirmed = unconfirmed.keys.sorted().compactMap { epoch in
            unconfirmed[epoch].map { LeasePair($0.topicID, epoch) }
        }
        client.publish(OutboundMessage(topic: topic(.beat(executor: name)), payload: beat.encoded))
        // A lease counts from the sending of what renews it.
        for epoch in attempts.keys.sorted() {
            guard let attempt = attempts[epoch] else { continue }
            attempts[epoch]?.deadline = max(attempt.deadline, world.time + fence(attempt.assignment))
        }
        if pulls { claimAll() }
    }

    private func claimAll() {
        guard pulls, let client, client.isUp else { return }
        for slot in attempts.count..<max(slots, attempts.count) { claim(slot) }
    }

    private func claim(_ slot: Int) {
        guard let client, client.isUp, attempts.count < slots else { return }
        claimSeq[slot, default: 0] += 1
        var claim = Claim()
        claim.seq = claimSeq[slot]
        claim.boot = boot
        if world.random.chance(1, of: 2) { claim.waitMs = world.random.uniform(1000...20_000) }
        client.publish(
            OutboundMessage(topic: topic(.claim(executor: name, slot: "s\(slot)")), payload: claim.encoded))
    }
}
