public import Contract
import Determinism
import Machine
public import TimeModel
import Wire

/// Which executor and which capability, by their indexes in the registry.
public struct Pair: Hashable, Sendable, Comparable {
    /// Index of the executor.
    public var executor: Int
    /// Index of the capability.
    public var capability: Int

    /// A pair.
    public init(_ executor: Int, _ capability: Int) {
        self.executor = executor
        self.capability = capability
    }

    /// By executor, then capability.
    public static func < (a: Pair, b: Pair) -> Bool {
        (a.executor, a.capability) < (b.executor, b.capability)
    }

    /// Both are numbers that the registry gives out.
    public func _rawHashValue(seed: Int) -> Int { Number.spread(executor &* 65_536 &+ capability, seed) }
}

/// One capability of one card (`topics/executors.md`, card).
public struct Registration: Hashable, Sendable {
    /// What the card says of it; shared, since registrations are copied for each decision.
    public var entry: CapabilityEntry {
        get { shared.entry }
        set { shared = SharedEntry(newValue) }
    }
    private var shared: SharedEntry
    /// When this executor first offered this capability; kept over restarts.
    public var firstSeenAt: WallTime
    /// The executor refused it as unsupported: no work until its card's `rev` changes.
    public var isUnsupported = false
    /// In conflict of class `contract`.
    public var isQuarantined = false
    /// Another executor holds the name exclusively.
    public var isShadowed = false
    /// The executor asked for a pause, until then.
    public var pausedUntil: MonotonicTime?
    /// Why `pausedUntil` stands.
    public var pauseIsQuota = false
    /// Leases and zombies of the pair.
    public var running = 0
    /// Actual cost over declared cost, in 1/1024 (`topics/tasks.md`, score).
    public var costRatio = 1024
    /// Smoothed time from assign to accept, in ms.
    public var acceptMs = 0
    /// Smoothed run time, in ms.
    public var runMs: Int
    /// What its circuit is kept under.
    let circuit: CircuitKey

    /// A registration without experience.
    init(_ entry: CapabilityEntry, firstSeenAt: WallTime, circuit: CircuitKey) {
        shared = SharedEntry(entry)
        self.firstSeenAt = firstSeenAt
        self.circuit = circuit
        runMs = entry.expectedMs ?? 0
    }

    /// Slots one task takes.
    public var slotCost: Int { entry.slotCost ?? 1 }
    /// What an attempt costs by the card, in micro-units.
    public func declared(_ units: Int) -> Int {
        let (units, overflow) = (entry.cost?.perUnit ?? 0).multipliedReportingOverflow(by: units)
        guard !overflow else { return Limits.largestCost }
        return min(Limits.largestCost, (entry.cost?.fixed ?? 0) + min(units, Limits.largestCost))
    }
    /// Its kind; `skill` when the card says none.
    public var kind: String { entry.kind ?? "skill" }
    /// Its lease in ms.
    public var leaseMs: Int { entry.leaseMs ?? Defaults.leaseMs }
}

/// An entry of a card that never changes.
private final class SharedEntry: Hashable, Sendable {
    let entry: CapabilityEntry

    init(_ entry: CapabilityEntry) { self.entry = entry }

    static func == (a: SharedEntry, b: SharedEntry) -> Bool { a === b || a.entry == b.entry }
    func hash(into hasher: inout Hasher) { hasher.combine(entry) }
}

/// What is known of a capability in one workspace.
public struct CapabilityRecord: Hashable, Sendable {
    /// Workspace and name.
    public let name: ScopedName
    /// What its circuit is kept under.
    let circuit: CircuitKey
    /// Executors that offer it, as indexes in the order of their names.
    public var executors: [Int] = []
    /// Groups of equal queued tasks, ascending.
    public var demands: [Int] = []
    /// Numbers of the orders in which its executors stand, the newest last.
    var orders: [Int] = []
    /// What acceptance asks of all its registrations; absent: to be worked out.
    var summary: CapabilitySummary?
    /// Queued tasks whose own deadline is too near for everyone; looked at again when something changes.
    public var aside: [Int] = []
    /// Live tasks, of all states.
    public var live = 0
    /// Tasks in `queued`.
    public var queued = 0
    /// Leases.
    public var running = 0
    /// Paused by command.
    var pause: CommandPause?
    /// Executors paused by command for this capability.
    var pairPauses: [String: CommandPause] = [:]
    /// The executor whose card is the reference of the contract, by command.
    public var reference: String?
    /// Whether some card had it, ever.
    public var wasSeen = false
    /// How many waiting tasks the offer told last.
    public var offered = 0
    /// Revision of the offer.
    public var offerRev = 0
    /// Before then the offer is not published again.
    public var offerDue = MonotonicTime(milliseconds: 0)
    /// Revision of the view.
    public var viewRev = 0
    /// Before then the view is not published again.
    public var viewDue = MonotonicTime(milliseconds: 0)
    /// Conflicts that hold.
    public var conflicts: [CapabilityView.Conflict] = []

    /// Nothing known yet.
    public init(_ name: ScopedName) {
        self.name = name
        circuit = CircuitKey(capability: name, executor: nil)
    }
}

/// A pause by command. It ends by the monotonic clock, so that setting the calendar neither ends nor prolongs it; the
/// calendar is for the journal.
struct CommandPause: Hashable, Sendable {
    /// When it ends by the calendar; `never`: when it is resumed.
    var untilAt: WallTime
    /// How long it was to last, in ms; absent: without end, or not known.
    var forMs: Int?
    /// When it ends, once the service runs.
    var end: MonotonicTime?

    /// A pause as the journal has it.
    init(until: WallTime, forMs: Int?) { (untilAt, self.forMs) = (until, forMs) }

    /// The service has started: what is left by the calendar, but no more than the whole pause.
    mutating func begin(at now: Now) {
        guard untilAt != .never else { return }
        let left = untilAt - now.wall
        end = now.monotonic + min(left, forMs ?? left)
    }

    /// Whether it has not ended.
    func holds(at now: Now) -> Bool {
        if untilAt == .never { return true }
        return end.map { $0 > now.monotonic } ?? (untilAt > now.wall)
    }

    /// When it ends by the present calendar.
    func until(at now: Now) -> WallTime { end.map(now.calendar) ?? untilAt }
}

/// What acceptance asks of all registrations of a capability: worked out when they change, not at each intent.
struct CapabilitySummary: Hashable, Sendable {
    /// Some card says that it runs only for checks.
    var isHeartbeat = false
    /// Some card has a schema of the input.
    var hasInputSchema = false
    /// Some card says `at_most_once`.
    var isAtMostOnce = false
    /// The longest time limit on a card, in ms; 0: none says one.
    var timeoutMs = 0
    /// The highest priority on a card of one that may get work.
    var priority: Priority?
}

extension WallTime {
    /// Later than anything: no end.
    static let never = WallTime(milliseconds: JSONLimits.largestInteger)
}
