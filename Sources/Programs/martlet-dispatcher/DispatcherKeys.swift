import Contract
import Shell

/// What can be configured of a dispatcher.
enum DispatcherKeys {
    static let all = [
        ConfigurationKey(
            "dispatcher.workspaces", .list,
            help: "Workspaces that are served, where this is one of several cells; none: all.", needsRestart: true),
        ConfigurationKey(
            "dispatcher.services", .list, standard: "dispatcher,heartbeat,monitor,scheduler",
            help: "Accounts whose origin and listeners are believed."),
        ConfigurationKey(
            "dispatcher.task_events", .bool, standard: "false", help: "Tells the life of every task in events."),
        ConfigurationKey(
            "dispatcher.routing", .word(["score", "cost_first"]), standard: "score",
            help: "score: push before pull; cost_first: the cheapest of both."),
        ConfigurationKey(
            "dispatcher.timeout_cap_ms", .duration(1...86_400_000), standard: "\(Limits.timeoutCapMs)",
            help: "The longest time limit of an attempt that applies."),
        ConfigurationKey(
            "dispatcher.policy", .json, help: "Rules by workspace: {WORKSPACE: [{id, priority, effect, ...}]}."),
        ConfigurationKey(
            "dispatcher.rates", .json,
            help: "Token buckets: [{owner | capability, executor | workspace, per_s, burst}]."),
        ConfigurationKey(
            "dispatcher.budgets", .json, help: "Budgets: [{workspace | owner, period_ms, amount}]."),
        ConfigurationKey(
            "dispatcher.quotas", .json, help: "Room of workspaces: {WORKSPACE or *: {tasks, task_bytes}}."),
        ConfigurationKey(
            "dispatcher.weights", .json, help: "Shares of owners in their lane: {OWNER: 1 to 1000}."),
        ConfigurationKey(
            "dispatcher.key_limits", .json, help: "Holders of concurrency keys: [{key, limit}]."),
        ConfigurationKey(
            "dispatcher.circuits", .json, help: "Thresholds of circuits: [{capability, failures, sample}]."),
        ConfigurationKey(
            "dispatcher.push_wait_ms", .json,
            help: "How long a capability waits for busy push executors before claims are served: {CAPABILITY: ms}."),
        ConfigurationKey(
            "dispatcher.limits", .json,
            help: "Lower limits: {tasks, task_bytes, tasks_per_owner, tasks_per_capability, id_memory}."),
    ]
}
