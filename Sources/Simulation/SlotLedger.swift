import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Accounts for every slot of every interval schedule of a run, from the messages on the bus and a calendar of its own:
/// slots are the start and every whole period after it. What can be judged at once is judged with each message.
final class SlotLedger {
    /// What a policy allows; absent for checks, which have rules of their own.
    struct Policy {
        var graceMs: Int
        var defers: Bool
    }

    private struct Rule {
        var start: Int
        var everyMs: Int
        var policy: Policy?
    }

    private let history: History
    private var rules = SortedDictionary<String, Rule>()
    private var finals: [String: [Int: [String]]] = [:]
    private var seen: Set<String> = []
    private var uncounted: Set<String> = []
    /// Spans whose slots come again, since the clock was set back so far that the cursor came back with it.
    private var repeated: [ClosedRange<Int>] = []
    private var latest = Int.min

    init(_ history: History) { self.history = history }

    func add(_ schedule: String, startMs: Int, everyMs: Int, policy: Policy? = nil) {
        rules[schedule] = Rule(start: startMs, everyMs: everyMs, policy: policy)
    }

    /// The clock is set, from one moment to another. Once it is 3 h behind what it showed before, slots come again.
    func step(from before: Int, to after: Int) {
        latest = max(latest, before)
        if latest - after > 3 * 3_600_000 { repeated.append(after...latest) }
    }

    // MARK: Events

    /// Takes an event that the scheduler published.
    func observe(_ event: Event) {
        guard let rule = rules[event.subject], seen.insert(event.eventID).inserted else { return }
        let data = event.data.map { JSONValue($0) }
        switch event.event {
        // A check tells of a run when it has its result.
        case .scheduleTriggered, .checkResult:
            guard data?["trigger"]?.stringValue != "manual" else { return }
            let at = data?["scheduled_at"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
            guard let at else { return history.violate("H9", "a trigger of \(event.subject) without scheduled_at") }
            end(event.subject, at.milliseconds, rule, "triggered")
        case .scheduleSkipped, .misfiredSkipped: skipped(event, rule, data)
        case .misfiredDeferred:
            if rule.policy?.defers == false {
                history.violate("B2", "\(event.subject) deferred a slot against its policy")
            }
        default: break
        }
    }

    private func end(_ schedule: String, _ slot: Int, _ rule: Rule, _ how: String) {
        if (slot - rule.start) % rule.everyMs != 0 { history.violate("H9", "\(schedule): \(slot) is no slot") }
        finals[schedule, default: [:]][slot, default: []].append(how)
        if let ends = finals[schedule]?[slot], ends.count > 1, !repeated.contains(where: { $0.contains(slot) }) {
            history.violate("H9", "\(schedule): slot \(slot) ended as \(ends)")
        }
    }

    private func skipped(_ event: Event, _ rule: Rule, _ data: JSONValue?) {
        func time(_ key: String) -> Int? {
            data?[key]?.stringValue.flatMap { WallTime(rfc3339: $0)?.milliseconds }
        }
        guard let first = time("first"), let last = time("last"), let count = data?["count"]?.intValue else {
            return history.violate("H9", "a skip of \(event.subject) without count, first, last")
        }
        let reason = data?["reason"]?.stringValue ?? event.event.rawValue
        history.saw("skip \(reason)")
        judge(event, rule, reason, last: last)
        if data?["more"] == .bool(true) {
            uncounted.insert(event.subject)
            return
        }
        let slots = stride(from: first, through: last, by: rule.everyMs).map { $0 }
        if slots.count != count {
            history.violate("H9", "\(event.subject) skipped \(count) slots in a range that has \(slots.count)")
        }
        for slot in slots { end(event.subject, slot, rule, reason) }
    }

    /// Whether the policy allows that a slot ended so at that moment, both by the scheduler's clock.
    private func judge(_ event: Event, _ rule: Rule, _ reason: String, last: Int) {
        guard let policy = rule.policy else { return }
        let at = event.at.milliseconds
        // A slot that waited while the clock was set back by over 3 h lies ahead: the next decision absorbs it at once.
        if reason == "absorbed", at < last, repeated.contains(where: { $0.contains(last) }) { return }
        let isAllowed: Bool
        switch reason {
        case "superseded", "absorbed": isAllowed = at >= last + rule.everyMs
        case "late": isAllowed = policy.defers ? at >= last + rule.everyMs : at > last + policy.graceMs
        // By the dispatcher's clock.
        case "expired": isAllowed = true
        case "overlap": isAllowed = !policy.defers
        default: isAllowed = false
        }
        if !isAllowed { history.violate("B2", "\(event.subject): \(reason) of \(last) at \(at) is against its policy") }
    }

    // MARK: Intents, views

    /// Takes an intent that the scheduler published: its id names its slot, and it ends when the policy says.
    func observe(intent id: String, _ intent: Intent) {
        guard let tilde = id.lastIndex(of: "~"), let rule = rules[String(id[..<tilde])], let policy = rule.policy,
            let origin = intent.origin.map({ JSONValue($0.raw) }), origin["trigger"]?.stringValue != "manual"
        else { return }
        func time(_ key: String) -> WallTime? { origin[key]?.stringValue.flatMap { WallTime(rfc3339: $0) } }
        guard let slot = time("scheduled_at"), let due = time("due_at"), let expires = time("expires_at") else {
            return history.violate("B5", "\(id) has no slot, due time or end")
        }
        if id != "\(id[..<tilde])~\(slot.basicText)" {
            history.violate("B5", "\(id) is not the run of \(slot.rfc3339)")
        }
        let next = slot + rule.everyMs
        let end = policy.defers ? next : due + policy.graceMs
        if expires != end { history.violate("B5", "\(id) expires at \(expires.rfc3339), not \(end.rfc3339)") }
    }

    /// Takes a view that the scheduler published: what it counts adds up.
    func observe(view name: String, _ payload: [UInt8]) {
        guard rules[name] != nil, !payload.isEmpty else { return }
        let state = (try? RawJSON(validating: payload)).flatMap { JSONValue($0)["state"] }
        guard let slots = state?["slots"], case .object(let skipped)? = slots["skipped"] else {
            return history.violate("H9", "schedule/\(name) shows no slots")
        }
        let ended = skipped.reduce(0) { $0 + ($1.value.intValue ?? 0) }
        let sum = ["triggered", "deferred", "pending"].reduce(ended) { $0 + (slots[$1]?.intValue ?? 0) }
        if slots["decided"]?.intValue != sum {
            history.violate("H9", "\(name): decided \(slots["decided"]?.intValue ?? -1), the others make \(sum)")
        }
        let runs = ["triggered", "deferred"].reduce(state?["manual"]?.intValue ?? 0) { $0 + (slots[$1]?.intValue ?? 0) }
        if state?["run_count"]?.intValue != runs { history.violate("H9", "\(name): run_count is not \(runs)") }
    }

    // MARK: The end

    /// Checks that every slot up to the cursor of each schedule has exactly one end.
    func check(cursors: [String: Int], created: [String: Int]) {
        for (schedule, rule) in rules where !uncounted.contains(schedule) {
            guard let cursor = cursors[schedule], let since = created[schedule] else { continue }
            let ends = finals[schedule] ?? [:]
            var slot = rule.start
            if slot < since { slot += (since - slot + rule.everyMs - 1) / rule.everyMs * rule.everyMs }
            if slot == since { slot += rule.everyMs }
            while slot <= cursor {
                if ends[slot] == nil { history.violate("H9", "\(schedule): slot \(slot) has no end") }
                slot += rule.everyMs
            }
        }
    }
}
