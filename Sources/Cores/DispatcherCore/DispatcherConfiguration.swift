import Contract
public import Wire

/// How push and pull are compared.
public enum Routing: String, CaseIterable, Hashable, Sendable {
    /// Push first, by score; then pull.
    case score
    /// Both together, by cost.
    case costFirst = "cost_first"
}

/// A rate: at most `burst` at once, `perSecond` in the long run.
public struct RateRule: Hashable, Sendable {
    /// Tasks of this principal, taken at acceptance; `*`: of every single one.
    public var owner: String?
    /// Grants of this capability.
    public var capability: String?
    /// Together with `capability`: grants of this pair.
    public var executor: String?
    /// Only in this workspace; absent: in all, each by itself. Without owner and capability: all intents of this
    /// workspace together; `*`: of every single one.
    public var workspace: String?
    /// Per second; from 1.
    public var perSecond: Int
    /// At once; from 1.
    public var burst: Int
}

/// A budget: how much may be spent in a period.
public struct BudgetRule: Hashable, Sendable {
    /// The workspace it is for; absent: `owner` in all workspaces.
    public var workspace: String?
    /// The owner it is for; absent: the workspace as a whole.
    public var owner: String?
    /// Length of a period in ms; periods begin at multiples of it since 1970.
    public var periodMs: Int
    /// Micro-units per period.
    public var amount: Int
}

/// How much room a workspace may take.
public struct WorkspaceQuota: Hashable, Sendable {
    /// Live tasks.
    public var tasks = Limits.tasks
    /// Bytes of live tasks.
    public var taskBytes = Limits.taskBytes
}

/// How many may hold a concurrency key at one time.
public struct KeyLimit: Hashable, Sendable {
    /// A key, or the beginning of keys followed by `*`.
    public var pattern: String
    /// From 1.
    public var limit: Int
}

/// When circuits open, for capabilities of a pattern.
public struct CircuitThresholds: Hashable, Sendable {
    /// A capability, or the beginning of names followed by `*`.
    public var capability: String
    /// Failures in a row that open it; 5 unless set.
    public var failures: Int?
    /// Outcomes that must be known before half of them being failures opens it; 10 unless set.
    public var sample: Int?
}

/// What an operator can set (`topics/broker.md`, configuration): the section `dispatcher` of the configuration file.
public struct DispatcherConfiguration: Hashable, Sendable {
    /// Workspaces that are served; empty: all.
    public var workspaces: [String] = []
    /// Name of this instance in its service record; fixed by the state directory.
    public var instance = "main"
    /// Version of the program.
    public var version = "0"
    /// Accounts whose `origin` and `listeners` are believed.
    public var services = ["dispatcher", "heartbeat", "monitor", "scheduler"]
    /// Rules by workspace, as written; judged as a whole by the policy.
    public var policy: RawJSON?
    /// Rates; none unless set.
    public var rates: [RateRule] = []
    /// Budgets; none unless set.
    public var budgets: [BudgetRule] = []
    /// Share of an owner within its lane; 1 unless set.
    public var weights: [String: Int] = [:]
    /// Limits of concurrency keys; 1 unless set.
    public var keyLimits: [KeyLimit] = []
    /// Thresholds of circuits.
    public var circuits: [CircuitThresholds] = []
    /// For how many ms a capability waits for busy push executors before claims are served.
    public var pushWaitMs: [String: Int] = [:]
    /// How push and pull are compared.
    public var routing = Routing.score
    /// Whether the life of each task is told in events.
    public var taskEvents = false
    /// Longest time limit of an attempt in ms.
    public var timeoutCapMs = Limits.timeoutCapMs
    /// Whether the broker handles MQTT 5 Message Expiry well.
    public var messageExpiry = false
    /// Live tasks in all.
    public var tasks = Limits.tasks
    /// Bytes of live tasks.
    public var taskBytes = Limits.taskBytes
    /// Live tasks of one owner.
    public var tasksPerOwner = Limits.tasksPerOwner
    /// Live tasks of one capability.
    public var tasksPerCapability = Limits.tasksPerCapability
    /// Room by workspace; `*` is for each that is not named.
    public var quotas: [String: WorkspaceQuota] = [:]
    /// Ids remembered after the end of their tasks.
    public var idMemory = Limits.idMemory

    /// The defaults.
    public init() {}

    /// Its name among the cells of the service; `nil` where it is the only one.
    var cell: String? { workspaces.isEmpty ? nil : instance }

    /// Whether a workspace is served.
    public func serves(_ workspace: String) -> Bool { workspaces.isEmpty || workspaces.contains(workspace) }

    /// The room of a workspace.
    func quota(of workspace: String) -> WorkspaceQuota { quotas[workspace] ?? quotas["*"] ?? WorkspaceQuota() }

    /// How many may hold a concurrency key: the first pattern that fits, else 1.
    public func limit(ofKey key: String) -> Int {
        for rule in keyLimits where DispatcherConfiguration.matches(key, rule.pattern) { return rule.limit }
        return 1
    }

    /// Whether a name fits a pattern: the name itself, or a beginning followed by `*`.
    public static func matches(_ name: String, _ pattern: String) -> Bool {
        if pattern.utf8.last == UInt8(ascii: "*") { return name.utf8.starts(with: pattern.utf8.dropLast()) }
        return name == pattern
    }
}
