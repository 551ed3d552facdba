import Contract
import TimeModel
import Wire

/// What a rule does (`topics/tasks.md`, policy).
enum PolicyEffect: String, CaseIterable, Hashable, Sendable, Comparable {
    /// Refuses; among rules of equal priority it is looked at first.
    case deny
    /// Has a person decide; for intents only.
    case requireApproval = "require_approval"
    /// Lets through.
    case allow

    /// In the order in which rules of equal priority are looked at.
    static func < (a: PolicyEffect, b: PolicyEffect) -> Bool { a.rank < b.rank }

    private var rank: Int { self == .deny ? 0 : self == .requireApproval ? 1 : 2 }
}

/// One rule.
struct PolicyRule: Hashable, Sendable {
    /// What names it, unique in its workspace.
    var id = ""
    /// The highest is looked at first.
    var priority = 0
    /// What it does.
    var effect = PolicyEffect.deny
    /// Patterns of principals; empty: all.
    var principals: [String] = []
    /// Patterns of `execute` and `noun.verb`; empty: all.
    var verbs: [String] = []
    /// Patterns of capabilities; empty: all.
    var capabilities: [String] = []
    /// Only own tasks, or only those of others; absent: both.
    var own: Bool?
    /// From this time of day in UTC, in ms; absent: from midnight.
    var after: Int?
    /// Before this time of day in UTC, in ms; absent: to midnight.
    var before: Int?

    /// Whether it is about a question.
    func applies(to question: PolicyQuestion) -> Bool {
        if effect == .requireApproval, question.verb != PolicyQuestion.execute { return false }
        if let own, own != question.isOwn { return false }
        return Policy.matches(question.principal, principals) && Policy.matches(question.verb, verbs)
            && Policy.matches(question.capability, capabilities) && holds(at: question.at)
    }

    /// What it is about, for people: what it leaves open is not named.
    var about: String {
        var parts: [String] = []
        for (word, patterns) in [("principals", principals), ("verbs", verbs), ("capabilities", capabilities)]
        where !patterns.isEmpty {
            let shown = patterns.prefix(8).joined(separator: ", ")
            parts.append("\(word) \(shown)\(patterns.count > 8 ? " and \(patterns.count - 8) more" : "")")
        }
        if let own { parts.append(own ? "own tasks" : "tasks of others") }
        if after != nil || before != nil {
            parts.append("from \(PolicyRule.text(after ?? 0)) to \(PolicyRule.text(before ?? Policy.day)) UTC")
        }
        return parts.isEmpty ? "everything" : parts.joined(separator: "; ")
    }

    /// A time of day as `18:00`.
    private static func text(_ moment: Int) -> String {
        let minutes = moment / 60_000
        return "\(minutes / 600)\(minutes / 60 % 10):\(minutes % 60 / 10)\(minutes % 10)"
    }

    /// Whether its time of day includes a moment; it may pass midnight.
    func holds(at time: WallTime) -> Bool {
        guard after != nil || before != nil else { return true }
        let rest = time.milliseconds % Policy.day
        let moment = rest < 0 ? rest + Policy.day : rest
        let (from, to) = (after ?? 0, before ?? Policy.day)
        return from < to ? from <= moment && moment < to : from <= moment || moment < to
    }
}

/// Who wants to do what.
struct PolicyQuestion: Hashable, Sendable {
    /// The verb of an intent.
    static let execute = "execute"

    /// The workspace.
    var workspace: String
    /// For an intent the owner, for a command its sender.
    var principal: String
    /// `execute` or `noun.verb`.
    var verb: String
    /// Of the intent, or of the task or capability a command is about.
    var capability: String?
    /// For commands about a task: whether it is the sender's own. An intent is its owner's own.
    var isOwn: Bool?
    /// When.
    var at: WallTime
}

/// The answer, and the rule that gave it; none where no rule fits.
struct PolicyAnswer: Hashable, Sendable {
    /// What is to be done.
    var effect: PolicyEffect
    /// The rule.
    var rule: String?
}

/// The rules of all workspaces (`topics/tasks.md`, policy): a set is taken as a whole or not at all.
struct Policy: Hashable, Sendable {
    /// ms of a day.
    static let day = 86_400_000
    /// Rules of one workspace, at most.
    static let ruleLimit = 1000
    /// Patterns in one list of a rule, at most.
    static let patternLimit = 1000

    /// By workspace, in the order in which they are looked at.
    private(set) var rules: [String: [PolicyRule]] = [:]

    /// No rules: all is allowed.
    init() {}

    /// What the rules say. A workspace without rules allows all; with rules, what none fits is denied.
    func answer(_ question: PolicyQuestion) -> PolicyAnswer {
        guard let own = rules[question.workspace], !own.isEmpty else { return PolicyAnswer(effect: .allow) }
        guard let rule = own.first(where: { $0.applies(to: question) }) else { return PolicyAnswer(effect: .deny) }
        return PolicyAnswer(effect: rule.effect, rule: rule.id)
    }

    /// A rule of a workspace by its id.
    func rule(_ id: String?, of workspace: String) -> PolicyRule? { rules[workspace]?.first { $0.id == id } }

    /// Why no rule of a workspace decided.
    func silence(of workspace: String) -> String {
        rules[workspace]?.isEmpty ?? true ? "the workspace has no rules" : "no rule of the workspace fits"
    }

    /// Whether one of the patterns fits; `*` is all or ends a pattern, no patterns are all.
    static func matches(_ text: String?, _ patterns: [String]) -> Bool {
        patterns.isEmpty
            || patterns.contains { pattern in
                guard pattern.hasSuffix("*") else { return pattern == text }
                return pattern == "*" || text?.hasPrefix(pattern.dropLast()) ?? false
            }
    }
}

/// What is wrong with a set of rules: all of it at once.
struct PolicyRefusal: Error, Hashable, Sendable {
    /// One sentence each, with the place.
    var problems: [String]
}

extension Policy {
    /// Reads `{workspace: [rule, …]}`. Throws all that is wrong; the caller keeps the set it has.
    init(_ raw: RawJSON?) throws(PolicyRefusal) {
        guard let raw else { return }
        var reading = PolicyReading()
        guard case .object(let workspaces) = JSONValue(raw) else {
            throw PolicyRefusal(problems: ["policy: expected an object of workspaces"])
        }
        for field in workspaces { rules[field.key] = reading.rules(field.value, of: field.key) }
        if !reading.problems.isEmpty { throw PolicyRefusal(problems: reading.problems) }
    }
}

/// Collects the rules and all that is wrong with them.
private struct PolicyReading {
    var problems: [String] = []

    mutating func rules(_ value: JSONValue, of workspace: String) -> [PolicyRule] {
        let place = "policy.\(workspace)"
        if !Names.isName(workspace) { problems.append("\(place): '\(workspace)' is not a workspace's name") }
        guard case .array(let list) = value else {
            problems.append("\(place): expected a list of rules")
            return []
        }
        if list.count > Policy.ruleLimit { problems.append("\(place): more than \(Policy.ruleLimit) rules") }
        var rules: [PolicyRule] = []
        var seen: [String: Int] = [:]
        for (index, element) in list.prefix(Policy.ruleLimit).enumerated() {
            let rule = rule(element, at: "\(place)[\(index)]")
            if !rule.id.isEmpty, let first = seen.updateValue(index, forKey: rule.id) {
                problems.append("\(place)[\(index)].id: '\(rule.id)' is the id of rule \(first) too")
            }
            rules.append(rule)
        }
        return rules.enumerated().sorted { a, b in
            (-a.element.priority, a.element.effect, a.offset) < (-b.element.priority, b.element.effect, b.offset)
        }.map(\.element)
    }

    private mutating func rule(_ value: JSONValue, at place: String) -> PolicyRule {
        var rule = PolicyRule()
        guard case .object(let fields) = value else {
            problems.append("\(place): expected a rule: an object")
            return rule
        }
        for field in fields where field.value != .null { read(field, into: &rule, at: "\(place).\(field.key)") }
        if rule.id.isEmpty { problems.append("\(place).id: a rule needs an id") }
        if value["effect"] == nil { problems.append("\(place).effect: a rule needs an effect") }
        if rule.after != nil, rule.after == rule.before {
            problems.append("\(place): after and before are the same")
        }
        if rule.effect == .requireApproval, !Policy.matches(PolicyQuestion.execute, rule.verbs) {
            problems.append("\(place).verbs: require_approval is for 'execute' only")
        }
        return rule
    }

    private mutating func read(_ field: JSONValue.Field, into rule: inout PolicyRule, at place: String) {
        switch field.key {
        case "id": rule.id = text(field.value, at: place) ?? ""
        case "priority":
            guard let number = field.value.intValue, abs(number) <= 1_000_000 else {
                return problems.append("\(place): expected an integer within a million")
            }
            rule.priority = number
        case "effect":
            guard let effect = field.value.stringValue.flatMap(PolicyEffect.init) else {
                return problems.append("\(place): must be one of allow, deny, require_approval")
            }
            rule.effect = effect
        case "principals": rule.principals = patterns(field.value, at: place)
        case "verbs": rule.verbs = verbs(field.value, at: place)
        case "capabilities": rule.capabilities = patterns(field.value, at: place)
        case "own":
            guard case .bool(let flag) = field.value else { return problems.append("\(place): expected true or false") }
            rule.own = flag
        case "after": rule.after = timeOfDay(field.value, at: place)
        case "before": rule.before = timeOfDay(field.value, at: place)
        default: problems.append("\(place): a rule has no such field")
        }
    }

    private mutating func text(_ value: JSONValue, at place: String) -> String? {
        if let text = value.stringValue, !text.isEmpty, text.utf8.count <= Limits.key { return text }
        problems.append("\(place): expected a text of 1 to \(Limits.key) bytes")
        return nil
    }

    private mutating func patterns(_ value: JSONValue, at place: String) -> [String] {
        guard case .array(let list) = value, (1...Policy.patternLimit).contains(list.count) else {
            problems.append("\(place): expected a list of 1 to \(Policy.patternLimit) patterns")
            return []
        }
        var patterns: [String] = []
        for (index, element) in list.enumerated() {
            guard let pattern = text(element, at: "\(place)[\(index)]") else { continue }
            if pattern.dropLast().contains("*") {
                problems.append("\(place)[\(index)]: '*' may only end a pattern")
            }
            patterns.append(pattern)
        }
        return patterns
    }

    private mutating func verbs(_ value: JSONValue, at place: String) -> [String] {
        let patterns = patterns(value, at: place)
        for pattern in patterns where !PolicyReading.known.contains(where: { Policy.matches($0, [pattern]) }) {
            problems.append("\(place): '\(pattern)' is neither 'execute' nor a 'noun.verb' of a command")
        }
        return patterns
    }

    /// All verbs there are.
    private static let known =
        [PolicyQuestion.execute] + Noun.allCases.flatMap { noun in noun.verbs.map { "\(noun.rawValue).\($0)" } }

    /// `hh:mm`, `24:00` included.
    private mutating func timeOfDay(_ value: JSONValue, at place: String) -> Int? {
        let bytes = Array((value.stringValue ?? "").utf8)
        func number(_ from: Int) -> Int? {
            let digits = bytes[from..<from + 2]
            guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            return digits.reduce(0) { $0 * 10 + Int($1) - 0x30 }
        }
        if bytes.count == 5, bytes[2] == UInt8(ascii: ":"), let hour = number(0), let minute = number(3),
            minute < 60, hour < 24 || (hour == 24 && minute == 0)
        {
            return (hour * 60 + minute) * 60_000
        }
        problems.append("\(place): expected a time of day such as 18:00")
        return nil
    }
}
