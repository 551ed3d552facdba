import Contract
import Determinism
import Wire

/// What publishers and the operator ask for.
extension DispatcherRun {
    func load() {
        guard !isHealing else { return }
        let publisher = publishers[world.random.uniform(0...publishers.count - 1)]
        let draw = world.random.uniform(1...100)
        if draw <= 72 || nextTask == 0 {
            submit(publisher)
        } else if draw <= 80 {
            submitPlan(publisher)
        } else if draw <= 88 {
            publisher.repeatRequest("t\(world.random.uniform(0...nextTask - 1))")
        } else if draw <= 95 {
            let id = "t\(world.random.uniform(max(0, nextTask - 10)...nextTask - 1))"
            if publisher.open.contains(id) { publisher.cancel(id) }
        } else if faults.kinds.contains(.garbage) {
            garbage(publisher)
        }
        world.after(world.random.uniform(0...1400)) { [weak self] in self?.load() }
    }

    private func anyCapability() -> String { capabilities[world.random.uniform(0...capabilities.count - 1)] }

    private func submit(_ publisher: ScriptedPublisher) {
        var intent = Intent()
        intent.input = RawJSON { $0.object { $0.field("n", nextTask) } }
        if world.random.chance(1, of: 2) { intent.priority = Priority.allCases[world.random.uniform(0...3)] }
        drawTimes(&intent)
        if world.random.chance(1, of: 6) { intent.delivery = .atMostOnce }
        if world.random.chance(1, of: 6) { intent.concurrencyKey = "k\(world.random.uniform(0...1))" }
        if world.random.chance(1, of: 6) {
            intent.dedupKey = "d\(world.random.uniform(0...3))"
            intent.dedup = DedupMode.allCases[world.random.uniform(0...2)]
            intent.onDuplicate = OnDuplicate.allCases[world.random.uniform(0...3)]
            if intent.dedup == .window { intent.dedupWindowMs = 5000 }
        }
        if world.random.chance(1, of: 4) { intent.updates = .all }
        if world.random.chance(1, of: 20) { intent.updates = UpdateLevel.none }
        if world.random.chance(1, of: 10) { intent.requires = ["agent:fast", "urgent"] }
        if world.random.chance(1, of: 12) { intent.maxCost = world.random.uniform(0...80) }
        if world.random.chance(1, of: 10) { intent.units = world.random.uniform(0...5) }
        if world.random.chance(1, of: 15) { intent.keepMs = world.random.uniform(1000...20_000) }
        if world.random.chance(1, of: 15) {
            intent.executor = executors[world.random.uniform(0...executors.count - 1)].name
        }
        // What one executor alone, a label or a limit may keep waiting for ever has an end of its own.
        if intent.requires != nil || intent.executor != nil || intent.maxCost != nil || setup.hasPolicy {
            intent.deadlineMs = (intent.delayMs ?? 0) + world.random.uniform(15_000...60_000)
        }
        publisher.send(intent, capability: anyCapability(), id: "t\(nextTask)")
        nextTask += 1
    }

    private func drawTimes(_ intent: inout Intent) {
        if world.random.chance(1, of: 4) { intent.timeoutMs = world.random.uniform(500...20_000) }
        if world.random.chance(1, of: 5) { intent.deadlineMs = world.random.uniform(20_000...120_000) }
        if world.random.chance(1, of: 6) { intent.delayMs = world.random.uniform(1...10_000) }
        if world.random.chance(1, of: 4) {
            intent.retry = RetryRule(count: world.random.uniform(0...5), delayMs: world.random.uniform(0...3000))
        }
    }

    // MARK: - Plans

    private func submitPlan(_ publisher: ScriptedPublisher) {
        var intent = Intent()
        let count = world.random.uniform(1...5)
        let isFree = world.random.chance(2, of: 3)
        let number = nextTask
        intent.input = RawJSON { writer in
            writer.object { object in
                object.field("assistant_id", "sim")
                object.field("input") { $0.field("n", number) }
                object.key("steps")
                object.beginArray()
                for index in 0..<count { self.writeStep(&object, index, isFree: isFree) }
                object.endArray()
            }
        }
        if world.random.chance(1, of: 2) { intent.maxCost = world.random.uniform(0...250) }
        if world.random.chance(1, of: 2) || setup.hasPolicy { intent.deadlineMs = world.random.uniform(5_000...90_000) }
        if world.random.chance(1, of: 3) { intent.updates = .all }
        if world.random.chance(1, of: 4) { intent.priority = Priority.allCases[world.random.uniform(0...3)] }
        publisher.send(intent, capability: Names.planCapability, id: "t\(nextTask)")
        nextTask += 1
    }

    private func writeStep(_ writer: inout JSONWriter, _ index: Int, isFree: Bool) {
        let need = index > 0 ? world.random.uniform(0...index - 1) : nil
        let needs: [String] = need.map { ["s\($0)"] } ?? []
        writer.beginObject()
        writer.field("name", "s\(index)")
        writer.field("type", "skill")
        writer.field("capability", anyCapability())
        if isFree { writer.field("needs", needs) }
        if world.random.chance(1, of: 4) { writer.field("on_error", "continue") }
        if world.random.chance(1, of: 4) { writer.field("timeout_ms", world.random.uniform(500...10_000)) }
        if world.random.chance(1, of: 4) {
            let count = world.random.uniform(0...3)
            writer.field("retry") { $0.field("count", count) }
        }
        if let need {
            let step = isFree ? need : index - 1
            writeReferences(&writer, step)
        }
        writer.endObject()
    }

    private func writeReferences(_ writer: inout JSONWriter, _ step: Int) {
        func reference(_ inner: inout JSONWriter, _ text: String) { inner.field("$ref", text) }
        if world.random.chance(1, of: 2) {
            let draw = world.random.uniform(0...2)
            writer.field("arguments") { object in
                object.field("plan") { reference(&$0, "plan.input#/n") }
                if draw == 1 { object.field("before") { reference(&$0, "steps.s\(step).status") } }
                if draw == 2 { object.field("by") { reference(&$0, "steps.s\(step).output#/by") } }
            }
        }
        if world.random.chance(1, of: 4) {
            let operation = world.random.chance(1, of: 2) ? "eq" : "ne"
            writer.field("when") {
                $0.field("ref", "steps.s\(step).status")
                $0.field("op", operation)
                $0.field("value", "success")
            }
        }
    }

    // MARK: - Hostile payloads

    private func garbage(_ publisher: ScriptedPublisher) {
        let payloads: [[UInt8]] = [
            Array("{".utf8), Array("{\"timeout_ms\":-1}".utf8), [0xFF, 0xFE], Array("[[[[".utf8),
            Array("{\"a\":1,\"a\":2}".utf8), [UInt8](repeating: 0x20, count: Limits.payload + 1),
        ]
        history.saw("garbage")
        publisher.send(
            raw: payloads[world.random.uniform(0...payloads.count - 1)], capability: capabilities[0],
            id: "g\(world.random.uniform(0...1_000_000))", retain: world.random.chance(1, of: 4))
    }

    // MARK: - The operator

    func operate() {
        guard !isHealing else { return }
        if nextTask > 0 { command() }
        world.after(world.random.uniform(500...6000)) { [weak self] in self?.operate() }
    }

    /// Some tasks are approved, some denied, and some are left until it is too late.
    func decide(_ principal: String, _ id: String) {
        let draw = world.random.uniform(0...4)
        guard draw < 4 else { return }
        world.after(world.random.uniform(100...15_000)) { [weak self] in
            guard let self else { return }
            var command = DispatcherCommand()
            command.principal = principal
            self.op.send(command, .task, draw < 3 ? "approve" : "deny", id)
        }
    }

    private func command() {
        let executor = executors[world.random.uniform(0...executors.count - 1)].name
        let capability = anyCapability()
        var command = DispatcherCommand()
        switch world.random.uniform(0...13) {
        case 0...4: assign(executor)
        case 5:
            command.now = world.random.chance(1, of: 2)
            op.send(command, .executor, "drain", executor)
            world.after(world.random.uniform(500...8000)) { [weak self] in
                self?.op.send(DispatcherCommand(), .executor, "resume", executor)
            }
        case 6:
            command.forMs = world.random.uniform(500...8000)
            if world.random.chance(1, of: 2) { command.executor = executor }
            op.send(command, .capability, world.random.chance(3, of: 4) ? "pause" : "resume", capability)
        case 7, 8:
            command.forMs = world.random.uniform(500...10_000)
            if world.random.chance(1, of: 2) { command.executor = executor }
            op.send(command, .circuit, ["open", "close", "reset"][world.random.uniform(0...2)], capability)
        case 9, 10: redrive()
        case 11:
            let publisher = publishers[world.random.uniform(0...publishers.count - 1)]
            command.principal = publisher.name
            let id = "t\(world.random.uniform(0...nextTask - 1))"
            op.send(command, .task, world.random.chance(1, of: 2) ? "explain" : "get", id)
        case 12:
            command.principal = "*"
            op.send(command, .task, "list", "l\(world.random.uniform(0...9))")
        default: op.send(command, .executor, "list", "all")
        }
    }

    private func assign(_ executor: String) {
        let publisher = publishers[world.random.uniform(0...publishers.count - 1)]
        let open = publisher.open
        guard !open.isEmpty else { return }
        var command = DispatcherCommand()
        command.principal = publisher.name
        if world.random.chance(1, of: 5) { command.executorIsNull = true } else { command.executor = executor }
        if world.random.chance(1, of: 2) { command.steal = true }
        if world.random.chance(1, of: 4) { command.force = true }
        let id = open[world.random.uniform(0...open.count - 1)]
        op.send(command, .task, "assign", id)
        // Nobody else may take it until this is undone; one that would wait for ever has no end.
        assigned.append((publisher.name, id))
    }

    private func redrive() {
        guard !failed.isEmpty else { return }
        let (principal, id) = failed[world.random.uniform(0...failed.count - 1)]
        var command = DispatcherCommand()
        command.principal = principal
        op.send(command, .task, "redrive", id)
    }
}
