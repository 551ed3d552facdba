import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Why an intent is not accepted.
struct Refusal: Error, Hashable, Sendable {
    /// The code.
    var code: Code
    /// A sentence.
    var message: String
    /// More, by code.
    var details: RawJSON?
    /// `rejected`, or `canceled` for a dropped duplicate.
    var status = Status.rejected

    /// A refusal.
    init(_ code: Code, _ message: String, details: RawJSON? = nil) {
        self.code = code
        self.message = message
        self.details = details
    }
}

/// An intent on its way to become a task.
struct Submission: Sendable {
    /// Whose, and which.
    var key: TaskKey
    /// What is to be run.
    var capability: String
    /// What was sent.
    var intent: Intent
    /// Of its content.
    var digest: ContentDigest
    /// Where its answers go, when it says.
    var answer: AnswerPlace?
    /// For a step of a plan: which.
    var step: StepPlace?
    /// Whether keys and rates are passed over, as for a redriven task.
    var isRedrive = false
}

/// The room that a task takes; a plan's steps are tasks, too.
struct RoomNeed: Sendable {
    /// How many.
    var tasks = 1
    /// How large, roughly.
    var bytes: Int

    /// Of an intent with this input; a plan that begins later is a task already.
    init(_ input: RawJSON?, isPlan: Bool, includesPlan: Bool) {
        bytes = 1000 + (input?.bytes.count ?? 0)
        guard isPlan, let input, case .array(let steps)? = JSONValue(input)["steps"] else { return }
        tasks = steps.count + (includesPlan ? 1 : 0)
        bytes += 1000 * steps.count + input.bytes.count
    }
}

/// Acceptance (`topics/intents.md`, refusals): the checks in their order; the first that fails answers.
extension Dispatcher {
    /// Takes an intent as it came.
    mutating func receiveIntent(_ key: TaskKey, _ capability: String, _ message: InboundMessage) {
        metrics.intents += 1
        let answer = AnswerPlace(message, below: ["\(key.workspace)/\(Names.protocolLevel)/result/\(key.principal)/"])
        if message.retained {
            if message.payload.isEmpty { return }
            publish(OutboundMessage(topic: message.topic, payload: [], retain: true))
        }
        do throws(Refusal) {
            let submission = try readIntent(key, capability, message, answer)
            try submit(submission)
        } catch {
            refuse(key, capability, error, answer)
        }
    }

    /// Check 1: names, retain flag, size, JSON, fields.
    private func readIntent(
        _ key: TaskKey, _ capability: String, _ message: InboundMessage, _ answer: AnswerPlace?
    ) throws(Refusal) -> Submission {
        for name in [key.principal, capability] where !Names.isName(name) {
            throw Refusal(.invalidName, "'\(name)' is not a name")
        }
        if !Names.isID(key.id) { throw Refusal(.invalidName, "'\(key.id)' is not an id") }
        if message.retained { throw Refusal(.retainedRequest, "an intent must not be retained") }
        if message.payload.count > Limits.payload {
            throw Refusal(.payloadTooLarge, "\(message.payload.count) bytes; the limit is \(Limits.payload)")
        }
        let payload = message.payload.isEmpty ? RawJSON.emptyObject.bytes : message.payload
        do throws(WireError) {
            let intent = try Intent(decoding: payload)
            return Submission(
                key: key, capability: capability, intent: intent, digest: ContentDigest(validated: payload),
                answer: answer)
        } catch {
            throw Refusal(error.kind == .syntax ? .invalidJSON : .invalidField, error.message)
        }
    }

    /// Answers an intent that is not accepted; nothing of it is kept.
    mutating func refuse(_ key: TaskKey, _ capability: String, _ refusal: Refusal, _ answer: AnswerPlace?) {
        metrics.refused += 1
        var result = TaskResult(task: key.id, status: refusal.status, finishedAt: now.wall)
        let errorClass: ErrorClass? =
            refusal.code == .busy || refusal.code == .rateLimited || refusal.code == .shuttingDown ? nil : .permanent
        result.error = ErrorBody(
            refusal.code, refusal.message, errorClass: errorClass, details: refusal.details)
        (result.cost, result.wastedCost, result.queuedMs, result.durationMs) = (0, 0, 0, 0)
        let place = Topic.Place.result(principal: key.principal, capability: capability, id: key.id)
        publish(key.workspace, place, result.encoded, to: answer)
        if refusal.status == .rejected {
            event(.requestRefused, in: key.workspace, actor: key.principal, subject: key.id) {
                $0.field("code", refusal.code.rawValue)
                $0.field("capability", capability)
            }
        }
    }

    /// Checks 2 to 10, then acceptance.
    mutating func submit(_ submission: Submission) throws(Refusal) {
        if try answerKnown(submission) { return }
        if isTerminating { throw Refusal(.shuttingDown, "the dispatcher is stopping") }
        if !isWritable { throw busy("the journal has no room") }
        let capability = try checkCapability(submission)
        let owner = try checkOrigin(submission, capability)
        try checkInput(submission, capability)
        try checkLimits(submission, capability)
        let effect = try checkPolicy(submission, owner)
        if !submission.isRedrive { try takeRate(submission, owner) }
        let priority = decidePriority(submission.intent, capability)
        try makeRoom(submission, owner, priority, capability)
        if try answerDuplicate(submission, owner) { return }
        accept(submission, owner: owner, priority: priority, needsApproval: effect)
    }

    /// Check 2: the id memory. Returns true when the intent was answered as a duplicate.
    private mutating func answerKnown(_ submission: Submission) throws(Refusal) -> Bool {
        guard let number = ids[submission.key] else { return false }
        let spec: TaskSpec
        var update: Update
        if let task = tasks[number] {
            spec = task.spec
            update = Update(.duplicate, task: spec.key.id, state: task.state, rev: task.rev, at: now.wall)
            update.code = task.code
        } else if let record = ended[number] {
            spec = record.spec
            update = Update(
                .duplicate, task: spec.key.id, state: TaskState(record.status), rev: record.rev, at: now.wall)
            update.code = record.code
        } else if let attachment = attached[number] {
            spec = attachment.spec
            update = attachedUpdate(attachment)
        } else {
            return false
        }
        guard spec.capability == submission.capability, spec.digest == submission.digest else {
            throw Refusal(.idReused, "this id was used with other content")
        }
        metrics.duplicates += 1
        if let answer = submission.answer { answers[number] = answer }
        tell(update, of: spec)
        publishResult(number)
        return true
    }

    /// The update of an intent that is attached to another.
    func attachedUpdate(_ attachment: AttachedRecord) -> Update {
        var update = Update(.duplicate, task: attachment.spec.key.id, state: .queued, rev: 1, at: now.wall)
        if let first = tasks[attachment.first] {
            update.state = first.state
            update.of = first.spec.key.id
        } else if let first = ended[attachment.first] {
            update.state = TaskState(first.status)
            update.of = first.spec.key.id
        }
        return update
    }

    /// Check 3: somebody offers the capability.
    mutating func checkCapability(_ submission: Submission) throws(Refusal) -> Int? {
        if submission.capability == Names.planCapability { return nil }
        let name = ScopedName(submission.key.workspace, submission.capability)
        if let index = capabilityIndex[name], !capabilities[index].executors.isEmpty { return index }
        if !isSettled, submission.step == nil {
            if capabilityIndex[name] == nil, capabilities.count >= Limits.capabilities {
                throw busy("no room for a further capability")
            }
            return capabilityNumber(name)
        }
        if let index = capabilityIndex[name], capabilities[index].wasSeen {
            throw Refusal(.skillNotLoaded, "no executor offers \(submission.capability) any more")
        }
        throw Refusal(.unknownCapability, "no executor ever offered \(submission.capability)")
    }

    /// Check 4: only services name origins and listeners; returns the owner.
    func checkOrigin(_ submission: Submission, _ capability: Int?) throws(Refusal) -> String {
        let intent = submission.intent
        let isService = configuration.services.contains(submission.key.principal) || submission.step != nil
        if (intent.origin != nil || intent.listeners != nil) && !isService && !submission.isRedrive {
            throw Refusal(.permissionDenied, "only services may set origin and listeners")
        }
        if let expires = intent.origin?.expiresAt, expires <= now.wall {
            throw Refusal(.expired, "origin.expires_at has passed")
        }
        if let capability, intent.origin?.kind != "check",
            summary(of: capability).isHeartbeat
        {
            throw Refusal(.wrongKind, "a capability of kind heartbeat runs only for a check")
        }
        if isService, let owner = intent.origin?.owner { return owner }
        return submission.key.principal
    }

    /// Check 6: numbers that must fit each other, executor, mode, cost.
    func checkLimits(_ submission: Submission, _ capability: Int?) throws(Refusal) {
        let intent = submission.intent
        if let deadline = intent.deadlineMs, deadline <= intent.delayMs ?? 0 {
            throw Refusal(.invalidField, "deadline_ms must be greater than delay_ms")
        }
        guard let capability else { return }
        // Until the retained cards are read nobody can say who is there: a kept session gives intents before them.
        if let name = intent.executor, isSettled {
            try checkExecutor(ScopedName(submission.key.workspace, name), intent.mode ?? .undecided)
        }
        if let most = intent.maxCost {
            let costs = capabilities[capability].executors.compactMap { executor in
                registrations[Pair(executor, capability)].map { price($0, units: intent.units ?? 1) }
            }
            if let least = costs.min(), least > most {
                throw Refusal(.budgetExceeded, "the cheapest executor costs \(least)")
            }
        }
    }

    /// Whether a named executor exists and works in a mode.
    func checkExecutor(_ name: ScopedName, _ mode: Mode) throws(Refusal) {
        guard let index = executorIndex[name], executors[index].card != nil || executors[index].isCardless else {
            throw Refusal(.notFound, "no executor \(name.name)")
        }
        if mode != .undecided, !takes(mode, executors[index]) {
            throw Refusal(.wrongMode, "\(name.name) does not work in mode \(mode.rawValue)")
        }
    }

    /// The lane: the intent's, else the highest of the cards, else normal.
    func decidePriority(_ intent: Intent, _ capability: Int?) -> Priority {
        if let priority = intent.priority { return priority }
        guard let capability else { return .normal }
        return summary(of: capability).priority ?? .normal
    }

    /// Check 9: room in the tables. A `critical` intent may push a `low` task out.
    private mutating func makeRoom(
        _ submission: Submission, _ owner: String, _ priority: Priority, _ capability: Int?
    ) throws(Refusal) {
        if submission.step != nil { return }
        if let capability, capabilities[capability].live >= configuration.tasksPerCapability {
            throw busy("too many tasks of \(submission.capability)")
        }
        let isPlan = submission.capability == Names.planCapability
        let need = RoomNeed(submission.intent.input, isPlan: isPlan, includesPlan: true)
        let scope = ScopedName(submission.key.workspace, owner)
        if let lack = lackOfShare(scope, need) { throw busy(lack) }
        if !isFull(priority, need) { return }
        let workspace = submission.key.workspace
        if priority == .critical, let victim = lanes[workspace]?.newestLow ?? delayedOrder[workspace]?.first {
            metrics.shed += 1
            finish(victim, Ending(.rejected, ErrorBody(.busy, "gave way to a critical task")))
            if !isFull(priority, need) { return }
        }
        throw busy("too many tasks")
    }

    /// An intent that waits for another's result counts as a task does.
    mutating func requireRoom(_ submission: Submission, _ owner: String, _ priority: Priority) throws(Refusal) {
        let need = RoomNeed(submission.intent.input, isPlan: false, includesPlan: false)
        if let lack = lackOfShare(ScopedName(submission.key.workspace, owner), need) { throw busy(lack) }
        if isFull(priority, need) { throw busy("too many tasks") }
    }

    /// Why an owner, or its workspace, may have no further tasks.
    private func lackOfShare(_ owner: ScopedName, _ need: RoomNeed) -> String? {
        if ownerCounts[owner] ?? 0 > configuration.tasksPerOwner - need.tasks {
            return "too many tasks of \(owner.name)"
        }
        let quota = configuration.quota(of: owner.workspace)
        let used = workspaceUse[owner.workspace] ?? WorkspaceUse()
        if used.tasks > quota.tasks - need.tasks {
            return "the workspace \(owner.workspace) has \(used.tasks) tasks; its quota is \(quota.tasks)"
        }
        if used.bytes > quota.taskBytes - need.bytes {
            return "the tasks of the workspace \(owner.workspace) take up its quota of \(quota.taskBytes) bytes"
        }
        return nil
    }

    /// Whether further tasks would be more than a lane may fill.
    private func isFull(_ priority: Priority, _ need: RoomNeed) -> Bool {
        let part = [70, 85, 90, 100][priority.rank]
        return tasks.count + attached.count > configuration.tasks * part / 100 - need.tasks
            || taskBytes > configuration.taskBytes * part / 100 - need.bytes
    }

    /// A plan whose delay or approval is over begins, once there is room for its steps.
    mutating func beginPlan(_ task: TaskRecord) {
        let need = RoomNeed(task.spec.input, isPlan: true, includesPlan: false)
        let owner = ScopedName(task.spec.key.workspace, task.spec.owner)
        if lackOfShare(owner, need) != nil || isFull(task.spec.priority, need) {
            return delay(task.number, busyMs(), code: .busy)
        }
        transition(task.number, to: .running)
        startPlan(task.number)
    }

    /// After how long it is worth asking again.
    private mutating func busyMs() -> Int {
        let perSecond = max(1, metrics.endedPerSecond(at: now.monotonic))
        let queued = lanes.values.reduce(0) { $0 + $1.count }
        let base = min(60_000, max(1000, 1000 * queued / perSecond))
        return base * generator.uniform(50...150) / 100
    }

    /// `busy` with the time after which it is worth asking again.
    mutating func busy(_ message: String) -> Refusal {
        let wait = busyMs()
        return Refusal(.busy, message, details: RawJSON { $0.object { $0.field("retry_after_ms", wait) } })
    }

    /// Makes the task.
    private mutating func accept(
        _ submission: Submission, owner: String, priority: Priority, needsApproval: Bool
    ) {
        let spec = makeSpec(submission, owner, priority)
        var task = TaskRecord(spec, state: .queued)
        task.deadline = now.clock(spec.deadlineAt)
        let delayMs = submission.intent.delayMs ?? 0
        if needsApproval {
            task.state = .awaitingApproval
            task.readyAt = min(now.wall + Defaults.approvalMs, spec.deadlineAt)
            task.code = .approvalRequired
        } else if delayMs > 0 {
            task.state = .delayed
            task.readyAt = now.wall + delayMs
        } else if spec.isPlan {
            task.state = .running
        }
        task.ready = task.readyAt.map(now.clock)
        if let answer = submission.answer { answers[spec.number] = answer }
        metrics.accepted += 1
        begin(task)
        tellAccepted(spec.number)
        if needsApproval { event(.approvalRequested, of: spec) }
        if task.state == .running { startPlan(spec.number) }
    }

    /// The immutable part of a task.
    mutating func makeSpec(_ submission: Submission, _ owner: String, _ priority: Priority) -> TaskSpec {
        lastNumber += 1
        let intent = submission.intent
        let deadlineMs = intent.deadlineMs ?? (intent.delayMs ?? 0) + Defaults.deadlineMs
        var decision = TaskSpec.Decision(
            number: lastNumber, owner: owner, priority: priority,
            delivery: decideDelivery(intent, submission.key.workspace, submission.capability),
            acceptedAt: now.wall, deadlineAt: now.wall + deadlineMs)
        decision.step = submission.step
        return TaskSpec(
            submission.key, capability: submission.capability, intent: intent, digest: submission.digest,
            decision: decision,
            names: names.names(of: submission.key, capability: submission.capability, owner: owner))
    }

    /// `at_most_once` if the intent or any registration says so.
    func decideDelivery(_ intent: Intent, _ workspace: String, _ capability: String) -> Delivery {
        if intent.delivery == .atMostOnce { return .atMostOnce }
        guard let index = capabilityIndex[ScopedName(workspace, capability)] else { return .atLeastOnce }
        return summary(of: index).isAtMostOnce ? .atMostOnce : .atLeastOnce
    }

    /// What acceptance asks of all registrations of a capability.
    func summary(of capability: Int) -> CapabilitySummary {
        capabilities[capability].summary ?? workedOutSummary(of: capability)
    }

    /// The same from the registrations themselves.
    func workedOutSummary(of capability: Int) -> CapabilitySummary {
        var summary = CapabilitySummary()
        for executor in capabilities[capability].executors {
            guard let registration = registrations[Pair(executor, capability)] else { continue }
            // What a card says that gets no work, because it differs from the reference, holds for nobody.
            if registration.kind == "heartbeat", !registration.isQuarantined { summary.isHeartbeat = true }
            if registration.entry.inputSchema != nil { summary.hasInputSchema = true }
            if registration.entry.delivery == .atMostOnce { summary.isAtMostOnce = true }
            summary.timeoutMs = max(summary.timeoutMs, registration.entry.timeoutMs ?? 0)
            if obstacle(executor, registration) == nil {
                let own = registration.entry.priority ?? .normal
                summary.priority = max(summary.priority ?? own, own)
            }
        }
        return summary
    }
}
