import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Transitions of a task: the one place where its state changes while it lives.
extension Dispatcher {
    /// Takes an accepted task into all tables; its state is set, its record is journaled.
    mutating func begin(_ record: TaskRecord) {
        let number = record.number
        var task = record
        if task.state == .queued {
            task.queuedAt = now.wall
            task.queued = now.monotonic
        }
        enter(task)
        journal(.accepted(task))
        if task.spec.step == nil, task.spec.updates != .none || task.spec.isPlan {
            undelivered.insert(Token.accepted(number))
        }
        enqueue(number)
        setTaskTimer(number)
        event(.taskAccepted, of: task.spec)
    }

    /// Adds a task to the tables that count it.
    mutating func enter(_ record: TaskRecord) {
        var task = record
        let spec = task.spec
        let capability = capabilityNumber(ScopedName(spec.key.workspace, spec.capability))
        task.capability = capability
        tasks[spec.number] = task
        ids[spec.key] = spec.number
        count(spec)
        capabilities[capability].live += 1
        if task.state == .queued { capabilities[capability].queued += 1 }
        noteDelay(of: task, from: nil, to: task.state)
        touch(capability: capability)
        if let key = spec.extras?.intent.dedupKey {
            // In a compacted journal an older task may come after a newer one that took its key over.
            let place = DedupKey(workspace: spec.key.workspace, capability: spec.capability, key: key)
            dedupKeys[place] = max(spec.number, dedupKeys[place] ?? 0)
        }
    }

    /// Changes the state of a live task: `rev` rises, the journal has it, who wants updates gets one. A state that the
    /// same input also ends is only told: what follows is journaled with it, or not at all.
    mutating func transition(
        _ number: Int, to state: TaskState, code: Code? = nil, hasNewInput: Bool = false, isPassing: Bool = false
    ) {
        guard var task = tasks[number] else { return }
        let old = task.state
        if old == .queued { leaveQueue(task) }
        task.state = state
        task.code = code
        task.rev += 1
        if state != .delayed && state != .awaitingApproval {
            task.readyAt = nil
            task.ready = nil
        }
        if state == .queued, task.queuedAt == nil {
            task.queuedAt = now.wall
            task.queued = now.monotonic
        }
        tasks[number] = task
        let capability = task.capability
        if old != state {
            noteDelay(of: task, from: old, to: state)
            if old == .queued { capabilities[capability].queued -= 1 }
            if state == .queued { capabilities[capability].queued += 1 }
        }
        touch(capability: capability)
        if isPassing { return tellState(task) }
        journalChange(number, hasNewInput: hasNewInput)
        tellState(task)
        enqueue(number)
        setTaskTimer(number)
        setAttemptTimer(number)
    }

    /// Keeps account of the delayed tasks, of which one may have to give way.
    mutating func noteDelay(of task: TaskRecord, from old: TaskState?, to new: TaskState?) {
        guard old == .delayed || new == .delayed, old != new else { return }
        let spec = task.spec
        var order = delayedOrder.removeValue(forKey: spec.key.workspace) ?? ShedOrder()
        if new == .delayed {
            order.insert(task.number, of: spec.owner, isLow: spec.priority == .low)
        } else {
            order.remove(task.number, of: spec.owner, isLow: spec.priority == .low)
        }
        if !order.isEmpty { delayedOrder[spec.key.workspace] = order }
    }

    /// Gives a live task another input.
    mutating func setSpec(_ number: Int, _ spec: TaskSpec) {
        guard let old = tasks[number]?.spec else { return }
        tasks[number]?.spec = spec
        recount(old, spec)
    }

    /// A live task, or an attached intent, counts in its owner's, its workspace's and the whole dispatcher's limits.
    mutating func count(_ spec: TaskSpec) {
        taskBytes += spec.size
        ownerCounts[ScopedName(spec.key.workspace, spec.owner), default: 0] += 1
        workspaceUse[spec.key.workspace, default: WorkspaceUse()].add(spec.size)
    }

    /// The same task has another size.
    mutating func recount(_ old: TaskSpec, _ new: TaskSpec) {
        taskBytes += new.size - old.size
        workspaceUse[new.key.workspace]?.change(by: new.size - old.size)
    }

    /// What has ended counts no more.
    mutating func discount(_ spec: TaskSpec) {
        taskBytes -= spec.size
        let owner = ScopedName(spec.key.workspace, spec.owner)
        if let count = ownerCounts[owner] { ownerCounts[owner] = count > 1 ? count - 1 : nil }
        workspaceUse[owner.workspace]?.remove(spec.size)
        if workspaceUse[owner.workspace]?.tasks == 0 { workspaceUse[owner.workspace] = nil }
    }

    /// Journals a live task as it is now.
    mutating func journalChange(_ number: Int, hasNewInput: Bool = false) {
        guard let task = tasks[number] else { return }
        journal(
            .changed(TaskChange(task: task, lease: leases[number], run: runs[number], hasNewInput: hasNewInput)))
    }

    /// Tells a transition to a sender that wants all of them.
    private mutating func tellState(_ task: TaskRecord) {
        guard task.spec.updates == .all, task.spec.step == nil else { return }
        var update = Update(.state, task: task.spec.key.id, state: task.state, rev: task.rev, at: now.wall)
        update.code = task.code
        tell(update, of: task.spec)
    }

    /// Publishes an update on the sender's topic.
    mutating func tell(_ update: Update, of spec: TaskSpec, token: Int? = nil) {
        let place = Topic.Place.update(principal: spec.key.principal, capability: spec.capability, id: spec.key.id)
        publish(spec.key.workspace, place, update.encoded, token: token)
    }

    /// Tells that an intent is a task now.
    mutating func tellAccepted(_ number: Int) {
        guard let task = tasks[number], undelivered.contains(Token.accepted(number)) else { return }
        if task.spec.isPlan { logPlanStart(task.spec) }
        if task.spec.updates == .none { return }
        var update = Update(
            .accepted, task: task.spec.key.id, state: task.state, rev: task.rev, at: task.spec.acceptedAt)
        update.timeoutMs = task.spec.isPlan ? nil : expectedTimeout(task.spec)
        if task.state == .awaitingApproval { update.code = .approvalRequired }
        tell(update, of: task.spec, token: Token.accepted(number))
    }

    /// The time limit that applies to an attempt as far as it is known before one is given out.
    func expectedTimeout(_ spec: TaskSpec) -> Int {
        var limit = spec.timeoutMs
        if limit == 0, let index = capabilityIndex[ScopedName(spec.key.workspace, spec.capability)] {
            limit = summary(of: index).timeoutMs
        }
        if limit == 0 { limit = Defaults.timeoutMs }
        return max(1, min(limit, configuration.timeoutCapMs, spec.deadlineAt - now.wall))
    }

    // MARK: - Times

    /// Sets the one timer of a task: the earliest of deadline, delay, approval and `expires_at`.
    mutating func setTaskTimer(_ number: Int) {
        guard let task = tasks[number] else {
            timers.remove(TimerKey(.task, number))
            return
        }
        var due = task.deadline
        if let ready = task.ready { due = min(due, ready) }
        if task.attempts == 0, task.state.isWaiting, let expires = task.spec.expiresAt {
            due = min(due, now.clock(expires))
        }
        if task.state == .canceling { due = .distant }
        timers.set(TimerKey(.task, number), due)
    }

    /// Sets the timer of a lease: the earliest of its times.
    mutating func setAttemptTimer(_ number: Int) {
        let key = TimerKey(.attempt, number)
        if let due = leases[number]?.nextDue { heldTimers.set(key, due) } else { heldTimers.remove(key) }
    }

    /// What is due for a task: its deadline, its expiry, its approval, the end of its delay.
    mutating func taskDue(_ number: Int) {
        guard let task = tasks[number] else { return }
        if task.spec.isPlan, task.state == .running, now.monotonic >= task.deadline {
            stopPlan(number, Ending(.timeout, ErrorBody(.expired, "the deadline is over")), reason: "expired")
        } else if task.state != .canceling, now.monotonic >= task.deadline {
            let isRunning = task.state == .running
            fenceHolder(number, code: .expired, cancels: true)
            let attempt = isRunning ? runs[number]?.history.last : nil
            finish(number, Ending(.timeout, ErrorBody(.expired, "the deadline is over"), attempt: attempt))
        } else if task.attempts == 0, task.state.isWaiting, let expires = task.spec.expiresAt, now.wall >= expires {
            finish(number, Ending(.rejected, ErrorBody(.expired, "expires_at is over")))
        } else if let ready = task.ready, now.monotonic >= ready {
            switch task.state {
            case .delayed: becomeReady(number)
            case .awaitingApproval:
                event(.approvalExpired, of: task.spec)
                finish(number, Ending(.rejected, ErrorBody(.approvalExpired, "nobody decided in time")))
            default: break
            }
        } else {
            setTaskTimer(number)
        }
    }

    /// A task's delay is over, or its approval is given.
    mutating func becomeReady(_ number: Int) {
        guard let task = tasks[number] else { return }
        if let ready = task.spec.extras?.intent.delayMs.map({ task.spec.acceptedAt + $0 }), ready > now.wall,
            task.attempts == 0, task.state == .awaitingApproval
        {
            tasks[number]?.readyAt = ready
            tasks[number]?.ready = now.clock(ready)
            transition(number, to: .delayed)
        } else if task.spec.isPlan {
            beginPlan(task)
        } else {
            transition(number, to: .queued)
        }
    }

    // MARK: - Cancel

    /// Cancels a task (`topics/tasks.md`, cancel); returns its state afterwards.
    mutating func cancel(_ number: Int, reason: String?, graceMs: Int, by principal: String) -> TaskState? {
        guard let task = tasks[number] else { return ended[number].map { TaskState($0.status) } }
        if task.spec.isPlan, task.state == .running {
            if reason != nil { runs[number, default: RunRecord()].cancelReason = reason }
            stopPlan(number, Ending(.canceled, cancelError(reason)), reason: reason, graceMs: graceMs)
            return tasks[number]?.state ?? ended[number].map { TaskState($0.status) }
        }
        switch task.state {
        case .offered:
            fenceHolder(number, code: .staleEpoch, cancels: false)
            finish(number, Ending(.canceled, cancelError(reason)))
        case .running:
            runs[number, default: RunRecord()].cancelReason = reason
            leases[number]?.cancelUntil = now.monotonic + graceMs
            leases[number]?.graceMs = graceMs
            leases[number]?.execUntil = nil
            transition(number, to: .canceling)
            if let lease = leases[number] { sendCancel(task.spec, lease, graceMs: graceMs, reason: reason) }
        case .canceling: break
        default: finish(number, Ending(.canceled, cancelError(reason)))
        }
        return tasks[number]?.state ?? ended[number].map { TaskState($0.status) }
    }

    /// What a canceled task's result says, when somebody gave a reason.
    func cancelError(_ reason: String?) -> ErrorBody? {
        reason.map { ErrorBody(Code(rawValue: "canceled"), $0) }
    }
}

extension MonotonicTime {
    /// Later than anything that is due.
    static let distant = MonotonicTime(milliseconds: Int.max / 4)

    /// The earlier of two moments, as far as they are set.
    static func earlier(_ a: MonotonicTime?, _ b: MonotonicTime?) -> MonotonicTime? {
        guard let a else { return b }
        guard let b else { return a }
        return min(a, b)
    }
}

/// Numbers under which the broker's acknowledgements are awaited: the task's number and what was published of it.
enum Token {
    /// The update that tells of acceptance.
    static func accepted(_ number: Int) -> Int { number * 4 }
    /// The result.
    static func result(_ number: Int) -> Int { number * 4 + 1 }
    /// The dead letter.
    static func dead(_ number: Int) -> Int { number * 4 + 2 }
    /// The record of the execution log: of a step, or the end of a plan.
    static func log(_ number: Int) -> Int { number * 4 + 3 }
    /// The task's number of a token.
    static func number(_ token: Int) -> Int { token / 4 }
    /// What it names: 0 accepted, 1 result, 2 dead letter, 3 log.
    static func kind(_ token: Int) -> Int { token % 4 }
}
