import Contract
import Machine
import TimeModel
import Wire

/// Commands about capabilities (`topics/commands.md`, capability).
extension Dispatcher {
    mutating func capabilityCommand(_ call: CommandCall) throws(CommandRefusal) -> Reply {
        switch call.verb {
        case "list":
            return try listCapabilities(call)
        case "can_execute":
            // Who may not have it run learns which rule says so, and nothing else.
            if mayUse(call, call.id) { try permit(call, capability: call.id) }
            return try canExecute(call)
        case "get":
            try permit(call, capability: call.id)
            return .done(data: capabilityObject(try knownCapability(call)))
        case "pause":
            try permit(call, capability: call.id)
            let length = call.fields.forMs
            var own = CommandPause(until: length.map { now.wall + $0 } ?? .never, forMs: length)
            own.begin(at: now)
            return try pause(call, own)
        default:
            try permit(call, capability: call.id)
            return try resume(call)
        }
    }

    private func knownCapability(_ call: CommandCall) throws(CommandRefusal) -> Int {
        if let index = capabilityIndex[call.object],
            capabilities[index].wasSeen || !capabilities[index].executors.isEmpty
        {
            return index
        }
        throw CommandRefusal(.notFound, "no executor ever offered \(call.id)")
    }

    /// `name` and the fields of the view.
    private func capabilityObject(_ index: Int) -> RawJSON {
        var fields = [JSONValue.Field("name", .string(capabilities[index].name.name))]
        if case .object(let view) = JSONValue(capabilityView(index).raw) { fields += view }
        return JSONValue.object(fields).raw
    }

    /// What somebody offers and the caller may use.
    private func listCapabilities(_ call: CommandCall) throws(CommandRefusal) -> Reply {
        try permit(call, capability: nil)
        let after = call.fields.after ?? ""
        let names = capabilities.indices.filter {
            capabilities[$0].name.workspace == call.workspace && !capabilities[$0].executors.isEmpty
        }.map { capabilities[$0].name.name }.filter { $0 > after && mayUse(call, $0) }
        return page(call, names.sorted()) { name in
            capabilityIndex[ScopedName(call.workspace, name)].map(capabilityObject)
        }
    }

    private func mayUse(_ call: CommandCall, _ capability: String) -> Bool {
        policy.answer(use(call, capability)).effect != .deny
    }

    /// The question whether the caller may have a capability run.
    private func use(_ call: CommandCall, _ capability: String) -> PolicyQuestion {
        PolicyQuestion(
            workspace: call.workspace, principal: call.principal, verb: PolicyQuestion.execute,
            capability: capability, isOwn: true, at: now.wall)
    }

    // MARK: - can_execute

    /// Whether a task like the intent in the payload could start now.
    private func canExecute(_ call: CommandCall) throws(CommandRefusal) -> Reply {
        let intent: Intent
        do throws(WireError) {
            if let own = call.fields.intent { intent = own } else { intent = try Intent(call.fields.raw) }
        } catch {
            throw CommandRefusal(.invalidField, error.message)
        }
        let answer = policy.answer(use(call, call.id))
        if answer.effect == .deny { return reply(can: false, .policyRejected, answer, in: call.workspace) }
        if call.id == Names.planCapability {
            let refusal = refusal(call, intent, nil)
            return reply(can: refusal == nil, refusal?.code, answer, in: call.workspace)
        }
        guard let index = capabilityIndex[call.object], !capabilities[index].executors.isEmpty else {
            let wasSeen = capabilityIndex[call.object].map { capabilities[$0].wasSeen } ?? false
            return reply(can: false, wasSeen ? .skillNotLoaded : .unknownCapability, answer, in: call.workspace)
        }
        let task = imagined(call, intent, index)
        let shown = candidates(for: task)
        if let refusal = refusal(call, intent, index) {
            let judged = Judged(task: task, shown: shown)
            return reply(can: false, refusal.code, answer, in: call.workspace, judged)
        }
        let code = answer.effect == .requireApproval ? Code(rawValue: "awaiting_approval") : waitCode(task, shown)
        let can = code == WaitCode.turn
        return reply(can: can, can ? nil : code, answer, in: call.workspace, Judged(task: task, shown: shown))
    }

    /// What checks 4 to 6 of acceptance would refuse the intent with.
    private func refusal(_ call: CommandCall, _ intent: Intent, _ capability: Int?) -> Refusal? {
        let submission = Submission(
            key: TaskKey(call.workspace, call.principal, "\(call.id)~can_execute"), capability: call.id,
            intent: intent, digest: ContentDigest(RawJSON.emptyObject))
        do throws(Refusal) {
            _ = try checkOrigin(submission, capability)
            try checkInput(submission, capability)
            try checkLimits(submission, capability)
            return nil
        } catch {
            return error
        }
    }

    /// The executors that were judged for a task.
    private struct Judged {
        var task: TaskRecord
        var shown: [Shown]
    }

    private func reply(
        can: Bool, _ code: Code?, _ answer: PolicyAnswer, in workspace: String, _ judged: Judged? = nil
    ) -> Reply {
        let rule = policy.rule(answer.rule, of: workspace)
        return .done(
            data: RawJSON { writer in
                writer.object {
                    $0.field("can", can)
                    $0.field("code", code?.rawValue)
                    $0.field("policy") {
                        $0.field("effect", answer.effect.rawValue)
                        $0.field("rule", answer.rule)
                        $0.field("priority", rule?.priority)
                        $0.field("why", rule?.about ?? policy.silence(of: workspace))
                    }
                    $0.key("executors")
                    $0.beginArray()
                    if let judged {
                        for candidate in judged.shown.prefix(Limits.candidates) {
                            write(candidate, of: judged.task, to: &$0)
                        }
                    }
                    $0.endArray()
                }
            })
    }

    /// A task as the intent would give it, in no table.
    private func imagined(_ call: CommandCall, _ intent: Intent, _ capability: Int) -> TaskRecord {
        let deadlineMs = intent.deadlineMs ?? Defaults.deadlineMs
        let decision = TaskSpec.Decision(
            number: 0, owner: call.principal, priority: decidePriority(intent, capability),
            delivery: decideDelivery(intent, call.workspace, call.id), acceptedAt: now.wall,
            deadlineAt: now.wall + deadlineMs)
        let spec = TaskSpec(
            TaskKey(call.workspace, call.principal, call.id), capability: call.id, intent: intent,
            digest: ContentDigest(RawJSON.emptyObject), decision: decision)
        var task = TaskRecord(spec, state: .queued)
        task.deadline = now.monotonic + deadlineMs
        task.queued = now.monotonic
        return task
    }

    // MARK: - Pauses

    /// No new work of a capability, or of a pair, until a moment.
    private mutating func pause(_ call: CommandCall, _ pause: CommandPause) throws(CommandRefusal) -> Reply {
        let index = try knownCapability(call)
        if let executor = call.fields.executor {
            guard executorIndex[ScopedName(call.workspace, executor)] != nil else {
                throw CommandRefusal(.notFound, "no executor \(executor)")
            }
        }
        setPause(index, executor: call.fields.executor, pause)
        return .done(data: capabilityObject(index))
    }

    /// Sets or ends a pause, in the journal too.
    private mutating func setPause(_ index: Int, executor: String?, _ pause: CommandPause?) {
        applyPause(index, executor: executor, pause)
        journal(.pause(capabilities[index].name, executor: executor, pause))
        touch(capability: index)
        wake(capability: index)
    }

    /// Sets or ends a pause.
    mutating func applyPause(_ index: Int, executor: String?, _ pause: CommandPause?) {
        guard let executor else { return capabilities[index].pause = pause }
        capabilities[index].pairPauses[executor] = pause
    }

    /// Ends a pause; an executor in conflict becomes the reference.
    private mutating func resume(_ call: CommandCall) throws(CommandRefusal) -> Reply {
        let index = try knownCapability(call)
        guard let name = call.fields.executor else {
            if capabilities[index].pause != nil { setPause(index, executor: nil, nil) }
            return .done(data: capabilityObject(index))
        }
        guard let executor = executorIndex[ScopedName(call.workspace, name)] else {
            throw CommandRefusal(.notFound, "no executor \(name)")
        }
        if capabilities[index].pairPauses[name] != nil { setPause(index, executor: name, nil) }
        if registrations[Pair(executor, index)]?.isQuarantined ?? false {
            capabilities[index].reference = name
            journal(.reference(capabilities[index].name, executor: name))
            changedConflicts.insert(index)
        }
        return .done(data: capabilityObject(index))
    }
}
