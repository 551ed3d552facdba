public import Contract
public import TimeModel
public import Wire

/// What is known of an executor (`topics/executors.md`).
public struct ExecutorRecord: Hashable, Sendable {
    /// Workspace and name.
    public let name: ScopedName
    /// Its card, without the capabilities, which stand as registrations.
    public var card: CardRecord?
    /// What its status says.
    public var status: ExecutorState?
    /// The boot its status speaks of.
    public var statusBoot: String?
    /// What its status said before its Will.
    public var statusBefore: ExecutorState?
    /// The highest connection number of its boot.
    public var connection = 0
    /// Heartbeat's verdict, and the boot it speaks of.
    public var verdict: Verdict?
    /// The boot the verdict speaks of.
    public var verdictBoot: String?
    /// When it last said anything in this boot.
    public var heard: MonotonicTime?
    /// When there was last a sign of it, or its card went; what is gone for long is forgotten.
    public var noticed = MonotonicTime(milliseconds: 0)
    /// When it last beat in this boot.
    public var beaten: MonotonicTime?
    /// It has beaten, and then said nothing for three beats.
    public var isSilent = false
    /// Its Will was published and nothing of its boot came since.
    public var isLost = false
    /// Taken out of service by `executor/drain`; kept over restarts.
    public var isDraining = false
    /// It said `busy`: no work until then or its next beat.
    public var busyUntil: MonotonicTime?
    /// What it asked a pause for, by index of the capability, while no claim of it registers that.
    public var pauses: [Int: MonotonicTime] = [:]
    /// When it changed its boot, within the last minute.
    public var bootChanges: [MonotonicTime] = []
    /// Two programs seem to share the name: nothing until then.
    public var identityConflictUntil: MonotonicTime?
    /// Same boot and revision with other content: since when.
    public var selfConflictAt: WallTime?
    /// Indexes of its capabilities, in the order of their names.
    public var capabilities: [Int] = []
    /// Numbers of the tasks it holds a lease of, ascending.
    public var tasks: [Int] = []
    /// Slots that are used without authority.
    public var zombies: [Zombie] = []
    /// Slots in use: leases and zombies.
    public var used = 0
    /// Claims that wait, by slot.
    public var claims: [ParkedClaim] = []
    /// The last answer to each slot.
    public var answers: [ClaimAnswer] = []
    /// Whether its registrations come from claims instead of a card.
    public var isCardless = false
    /// The state that was told last in events.
    public var toldOnline = false
    /// Whether it was told that it drains.
    public var toldDraining = false

    /// Nothing known yet.
    public init(_ name: ScopedName) { self.name = name }

    /// How many slots it has.
    public var slots: Int { isCardless ? max(1, claims.count + tasks.count + zombies.count) : card?.slots ?? 1 }
    /// The boot it is in, as far as known.
    public var boot: String? { card?.boot }
    /// Between two beats in ms.
    public var beatMs: Int { card?.beatMs ?? Defaults.beatMs }

    /// Slots kept for `critical` (`topics/tasks.md`, reserve).
    public var reserve: Int {
        if isCardless { return 0 }
        if let reserved = card?.reserved { return min(reserved, slots) }
        switch slots {
        case ...1: return 0
        case 2...9: return 1
        default: return (slots + 9) / 10
        }
    }
}

/// A card without its capabilities.
public struct CardRecord: Hashable, Sendable {
    /// Random per process start.
    public var boot: String
    /// Rises with each change within a boot.
    public var rev: Int
    /// Of the content; a card of the same boot and revision must have the same.
    public var digest: ContentDigest
    /// What kind of executor.
    public var type: String?
    /// Its version.
    public var version: String?
    /// Whether it takes `assign`.
    public var takesPush: Bool
    /// Whether it claims.
    public var takesPull: Bool
    /// How much at one time.
    public var slots: Int
    /// What it has.
    public var labels: [String]
    /// How often it wakes, for one that sleeps.
    public var wakeEveryMs: Int?
    /// Between two beats in ms.
    public var beatMs: Int
    /// Between assign and accept in ms.
    public var acceptMs: Int
    /// Between its Will and the loss of its work in ms.
    public var willGraceMs: Int
    /// Slots kept for `critical`, if the card says.
    public var reserved: Int?
    /// The card as it was sent, for `executor/get`.
    public var raw: RawJSON

    /// The record of a card.
    public init(_ card: Card, raw: RawJSON) {
        boot = card.boot
        rev = card.rev
        digest = ContentDigest(raw)
        type = card.type
        version = card.version
        takesPush = card.modes?.contains(.push) ?? true
        takesPull = card.modes?.contains(.pull) ?? false
        slots = card.slots ?? 1
        labels = card.labels ?? []
        wakeEveryMs = card.wakeEveryMs
        beatMs = card.beatMs ?? Defaults.beatMs
        acceptMs = card.acceptMs ?? Defaults.acceptMs
        willGraceMs = card.willGraceMs ?? Defaults.willGraceMs
        reserved = card.reserved
        self.raw = raw
    }
}

/// A claim that waits for a task.
public struct ParkedClaim: Hashable, Sendable {
    /// The slot it is for.
    public var slot: String
    /// Its number, if it has one.
    public var seq: Int?
    /// The claimer's boot, if it says.
    public var boot: String?
    /// What it takes; absent: all on the card.
    public var capabilities: [String]?
    /// The lease it wants, in ms.
    public var leaseMs: Int?
    /// Until when it waits.
    public var until: MonotonicTime
    /// Echoed in the answer.
    public var correlation: [UInt8]?
    /// Where the answer goes, when the claim says.
    public var responseTopic: String?
}

/// What a slot was told last.
public struct ClaimAnswer: Hashable, Sendable {
    /// The slot.
    public var slot: String
    /// The claim's number.
    public var seq: Int?
    /// The claimer's boot.
    public var boot: String?
    /// The answer.
    public var payload: [UInt8]
    /// The task and epoch it gave, if any.
    public var lease: LeasePair?
    /// The task's number, if any.
    public var task: Int?
}
