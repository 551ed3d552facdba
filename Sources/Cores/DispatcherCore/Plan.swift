import Contract
import Wire

/// Why a plan is refused (`topics/plans.md`, refusals).
struct PlanRefusal: Error, Hashable, Sendable {
    /// `invalid_field`, `limit_reached` or `invalid_name`.
    var code: Code
    /// One sentence; names the step by its index.
    var message: String
    /// The step.
    var index: Int?

    /// `{"index":…}` for `details`.
    var details: RawJSON? { index.map { index in RawJSON { $0.object { $0.field("index", index) } } } }
}

/// A condition of a step.
struct PlanCondition: Hashable, Sendable {
    /// How it compares.
    enum Operation: String, CaseIterable, Hashable, Sendable {
        /// Equal, not equal, there and not null, greater, less.
        case eq, ne, exists, gt, lt
    }

    /// What is compared.
    var ref: String
    /// How.
    var operation: Operation
    /// With what.
    var value: JSONValue
}

/// One step of a plan.
struct PlanStep: Hashable, Sendable {
    /// Its name, unique in the plan.
    var name: String
    /// `skill` or `tool`.
    var type: String
    /// Its input before references are replaced.
    var arguments: RawJSON
    /// What is run.
    var capability: String
    /// Indexes of the steps it needs, ascending.
    var needs: [Int] = []
    /// When it is run at all.
    var when: PlanCondition?
    /// Whether the plan goes on when it does not succeed.
    var continues = false
    /// `action, timeout_ms, retry, requires, executor, mode, delivery, max_cost, units`.
    var intent = Intent()
}

/// A plan as it was sent (`topics/plans.md`).
struct Plan: Hashable, Sendable {
    /// For the log.
    var assistant: String?
    /// For the log.
    var reasoning: String?
    /// What steps may refer to.
    var input: JSONValue?
    /// In the order in which they were sent.
    var steps: [PlanStep]

    /// Reads and checks the input of the plan with the id `id`.
    init(_ raw: RawJSON?, id: String) throws(PlanRefusal) {
        guard let raw, JSONReader(raw).kind == .object else {
            throw PlanRefusal(code: .invalidField, message: "plan must have an input: an object with steps")
        }
        var reading = PlanReading()
        try reading.read(raw)
        try reading.checkNames(of: id)
        try reading.resolveNeeds()
        (assistant, reasoning, input, steps) = (reading.assistant, reading.reasoning, reading.input, reading.steps)
    }

    /// The id of a step's task.
    static func taskID(_ plan: String, _ step: String) -> String { "\(plan).\(step)" }
}

/// Takes a plan's input apart and checks it.
private struct PlanReading {
    var assistant: String?
    var reasoning: String?
    var input: JSONValue?
    var steps: [PlanStep] = []
    private var needs: [[String]?] = []

    mutating func read(_ raw: RawJSON) throws(PlanRefusal) {
        var found: RawJSON?
        do throws(WireError) {
            var reader = JSONReader(raw)
            try reader.beginObject()
            while let key = reader.nextKey() {
                if reader.takeNull() { continue }
                switch key {
                case "assistant_id": assistant = try reader.string(limit: 256)
                case "reasoning": reasoning = try reader.string(limit: Limits.payload)
                case "input": input = JSONValue(reader.raw())
                case "steps": found = reader.raw()
                default: reader.skip()
                }
            }
        } catch {
            throw PlanRefusal(code: .invalidField, message: error.message)
        }
        try readSteps(found)
    }

    private mutating func readSteps(_ raw: RawJSON?) throws(PlanRefusal) {
        guard let raw, case .array(let list) = JSONValue(raw), !list.isEmpty else {
            throw PlanRefusal(code: .invalidField, message: "plan must have at least one step")
        }
        if list.count > Limits.planSteps {
            throw PlanRefusal(code: .limitReached, message: "plan has more than \(Limits.planSteps) steps")
        }
        for (index, element) in list.enumerated() { try readStep(element.raw, index) }
    }

    private mutating func readStep(_ raw: RawJSON, _ index: Int) throws(PlanRefusal) {
        var step = PlanStep(name: "", type: "", arguments: .emptyObject, capability: "")
        var own: [String]?
        do throws(WireError) {
            var reader = JSONReader(raw)
            try reader.beginObject()
            while let key = reader.nextKey() {
                if key == "arguments", reader.kind != .null {
                    step.arguments = reader.raw()
                } else if reader.takeNull() {
                    continue
                } else if key == "needs" {
                    own = try reader.strings(limit: Limits.key, count: Limits.planSteps)
                } else {
                    try PlanReading.read(key, into: &step, &reader)
                }
            }
        } catch {
            throw PlanRefusal(code: .invalidField, message: "step \(index): \(error.message)", index: index)
        }
        if step.capability.isEmpty { step.capability = step.name }
        try check(step, index)
        needs.append(own)
        steps.append(step)
    }

    private static func read(_ key: String, into step: inout PlanStep, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "name": step.name = try reader.string(limit: Limits.key)
        case "type": step.type = try reader.string(limit: Limits.key)
        case "capability": step.capability = try reader.string(limit: Limits.key)
        case "when": step.when = try condition(&reader)
        case "on_error": step.continues = try reader.word(OnError.self) == .continue
        case "action": step.intent.action = try reader.string(limit: Limits.key)
        case "timeout_ms": step.intent.timeoutMs = try reader.milliseconds()
        case "retry": step.intent.retry = try RetryRule(from: &reader)
        case "requires": step.intent.requires = try reader.strings(limit: Limits.key, count: Limits.labels)
        case "executor": step.intent.executor = try reader.name()
        case "mode": step.intent.mode = try reader.mode()
        case "delivery": step.intent.delivery = try reader.word()
        case "max_cost": step.intent.maxCost = try reader.cost()
        case "units": step.intent.units = try reader.int(in: 0...1_000_000_000)
        default: reader.skip()
        }
    }

    /// What a step's failure means for the plan.
    private enum OnError: String, CaseIterable {
        case stop, `continue`
    }

    private static func condition(_ reader: inout JSONReader) throws(WireError) -> PlanCondition {
        let missing = reader.refused("a condition needs ref, op and, unless op is exists, value")
        var (ref, value): (String?, JSONValue?)
        var operation: PlanCondition.Operation?
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "ref": ref = try reader.string(limit: 1024)
            case "op": operation = try reader.word()
            case "value": value = JSONValue(reader.raw())
            default: reader.skip()
            }
        }
        guard let ref, let operation, value != nil || operation == .exists else { throw missing }
        return PlanCondition(ref: ref, operation: operation, value: value ?? .null)
    }

    private func check(_ step: PlanStep, _ index: Int) throws(PlanRefusal) {
        let fault: String? =
            if step.name.isEmpty {
                "step \(index) has empty name"
            } else if !Names.isName(step.name) {
                "step \(index) has invalid name: \(step.name)"
            } else if step.type != "skill" && step.type != "tool" {
                "step \(index) has invalid type: \(step.type)"
            } else if let other = steps.firstIndex(where: { $0.name == step.name }) {
                "step \(index) has the same name as step \(other): \(step.name)"
            } else if step.capability == Names.planCapability {
                "step \(index) has capability '\(Names.planCapability)': a plan cannot run plans"
            } else if !Names.isName(step.capability) {
                "step \(index) has invalid capability: \(step.capability)"
            } else {
                nil
            }
        if let fault { throw PlanRefusal(code: .invalidField, message: fault, index: index) }
    }

    func checkNames(of id: String) throws(PlanRefusal) {
        for (index, step) in steps.enumerated() where !Names.isID(Plan.taskID(id, step.name)) {
            let text = "step \(index): '\(Plan.taskID(id, step.name))' is longer than \(Names.idLimit) bytes"
            throw PlanRefusal(code: .invalidName, message: text, index: index)
        }
    }

    /// Without any `needs` each step needs the one before it.
    mutating func resolveNeeds() throws(PlanRefusal) {
        guard needs.contains(where: { $0 != nil }) else {
            for index in steps.indices.dropFirst() { steps[index].needs = [index - 1] }
            return
        }
        for index in steps.indices {
            var indexes: Set<Int> = []
            for name in needs[index] ?? [] {
                guard let other = steps.firstIndex(where: { $0.name == name }) else {
                    let text = "step \(index) needs an unknown step: \(name)"
                    throw PlanRefusal(code: .invalidField, message: text, index: index)
                }
                indexes.insert(other)
            }
            steps[index].needs = indexes.sorted()
        }
        if let index = steps.indices.first(where: reachesItself) {
            let text = "step \(index) needs itself in a circle: \(steps[index].name)"
            throw PlanRefusal(code: .invalidField, message: text, index: index)
        }
    }

    private func reachesItself(_ start: Int) -> Bool {
        var open = steps[start].needs
        var seen: Set<Int> = []
        while let next = open.popLast() {
            if next == start { return true }
            if seen.insert(next).inserted { open.append(contentsOf: steps[next].needs) }
        }
        return false
    }
}
