import Contract
import Determinism
import DispatcherCore
import Machine
import SchedulerCore
import Simulation
import Testing
import TimeModel
import Wire

/// A real scheduler and dispatcher on a simulated broker, and one executor, `desk`, that does what a test
/// says.
final class Fleet {
    let world = World(seed: 1)
    let scheduler: ServiceNode<SchedulerCore>
    let dispatcher: ServiceNode<Dispatcher>
    /// What `desk` got, oldest first.
    private(set) var assignments: [(assignment: Assignment, at: Int)] = []
    private(set) var events: [Event] = []
    private(set) var results: [(result: TaskResult, at: Int)] = []
    private(set) var updates: [Update] = []
    private(set) var replies: [String: Reply] = [:]
    private(set) var notes: [[UInt8]] = []
    /// What `desk` does with an assignment.
    var work: (Fleet, Assignment) -> Void = { $0.end($1, .success) }
    /// Whether `desk` beats.
    var beats = true
    private var desk: SimulatedClient?
    private var person: SimulatedClient?
    private var boot = 0
    private var seq = 0

    init(policy: String? = nil) throws {
        let rules = try policy.map { try RawJSON(validating: Array($0.utf8)) }
        scheduler = ServiceNode(world, name: "scheduler") { seed in
            var settings = SchedulerSettings()
            settings.boot = "s\(seed)"
            settings.zones = SystemZones.catalog
            return SchedulerCore(settings: settings)
        }
        dispatcher = ServiceNode(world, name: "dispatcher") { seed in
            var configuration = DispatcherConfiguration()
            configuration.policy = rules
            return Dispatcher(configuration: configuration, seed: seed)
        }
        scheduler.violated = { Issue.record("\($0)") }
        dispatcher.violated = { Issue.record("\($0)") }
        world.observe = { [weak self] _, message in self?.observe(message) }
        dispatcher.start()
        scheduler.start()
        connectPerson()
        connectDesk()
        beat()
        pass(3000)
    }

    /// Time passes.
    func pass(_ ms: Int) { world.run(until: world.time + ms) }

    /// The wall clock.
    var wall: WallTime { SimulatedClock().now(world.time).wall }

    private func observe(_ message: InboundMessage) {
        guard let topic = Topic(message.topic) else { return }
        switch topic.place {
        case .event: if let event = try? Event(decoding: message.payload) { events.append(event) }
        case .result:
            if let result = try? TaskResult(decoding: message.payload) { results.append((result, world.time)) }
        case .update: if let update = try? Update(decoding: message.payload) { updates.append(update) }
        case .reply: replies[message.topic] = try? Reply(decoding: message.payload)
        case .notify: notes.append(message.payload)
        default: break
        }
    }

    // The person.

    private func connectPerson() {
        person = SimulatedClient(
            world, name: "op", username: "op", keepsSession: true,
            handlers: SimulatedClient.Handlers(
                connected: {}, disconnected: {},
                message: { [weak self] _, id in
                    if let id { self?.person?.acknowledge(id) }
                }, delivered: { _ in }))
        person?.connect(will: nil)
    }

    @discardableResult func command(
        _ noun: String, _ verb: String, _ id: String, _ body: String, by principal: String = "op"
    ) -> Reply? {
        let place = Topic.Place.command(principal: principal, noun: noun, verb: verb, id: id)
        let answer = Topic("main", .reply(principal: principal, noun: noun, verb: verb, id: id)).name
        replies[answer] = nil
        person?.publish(OutboundMessage(topic: Topic("main", place).name, payload: Array(body.utf8)))
        pass(200)
        return replies[answer]
    }

    /// A one-shot for `desk` in so many ms.
    @discardableResult func once(in ms: Int, _ rest: String) -> Reply? {
        command(
            "schedule", "put", "s",
            #"{"type":"one-shot","spec":{"run_at":"\#((wall + ms).rfc3339)"},"target":{"workspace_id":"main","agent_id":"desk"}\#(rest)}"#
        )
    }

    /// What everybody sees of a schedule.
    func view(_ id: String) throws -> ScheduleView {
        let topic = "main/martlet1/schedule/\(id)"
        let message = try #require(world.broker.retained.first { $0.topic == topic })
        return try ScheduleView(decoding: message.payload)
    }

    // The executor.

    private func say(_ place: Topic.Place, _ payload: [UInt8], retain: Bool = false) {
        desk?.publish(OutboundMessage(topic: Topic("main", place).name, payload: payload, retain: retain))
    }

    private func connectDesk() {
        desk = SimulatedClient(
            world, name: "desk", username: "desk", keepsSession: true,
            handlers: SimulatedClient.Handlers(
                connected: { [weak self] in
                    self?.desk?.subscribe([Subscription(filter: "main/martlet1/work/+/desk", wantsRetained: false)])
                    self?.hello()
                }, disconnected: {},
                message: { [weak self] message, id in
                    if let id { self?.desk?.acknowledge(id) }
                    self?.take(message)
                }, delivered: { _ in }))
        desk?.connect(will: nil)
    }

    /// `desk` begins anew: card and status of a new boot.
    func hello() {
        boot += 1
        var card = Card(boot: "b\(boot)", rev: boot, capabilities: [CapabilityEntry(name: "run")])
        card.slots = 4
        say(.card(executor: "desk"), card.encoded, retain: true)
        status(.online)
        sendBeat()
    }

    /// `desk` says how it is, or its Will does.
    func status(_ state: ExecutorState) {
        say(.status(executor: "desk"), ExecutorStatus(state, boot: "b\(boot)", conn: 1).encoded, retain: true)
    }

    private func beat() {
        sendBeat()
        world.after(10_000) { [weak self] in self?.beat() }
    }

    private func sendBeat() {
        guard beats, boot > 0 else { return }
        seq += 1
        var beat = Beat(boot: "b\(boot)", seq: seq)
        beat.freeSlots = 4
        say(.beat(executor: "desk"), beat.encoded)
    }

    private func take(_ message: InboundMessage) {
        guard let work = try? WorkMessage(decoding: message.payload), case .assign(let assignment) = work else {
            return
        }
        assignments.append((assignment, world.time))
        self.work(self, assignment)
    }

    /// `desk` accepts and says nothing more.
    func accept(_ assignment: Assignment) {
        var report = Report(.accept, epoch: assignment.epoch)
        report.principal = assignment.principal
        say(.report(executor: "desk", id: assignment.task), report.encoded)
    }

    /// `desk` has an outcome.
    func end(_ assignment: Assignment, _ status: Report.Outcome) {
        var report = Report(.outcome, epoch: assignment.epoch)
        report.status = status
        report.principal = assignment.principal
        if status == .failed { report.error = ErrorBody(.internal, "broken") }
        say(.report(executor: "desk", id: assignment.task), report.encoded)
    }

    /// How often an event was told.
    func count(_ name: EventName) -> Int { Set(events.filter { $0.event == name }.map(\.eventID)).count }
}
