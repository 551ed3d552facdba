import Contract
import Determinism
import TimeModel

/// Token buckets by the rules of the configuration (`topics/tasks.md`, rates). A bucket that is full is not kept.
struct RateTable: Sendable {
    private struct Key: Hashable, Sendable {
        var rule: Int
        var workspace: String
        var name: String
    }

    private var buckets: [Key: TokenBucket] = [:]
    private var emptyAt: MonotonicTime?

    /// Full buckets; or, after a restart at `emptyAt`, empty ones, since what was given before is not known.
    init(emptyAt: MonotonicTime? = nil) { self.emptyAt = emptyAt }

    /// A bucket nothing is known of.
    private func fresh(_ rule: RateRule, at now: MonotonicTime) -> TokenBucket {
        TokenBucket(
            perSecond: rule.perSecond, burst: rule.burst, at: emptyAt ?? now, isFull: emptyAt == nil)
    }

    private func bucket(_ key: Key, _ configuration: DispatcherConfiguration, at now: MonotonicTime) -> TokenBucket {
        buckets[key] ?? fresh(configuration.rates[key.rule], at: now)
    }

    /// Takes a token of each rule for an owner and for its workspace; `nil` when all had one, else when there is one
    /// again.
    mutating func takeOwner(
        _ owner: ScopedName, _ configuration: DispatcherConfiguration, at now: MonotonicTime
    ) -> MonotonicTime? {
        var keys: [Key] = []
        for (index, rule) in configuration.rates.enumerated() where rule.capability == nil {
            let fits = rule.workspace == nil || rule.workspace == owner.workspace || rule.workspace == "*"
            guard fits, rule.owner.map({ DispatcherConfiguration.matches(owner.name, $0) }) ?? true else { continue }
            keys.append(Key(rule: index, workspace: owner.workspace, name: rule.owner == nil ? "" : owner.name))
        }
        return take(keys, configuration, at: now)
    }

    /// Takes the tokens of a grant.
    mutating func take(
        _ capability: String, _ executor: ScopedName, _ configuration: DispatcherConfiguration, at now: MonotonicTime
    ) {
        _ = take(RateTable.keys(capability, executor, configuration), configuration, at: now)
    }

    /// `nil` when a grant is allowed now, else when it is.
    func opening(
        _ capability: String, _ executor: ScopedName, _ configuration: DispatcherConfiguration, at now: MonotonicTime
    ) -> MonotonicTime? {
        var latest: MonotonicTime?
        for key in RateTable.keys(capability, executor, configuration) {
            let bucket = bucket(key, configuration, at: now)
            if !bucket.hasToken(at: now) { latest = max(bucket.next(at: now), latest ?? now) }
        }
        return latest
    }

    /// `nil` when the rates of a capability as a whole allow a grant now, else when they do.
    func opening(
        ofAll capability: String, in workspace: String, _ configuration: DispatcherConfiguration,
        at now: MonotonicTime
    ) -> MonotonicTime? {
        var latest: MonotonicTime?
        for (index, rule) in configuration.rates.enumerated() where rule.executor == nil {
            guard let pattern = rule.capability, DispatcherConfiguration.matches(capability, pattern),
                rule.workspace == nil || rule.workspace == workspace
            else { continue }
            let bucket = bucket(Key(rule: index, workspace: workspace, name: capability), configuration, at: now)
            if !bucket.hasToken(at: now) { latest = max(bucket.next(at: now), latest ?? now) }
        }
        return latest
    }

    /// The name of a bucket that holds more than its rule allows.
    func fault(_ configuration: DispatcherConfiguration, at now: MonotonicTime) -> String? {
        buckets.filter { key, bucket in
            !configuration.rates.indices.contains(key.rule)
                || !bucket.isWithin(configuration.rates[key.rule].burst, at: now)
        }.map(\.key.name).min()
    }

    private static func keys(
        _ capability: String, _ executor: ScopedName, _ configuration: DispatcherConfiguration
    ) -> [Key] {
        var keys: [Key] = []
        for (index, rule) in configuration.rates.enumerated() {
            guard let pattern = rule.capability, DispatcherConfiguration.matches(capability, pattern),
                rule.workspace == nil || rule.workspace == executor.workspace
            else { continue }
            if let wanted = rule.executor {
                guard DispatcherConfiguration.matches(executor.name, wanted) else { continue }
                keys.append(Key(rule: index, workspace: executor.workspace, name: "\(capability)/\(executor.name)"))
            } else {
                keys.append(Key(rule: index, workspace: executor.workspace, name: capability))
            }
        }
        return keys
    }

    private mutating func take(
        _ keys: [Key], _ configuration: DispatcherConfiguration, at now: MonotonicTime
    ) -> MonotonicTime? {
        var latest: MonotonicTime?
        for key in keys {
            let bucket = bucket(key, configuration, at: now)
            if !bucket.hasToken(at: now) { latest = max(bucket.next(at: now), latest ?? now) }
        }
        if let latest { return latest }
        for key in keys {
            var bucket = bucket(key, configuration, at: now)
            _ = bucket.take(at: now)
            buckets[key] = bucket
        }
        if buckets.count > Limits.buckets { buckets = buckets.filter { !$0.value.isFull(at: now) } }
        return nil
    }
}

/// Budgets by the rules of the configuration (`topics/tasks.md`, budgets).
struct SpendingTable: Sendable {
    private struct Key: Hashable, Sendable {
        var rule: BudgetRule
        var workspace: String

        /// What it is called in the journal.
        var name: String { "\(workspace)/\(rule.owner ?? "")/\(rule.periodMs)" }
    }

    private var budgets: [Key: Budget] = [:]

    /// The same without the budgets of rules that are gone.
    func keeping(_ configuration: DispatcherConfiguration) -> SpendingTable {
        var kept = self
        kept.budgets = budgets.filter { configuration.budgets.contains($0.key.rule) }
        return kept
    }

    private func keys(_ spec: TaskSpec, _ configuration: DispatcherConfiguration) -> [Key] {
        configuration.budgets.compactMap { rule in
            guard rule.workspace == nil || rule.workspace == spec.key.workspace,
                rule.owner == nil || rule.owner == spec.owner
            else { return nil }
            return Key(rule: rule, workspace: rule.workspace ?? "")
        }
    }

    /// `nil` when `cost` may be spent for a task now, else when the next period begins.
    func opening(
        _ cost: Int, _ spec: TaskSpec, _ configuration: DispatcherConfiguration, at now: WallTime
    ) -> WallTime? {
        var latest: WallTime?
        for key in keys(spec, configuration) {
            let budget =
                budgets[key] ?? Budget(periodMs: key.rule.periodMs, amount: key.rule.amount, at: now)
            if budget.allows(cost, at: now) { continue }
            latest = max(budget.nextPeriod(at: now), latest ?? now)
        }
        return latest
    }

    /// Whether `cost` is more than a whole period of a budget allows.
    func neverAllows(
        _ cost: Int, _ spec: TaskSpec, _ configuration: DispatcherConfiguration, at now: WallTime
    ) -> Bool {
        keys(spec, configuration).contains { key in
            Budget(periodMs: key.rule.periodMs, amount: key.rule.amount, at: now).neverAllows(cost)
        }
    }

    /// Sets `cost` aside at a grant.
    mutating func reserve(
        _ cost: Int, _ spec: TaskSpec, _ configuration: DispatcherConfiguration, at now: WallTime
    ) {
        for key in keys(spec, configuration) {
            var budget = budgets[key] ?? Budget(periodMs: key.rule.periodMs, amount: key.rule.amount, at: now)
            budget.reserve(cost, at: now)
            budgets[key] = budget
        }
    }

    /// After a start: sets aside again what an attempt that is still under way had set aside.
    mutating func reserve(
        _ cost: Int, _ spec: TaskSpec, _ configuration: DispatcherConfiguration, grantedAt: WallTime, at now: WallTime
    ) {
        for key in keys(spec, configuration) {
            guard Budget.index(of: grantedAt, key.rule.periodMs) == Budget.index(of: now, key.rule.periodMs) else {
                continue
            }
            var budget = budgets[key] ?? Budget(periodMs: key.rule.periodMs, amount: key.rule.amount, at: now)
            budget.reserve(cost, at: now)
            budgets[key] = budget
        }
    }

    /// What is spent of the budgets a task counts in, by their names in the journal.
    func state(
        of spec: TaskSpec, _ configuration: DispatcherConfiguration
    ) -> [(name: String, spent: PeriodSpending)] {
        keys(spec, configuration).compactMap { key in
            budgets[key].map { (key.name, PeriodSpending(period: $0.period, amount: $0.spent)) }
        }
    }

    /// What is spent of all budgets in their present periods, by their names in the journal; `replayed` is what a
    /// journal that is being read has said so far.
    func all(
        _ replayed: [String: PeriodSpending], _ configuration: DispatcherConfiguration, at now: WallTime
    ) -> [String: PeriodSpending] {
        var all: [String: PeriodSpending] = [:]
        func add(_ name: String, _ spent: PeriodSpending, _ periodMs: Int) {
            if spent.amount > 0, spent.period == Budget.index(of: now, periodMs) { all[name] = spent }
        }
        for rule in configuration.budgets {
            let key = Key(rule: rule, workspace: rule.workspace ?? "")
            if let spent = replayed[key.name] { add(key.name, spent, rule.periodMs) }
            if let own = budgets[key] {
                add(key.name, PeriodSpending(period: own.period, amount: own.spent), rule.periodMs)
            }
        }
        return all
    }

    /// What each rule allows in a period, and what is spent and set aside of it now, in the rules' order.
    func standing(
        _ configuration: DispatcherConfiguration, at now: WallTime
    ) -> [(rule: BudgetRule, spent: Int, reserved: Int)] {
        configuration.budgets.map { rule in
            let standing = budgets[Key(rule: rule, workspace: rule.workspace ?? "")]?.standing(at: now)
            return (rule, standing?.spent ?? 0, standing?.reserved ?? 0)
        }
    }

    /// Takes over what the journal says of the present periods.
    mutating func restore(
        _ replayed: [String: PeriodSpending], _ configuration: DispatcherConfiguration, at now: WallTime
    ) {
        for rule in configuration.budgets {
            let key = Key(rule: rule, workspace: rule.workspace ?? "")
            guard let spent = replayed[key.name] else { continue }
            var budget = Budget(periodMs: rule.periodMs, amount: rule.amount, at: now)
            budget.restore(spent: spent.amount, period: spent.period)
            budgets[key] = budget
        }
    }

    /// The name of a budget whose attempts under way are expected to cost another sum than it has set aside.
    func fault(
        _ tasks: NumberTable<TaskRecord>, _ leases: NumberTable<Lease>, _ configuration: DispatcherConfiguration,
        at now: WallTime
    ) -> String? {
        var sums: [Key: Int] = [:]
        for number in leases.keys {
            guard let lease = leases[number], lease.estimate > 0, let spec = tasks[number]?.spec else { continue }
            for key in keys(spec, configuration)
            where Budget.index(of: lease.grantedAt, key.rule.periodMs) == budgets[key]?.period {
                sums[key, default: 0] += lease.estimate
            }
        }
        return budgets.filter { $0.value.reserved != sums[$0.key] ?? 0 }.map(\.key.name).min()
    }

    /// Settles an attempt.
    mutating func settle(
        _ end: SpendingEnd, _ spec: TaskSpec, _ configuration: DispatcherConfiguration, at now: WallTime
    ) {
        for key in keys(spec, configuration) {
            budgets[key]?.settle(reserved: end.reserved, actual: end.actual, grantedAt: end.grantedAt, at: now)
        }
    }
}

/// What an attempt had set aside, and what it cost.
struct SpendingEnd: Hashable, Sendable {
    /// Set aside at the grant.
    var reserved: Int
    /// What it cost.
    var actual: Int
    /// When it was granted.
    var grantedAt: WallTime
}

/// What was spent in a period, by the period's number.
struct PeriodSpending: Hashable, Sendable {
    /// Periods since 1970.
    var period: Int
    /// Micro-units.
    var amount: Int
}
