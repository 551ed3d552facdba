public import Wire

/// What an executor asks for its work, in micro-units of the configured currency.
public struct CostRule: Hashable, Sendable {
    /// Per attempt.
    public var fixed: Int?
    /// Per unit of the intent.
    public var perUnit: Int?
    /// What a unit is, for people.
    public var unit: String?

    /// A price.
    public init(fixed: Int? = nil, perUnit: Int? = nil, unit: String? = nil) {
        self.fixed = fixed
        self.perUnit = perUnit
        self.unit = unit
    }
}

extension CostRule: WireReadable, WireWritable {
    /// Reads a price.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init()
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "fixed": fixed = try reader.cost()
            case "per_unit": perUnit = try reader.cost()
            case "unit": unit = try reader.string(limit: Names.limit)
            default: reader.skip()
            }
        }
    }

    /// Writes the price.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("fixed", fixed)
            $0.field("per_unit", perUnit)
            $0.field("unit", unit)
        }
    }
}

/// One capability on a card: a registration. Absent fields take the defaults that the properties name.
public struct CapabilityEntry: Hashable, Sendable {
    /// The capability's dotted name.
    public var name: String
    /// The executor's version of it.
    public var version: String?
    /// `skill`, `tool`, `adapter`, `schedule`, `heartbeat` or any other word; absent: `skill`.
    public var kind: String?
    /// Its price; absent: nothing.
    public var cost: CostRule?
    /// Time limit of one attempt in ms, for intents that give none.
    public var timeoutMs: Int?
    /// The lane of intents that give none.
    public var priority: Priority?
    /// Slots one task takes; absent: 1.
    public var slotCost: Int?
    /// Tasks of this capability at one time; absent: the slots.
    public var maxConcurrent: Int?
    /// Whether only one executor may offer it.
    public var exclusive: Bool?
    /// Whether it may run more than once; absent: `at_least_once`.
    public var delivery: Delivery?
    /// What an input must be.
    public var inputSchema: RawJSON?
    /// What an output must be.
    public var outputSchema: RawJSON?
    /// The actions it knows, for people and tools.
    public var actions: [String]?
    /// What a run takes, in ms, until runs are measured; absent: 0.
    public var expectedMs: Int?
    /// Its lease in ms; absent: 30 000.
    public var leaseMs: Int?

    /// A capability with all defaults.
    public init(name: String) { self.name = name }
}

extension CapabilityEntry: WireReadable, WireWritable {
    /// Reads an entry.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(name: "")
        let before = reader
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "name": name = try reader.capabilityName()
            case "version": version = try reader.string(limit: Limits.key)
            case "kind": kind = try reader.name()
            case "cost": cost = try CostRule(from: &reader)
            case "timeout_ms": timeoutMs = try reader.milliseconds()
            case "priority": priority = try reader.word()
            case "delivery": delivery = try reader.word()
            case "input_schema": inputSchema = try reader.schema()
            case "output_schema": outputSchema = try reader.schema()
            case "actions": actions = try reader.strings(limit: Limits.key, count: Limits.labels)
            default: try readNumber(key, &reader)
            }
        }
        if name.isEmpty { throw before.refused("a capability needs a name") }
    }

    private mutating func readNumber(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "slot_cost": slotCost = try reader.int(in: 1...Limits.slots)
        case "max_concurrent": maxConcurrent = try reader.int(in: 1...Limits.slots)
        case "exclusive": exclusive = try reader.bool()
        case "expected_ms": expectedMs = try reader.milliseconds()
        case "lease_ms": leaseMs = try reader.int(in: 1000...86_400_000)
        default: reader.skip()
        }
    }

    /// Writes the entry.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("name", name)
            $0.field("version", version)
            $0.field("kind", kind)
            $0.field("cost", cost)
            $0.field("timeout_ms", timeoutMs)
            $0.field("priority", priority)
            $0.field("slot_cost", slotCost)
            $0.field("max_concurrent", maxConcurrent)
            $0.field("exclusive", exclusive)
            $0.field("delivery", delivery)
            $0.field("input_schema", inputSchema)
            $0.field("output_schema", outputSchema)
            if let actions { $0.field("actions", actions) }
            $0.field("expected_ms", expectedMs)
            $0.field("lease_ms", leaseMs)
        }
    }
}

/// What an executor can do (`topics/executors.md`, card): retained on `executor/E/card`.
public struct Card: Hashable, Sendable {
    /// Random per process start.
    public var boot: String
    /// Rises with each change of the card within one boot.
    public var rev: Int
    /// What kind of executor, for people and statistics.
    public var type: String?
    /// Its version.
    public var version: String?
    /// How it takes work; absent: push.
    public var modes: [Mode]?
    /// How much at one time; absent: 1.
    public var slots: Int?
    /// What it has; matched against `agent:` requirements.
    public var labels: [String]?
    /// For an executor that sleeps: how often it wakes, in ms.
    public var wakeEveryMs: Int?
    /// What it offers.
    public var capabilities: [CapabilityEntry]
    /// Between two beats in ms; absent: 10 000.
    public var beatMs: Int?
    /// Between assign and accept in ms; absent: 2000.
    public var acceptMs: Int?
    /// Between its Will and the loss of its work in ms; absent: 1000.
    public var willGraceMs: Int?
    /// Slots kept for `critical`; absent: by the number of slots.
    public var reserved: Int?

    /// A card.
    public init(boot: String, rev: Int, capabilities: [CapabilityEntry]) {
        self.boot = boot
        self.rev = rev
        self.capabilities = capabilities
    }
}

extension Card: WireReadable, WireWritable {
    /// Reads a card.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(boot: "", rev: 0, capabilities: [])
        let before = reader
        var hasCapabilities = false
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "boot": boot = try reader.name()
            case "rev": rev = try reader.int(in: 0...JSONLimits.largestInteger)
            case "type": type = try reader.name()
            case "version": version = try reader.string(limit: Limits.key)
            case "modes": modes = try reader.modes()
            case "labels": labels = try reader.strings(limit: Limits.key, count: Limits.labels)
            case "capabilities":
                capabilities = try reader.list(count: Limits.cardCapabilities)
                hasCapabilities = true
            default: try readNumber(key, &reader)
            }
        }
        if boot.isEmpty || !hasCapabilities { throw before.refused("a card needs boot and capabilities") }
    }

    private mutating func readNumber(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "slots": slots = try reader.int(in: 1...Limits.slots)
        case "wake_every_ms": wakeEveryMs = try reader.int(in: 1000...604_800_000)
        case "beat_ms": beatMs = try reader.int(in: 100...3_600_000)
        case "accept_ms": acceptMs = try reader.int(in: 10...3_600_000)
        case "will_grace_ms": willGraceMs = try reader.int(in: 0...3_600_000)
        case "reserved": reserved = try reader.int(in: 0...Limits.slots)
        default: reader.skip()
        }
    }

    /// Writes the card.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("boot", boot)
            $0.field("rev", rev)
            $0.field("type", type)
            $0.field("version", version)
            if let modes { $0.field("modes", modes.map(\.rawValue)) }
            $0.field("slots", slots)
            if let labels { $0.field("labels", labels) }
            $0.field("wake_every_ms", wakeEveryMs)
            $0.field("capabilities", capabilities)
            $0.field("beat_ms", beatMs)
            $0.field("accept_ms", acceptMs)
            $0.field("will_grace_ms", willGraceMs)
            $0.field("reserved", reserved)
        }
    }
}

extension JSONReader {
    /// A capability's name; `plan` is the dispatcher's own.
    public mutating func capabilityName() throws(WireError) -> String {
        let before = self
        let text = try name()
        if text == Names.planCapability { throw before.refused("'\(Names.planCapability)' cannot be offered") }
        return text
    }

    mutating func schema() throws(WireError) -> RawJSON {
        guard kind == .object else { throw refused("expected a schema: an object") }
        return raw()
    }

    mutating func modes() throws(WireError) -> [Mode] {
        var list: [Mode] = []
        let before = self
        try beginArray()
        while nextElement() {
            let mode = try mode()
            if mode == .undecided || list.contains(mode) { throw before.refused("must list push, pull or both") }
            list.append(mode)
        }
        if list.isEmpty { throw before.refused("must list push, pull or both") }
        return list
    }
}

/// Whether an executor is there (`topics/executors.md`, status): retained on `executor/E/status`, also its Will.
public struct ExecutorStatus: Hashable, Sendable {
    /// What it says.
    public var status: ExecutorState
    /// The boot it speaks of.
    public var boot: String?
    /// Rises by one with each connection of a boot; absent: 0.
    public var conn: Int?

    /// A status.
    public init(_ status: ExecutorState, boot: String?, conn: Int? = nil) {
        self.status = status
        self.boot = boot
        self.conn = conn
    }
}

extension ExecutorStatus: WireReadable, WireWritable {
    /// Reads a status.
    public init(from reader: inout JSONReader) throws(WireError) {
        let before = reader
        var status: ExecutorState?
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "status": status = try reader.word()
            case "boot": boot = try reader.name()
            case "conn": conn = try reader.int(in: 0...JSONLimits.largestInteger)
            default: reader.skip()
            }
        }
        guard let status else { throw before.refused("a status needs a status") }
        self.status = status
    }

    /// Writes the status.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("status", status)
            $0.field("boot", boot)
            $0.field("conn", conn)
        }
    }
}
