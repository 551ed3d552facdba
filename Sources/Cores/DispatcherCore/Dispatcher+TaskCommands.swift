import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// A task as a command found it.
enum FoundTask: Sendable {
    /// It lives.
    case live(TaskRecord)
    /// It has ended.
    case ended(Int, EndedRecord)
    /// It waits for the result of another.
    case attached(AttachedRecord)

    /// What does not change.
    var spec: TaskSpec {
        switch self {
        case .live(let task): task.spec
        case .ended(_, let record): record.spec
        case .attached(let attachment): attachment.spec
        }
    }
}

/// Commands about tasks (`topics/commands.md`, task).
extension Dispatcher {
    mutating func taskCommand(_ call: CommandCall) throws(CommandRefusal) -> Reply {
        if call.verb == "list" { return try listTasks(call) }
        let found = try findTask(call)
        try permit(call, capability: found.spec.capability, isOwn: found.spec.owner == call.principal)
        switch call.verb {
        case "get":
            let whole = object(found, withPayload: true)
            let fits = whole.bytes.count <= Limits.payload - Limits.envelope / 2
            return .done(rev: revision(found), data: fits ? whole : object(found, withPayload: true, withInput: false))
        case "explain": return .done(data: explain(found))
        case "cancel": return try cancelTask(call, found)
        case "assign": return try assignTask(call, found)
        case "redrive": return try redriveTask(call, found)
        default: return try decideTask(call, found, approve: call.verb == "approve")
        }
    }

    private func findTask(_ call: CommandCall) throws(CommandRefusal) -> FoundTask {
        let key = TaskKey(call.workspace, call.fields.principal ?? call.principal, call.id)
        if let number = ids[key] {
            if let task = tasks[number] { return .live(task) }
            if let record = ended[number] { return .ended(number, record) }
            if let attachment = attached[number] { return .attached(attachment) }
        }
        for number in deadOrder.all {
            if let record = dead[number], record.spec.key == key { return .ended(number, record) }
        }
        throw CommandRefusal(.notFound, "no task \(key.id) of \(key.principal)")
    }

    // MARK: - Objects

    private func revision(_ found: FoundTask) -> Int {
        switch found {
        case .live(let task): task.rev
        case .ended(_, let record): record.rev
        case .attached: 1
        }
    }

    /// A task in `data`; with input and result for `get`.
    func object(_ found: FoundTask, withPayload: Bool = false, withInput: Bool = true) -> RawJSON {
        RawJSON { writer in
            writer.object {
                switch found {
                case .live(let task): write(task, to: &$0)
                case .ended(_, let record): write(record, to: &$0)
                case .attached(let attachment): write(attachment, to: &$0)
                }
                write(found.spec, to: &$0)
                guard withPayload else { return }
                if withInput { $0.field("input", found.spec.input) }
                if case .ended(_, let record) = found { $0.field("result", record.result) }
            }
        }
    }

    private func write(_ task: TaskRecord, to writer: inout JSONWriter) {
        let lease = leases[task.number]
        writeName(task.spec, to: &writer)
        writer.field("state", task.state)
        writer.field("rev", task.rev)
        writer.field("code", task.code?.rawValue)
        writer.field("mode", lease?.mode ?? task.mode)
        writer.field("executor", lease?.name)
        if task.epoch > 0 { writer.field("epoch", task.epoch) }
        writer.field("assigned_to", task.assignedTo)
        writer.field("attempt", Int(task.attempts))
        writer.field("ready_at", task.readyAt)
        writer.field("timeout_ms", lease?.timeoutMs ?? (task.spec.isPlan ? nil : expectedTimeout(task.spec)))
    }

    private func write(_ record: EndedRecord, to writer: inout JSONWriter) {
        writeName(record.spec, to: &writer)
        writer.field("state", record.status)
        writer.field("rev", record.rev)
        writer.field("code", record.code?.rawValue)
        writer.field("mode", record.holder?.mode ?? record.spec.mode)
        writer.field("executor", record.holder?.executor)
        if record.epoch > 0 { writer.field("epoch", record.epoch) }
        writer.field("attempt", record.attempts)
    }

    private func write(_ attachment: AttachedRecord, to writer: inout JSONWriter) {
        writeName(attachment.spec, to: &writer)
        writer.field("state", attachedUpdate(attachment).state)
        writer.field("rev", 1)
        writer.field("code", Code.duplicate.rawValue)
        writer.field("of", attachedUpdate(attachment).of)
    }

    private func writeName(_ spec: TaskSpec, to writer: inout JSONWriter) {
        writer.field("task", spec.key.id)
        writer.field("principal", spec.key.principal)
        writer.field("capability", spec.capability)
    }

    private func write(_ spec: TaskSpec, to writer: inout JSONWriter) {
        writer.field("priority", spec.priority)
        writer.field("delivery", spec.delivery)
        writer.field("accepted_at", spec.acceptedAt)
        writer.field("deadline_at", spec.deadlineAt)
        writer.field("origin", spec.origin)
        writer.field("context", spec.context)
    }

    // MARK: - List

    /// Tasks in the order of their acceptance; ended ones as long as they are remembered.
    private func listTasks(_ call: CommandCall) throws(CommandRefusal) -> Reply {
        let wanted = call.fields.principal ?? call.principal
        try permit(call, capability: call.fields.capability, isOwn: wanted == call.principal)
        let after = call.fields.after.flatMap { Int($0) } ?? 0
        var numbers: [Int] = []
        if call.fields.dead ?? false {
            numbers = deadOrder.all.filter { number in
                number > after && dead[number].map { isWanted(.ended(number, $0), call, wanted) } ?? false
            }
        } else {
            numbers = tasks.values.filter { $0.number > after && isWanted(.live($0), call, wanted) }.map(\.number)
            numbers += ended.keys.filter { number in
                number > after && ended[number].map { isWanted(.ended(number, $0), call, wanted) } ?? false
            }
            numbers.sort()
        }
        return page(call, numbers.map(String.init)) { text in
            guard let number = Int(text) else { return nil }
            if let task = tasks[number] { return object(.live(task)) }
            return (ended[number] ?? dead[number]).map { object(.ended(number, $0)) }
        }
    }

    private func isWanted(_ found: FoundTask, _ call: CommandCall, _ principal: String) -> Bool {
        let key = found.spec.key
        guard key.workspace == call.workspace, principal == "*" || key.principal == principal else { return false }
        if let capability = call.fields.capability, capability != found.spec.capability { return false }
        guard let state = call.fields.state else { return true }
        switch found {
        case .live(let task): return task.state == state
        case .ended(_, let record): return TaskState(record.status) == state
        case .attached: return false
        }
    }

    // MARK: - Cancel

    private mutating func cancelTask(_ call: CommandCall, _ found: FoundTask) throws(CommandRefusal) -> Reply {
        var state: TaskState?
        switch found {
        case .live(let task):
            let graceMs = call.fields.graceMs ?? Defaults.cancelGraceMs
            state = cancel(task.number, reason: call.fields.reason, graceMs: graceMs, by: call.principal)
        case .ended(_, let record): state = TaskState(record.status)
        case .attached(let attachment):
            detach(attachment, reason: call.fields.reason)
            state = .canceled
        }
        return .done(data: RawJSON { $0.object { $0.field("state", state) } })
    }

    /// Ends an intent that waits for another's result.
    private mutating func detach(_ attachment: AttachedRecord, reason: String?) {
        let number = attachment.spec.number
        takeAttached(number)
        attachments[attachment.first]?.removeAll { $0 == number }
        var result = TaskResult(task: attachment.spec.key.id, status: .canceled, finishedAt: now.wall)
        result.error = cancelError(reason)
        (result.cost, result.wastedCost, result.durationMs) = (0, 0, 0)
        result.queuedMs = max(0, now.wall - attachment.spec.acceptedAt)
        result.acceptedAt = attachment.spec.acceptedAt
        result.context = attachment.spec.context
        result.origin = attachment.spec.origin
        result.traceparent = attachment.spec.extras?.intent.traceparent
        let record = EndedRecord(
            spec: attachment.spec, status: .canceled, rev: 1, code: result.error?.code, endedAt: now.wall,
            result: result.raw, epoch: 0)
        endAttached(attachment, record)
    }

    // MARK: - Assign

    private mutating func assignTask(_ call: CommandCall, _ found: FoundTask) throws(CommandRefusal) -> Reply {
        guard case .live(let task) = found, !task.spec.isPlan else {
            throw CommandRefusal(.notAssignable, "it cannot be assigned any more", data: object(found))
        }
        guard call.fields.executor != nil || call.fields.executorIsNull else {
            throw CommandRefusal(.invalidField, "executor is missing; null undoes an assignment")
        }
        let mode = try assignedMode(call, task)
        let isForced = call.fields.force ?? false
        if isAssigned(task, to: call.fields.executor, mode, isForced) { return taskReply(task.number) }
        if let rev = call.fields.ifRev, rev != task.rev {
            throw CommandRefusal(.conflictRev, "the task has revision \(task.rev)", data: object(found))
        }
        try checkAssignable(call, task)
        if leases[task.number] != nil { fenceHolder(task.number, code: .staleEpoch, cancels: false) }
        change(task.number) {
            $0.assignedTo = call.fields.executor
            $0.mode = mode
            $0.isForced = isForced
        }
        return taskReply(task.number)
    }

    /// Whether all that is asked for is so already.
    private func isAssigned(_ task: TaskRecord, to executor: String?, _ mode: Mode, _ isForced: Bool) -> Bool {
        guard task.assignedTo == executor, task.mode == mode, task.isForced == isForced else { return false }
        switch task.state {
        case .delayed, .queued: return true
        case .offered, .running: return executor != nil && leases[task.number]?.name == executor
        default: return false
        }
    }

    /// The mode of an assignment: as asked for, else push if the executor can. A task's own mode stands.
    private func assignedMode(_ call: CommandCall, _ task: TaskRecord) throws(CommandRefusal) -> Mode {
        guard let name = call.fields.executor else { return task.spec.mode }
        let own = task.spec.mode
        var wanted = call.fields.mode ?? .undecided
        if wanted == .undecided { wanted = own }
        if own != .undecided, wanted != own {
            throw CommandRefusal(.wrongMode, "the task's mode is \(own.rawValue)", data: object(.live(task)))
        }
        do throws(Refusal) {
            try checkExecutor(ScopedName(call.workspace, name), wanted)
        } catch {
            throw CommandRefusal(error.code, error.message)
        }
        guard wanted == .undecided, let index = executorIndex[ScopedName(call.workspace, name)] else { return wanted }
        return takes(.push, executors[index]) ? .push : .pull
    }

    private func checkAssignable(_ call: CommandCall, _ task: TaskRecord) throws(CommandRefusal) {
        switch task.state {
        case .delayed, .queued: return
        case .offered, .running:
            if call.fields.steal ?? false, task.spec.delivery == .atLeastOnce { return }
            let why = call.fields.steal ?? false ? "it may not run twice" : "it is in work; steal takes it away"
            throw CommandRefusal(.notAssignable, why, data: object(.live(task)))
        default:
            let text = "a task that is \(task.state.rawValue) cannot be assigned"
            throw CommandRefusal(.notAssignable, text, data: object(.live(task)))
        }
    }

    /// Changes a waiting task in its place, or puts one back into its queue whose lease was taken away.
    private mutating func change(_ number: Int, _ body: (inout TaskRecord) -> Void) {
        guard var task = tasks[number] else { return }
        body(&task)
        tasks[number] = task
        transition(number, to: task.state == .delayed ? .delayed : .queued, code: task.code)
    }

    private func taskReply(_ number: Int) -> Reply {
        guard let task = tasks[number] else {
            return .done(data: ended[number].map { object(.ended(number, $0), withPayload: false) })
        }
        return .done(rev: task.rev, data: object(.live(task)))
    }

    // MARK: - Approval

    private mutating func decideTask(
        _ call: CommandCall, _ found: FoundTask, approve: Bool
    ) throws(CommandRefusal) -> Reply {
        let number = found.spec.number
        if let refusal = decideApproval(number, approve: approve, by: call.principal, reason: call.fields.reason) {
            throw CommandRefusal(refusal.code, refusal.message, data: object(found))
        }
        return taskReply(number)
    }

    // MARK: - Redrive

    private mutating func redriveTask(_ call: CommandCall, _ found: FoundTask) throws(CommandRefusal) -> Reply {
        guard case .ended(let number, let record) = found else {
            throw CommandRefusal(.notAssignable, "it has not ended", data: object(found))
        }
        guard let letter = dead[number] else { throw CommandRefusal(.notFound, "it is no dead letter") }
        let count = redrives[number] ?? 0
        if count > 0, let last = ids[redrivenKey(record.spec, count)],
            tasks[last] != nil || ended[last]?.status == .success
        {
            return redriveReply(record.spec, count)
        }
        let key = redrivenKey(record.spec, count + 1)
        if !Names.isID(key.id) { throw CommandRefusal(.invalidName, "'\(key.id)' is longer than an id may be") }
        if !redriveRate.take(at: now.monotonic) {
            let wait = redriveRate.next(at: now.monotonic) - now.monotonic
            throw CommandRefusal(.rateLimited, "10 dead letters a second", retryAfterMs: max(1, wait))
        }
        let intent = redrivenIntent(letter.spec, call)
        var submission = Submission(
            key: key, capability: letter.spec.capability, intent: intent, digest: ContentDigest(intent.raw))
        submission.isRedrive = true
        do throws(Refusal) {
            try submit(submission)
        } catch {
            throw CommandRefusal(error)
        }
        redrives[number] = count + 1
        journal(.redriven(number))
        return redriveReply(record.spec, count + 1)
    }

    private func redrivenKey(_ spec: TaskSpec, _ count: Int) -> TaskKey {
        TaskKey(spec.key.workspace, spec.key.principal, "\(spec.key.id)~r\(count)")
    }

    private func redriveReply(_ spec: TaskSpec, _ count: Int) -> Reply {
        .done(data: RawJSON { $0.object { $0.field("task", redrivenKey(spec, count).id) } })
    }

    /// The intent of a dead letter, to be sent anew: no key, no delay, the same limits.
    private func redrivenIntent(_ spec: TaskSpec, _ call: CommandCall) -> Intent {
        var intent = spec.intent
        intent.dedupKey = nil
        intent.dedup = nil
        intent.dedupWindowMs = nil
        intent.onDuplicate = nil
        let delayMs = intent.delayMs ?? 0
        intent.delayMs = nil
        intent.deadlineMs = max(1, spec.deadlineAt - spec.acceptedAt - delayMs)
        if let executor = call.fields.executor { intent.executor = executor }
        if let priority = call.fields.priority { intent.priority = priority }
        if let retry = call.fields.retry { intent.retry = retry }
        intent.origin = redrivenOrigin(spec)
        return intent
    }

    private func redrivenOrigin(_ spec: TaskSpec) -> Origin? {
        var fields: [JSONValue.Field] = []
        if let raw = spec.origin?.raw, case .object(let own) = JSONValue(raw) { fields = own }
        fields.removeAll { $0.key == "redrive_of" || $0.key == "expires_at" }
        if !fields.contains(where: { $0.key == "kind" }) { fields.append(JSONValue.Field("kind", .string("redrive"))) }
        fields.append(JSONValue.Field("redrive_of", .string(spec.key.id)))
        return try? Origin(JSONValue.object(fields).raw)
    }
}
