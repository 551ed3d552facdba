import Contract
import Determinism
public import Machine
public import TimeModel
import Wire

/// What a machine cannot know by itself; the program finds it out once.
public struct ExecutorSettings: Hashable, Sendable {
    /// The workspace in which it works.
    public var workspace: String
    /// Its principal: the broker's username.
    public var name: String
    /// From where its random words come; another one for each start.
    public var seed: UInt64
    /// The environment from which programs get what the manifest allows, `NAME=value`.
    public var environment: [String]
    /// The folder of the manifest, from which relative paths are reckoned after a reload.
    public var folder: String

    /// Settings; without an environment programs get only what the manifest sets.
    public init(workspace: String, name: String, seed: UInt64, environment: [String] = [], folder: String = "") {
        self.workspace = workspace
        self.name = name
        self.seed = seed
        self.environment = environment
        self.folder = folder
    }
}

/// The executor's side of the protocol (`topics/executors.md`): card, status, beats, claims, reports; leases by its own
/// clock; outcomes kept until they are confirmed. What the work itself is, the manifest says.
public struct ExecutorMachine: Service, Equatable {
    /// What it was started with.
    public let settings: ExecutorSettings
    /// What it offers.
    public internal(set) var manifest: Manifest
    /// Random per start; names this run in every message.
    public let boot: String

    var rev = 1
    var connection = 0
    var isConnected = false
    var isReady = false
    var highestTerm = 0
    var journalIsWritable = true
    /// Differences from what the manifest says is loaded.
    var loading = SortedDictionary<String, Bool>()

    var seen = EpochMemory()
    var attempts = SortedDictionary<AttemptKey, Attempt>()
    /// Those of them that have not begun, first taken first.
    var waiting: [AttemptKey] = []
    var children: [Int: AttemptKey] = [:]
    var lastChild = 0
    var outcomes = SortedDictionary<AttemptKey, KeptOutcome>()
    var outcomeBytes = 0
    /// Attempts that ended without an outcome while there was no connection; the value: nothing has happened.
    var owedReleases = SortedDictionary<AttemptKey, Bool>()
    /// What the journal knows as begun and not ended.
    var open = SortedDictionary<AttemptKey, Bool>()

    var beatSequence = 0
    var beatAt: MonotonicTime?
    var beats: [SentBeat] = []
    var claims: [ClaimSlot] = []

    /// Once it is to leave: until when work may go on.
    var drainUntil: MonotonicTime?
    /// Once work was stopped for leaving: until when its end is awaited.
    var leaveAt: MonotonicTime?
    var hasLeft = false

    var now = Now(wall: WallTime(milliseconds: 0), monotonic: MonotonicTime(milliseconds: 0))
    var effects: [ServiceEffect] = []

    /// An executor that offers what `manifest` says, with an empty journal.
    public init(_ manifest: Manifest, settings: ExecutorSettings) {
        self.manifest = manifest
        self.settings = settings
        var generator = SeededGenerator(seed: settings.seed)
        let letters = Array("0123456789abcdefghijklmnopqrstuvwxyz")
        boot = String((0..<16).map { _ in letters[generator.uniform(0...letters.count - 1)] })
        resizeClaims()
    }

    /// Takes one input. Leases that ran out are acted upon first, so that a thawed process begins nothing.
    public mutating func handle(_ input: ServiceInput, at now: Now, emitting effects: inout [ServiceEffect]) {
        guard !hasLeft else { return }
        self.now = now
        stopWhatRanOut()
        take(input)
        advanceTimers()
        startWaiting()
        sendClaims()
        leaveWhenDone()
        effects += self.effects
        self.effects.removeAll(keepingCapacity: true)
    }

    private mutating func take(_ input: ServiceInput) {
        switch input {
        case .started: begin()
        case .connected: connect()
        case .disconnected: disconnect()
        case .message(let message): receive(message)
        case .delivered: becomeReady()
        case .wake, .archive, .sessionLost: break
        case .childEnded(let id, let outcome): childEnded(id, outcome)
        case .journalWritable(let flag): setJournal(writable: flag)
        case .terminate: terminate()
        case .reload(let text): reload(text)
        }
    }

    /// Until when nothing is due.
    public var nextWake: MonotonicTime? {
        guard !hasLeft else { return nil }
        var earliest: MonotonicTime?
        func consider(_ time: MonotonicTime?) {
            if let time, time < earliest ?? time + 1 { earliest = time }
        }
        for attempt in attempts.values {
            consider(attempt.deadline)
            consider(attempt.progressAt)
            if case .timer(let end) = attempt.phase { consider(end) }
        }
        if isConnected {
            consider(beatAt)
            for claim in claims { consider(claimDue(claim)) }
        }
        consider(leaveAt ?? drainUntil)
        return earliest
    }

    /// Published by the broker when this executor is lost without a word. It speaks of the connection that is about to
    /// be made, so that a late one of an earlier connection does no harm.
    public func will() -> OutboundMessage? { statusMessage(.lost, connection: connection + 1) }
}

// MARK: - What it is

extension ExecutorMachine {
    /// What it says of itself.
    var state: ExecutorState {
        if drainUntil != nil { return .draining }
        return journalIsWritable ? .online : .paused
    }

    /// Slots that are taken, by work that stops too.
    var usedSlots: Int { attempts.values.reduce(0) { $0 + ($1.phase == .waiting ? 0 : $1.capability.slotCost) } }

    /// Slots that are promised: all but those of work that stops.
    var promisedSlots: Int { attempts.values.reduce(0) { $0 + ($1.stop == nil ? $1.capability.slotCost : 0) } }

    /// Slots it could fill now.
    var freeSlots: Int {
        guard state == .online, !isFull else { return 0 }
        return max(0, manifest.slots - max(usedSlots, promisedSlots))
    }

    /// Whether so many outcomes wait for their confirmation that no further one could be kept.
    var isFull: Bool {
        outcomes.count + attempts.count >= Limits.executorOutcomes || outcomeBytes >= Limits.executorOutcomeBytes
    }

    func isLoaded(_ capability: OfferedCapability) -> Bool { loading[capability.entry.name] ?? capability.loaded }

    /// The card as it is now.
    var card: Card {
        var card = manifest.card
        card.boot = boot
        card.rev = rev
        card.capabilities = manifest.capabilities.filter(isLoaded).map(\.entry)
        return card
    }

    func topic(_ place: Topic.Place) -> String { Topic(settings.workspace, place).name }

    func statusMessage(_ state: ExecutorState, connection: Int) -> OutboundMessage {
        let status = ExecutorStatus(state, boot: boot, conn: connection)
        let topic = topic(.status(executor: settings.name))
        return OutboundMessage(topic: topic, payload: status.encoded, retain: true)
    }

    mutating func append(_ record: JournalRecord) { effects.append(.append(record.bytes)) }

    mutating func log(_ level: LogLevel, _ name: String, _ text: String, _ key: AttemptKey? = nil, code: Code? = nil) {
        var fields: [LogField] = []
        if let key { fields += [LogField("task", key.task.task), LogField("principal", key.task.principal)] }
        fields.append(LogField("executor", settings.name))
        if let key { fields.append(LogField("epoch", String(key.epoch))) }
        if let code { fields.append(LogField("code", code.rawValue)) }
        effects.append(.log(LogEvent(level, name, text, fields)))
    }
}
