import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Holds heartbeat's verdicts against the truth that only the executors know.
final class PulseLedger {
    private let world: World
    private let history: History
    private let beaters: [ScriptedBeater]
    /// When each executor was last called offline after it had not been.
    private var offlineSince: [String: Int] = [:]
    private var verdicts: [String: Verdict] = [:]
    /// Since when each is called what it is called.
    private var sinces: [String: WallTime] = [:]
    /// When heartbeat last said that it listens.
    private var listensSince = 0
    /// Until when messages may have been lost with the broker's state.
    var isLossyUntil = 0
    /// Whether any verdict against an executor is a violation, for runs in which none ever fails.
    var forbidsAll = false
    /// How many verdicts were published.
    private(set) var published = 0

    /// Clocks are up to one percent wrong; packets take some ms.
    private static let slackMs = 150

    init(_ world: World, _ history: History, _ beaters: [ScriptedBeater]) {
        self.world = world
        self.history = history
        self.beaters = beaters
    }

    /// Takes what any client published.
    func observe(_ username: String, _ message: InboundMessage) {
        if let beater = beaters.first(where: { $0.name == username }) { return beater.arrived() }
        if username == "heartbeat", message.topic.hasPrefix("_sys/martlet1/service/heartbeat/") {
            listensSince = world.time
            return
        }
        guard username == "heartbeat", let topic = Topic(message.topic), case .liveness(let name) = topic.place,
            !message.payload.isEmpty, let beater = beaters.first(where: { $0.name == name })
        else { return }
        do { judge(try LivenessView(decoding: message.payload), beater) } catch {
            history.violate("contract", "\(message.topic) does not decode: \(error)")
        }
    }

    private func judge(_ view: LivenessView, _ beater: ScriptedBeater) {
        published += 1
        history.saw("verdict \(view.verdict.rawValue)")
        // A verdict keeps its `since` when only something else of the view is new, such as the status of a Will whose
        // birth waits behind it.
        let isKept = view.since != nil && sinces[beater.name] == view.since
        let isRepeated =
            verdicts[beater.name] == view.verdict && (isKept || world.time - listensSince <= PulseLedger.slackMs)
        sinces[beater.name] = view.since
        if view.verdict == .offline, verdicts[beater.name] != .offline { offlineSince[beater.name] = world.time }
        verdicts[beater.name] = view.verdict
        if forbidsAll, [.offline, .stale].contains(view.verdict) {
            history.violate("liveness", "\(beater.name) was called \(view.verdict.rawValue) although nobody failed")
        }
        switch view.reason {
        // After a reconnect what was said before is said again: who was silent stays it until it is heard.
        case .silence? where isRepeated: break
        case .silence?:
            let periods = view.verdict == .offline ? 3 : 2
            let silent = beater.silence(but: PulseLedger.slackMs)
            var least = periods * beater.beatMs * 98 / 100 - PulseLedger.slackMs
            // What was sent while heartbeat did not listen may be lost with the broker's state: half a beat is taken as
            // the age then.
            if world.time - listensSince <= least { least -= beater.beatMs / 2 }
            if silent < least, world.time > isLossyUntil {
                history.violate(
                    "liveness",
                    "\(beater.name) was called \(view.verdict.rawValue) after \(silent) ms of silence, "
                        + "it beats every \(beater.beatMs)")
            }
        // A view names the boot that it is about: what was under way when the connection broke is sent again, and speaks
        // of the boot before. The check at the end has none of it.
        case .lost?:
            let isOfThisLife = view.boot == nil || view.boot == beater.bootName
            if isOfThisLife, beater.isKnownToBeThere(for: PulseLedger.slackMs), world.time > isLossyUntil {
                history.violate("liveness", "\(beater.name) was called lost, but is there")
            }
        default: break
        }
    }

    /// Checks that all ended as it should have: the living are well, the dead were found out in time.
    func check(healedAt: Int) {
        for beater in beaters {
            let verdict = verdicts[beater.name]
            switch beater.condition {
            case .alive:
                if ![.ready, .running, .busy].contains(verdict) {
                    history.violate("liveness", "\(beater.name) lives, and is called \(verdict?.rawValue ?? "nothing")")
                }
            case .killed, .left: checkOffline(beater, within: 2000)
            case .frozen:
                let sinceLast = beater.since - beater.lastArrival
                checkOffline(beater, within: 3 * beater.beatMs * 102 / 100 + 1000 - sinceLast)
            }
        }
    }

    private func checkOffline(_ beater: ScriptedBeater, within bound: Int) {
        guard verdicts[beater.name] == .offline, let since = offlineSince[beater.name] else {
            let said = verdicts[beater.name]?.rawValue ?? "nothing"
            return history.violate("liveness", "\(beater.name) is \(beater.condition.rawValue), and is called \(said)")
        }
        let took = since - beater.since
        history.saw("found out \(beater.condition.rawValue)")
        if took > bound + PulseLedger.slackMs {
            history.violate("liveness", "\(beater.name) was \(beater.condition.rawValue) for \(took) ms unnoticed")
        }
    }
}
