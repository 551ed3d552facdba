import Contract
import Machine
import TimeModel
import Wire

/// Values by a few keys, which are looked through: for so few a dictionary takes longer.
private struct FewFields<Value> {
    private var entries: [(key: String, value: Value)] = []

    /// The value of a key.
    subscript(key: String) -> Value? { entries.first { $0.key == key }?.value }

    /// Adds a key that is not there yet.
    mutating func add(_ key: String, _ value: Value) { entries.append((key, value)) }
}

/// The fields of any record, as they stand.
private struct JournalFields {
    var kind = ""
    var numbers = FewFields<Int>()
    var texts = FewFields<String>()
    var flags: Set<String> = []
    var intent: Intent?
    var input: RawJSON?
    var result: RawJSON?
    var lease: RawJSON?
    var run: RawJSON?
    var holder: RawJSON?
    var circuit: RawJSON?
    var tokens: [Int] = []

    init(_ bytes: [UInt8]) throws(WireError) {
        var reader = try JSONReader(bytes)
        try self.init(from: &reader)
    }

    init(from reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "k": kind = try reader.string()
            case "in": intent = try Intent(from: &reader)
            case "inp": input = reader.raw()
            case "re": result = reader.raw()
            case "l": lease = reader.raw()
            case "ru": run = reader.raw()
            case "ho": holder = reader.raw()
            case "cv": circuit = reader.raw()
            case "t":
                try reader.beginArray()
                while reader.nextElement() { tokens.append(try reader.int()) }
            default: try readScalar(key, &reader)
            }
        }
    }

    private mutating func readScalar(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch reader.kind {
        case .number: numbers.add(key, try reader.int())
        case .string: texts.add(key, try reader.string())
        case .bool: if try reader.bool() { flags.insert(key) }
        default: reader.skip()
        }
    }

    func number(_ key: String) throws(JournalError) -> Int {
        guard let number = numbers[key] else { throw JournalError("record \(kind) lacks \(key)") }
        return number
    }

    func text(_ key: String) throws(JournalError) -> String {
        guard let text = texts[key] else { throw JournalError("record \(kind) lacks \(key)") }
        return text
    }

    func time(_ key: String) -> WallTime? { numbers[key].map { WallTime(milliseconds: $0) } }

    func scope(_ key: String) throws(JournalError) -> ScopedName { ScopedName(try text("w"), try text(key)) }
}

extension JournalRecord {
    /// Reads a record; throws when it is of no known form.
    init(_ bytes: [UInt8]) throws(JournalError) {
        do {
            try self.init(fields: JournalFields(bytes))
        } catch let error as WireError {
            throw JournalError(error.message)
        } catch let error as JournalError {
            throw error
        } catch {
            throw JournalError("unreadable")
        }
    }

    private init(fields: JournalFields) throws {
        switch fields.kind {
        case "T": self = .term(try fields.number("v"))
        case "N": self = .counters(epoch: try fields.number("ep"), number: try fields.number("n"))
        case "a": self = .accepted(try JournalRecord.task(fields))
        case "x":
            let spec = try JournalRecord.spec(fields)
            self = .attached(AttachedRecord(spec: spec, first: try fields.number("of")))
        case "t": self = .changed(try JournalRecord.change(fields))
        case "e":
            self = .ended(
                number: try fields.number("n"), try JournalRecord.ended(fields),
                EndMarks(rawValue: fields.numbers["u"] ?? 0))
        case "d": self = .delivered(fields.tokens)
        case "g": self = .forgotten(try fields.number("v"))
        case "G": self = .forgottenDead(try fields.number("v"))
        case "h": self = .resultsDropped(fields.tokens)
        case "K": self = .unkept(try fields.number("v"))
        case "v": self = .redriven(try fields.number("v"))
        default: try self.init(rest: fields)
        }
    }

    private init(rest fields: JournalFields) throws {
        switch fields.kind {
        case "f":
            self = .seen(
                try fields.scope("e"), capability: try fields.text("c"),
                at: WallTime(milliseconds: try fields.number("at")))
        case "F": self = .unseen(try fields.scope("e"))
        case "r": self = .reference(try fields.scope("c"), executor: fields.texts["e"])
        case "p":
            let pause = fields.time("at").map { CommandPause(until: $0, forMs: fields.numbers["ms"]) }
            self = .pause(try fields.scope("c"), executor: fields.texts["e"], pause)
        case "q": self = .drain(try fields.scope("e"), fields.flags.contains("on"))
        case "c":
            let record = try fields.circuit.map { try CircuitRecord($0) }
            self = .circuit(try fields.scope("c"), executor: fields.texts["e"], record)
        case "z":
            let scope = try fields.scope("e")
            let zombie = Zombie(
                task: try fields.number("n"), key: TaskKey(scope.workspace, try fields.text("p"), try fields.text("i")),
                capability: -1, epoch: try fields.number("ep"), slotCost: try fields.number("sc"),
                until: MonotonicTime(milliseconds: 0), untilAt: WallTime(milliseconds: try fields.number("at")))
            self = .zombie(executor: scope, capability: try fields.text("c"), zombie)
        case "y":
            self = .zombieEnded(
                executor: try fields.scope("e"), task: try fields.number("n"), epoch: try fields.number("ep"))
        case "b":
            self = .spent(budget: try fields.text("i"), period: try fields.number("n"), amount: try fields.number("v"))
        default: throw JournalError("a record of kind '\(fields.kind)' is not known")
        }
    }

    private static func spec(_ fields: JournalFields) throws -> TaskSpec {
        guard let intent = fields.intent, let digest = ContentDigest(text: try fields.text("dg")) else {
            throw JournalError("record \(fields.kind) lacks its intent")
        }
        let principal = try fields.text("p")
        var decision = TaskSpec.Decision(
            number: try fields.number("n"), owner: fields.texts["o"] ?? principal,
            priority: intent.priority ?? .normal, delivery: intent.delivery ?? .atLeastOnce,
            acceptedAt: WallTime(milliseconds: try fields.number("aa")),
            deadlineAt: WallTime(milliseconds: try fields.number("dl")))
        if let plan = fields.numbers["pl"] { decision.step = StepPlace(plan: plan, index: try fields.number("si")) }
        let key = TaskKey(try fields.text("w"), principal, try fields.text("i"))
        return TaskSpec(
            key, capability: try fields.text("c"), intent: intent, digest: digest, decision: decision)
    }

    private static func task(_ fields: JournalFields) throws -> TaskRecord {
        var task = TaskRecord(try spec(fields), state: .queued)
        try readState(fields, into: &task)
        return task
    }

    private static func readState(_ fields: JournalFields, into task: inout TaskRecord) throws {
        guard let state = TaskState(rawValue: try fields.text("s")) else { throw JournalError("an unknown state") }
        task.state = state
        task.rev = try fields.number("r")
        task.code = fields.texts["cd"].map { Code(rawValue: $0) }
        task.epoch = fields.numbers["ep"] ?? 0
        task.attempts = Int32(clamping: fields.numbers["ac"] ?? 0)
        task.tries = Int32(clamping: fields.numbers["tc"] ?? 0)
        task.offers = Int32(clamping: fields.numbers["oc"] ?? 0)
        task.lost = Int32(clamping: fields.numbers["lc"] ?? 0)
        task.readyAt = fields.time("ra")
        task.queuedAt = fields.time("qa")
        task.assignedTo = fields.texts["as"]
        task.mode = fields.texts["m"].flatMap { Mode(rawValue: $0) } ?? .undecided
        task.isForced = fields.flags.contains("fo")
        task.isApproved = fields.flags.contains("ap")
    }

    /// The spec of a change is a stand-in that carries number and input; the task's own is in the table.
    private static func change(_ fields: JournalFields) throws -> TaskChange {
        let spec = standIn(try fields.number("n")).with(input: fields.input)
        var change = TaskChange(task: TaskRecord(spec, state: .queued))
        try readState(fields, into: &change.task)
        change.lease = try fields.lease.map { try lease($0) }
        change.run = try fields.run.map { try run($0) }
        change.hasNewInput = fields.input != nil
        change.raisesDelivery = fields.flags.contains("mo")
        change.undelivered = fields.numbers["u"].map { $0 == 1 }
        return change
    }

    private static func lease(_ raw: RawJSON) throws -> Lease {
        var reader = JSONReader(raw)
        let fields = try JournalFields(from: &reader)
        guard let mode = Mode(rawValue: try fields.text("m")) else { throw JournalError("a lease lacks its mode") }
        var lease = Lease(
            executor: -1, name: try fields.text("e"), epoch: try fields.number("ep"), mode: mode,
            grantedAt: WallTime(milliseconds: try fields.number("ga")))
        lease.boot = fields.texts["b"]
        lease.slot = fields.texts["sl"]
        lease.slotCost = try fields.number("sc")
        lease.attempt = try fields.number("at")
        lease.leaseMs = try fields.number("lm")
        lease.timeoutMs = try fields.number("tm")
        lease.offerMs = fields.numbers["om"] ?? 0
        lease.graceMs = fields.numbers["gr"]
        lease.startedAt = fields.time("sa")
        lease.pairGeneration = fields.numbers["pg"] ?? 0
        lease.capabilityGeneration = fields.numbers["cg"] ?? 0
        lease.estimate = fields.numbers["es"] ?? 0
        lease.charge = fields.numbers["ch"] ?? 0
        lease.isForced = fields.flags.contains("fo")
        return lease
    }

    private static func run(_ raw: RawJSON) throws -> RunRecord {
        var run = RunRecord()
        var reader = JSONReader(raw)
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "fs": run.firstStartAt = WallTime(milliseconds: try reader.int())
            case "ho": run.holder = try holder(reader.raw())
            case "fl": run.failedLast = try reader.string()
            case "cp": run.checkpoint = reader.raw()
            case "hi": run.history = try reader.list(count: Limits.attemptRecords)
            case "sp": run.spent = try reader.int()
            case "le": run.lastError = try ErrorBody(from: &reader)
            case "cr": run.cancelReason = try reader.string()
            default: reader.skip()
            }
        }
        return run
    }

    private static func holder(_ raw: RawJSON) throws -> Holder {
        var reader = JSONReader(raw)
        let fields = try JournalFields(from: &reader)
        guard let mode = Mode(rawValue: try fields.text("m")) else { throw JournalError("a holder lacks its mode") }
        return Holder(
            executor: try fields.text("e"), boot: fields.texts["b"], epoch: try fields.number("ep"), mode: mode)
    }

    private static func ended(_ fields: JournalFields) throws -> EndedRecord {
        guard let status = Status(rawValue: try fields.text("s")) else { throw JournalError("an unknown status") }
        // The spec is the task's own, from its record of acceptance.
        let stub = standIn(try fields.number("n"))
        var record = EndedRecord(
            spec: stub, status: status, rev: try fields.number("r"),
            endedAt: WallTime(milliseconds: try fields.number("at")), epoch: fields.numbers["ep"] ?? 0)
        record.code = fields.texts["cd"].map { Code(rawValue: $0) }
        record.result = fields.result
        record.holder = try fields.holder.map { try holder($0) }
        record.isApproved = fields.flags.contains("ap")
        record.isDead = fields.flags.contains("dd")
        record.attachedTo = fields.numbers["of"]
        record.attempts = fields.numbers["ac"] ?? 0
        record.keptUntil = fields.time("ku")
        record.durationMs = fields.numbers["du"] ?? 0
        record.spent = fields.numbers["sp"] ?? 0
        return record
    }

    private static func standIn(_ number: Int) -> TaskSpec {
        let zero = WallTime(milliseconds: 0)
        let decision = TaskSpec.Decision(
            number: number, owner: "", priority: .normal, delivery: .atLeastOnce, acceptedAt: zero, deadlineAt: zero)
        return TaskSpec(
            TaskKey("", "", ""), capability: "", intent: Intent(), digest: ContentDigest(high: 0, low: 0),
            decision: decision)
    }
}
