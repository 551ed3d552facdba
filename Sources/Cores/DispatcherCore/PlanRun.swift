import Contract
import Determinism
import Wire

/// How a step of a plan ended.
struct StepEnd: Hashable, Sendable {
    /// The word of a step that was not run because its condition did not hold.
    static let skipped = "skipped"

    /// Which step.
    var index: Int
    /// One of the five statuses, or `skipped`.
    var status: String
    /// What came of it.
    var output: RawJSON?
    /// Why it is not `success`.
    var error: ErrorBody?
    /// How long it took.
    var durationMs = 0

    /// Whether it counts as done without the word of `on_error`.
    var isGood: Bool { status == Status.success.rawValue || status == StepEnd.skipped }
}

/// How far a plan is (`topics/plans.md`, order and end): a pure function of the steps that have ended.
struct PlanRun: Hashable, Sendable {
    /// What is to be done.
    let plan: Plan
    /// Steps that have ended, in the order of their ends.
    private(set) var ended: [StepEnd] = []
    private var positions: [Int: Int] = [:]

    /// A plan of which nothing has ended.
    init(_ plan: Plan) { self.plan = plan }

    /// How a step ended.
    func end(of index: Int) -> StepEnd? { positions[index].map { ended[$0] } }

    /// Notes an end; a second one of the same step changes nothing.
    mutating func note(_ end: StepEnd) {
        guard positions[end.index] == nil else { return }
        positions[end.index] = ended.count
        ended.append(end)
    }

    /// Whether a step's needs are met: those steps were good, or ended in any way with `continue`.
    func isReady(_ index: Int) -> Bool {
        plan.steps[index].needs.allSatisfy { need in
            end(of: need).map { $0.isGood || plan.steps[need].continues } ?? false
        }
    }

    /// Steps that have not ended and whose needs are met, ascending; those that run already are among them.
    var ready: [Int] { plan.steps.indices.filter { positions[$0] == nil && isReady($0) } }

    /// Whether all steps have ended.
    var isComplete: Bool { ended.count == plan.steps.count }

    /// The first end that stops the plan.
    var stopper: StepEnd? { ended.first { !$0.isGood && !plan.steps[$0.index].continues } }

    /// The plan's error when `end` stops it.
    func error(of end: StepEnd) -> ErrorBody {
        let name = plan.steps[end.index].name
        let why = end.error?.message ?? end.error?.code.rawValue ?? end.status
        let details = RawJSON { writer in
            writer.object {
                $0.field("step", name)
                $0.field("index", end.index)
            }
        }
        let message = "step \"\(name)\" (index \(end.index)): \(why)"
        return ErrorBody(end.error?.code ?? .internal, message, details: details)
    }

    /// `{"steps":[…]}`, at most `limit` bytes: outputs give way, the largest first, then details and long texts.
    func output(limit: Int = Limits.payload - Limits.envelope) -> RawJSON {
        var omitted: Set<Int> = []
        let sizes = ended.map { $0.output?.bytes.count ?? 0 }
        let bySize = ended.indices.filter { sizes[$0] > 24 }.sorted { (sizes[$1], $0) < (sizes[$0], $1) }
        var result = document(omitted, short: false)
        var total = result.bytes.count
        for index in bySize where total > limit {
            omitted.insert(index)
            total -= sizes[index] - 24
        }
        if !omitted.isEmpty { result = document(omitted, short: false) }
        return result.bytes.count > limit ? document(Set(ended.indices), short: true) : result
    }

    private func document(_ omitted: Set<Int>, short: Bool) -> RawJSON {
        RawJSON { writer in
            writer.object { object in
                object.key("steps")
                object.beginArray()
                for (index, end) in ended.enumerated() {
                    write(end, omitted: omitted.contains(index), short: short, to: &object)
                }
                object.endArray()
            }
        }
    }

    private func write(_ end: StepEnd, omitted: Bool, short: Bool, to writer: inout JSONWriter) {
        let step = plan.steps[end.index]
        writer.object {
            $0.field("step_name", step.name)
            $0.field("type", step.type)
            $0.field("status", end.status)
            if end.output != nil, omitted { $0.field("output_omitted", true) } else { $0.field("output", end.output) }
            $0.field("error", short ? end.error.map(PlanRun.shortened) : end.error)
            $0.field("duration_ms", end.durationMs)
        }
    }

    private static func shortened(_ error: ErrorBody) -> ErrorBody {
        ErrorBody(error.code, error.message.map { String($0.prefix(200)) }, errorClass: error.errorClass)
    }
}

/// A reference to what is already there (`topics/plans.md`, references).
enum PlanReference: Hashable, Sendable {
    /// `steps.NAME.output#/pointer`.
    case output(step: String, pointer: String)
    /// `steps.NAME.status`.
    case status(step: String)
    /// `plan.input#/pointer`.
    case input(pointer: String)

    /// Reads a reference; `nil` when it is none.
    init?(_ text: String) {
        let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        guard let path = parts.first else { return nil }
        let pointer = parts.count > 1 ? String(parts[1]) : ""
        guard pointer.isEmpty || pointer.hasPrefix("/") else { return nil }
        if path == "plan.input" {
            self = .input(pointer: pointer)
        } else if path.hasPrefix("steps."), path.hasSuffix(".output"), path.utf8.count > 13 {
            self = .output(step: String(path.dropFirst(6).dropLast(7)), pointer: pointer)
        } else if path.hasPrefix("steps."), path.hasSuffix(".status"), path.utf8.count > 13, parts.count == 1 {
            self = .status(step: String(path.dropFirst(6).dropLast(7)))
        } else {
            return nil
        }
    }
}

extension PlanRun {
    /// What a reference gives; `nil` when nothing is there.
    func value(of text: String) -> JSONValue? {
        guard let reference = PlanReference(text) else { return nil }
        switch reference {
        case .input(let pointer): return plan.input?.at(pointer: pointer)
        case .status(let name): return end(named: name).map { .string($0.status) }
        case .output(let name, let pointer):
            guard let end = end(named: name) else { return nil }
            if end.status == StepEnd.skipped { return JSONValue.null.at(pointer: pointer) }
            return end.output.flatMap { JSONValue($0).at(pointer: pointer) }
        }
    }

    private func end(named name: String) -> StepEnd? {
        plan.steps.firstIndex { $0.name == name }.flatMap(end)
    }

    /// The input of a step with its references replaced. Throws the reference that gives nothing.
    func arguments(of index: Int) throws(PlanRefusal) -> RawJSON {
        let raw = plan.steps[index].arguments
        let tree = JSONValue(raw)
        guard PlanRun.refers(tree) else { return raw }
        return try resolve(tree, index).raw
    }

    /// Whether a step is to be run; without a condition it is.
    func shouldRun(_ index: Int) -> Bool {
        guard let condition = plan.steps[index].when else { return true }
        let found = value(of: condition.ref).flatMap { $0 == .null ? nil : $0 }
        switch condition.operation {
        case .exists: return found != nil
        case .eq: return Schema.equal(found ?? .null, condition.value)
        case .ne: return !Schema.equal(found ?? .null, condition.value)
        case .gt: return found.map { Schema.isLess(condition.value, $0) } ?? false
        case .lt: return found.map { Schema.isLess($0, condition.value) } ?? false
        }
    }

    /// The text of `{"$ref": text}`.
    private static func reference(_ value: JSONValue) -> String? {
        guard case .object(let fields) = value, fields.count == 1, fields[0].key == "$ref" else { return nil }
        return fields[0].value.stringValue
    }

    private static func refers(_ value: JSONValue) -> Bool {
        if reference(value) != nil { return true }
        switch value {
        case .array(let list): return list.contains(where: refers)
        case .object(let fields): return fields.contains { refers($0.value) }
        default: return false
        }
    }

    private func resolve(_ value: JSONValue, _ index: Int) throws(PlanRefusal) -> JSONValue {
        if let text = PlanRun.reference(value) {
            if let found = self.value(of: text) { return found }
            throw PlanRefusal(code: .invalidField, message: "reference '\(text)' gives nothing", index: index)
        }
        switch value {
        case .array(let list):
            var resolved: [JSONValue] = []
            for element in list { resolved.append(try resolve(element, index)) }
            return .array(resolved)
        case .object(let fields):
            var resolved: [JSONValue.Field] = []
            for field in fields { resolved.append(JSONValue.Field(field.key, try resolve(field.value, index))) }
            return .object(resolved)
        default: return value
        }
    }
}
