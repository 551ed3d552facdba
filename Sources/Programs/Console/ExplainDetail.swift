import Wire

/// What is told of one executor that cannot take a task: its code in words, with the numbers and names behind it.
struct ExplainDetail {
    /// The candidate, as `task/explain` shows it.
    let candidate: JSONValue
    /// Times as this terminal shows them.
    let text: TaskText

    private var code: String { TaskText.field(candidate, "code") }

    /// One clause.
    var sentence: String {
        switch code {
        case "": "could take it"
        case "circuit_open", "circuit_probe": circuit
        case "no_slot": slots("used")
        case "reserved": slots("used") + ", \(number("reserved") ?? 1) kept for critical"
        case "max_concurrent": slots("of this capability at work")
        case "lost", "silent", "offline", "sleeping": until(CodeBook.meaning(code) + heard)
        case "label_missing": missing
        case "not_assigned": meant
        case "too_expensive": CodeBook.meaning(code) + (number("cost").map { ": \($0)" } ?? "")
        case "too_slow": CodeBook.meaning(code) + took
        default: until(CodeBook.meaning(code))
        }
    }

    /// Who holds the circuit open or closed by hand, if somebody does.
    var holder: String? {
        guard let circuit = candidate["circuit"], circuit["forced_by"]?.stringValue != nil else { return nil }
        return TaskText.field(circuit, "forced_by")
    }

    private func number(_ key: String) -> Int? { candidate[key]?.intValue }

    private func until(_ words: String) -> String {
        text.time(candidate, "until").map { "\(words), ends \($0)" } ?? words
    }

    private var circuit: String {
        guard let circuit = candidate["circuit"] else { return until(CodeBook.meaning(code)) }
        let probe = text.time(candidate, "until").map { "; probe \($0)" } ?? ""
        let whole = circuit["of"]?.stringValue == "capability" ? "all of them: " : ""
        if let holder {
            return "\(whole)held open by \(holder)" + (text.time(candidate, "until").map { ", ends \($0)" } ?? "")
        }
        let why = TaskText.field(circuit, "why")
        if code == "circuit_probe" { return "\(whole)another task is the probe, after \(why)" }
        if why == "quota" { return "\(whole)its quota is used up\(probe)" }
        let failures = circuit["failures"]?.intValue ?? 0
        let count = failures > 1 ? "\(failures) failures in a row" : "too many failures"
        return whole + count + (why.isEmpty ? "" : ", last \(why)") + probe
    }

    private func slots(_ word: String) -> String {
        guard let used = number("used"), let slots = number("slots") else { return until(CodeBook.meaning(code)) }
        var words = used < slots && code == "no_slot" ? "said that it is busy" : "\(used) of \(slots) \(word)"
        if case .array(let tasks)? = candidate["tasks"], !tasks.isEmpty {
            words += ": " + tasks.compactMap { $0.stringValue.map(Terminal.escape) }.joined(separator: ", ")
            if tasks.count < used { words += " and others" }
        }
        return until(words)
    }

    private var heard: String { text.time(candidate, "heard_at").map { ", last heard \($0)" } ?? "" }

    private var missing: String {
        guard case .array(let labels)? = candidate["missing"], !labels.isEmpty else { return CodeBook.meaning(code) }
        return "lacks " + labels.compactMap { $0.stringValue.map(Terminal.escape) }.joined(separator: ", ")
    }

    private var meant: String {
        let other = TaskText.field(candidate, "assigned_to")
        return other.isEmpty ? CodeBook.meaning(code) : "the task is meant for \(other)"
    }

    private var took: String { number("latency_ms").map { ": about \(Durations.text($0))" } ?? "" }
}
