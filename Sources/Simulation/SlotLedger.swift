import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Accounts for every slot of every interval schedule of a run, from the events on the bus and a calendar of its own:
/// slots are the start and every whole period after it.
final class SlotLedger {
    private struct Rule {
        var start: Int
        var everyMs: Int
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

    func add(_ schedule: String, startMs: Int, everyMs: Int) {
        rules[schedule] = Rule(start: startMs, everyMs: everyMs)
    }

    /// The clock is set, from one moment to another. Once it is 3 h behind what it showed before, slots come again.
    func step(from before: Int, to after: Int) {
        latest = max(latest, before)
        if latest - after > 3 * 3_600_000 { repeated.append(after...latest) }
    }

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
            finals[event.subject, default: [:]][at.milliseconds, default: []].append("triggered")
        case .scheduleSkipped, .misfiredSkipped: skipped(event, rule, data)
        default: break
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
        if data?["more"] == .bool(true) {
            uncounted.insert(event.subject)
            return
        }
        let slots = stride(from: first, through: last, by: rule.everyMs).map { $0 }
        if slots.count != count {
            history.violate("H9", "\(event.subject) skipped \(count) slots in a range that has \(slots.count)")
        }
        for slot in slots { finals[event.subject, default: [:]][slot, default: []].append(reason) }
    }

    /// Checks that every slot up to the cursor of each schedule has exactly one end.
    func check(cursors: [String: Int], created: [String: Int]) {
        for (schedule, rule) in rules where !uncounted.contains(schedule) {
            guard let cursor = cursors[schedule], let since = created[schedule] else { continue }
            let ends = finals[schedule] ?? [:]
            for (slot, list) in ends.sorted(by: { $0.key < $1.key }) {
                if (slot - rule.start) % rule.everyMs != 0 { history.violate("H9", "\(schedule): \(slot) is no slot") }
                if list.count > 1, !repeated.contains(where: { $0.contains(slot) }) {
                    history.violate("H9", "\(schedule): slot \(slot) ended as \(list)")
                }
            }
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
