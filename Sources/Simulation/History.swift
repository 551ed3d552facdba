import Contract
public import Determinism
public import Machine
import Wire

/// What was seen on the bus, written to the journal and done by workers in one run; the checkers read nothing else.
public final class History {
    /// A task by its workspace, principal and id.
    public struct Key: Hashable, Comparable, Sendable {
        /// The workspace.
        public var workspace: String
        /// Whose task.
        public var principal: String
        /// Its id.
        public var id: String

        /// In the order of the three.
        public static func < (a: Key, b: Key) -> Bool {
            (a.workspace, a.principal, a.id) < (b.workspace, b.principal, b.id)
        }
    }

    /// A record that has become durable.
    struct Durable {
        /// When, in true ms.
        var time: Int
        /// What it says.
        var line: JournalLine
    }

    /// What the dispatcher has said.
    enum Saying {
        case assign(Assignment, executor: String, pulled: Bool)
        case noGrant(executor: String, slot: String)
        case result(Key, TaskResult, payload: [UInt8])
        case update(Key, Update)
        case event(Event)
        case service(ServiceRecord)
    }

    /// Something the dispatcher handed to its connection.
    struct Said {
        /// When, in true ms.
        var time: Int
        /// How many records were durable at that moment.
        var durable: Int
        /// What.
        var saying: Saying
    }

    /// A start or an end of work in a worker.
    public struct Work: Hashable, Sendable {
        /// When, in true ms.
        public var time: Int
        /// Who.
        public var executor: String
        /// Which task.
        public var key: Key
        /// Under which epoch.
        public var epoch: Int
        /// Under which term.
        public var term: Int
        /// Until when it may work, in true ms.
        public var deadline: Int
        /// Whether it lies about its deadline on purpose.
        public var isLiar = false
    }

    /// A report that the broker took.
    struct Heard {
        var time: Int
        var executor: String
        var report: Report
    }

    /// A claim that waits.
    struct ParkedClaim {
        var time: Int
        var executor: String
        var slot: String
        var until: Int
    }

    /// What the probes of the last phase expected and met.
    struct Expectation {
        /// Whose rule it is.
        var rule: String
        /// What is expected.
        var text: String
        /// Whether it came.
        var isMet: Bool
    }

    /// Sentences that name what went wrong, with the id of the rule.
    public private(set) var violations: [String] = []
    /// How often things happened that every set of seeds must meet.
    public private(set) var sometimes = SortedDictionary<String, Int>()

    /// With what the dispatcher is configured.
    var setup = DispatcherSetup()
    /// Records that became durable, in their order.
    private(set) var lines: [Durable] = []
    /// What the dispatcher said, in its order.
    private(set) var said: [Said] = []
    /// Reports that the broker took, in its order.
    private(set) var reports: [Heard] = []
    /// Starts of work.
    var starts: [Work] = []
    /// Ends of work with a side effect.
    var effects: [Work] = []
    /// The latest deadline of each epoch that a worker works on, and the moment it stopped.
    var deadlines: [Int: [Work]] = [:]
    /// Epochs whose work is over, and when.
    var stopped: [Int: Int] = [:]
    /// Epochs that were refused by a worker, or ended safe.
    var safeEpochs: Set<Int> = []
    /// Deliveries of intents that a turn left without an answer.
    private(set) var unanswered: [(time: Int, topic: String)] = []
    /// Commands that were sent, and when.
    private(set) var asked: [String: Int] = [:]
    /// Commands that were answered.
    private(set) var answered: Set<String> = []
    /// Commands about circuits that were answered: capability, and when.
    private(set) var circuitCommands: [(time: Int, capability: String)] = []
    /// Keys that publishers sent.
    private(set) var sent: Set<Key> = []
    /// What they sent first under each key, as far as it can be read.
    private(set) var intents: [Key: Intent] = [:]
    /// What the core said of itself.
    private(set) var coreFaults: [(time: Int, sentence: String)] = []
    /// Claims that were parked, in the phase without faults.
    var parked: [ParkedClaim] = []
    /// What the last phase expected.
    var expectations: [Expectation] = []
    /// What the broker retains at the end.
    var retained: [InboundMessage] = []
    /// Requests without an end when all is over.
    var open: [String] = []
    /// Outcomes that nobody confirmed when all is over.
    var unconfirmed: [String] = []
    /// Moments at which the dispatcher's calendar was set, it was started, or was away.
    private(set) var disturbances: [Int] = []
    /// Whether the calendar was ever set.
    var clockWasSet = false
    /// Whether both phases were played to their end.
    var isComplete = false

    private let world: World
    private var newestStatus: [String: ExecutorStatus] = [:]
    private var circuitStates: [String: String] = [:]
    private var leaseStates: [Int: String] = [:]
    /// Tasks, plans and attached intents that were accepted and have not ended.
    private(set) var openNumbers: Set<Int> = []
    /// Epochs whose slots stay used without authority.
    private(set) var zombies: Set<Int> = []

    /// A history of nothing.
    public init(_ world: World) { self.world = world }

    /// Counts something that should happen now and then.
    public func saw(_ what: String) { sometimes.update(what, initial: 0) { $0 += 1 } }

    /// Records a violation; the first one of a run is what matters.
    public func violate(_ rule: String, _ sentence: String) { violate(rule, at: world.time, sentence) }

    /// Records a violation that happened at a time.
    func violate(_ rule: String, at time: Int, _ sentence: String) {
        guard violations.count < 50 else { return }
        world.note("VIOLATION \(rule) \(sentence)")
        violations.append("\(rule) at \(time) ms: \(sentence)")
    }

    /// A sentence of the core's own checks. Those with the id of an invariant belong to its checker.
    func coreFault(_ sentence: String) {
        guard coreFaults.count < 50 else { return }
        world.note("VIOLATION \(sentence)")
        coreFaults.append((world.time, sentence))
    }

    /// Something happened after which times by the calendar cannot be compared.
    func disturb() { disturbances.append(world.time) }

    // MARK: - The journal

    /// Takes records that became durable.
    func durable(_ records: [[UInt8]]) {
        for record in records {
            guard let line = JournalLine(record) else {
                violate(
                    "I18", "a journal record cannot be read: \(String(decoding: record.prefix(200), as: UTF8.self))")
                continue
            }
            lines.append(Durable(time: world.time, line: line))
            count(line)
        }
    }

    private func count(_ line: JournalLine) {
        switch line.kind {
        case "a", "x": openNumbers.insert(line.number)
        case "e": openNumbers.remove(line.number)
        default: break
        }
        switch line.kind {
        case "a" where line.plan != nil: saw("step")
        case "a" where line.capability == Names.planCapability: saw("plan")
        case "x": saw("attached")
        case "t":
            leaseStates[line.number] = line.lease == nil ? line.state : "leased"
        case "e":
            let state = leaseStates.removeValue(forKey: line.number)
            if line.state == "success", state == "delayed" || state == "queued" { saw("late outcome taken") }
        case "c":
            let key = "\(line.capability)/\(line.executor ?? "")"
            circuitStates[key] = line.circuit.flatMap { JSONValue($0)["state"]?.stringValue }
        case "z":
            saw("zombie")
            zombies.insert(line.epoch)
        case "y": zombies.remove(line.epoch)
        default: break
        }
    }

    /// Intents that are attached to others.
    var attachedKeys: Set<Key> {
        Set(
            lines.filter { $0.line.kind == "x" }
                .map { Key(workspace: $0.line.workspace, principal: $0.line.principal, id: $0.line.id) })
    }

    /// What was sent for a task of the journal; of a redriven one what was sent first.
    func intent(of line: JournalLine) -> Intent? {
        let id = line.id.split(separator: "~").first.map(String.init) ?? line.id
        return intents[Key(workspace: line.workspace, principal: line.principal, id: id)]
    }

    /// Tasks that are accepted and were never given to anybody.
    var waiting: Int {
        var open: Set<Int> = []
        for entry in lines {
            switch entry.line.kind {
            case "a": open.insert(entry.line.number)
            case "t" where entry.line.lease != nil: open.remove(entry.line.number)
            case "e": open.remove(entry.line.number)
            default: break
            }
        }
        return open.count
    }

    // MARK: - What the dispatcher says

    /// A turn's inputs and what was said in it.
    func spoke(_ inputs: [ServiceInput], _ effects: [ServiceEffect]) {
        var answers: Set<String> = []
        for case .publish(let message) in effects where !message.payload.isEmpty {
            guard let topic = Topic(message.topic) else {
                violate("contract", "topic \(message.topic) is none of the contract")
                continue
            }
            take(topic, message)
            switch topic.place {
            case .result(let principal, _, let id), .update(let principal, _, let id):
                answers.insert("\(topic.workspace)/\(principal)/\(id)")
            default: break
            }
        }
        noteUnanswered(inputs, answers)
    }

    private func noteUnanswered(_ inputs: [ServiceInput], _ answers: Set<String>) {
        for input in inputs {
            if case .disconnected = input { return }
        }
        for case .message(let message) in inputs {
            guard !message.retained, let topic = Topic(message.topic),
                case .intent(let principal, _, let id) = topic.place,
                !answers.contains("\(topic.workspace)/\(principal)/\(id)")
            else { continue }
            let intent = try? Intent(decoding: message.payload.isEmpty ? RawJSON.emptyObject.bytes : message.payload)
            if intent?.updates != UpdateLevel.none { unanswered.append((world.time, message.topic)) }
        }
    }

    private func take(_ topic: Topic, _ message: OutboundMessage) {
        switch topic.place {
        case .result(let principal, _, let id):
            guard let result: TaskResult = decode(message) else { return }
            let key = Key(workspace: topic.workspace, principal: principal, id: id)
            say(.result(key, result, payload: message.payload))
            count(result)
        case .update(let principal, _, let id):
            guard let update: Update = decode(message) else { return }
            if update.type == .duplicate { saw("duplicate intent") }
            say(.update(Key(workspace: topic.workspace, principal: principal, id: id), update))
        case .work(let capability, let executor) where capability != Names.noCapability:
            guard let work: WorkMessage = decode(message) else { return }
            if case .assign(let assignment) = work { say(.assign(assignment, executor: executor, pulled: false)) }
        case .grant(let executor, let slot): takeGrant(executor, slot, message)
        case .reply(let principal, let noun, let verb, let id):
            answered.insert("\(principal)/\(noun)/\(verb)/\(id)")
            guard let reply: Reply = decode(message) else { return }
            if !reply.ok && reply.code == nil { violate("I15", "a refusal without a code on \(message.topic)") }
            if noun == "circuit" { circuitCommands.append((world.time, id)) }
            saw(reply.ok ? "command \(noun).\(verb)" : "command refused \(reply.code?.rawValue ?? "-")")
        case .event:
            guard let event: Event = decode(message) else { return }
            count(event)
            say(.event(event))
        case .service:
            guard let record: ServiceRecord = decode(message) else { return }
            say(.service(record))
        case .circuit: let _: CircuitView? = decode(message)
        case .capability: let _: CapabilityView? = decode(message)
        case .offer: let _: Offer? = decode(message)
        case .dead: let _: DeadLetter? = decode(message)
        default: break
        }
    }

    private func takeGrant(_ executor: String, _ slot: String, _ message: OutboundMessage) {
        guard let reply: Contract.Grant = decode(message) else { return }
        switch reply {
        case .task(let assignment): say(.assign(assignment, executor: executor, pulled: true))
        case .none: say(.noGrant(executor: executor, slot: slot))
        }
    }

    private func say(_ saying: Saying) {
        said.append(Said(time: world.time, durable: lines.count, saying: saying))
    }

    private func decode<T: WireReadable>(_ message: OutboundMessage) -> T? {
        do { return try T(decoding: message.payload) } catch {
            violate("contract", "\(message.topic) does not decode: \(error)")
            return nil
        }
    }

    private func count(_ result: TaskResult) {
        if result.acceptedAt == nil {
            saw("refused \(result.error?.code.rawValue ?? "-")")
        } else {
            saw("result \(result.status.rawValue)")
            if let code = result.error?.code { saw("result code \(code.rawValue)") }
        }
    }

    private func count(_ event: Event) {
        saw("event \(event.event.rawValue)")
        guard event.event == .leaseRevoked, let data = event.data.map({ JSONValue($0) }) else { return }
        let code = data["code"]?.stringValue
        if code == "lease_expired" { saw("lease expired") }
        guard code == "lease_expired" || code == "executor_lost", let capability = data["capability"]?.stringValue,
            let executor = data["executor"]?.stringValue
        else { return }
        if circuitStates["\(capability)/\(executor)"] == "half_open" || circuitStates["\(capability)/"] == "half_open" {
            saw("probe lost")
        }
    }

    // MARK: - What others say

    /// Takes a message that a client published, in the order of the broker.
    public func observe(_ username: String, _ message: InboundMessage) {
        guard username != "dispatcher", let topic = Topic(message.topic) else { return }
        switch topic.place {
        case .command(let principal, let noun, let verb, let id):
            asked["\(principal)/\(noun)/\(verb)/\(id)"] = world.time
        case .intent(let principal, _, let id):
            let key = Key(workspace: topic.workspace, principal: principal, id: id)
            guard sent.insert(key).inserted else { return }
            intents[key] = try? Intent(decoding: message.payload)
        case .report(let executor, _):
            guard let report = try? Report(decoding: message.payload) else { return }
            reports.append(Heard(time: world.time, executor: executor, report: report))
        case .status(let executor): observeStatus(executor, message)
        default: break
        }
    }

    private func observeStatus(_ executor: String, _ message: InboundMessage) {
        guard let status = try? ExecutorStatus(decoding: message.payload) else { return }
        if status.status == .lost {
            guard let newest = newestStatus[executor] else { return }
            if newest.boot != status.boot || (newest.conn ?? 0) > (status.conn ?? 0) { saw("Will after birth") }
        } else {
            newestStatus[executor] = status
        }
    }

    /// Plays all checkers and notes what they find.
    func judge() {
        for check in Check.all where isComplete || !check.needsEnd {
            for breach in check.run(self).prefix(3) { violate(check.id, at: breach.time, breach.sentence) }
        }
    }
}
