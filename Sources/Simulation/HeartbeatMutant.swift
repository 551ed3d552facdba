import Contract
import Determinism
import HeartbeatCore
import Machine
import TimeModel
import Wire

/// A bug of heartbeat that is planted to see whether the checkers find it. Never on unless asked for by name.
public enum HeartbeatMutant: String, CaseIterable, Hashable, Sendable {
    /// One record in ten never reaches the journal.
    case forgetsAppend = "forgets-append"
    /// After a reconnect no verdict is published again.
    case neverRepublishes = "never-republishes"
    /// Every other alert is not published.
    case dropsAlerts = "drops-alerts"
    /// An alert is never taken back.
    case keepsAlerts = "keeps-alerts"
    /// Some slots are skipped without a word.
    case hidesSkips = "hides-skips"
    /// Judges silence by the wall of its own sleep: before it has read what came meanwhile.
    case judgesBeforeReading = "judges-before-reading"

    /// Plants the bug into a node.
    func plant<S: Service>(in node: ServiceNode<S>, world: World) {
        switch self {
        case .judgesBeforeReading: break
        case .forgetsAppend:
            node.tamper = { effects in
                effects.filter { effect in
                    if case .append = effect { return !world.random.chance(1, of: 10) }
                    return true
                }
            }
        case .neverRepublishes:
            var connections = 0
            node.tamper = { effects in
                if effects.contains(where: { if case .subscribe = $0 { true } else { false } }) { connections += 1 }
                return connections < 2 ? effects : effects.filter { HeartbeatMutant.place($0, "liveness") == nil }
            }
        case .dropsAlerts:
            var count = 0
            node.tamper = { effects in
                effects.filter { effect in
                    guard let alert = HeartbeatMutant.place(effect, "alert"), !alert.payload.isEmpty else {
                        return true
                    }
                    count += 1
                    return count % 2 == 0
                }
            }
        case .keepsAlerts:
            node.tamper = { effects in
                effects.filter { HeartbeatMutant.place($0, "alert").map { !$0.payload.isEmpty } ?? true }
            }
        case .hidesSkips:
            node.tamper = { effects in
                effects.filter { effect in
                    HeartbeatMutant.place(effect, "event").map { !$0.topic.contains("SKIPPED") } ?? true
                }
            }
        }
    }

    /// The message that an effect publishes, if it goes to a topic of this class.
    private static func place(_ effect: ServiceEffect, _ word: String) -> OutboundMessage? {
        guard case .publish(let message) = effect, message.topic.contains("/\(Names.protocolLevel)/\(word)/") else {
            return nil
        }
        return message
    }
}

/// A heartbeat that lives through the time of its own sleep before it reads what came meanwhile, and believes that its
/// metrics come back at once: what heartbeat would be without a clock of its own.
struct ImpatientHeartbeat: Service {
    typealias Input = ServiceInput
    typealias Effect = ServiceEffect

    private var core: HeartbeatCore

    init(_ core: HeartbeatCore) { self.core = core }

    var nextWake: MonotonicTime? { core.nextWake }

    mutating func handle(_ input: ServiceInput, at now: Now, emitting output: inout [ServiceEffect]) {
        while let wake = core.nextWake, wake < now.monotonic {
            let back = now.monotonic - wake
            step(.wake, Now(wall: now.wall - back, monotonic: wake), &output)
        }
        step(input, now, &output)
    }

    private mutating func step(_ input: ServiceInput, _ now: Now, _ output: inout [ServiceEffect]) {
        var effects: [ServiceEffect] = []
        core.handle(input, at: now, emitting: &effects)
        output += effects
        for case .publish(let message) in effects where message.topic.hasSuffix("/metrics/heartbeat") {
            let echo = InboundMessage(topic: message.topic, payload: message.payload)
            core.handle(.message(echo), at: now, emitting: &output)
        }
    }

    mutating func replay(_ record: [UInt8]) throws(JournalError) { try core.replay(record) }
    func snapshot(_ emit: ([UInt8]) -> Void) { core.snapshot(emit) }
    func will() -> OutboundMessage? { core.will() }
    func checkInvariants() -> [String] { core.checkInvariants() }
}
