import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// One task for many intents (`topics/tasks.md`): keys whose holder stands for later intents.
extension Dispatcher {
    /// Check 10. Returns true when the intent was attached and answered.
    mutating func answerDuplicate(_ submission: Submission, _ owner: String) throws(Refusal) -> Bool {
        guard !submission.isRedrive, let key = submission.intent.dedupKey else { return false }
        let place = DedupKey(workspace: submission.key.workspace, capability: submission.capability, key: key)
        guard let first = standing(place) else { return false }
        metrics.duplicates += 1
        switch submission.intent.onDuplicate ?? .attach {
        case .reject: throw duplicate(of: first, .rejected)
        case .drop: throw duplicate(of: first, .canceled)
        case .replace:
            guard let task = tasks[first], task.state.isWaiting, task.attempts == 0, task.spec.owner == owner else {
                return try attach(submission, owner, to: first)
            }
            let details = RawJSON { $0.object { $0.field("replaced_by", submission.key.id) } }
            finish(first, Ending(.canceled, ErrorBody(.duplicate, "replaced by a later intent", details: details)))
            return false
        case .attach: return try attach(submission, owner, to: first)
        }
    }

    /// The task that stands for a key now.
    func standing(_ place: DedupKey) -> Int? {
        guard let first = dedupKeys[place] else { return nil }
        if let task = tasks[first] {
            let mode = task.spec.extras?.intent.dedup ?? .untilDone
            return mode == .untilStart && hasStarted(task) ? nil : first
        }
        guard let record = ended[first], let intent = record.spec.extras?.intent, intent.dedup == .window else {
            return nil
        }
        return now.wall - record.spec.acceptedAt < intent.dedupWindowMs ?? 0 ? first : nil
    }

    /// Whether a task has run; a plan makes no attempts, it runs.
    func hasStarted(_ task: TaskRecord) -> Bool {
        task.attempts > 0 || task.spec.isPlan && (task.state == .running || task.state == .canceling)
    }

    private func duplicate(of first: Int, _ status: Status) -> Refusal {
        let id = tasks[first]?.spec.key.id ?? ended[first]?.spec.key.id ?? ""
        var refusal = Refusal(
            .duplicate, "the key belongs to \(id)", details: RawJSON { $0.object { $0.field("of", id) } })
        refusal.status = status
        return refusal
    }

    /// Attaches an intent: it gets the first one's result, at once if that is there.
    private mutating func attach(_ submission: Submission, _ owner: String, to first: Int) throws(Refusal) -> Bool {
        if attachments[first]?.count ?? 0 >= Limits.attached {
            throw Refusal(.limitReached, "\(Limits.attached) intents are attached already")
        }
        let priority = submission.intent.priority ?? .normal
        if ended[first] == nil { try requireRoom(submission, owner, priority) }
        let spec = makeSpec(submission, owner, priority)
        let attachment = AttachedRecord(spec: spec, first: first)
        enter(attachment)
        journal(.attached(attachment))
        if let answer = submission.answer { answers[spec.number] = answer }
        if spec.updates != .none {
            undelivered.insert(Token.accepted(spec.number))
            tellAttached(spec.number)
        }
        if let record = ended[first] {
            attachments[first] = nil
            takeAttached(spec.number)
            endAttached(attachment, record)
        }
        return true
    }

    /// Puts an attached intent into the tables.
    mutating func enter(_ attachment: AttachedRecord) {
        attached[attachment.spec.number] = attachment
        attachments[attachment.first, default: []].append(attachment.spec.number)
        ids[attachment.spec.key] = attachment.spec.number
        count(attachment.spec)
    }

    /// Takes an attached intent out of the tables; its id is remembered, and the list of its first is the caller's.
    @discardableResult mutating func takeAttached(_ number: Int) -> AttachedRecord? {
        guard let attachment = attached.removeValue(forKey: number) else { return nil }
        discount(attachment.spec)
        return attachment
    }

    /// Tells an attached intent whose result it gets.
    mutating func tellAttached(_ number: Int) {
        guard let attachment = attached[number], undelivered.contains(Token.accepted(number)) else { return }
        tell(attachedUpdate(attachment), of: attachment.spec, token: Token.accepted(number))
    }

    // MARK: - Concurrency keys

    /// The concurrency key of a task, within its workspace.
    func waitingKey(_ spec: TaskSpec) -> ScopedName? {
        spec.concurrencyKey.map { ScopedName(spec.key.workspace, $0) }
    }

    /// Whether a task's key allows a further holder.
    func isKeyFree(_ spec: TaskSpec) -> Bool {
        guard let key = waitingKey(spec), let state = concurrency[key] else { return true }
        return state.holders < configuration.limit(ofKey: key.name)
    }

    /// A task with the key got a lease.
    mutating func holdKey(_ spec: TaskSpec) {
        if let key = waitingKey(spec) { concurrency[key, default: ConcurrencyState()].holders += 1 }
    }

    /// A lease with the key has ended: the next that waits comes back into its lane.
    mutating func releaseKey(_ spec: TaskSpec) {
        guard let key = waitingKey(spec) else { return }
        concurrency[key]?.holders -= 1
        callNext(key)
    }

    /// As many of those that wait for a key come back into their lanes as it is free for. One that is parked there at
    /// once does not keep the turn from the next.
    private mutating func callNext(_ key: ScopedName) {
        keysToCall.append(key)
        // What is called may end, and so come here again: a long row must not become a deep stack.
        guard !isCallingKeys else { return }
        isCallingKeys = true
        while let key = keysToCall.popLast() {
            while let next = takeNext(key) { enqueue(next) }
            if let state = concurrency[key], state.holders <= 0, state.called == 0, state.waiting.isEmpty {
                concurrency[key] = nil
            }
        }
        isCallingKeys = false
    }

    /// The next that waits for a key, if that is free for a further one.
    private mutating func takeNext(_ key: ScopedName) -> Int? {
        guard let state = concurrency[key], state.holders + state.called < configuration.limit(ofKey: key.name),
            let next = concurrency[key]?.waiting.popFirst()
        else { return nil }
        concurrency[key]?.called += 1
        calledForKey.insert(next.key)
        return next.key
    }

    /// A task that was called for its key has got its decision, cannot run for now, or is gone: the turn passes on.
    mutating func passKeyOn(_ number: Int, _ spec: TaskSpec) {
        guard let key = waitingKey(spec), calledForKey.remove(number) != nil else { return }
        concurrency[key]?.called -= 1
        callNext(key)
    }

    /// A task waits for its key.
    mutating func waitForKey(_ task: TaskRecord) {
        guard let key = waitingKey(task.spec) else { return }
        let place = WaitingPlace(rank: -task.spec.priority.rank, queued: task.queued)
        concurrency[key, default: ConcurrencyState()].waiting.set(task.number, place)
        passKeyOn(task.number, task.spec)
    }
}
