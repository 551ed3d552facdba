public import Contract
public import TimeModel
public import Wire

/// A name within a workspace: of an executor or a capability.
public struct ScopedName: Hashable, Sendable, Comparable {
    /// The workspace.
    public var workspace: String
    /// The name.
    public var name: String

    /// A name.
    public init(_ workspace: String, _ name: String) {
        self.workspace = workspace
        self.name = name
    }

    /// By workspace, then by name.
    public static func < (a: ScopedName, b: ScopedName) -> Bool { (a.workspace, a.name) < (b.workspace, b.name) }
}

/// What names a task (`topics/intents.md`): ids are unique for one principal of one workspace.
public struct TaskKey: Hashable, Sendable, Comparable {
    /// The workspace.
    public var workspace: String
    /// Who sent the intent.
    public var principal: String
    /// The sender's id.
    public var id: String

    /// A key.
    public init(_ workspace: String, _ principal: String, _ id: String) {
        self.workspace = workspace
        self.principal = principal
        self.id = id
    }

    /// By workspace, principal, id.
    public static func < (a: TaskKey, b: TaskKey) -> Bool {
        (a.workspace, a.principal, a.id) < (b.workspace, b.principal, b.id)
    }
}

/// Which step of which plan a task is.
public struct StepPlace: Hashable, Sendable {
    /// The plan's number.
    public var plan: Int
    /// The step's index in the plan, from 0.
    public var index: Int

    /// A place.
    public init(plan: Int, index: Int) {
        self.plan = plan
        self.index = index
    }
}

/// The names that a task shares with many others; they are kept once for all of them.
public final class TaskNames: Sendable, Hashable {
    /// The workspace.
    public let workspace: String
    /// Who sent the intent.
    public let principal: String
    /// What is to be run.
    public let capability: String
    /// Whose rights, rates, budgets and turns count.
    public let owner: String

    /// Names.
    public init(workspace: String, principal: String, capability: String, owner: String) {
        self.workspace = workspace
        self.principal = principal
        self.capability = capability
        self.owner = owner
    }

    /// Equal texts.
    public static func == (a: TaskNames, b: TaskNames) -> Bool {
        a === b
            || (a.principal == b.principal && a.capability == b.capability && a.workspace == b.workspace
                && a.owner == b.owner)
    }

    /// By all names.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(workspace)
        hasher.combine(principal)
        hasher.combine(capability)
        hasher.combine(owner)
    }
}

/// What does not change in the life of a task: the intent as it was accepted, with what was decided at acceptance.
///
/// It is shared by reference and never changes; a queued task costs this object, its texts and its input.
public final class TaskSpec: Sendable {
    /// The dispatcher's own number: rises with each acceptance, over restarts too.
    public let number: Int
    /// The sender's id.
    public let id: String
    /// The names it shares with others.
    public let names: TaskNames
    /// Of the intent's content; tells a repeated intent from a changed one.
    public let digest: ContentDigest
    /// When it was accepted.
    public let acceptedAt: WallTime
    /// When it must have ended.
    public let deadlineAt: WallTime
    /// What the capability gets; absent: `{}`.
    public let input: RawJSON?
    /// Time limit of one attempt the intent asks for, in ms; 0: the card's.
    public let timeoutMs: Int
    /// Whatever else the intent says; absent in the plain case.
    public let extras: TaskExtras?
    private let plan: Int
    private let stepIndex: Int32
    /// Its lane.
    public let priority: Priority
    /// Whether it may run more than once, cards considered.
    public let delivery: Delivery

    /// The parts that are decided when an intent is accepted.
    public struct Decision: Hashable, Sendable {
        /// The dispatcher's own number.
        public var number: Int
        /// Whose rights, rates, budgets and turns count.
        public var owner: String
        /// Its lane.
        public var priority: Priority
        /// Whether it may run more than once.
        public var delivery: Delivery
        /// When it was accepted.
        public var acceptedAt: WallTime
        /// When it must have ended.
        public var deadlineAt: WallTime
        /// For a step of a plan: which.
        public var step: StepPlace?

        /// A decision.
        public init(
            number: Int, owner: String, priority: Priority, delivery: Delivery, acceptedAt: WallTime,
            deadlineAt: WallTime, step: StepPlace? = nil
        ) {
            self.number = number
            self.owner = owner
            self.priority = priority
            self.delivery = delivery
            self.acceptedAt = acceptedAt
            self.deadlineAt = deadlineAt
            self.step = step
        }
    }

    /// A spec of an accepted intent; `names` are equal names that are kept already.
    public init(
        _ key: TaskKey, capability: String, intent: Intent, digest: ContentDigest, decision: Decision,
        names: TaskNames? = nil
    ) {
        id = key.id
        self.names =
            names
            ?? TaskNames(
                workspace: key.workspace, principal: key.principal, capability: capability, owner: decision.owner)
        self.digest = digest
        number = decision.number
        priority = decision.priority
        delivery = decision.delivery
        acceptedAt = decision.acceptedAt
        deadlineAt = decision.deadlineAt
        plan = decision.step?.plan ?? TaskSpec.noPlan
        stepIndex = Int32(clamping: decision.step?.index ?? 0)
        input = intent.input
        timeoutMs = intent.timeoutMs ?? 0
        extras = TaskExtras(intent)
    }

    private init(_ other: TaskSpec, names: TaskNames, input: RawJSON?, delivery: Delivery) {
        id = other.id
        self.names = names
        digest = other.digest
        number = other.number
        priority = other.priority
        self.delivery = delivery
        acceptedAt = other.acceptedAt
        deadlineAt = other.deadlineAt
        plan = other.plan
        stepIndex = other.stepIndex
        timeoutMs = other.timeoutMs
        extras = other.extras
        self.input = input
    }

    /// Stands for a task that is no step.
    private static let noPlan = Int.min

    /// The same with another input: a step's, once its references are resolved; or none, to save room.
    public func with(input: RawJSON?) -> TaskSpec {
        TaskSpec(self, names: names, input: input, delivery: delivery)
    }
    /// The same with equal names of another object.
    func with(names: TaskNames) -> TaskSpec {
        names === self.names ? self : TaskSpec(self, names: names, input: input, delivery: delivery)
    }
    /// The same, but never started a second time unless that is safe.
    var atMostOnce: TaskSpec { TaskSpec(self, names: names, input: input, delivery: .atMostOnce) }

    /// What names it.
    public var key: TaskKey { TaskKey(names.workspace, names.principal, id) }
    /// What is to be run.
    public var capability: String { names.capability }
    /// Whose rights, rates, budgets and turns count: the principal, or for services `origin.owner`.
    public var owner: String { names.owner }
    /// For a step of a plan: which.
    public var step: StepPlace? {
        plan == TaskSpec.noPlan ? nil : StepPlace(plan: plan, index: Int(stepIndex))
    }

    /// The intent again, with what was decided filled in.
    public var intent: Intent {
        var intent = extras?.intent ?? Intent()
        intent.input = input
        intent.timeoutMs = timeoutMs == 0 ? nil : timeoutMs
        intent.priority = priority
        intent.delivery = delivery
        return intent
    }

    /// What belongs together in events and logs.
    public var correlation: String { extras?.intent.context?.requestID ?? id }

    /// Roughly what it occupies, in bytes.
    public var size: Int {
        let extra = extras == nil ? 0 : 600
        return 400 + id.utf8.count + (input?.bytes.count ?? 0) + extra
    }

    /// Whether it is a plan.
    public var isPlan: Bool { capability == Names.planCapability }
    /// How many units of work, for the price.
    public var units: Int { extras?.intent.units ?? 1 }
    /// The most an attempt may cost.
    public var maxCost: Int? { extras?.intent.maxCost }
    /// Further attempts after the first.
    public var retryCount: Int { extras?.intent.retry?.count ?? Defaults.retryCount }
    /// First bound of the wait before a retry.
    public var retryDelayMs: Int { extras?.intent.retry?.delayMs ?? Defaults.retryDelayMs }
    /// Greatest bound of that wait.
    public var retryMaxDelayMs: Int { extras?.intent.retry?.maxDelayMs ?? Defaults.retryMaxDelayMs }
    /// The key whose holders are limited.
    public var concurrencyKey: String? { extras?.intent.concurrencyKey }
    /// Which updates its sender wants.
    public var updates: UpdateLevel { extras?.intent.updates ?? .accepted }
    /// Where it comes from, as its service says.
    public var origin: Origin? { extras?.intent.origin }
    /// The caller's own names.
    public var context: Context? { extras?.intent.context }
    /// After this moment no first attempt begins.
    public var expiresAt: WallTime? { extras?.intent.origin?.expiresAt }
    /// The mode the intent asks for.
    public var mode: Mode { extras?.intent.mode ?? .undecided }
}

extension TaskSpec: Equatable {
    /// Equal parts.
    public static func == (a: TaskSpec, b: TaskSpec) -> Bool {
        a === b
            || (a.number == b.number && a.id == b.id && a.names == b.names && a.digest == b.digest
                && a.priority == b.priority && a.delivery == b.delivery
                && a.acceptedAt == b.acceptedAt && a.deadlineAt == b.deadlineAt && a.input == b.input
                && a.timeoutMs == b.timeoutMs && a.step == b.step && a.extras?.intent == b.extras?.intent)
    }
}

/// The fields of an intent that most intents do not have.
public final class TaskExtras: Sendable {
    /// The intent without input, time limit, priority and delivery, which the spec holds itself.
    public let intent: Intent

    /// The rest of an intent; `nil` when there is none.
    public init?(_ intent: Intent) {
        var rest = intent
        rest.input = nil
        rest.timeoutMs = nil
        rest.priority = nil
        rest.delivery = nil
        rest.deadlineMs = nil
        if rest == Intent() { return nil }
        self.intent = rest
    }
}
