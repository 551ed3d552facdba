import Contract
import TimeModel
import Wire

/// Why a task is not running, for people (`topics/tasks.md`, why a task waits).
struct ExplainText {
    private let text: TaskText
    private let terminal: Terminal
    private let now: WallTime

    /// Texts for a terminal at a moment.
    init(_ terminal: Terminal, _ now: WallTime) {
        self.terminal = terminal
        self.now = now
        text = TaskText(terminal, now)
    }

    /// Codes that say something of the task itself, not of executors.
    static let ownCodes = [
        "turn", "settling", "paused", "push_wait", "delay", "retry_delay", "needs", "awaiting_approval",
    ]

    /// More candidates than this are counted by code before they are listed.
    static let listed = 8

    /// The whole explanation.
    func lines(task: JSONValue, why: JSONValue) -> [String] {
        let state = TaskText.field(task, "state")
        let code = TaskText.field(why, "code")
        guard TaskState(rawValue: state)?.isTerminal != true else { return text.whole(task) }
        var lines = [head(task, why, state)]
        lines.append(sentence(code, state, why))
        let candidates = ExplainText.candidates(why)
        lines += candidateLines(candidates, why)
        let capability = TaskText.field(task, "capability")
        if state == "queued" || state == "delayed" || state == "blocked" || state == "awaiting_approval" {
            lines.append(contentsOf: runsWhen(code, candidates, capability, why))
        }
        if let deadline = text.time(why, "deadline_at") {
            lines.append("Ends anyway  \(deadline) as timeout (expired).")
        }
        let tries = tries(code, candidates, capability, TaskText.field(task, "task"))
        for (index, line) in tries.enumerated() { lines.append((index == 0 ? "Try" : "").padded(to: 13) + line) }
        return lines
    }

    /// The candidates of an explanation or of `can_execute`.
    static func candidates(_ why: JSONValue) -> [JSONValue] {
        for key in ["candidates", "executors"] {
            if case .array(let list)? = why[key] { return list }
        }
        return []
    }

    private func head(_ task: JSONValue, _ why: JSONValue, _ state: String) -> String {
        var words = [TaskText.field(task, "task"), TaskText.field(task, "capability")]
        let since = why["since"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
        words.append(terminal.paintState(state) + (since.map { " \(Durations.text(max(0, now - $0)))" } ?? ""))
        var lane = "lane \(TaskText.field(why, "lane"))"
        if let position = why["position"]?.intValue {
            lane += position <= 1 ? ", next in line" : ", \(position - 1) before it"
        }
        if why["lane"] != nil { words.append(lane) }
        words.append("from \(TaskText.field(task, "principal"))")
        return words.joined(separator: "   ")
    }

    private func sentence(_ code: String, _ state: String, _ why: JSONValue) -> String {
        switch state {
        case "running", "offered", "canceling":
            return "It is in work (\(code)): \(CodeBook.meaning(code))."
        default: break
        }
        let total = ExplainText.counts(why).reduce(0) { $0 + $1.count }
        if ExplainText.ownCodes.contains(code) || total == 0 {
            return "Not running: \(CodeBook.meaning(code)) (\(code))."
        }
        return total == 1
            ? "Not running: the only executor cannot take it now."
            : "Not running: none of \(total) executors can take it now."
    }

    /// How many executors stand under each code, sorted by code.
    static func counts(_ why: JSONValue) -> [(code: String, count: Int)] {
        guard case .object(let fields)? = why["counts"] else { return [] }
        return fields.compactMap { field in field.value.intValue.map { (Terminal.escape(field.key), $0) } }
            .sorted { $0.0 < $1.0 }
    }

    /// One line for each candidate, counts first when there are many.
    func candidateLines(_ candidates: [JSONValue], _ why: JSONValue) -> [String] {
        var lines: [String] = []
        if candidates.count > ExplainText.listed {
            let counts = ExplainText.counts(why).map { "\($0.code) \($0.count)" }
            if !counts.isEmpty { lines.append("  " + counts.joined(separator: "   ")) }
        }
        var table = TextTable()
        for candidate in candidates {
            let code = TaskText.field(candidate, "code")
            let detail = ExplainDetail(candidate: candidate, text: text).sentence
            table.add(["  " + TaskText.field(candidate, "executor"), code.isEmpty ? "free" : code, detail])
        }
        return lines + table.lines(width: terminal.columns)
    }

    private func runsWhen(
        _ code: String, _ candidates: [JSONValue], _ capability: String, _ why: JSONValue
    ) -> [String] {
        var parts: [String] = []
        if candidates.isEmpty || ExplainText.ownCodes.contains(code),
            let own = CodeBook.runsWhen(code, executor: "an executor")
        {
            parts.append(own)
        }
        for candidate in candidates.prefix(ExplainText.listed) {
            let executor = TaskText.field(candidate, "executor")
            let code = TaskText.field(candidate, "code")
            let isHeld = ExplainDetail(candidate: candidate, text: text).holder != nil
            let held = isHeld ? "the circuit of \(executor) is reset" : nil
            guard let part = held ?? CodeBook.runsWhen(code, executor: executor) else { continue }
            if !parts.contains(part) { parts.append(part) }
        }
        if !["awaiting_approval", "needs", "delay", "retry_delay", "turn", "settling"].contains(code) {
            parts.append("another executor offers \(capability)")
        }
        var sentence = ExplainText.either(parts)
        if let next = text.time(why, "next_possible_at") { sentence += "; next known moment \(next)" }
        let width = min(terminal.columns ?? Help.widest, Help.widest)
        return Help.wrap(sentence + ".", indent: 13, width: width).enumerated().map {
            $0 == 0 ? "Runs when".padded(to: 13) + $1.dropFirst(13) : $1
        }
    }

    private static func either(_ parts: [String]) -> String {
        guard let last = parts.last, parts.count > 1 else { return parts.first ?? "" }
        return parts.dropLast().joined(separator: ", ") + ", or " + last
    }

    private func tries(_ code: String, _ candidates: [JSONValue], _ capability: String, _ id: String) -> [String] {
        var lines: [String] = []
        if code == "awaiting_approval" { lines.append("martlet task approve \(id)") }
        for candidate in candidates {
            let executor = TaskText.field(candidate, "executor")
            switch TaskText.field(candidate, "code") {
            case "circuit_open": lines.append("martlet circuit reset \(capability) --executor \(executor)")
            case "paused", "draining": lines.append("martlet executor resume \(executor)")
            case "not_assigned": lines.append("martlet task assign \(id) --undo")
            default: continue
            }
        }
        if code == "paused" { lines.append("martlet capability resume \(capability)") }
        var seen: Set<String> = []
        lines = lines.filter { seen.insert($0).inserted }
        return Array(lines.prefix(3)) + ["martlet task cancel \(id)"]
    }
}
