import Contract
import Determinism
import Machine
import Wire

extension ServiceEffect {
    /// Whether it writes to the journal.
    var isAppend: Bool {
        if case .append = self { return true }
        return false
    }

    /// What it writes to the journal.
    var line: JournalLine? {
        if case .append(let record) = self { return JournalLine(record) }
        return nil
    }

    /// The place it publishes on.
    fileprivate var place: Topic.Place? {
        guard case .publish(let message) = self else { return nil }
        return Topic(message.topic)?.place
    }
}

/// The parts that planted bugs are made of.
extension Mutant {
    private static func assignment(_ effect: ServiceEffect) -> (OutboundMessage, Assignment)? {
        guard case .publish(let message) = effect, case .work = effect.place,
            case .assign(let assignment)? = try? WorkMessage(decoding: message.payload)
        else { return nil }
        return (message, assignment)
    }

    private static func with(_ message: OutboundMessage, _ assignment: Assignment) -> ServiceEffect {
        var changed = message
        changed.payload = WorkMessage.assign(assignment).encoded
        return .publish(changed)
    }

    /// The same assignment under the next epoch.
    static func grantAgain(_ effect: ServiceEffect) -> ServiceEffect? {
        guard let (message, assignment) = assignment(effect) else { return nil }
        var again = assignment
        again.epoch += 1_000_000
        return with(message, again)
    }

    /// Changes a result.
    static func change(
        _ effect: ServiceEffect, _ body: (History.Key, inout TaskResult) -> Void
    ) -> ServiceEffect {
        guard case .publish(let message) = effect, !message.payload.isEmpty, let topic = Topic(message.topic),
            case .result(let principal, _, let id) = topic.place,
            let old = try? TaskResult(decoding: message.payload)
        else { return effect }
        var result = old
        body(History.Key(workspace: topic.workspace, principal: principal, id: id), &result)
        guard result != old else { return effect }
        var changed = message
        changed.payload = result.encoded
        return .publish(changed)
    }

    /// Changes an intent.
    static func change(_ message: InboundMessage, _ body: (inout Intent) -> Void) -> InboundMessage {
        guard let topic = Topic(message.topic), case .intent = topic.place,
            let old = try? Intent(decoding: message.payload)
        else { return message }
        var intent = old
        body(&intent)
        guard intent != old else { return message }
        var changed = message
        changed.payload = intent.encoded
        return changed
    }

    static func withoutPlanCost(_ message: InboundMessage) -> InboundMessage {
        change(message) { if $0.input.flatMap({ JSONValue($0)["steps"] }) != nil { $0.maxCost = nil } }
    }

    static func withoutNeeds(_ message: InboundMessage) -> InboundMessage {
        change(message) { intent in
            guard case .object(let fields)? = intent.input.map({ JSONValue($0) }),
                case .array(let steps)? =
                    intent.input.flatMap({ JSONValue($0)["steps"] })
            else { return }
            let free: [JSONValue] = steps.map { step in
                guard case .object(let own) = step else { return step }
                return .object(own.filter { $0.key != "needs" && $0.key != "when" } + [.init("needs", .array([]))])
            }
            intent.input =
                JSONValue.object(
                    fields.map { $0.key == "steps" ? JSONValue.Field("steps", .array(free)) : $0 }
                ).raw
        }
    }

    static func withoutWill(_ message: InboundMessage) -> InboundMessage {
        guard let topic = Topic(message.topic), case .status = topic.place,
            var status = try? ExecutorStatus(decoding: message.payload), status.status == .lost
        else { return message }
        status.status = .online
        var changed = message
        changed.payload = status.encoded
        return changed
    }

    static func withoutConfirmations(_ effect: ServiceEffect) -> ServiceEffect {
        guard case .publish(let message) = effect, case .work = effect.place,
            case .beatAck(var ack)? = try? WorkMessage(decoding: message.payload)
        else { return effect }
        ack.confirmed = []
        var changed = message
        changed.payload = WorkMessage.beatAck(ack).encoded
        return .publish(changed)
    }

    static func isClosedView(_ effect: ServiceEffect) -> Bool {
        guard case .publish(let message) = effect, case .circuit = effect.place else { return false }
        return (try? CircuitView(decoding: message.payload))?.state == .closed
    }

    static func isAnswer(_ effect: ServiceEffect, ofTasksEndingWith suffix: String, all: Bool) -> Bool {
        switch effect.place {
        case .update(_, _, let id): all && id.hasSuffix(suffix)
        case .result(_, _, let id): id.hasSuffix(suffix)
        default: false
        }
    }

    /// An outcome of an old epoch, as if it were of the newest.
    static func freshen(_ message: InboundMessage, _ history: History) -> InboundMessage {
        guard let topic = Topic(message.topic), case .report(let executor, let id) = topic.place,
            var report = try? Report(decoding: message.payload), report.type == .outcome
        else { return message }
        let grants = history.grants
        guard let given = grants.first(where: { $0.assignment.epoch == report.epoch && $0.executor == executor }),
            let newest = grants.last(where: { $0.key == given.key }), newest.assignment.epoch != report.epoch
        else { return message }
        report.epoch = newest.assignment.epoch
        var changed = message
        changed.topic = Topic(topic.workspace, .report(executor: newest.executor, id: id)).name
        changed.payload = report.encoded
        return changed
    }

    func plantEpochs<S: Service>(_ node: ServiceNode<S>, _ world: World) {
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

    func plantSilence<S: Service>(_ node: ServiceNode<S>) {
        var connections = 0
        node.tamper = { effects in
            if effects.contains(where: { if case .subscribe = $0 { true } else { false } }) { connections += 1 }
            guard connections > 1 else { return effects }
            return effects.filter { if case .capability = $0.place { false } else { true } }
        }
    }

    /// A result that is told again is another one.
    func plantSecondThought<S: Service>(_ node: ServiceNode<S>) {
        var told: Set<History.Key> = []
        node.tamper = { effects in
            effects.map { effect in
                Mutant.change(effect) { key, result in
                    if result.acceptedAt != nil, !told.insert(key).inserted { result.queuedMs = 4_711 }
                }
            }
        }
    }

    /// Who was canceled while it waited is given out after all, as the last assignment was.
    func plantRevival<S: Service>(_ node: ServiceNode<S>) {
        var last: (OutboundMessage, Assignment)?
        var revived: [Assignment] = []
        node.tamper = { effects in
            var all = effects
            if let (message, _) = last {
                for assignment in revived { all.append(Mutant.with(message, assignment)) }
                revived.removeAll()
            }
            for effect in effects {
                if let found = Mutant.assignment(effect) { last = found }
                guard let (_, pattern) = last else { continue }
                _ = Mutant.change(effect) { key, result in
                    guard result.status == .canceled, result.acceptedAt != nil, result.attempts.isEmpty else { return }
                    var assignment = pattern
                    (assignment.principal, assignment.task) = (key.principal, key.id)
                    assignment.epoch += 1_000_000
                    revived.append(assignment)
                }
            }
            return all
        }
    }

    func plantDuplicates<S: Service>(_ node: ServiceNode<S>) {
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
