import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Checks 5, 7 and 8 of acceptance (`topics/tasks.md`, policy and approval).
extension Dispatcher {
    /// Check 5: the input fits the schema of the reference card; a plan is well formed.
    func checkInput(_ submission: Submission, _ capability: Int?) throws(Refusal) {
        if submission.capability == Names.planCapability { return try checkPlan(submission) }
        guard let capability, summary(of: capability).hasInputSchema, let reference = referenceExecutor(capability),
            let schema = registrations[Pair(reference, capability)]?.entry.inputSchema
        else { return }
        if let violation = Schema(schema).violation(in: submission.intent.input ?? .emptyObject) {
            throw Refusal(.invalidField, "input: \(violation)")
        }
    }

    private func checkPlan(_ submission: Submission) throws(Refusal) {
        let plan: Plan
        do throws(PlanRefusal) {
            plan = try Plan(submission.intent.input, id: submission.key.id)
        } catch {
            throw Refusal(error.code, error.message, details: error.details)
        }
        if let taken = takenStep(plan, submission.key) {
            throw Refusal(taken.code, taken.message, details: taken.details)
        }
    }

    /// The first step of a plan whose task id is in use.
    func takenStep(_ plan: Plan, _ key: TaskKey) -> PlanRefusal? {
        for (index, step) in plan.steps.enumerated() {
            let id = Plan.taskID(key.id, step.name)
            if ids[TaskKey(key.workspace, key.principal, id)] != nil {
                return PlanRefusal(code: .idReused, message: "step \(index): the id \(id) is in use", index: index)
            }
        }
        return nil
    }

    /// Check 7: the rules. Returns true when a person has to agree.
    func checkPolicy(_ submission: Submission, _ owner: String) throws(Refusal) -> Bool {
        guard hasPolicy else { throw Refusal(.internal, "the rules cannot be read") }
        let question = PolicyQuestion(
            workspace: submission.key.workspace, principal: owner, verb: PolicyQuestion.execute,
            capability: submission.capability, isOwn: true, at: now.wall)
        let answer = policy.answer(question)
        switch answer.effect {
        case .allow: return false
        case .requireApproval: return true
        case .deny:
            let details = answer.rule.map { rule in RawJSON { $0.object { $0.field("rule", rule) } } }
            let text = answer.rule.map { "rule \($0) denies it" } ?? "no rule allows it"
            throw Refusal(.policyRejected, text, details: details)
        }
    }

    /// Check 8: a token of the owner's rate.
    mutating func takeRate(_ submission: Submission, _ owner: String) throws(Refusal) {
        guard submission.step == nil, !configuration.rates.isEmpty else { return }
        let scope = ScopedName(submission.key.workspace, owner)
        guard let until = rates.takeOwner(scope, configuration, at: now.monotonic) else { return }
        let wait = max(1, until - now.monotonic)
        throw Refusal(
            .rateLimited, "too many intents of \(owner), or of its workspace",
            details: RawJSON { $0.object { $0.field("retry_after_ms", wait) } })
    }

    // MARK: - Approval

    /// Approves or denies a task. The first decision stands.
    mutating func decideApproval(_ number: Int, approve: Bool, by principal: String, reason: String?) -> Refusal? {
        guard let task = tasks[number] else { return decidedBefore(number, approve: approve) }
        if task.spec.owner == principal || task.spec.key.principal == principal {
            return Refusal(.permissionDenied, "one's own task is decided by another")
        }
        guard task.state == .awaitingApproval else {
            guard task.isApproved else { return Refusal(.notAssignable, "the task does not wait for an approval") }
            return approve ? nil : Refusal(.conflictRev, "the task was approved")
        }
        if approve {
            tasks[number]?.isApproved = true
            event(.approvalGranted, of: task.spec, actor: principal)
            becomeReady(number)
        } else {
            event(.approvalDenied, of: task.spec, actor: principal) { $0.field("reason", reason) }
            finish(number, Ending(.rejected, ErrorBody(.approvalDenied, reason ?? "denied by \(principal)")))
        }
        return nil
    }

    private func decidedBefore(_ number: Int, approve: Bool) -> Refusal? {
        guard let record = ended[number] else { return Refusal(.notFound, "no such task") }
        switch record.code {
        case .approvalExpired?: return Refusal(.approvalExpired, "nobody decided in time")
        case .expired? where record.attempts == 0 && !record.isApproved:
            return Refusal(.approvalExpired, "its deadline passed before anybody decided")
        case .approvalDenied?: return approve ? Refusal(.conflictRev, "the task was denied") : nil
        default:
            guard record.isApproved else { return Refusal(.notAssignable, "the task needed no approval") }
            return approve ? nil : Refusal(.conflictRev, "the task was approved")
        }
    }
}
