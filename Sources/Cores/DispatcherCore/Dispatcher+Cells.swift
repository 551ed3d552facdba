import Contract
import Determinism
import Machine
import Wire

/// Several dispatchers on one broker, each with workspaces of its own (`topics/broker.md`, cells).
extension Dispatcher {
    /// Another dispatcher's record. One that serves a workspace of ours and goes first ends us; one that is gone leaves
    /// its term behind, since executors refuse lower ones.
    mutating func meet(_ record: ServiceRecord, _ instance: String) {
        guard !isTerminating else { return }
        let own = service(.up, reason: nil)
        if let reason = own.verdict(on: record, instance: instance, service: "dispatcher") { return yield(reason) }
        guard own.common(with: record) != nil else { return }
        if record.state == .down, record.term >= term, record.term < JSONLimits.largestInteger {
            termLeft = max(termLeft, record.term)
            if isSettled { raiseTerm() }
        } else if instance == configuration.instance {
            publishService(.up, reason: nil)
        }
    }

    /// Goes above the greatest term that was left behind; not before all records are known: a term that somebody left
    /// in one workspace is no reason to put out whoever serves another one.
    mutating func raiseTerm() {
        guard !isTerminating, termLeft >= term else { return }
        term = termLeft + 1
        journal(.term(term))
        log(
            .info, "term_raised", "Another dispatcher served these workspaces before",
            [LogField("term", String(term))])
        publishService(.up, reason: nil)
    }

    private mutating func yield(_ reason: String) {
        log(.error, "superseded", reason)
        isTerminating = true
        isSuperseded = true
        publishService(.down, reason: "superseded")
        out.append(.quit(status: 78, reason: reason))
    }

    /// Tasks of a workspace that this cell no longer serves could end twice, here and in the cell that has it now: they
    /// must have ended before.
    mutating func refuseLeftOut() {
        guard !configuration.workspaces.isEmpty else { return }
        let left = tasks.values.map(\.spec.key.workspace).filter { !configuration.serves($0) }
        guard let workspace = left.min() else { return }
        let reason =
            "the journal has \(left.count) open tasks of workspaces that dispatcher.workspaces leaves out, such as "
            + "\(workspace): serve them until their tasks have ended"
        log(.error, "workspace_left_out", reason)
        isTerminating = true
        out.append(.quit(status: 78, reason: reason))
    }
}
