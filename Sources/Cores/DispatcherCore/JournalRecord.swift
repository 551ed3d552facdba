import Contract
import TimeModel
import Wire

/// One record of the journal. Each says one change; replayed in order they give the state (`topics/promises.md`).
enum JournalRecord: Hashable, Sendable {
    /// A start: the number of the run.
    case term(Int)
    /// The counters, at the head of a compacted journal.
    case counters(epoch: Int, number: Int)
    /// An intent became a task.
    case accepted(TaskRecord)
    /// An intent is attached to another task.
    case attached(AttachedRecord)
    /// A task changed.
    case changed(TaskChange)
    /// A task has ended.
    case ended(number: Int, EndedRecord, EndMarks)
    /// The broker has taken what these tokens name.
    case delivered([Int])
    /// The oldest ended tasks are forgotten.
    case forgotten(Int)
    /// The oldest dead letters are forgotten.
    case forgottenDead(Int)
    /// The results of these ended tasks are dropped.
    case resultsDropped([Int])
    /// A retained result is cleared.
    case unkept(Int)
    /// A dead letter was sent again.
    case redriven(Int)
    /// An executor offers a capability for the first time.
    case seen(ScopedName, capability: String, at: WallTime)
    /// An executor is forgotten: what it offered first counts no more.
    case unseen(ScopedName)
    /// An executor's card is the reference of a capability.
    case reference(ScopedName, executor: String?)
    /// A capability, or a pair, is paused or resumed by command.
    case pause(ScopedName, executor: String?, CommandPause?)
    /// An executor is taken out of service, or back.
    case drain(ScopedName, Bool)
    /// A circuit, or `nil` when it is gone.
    case circuit(ScopedName, executor: String?, CircuitRecord?)
    /// Slots stay used without authority.
    case zombie(executor: ScopedName, capability: String, Zombie)
    /// And are free again.
    case zombieEnded(executor: ScopedName, task: Int, epoch: Int)
    /// What was spent of a budget in a period.
    case spent(budget: String, period: Int, amount: Int)
}

/// What else the record of an end says.
struct EndMarks: OptionSet, Hashable, Sendable {
    /// The bits.
    let rawValue: Int

    /// The broker has not taken the result, the dead letter, the record of the log.
    static let result = EndMarks(rawValue: 2)
    static let dead = EndMarks(rawValue: 4)
    static let log = EndMarks(rawValue: 8)
    /// In a compacted journal: only the dead letter is left of the task.
    static let onlyDead = EndMarks(rawValue: 16)
    /// The pair's circuit, and the capability's, have one more success in their windows.
    static let pairSuccess = EndMarks(rawValue: 32)
    static let capabilitySuccess = EndMarks(rawValue: 64)

    /// What of a task the broker has not taken, by its tokens.
    init(_ undelivered: Set<Int>, _ number: Int) {
        rawValue = (1...3).reduce(0) { undelivered.contains(number * 4 + $1) ? $0 | 1 << $1 : $0 }
    }

    init(rawValue: Int) { self.rawValue = rawValue }
}

/// What a transition changes.
struct TaskChange: Hashable, Sendable {
    /// The task with its new values; of the spec only number and input count.
    var task: TaskRecord
    /// Its lease.
    var lease: Lease?
    /// What attempts have left.
    var run: RunRecord?
    /// Whether the input is a new one: a step's references are resolved.
    var hasNewInput = false
    /// Whether the task is `at_most_once` from now on.
    var raisesDelivery = false
    /// In a compacted journal: whether the update `accepted` has not been taken by the broker.
    var undelivered: Bool?
}

extension JournalRecord: WireWritable {
    func write(to writer: inout JSONWriter) {
        writer.object {
            switch self {
            case .term(let term):
                $0.field("k", "T")
                $0.field("v", term)
            case .counters(let epoch, let number):
                $0.field("k", "N")
                $0.field("ep", epoch)
                $0.field("n", number)
            case .accepted(let task):
                $0.field("k", "a")
                JournalRecord.write(task.spec, to: &$0)
                JournalRecord.writeState(task, to: &$0)
            case .attached(let record):
                $0.field("k", "x")
                JournalRecord.write(record.spec, to: &$0)
                $0.field("of", record.first)
            case .changed(let change): JournalRecord.write(change, to: &$0)
            case .ended(let number, let record, let marks):
                $0.field("k", "e")
                $0.field("n", number)
                JournalRecord.write(record, to: &$0)
                if !marks.isEmpty { $0.field("u", marks.rawValue) }
            default: writeRest(to: &$0)
            }
        }
    }

    private func writeRest(to writer: inout JSONWriter) {
        switch self {
        case .delivered(let tokens): writeList("d", tokens, &writer)
        case .resultsDropped(let numbers): writeList("h", numbers, &writer)
        case .forgotten(let count): writeCount("g", count, &writer)
        case .forgottenDead(let count): writeCount("G", count, &writer)
        case .unkept(let number): writeCount("K", number, &writer)
        case .redriven(let number): writeCount("v", number, &writer)
        case .seen(let executor, let capability, let at):
            writeNames("f", executor, capability: capability, executor: executor.name, &writer)
            writer.field("at", at.milliseconds)
        case .unseen(let executor): writeNames("F", executor, capability: nil, executor: executor.name, &writer)
        case .reference(let capability, let executor):
            writeNames("r", capability, capability: capability.name, executor: executor, &writer)
        case .pause(let capability, let executor, let pause):
            writeNames("p", capability, capability: capability.name, executor: executor, &writer)
            writer.field("at", pause?.untilAt.milliseconds)
            writer.field("ms", pause?.forMs)
        case .drain(let executor, let isDraining):
            writeNames("q", executor, capability: nil, executor: executor.name, &writer)
            writer.field("on", isDraining)
        case .circuit(let capability, let executor, let record):
            writeNames("c", capability, capability: capability.name, executor: executor, &writer)
            writer.field("cv", record)
        case .zombie(let executor, let capability, let zombie):
            writeNames("z", executor, capability: capability, executor: executor.name, &writer)
            writer.field("n", zombie.task)
            writer.field("p", zombie.key.principal)
            writer.field("i", zombie.key.id)
            writer.field("ep", zombie.epoch)
            writer.field("sc", zombie.slotCost)
            writer.field("at", zombie.untilAt.milliseconds)
        case .zombieEnded(let executor, let task, let epoch):
            writeNames("y", executor, capability: nil, executor: executor.name, &writer)
            writer.field("n", task)
            writer.field("ep", epoch)
        case .spent(let budget, let period, let amount):
            writer.field("k", "b")
            writer.field("i", budget)
            writer.field("n", period)
            writer.field("v", amount)
        default: break
        }
    }

    private func writeList(_ kind: String, _ list: [Int], _ writer: inout JSONWriter) {
        writer.field("k", kind)
        writer.key("t")
        writer.beginArray()
        for number in list { writer.value(number) }
        writer.endArray()
    }

    private func writeCount(_ kind: String, _ count: Int, _ writer: inout JSONWriter) {
        writer.field("k", kind)
        writer.field("v", count)
    }

    private func writeNames(
        _ kind: String, _ scope: ScopedName, capability: String?, executor: String?, _ writer: inout JSONWriter
    ) {
        writer.field("k", kind)
        writer.field("w", scope.workspace)
        writer.field("c", capability)
        writer.field("e", executor)
    }

    private static func write(_ spec: TaskSpec, to writer: inout JSONWriter) {
        writer.field("n", spec.number)
        writer.field("w", spec.key.workspace)
        writer.field("p", spec.key.principal)
        writer.field("i", spec.key.id)
        writer.field("c", spec.capability)
        writer.key("dg")
        writer.plainText { spec.digest.append(to: &$0) }
        if spec.owner != spec.key.principal { writer.field("o", spec.owner) }
        writer.field("aa", spec.acceptedAt.milliseconds)
        writer.field("dl", spec.deadlineAt.milliseconds)
        if let step = spec.step {
            writer.field("pl", step.plan)
            writer.field("si", step.index)
        }
        writer.field("in", spec.intent)
    }

    private static func writeState(_ task: TaskRecord, to writer: inout JSONWriter) {
        writer.field("s", task.state)
        writer.field("r", task.rev)
        writer.field("cd", task.code?.rawValue)
        if task.epoch != 0 { writer.field("ep", task.epoch) }
        if task.attempts != 0 { writer.field("ac", Int(task.attempts)) }
        if task.tries != 0 { writer.field("tc", Int(task.tries)) }
        if task.offers != 0 { writer.field("oc", Int(task.offers)) }
        if task.lost != 0 { writer.field("lc", Int(task.lost)) }
        writer.field("ra", task.readyAt?.milliseconds)
        writer.field("qa", task.queuedAt?.milliseconds)
        writer.field("as", task.assignedTo)
        if task.mode != .undecided { writer.field("m", task.mode) }
        if task.isForced { writer.field("fo", true) }
        if task.isApproved { writer.field("ap", true) }
    }

    private static func write(_ change: TaskChange, to writer: inout JSONWriter) {
        writer.field("k", "t")
        writer.field("n", change.task.number)
        writeState(change.task, to: &writer)
        if let lease = change.lease { writer.field("l") { write(lease, to: &$0) } }
        if let run = change.run { writer.field("ru") { write(run, to: &$0) } }
        if change.raisesDelivery { writer.field("mo", true) }
        if change.hasNewInput { writer.field("inp", change.task.spec.input ?? .emptyObject) }
        if let undelivered = change.undelivered { writer.field("u", undelivered ? 1 : 0) }
    }

    private static func write(_ lease: Lease, to writer: inout JSONWriter) {
        writer.field("e", lease.name)
        writer.field("b", lease.boot)
        writer.field("ep", lease.epoch)
        writer.field("m", lease.mode)
        writer.field("sl", lease.slot)
        writer.field("sc", lease.slotCost)
        writer.field("at", lease.attempt)
        writer.field("lm", lease.leaseMs)
        writer.field("tm", lease.timeoutMs)
        if lease.offerMs != 0, lease.startedAt == nil { writer.field("om", lease.offerMs) }
        writer.field("gr", lease.graceMs)
        writer.field("ga", lease.grantedAt.milliseconds)
        writer.field("sa", lease.startedAt?.milliseconds)
        if lease.pairGeneration != 0 { writer.field("pg", lease.pairGeneration) }
        if lease.capabilityGeneration != 0 { writer.field("cg", lease.capabilityGeneration) }
        if lease.estimate != 0 { writer.field("es", lease.estimate) }
        if lease.charge != 0 { writer.field("ch", lease.charge) }
        if lease.isForced { writer.field("fo", true) }
    }

    private static func write(_ run: RunRecord, to writer: inout JSONWriter) {
        writer.field("fs", run.firstStartAt?.milliseconds)
        if let holder = run.holder { writer.field("ho") { write(holder, to: &$0) } }
        writer.field("fl", run.failedLast)
        writer.field("cp", run.checkpoint)
        if !run.history.isEmpty { writer.field("hi", run.history) }
        if run.spent != 0 { writer.field("sp", run.spent) }
        writer.field("le", run.lastError)
        writer.field("cr", run.cancelReason)
    }

    private static func write(_ holder: Holder, to writer: inout JSONWriter) {
        writer.field("e", holder.executor)
        writer.field("b", holder.boot)
        writer.field("ep", holder.epoch)
        writer.field("m", holder.mode)
    }

    private static func write(_ record: EndedRecord, to writer: inout JSONWriter) {
        writer.field("s", record.status)
        writer.field("r", record.rev)
        writer.field("cd", record.code?.rawValue)
        writer.field("at", record.endedAt.milliseconds)
        if record.epoch != 0 { writer.field("ep", record.epoch) }
        if let holder = record.holder { writer.field("ho") { write(holder, to: &$0) } }
        if record.isApproved { writer.field("ap", true) }
        if record.isDead { writer.field("dd", true) }
        writer.field("of", record.attachedTo)
        if record.attempts != 0 { writer.field("ac", record.attempts) }
        writer.field("ku", record.keptUntil?.milliseconds)
        if record.durationMs != 0 { writer.field("du", record.durationMs) }
        if record.spent != 0 { writer.field("sp", record.spent) }
        writer.field("re", record.result)
    }
}
