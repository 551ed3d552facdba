import Contract
import DispatcherCore
import Wire

/// A token bucket as generous as a clock that is one percent fast makes it; counts in millionths of a token.
private struct GenerousBucket {
    private let rule: RateRule
    private var tokens: Int
    private var at: Int?

    init(_ rule: RateRule) {
        self.rule = rule
        tokens = rule.burst * 1_000_000
    }

    /// Takes a token; false when there can be none.
    mutating func take(at time: Int) -> Bool {
        if let at { tokens = min(rule.burst * 1_000_000, tokens + (time - at) * rule.perSecond * 1011) }
        at = time
        tokens -= 1_000_000
        // A clock that shows whole milliseconds may be one ahead.
        return tokens >= -rule.perSecond * 2000
    }
}

/// I10: grants in any window are at most burst and rate allow; holders of a concurrency key are at most its limit.
func checkI10(_ history: History) -> [Breach] { checkRates(history) + checkKeyHolders(history) }

private func checkRates(_ history: History) -> [Breach] {
    let rates = history.setup.configuration.rates
    guard !rates.isEmpty else { return [] }
    var breaches: [Breach] = []
    var buckets: [String: GenerousBucket] = [:]
    var granted: Set<Int> = []
    var capabilities: [Int: String] = [:]
    func take(_ rule: Int, _ name: String, _ time: Int) {
        let key = "\(rule) \(name)"
        var bucket = buckets[key] ?? GenerousBucket(rates[rule])
        if !bucket.take(at: time) { breaches.append(Breach(time, "more grants of \(name) than its rate allows")) }
        buckets[key] = bucket
    }
    for entry in history.lines {
        let line = entry.line
        if line.kind == "a" {
            capabilities[line.number] = line.capability
            guard line.plan == nil, !line.id.contains("~r") else { continue }
            for (index, rule) in rates.enumerated() where rule.owner != nil { take(index, line.principal, entry.time) }
        }
        guard line.kind == "t", let lease = line.lease, granted.insert(lease.epoch).inserted,
            let capability = capabilities[line.number]
        else { continue }
        for (index, rule) in rates.enumerated() {
            guard let pattern = rule.capability, DispatcherConfiguration.matches(capability, pattern) else { continue }
            take(index, rule.executor == nil ? capability : "\(capability)/\(lease.executor)", entry.time)
        }
    }
    return breaches
}

private func checkKeyHolders(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var keys: [Int: String] = [:]
    var holders: [String: Set<Int>] = [:]
    for entry in history.lines {
        let line = entry.line
        switch line.kind {
        case "a":
            let name = History.Key(workspace: line.workspace, principal: line.principal, id: line.id)
            keys[line.number] = history.intents[name]?.concurrencyKey
        case "t", "e":
            guard let key = keys[line.number] else { continue }
            guard line.lease != nil else {
                holders[key]?.remove(line.number)
                continue
            }
            holders[key, default: []].insert(line.number)
            let limit = history.setup.configuration.limit(ofKey: key)
            if holders[key, default: []].count > limit {
                breaches.append(Breach(entry.time, "\(holders[key, default: []].count) hold the key \(key)"))
            }
        default: break
        }
    }
    return breaches
}

/// I14: circuits go closed, open, half_open, closed or open, or by force; open lasts at least 0.8 of its base.
func checkI14(_ history: History) -> [Breach] {
    struct Seen {
        var state = "closed"
        var time = 0
        var trips = 0
        var why: String?
        var isForced = false
    }
    var breaches: [Breach] = []
    var circuits: [String: Seen] = [:]
    for entry in history.lines where entry.line.kind == "c" {
        let line = entry.line
        let name = "\(line.capability)/\(line.executor ?? "*")"
        let old = circuits[name] ?? Seen()
        guard let raw = line.circuit else {
            circuits[name] = nil
            continue
        }
        let circuit = JSONValue(raw)
        var new = old
        new.state = circuit["state"]?.stringValue ?? ""
        new.trips = circuit["trips"]?.intValue ?? 0
        new.why = circuit["why"]?.stringValue
        new.isForced = circuit["forced_by"]?.stringValue != nil
        guard new.state != old.state else {
            // A quota opens an open circuit anew.
            if new.trips != old.trips || new.why != old.why || new.isForced != old.isForced { new.time = entry.time }
            circuits[name] = new
            continue
        }
        new.time = entry.time
        circuits[name] = new
        let legal = ["closed open", "open half_open", "half_open closed", "half_open open"]
        // A crash may have kept back the reply of a command that was carried out.
        let isCommand = history.circuitCommands.contains {
            $0.capability == line.capability && $0.time >= old.time && $0.time <= entry.time + 30_000
        }
        if !legal.contains("\(old.state) \(new.state)"), !isCommand, !new.isForced, !old.isForced {
            breaches.append(Breach(entry.time, "\(name) went from \(old.state) to \(new.state)"))
        }
        guard old.state == "open", new.state == "half_open", !old.isForced, !isCommand, old.why != "quota",
            !history.clockWasSet
        else { continue }
        let base = min(300_000, 30_000 << min(max(old.trips, 1) - 1, 10))
        if (entry.time - old.time) * 1010 < base * 800 {
            breaches.append(Breach(entry.time, "\(name) was open for \(entry.time - old.time) ms of \(base)"))
        }
    }
    return breaches
}

/// I21: a result's attempts cost what it says; no grant exceeds a budget by its estimate, and what the journal says of
/// a budget is the sum of its attempts.
func checkI21(_ history: History) -> [Breach] { checkCosts(history) + checkBudgets(history) }

private func checkCosts(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    for said in history.said {
        guard case .result(let key, let result, _) = said.saying, result.acceptedAt != nil,
            result.attempts.count < Limits.attemptRecords, let cost = result.cost, !result.attempts.isEmpty
        else { continue }
        let sum = result.attempts.reduce(0) { $0 + ($1.cost ?? 0) }
        if sum != cost + (result.wastedCost ?? 0) {
            breaches.append(
                Breach(said.time, "\(key.id): attempts cost \(sum), result \(cost) + \(result.wastedCost ?? 0)"))
        }
    }
    return breaches
}

/// One budget, counted anew.
private struct BudgetCount {
    let rule: BudgetRule
    var period = -1
    var spent = 0
    var reserved: [Int: Int] = [:]

    mutating func roll(to time: Int) {
        guard time / rule.periodMs != period else { return }
        (period, spent, reserved) = (time / rule.periodMs, 0, [:])
    }
}

private func checkBudgets(_ history: History) -> [Breach] {
    // A calendar that is set goes through periods more than once.
    guard !history.clockWasSet else { return [] }
    var breaches: [Breach] = []
    for rule in history.setup.configuration.budgets { breaches += checkBudget(rule, history) }
    return breaches
}

/// What attempts have cost so far, as a journal says it line by line.
private struct CostCount {
    private var costs: [Int: Int] = [:]
    private var leases: [Int: JournalLine.Lease] = [:]
    private var lost: [Int: JournalLine.Lease] = [:]

    /// What a line adds to what was spent, and for when. An attempt counts when it was granted; what becomes known of its
    /// cost after its lease was lost, when it began.
    mutating func add(_ line: JournalLine) -> (cost: Int, at: Int?) {
        let before = costs[line.number] ?? 0
        let spent = line.spent ?? before
        costs[line.number] = spent
        let at = leases[line.number]?.grantedAt ?? lost[line.number]?.startedAt
        if let lease = leases[line.number] { lost[line.number] = lease }
        leases[line.number] = line.lease
        return (spent - before, at)
    }
}

private func isCounted(_ line: JournalLine, _ rule: BudgetRule) -> Bool {
    (rule.owner == nil || rule.owner == line.owner ?? line.principal) && line.capability != Names.planCapability
}

private func checkBudget(_ rule: BudgetRule, _ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var count = BudgetCount(rule: rule)
    var owned: Set<Int> = []
    var leases: [Int: JournalLine.Lease] = [:]
    var costs = CostCount()
    let name = "\(rule.workspace ?? "")/\(rule.owner ?? "")/\(rule.periodMs)"
    for entry in history.lines {
        let line = entry.line
        switch line.kind {
        case "a" where isCounted(line, rule): owned.insert(line.number)
        case "t", "e":
            guard owned.contains(line.number), line.attachedTo == nil else { continue }
            if let old = leases[line.number], old.epoch != line.lease?.epoch { count.reserved[old.epoch] = nil }
            let known = leases[line.number]
            let (cost, at) = costs.add(line)
            if let at, at / rule.periodMs == count.period { count.spent += cost }
            leases[line.number] = line.lease
            guard let lease = line.lease, lease.epoch != known?.epoch else { continue }
            count.roll(to: lease.grantedAt)
            let before = count.spent + count.reserved.values.reduce(0, +)
            if before + lease.estimate > rule.amount {
                let text =
                    "epoch \(lease.epoch) was granted for \(lease.estimate) with \(before) of \(rule.amount) used"
                breaches.append(Breach(entry.time, "budget \(name): \(text)"))
            }
            count.reserved[lease.epoch] = lease.estimate
        default: break
        }
    }
    return breaches + checkSpending(rule, name, history)
}

/// What is spent of a budget is the sum of the attempts that were granted in its period.
private func checkSpending(_ rule: BudgetRule, _ name: String, _ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var (sum, period, told) = (0, -1, 0)
    var owned: Set<Int> = []
    var costs = CostCount()
    for entry in history.lines {
        let line = entry.line
        switch line.kind {
        case "a" where isCounted(line, rule): owned.insert(line.number)
        case "b" where line.id == name:
            if line.number > period { (sum, period) = (0, line.number) }
            told = line.value
        case "t", "e":
            guard owned.contains(line.number), line.attachedTo == nil else { continue }
            let (cost, at) = costs.add(line)
            guard cost != 0, let at, at / rule.periodMs == period else { continue }
            sum += cost
            if sum != told {
                breaches.append(Breach(entry.time, "budget \(name): \(told) is said to be spent, it is \(sum)"))
                sum = told
            }
        default: break
        }
    }
    return breaches
}
