/// The variables that a custom condition may read (`topics/schedules.md`).
public enum ConditionVariable: String, Hashable, Sendable, CaseIterable {
    /// Parts of the local date and time of the judged instant; `weekday` 0 is Sunday.
    case year, month, day, hour, minute, weekday
    /// The local date, `2026-11-20`, and time, `09:30`.
    case date, time
    /// Now, the slot, and their distance, in ms.
    case now = "now_ms"
    case slot = "slot_ms"
    case lateness = "lateness_ms"
    /// Counters of the schedule.
    case runCount = "run_count"
    case liveRuns = "live_runs"
    case failures
    /// Since the start of the last run, in ms; null before the first.
    case sinceLast = "since_last_ms"
    /// Status of the last run, and the verdict on the target; null when there is none.
    case lastStatus = "last_status"
    case agentStatus = "agent_status"
    /// Whether the run was deferred; whether the target's status is `online`.
    case deferred
    case sessionActive = "session_active"
    /// Names.
    case environment
    case workspace = "workspace_id"
    case agent = "agent_id"
    case schedule = "schedule_id"

    /// Its type, and whether it may be null.
    var type: ConditionType {
        switch self {
        case .date, .time, .environment, .workspace, .agent, .schedule: .string
        case .lastStatus, .agentStatus: ConditionType(base: .string, isNullable: true)
        case .sinceLast: ConditionType(base: .int, isNullable: true)
        case .deferred, .sessionActive: .bool
        default: .int
        }
    }
}

/// A value of a custom condition.
public enum ConditionValue: Hashable, Sendable {
    /// True or false.
    case bool(Bool)
    /// 64 bits; overflow is an error.
    case int(Int)
    /// Text, ordered by its bytes.
    case string(String)
    /// Nothing.
    case null
}

extension ConditionValue {
    /// Equal as `==` of an expression sees it: texts by their bytes.
    func isSame(_ other: ConditionValue) -> Bool {
        if case .string(let x) = self, case .string(let y) = other { return x.utf8.elementsEqual(y.utf8) }
        return self == other
    }
}

/// The static type of an expression.
struct ConditionType: Hashable {
    enum Base: String { case bool, int, string, null }
    var base: Base
    var isNullable = false

    static let bool = ConditionType(base: .bool)
    static let int = ConditionType(base: .int)
    static let string = ConditionType(base: .string)
    static let null = ConditionType(base: .null, isNullable: true)
}

/// Why a custom condition was refused.
public struct ConditionError: Error, Hashable, Sendable {
    /// Byte of the text at which the fault was found.
    public var offset: Int
    /// One sentence.
    public var reason: String
}

/// What went wrong while a condition was evaluated: the slot is skipped as `condition:custom_error`.
public enum ConditionFault: Error, Hashable, Sendable {
    /// A result outside 64 bits.
    case overflow
    /// `/` or `%` by zero.
    case divisionByZero
    /// Null in arithmetic, order or a function.
    case null
}

/// A yes-or-no expression over the state of a schedule: no loop, no side effect, so it always ends.
public struct CustomCondition: Hashable, Sendable {
    /// The text as it was given.
    public let text: String
    let root: ConditionNode

    /// Longest text in bytes; most nodes; deepest nesting.
    public static let longestText = 512
    static let mostNodes = 64
    static let deepestNesting = 16

    /// Reads and type-checks an expression; the whole must be true or false.
    public init(_ text: String) throws(ConditionError) {
        let bytes = Array(text.utf8)
        guard bytes.count <= CustomCondition.longestText else {
            throw ConditionError(offset: CustomCondition.longestText, reason: "longer than 512 bytes")
        }
        var parser = ConditionParser(bytes)
        let parsed = try parser.whole()
        guard parsed.type == .bool else {
            throw ConditionError(offset: 0, reason: "the condition must be true or false, not \(parsed.type.base)")
        }
        self.text = text
        root = parsed.node
    }

    /// Whether it holds; `value` gives each variable.
    public func holds(_ value: (ConditionVariable) -> ConditionValue) throws(ConditionFault) -> Bool {
        try root.evaluate(value) == .bool(true)
    }
}

/// A node of the tree.
indirect enum ConditionNode: Hashable, Sendable {
    enum Comparison: Hashable, Sendable { case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual }
    enum Arithmetic: Hashable, Sendable { case add, subtract, multiply, divide, remainder }
    enum Function: String, Hashable, Sendable, CaseIterable {
        case contains
        case startsWith = "starts_with"
        case endsWith = "ends_with"
        case min, max
    }

    case literal(ConditionValue)
    case variable(ConditionVariable)
    case or(ConditionNode, ConditionNode)
    case and(ConditionNode, ConditionNode)
    case not(ConditionNode)
    case negate(ConditionNode)
    case compare(Comparison, ConditionNode, ConditionNode)
    case member(ConditionNode, [ConditionValue])
    case arithmetic(Arithmetic, ConditionNode, ConditionNode)
    case call(Function, ConditionNode, ConditionNode)

    /// The value under the given variables; `&&` and `||` stop as soon as they know.
    func evaluate(_ value: (ConditionVariable) -> ConditionValue) throws(ConditionFault) -> ConditionValue {
        switch self {
        case .literal(let literal): return literal
        case .variable(let variable): return value(variable)
        case .or(let a, let b):
            if try a.truth(value) { return .bool(true) }
            return .bool(try b.truth(value))
        case .and(let a, let b):
            guard try a.truth(value) else { return .bool(false) }
            return .bool(try b.truth(value))
        case .not(let a): return .bool(try !a.truth(value))
        case .negate(let a):
            let (result, overflow) = 0.subtractingReportingOverflow(try a.number(value))
            if overflow { throw .overflow }
            return .int(result)
        case .compare(let comparison, let a, let b):
            return .bool(try ConditionNode.compare(comparison, a.evaluate(value), b.evaluate(value)))
        case .member(let a, let list):
            let found = try a.evaluate(value)
            return .bool(list.contains { $0.isSame(found) })
        case .arithmetic(let operation, let a, let b):
            return .int(try ConditionNode.compute(operation, a.number(value), b.number(value)))
        case .call(let function, let a, let b):
            return try ConditionNode.call(function, a.evaluate(value), b.evaluate(value))
        }
    }

    private func truth(_ value: (ConditionVariable) -> ConditionValue) throws(ConditionFault) -> Bool {
        guard case .bool(let flag) = try evaluate(value) else { throw .null }
        return flag
    }

    private func number(_ value: (ConditionVariable) -> ConditionValue) throws(ConditionFault) -> Int {
        guard case .int(let number) = try evaluate(value) else { throw .null }
        return number
    }

    private static func compare(
        _ comparison: Comparison, _ a: ConditionValue, _ b: ConditionValue
    ) throws(ConditionFault) -> Bool {
        switch comparison {
        case .equal: return a.isSame(b)
        case .notEqual: return !a.isSame(b)
        default: break
        }
        let order: (less: Bool, equal: Bool)
        switch (a, b) {
        case (.int(let x), .int(let y)): order = (x < y, x == y)
        case (.string(let x), .string(let y)):
            let less = x.utf8.lexicographicallyPrecedes(y.utf8)
            order = (less, x.utf8.elementsEqual(y.utf8))
        default: throw .null
        }
        switch comparison {
        case .less: return order.less
        case .lessOrEqual: return order.less || order.equal
        case .greater: return !order.less && !order.equal
        default: return !order.less
        }
    }

    private static func compute(_ operation: Arithmetic, _ a: Int, _ b: Int) throws(ConditionFault) -> Int {
        let result: (partialValue: Int, overflow: Bool)
        switch operation {
        case .add: result = a.addingReportingOverflow(b)
        case .subtract: result = a.subtractingReportingOverflow(b)
        case .multiply: result = a.multipliedReportingOverflow(by: b)
        case .divide, .remainder:
            if b == 0 { throw .divisionByZero }
            result =
                operation == .divide ? a.dividedReportingOverflow(by: b) : a.remainderReportingOverflow(dividingBy: b)
        }
        if result.overflow { throw .overflow }
        return result.partialValue
    }

    private static func call(
        _ function: Function, _ a: ConditionValue, _ b: ConditionValue
    ) throws(ConditionFault) -> ConditionValue {
        switch (a, b) {
        case (.int(let x), .int(let y)): return .int(function == .min ? Swift.min(x, y) : Swift.max(x, y))
        case (.string(let x), .string(let y)):
            let text = Array(x.utf8)
            let part = Array(y.utf8)
            switch function {
            case .startsWith: return .bool(text.starts(with: part))
            case .endsWith: return .bool(text.suffix(part.count).elementsEqual(part))
            default: return .bool(occurs(part, in: text))
            }
        default: throw .null
        }
    }

    private static func occurs(_ part: [UInt8], in text: [UInt8]) -> Bool {
        guard part.count <= text.count else { return false }
        for start in 0...text.count - part.count where text[start..<start + part.count].elementsEqual(part) {
            return true
        }
        return false
    }
}
