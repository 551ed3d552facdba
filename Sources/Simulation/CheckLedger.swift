import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Follows what checks found, from results and events on the bus alone, and holds status and alerts against it.
final class CheckLedger {
    /// What a check was put with.
    struct Rules {
        var failAfter: Int
        var recoverAfter: Int
    }

    private struct Told {
        var seq: Int
        var run: String
        var result: CheckStatus?
        var status: CheckStatus?
    }

    private let history: History
    private var rules = SortedDictionary<String, Rules>()
    private var told: [String: [Told]] = [:]
    private var found: [String: CheckStatus] = [:]
    private var seen: Set<String> = []

    init(_ history: History) { self.history = history }

    func add(_ check: String, _ given: Rules) { rules[check] = given }

    /// A result that the dispatcher published.
    func result(_ message: InboundMessage) {
        guard let result = try? TaskResult(decoding: message.payload) else { return }
        let output = result.output.map { JSONValue($0)["status"]?.stringValue }
        let status =
            result.status == .success ? output.flatMap { $0 }.flatMap(CheckStatus.init(rawValue:)) ?? .ok : .error
        found[result.task] = status
    }

    /// An event that heartbeat published.
    func observe(_ event: Event) {
        guard event.event == .checkResult, rules[event.subject] != nil, seen.insert(event.eventID).inserted else {
            return
        }
        let data = event.data.map { JSONValue($0) }
        func word(_ key: String) -> CheckStatus? { data?[key]?.stringValue.flatMap(CheckStatus.init(rawValue:)) }
        let run = data?["task"]?.stringValue ?? ""
        history.saw("check \(word("result")?.rawValue ?? "-")")
        told[event.subject, default: []].append(
            Told(seq: event.seq, run: run, result: word("result"), status: word("status")))
    }

    /// Checks that each run was judged as it ended, once, by the thresholds in a row; returns the statuses that follow.
    func check() -> [String: CheckStatus] {
        var statuses: [String: CheckStatus] = [:]
        for (check, rules) in rules {
            var status: CheckStatus?
            var (good, bad) = (0, 0)
            var runs: Set<String> = []
            for entry in (told[check] ?? []).sorted(by: { $0.seq < $1.seq }) {
                if !runs.insert(entry.run).inserted { history.violate("check", "\(entry.run) was judged twice") }
                guard let result = entry.result else {
                    history.violate("check", "\(entry.run) was judged without a result")
                    continue
                }
                if result != found[entry.run] {
                    let really = found[entry.run]?.rawValue ?? "nothing"
                    history.violate("check", "\(entry.run) found \(really), told was \(result.rawValue)")
                }
                (good, bad) = result == .ok ? (good + 1, 0) : (0, bad + 1)
                if result != .ok, bad >= rules.failAfter {
                    status = result
                } else if result == .ok, status == nil || good >= rules.recoverAfter {
                    status = .ok
                }
                if entry.status != status {
                    let wanted = status?.rawValue ?? "nothing"
                    history.violate(
                        "check", "\(entry.run): status \(entry.status?.rawValue ?? "nothing"), not \(wanted)")
                }
            }
            statuses[check] = status
        }
        return statuses
    }
}
