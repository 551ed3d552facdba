public import Determinism

/// Which faults a run may meet and how often. The seed draws each one with one half.
public struct Faults: Hashable, Sendable {
    /// The kinds of faults.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
        /// The dispatcher dies at a random moment.
        case dispatcherKill = "dispatcher-kill"
        /// The dispatcher dies within a turn: before it writes, before it syncs, before it speaks.
        case dispatcherCrash = "dispatcher-crash"
        /// The dispatcher stops for a while without dying.
        case dispatcherFreeze = "dispatcher-freeze"
        /// An executor dies; the broker notices at once or late.
        case executorKill = "executor-kill"
        /// An executor stops for longer than its lease.
        case executorFreeze = "executor-freeze"
        /// A connection is cut; each side notices in its own time.
        case cut
        /// The broker stops in good order and comes back.
        case brokerRestart = "broker-restart"
        /// The broker dies and comes back with old state.
        case brokerOldState = "broker-old-state"
        /// The broker dies and comes back with nothing.
        case brokerEmpty = "broker-empty"
        /// Requests and reports arrive twice.
        case duplicates
        /// Packets take long.
        case slowLinks = "slow-links"
        /// Executors hang, lie and come late.
        case badExecutors = "bad-executors"
        /// Wall clocks step.
        case clockSteps = "clock-steps"
        /// Hostile payloads.
        case garbage
        /// The disk of the journal is full for a while.
        case fullDisk = "full-disk"
        /// A sync of the journal fails.
        case syncFails = "sync-fails"
        /// Queues of the broker are short, so that messages are lost.
        case overflow
    }

    /// The faults that are on.
    public var kinds: Set<Kind>
    /// Mean time between two faults in ms.
    public var everyMs: Int

    /// No faults.
    public static let none = Faults(kinds: [], everyMs: 10_000)

    /// Faults of these kinds.
    public init(kinds: Set<Kind>, everyMs: Int) {
        self.kinds = kinds
        self.everyMs = everyMs
    }

    /// What a seed draws.
    public init(drawnFrom random: inout SeededGenerator) {
        kinds = []
        for kind in Kind.allCases where random.chance(1, of: 2) { kinds.insert(kind) }
        everyMs = random.uniform(1000...8000)
    }

    /// The kinds that are on, in their order.
    public var sorted: [Kind] { Kind.allCases.filter { kinds.contains($0) } }
}
