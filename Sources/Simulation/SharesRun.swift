import Contract
import Determinism
import DispatcherCore
import Machine
import TimeModel
import Wire

/// A dispatcher under a load that never lets up, without faults: owners and lanes must get their shares (I32), and each
/// runnable task its decision in time (I28). One executor, many slots, tasks of one length, ten thousand decisions.
struct SharesRun {
    /// Decisions that are looked at.
    static let decisions = 10_000
    private static let lengthMs = 20
    private static let slots = 20

    private var dispatcher: Dispatcher
    private let mutant: Mutant?
    private var time = 0
    private var running: [(end: Int, assignment: Assignment)] = []
    private var grants: [(owner: String, lane: Priority)] = []
    /// Decisions that had been made when a task was accepted, and its place among its owner's of that lane.
    private var accepted: [String: (at: Int, place: Int)] = [:]
    private var places: [String: Int] = [:]
    private var trace = TraceHash()
    private(set) var breaches: [Breach] = []
    /// So many decisions were made before all lanes of all owners had something to do.
    private var saturatedFrom = 0
    private let owners: [String]
    private let lanes: [Priority]

    init(seed: UInt64, mutant: Mutant? = nil) {
        self.mutant = mutant
        var random = SeededGenerator(seed: seed)
        owners = (0..<random.uniform(2...4)).map { "p\($0)" }
        lanes = random.chance(1, of: 2) ? [.high, .normal, .low] : [.high, .normal]
        dispatcher = Dispatcher(configuration: DispatcherSetup().without(mutant), seed: seed)
    }

    private var now: Now {
        Now(
            wall: WallTime(milliseconds: World.epoch + time), monotonic: MonotonicTime(milliseconds: 1_000_000 + time))
    }

    private mutating func handle(_ input: ServiceInput) {
        var effects: [ServiceEffect] = []
        dispatcher.handle(input, at: now, emitting: &effects)
        var round = 0
        while let wake = dispatcher.nextWake, wake <= now.monotonic, round < 1000 {
            dispatcher.handle(.wake, at: now, emitting: &effects)
            round += 1
        }
        for case .publish(let message) in effects {
            guard let topic = Topic(message.topic) else { continue }
            if case .service = topic.place, !message.payload.isEmpty {
                pending.append(InboundMessage(topic: message.topic, payload: message.payload, retained: true))
            }
            guard case .work(let capability, _) = topic.place, capability != Names.noCapability,
                case .assign(let assignment)? = try? WorkMessage(decoding: message.payload)
            else { continue }
            take(assignment)
        }
    }

    private var pending: [InboundMessage] = []
    private var unaccepted: [Assignment] = []

    /// Accepts at once, so that each attempt runs from its grant on.
    private mutating func accept() {
        while !unaccepted.isEmpty {
            let assignment = unaccepted.removeFirst()
            publish(
                .report(executor: "e0", id: assignment.task), Report(.accept, epoch: assignment.epoch).encoded)
        }
    }

    private mutating func take(_ assignment: Assignment) {
        trace.add(assignment.task)
        running.append((time + SharesRun.lengthMs, assignment))
        unaccepted.append(assignment)
        let lane = lanes.first { assignment.task.hasPrefix($0.rawValue) } ?? .normal
        grants.append((assignment.principal, lane))
        let name = "\(assignment.principal)/\(assignment.task)"
        guard let start = accepted.removeValue(forKey: name) else { return }
        let waited = grants.count - start.at
        let bound = 17 * 33 * (owners.count * (start.place + 2) + 1)
        if waited > bound { breaches.append(Breach(time, "I28 \(name) waited \(waited) decisions of \(bound)")) }
    }

    private mutating func publish(_ place: Topic.Place, _ payload: [UInt8], retained: Bool = false) {
        let topic = Topic(Names.defaultWorkspace, place).name
        handle(.message(InboundMessage(topic: topic, payload: payload, retained: retained)))
    }

    private mutating func submit(_ owner: String, _ lane: Priority) {
        let key = "\(owner)/\(lane.rawValue)"
        places[key, default: 0] += 1
        let id = "\(lane.rawValue)\(places[key] ?? 0)"
        var intent = Intent()
        intent.priority = lane
        intent.updates = UpdateLevel.none
        let done = grants.count { $0.owner == owner && $0.lane == lane }
        accepted["\(owner)/\(id)"] = (grants.count, (places[key] ?? 1) - 1 - done)
        publish(.intent(principal: owner, capability: "work", id: id), intent.encoded)
    }

    private mutating func prepare() {
        handle(.started)
        handle(.connected)
        for message in pending { handle(.message(message)) }
        time += 3000
        handle(.wake)
        var entry = CapabilityEntry(name: "work")
        entry.expectedMs = SharesRun.lengthMs
        var card = Card(boot: "b", rev: 1, capabilities: [entry])
        (card.slots, card.reserved, card.beatMs) = (SharesRun.slots, 0, 600_000)
        publish(.card(executor: "e0"), card.encoded, retained: true)
        publish(
            .status(executor: "e0"), ExecutorStatus(.online, boot: "b", conn: 1).encoded, retained: true)
    }

    /// Plays it: every lane of every owner has always something to do.
    mutating func run() -> [Breach] {
        prepare()
        for owner in owners { for lane in lanes { for _ in 0..<SharesRun.slots * 2 { submit(owner, lane) } } }
        // Until here the first owners had a start before the others.
        saturatedFrom = grants.count
        while grants.count - saturatedFrom < SharesRun.decisions, time < 600_000 {
            accept()
            time += SharesRun.lengthMs
            let ended = running.filter { $0.end <= time }
            running.removeAll { $0.end <= time }
            for (_, assignment) in ended {
                var outcome = Report(.outcome, epoch: assignment.epoch)
                outcome.status = .success
                publish(.report(executor: "e0", id: assignment.task), outcome.encoded)
                let lane = lanes.first { assignment.task.hasPrefix($0.rawValue) } ?? .normal
                submit(assignment.principal, lane)
            }
        }
        judge()
        return breaches
    }

    /// The hash of all grants in their order.
    var hash: UInt64 { trace.value }
    /// How many decisions were made.
    var count: Int { grants.count }

    private mutating func judge() {
        let grants = self.grants[saturatedFrom...]
        if grants.count < SharesRun.decisions {
            breaches.append(Breach(time, "I32 only \(grants.count) decisions were made"))
            return
        }
        // Tasks of one length on one slot: every charge is one.
        for lane in lanes {
            let counts = owners.map { owner in grants.count { $0.owner == owner && $0.lane == lane } }
            let most = (counts.max() ?? 0) - (counts.min() ?? 0)
            if most > 2 {
                breaches.append(Breach(time, "I32 equal owners in \(lane.rawValue) got \(counts) decisions"))
            }
        }
        let weights: [Priority: Int] = [.high: 16, .normal: 4, .low: 1]
        let sum = lanes.reduce(0) { $0 + (weights[$1] ?? 0) }
        for lane in lanes {
            let share = grants.count { $0.lane == lane }
            let wanted = grants.count * (weights[lane] ?? 0) / sum
            if abs(share - wanted) * 20 > wanted {
                breaches.append(Breach(time, "I32 lane \(lane.rawValue) got \(share) of \(wanted) decisions"))
            }
        }
    }

    /// A report like that of a swarm.
    static func report(seed: UInt64, mutant: Mutant? = nil) -> RunReport {
        var run = SharesRun(seed: seed, mutant: mutant)
        let breaches = run.run()
        return RunReport(
            seed: seed,
            violations: breaches.prefix(10).map { breach in
                let parts = breach.sentence.split(separator: " ", maxSplits: 1)
                return "\(parts[0]) at \(breach.time) ms: \(parts[1])"
            },
            sometimes: [("shares measured", 1)], trace: run.hash, events: run.count, intents: run.count, faults: [])
    }
}
