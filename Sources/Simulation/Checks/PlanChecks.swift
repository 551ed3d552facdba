import Contract
import Wire

/// A plan as its intent says, read anew for the checkers.
private struct PlanText {
    struct Step {
        var name: String
        var needs: [Int]
        var goesOn: Bool
        var condition: JSONValue?
        var arguments: JSONValue
    }

    var input: JSONValue?
    var steps: [Step] = []
    var maxCost: Int?

    init?(_ line: JournalLine, _ history: History) {
        guard line.kind == "a", line.capability == Names.planCapability, let intent = history.intent(of: line),
            let plan = intent.input.map({ JSONValue($0) }), case .array(let list)? = plan["steps"]
        else { return nil }
        maxCost = intent.maxCost
        input = plan["input"]
        let names = list.map { $0["name"]?.stringValue ?? "" }
        let isFree = list.contains { $0["needs"] != nil }
        for (index, step) in list.enumerated() {
            var needs: [Int] = index > 0 && !isFree ? [index - 1] : []
            if case .array(let own)? = step["needs"] {
                needs = own.compactMap { need in names.firstIndex { $0 == need.stringValue } }
            }
            steps.append(
                Step(
                    name: names[index], needs: needs, goesOn: step["on_error"]?.stringValue == "continue",
                    condition: step["when"], arguments: step["arguments"] ?? .object([])))
        }
    }
}

/// How far a plan is, from the journal alone.
private struct PlanProgress {
    var text: PlanText
    var numbers: [Int: Int] = [:]
    var statuses: [Int: String] = [:]
    var outputs: [Int: JSONValue] = [:]
    var isEnded = false

    func isMet(_ need: Int) -> Bool {
        guard let status = statuses[need] else { return false }
        return status == "success" || status == "skipped" || text.steps[need].goesOn
    }

    func value(of reference: String) -> JSONValue? {
        let parts = reference.split(separator: "#", maxSplits: 1)
        let pointer = parts.count > 1 ? String(parts[1]) : ""
        if parts[0] == "plan.input" { return text.input?.at(pointer: pointer) }
        let words = parts[0].split(separator: ".")
        guard words.count == 3, let step = text.steps.firstIndex(where: { $0.name == words[1] }),
            let status = statuses[step]
        else { return nil }
        if words[2] == "status" { return .string(status) }
        return (outputs[step] ?? .null).at(pointer: pointer)
    }

    func resolved(_ value: JSONValue) -> JSONValue? {
        switch value {
        case .object(let fields):
            if fields.count == 1, fields[0].key == "$ref", let text = fields[0].value.stringValue {
                return self.value(of: text)
            }
            var own: [JSONValue.Field] = []
            for field in fields {
                guard let value = resolved(field.value) else { return nil }
                own.append(JSONValue.Field(field.key, value))
            }
            return .object(own)
        case .array(let list):
            let own = list.compactMap(resolved)
            return own.count == list.count ? .array(own) : nil
        default: return value
        }
    }

    /// Whether a step's condition holds; only those of the runs' own plans: `eq` and `ne` of a status.
    func holds(_ condition: JSONValue) -> Bool {
        let found = condition["ref"]?.stringValue.flatMap(value)?.stringValue
        let isEqual = found == condition["value"]?.stringValue
        return condition["op"]?.stringValue == "ne" ? !isEqual : isEqual
    }
}

/// I25: a step starts only with its needs met and its condition true; its input is the arguments with their references
/// replaced; a plan ends once, after its steps.
func checkI25(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var plans: [Int: PlanProgress] = [:]
    var steps: [Int: (plan: Int, index: Int)] = [:]
    var started: Set<Int> = []
    var inputs: [History.Key: [UInt8]] = [:]
    for grant in history.grants where inputs[grant.key] == nil {
        inputs[grant.key] = (grant.assignment.input ?? .emptyObject).canonical
    }
    let keys = history.keys
    for entry in history.lines {
        let line = entry.line
        if let text = PlanText(line, history) { plans[line.number] = PlanProgress(text: text) }
        if line.kind == "a", let plan = line.plan {
            steps[line.number] = (plan, line.step)
            plans[plan]?.numbers[line.step] = line.number
        }
        if line.kind == "e", let plan = plans[line.number] {
            let live = plan.numbers.keys.sorted().filter { plan.statuses[$0] == nil }
            if !live.isEmpty { breaches.append(Breach(entry.time, "plan \(line.number) ended before steps \(live)")) }
            if plan.isEnded { breaches.append(Breach(entry.time, "plan \(line.number) ended twice")) }
            plans[line.number]?.isEnded = true
        }
        guard let (number, index) = steps[line.number], let plan = plans[number] else { continue }
        if line.kind == "e" {
            plans[number]?.statuses[index] = line.code == "skipped" ? "skipped" : line.state
            plans[number]?.outputs[index] = line.result.flatMap { JSONValue($0)["output"] }
        }
        guard line.kind == "t", line.lease != nil, started.insert(line.number).inserted else { continue }
        let step = plan.text.steps[index]
        let name = keys[line.number]?.id ?? ""
        if let open = step.needs.first(where: { !plan.isMet($0) }) {
            breaches.append(Breach(entry.time, "\(name) started before step \(open)"))
        } else if let condition = step.condition, !plan.holds(condition) {
            breaches.append(Breach(entry.time, "\(name) started though its condition does not hold"))
        } else if let key = keys[line.number], let input = inputs[key],
            plan.resolved(step.arguments)?.raw.canonical != input
        {
            breaches.append(Breach(entry.time, "\(name) got another input than its references give"))
        }
    }
    return breaches
}

/// I26: no step starts once its plan has spent, or may spend, more than `max_cost`, or after the plan's deadline.
func checkI26(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var most: [Int: Int] = [:]
    var deadlines: [Int: Int] = [:]
    var plans: [Int: Int] = [:]
    var spent: [Int: Int] = [:]
    var leases: [Int: JournalLine.Lease] = [:]
    let keys = history.keys
    for entry in history.lines {
        let line = entry.line
        if line.kind == "a" {
            if line.capability == Names.planCapability {
                most[line.number] = PlanText(line, history)?.maxCost
                deadlines[line.number] = line.deadlineAt
            }
            plans[line.number] = line.plan
        }
        guard line.kind == "t" || line.kind == "e", let plan = plans[line.number] else { continue }
        spent[line.number] = line.spent ?? spent[line.number]
        let old = leases[line.number]
        leases[line.number] = line.lease
        guard let lease = line.lease, lease.epoch != old?.epoch else { continue }
        let name = keys[line.number]?.id ?? ""
        if let deadline = deadlines[plan], lease.grantedAt > deadline, !history.clockWasSet {
            breaches.append(Breach(entry.time, "\(name) started after the plan's deadline"))
        }
        guard let most = most[plan] else { continue }
        let numbers = plans.filter { $0.value == plan }.keys
        let total = numbers.reduce(0) { $0 + (spent[$1] ?? 0) + (leases[$1]?.estimate ?? 0) }
        if total > most {
            breaches.append(Breach(entry.time, "\(name) started with \(total) spent or running of \(most)"))
        }
    }
    return breaches
}
