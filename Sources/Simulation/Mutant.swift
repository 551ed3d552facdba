import Contract
import Determinism
import Machine
import Wire

/// A bug that is planted to see whether the checkers find it. Never on unless asked for by name.
public enum Mutant: String, CaseIterable, Hashable, Sendable {
    /// One record in ten never reaches the journal.
    case forgetsAppend = "forgets-append"
    /// Publishes and acknowledges before the journal is synced.
    case speaksBeforeSync = "speaks-before-sync"
    /// Now and then an assignment carries the epoch of the one before.
    case reusesEpoch = "reuses-epoch"
    /// An outcome of an old epoch is taken for the newest one.
    case takesStale = "takes-stale"
    /// After a reconnect no view is published again.
    case neverRepublishes = "never-republishes"
    /// Some requests are never answered.
    case doesNotAnswer = "does-not-answer"
    /// A request that comes twice runs twice.
    case runsDuplicates = "runs-duplicates"
    /// An executor that was granted a task gets it again under another epoch.
    case grantsTwice = "grants-twice"

    /// Plants the bug into a node.
    func plant<S: Service>(in node: ServiceNode<S>, world: World, history: History) {
        switch self {
        case .forgetsAppend:
            node.tamper = { effects in
                effects.filter { effect in
                    if case .append = effect { return !world.random.chance(1, of: 10) }
                    return true
                }
            }
        case .speaksBeforeSync: node.speaksBeforeSync = true
        case .reusesEpoch: plantEpochs(node, world)
        case .takesStale: node.tamperMessage = { Mutant.freshen($0, history) }
        case .neverRepublishes: plantSilence(node)
        case .doesNotAnswer:
            node.tamper = { effects in effects.filter { !Mutant.isAnswer($0, ofTasksEndingWith: "7") } }
        case .runsDuplicates: plantDuplicates(node)
        case .grantsTwice:
            node.tamper = { effects in
                effects.flatMap { effect in
                    guard world.random.chance(1, of: 10), let again = Mutant.grantAgain(effect) else { return [effect] }
                    return [effect, again]
                }
            }
        }
    }

    private static func assignment(_ effect: ServiceEffect) -> (OutboundMessage, Assignment)? {
        guard case .publish(let message) = effect,
            case .assign(let assignment)? = try? WorkMessage(decoding: message.payload)
        else { return nil }
        return (message, assignment)
    }

    private static func with(_ message: OutboundMessage, _ assignment: Assignment) -> ServiceEffect {
        var changed = message
        changed.payload = WorkMessage.assign(assignment).encoded
        return .publish(changed)
    }

    private static func grantAgain(_ effect: ServiceEffect) -> ServiceEffect? {
        guard let (message, assignment) = assignment(effect) else { return nil }
        var again = assignment
        again.epoch += 1
        return with(message, again)
    }

    private func plantEpochs<S: Service>(_ node: ServiceNode<S>, _ world: World) {
        var last = 0
        node.tamper = { effects in
            effects.map { effect in
                guard let (message, assignment) = Mutant.assignment(effect) else { return effect }
                var changed = assignment
                if last > 0, world.random.chance(1, of: 5) { changed.epoch = last }
                last = assignment.epoch
                return Mutant.with(message, changed)
            }
        }
    }

    private static func freshen(_ message: InboundMessage, _ history: History) -> InboundMessage {
        guard let topic = Topic(message.topic), case .report(let executor, let id) = topic.place,
            var report = try? Report(decoding: message.payload), report.type == .outcome,
            let given = history.grants.first(where: { $0.epoch == report.epoch && $0.executor == executor }),
            let newest = history.grants.last(where: { $0.key == given.key }), newest.epoch != report.epoch
        else { return message }
        report.epoch = newest.epoch
        var changed = message
        changed.topic = Topic(topic.workspace, .report(executor: newest.executor, id: id)).name
        changed.payload = report.encoded
        return changed
    }

    private func plantSilence<S: Service>(_ node: ServiceNode<S>) {
        var connections = 0
        node.tamper = { effects in
            if effects.contains(where: { if case .subscribe = $0 { true } else { false } }) { connections += 1 }
            return connections < 2 ? effects : effects.filter { !Mutant.isCapabilityView($0) }
        }
    }

    private static func isCapabilityView(_ effect: ServiceEffect) -> Bool {
        guard case .publish(let message) = effect, let topic = Topic(message.topic) else { return false }
        if case .capability = topic.place { return true }
        return false
    }

    private static func isAnswer(_ effect: ServiceEffect, ofTasksEndingWith suffix: String) -> Bool {
        guard case .publish(let message) = effect, let topic = Topic(message.topic) else { return false }
        switch topic.place {
        case .update(_, _, let id), .result(_, _, let id): return id.hasSuffix(suffix)
        default: return false
        }
    }

    private func plantDuplicates<S: Service>(_ node: ServiceNode<S>) {
        var seen: [String: Int] = [:]
        node.tamperMessage = { message in
            guard let topic = Topic(message.topic), case .intent = topic.place else { return message }
            seen[message.topic, default: 0] += 1
            guard let count = seen[message.topic], count > 1 else { return message }
            var changed = message
            changed.topic += "-\(count)"
            return changed
        }
    }
}
