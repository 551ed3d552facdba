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
    /// A planted bug: as `disobeys`, but it is held to be honest.
    public var forgetsDeadline = false
    /// Parts per thousand by which its clock runs fast.
    public var ratePermille = 0
    /// How long an attempt takes, in ms.
    public var workMs: ClosedRange<Int> = 1...3000

    /// A dutiful one.
    public init() {}
}

/// An executor written from the contract alone, apart from the project's own: push and pull, leases, self-fence,
/// outcomes kept until they are confirmed. Its temper makes it late, forgetful or dishonest.
public final class ScriptedExecutor {
    struct Attempt {
        var assignment: Assignment
        var end: Int
        var deadline: Int
        var isCanceled = false
        var isAccepted = false
    }

    struct Outcome {
        var topicID: String
        var report: Report
        var nextSend: Int
    }

    /// Its name, account and client id.
    public let name: String
    /// How it behaves.
    public var temper = Temper()
    let world: World
    let history: History
    private let workspace: String
    var card: Card
    let pulls: Bool
    private let pushes: Bool
    let slots: Int
    var client: SimulatedClient?
    var boot = ""
    var conn = 0
    var seq = 0
    var attempts: [Int: Attempt] = [:]
    var unconfirmed: [Int: Outcome] = [:]
    var claimSeq: [Int: Int] = [:]
    private var highest: [String: Int] = [:]
    private var highestTerm = 0
    var isUp = false
    var isFrozen = false
    var isAsleep = false
    private var alarm: Int?
    var beatTimes: [Int: Int] = [:]
    var claimTimes: [Int: Int] = [:]
    /// Claims that wait for their answer, by slot, while `isWatched`.
    var parked: [Int: History.ParkedClaim] = [:]
    /// Whether its claims are followed: in the phase without faults.
    var isWatched = false
    private var held: [InboundMessage] = []
    var generation = 0

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

    var beatMs: Int { card.beatMs ?? Defaults.beatMs }

    func topic(_ place: Topic.Place) -> String { Topic(workspace, place).name }

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
                disconnected: { [weak self] in
                    self?.parked.removeAll()
                    self?.reconnect(generation)
                },
                message: { [weak self] message, id in self?.received(message, id, generation) },
                delivered: { _ in }))
        isAsleep = false
        connect()
        beatLater(generation)
        if card.wakeEveryMs != nil { sleepLater(generation) }
    }

    func connect() {
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
            if !self.isAsleep { self.connect() }
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
        beatTimes.removeAll()
        claimTimes.removeAll()
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
        advance()
    }

    /// Cuts its connection.
    public func cut(noticeMs: Int) {
        if let number = client?.connectionNumber { world.drop(number, noticeMs: noticeMs) }
    }

    /// Behaves from now on.
    public func heal() {
        let ratePermille = temper.ratePermille
        temper = Temper()
        temper.ratePermille = ratePermille
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
        if isFrozen {
            held.append(message)
        } else {
            take(message)
            schedule()
        }
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
        case .assign(let assignment): begin(assignment, pulled: false, from: world.time)
        case .cancel(let attempt, _, _):
            if attempts[attempt.epoch] != nil { attempts[attempt.epoch]?.isCanceled = true }
        case .revoke(let attempt, _):
            drop(attempt.epoch)
            unconfirmed[attempt.epoch] = nil
        case .beatAck(let ack):
            for pair in ack.revoked {
                drop(pair.epoch)
                unconfirmed[pair.epoch] = nil
            }
            if let seq = ack.seq, let sentAt = beatTimes[seq] { renew(sentAt) }
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
        parked[slot] = nil
        switch grant {
        case .task(let assignment):
            begin(assignment, pulled: true, from: claimTimes[slot] ?? world.time)
        case .none(let retryAfterMs, _):
            let generation = generation
            world.after(retryAfterMs) { [weak self] in
                guard let self, self.generation == generation, !self.isFrozen else { return }
                self.claim(slot)
            }
        }
    }

    private func begin(_ assignment: Assignment, pulled: Bool, from sentAt: Int) {
        if let wanted = assignment.boot, wanted != boot { return }
        if assignment.term < highestTerm { return }
        highestTerm = max(highestTerm, assignment.term)
        let key = "\(assignment.principal)/\(assignment.task)"
        if assignment.epoch <= highest[key] ?? -1 { return }
        if let older = highest[key] { drop(older) }
        highest[key] = assignment.epoch
        if !pulled && world.random.chance(temper.refusePercent, of: 100) { return refuse(assignment) }
        let length = world.random.uniform(temper.workMs)
        let attempt = Attempt(assignment: assignment, end: world.time + length, deadline: deadline(assignment, sentAt))
        history.starts.append(work(attempt))
        attempts[assignment.epoch] = attempt
        if !(length < 500 && !pulled && world.random.chance(1, of: 3)) {
            report(Report(.accept, epoch: assignment.epoch), assignment.task)
            attempts[assignment.epoch]?.isAccepted = true
        }
        noteDeadline(assignment.epoch)
    }

    private func work(_ attempt: Attempt) -> History.Work {
        History.Work(
            time: world.time, executor: name, key: historyKey(attempt.assignment), epoch: attempt.assignment.epoch,
            term: attempt.assignment.term, deadline: attempt.deadline, isLiar: temper.disobeys)
    }

    /// What is given back, revoked or over is worked on no longer.
    private func drop(_ epoch: Int) {
        if attempts.removeValue(forKey: epoch) != nil { history.stopped[epoch] = world.time }
    }

    private func noteDeadline(_ epoch: Int) {
        if let attempt = attempts[epoch] { history.deadlines[epoch, default: []].append(work(attempt)) }
    }

    /// A lease counts from the sending of what renews it, by a clock that may be one percent wrong.
    func deadline(_ assignment: Assignment, _ sentAt: Int) -> Int {
        let length = assignment.leaseMs - max(500, assignment.leaseMs / 10)
        return sentAt + length * 1000 / (1000 + temper.ratePermille)
    }

    func renew(_ sentAt: Int) {
        for seq in beatTimes.keys where (beatTimes[seq] ?? 0) <= sentAt { beatTimes[seq] = nil }
        for epoch in attempts.keys.sorted() {
            guard let attempt = attempts[epoch] else { continue }
            let until = deadline(attempt.assignment, sentAt)
            guard until > attempt.deadline else { continue }
            attempts[epoch]?.deadline = until
            noteDeadline(epoch)
        }
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

    /// Wakes when the next attempt ends or reaches its deadline, or an outcome is to be sent again.
    private func schedule() {
        if let alarm { world.cancel(alarm) }
        alarm = nil
        var due: Int?
        for attempt in attempts.values {
            let end = temper.disobeys || temper.forgetsDeadline ? attempt.end : min(attempt.end, attempt.deadline)
            due = min(due ?? .max, attempt.isCanceled ? world.time : end)
        }
        for outcome in unconfirmed.values { due = min(due ?? .max, outcome.nextSend) }
        guard let due, isUp else { return }
        let generation = generation
        alarm = world.after(due - world.time) { [weak self] in
            guard let self, self.generation == generation else { return }
            self.alarm = nil
            if !self.isFrozen { self.advance() }
        }
    }

    private func advance() {
        guard isUp, !isFrozen else { return }
        for epoch in attempts.keys.sorted() {
            guard let attempt = attempts[epoch] else { continue }
            if world.time >= attempt.deadline && !temper.disobeys && !temper.forgetsDeadline {
                history.saw("self-fence")
                drop(epoch)
                report(Report(.release, epoch: epoch), attempt.assignment.task)
                if pulls { claimAll() }
            } else if attempt.isCanceled {
                finish(epoch, attempt, canceled: true)
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
        schedule()
    }

    private func finish(_ epoch: Int, _ attempt: Attempt, canceled: Bool) {
        drop(epoch)
        defer { if pulls { claimAll() } }
        if world.random.chance(temper.silentPercent, of: 100) {
            history.saw("executor silent")
            return
        }
        if !canceled && world.random.chance(temper.releasePercent, of: 100) {
            var release = Report(.release, epoch: epoch)
            if world.random.chance(1, of: 2) {
                release.safe = true
                history.safeEpochs.insert(epoch)
            }
            report(release, attempt.assignment.task)
            return
        }
        var outcome = Report(.outcome, epoch: epoch)
        outcome.status = canceled ? .canceled : .success
        outcome.output = RawJSON { $0.object { $0.field("by", name) } }
        outcome.cost = world.random.uniform(0...100)
        if !canceled { spoil(&outcome) }
        history.effects.append(work(attempt))
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
}
