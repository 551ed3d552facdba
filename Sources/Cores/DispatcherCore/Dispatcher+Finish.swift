import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// How a task ends.
struct Ending: Hashable, Sendable {
    /// The status.
    var status: Status
    /// Why it is not `success`.
    var error: ErrorBody?
    /// What the deciding attempt gave.
    var output: RawJSON?
    /// The deciding attempt, with its usage and cost.
    var attempt: AttemptRecord?

    /// An ending without an attempt that decided.
    init(_ status: Status, _ error: ErrorBody?, output: RawJSON? = nil, attempt: AttemptRecord? = nil) {
        self.status = status
        self.error = error
        self.output = output
        self.attempt = attempt
    }
}

/// Ends of tasks, and what is kept of them.
extension Dispatcher {
    /// Ends a live task: one terminal transition, one result, byte for byte the same for ever.
    mutating func finish(_ number: Int, _ ending: Ending) {
        guard let task = tasks[number] else { return }
        if leases[number] != nil { endLease(number) }
        let run = runs[number]
        let result = makeResult(task, run, ending)
        var record = EndedRecord(
            spec: task.spec, status: ending.status, rev: task.rev + 1, code: ending.error?.code, endedAt: now.wall,
            result: result.raw, epoch: task.epoch, holder: run?.holder)
        record.isApproved = task.isApproved
        record.attempts = Int(task.attempts)
        record.durationMs = result.durationMs ?? 0
        record.spent = plans[number]?.spent ?? run?.spent ?? 0
        let isDead =
            task.spec.step == nil && (ending.status == .failed || ending.status == .timeout)
            && (task.attempts > 0 || hasTriedStep(number))
        record.isDead = isDead
        if let keepMs = task.spec.extras?.intent.keepMs, keepMs > 0, task.spec.step == nil {
            record.keptUntil = now.wall + keepMs
        }
        leave(task)
        remember(number, record)
        if task.spec.step == nil { undelivered.insert(Token.result(number)) }
        if isDead { undelivered.insert(Token.dead(number)) }
        if task.spec.isPlan || countsInPlan(task) { undelivered.insert(Token.log(number)) }
        journalEnd(number, record)
        if task.spec.updates == .all, task.spec.step == nil {
            var update = Update(
                .state, task: task.spec.key.id, state: TaskState(ending.status), rev: record.rev, at: now.wall)
            update.code = ending.error?.code
            tell(update, of: task.spec)
        }
        publishResult(number)
        publishDead(number)
        endAttached(to: number, record)
        releaseDedup(task.spec, ending.status)
        countEnd(task.spec, ending)
        metrics.wastedCost += result.wastedCost ?? 0
        event(.taskFinished, of: task.spec) {
            $0.field("status", ending.status)
            $0.field("code", ending.error?.code.rawValue)
            $0.field("duration_ms", result.durationMs)
        }
        if let step = task.spec.step { stepEnded(step, number, record, ending) }
        if task.spec.isPlan {
            plans[number] = nil
            publishLog(number)
        }
    }

    /// Journals an end.
    private mutating func journalEnd(_ number: Int, _ record: EndedRecord) {
        let quiet: EndMarks = quietTask == number ? quietSuccess : []
        journal(.ended(number: number, record, EndMarks(undelivered, number).union(quiet)))
        limitMemory()
    }

    /// Takes a task out of the tables of live tasks.
    mutating func leave(_ task: TaskRecord) {
        let number = task.number
        if task.state == .queued { leaveQueue(task) }
        let capability = task.capability
        capabilities[capability].live -= 1
        if task.state == .queued { capabilities[capability].queued -= 1 }
        noteDelay(of: task, from: task.state, to: nil)
        touch(capability: capability)
        tasks[number] = nil
        runs[number] = nil
        leases[number] = nil
        timers.remove(TimerKey(.task, number))
        heldTimers.remove(TimerKey(.attempt, number))
        undelivered.remove(Token.accepted(number))
        discount(task.spec)
    }

    /// Builds the result.
    private func makeResult(_ task: TaskRecord, _ run: RunRecord?, _ ending: Ending) -> TaskResult {
        var result = TaskResult(task: task.spec.key.id, status: ending.status, finishedAt: now.wall)
        result.output = ending.output
        result.error = ending.error
        result.attempts = run?.history ?? []
        if let attempt = ending.attempt {
            result.executor = attempt.executor
            result.mode = attempt.mode
            result.usage = attempt.usage
            result.durationMs = attempt.durationMs
        }
        let cost = ending.attempt?.cost ?? 0
        result.cost = cost
        result.wastedCost = max(0, (run?.spent ?? 0) - cost)
        if task.spec.isPlan {
            result.durationMs = max(0, now.wall - task.spec.acceptedAt)
            result.cost = plans[task.number]?.spent ?? 0
            result.wastedCost = 0
        }
        let start = run?.firstStartAt ?? now.wall
        result.queuedMs = max(0, start - task.spec.acceptedAt)
        if result.durationMs == nil { result.durationMs = 0 }
        result.acceptedAt = task.spec.acceptedAt
        result.context = task.spec.context
        result.origin = task.spec.origin
        result.traceparent = task.spec.extras?.intent.traceparent
        return result
    }

    /// Publishes the result of an ended task: first to its listeners, last to its sender.
    mutating func publishResult(_ number: Int) {
        guard let record = ended[number], record.spec.step == nil, let result = record.result else { return }
        let spec = record.spec
        let isKept = record.keptUntil != nil
        for listener in spec.extras?.intent.listeners ?? [] where listener != spec.key.principal {
            publishResult(result, of: spec, to: listener, isKept: isKept, token: nil)
        }
        publishResult(result, of: spec, to: spec.key.principal, isKept: isKept, token: Token.result(number))
        if isConnected { answers[number] = nil }
    }

    private mutating func publishResult(
        _ result: RawJSON, of spec: TaskSpec, to principal: String, isKept: Bool, token: Int?
    ) {
        guard isConnected else { return }
        let place = Topic.Place.result(principal: principal, capability: spec.capability, id: spec.key.id)
        let own = principal == spec.key.principal ? answers[spec.number] : nil
        let topic = own?.topic ?? Topic(spec.key.workspace, place).name
        out.append(
            .publish(
                OutboundMessage(
                    topic: topic, payload: result.bytes, retain: isKept && own?.topic == nil,
                    correlation: own?.correlation, token: token)))
    }

    /// Publishes a dead letter.
    mutating func publishDead(_ number: Int) {
        guard let record = ended[number], record.isDead, undelivered.contains(Token.dead(number)),
            let raw = record.result, let result = try? TaskResult(raw)
        else { return }
        var letter = DeadLetter(result: result, principal: record.spec.key.principal, input: record.spec.input)
        // Result and input are each within the limit; where both are not, the input is left to `task/redrive`.
        if letter.encoded.count > Limits.payload { letter.input = nil }
        let place = Topic.Place.dead(capability: record.spec.capability, id: record.spec.key.id)
        publish(record.spec.key.workspace, place, letter.encoded, token: Token.dead(number))
    }

    /// Ends the intents that are attached to a task: each gets the same result.
    private mutating func endAttached(to number: Int, _ record: EndedRecord) {
        for follower in attachments.removeValue(forKey: number) ?? [] {
            guard let attachment = takeAttached(follower) else { continue }
            endAttached(attachment, record)
        }
    }

    /// Ends one attached intent with the result of the first.
    mutating func endAttached(_ attachment: AttachedRecord, _ first: EndedRecord) {
        let number = attachment.spec.number
        var record = EndedRecord(
            spec: attachment.spec, status: first.status, rev: 2, code: first.code, endedAt: now.wall,
            result: first.result, epoch: 0)
        record.attachedTo = attachment.first
        undelivered.remove(Token.accepted(number))
        undelivered.insert(Token.result(number))
        remember(number, record)
        journalEnd(number, record)
        publishResult(number)
    }

    /// A first that ends other than `success` frees its key; one that succeeds keeps it only for its window.
    mutating func releaseDedup(_ spec: TaskSpec, _ status: Status) {
        guard let intent = spec.extras?.intent, let key = intent.dedupKey else { return }
        let place = DedupKey(workspace: spec.key.workspace, capability: spec.capability, key: key)
        guard dedupKeys[place] == spec.number else { return }
        if status == .success, intent.dedup == .window { return }
        dedupKeys[place] = nil
    }

    // MARK: - Memory

    /// Keeps an ended task as long as ids are remembered.
    mutating func remember(_ number: Int, _ record: EndedRecord) {
        restore(number, record)
        if let until = record.keptUntil { timers.set(TimerKey(.kept, number), now.clock(until)) }
        if !timers.contains(TimerKey(.memory)) { timers.set(TimerKey(.memory), now.monotonic + 60_000) }
    }

    /// Puts an ended task into the tables.
    mutating func restore(_ number: Int, _ record: EndedRecord) {
        ended[number] = record
        endedOrder.append(number)
        if let result = record.result {
            resultBytes += result.bytes.count + (record.spec.input?.bytes.count ?? 0)
            resultsOrder.append(number)
        }
        if record.isDead { rememberDead(number, record) }
    }

    /// Keeps a dead letter, to be sent again.
    mutating func rememberDead(_ number: Int, _ record: EndedRecord) {
        dead[number] = record
        dead[number]?.result = nil
        deadOrder.append(number)
        deadBytes += record.spec.size
    }

    /// Forgets what is over the limits of number, age and size, the oldest first.
    mutating func limitMemory() {
        var count = 0
        let most = endedOrder.count
        while let first = endedOrder.first, let record = ended[first], count < most {
            let isOld = now.wall - record.endedAt >= Limits.idMemoryMs
            guard isOld || endedOrder.count > configuration.idMemory else { break }
            forget()
            count += 1
        }
        if count > 0 { journal(.forgotten(count)) }
        let dropped = dropResults()
        if !dropped.isEmpty { journal(.resultsDropped(dropped)) }
        count = 0
        while let first = deadOrder.first, let record = dead[first] {
            let isOld = now.wall - record.endedAt >= Limits.deadLetterMs
            guard isOld || deadOrder.count > Limits.deadLetters || deadBytes > Limits.outputBytes else { break }
            forgetDead()
            count += 1
        }
        if count > 0 { journal(.forgottenDead(count)) }
    }

    /// Whether a task is a step of a plan that still runs, which must know how its steps ended.
    private func isNeeded(_ spec: TaskSpec) -> Bool { spec.step.map { tasks[$0.plan] != nil } ?? false }

    /// Forgets the oldest ended task; its id may be used again. A step that its plan needs goes to the end instead.
    mutating func forget() {
        guard let number = endedOrder.popFirst(), let record = ended[number] else { return }
        if isNeeded(record.spec) { return endedOrder.append(number) }
        ended[number] = nil
        if record.result != nil {
            resultBytes -= (record.result?.bytes.count ?? 0) + (record.spec.input?.bytes.count ?? 0)
        }
        if ids[record.spec.key] == number { ids[record.spec.key] = nil }
        if let holder = record.holder { epochIndex[holder.epoch] = nil }
        for kind in 0...3 { undelivered.remove(number * 4 + kind) }
        if let key = record.spec.extras?.intent.dedupKey {
            let place = DedupKey(workspace: record.spec.key.workspace, capability: record.spec.capability, key: key)
            if dedupKeys[place] == number { dedupKeys[place] = nil }
        }
        // Only results that are dropped for their size leave that queue by themselves.
        if resultsOrder.count > mostInResultsOrder { resultsOrder.keep { ended[$0]?.result != nil } }
    }

    /// How long the queue of results may be: what is forgotten is taken out when it is the greater part.
    var mostInResultsOrder: Int { 2 * ended.count + 1024 }

    /// Drops results and inputs of the oldest ended tasks that have one, until the rest has room.
    private mutating func dropResults() -> [Int] {
        var dropped: [Int] = []
        var left = resultsOrder.count
        while resultBytes > Limits.outputBytes, left > 0, let number = resultsOrder.popFirst() {
            left -= 1
            guard let record = ended[number], record.result != nil else { continue }
            if isNeeded(record.spec) {
                resultsOrder.append(number)
            } else {
                dropResult(number)
                dropped.append(number)
            }
        }
        return dropped
    }

    /// Drops the result and input of an ended task.
    mutating func dropResult(_ number: Int) {
        guard let record = ended[number], let result = record.result else { return }
        resultBytes -= result.bytes.count + (record.spec.input?.bytes.count ?? 0)
        ended[number]?.result = nil
        ended[number]?.spec = record.spec.with(input: nil)
        undelivered.remove(Token.result(number))
        undelivered.remove(Token.dead(number))
    }

    /// Forgets the oldest dead letter.
    mutating func forgetDead() {
        guard let number = deadOrder.popFirst(), let record = dead.removeValue(forKey: number) else { return }
        deadBytes -= record.spec.size
        redrives[number] = nil
    }

    /// A kept result's time is over: it is cleared for its sender and its listeners.
    mutating func clearKept(_ number: Int) {
        guard let record = ended[number], record.keptUntil != nil else { return }
        ended[number]?.keptUntil = nil
        journal(.unkept(number))
        let spec = record.spec
        for principal in (spec.extras?.intent.listeners ?? []) + [spec.key.principal] {
            let place = Topic.Place.result(principal: principal, capability: spec.capability, id: spec.key.id)
            publish(OutboundMessage(topic: Topic(spec.key.workspace, place).name, payload: [], retain: true))
        }
    }

    /// The broker has taken a publish.
    mutating func delivered(_ token: Int) {
        guard undelivered.remove(token) != nil else { return }
        notes.append(token)
        if notes.count >= 256 { flushNotes() } else { setNotesTimer() }
    }

    private mutating func setNotesTimer() {
        if !timers.contains(TimerKey(.notes)) { timers.set(TimerKey(.notes), now.monotonic + 1000) }
    }

    /// Notes in the journal what the broker has taken, so that it is not published again after a restart.
    mutating func flushNotes() {
        timers.remove(TimerKey(.notes))
        guard !notes.isEmpty else { return }
        journal(.delivered(notes))
        notes.removeAll(keepingCapacity: true)
    }
}
