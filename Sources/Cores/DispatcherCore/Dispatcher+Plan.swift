import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// A plan that runs: how far it is, its live steps, and how it is to end once they have ended.
struct PlanState: Sendable {
    /// Which steps have ended, and how.
    var run: PlanRun
    /// Numbers of the live steps, by index.
    var steps: [Int: Int] = [:]
    /// What its steps' attempts have cost.
    var spent = 0
    /// Set once it stops: how it ends when no step is left.
    var ending: Ending?
    /// Whether it is being moved on right now.
    var isAdvancing = false
}

/// Plans (`topics/plans.md`): they run here, without executor and lease; each step is a task.
extension Dispatcher {
    /// A plan begins: all its steps become tasks that wait for their needs.
    mutating func startPlan(_ number: Int) {
        guard let task = tasks[number], let plan = try? Plan(task.spec.input, id: task.spec.key.id) else {
            return finish(number, Ending(.failed, ErrorBody(.internal, "the plan cannot be read")))
        }
        // It may have waited for its time, or for a person, and its sender may have used an id meanwhile.
        if let taken = takenStep(plan, task.spec.key) {
            return finish(number, Ending(.failed, ErrorBody(taken.code, taken.message, details: taken.details)))
        }
        plans[number] = PlanState(run: PlanRun(plan))
        for index in plan.steps.indices { addStep(index, plan, number, task.spec) }
        advancePlan(number)
    }

    /// Makes the task of one step.
    private mutating func addStep(_ index: Int, _ plan: Plan, _ number: Int, _ spec: TaskSpec) {
        let step = plan.steps[index]
        var intent = step.intent
        intent.input = step.arguments
        if intent.timeoutMs ?? 0 == 0 { intent.timeoutMs = spec.timeoutMs == 0 ? nil : spec.timeoutMs }
        intent.priority = spec.priority
        intent.context = spec.context
        intent.origin = spec.origin
        intent.traceparent = spec.extras?.intent.traceparent
        lastNumber += 1
        var decision = TaskSpec.Decision(
            number: lastNumber, owner: spec.owner, priority: spec.priority,
            delivery: intent.delivery ?? .atLeastOnce, acceptedAt: now.wall, deadlineAt: spec.deadlineAt)
        decision.step = StepPlace(plan: number, index: index)
        let key = TaskKey(spec.key.workspace, spec.key.principal, Plan.taskID(spec.key.id, step.name))
        let own = TaskSpec(
            key, capability: step.capability, intent: intent, digest: ContentDigest(step.arguments),
            decision: decision, names: names.names(of: key, capability: step.capability, owner: spec.owner))
        var task = TaskRecord(own, state: .blocked)
        task.deadline = now.clock(spec.deadlineAt)
        plans[number]?.steps[index] = own.number
        begin(task)
    }

    /// Moves a plan on: ends it, or readies the steps whose needs are met.
    mutating func advancePlan(_ number: Int) {
        guard isSettled, plans[number]?.isAdvancing == false else { return }
        plans[number]?.isAdvancing = true
        while advanceStep(number) {}
        plans[number]?.isAdvancing = false
    }

    /// One move; false when there is none.
    private mutating func advanceStep(_ number: Int) -> Bool {
        guard let state = plans[number] else { return false }
        if let ending = state.ending {
            guard state.steps.isEmpty else { return false }
            endPlan(number, ending)
            return false
        }
        if let stopper = state.run.stopper {
            stopPlan(number, Ending(.failed, state.run.error(of: stopper)), reason: "a step failed")
            return true
        }
        if state.run.isComplete {
            endPlan(number, Ending(.success, nil))
            return false
        }
        for index in state.run.ready {
            guard let step = state.steps[index], tasks[step]?.state == .blocked else { continue }
            readyStep(number, index, step)
            return true
        }
        return false
    }

    private mutating func endPlan(_ number: Int, _ ending: Ending) {
        guard let state = plans[number] else { return }
        var last = ending
        last.output = state.run.output()
        finish(number, last)
    }

    /// T3: the needs of a step are met. Its references are replaced, and it is checked like an intent.
    private mutating func readyStep(_ plan: Int, _ index: Int, _ number: Int) {
        guard let run = plans[plan]?.run, let task = tasks[number] else { return }
        if !run.shouldRun(index) {
            let skipped = ErrorBody(Code(rawValue: StepEnd.skipped), "its condition does not hold")
            return finish(number, Ending(.canceled, skipped))
        }
        do throws(PlanRefusal) {
            let input = try run.arguments(of: index)
            if input != task.spec.input { setSpec(number, task.spec.with(input: input)) }
        } catch {
            return finish(number, Ending(.failed, ErrorBody(error.code, error.message, errorClass: .permanent)))
        }
        guard let spec = tasks[number]?.spec else { return }
        let isNew = spec.input != task.spec.input
        if exceedsPlan(plan, spec) {
            if isNew { journalChange(number, hasNewInput: true) }
            return overspend(plan)
        }
        do throws(Refusal) {
            let needsApproval = try checkStep(spec, run.plan.steps[index])
            if needsApproval {
                let until = min(now.wall + Defaults.approvalMs, spec.deadlineAt)
                tasks[number]?.readyAt = until
                tasks[number]?.ready = now.clock(until)
                transition(number, to: .awaitingApproval, code: .approvalRequired, hasNewInput: true)
                event(.approvalRequested, of: spec)
            } else {
                transition(number, to: .queued, hasNewInput: true)
            }
        } catch {
            if isNew { journalChange(number, hasNewInput: true) }
            finish(number, Ending(.rejected, ErrorBody(error.code, error.message, details: error.details)))
        }
    }

    /// Checks 3 to 7 for a step.
    private mutating func checkStep(_ spec: TaskSpec, _ step: PlanStep) throws(Refusal) -> Bool {
        var submission = Submission(
            key: spec.key, capability: spec.capability, intent: spec.intent, digest: spec.digest)
        submission.step = spec.step
        let capability = try checkCapability(submission)
        _ = try checkOrigin(submission, capability)
        if let capability {
            let cards = capabilities[capability].executors.compactMap { registrations[Pair($0, capability)] }
            let kinds = Set(cards.filter { !$0.isQuarantined }.map(\.kind))
            let wrong = step.type == "tool" ? "skill" : "tool"
            if kinds.contains(wrong) {
                throw Refusal(.wrongKind, "a step of type \(step.type) cannot run a capability of kind \(wrong)")
            }
        }
        try checkInput(submission, capability)
        try checkLimits(submission, capability)
        return try checkPolicy(submission, spec.owner)
    }

    /// Whether a task is a step whose end its plan shows: it ran, or ended before the plan was stopped.
    func countsInPlan(_ task: TaskRecord) -> Bool {
        guard let step = task.spec.step else { return false }
        return plans[step.plan].map { $0.ending == nil } ?? false || task.attempts > 0
    }

    /// A step has ended: it is logged, and the plan moves on.
    mutating func stepEnded(_ place: StepPlace, _ number: Int, _ record: EndedRecord, _ ending: Ending) {
        guard let state = plans[place.plan] else { return }
        plans[place.plan]?.steps[place.index] = nil
        if state.ending == nil || record.attempts > 0 {
            plans[place.plan]?.run.note(Dispatcher.stepEnd(place, record))
            publishLog(number)
        }
        advancePlan(place.plan)
    }

    /// A step's end as its plan sees it.
    static func stepEnd(_ place: StepPlace, _ record: EndedRecord) -> StepEnd {
        let isSkipped = record.code?.rawValue == StepEnd.skipped
        var end = StepEnd(index: place.index, status: isSkipped ? StepEnd.skipped : record.status.rawValue)
        guard !isSkipped else { return end }
        let result = record.result.flatMap { try? TaskResult($0) }
        end.output = result?.output
        end.error = result?.error
        end.durationMs = record.durationMs
        return end
    }

    /// Stops a plan: its live steps are canceled first, then it ends.
    mutating func stopPlan(
        _ number: Int, _ ending: Ending, reason: String?, graceMs: Int = Defaults.cancelGraceMs
    ) {
        guard let state = plans[number], state.ending == nil else { return }
        plans[number]?.ending = ending
        if ending.status == .canceled { transition(number, to: .canceling) }
        for (_, step) in state.steps.sorted(by: { $0.key < $1.key }) {
            if ending.status == .timeout {
                // The deadline of the plan is theirs too.
                fenceHolder(step, code: .expired, cancels: true)
                finish(step, ending)
            } else {
                _ = cancel(step, reason: reason, graceMs: graceMs, by: "dispatcher")
            }
        }
        advancePlan(number)
    }

    /// Whether some step of a plan was given to an executor.
    func hasTriedStep(_ number: Int) -> Bool {
        guard let plan = plans[number]?.run.plan, let key = tasks[number]?.spec.key else { return false }
        return plan.steps.contains { step in
            let own = ids[TaskKey(key.workspace, key.principal, Plan.taskID(key.id, step.name))]
            return own.flatMap { ended[$0]?.attempts } ?? 0 > 0
        }
    }

    /// After a start: plans that ran go on.
    mutating func restorePlans() {
        let running = tasks.keys.sorted().filter { number in
            tasks[number].map { $0.spec.isPlan && ($0.state == .running || $0.state == .canceling) } ?? false
        }
        guard !running.isEmpty else { return }
        var places: [Int: Int] = [:]
        for (place, number) in endedOrder.all.enumerated() { places[number] = place }
        for number in running { restorePlan(number, places) }
    }

    /// Notes the ends of a plan's steps in their order, as `stepEnded` did.
    private mutating func restorePlan(_ number: Int, _ places: [Int: Int]) {
        guard let task = tasks[number], let plan = try? Plan(task.spec.input, id: task.spec.key.id) else { return }
        var restored = PlanState(run: PlanRun(plan))
        if task.state == .canceling {
            restored.ending = Ending(.canceled, cancelError(runs[number]?.cancelReason))
        } else if task.code == .budgetExceeded {
            restored.ending = Dispatcher.overspent
        }
        plans[number] = restored
        var ends: [(at: WallTime, place: Int, step: Int)] = []
        var spent = 0
        for index in plan.steps.indices {
            let id = Plan.taskID(task.spec.key.id, plan.steps[index].name)
            guard let step = ids[TaskKey(task.spec.key.workspace, task.spec.key.principal, id)] else {
                addStep(index, plan, number, task.spec)
                continue
            }
            spent += runs[step]?.spent ?? ended[step]?.spent ?? 0
            if let record = ended[step] {
                ends.append((record.endedAt, places[step] ?? 0, step))
            } else {
                plans[number]?.steps[index] = step
            }
        }
        for end in ends.sorted(by: { ($0.at, $0.place) < ($1.at, $1.place) }) {
            guard let record = ended[end.step], let place = record.spec.step, let state = plans[number] else {
                continue
            }
            let isStopping = state.ending != nil || state.run.stopper != nil
            let wasStopped = record.status == .canceled && record.code?.rawValue != StepEnd.skipped
            if isStopping, wasStopped, record.attempts == 0 { continue }
            plans[number]?.run.note(Dispatcher.stepEnd(place, record))
        }
        plans[number]?.spent = spent
    }

    // MARK: - Log

    private func requestID(_ spec: TaskSpec) -> String {
        let request = spec.context?.requestID ?? spec.key.id
        return Names.isName(request) ? request : String(spec.key.id.prefix(Names.limit))
    }

    /// Tells in the execution log that a plan begins.
    mutating func logPlanStart(_ spec: TaskSpec) {
        let plan = try? Plan(spec.input, id: spec.key.id)
        let record = LogRecord.planStart(
            request: requestID(spec), assistant: plan?.assistant, plan: spec.input ?? .emptyObject,
            at: spec.acceptedAt)
        publishLog(record, spec, token: spec.updates == .none ? Token.accepted(spec.number) : nil)
    }

    /// Tells in the execution log how a step, or a plan, ended.
    mutating func publishLog(_ number: Int) {
        guard let record = ended[number], undelivered.contains(Token.log(number)) else { return }
        if record.spec.isPlan {
            let plan = try? Plan(record.spec.input, id: record.spec.key.id)
            let log = LogRecord.planEnd(
                request: requestID(record.spec), assistant: plan?.assistant, status: record.status,
                error: errorText(record), durationMs: max(0, record.endedAt - record.spec.acceptedAt),
                at: record.endedAt)
            publishLog(log, record.spec, token: Token.log(number))
        } else if let place = record.spec.step {
            publishStep(record, place, number)
        }
    }

    private mutating func publishStep(_ record: EndedRecord, _ place: StepPlace, _ number: Int) {
        guard let spec = tasks[place.plan]?.spec ?? ended[place.plan]?.spec,
            let plan = try? Plan(spec.input, id: spec.key.id), plan.steps.indices.contains(place.index)
        else { return }
        let end = Dispatcher.stepEnd(place, record)
        let step = plan.steps[place.index]
        let isEmpty = end.output == nil || end.output == .null
        let log = LogRecord.step(
            LogRecord.Step(
                request: requestID(spec), assistant: plan.assistant, name: step.name, type: step.type,
                status: end.status, output: isEmpty ? nil : end.output,
                error: end.status == StepEnd.skipped ? nil : errorText(record), durationMs: end.durationMs,
                at: record.endedAt))
        publishLog(log, spec, token: Token.log(number))
    }

    /// `code: message`.
    private func errorText(_ record: EndedRecord) -> String? {
        guard let error = record.result.flatMap({ try? TaskResult($0) })?.error else { return record.code?.rawValue }
        return error.message.map { "\(error.code.rawValue): \($0)" } ?? error.code.rawValue
    }

    private mutating func publishLog(_ log: LogRecord, _ spec: TaskSpec, token: Int?) {
        publish(
            spec.key.workspace, .log(request: requestID(spec), record: log.record), log.encoded, token: token)
    }
}
