import Contract
import Determinism
import Machine
import Wire

/// A bug that is planted to see whether its checker finds it. Never on unless asked for by name. The invariants of the
/// core's state have their planted bugs in the core's own tests.
public enum Mutant: String, CaseIterable, Hashable, Sendable {
    /// Now and then an assignment carries the epoch of the one before.
    case reusesEpoch = "reuses-epoch"
    /// A result is told a second time with another content.
    case changesResult = "changes-result"
    /// An outcome of an old epoch is taken for the newest one.
    case takesStale = "takes-stale"
    /// An executor that was granted a task gets it again under another epoch.
    case grantsTwice = "grants-twice"
    /// The dispatcher's clock runs fast by a half, so that leases end early.
    case hurries
    /// Workers forget their deadline.
    case forgetsDeadline = "forgets-deadline"
    /// The rates of the configuration are not kept.
    case ignoresRates = "ignores-rates"
    /// Concurrency keys are not seen.
    case ignoresKeys = "ignores-keys"
    /// A circuit closes without having been half open.
    case skipsHalfOpen = "skips-half-open"
    /// Some requests are never answered.
    case doesNotAnswer = "does-not-answer"
    /// A request that comes twice runs twice.
    case runsDuplicates = "runs-duplicates"
    /// Dedup keys are not seen.
    case ignoresDedup = "ignores-dedup"
    /// An attached sender gets a result of its own.
    case altersAttached = "alters-attached"
    /// One record in ten never reaches the journal.
    case forgetsAppend = "forgets-append"
    /// Publishes and acknowledges before the journal is synced.
    case speaksBeforeSync = "speaks-before-sync"
    /// The term of a start is not journaled.
    case forgetsTerm = "forgets-term"
    /// Results leave out what was wasted.
    case hidesWaste = "hides-waste"
    /// Budgets are not kept.
    case ignoresBudgets = "ignores-budgets"
    /// A canceled task is given out once more.
    case grantsCanceled = "grants-canceled"
    /// Steps of plans do not wait for their needs.
    case ignoresNeeds = "ignores-needs"
    /// A plan's `max_cost` is not seen.
    case ignoresPlanCost = "ignores-plan-cost"
    /// Some results are never told.
    case swallowsResults = "swallows-results"
    /// One owner has so large a share that the others hardly get a turn.
    case starvesOthers = "starves-others"
    /// The end of an executor is not heard.
    case ignoresWills = "ignores-wills"
    /// Outcomes are never confirmed.
    case neverConfirms = "never-confirms"
    /// A circuit that closes is not told of.
    case hidesClosed = "hides-closed"
    /// One of equal owners has a double share.
    case favorsOne = "favors-one"
    /// After a reconnect no view is published again.
    case neverRepublishes = "never-republishes"

    /// The id of the checker that must find it.
    public var target: String {
        switch self {
        case .reusesEpoch: "I2"
        case .changesResult: "I3"
        case .takesStale: "I4"
        case .grantsTwice: "I5"
        case .hurries: "I6"
        case .forgetsDeadline: "I7"
        case .ignoresRates, .ignoresKeys: "I10"
        case .skipsHalfOpen: "I14"
        case .doesNotAnswer: "I15"
        case .runsDuplicates, .ignoresDedup: "I16"
        case .altersAttached: "I17"
        case .forgetsAppend: "I18"
        case .speaksBeforeSync: "I19"
        case .forgetsTerm: "I20"
        case .hidesWaste, .ignoresBudgets: "I21"
        case .grantsCanceled: "I24"
        case .ignoresNeeds: "I25"
        case .ignoresPlanCost: "I26"
        case .swallowsResults: "I27"
        case .starvesOthers: "I28"
        case .ignoresWills: "I29"
        case .neverConfirms: "I30"
        case .hidesClosed: "I31"
        case .favorsOne: "I32"
        case .neverRepublishes: "G-15"
        }
    }

    /// Whether it shows in the run that measures shares rather than in a swarm.
    var isOfShares: Bool { self == .starvesOthers || self == .favorsOne }

    /// Whether its checker speaks in a report.
    public func isFound(in report: RunReport) -> Bool {
        report.violations.contains { $0.hasPrefix("\(target) ") }
    }
}

/// How the bugs get in.
extension Mutant {
    /// Plants the bug into a node.
    func plant<S: Service>(in node: ServiceNode<S>, world: World, history: History) {
        switch self {
        case .speaksBeforeSync: node.speaksBeforeSync = true
        case .hurries: node.clock.ratePermille = 500
        case .takesStale: node.tamperMessage = { Mutant.freshen($0, history) }
        case .ignoresKeys: node.tamperMessage = { Mutant.change($0) { $0.concurrencyKey = nil } }
        case .ignoresDedup: node.tamperMessage = { Mutant.change($0) { $0.dedupKey = nil } }
        case .ignoresPlanCost: node.tamperMessage = Mutant.withoutPlanCost
        case .ignoresNeeds: node.tamperMessage = Mutant.withoutNeeds
        case .ignoresWills: node.tamperMessage = Mutant.withoutWill
        case .runsDuplicates: plantDuplicates(node)
        case .forgetsDeadline, .ignoresRates, .ignoresBudgets, .starvesOthers, .favorsOne: break
        default: plantEffects(node, world, history)
        }
    }

    private func plantEffects<S: Service>(_ node: ServiceNode<S>, _ world: World, _ history: History) {
        switch self {
        case .forgetsAppend: node.tamper = { $0.filter { !$0.isAppend || !world.random.chance(1, of: 10) } }
        case .forgetsTerm: node.tamper = { $0.filter { $0.line?.kind != "T" } }
        case .skipsHalfOpen:
            node.tamper = { effects in
                effects.filter { $0.line?.circuit.flatMap { JSONValue($0)["state"]?.stringValue } != "half_open" }
            }
        case .reusesEpoch: plantEpochs(node, world)
        case .neverRepublishes: plantSilence(node)
        case .doesNotAnswer: node.tamper = { $0.filter { !Mutant.isAnswer($0, ofTasksEndingWith: "7", all: true) } }
        case .swallowsResults: node.tamper = { $0.filter { !Mutant.isAnswer($0, ofTasksEndingWith: "7", all: false) } }
        case .hidesClosed: node.tamper = { $0.filter { !Mutant.isClosedView($0) } }
        case .neverConfirms: node.tamper = { $0.map(Mutant.withoutConfirmations) }
        case .hidesWaste:
            node.tamper = { effects in effects.map { Mutant.change($0) { _, result in result.wastedCost = 0 } } }
        case .changesResult: plantSecondThought(node)
        case .altersAttached:
            node.tamper = { effects in
                let keys = history.attachedKeys
                return effects.map { effect in
                    Mutant.change(effect) { key, result in
                        if keys.contains(key), result.acceptedAt != nil { result.durationMs = 4_711 }
                    }
                }
            }
        case .grantsTwice:
            node.tamper = { effects in
                effects.flatMap { effect in
                    guard world.random.chance(1, of: 10), let again = Mutant.grantAgain(effect) else { return [effect] }
                    return [effect, again]
                }
            }
        case .grantsCanceled: plantRevival(node)
        default: break
        }
    }
}
