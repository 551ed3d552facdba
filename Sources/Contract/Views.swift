public import TimeModel
public import Wire

/// How many tasks wait for a capability (`topics/executors.md`, offers); retained on `offer/C`, cleared at none.
public struct Offer: Hashable, Sendable {
    /// Open tasks.
    public var open: Int
    /// Rises with each publication.
    public var rev: Int

    /// An offer.
    public init(open: Int, rev: Int) {
        self.open = open
        self.rev = rev
    }
}

extension Offer: WireReadable, WireWritable {
    /// Reads an offer.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(open: 0, rev: 0)
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "open": open = try reader.int()
            case "rev": rev = try reader.int()
            default: reader.skip()
            }
        }
    }

    /// Writes the offer.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("open", open)
            $0.field("rev", rev)
        }
    }
}

/// The registry's view of a capability (`topics/tasks.md`, registry); retained on `capability/C`.
public struct CapabilityView: Hashable, Sendable {
    /// One registration.
    public struct Registration: Hashable, Sendable, WireReadable, WireWritable {
        /// Who offers it.
        public var executor: String
        /// How it takes work.
        public var modes: [Mode]
        /// Its state as the dispatcher sees it.
        public var state: String
        /// What one unit costs now, in micro-units.
        public var cost: Int
        /// Slots free for it.
        public var freeSlots: Int
        /// Why it would not get a task now.
        public var code: String?

        /// A registration.
        public init(executor: String, modes: [Mode], state: String, cost: Int, freeSlots: Int, code: String?) {
            self.executor = executor
            self.modes = modes
            self.state = state
            self.cost = cost
            self.freeSlots = freeSlots
            self.code = code
        }

        /// Reads a registration.
        public init(from reader: inout JSONReader) throws(WireError) {
            self.init(executor: "", modes: [], state: "", cost: 0, freeSlots: 0, code: nil)
            try reader.beginObject()
            while let key = reader.nextKey() {
                switch key {
                case "executor": executor = try reader.name()
                case "modes": modes = try reader.modes()
                case "state": state = try reader.string(limit: 32)
                case "cost": cost = try reader.cost()
                case "free_slots": freeSlots = try reader.int()
                case "code": code = try reader.string(limit: Names.limit)
                default: reader.skip()
                }
            }
        }

        /// Writes the registration.
        public func write(to writer: inout JSONWriter) {
            writer.object {
                $0.field("executor", executor)
                $0.field("modes", modes.map(\.rawValue))
                $0.field("state", state)
                $0.field("cost", cost)
                $0.field("free_slots", freeSlots)
                $0.field("code", code)
            }
        }
    }

    /// A conflict between registrations.
    public struct Conflict: Hashable, Sendable, WireReadable, WireWritable {
        /// `overlap`, `contract`, `identity`, `self`, `exclusive`, `delivery`, `limit`.
        public var conflictClass: String
        /// Who takes part.
        public var executors: [String]
        /// Since when.
        public var since: WallTime
        /// What was decided.
        public var resolution: String

        /// A conflict.
        public init(conflictClass: String, executors: [String], since: WallTime, resolution: String) {
            self.conflictClass = conflictClass
            self.executors = executors
            self.since = since
            self.resolution = resolution
        }

        /// Reads a conflict.
        public init(from reader: inout JSONReader) throws(WireError) {
            self.init(conflictClass: "", executors: [], since: WallTime(milliseconds: 0), resolution: "")
            try reader.beginObject()
            while let key = reader.nextKey() {
                switch key {
                case "class": conflictClass = try reader.string(limit: 32)
                case "executors": executors = try reader.names(count: Limits.executors)
                case "since": since = try reader.instant()
                case "resolution": resolution = try reader.string(limit: Limits.text)
                default: reader.skip()
                }
            }
        }

        /// Writes the conflict.
        public func write(to writer: inout JSONWriter) {
            writer.object {
                $0.field("class", conflictClass)
                $0.field("executors", executors)
                $0.field("since", since)
                $0.field("resolution", resolution)
            }
        }
    }

    /// Who offers it, in the order of their names.
    public var executors: [Registration] = []
    /// Least cost now.
    public var costMin: Int?
    /// Greatest cost now.
    public var costMax: Int?
    /// Tasks that wait.
    public var queued = 0
    /// Tasks under way.
    public var running = 0
    /// State of its circuit.
    public var circuit = CircuitState.closed
    /// What is in conflict.
    public var conflicts: [Conflict] = []
    /// Rises with each publication.
    public var rev = 0

    /// A view of nothing.
    public init() {}
}

extension CapabilityView: WireReadable, WireWritable {
    /// Reads a view.
    public init(from reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "executors": executors = try reader.list(count: Limits.executors)
            case "cost_min": costMin = try reader.cost()
            case "cost_max": costMax = try reader.cost()
            case "queued": queued = try reader.int()
            case "running": running = try reader.int()
            case "circuit": circuit = try reader.word()
            case "conflicts": conflicts = try reader.list(count: Limits.executors)
            case "rev": rev = try reader.int()
            default: reader.skip()
            }
        }
    }

    /// Writes the view.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("executors", executors)
            $0.field("cost_min", costMin)
            $0.field("cost_max", costMax)
            $0.field("queued", queued)
            $0.field("running", running)
            $0.field("circuit", circuit)
            $0.field("conflicts", conflicts)
            $0.field("rev", rev)
        }
    }
}

/// A circuit (`topics/tasks.md`, circuits); retained on `circuit/C` and `circuit/C/E`.
public struct CircuitView: Hashable, Sendable {
    /// Closed, open or half open.
    public var state: CircuitState
    /// Since when.
    public var since: WallTime
    /// For `open`: when the probe is due; for a forced state: when it ends.
    public var until: WallTime?
    /// The code of the last failure, or of the command.
    public var why: String?
    /// Failures in a row.
    public var failures: Int
    /// How often it opened in a row.
    public var opened: Int
    /// Who forced it.
    public var forcedBy: String?
    /// Rises with each publication.
    public var rev: Int

    /// A circuit.
    public init(state: CircuitState, since: WallTime, failures: Int, opened: Int, rev: Int) {
        self.state = state
        self.since = since
        self.failures = failures
        self.opened = opened
        self.rev = rev
    }
}

extension CircuitView: WireReadable, WireWritable {
    /// Reads a circuit.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(state: .closed, since: WallTime(milliseconds: 0), failures: 0, opened: 0, rev: 0)
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "state": state = try reader.word()
            case "since": since = try reader.instant()
            case "until": until = try reader.instant()
            case "why": why = try reader.string(limit: Limits.key)
            case "failures": failures = try reader.int()
            case "opened": opened = try reader.int()
            case "forced_by": forcedBy = try reader.name()
            case "rev": rev = try reader.int()
            default: reader.skip()
            }
        }
    }

    /// Writes the circuit.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("state", state)
            $0.field("since", since)
            $0.field("until", until)
            $0.field("why", why)
            $0.field("failures", failures)
            $0.field("opened", opened)
            $0.field("forced_by", forcedBy)
            $0.field("rev", rev)
        }
    }
}
