import Contract
public import Determinism
public import Machine
import Wire

/// What was seen on the bus and done by workers in one run; the checkers read nothing else.
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

    /// One assignment that left the dispatcher.
    public struct Grant: Hashable, Sendable {
        /// When, in true ms.
        public var time: Int
        /// Whose and which task.
        public var key: Key
        /// What is run.
        public var capability: String
        /// To whom.
        public var executor: String
        /// Under which epoch.
        public var epoch: Int
        /// Under which term.
        public var term: Int
        /// Whether it must not run twice.
        public var atMostOnce: Bool
        /// Whether a claim asked for it.
        public var pulled: Bool
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
    }

    /// Sentences that name what went wrong, with the id of the rule.
    public private(set) var violations: [String] = []
    /// How often things happened that every set of seeds must meet.
    public private(set) var sometimes = SortedDictionary<String, Int>()
    /// Assignments in the order in which they left.
    public private(set) var grants: [Grant] = []
    /// Results by task: distinct contents.
    public private(set) var results: [Key: [[UInt8]]] = [:]
    /// Tasks that were accepted.
    public private(set) var accepted: Set<Key> = []
    /// Tasks whose cancel was answered while they waited.
    public var canceledWaiting: Set<Key> = []
    /// Starts of work.
    public var starts: [Work] = []
    /// Outcomes that workers sent first, by executor and epoch.
    public var outcomes: [Work] = []
    /// Epochs that were refused by a worker, or ended safe.
    public var safeEpochs: Set<Int> = []

    private let world: World
    private var lastEpoch: [Key: Int] = [:]
    private var lastTerm = 0
    private var grantedEpochs: Set<Int> = []
    private var states: [Key: [Int: TaskState]] = [:]
    private var ended: [Key: TaskState] = [:]
    private var answered: Set<String> = []
    private var asked: [String: Int] = [:]
    private var sent: Set<Key> = []

    /// A history of nothing.
    public init(_ world: World) { self.world = world }

    /// Counts something that should happen now and then.
    public func saw(_ what: String) { sometimes.update(what, initial: 0) { $0 += 1 } }

    /// Records a violation; the first one of a run is what matters.
    public func violate(_ rule: String, _ sentence: String) {
        guard violations.count < 20 else { return }
        world.note("VIOLATION \(rule) \(sentence)")
        violations.append("\(rule) at \(world.time) ms: \(sentence)")
    }

    /// Takes a message that a client published.
    public func observe(_ username: String, _ message: InboundMessage) {
        guard let topic = Topic(message.topic) else {
            if username == "dispatcher" { violate("contract", "topic \(message.topic) is none of the contract") }
            return
        }
        if username == "dispatcher" {
            observeDispatcher(topic, message)
            return
        }
        switch topic.place {
        case .command(let principal, let noun, let verb, let id):
            asked["\(principal)/\(noun)/\(verb)/\(id)"] = world.time
        case .intent(let principal, _, let id):
            sent.insert(Key(workspace: topic.workspace, principal: principal, id: id))
        default: break
        }
    }

    private func observeDispatcher(_ topic: Topic, _ message: InboundMessage) {
        if message.payload.isEmpty { return }
        switch topic.place {
        case .result(let principal, _, let id):
            result(Key(workspace: topic.workspace, principal: principal, id: id), message)
        case .update(let principal, _, let id):
            update(Key(workspace: topic.workspace, principal: principal, id: id), message)
        case .work(let capability, let executor) where capability != Names.noCapability:
            guard let work: WorkMessage = decode(message) else { return }
            if case .assign(let assignment) = work { grant(topic.workspace, assignment, to: executor, pulled: false) }
        case .grant(let executor, _):
            guard let reply: Contract.Grant = decode(message) else { return }
            if case .task(let assignment) = reply { grant(topic.workspace, assignment, to: executor, pulled: true) }
        case .reply(let principal, let noun, let verb, let id):
            answered.insert("\(principal)/\(noun)/\(verb)/\(id)")
            guard let reply: Reply = decode(message) else { return }
            if !reply.ok && reply.code == nil { violate("I15", "a refusal without a code on \(message.topic)") }
        case .circuit, .capability, .offer, .event, .log, .dead: decodeView(topic, message)
        default: break
        }
    }

    private func decode<T: WireReadable>(_ message: InboundMessage) -> T? {
        do { return try T(decoding: message.payload) } catch {
            violate("contract", "\(message.topic) does not decode: \(error)")
            return nil
        }
    }

    private func decodeView(_ topic: Topic, _ message: InboundMessage) {
        switch topic.place {
        case .circuit: let _: CircuitView? = decode(message)
        case .capability: let _: CapabilityView? = decode(message)
        case .offer: let _: Offer? = decode(message)
        case .dead: let _: DeadLetter? = decode(message)
        case .event:
            guard let event: Event = decode(message) else { return }
            saw("event \(event.event.rawValue)")
        default: break
        }
    }

    private func result(_ key: Key, _ message: InboundMessage) {
        guard let result: TaskResult = decode(message) else { return }
        if result.acceptedAt == nil && result.status == .rejected {
            saw("refused \(result.error?.code.rawValue ?? "-")")
            return
        }
        if result.acceptedAt == nil, result.error?.code == .duplicate { return }
        if !(results[key] ?? []).contains(message.payload) { results[key, default: []].append(message.payload) }
        if (results[key]?.count ?? 0) > 1 { violate("I3", "two different results of \(key.principal)/\(key.id)") }
        checkWinner(key, result)
        saw("result \(result.status.rawValue)")
        if let code = result.error?.code { saw("result code \(code.rawValue)") }
        checkCosts(key, result)
        ended[key] = TaskState(result.status)
    }

    /// A success must come from the executor that the result names, under the newest epoch of the task at that moment.
    private func checkWinner(_ key: Key, _ result: TaskResult) {
        if !sent.contains(key) { violate("I16", "\(key.principal)/\(key.id) has a result and was never sent") }
        guard result.status == .success, let last = result.attempts.last else { return }
        if let output = result.output, let author = JSONValue(output)["by"]?.stringValue, author != result.executor {
            violate("I4", "\(key.id): \(author) did the work, the result names \(result.executor ?? "nobody")")
        }
        let newest = grants.last { $0.key == key }
        if let newest, newest.epoch != last.epoch, result.error?.code != .duplicate, results[key]?.count == 1 {
            violate("I4", "\(key.id): epoch \(last.epoch) decided, the newest is \(newest.epoch)")
        }
    }

    private func checkCosts(_ key: Key, _ result: TaskResult) {
        guard result.attempts.count < Limits.attemptRecords, let cost = result.cost else { return }
        let sum = result.attempts.reduce(0) { $0 + ($1.cost ?? 0) }
        if sum != cost + (result.wastedCost ?? 0) {
            violate("I21", "\(key.id): attempts cost \(sum), result \(cost) + \(result.wastedCost ?? 0)")
        }
    }

    private func update(_ key: Key, _ message: InboundMessage) {
        guard let update: Update = decode(message) else { return }
        if update.type == .accepted { accepted.insert(key) }
        if update.type == .duplicate { saw("duplicate") }
        if let end = ended[key], update.state != end, update.type == .state {
            violate("I3", "\(key.id) is \(update.state.rawValue) after it was \(end.rawValue)")
        }
        // Updates may come again after a reconnect, but one revision is one state.
        guard update.type == .state else { return }
        if let known = states[key]?[update.rev], known != update.state {
            violate("I3", "rev \(update.rev) of \(key.id) was \(known.rawValue), then \(update.state.rawValue)")
        }
        states[key, default: [:]][update.rev] = update.state
    }

    private func grant(_ workspace: String, _ assignment: Assignment, to executor: String, pulled: Bool) {
        let key = Key(workspace: workspace, principal: assignment.principal, id: assignment.task)
        if grantedEpochs.contains(assignment.epoch) {
            repeated(assignment, key, executor)
            return
        }
        grantedEpochs.insert(assignment.epoch)
        // What a crash kept from being said is said after the restart, so that only a task's own epochs come in order.
        if let last = lastEpoch[key], assignment.epoch <= last {
            violate("I2", "\(key.id): epoch \(assignment.epoch) was granted after \(last)")
        }
        lastEpoch[key] = assignment.epoch
        if assignment.term < lastTerm { violate("I20", "term \(assignment.term) was used after \(lastTerm)") }
        lastTerm = max(lastTerm, assignment.term)
        if ended[key] != nil { violate("I3", "\(key.id) was granted after its end") }
        if canceledWaiting.contains(key) { violate("I24", "\(key.id) was granted after its cancel was answered") }
        let atMostOnce = assignment.delivery == .atMostOnce
        if atMostOnce {
            let earlier = grants.filter { $0.key == key && !safeEpochs.contains($0.epoch) }
            if let last = earlier.last { violate("I5", "\(key.id) was granted again after epoch \(last.epoch)") }
        }
        saw(pulled ? "pulled" : "pushed")
        grants.append(
            Grant(
                time: world.time, key: key, capability: assignment.capability, executor: executor,
                epoch: assignment.epoch, term: assignment.term, atMostOnce: atMostOnce, pulled: pulled))
    }

    private func repeated(_ assignment: Assignment, _ key: Key, _ executor: String) {
        saw("assignment repeated")
        guard let first = grants.first(where: { $0.epoch == assignment.epoch }) else { return }
        if first.key != key || first.executor != executor {
            violate("I2", "epoch \(assignment.epoch) names two tasks or two executors")
        }
    }

    /// Checks what must hold once all faults are over and `settle` has passed.
    public func checkEnd(_ brokerRetained: [InboundMessage]) {
        for key in accepted.sorted() where results[key] == nil {
            violate("I27", "\(key.principal)/\(key.id) was accepted and has no result")
        }
        for (request, time) in asked.sorted(by: { $0.key < $1.key }) where !answered.contains(request) {
            violate("I15", "command \(request) of \(time) ms was never answered")
        }
        checkOfferViews(brokerRetained)
        checkCapabilityViews(brokerRetained)
    }

    /// Every capability on a retained card has a retained view that names the executor.
    private func checkCapabilityViews(_ retained: [InboundMessage]) {
        let byTopic = Dictionary(retained.map { ($0.topic, $0) }, uniquingKeysWith: { first, _ in first })
        for message in retained {
            guard let topic = Topic(message.topic), case .card(let executor) = topic.place else { continue }
            guard let card = try? Card(decoding: message.payload) else { continue }
            for entry in card.capabilities {
                let name = Topic(topic.workspace, .capability(entry.name)).name
                let view = byTopic[name].flatMap { try? CapabilityView(decoding: $0.payload) }
                if view?.executors.contains(where: { $0.executor == executor }) != true {
                    violate("G-15", "\(name) does not show \(executor)")
                }
            }
        }
    }

    private func checkOfferViews(_ retained: [InboundMessage]) {
        for message in retained {
            if let topic = Topic(message.topic), case .offer(let capability) = topic.place {
                violate("I11", "offer/\(capability) is still retained though nothing waits")
            }
        }
    }

    /// Checks how work was started, once the run is over.
    public func checkWork() {
        var byEpoch: [Int: Work] = [:]
        for start in starts {
            if let first = byEpoch[start.epoch] {
                violate("I5", "epoch \(start.epoch) was started twice, by \(first.executor) and \(start.executor)")
            }
            byEpoch[start.epoch] = start
        }
        for grant in grants where grant.atMostOnce {
            let count = starts.filter { $0.key == grant.key && !safeEpochs.contains($0.epoch) }.count
            if count > 1 { violate("I5", "\(grant.key.id) is at_most_once and was started \(count) times") }
        }
    }
}
