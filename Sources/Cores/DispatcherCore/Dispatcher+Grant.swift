import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Giving tasks out: each grant has a new epoch and is in the journal before it leaves.
extension Dispatcher {
    /// T6: a push executor is offered the task.
    mutating func grantPush(_ number: Int, _ executor: Int, _ judgement: Judgement) {
        guard var lease = makeLease(number, executor, .push, judgement), let task = tasks[number] else { return }
        let card = executors[executor].card
        lease.boot = card?.boot
        var window = task.spec.delivery == .atMostOnce ? lease.leaseMs : card?.acceptMs ?? Defaults.acceptMs
        if executors[executor].status == .sleeping, let wake = card?.wakeEveryMs { window = wake * 11 / 10 }
        lease.offerUntil = now.monotonic + window
        lease.offerMs = window
        take(number, lease)
        transition(number, to: .offered)
        tellGrant(task.spec, lease)
        sendAssign(number)
    }

    /// T7: a parked claim gets the task, and the attempt begins.
    mutating func grantPull(_ number: Int, _ executor: Int, _ slot: String, _ judgement: Judgement) {
        guard var lease = makeLease(number, executor, .pull, judgement), let task = tasks[number],
            let position = executors[executor].claims.firstIndex(where: { $0.slot == slot })
        else { return }
        let claim = executors[executor].claims.remove(at: position)
        setClaimTimer(executor)
        lease.slot = slot
        lease.boot = claim.boot ?? executors[executor].card?.boot
        if let asked = claim.leaseMs { lease.leaseMs = asked }
        take(number, lease)
        beginAttempt(number)
        transition(number, to: .running)
        tellGrant(task.spec, lease)
        tellStart(number)
        guard let assignment = assignment(number) else { return }
        let payload = Grant.task(assignment).encoded
        answerClaim(executor, claim, payload, task: number)
    }

    /// The lease of a grant; its epoch is the next.
    private mutating func makeLease(_ number: Int, _ executor: Int, _ mode: Mode, _ judgement: Judgement) -> Lease? {
        guard let task = tasks[number] else { return nil }
        let capability = task.capability
        guard let registration = registrations[Pair(executor, capability)] else { return nil }
        lastEpoch += 1
        var lease = Lease(
            executor: executor, name: executors[executor].name.name, epoch: lastEpoch, mode: mode,
            grantedAt: now.wall)
        lease.granted = now.monotonic
        lease.slotCost = registration.slotCost
        lease.attempt = Int(task.attempts) + 1
        lease.leaseMs = registration.leaseMs
        lease.timeoutMs = attemptTimeout(task, registration)
        lease.estimate = judgement.cost
        lease.charge = max(1, registration.slotCost * registration.runMs)
        lease.isForced = task.isForced
        return lease
    }

    /// Time limit of an attempt: intent, card, default; lowered to the cap and to the time left.
    private func attemptTimeout(_ task: TaskRecord, _ registration: Registration) -> Int {
        var limit = task.spec.timeoutMs
        if limit == 0 { limit = registration.entry.timeoutMs ?? 0 }
        if limit == 0 { limit = Defaults.timeoutMs }
        return max(1, min(limit, configuration.timeoutCapMs, task.deadline - now.monotonic))
    }

    /// Gives a lease: slots, circuits, rates, budgets, keys and turns count it from now on.
    private mutating func take(_ number: Int, _ granted: Lease) {
        guard let task = tasks[number] else { return }
        var lease = granted
        let capability = task.capability
        let pair = Pair(lease.executor, capability)
        let (charge, time) = (lease.charge, now.monotonic)
        _ = lanes.change(task.spec.key.workspace) { $0.granted(number, charge: charge, at: time) }
        lease.pairGeneration = noteGrant(circuitKey(pair), lease.epoch)
        lease.capabilityGeneration = noteGrant(capabilityCircuitKey(capability), lease.epoch)
        if !configuration.rates.isEmpty {
            rates.take(task.spec.capability, executors[lease.executor].name, configuration, at: now.monotonic)
        }
        if !configuration.budgets.isEmpty {
            spending.reserve(lease.estimate, task.spec, configuration, at: now.wall)
        }
        if let old = runs[number]?.holder { epochIndex[old.epoch] = nil }
        _ = tasks.change(number) { $0.epoch = lease.epoch }
        leases[number] = lease
        hold(number, lease, capability)
        metrics.grants += 1
    }

    /// Counts a lease in the tables that derive from leases.
    mutating func hold(_ number: Int, _ lease: Lease, _ capability: Int) {
        guard let task = tasks[number] else { return }
        epochIndex[lease.epoch] = number
        holdKey(task.spec)
        capabilities[capability].running += 1
        _ = registrations.change(Pair(lease.executor, capability)) { $0.running += 1 }
        executors[lease.executor].used += lease.slotCost
        executors[lease.executor].tasks.append(number)
        touch(capability: capability)
    }

    /// The message that gives a task out, as its lease says.
    func assignment(_ number: Int) -> Assignment? {
        guard let task = tasks[number], let lease = leases[number] else { return nil }
        let spec = task.spec
        var assignment = Assignment(
            task: spec.key.id, epoch: lease.epoch, term: term, attempt: lease.attempt, capability: spec.capability,
            principal: spec.key.principal)
        assignment.action = spec.extras?.intent.action
        assignment.input = spec.input ?? .emptyObject
        assignment.leaseMs = lease.leaseMs
        assignment.timeoutMs = lease.timeoutMs
        assignment.acceptMs = lease.mode == .push ? lease.offerMs : nil
        assignment.checkpoint = runs[number]?.checkpoint
        assignment.context = spec.context
        assignment.traceparent = spec.extras?.intent.traceparent
        assignment.boot = lease.boot
        if spec.delivery == .atMostOnce { assignment.delivery = .atMostOnce }
        return assignment
    }

    /// Sends, or sends again, the offer of a task.
    mutating func sendAssign(_ number: Int) {
        guard isConnected, let assignment = assignment(number), let lease = leases[number], let task = tasks[number]
        else { return }
        let place = Topic.Place.work(capability: task.spec.capability, executor: lease.name)
        let expiry = configuration.messageExpiry ? max(1, lease.offerMs / 1000) : nil
        out.append(
            .publish(
                OutboundMessage(
                    topic: Topic(task.spec.key.workspace, place).name,
                    payload: WorkMessage.assign(assignment).encoded, expirySeconds: expiry)))
    }

    /// Tells an executor to stop an attempt and to say how it ended.
    mutating func sendCancel(_ spec: TaskSpec, _ lease: Lease, graceMs: Int, reason: String?) {
        let name = AttemptName(principal: spec.key.principal, task: spec.key.id, epoch: lease.epoch, term: term)
        send(.cancel(name, graceMs: graceMs, reason: reason), spec.capability, lease.executor)
    }

    /// Tells an executor that its right is gone.
    mutating func sendRevoke(_ spec: TaskSpec, _ lease: Lease, _ code: Code) {
        let name = AttemptName(principal: spec.key.principal, task: spec.key.id, epoch: lease.epoch, term: term)
        send(.revoke(name, code: code), spec.capability, lease.executor)
    }

    /// Sends a work message.
    mutating func send(_ message: WorkMessage, _ capability: String, _ executor: Int) {
        let name = executors[executor].name
        publish(name.workspace, .work(capability: capability, executor: name.name), message.encoded)
    }

    // MARK: - Attempts

    /// The attempt of a lease begins now: its times run.
    mutating func beginAttempt(_ number: Int) {
        guard var lease = leases[number] else { return }
        lease.offerUntil = nil
        lease.started = now.monotonic
        lease.startedAt = now.wall
        lease.leaseUntil = now.monotonic + lease.leaseMs
        lease.execUntil = now.monotonic + lease.timeoutMs
        leases[number] = lease
        _ = tasks.change(number) { $0.attempts += 1 }
        if runs[number]?.firstStartAt == nil { runs[number, default: RunRecord()].firstStartAt = now.wall }
    }

    /// T8: an offered task is accepted. An outcome without accept (T8a) counts from the grant.
    mutating func start(_ number: Int, sinceGrant: Bool = false) {
        guard let lease = leases[number], tasks[number]?.state == .offered else { return }
        if !sinceGrant { learnAccept(number, lease) }
        beginAttempt(number)
        if sinceGrant {
            _ = leases.change(number) {
                $0.started = lease.granted
                $0.startedAt = lease.grantedAt
            }
        }
        transition(number, to: .running, isPassing: sinceGrant)
        tellStart(number)
    }

    /// Renews a lease from now on (T10).
    mutating func renew(_ number: Int) {
        guard let lease = leases[number], lease.leaseUntil != nil else { return }
        leases[number]?.leaseUntil = now.monotonic + lease.leaseMs
        leases[number]?.lostUntil = nil
        setAttemptTimer(number)
    }

    private mutating func tellGrant(_ spec: TaskSpec, _ lease: Lease) {
        event(.taskModeDecided, of: spec) { $0.field("mode", lease.mode) }
        event(.taskAssigned, of: spec) {
            $0.field("executor", lease.name)
            $0.field("epoch", lease.epoch)
            $0.field("attempt", lease.attempt)
        }
    }

    private mutating func tellStart(_ number: Int) {
        guard let task = tasks[number], let lease = leases[number] else { return }
        event(.taskStarted, of: task.spec) {
            $0.field("executor", lease.name)
            $0.field("attempt", lease.attempt)
        }
    }

    /// Smooths the time an executor takes to accept.
    private mutating func learnAccept(_ number: Int, _ lease: Lease) {
        guard let task = tasks[number] else { return }
        let pair = Pair(lease.executor, task.capability)
        guard let old = registrations[pair]?.acceptMs else { return }
        let new = Score.average(old, min(max(0, now.monotonic - lease.granted), lease.offerMs))
        registrations[pair]?.acceptMs = new
        // What was too slow for a task's deadline may be quick enough now.
        if new < old, !capabilities[pair.capability].aside.isEmpty { dirtyExecutors.insert(lease.executor) }
        for order in capabilities[pair.capability].orders { orders[order]?.noteChange(of: pair.executor) }
    }
}
