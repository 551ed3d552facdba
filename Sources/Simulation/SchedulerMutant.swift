import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// A bug of the scheduler that is planted to see whether the checkers find it. Never on unless asked for by name.
public enum SchedulerMutant: String, CaseIterable, Hashable, Sendable {
    /// One record in ten never reaches the journal.
    case forgetsAppend = "forgets-append"
    /// What was decided of a slot is not journaled now and then.
    case forgetsCursor = "forgets-cursor"
    /// Publishes and acknowledges before the journal is synced.
    case speaksBeforeSync = "speaks-before-sync"
    /// Now and then a slot is counted once more.
    case countsTwice = "counts-twice"
    /// Some slots are skipped without a word.
    case hidesSkips = "hides-skips"
    /// A trigger is sometimes told under a new id of the event, as if it were another one.
    case tellsTwice = "tells-twice"
    /// Now and then a slot's intent goes out under the id of the slot before.
    case reusesRunID = "reuses-run-id"
    /// Intents are good for an hour, whatever the policy says.
    case ignoresExpiry = "ignores-expiry"
    /// A run that failed is submitted anew under another id.
    case replaysFailures = "replays-failures"
    /// After a reconnect no view is published again.
    case neverRepublishes = "never-republishes"

    /// Plants the bug into a node.
    func plant<S: Service>(in node: ServiceNode<S>, world: World) {
        switch self {
        case .forgetsAppend: drop(in: node) { _ in world.random.chance(1, of: 10) }
        case .forgetsCursor:
            drop(in: node) { record in
                record.starts(with: SchedulerMutant.stateMark) && world.random.chance(1, of: 3)
            }
        case .speaksBeforeSync: node.speaksBeforeSync = true
        case .countsTwice:
            change(in: node, "schedule") { message in
                world.random.chance(1, of: 5) ? SchedulerMutant.counted(message) : message
            }
        case .hidesSkips:
            node.tamper = { effects in
                effects.filter { SchedulerMutant.message($0, "event").map { !$0.topic.contains("SKIPPED") } ?? true }
            }
        case .tellsTwice: plantTwice(node, world)
        case .reusesRunID: plantReuse(node, world)
        case .ignoresExpiry: change(in: node, "intent", SchedulerMutant.extended)
        case .replaysFailures: plantReplays(node)
        case .neverRepublishes:
            var connections = 0
            node.tamper = { effects in
                if effects.contains(where: { if case .subscribe = $0 { true } else { false } }) { connections += 1 }
                return connections < 2 ? effects : effects.filter { SchedulerMutant.message($0, "schedule") == nil }
            }
        }
    }

    private static let stateMark = Array(#"{"k":"state""#.utf8)

    private func drop<S: Service>(in node: ServiceNode<S>, _ isLost: @escaping ([UInt8]) -> Bool) {
        node.tamper = { effects in
            effects.filter { effect in
                if case .append(let record) = effect { return !isLost(record) }
                return true
            }
        }
    }

    private func change<S: Service>(
        in node: ServiceNode<S>, _ word: String, _ body: @escaping (OutboundMessage) -> OutboundMessage
    ) {
        node.tamper = { effects in
            effects.map { effect in SchedulerMutant.message(effect, word).map { .publish(body($0)) } ?? effect }
        }
    }

    /// The message that an effect publishes, if it goes to a topic of this class.
    private static func message(_ effect: ServiceEffect, _ word: String) -> OutboundMessage? {
        guard case .publish(let message) = effect, message.topic.contains("/\(Names.protocolLevel)/\(word)/") else {
            return nil
        }
        return message
    }

    private static func with(_ message: OutboundMessage, _ value: JSONValue) -> OutboundMessage {
        var changed = message
        changed.payload = RawJSON { value.write(to: &$0) }.bytes
        return changed
    }

    private static func object(_ value: JSONValue?, _ key: String, _ body: (JSONValue) -> JSONValue) -> JSONValue {
        guard case .object(let fields)? = value else { return value ?? .null }
        return .object(fields.map { $0.key == key ? .init($0.key, body($0.value)) : $0 })
    }

    private static func counted(_ message: OutboundMessage) -> OutboundMessage {
        guard let raw = try? RawJSON(validating: message.payload) else { return message }
        return with(
            message,
            object(JSONValue(raw), "state") { state in
                object(state, "slots") { slots in
                    object(slots, "triggered") { .number(String(($0.intValue ?? 0) + 1)) }
                }
            })
    }

    private static func extended(_ message: OutboundMessage) -> OutboundMessage {
        guard let raw = try? RawJSON(validating: message.payload) else { return message }
        return with(
            message,
            object(JSONValue(raw), "origin") { origin in
                object(origin, "expires_at") { value in
                    let end = value.stringValue.flatMap { WallTime(rfc3339: $0) }
                    return end.map { .string(($0 + 3_600_000).rfc3339) } ?? value
                }
            })
    }

    private func plantTwice<S: Service>(_ node: ServiceNode<S>, _ world: World) {
        node.tamper = { effects in
            effects.flatMap { effect -> [ServiceEffect] in
                guard let message = SchedulerMutant.message(effect, "event"), world.random.chance(1, of: 10),
                    var event = try? Event(decoding: message.payload), event.event == .scheduleTriggered
                else { return [effect] }
                event.eventID += ".again"
                var again = message
                again.payload = event.encoded
                again.token = nil
                return [effect, .publish(again)]
            }
        }
    }

    private func plantReuse<S: Service>(_ node: ServiceNode<S>, _ world: World) {
        var last: [String: String] = [:]
        change(in: node, "intent") { message in
            guard let topic = Topic(message.topic), case .intent(let principal, let capability, let id) = topic.place,
                let tilde = id.lastIndex(of: "~")
            else { return message }
            let schedule = String(id[..<tilde])
            defer { last[schedule] = id }
            guard let before = last[schedule], before != id, world.random.chance(1, of: 5) else { return message }
            var changed = message
            changed.topic =
                Topic(topic.workspace, .intent(principal: principal, capability: capability, id: before)).name
            return changed
        }
    }

    private func plantReplays<S: Service>(_ node: ServiceNode<S>) {
        var sent: [String: OutboundMessage] = [:]
        var failed: [String] = []
        node.tamperMessage = { message in
            if let topic = Topic(message.topic), case .result(_, _, let id) = topic.place,
                let result = try? TaskResult(decoding: message.payload), result.status == .failed
            {
                failed.append(id)
            }
            return message
        }
        node.tamper = { effects in
            var all = effects
            for effect in effects {
                guard let message = SchedulerMutant.message(effect, "intent"), let topic = Topic(message.topic),
                    case .intent(_, _, let id) = topic.place
                else { continue }
                sent[id] = message
            }
            for id in failed {
                guard var again = sent[id] else { continue }
                again.topic += "-2"
                all.append(.publish(again))
            }
            failed.removeAll()
            return all
        }
    }
}
