import Contract
import Determinism
public import Machine
public import TimeModel
import Wire

/// The dispatcher's core (`topics/tasks.md`): it accepts intents, chooses executors, gives leases, takes outcomes and
/// tells results. A value without clock, file or random source: the shell and the simulator run the same.
public struct Dispatcher: Service {
    /// What happens to a service.
    public typealias Input = ServiceInput
    /// What a service wants done.
    public typealias Effect = ServiceEffect

    // What it was made with.
    var configuration: DispatcherConfiguration
    var generator: SeededGenerator
    let boot: String

    // The moment and the effects of the input under way.
    var now = Now(wall: WallTime(milliseconds: 0), monotonic: MonotonicTime(milliseconds: 0))
    var out: [ServiceEffect] = []

    // Counters that never fall.
    var term = 0
    var lastEpoch = 0
    var lastNumber = 0
    var eventSequence = 0

    // Tasks.
    var tasks = NumberTable<TaskRecord>()
    var leases = NumberTable<Lease>()
    var runs = NumberTable<RunRecord>()
    var ids = TaskIndex()
    var names = NamePool()
    var epochIndex = NumberTable<Int>()
    var attached = NumberTable<AttachedRecord>()
    var attachments = NumberTable<[Int]>()
    var ended = NumberTable<EndedRecord>()
    var endedOrder = NumberQueue()
    var resultsOrder = NumberQueue()
    var resultBytes = 0
    var dead: [Int: EndedRecord] = [:]
    var deadOrder = NumberQueue()
    var deadBytes = 0
    var redrives: [Int: Int] = [:]
    var undelivered: Set<Int> = []
    var answers = NumberTable<AnswerPlace>()
    var taskBytes = 0
    var ownerCounts: [ScopedName: Int] = [:]
    var workspaceUse: [String: WorkspaceUse] = [:]
    /// Delayed tasks by workspace; the queued ones stand in its lanes.
    var delayedOrder: [String: ShedOrder<String>] = [:]
    var dedupKeys: [DedupKey: Int] = [:]
    var concurrency: [ScopedName: ConcurrencyState] = [:]
    /// Tasks that were called back into their lanes because their concurrency key is free, until their decision.
    var calledForKey: Set<Int> = []
    /// Keys whose next task is to be called, and whether that is under way.
    var keysToCall: [ScopedName] = []
    var isCallingKeys = false
    var plans: [Int: PlanState] = [:]
    var redriveRate: TokenBucket

    // The registry.
    var executors: [ExecutorRecord] = []
    var executorIndex: [ScopedName: Int] = [:]
    var capabilities: [CapabilityRecord] = []
    var capabilityIndex: [ScopedName: Int] = [:]
    var registrations: [Pair: Registration] = [:]
    var firstSeen: [SeenKey: WallTime] = [:]
    /// How many entries of `firstSeen` are of an executor.
    var seenCounts: [ScopedName: Int] = [:]
    var freeExecutors: [Int] = []

    // Order and limits.
    var workspaces: [String] = []
    var lanes = LaneTable()
    var demands = NumberTable<Demand>()
    var demandIndex: [DemandKey: Int] = [:]
    var lastDemand = 0
    /// Parked demands, and capabilities with tasks aside, for which a budget is among the obstacles.
    var budgetDemands: Set<Int> = []
    var budgetCapabilities: Set<Int> = []
    /// More may be spent than at the last decisions.
    var isMoreToSpend = false
    var orders = NumberTable<CandidateOrder>()
    var orderIndex: [OrderKey: Int] = [:]
    var lastOrder = 0
    /// Up to so many executors of a capability are compared one by one.
    var walkLimit = 8
    /// How often an executor was judged for a decision: the work that decisions take.
    var judgements = 0
    var circuits: [CircuitKey: Circuit] = [:]
    var circuitTimers: [Int: CircuitKey] = [:]
    var circuitNumbers: [CircuitKey: Int] = [:]
    var lastCircuit = 0
    var quietSuccess: EndMarks = []
    var quietTask = 0
    /// Heartbeats that are known, at most; further ones count as down.
    static let heartbeatCells = 1000
    /// The workspaces of each heartbeat that is up, by instance; none named: all.
    var heartbeats: [String: [String]] = [:]
    var rates = RateTable()
    var spending = SpendingTable()
    var replayedSpending: [String: PeriodSpending] = [:]
    var policy = Policy()
    var hasPolicy = false

    // Times.
    var timers = IndexedHeap<TimerKey, MonotonicTime>()
    var heldTimers = IndexedHeap<TimerKey, MonotonicTime>()
    var dueAt: MonotonicTime?
    var inbox = InboxProof()
    /// By how much the calendar was ahead of the monotonic clock when that was looked at last.
    var calendarLead: Int?

    // The connection and the service itself.
    var isConnected = false
    var isSettled = false
    var isReady = false
    var isTerminating = false
    /// Another dispatcher has its workspaces: nothing is answered any more.
    var isSuperseded = false
    /// The greatest term that a dispatcher with a workspace in common has left behind.
    var termLeft = 0
    var isWritable = true
    var heldSince: MonotonicTime?
    var startedAt = WallTime(milliseconds: 0)
    var moreDecisions = false
    var notes: [Int] = []
    var dirtyExecutors: Set<Int> = []
    var dirtyCapabilities: Set<Int> = []
    var changedConflicts: Set<Int> = []
    var unansweredClaims: [SlotName] = []
    var views: [String: PublishedView] = [:]
    var foreignViews: Set<String> = []
    var pendingLoads: [Int: PendingLoad] = [:]
    var lastLoad = 0
    var alerts: [String: RaisedAlert] = [:]
    var doubtful: Set<String> = []
    var replayedCircuits: [CircuitKey: CircuitRecord] = [:]
    var metrics = DispatcherMetrics()

    /// A dispatcher in its first state; `seed` feeds its random waits and its boot word.
    public init(configuration: DispatcherConfiguration, seed: UInt64) {
        self.configuration = configuration
        generator = SeededGenerator(seed: seed)
        boot = "d" + String(generator.next(), radix: 36)
        redriveRate = TokenBucket(perSecond: 10, burst: 10, at: MonotonicTime(milliseconds: 0))
        applyConfiguration()
    }

    /// Takes one input and appends what is to be done, in order.
    public mutating func handle(_ input: ServiceInput, at now: Now, emitting effects: inout [ServiceEffect]) {
        self.now = now
        notePassedTime()
        noteCalendar()
        if case .delivered(let token) = input {
            // Nothing is to be decided: at most a note goes into the journal.
            delivered(token)
            dueAt = nextWake.map { max($0, now.monotonic) }
            effects.append(contentsOf: out)
            return out.removeAll(keepingCapacity: true)
        }
        switch input {
        case .started: start()
        case .connected: connected()
        case .disconnected: disconnected()
        case .message(let message):
            inbox.count(at: now.monotonic)
            receive(message)
        case .wake: runTimers()
        case .delivered, .childEnded, .archive, .sessionLost: break
        case .journalWritable(let flag): journalWritable(flag)
        case .terminate: terminate()
        case .reload(let bytes): reload(bytes)
        }
        decide()
        answerClaims()
        finishTurn()
        dueAt = nextWake.map { max($0, now.monotonic) }
        effects.append(contentsOf: out)
        out.removeAll(keepingCapacity: true)
    }

    /// Until when nothing is due; `nil`: nothing is ever due without a further input.
    public var nextWake: MonotonicTime? {
        if moreDecisions { return now.monotonic }
        var held = isHeld ? nil : heldTimers.first?.priority
        if let due = held, inbox.sentAt != nil, due <= now.monotonic { held = due + InboxProof.patienceMs }
        return MonotonicTime.earlier(timers.first?.priority, held)
    }

    /// Whether times of leases, offers and silence stand still: without a connection, and until what is retained has
    /// come, nobody can be heard.
    var isHeld: Bool { !isSettled }

    // MARK: - Effects

    /// Appends a record to the journal.
    mutating func journal(_ record: JournalRecord) { out.append(.append(record.encoded)) }

    /// Publishes, if there is a connection; what matters is published again after the next one.
    mutating func publish(_ message: OutboundMessage) {
        guard isConnected else { return }
        out.append(.publish(message))
    }

    /// Publishes a value on a topic.
    mutating func publish(
        _ workspace: String, _ place: Topic.Place, _ payload: [UInt8], token: Int? = nil, to answer: AnswerPlace? = nil
    ) {
        guard isConnected else { return }
        let topic = answer?.topic ?? Topic(workspace, place).name
        out.append(
            .publish(OutboundMessage(topic: topic, payload: payload, correlation: answer?.correlation, token: token)))
    }

    /// Writes a log line.
    mutating func log(_ level: LogLevel, _ name: String, _ text: String, _ fields: [LogField] = []) {
        out.append(.log(LogEvent(level, name, text, fields)))
    }
}

/// Where an answer goes when the request names a place of its own, and what is echoed in it.
struct AnswerPlace: Hashable, Sendable {
    /// Below the sender's own topics, else absent.
    var topic: String?
    /// Echoed.
    var correlation: [UInt8]?

    /// A place.
    init(topic: String?, correlation: [UInt8]?) {
        self.topic = topic
        self.correlation = correlation
    }

    /// The place that `message` names; a topic counts only below one of `prefixes`.
    init?(_ message: InboundMessage, below prefixes: @autoclosure () -> [String]) {
        if message.responseTopic == nil && message.correlation == nil { return nil }
        correlation = message.correlation
        if let wanted = message.responseTopic, prefixes().contains(where: { wanted.hasPrefix($0) }),
            !wanted.utf8.contains(UInt8(ascii: "+")), !wanted.utf8.contains(UInt8(ascii: "#"))
        {
            topic = wanted
        }
    }
}

/// Whose place a dedup key takes.
struct DedupKey: Hashable, Sendable, Comparable {
    /// The workspace.
    var workspace: String
    /// The capability.
    var capability: String
    /// The key.
    var key: String

    static func < (a: DedupKey, b: DedupKey) -> Bool {
        (a.workspace, a.capability, a.key) < (b.workspace, b.capability, b.key)
    }
}

/// Which executor first offered which capability when.
struct SeenKey: Hashable, Sendable, Comparable {
    /// The executor.
    var executor: ScopedName
    /// The capability.
    var capability: String

    static func < (a: SeenKey, b: SeenKey) -> Bool { (a.executor, a.capability) < (b.executor, b.capability) }
}

/// One slot of one executor.
struct SlotName: Hashable, Sendable {
    /// Index of the executor.
    var executor: Int
    /// The slot.
    var slot: String
}

/// A queue of task numbers; what was removed elsewhere is passed over by its user.
struct NumberQueue: Hashable, Sendable {
    private var numbers: [Int] = []
    private var head = 0

    /// How many there are.
    var count: Int { numbers.count - head }
    /// The oldest.
    var first: Int? { head < numbers.count ? numbers[head] : nil }
    /// All, oldest first.
    var all: ArraySlice<Int> { numbers[head...] }

    /// Adds one at the end.
    mutating func append(_ number: Int) { numbers.append(number) }

    /// Takes out those that are not wanted any more.
    mutating func keep(_ isWanted: (Int) -> Bool) {
        numbers = numbers[head...].filter(isWanted)
        head = 0
    }

    /// Takes the oldest.
    mutating func popFirst() -> Int? {
        guard let number = first else { return nil }
        head += 1
        if head > 1024, head * 2 > numbers.count {
            numbers.removeFirst(head)
            head = 0
        }
        return number
    }
}

/// What is due at a time.
struct TimerKey: Hashable, Sendable, Comparable {
    /// What for; the order decides between equal times.
    enum Kind: UInt8, Sendable {
        case task, silence, attempt, zombie, claim, identity, demand, aside, circuit, offer, capability, view, kept
        case load, settle, memory, metrics, notes
    }

    /// What for and of which, in one number: there is one for each task.
    private var number: Int

    /// A key.
    init(_ kind: Kind, _ id: Int = 0) { number = Int(kind.rawValue) << 56 | id }

    /// What for.
    var kind: Kind { Kind(rawValue: UInt8(truncatingIfNeeded: number >> 56)) ?? .notes }
    /// Of which: number of the task, index of the executor or capability, …
    var id: Int { number & (1 << 56 - 1) }

    static func < (a: TimerKey, b: TimerKey) -> Bool { a.number < b.number }

    func _rawHashValue(seed: Int) -> Int { Number.spread(number, seed) }
}
