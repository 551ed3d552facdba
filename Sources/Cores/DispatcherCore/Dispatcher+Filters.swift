import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Why an executor cannot take a task now, and until when, if that is known.
struct Obstacle: Hashable, Sendable {
    /// The code.
    var code: Code
    /// When it is known to end.
    var until: MonotonicTime?
    /// What the task ends with if that lies past its deadline for every executor.
    var prospect: Code?
    /// Whether it is known to have no end.
    var isForGood = false

    /// An obstacle.
    init(_ code: Code, until: MonotonicTime? = nil, prospect: Code? = nil) {
        self.code = code
        self.until = until
        self.prospect = prospect
    }

    /// What counts when all obstacles are known; absent: when it ends is not known.
    var knownProspect: Code? { until == nil && !isForGood ? nil : prospect }
}

/// How an executor is judged for a task.
struct Judgement: Hashable, Sendable {
    /// How many of the filters it passed.
    var passed = 0
    /// Why it cannot take the task; absent: it can.
    var obstacle: Obstacle?
    /// What an attempt is expected to cost, in micro-units.
    var cost = 0
    /// How long until it has ended, in ms.
    var latencyMs = 0
    /// How many of 1024 outcomes are good.
    var success = 512
    /// Smallest wins.
    var score = 0
    /// Slots in use.
    var used = 0
}

/// Who is asked for which task, and how it would get it.
struct Candidate: Sendable {
    /// The task.
    var task: TaskRecord
    /// Executor and capability.
    var pair: Pair
    /// Push or pull.
    var mode: Mode
}

/// The filters, in their order (`topics/tasks.md`, filters).
extension Dispatcher {
    /// Judges one executor for one task: the first filter that fails, or its price and score.
    func judge(_ candidate: Candidate) -> Judgement {
        var judgement = Judgement()
        guard let registration = registrations[candidate.pair] else {
            judgement.obstacle = Obstacle(WaitCode.noExecutor)
            return judgement
        }
        judgement.obstacle = fitObstacle(candidate, registration)
        if judgement.obstacle != nil { return judgement }
        judgement.passed = 1
        judgement.obstacle = livenessObstacle(candidate)
        if judgement.obstacle != nil { return judgement }
        judgement.passed = 2
        judgement.obstacle = slotObstacle(candidate, registration)
        if judgement.obstacle != nil { return judgement }
        judgement.passed = 3
        if registration.running >= registration.entry.maxConcurrent ?? executors[candidate.pair.executor].slots {
            judgement.obstacle = Obstacle(WaitCode.maxConcurrent)
            return judgement
        }
        judgement.passed = 4
        judgement.obstacle = circuitObstacle(candidate, registration)
        if judgement.obstacle != nil { return judgement }
        judgement.passed = 5
        judgement.obstacle = rateObstacle(candidate)
        if judgement.obstacle != nil { return judgement }
        judgement.passed = 6
        if !isKeyFree(candidate.task.spec) {
            judgement.obstacle = Obstacle(WaitCode.concurrencyKey)
            return judgement
        }
        judgement.passed = 7
        appraise(&judgement, candidate, registration)
        judgement.obstacle = costObstacle(candidate, judgement.cost)
        if judgement.obstacle != nil { return judgement }
        judgement.passed = 8
        if now.monotonic + judgement.latencyMs > candidate.task.deadline {
            judgement.obstacle = Obstacle(WaitCode.tooSlow)
            return judgement
        }
        judgement.passed = 9
        return judgement
    }

    /// Price, time, success and score of an attempt.
    func appraise(_ judgement: inout Judgement, _ candidate: Candidate, _ registration: Registration) {
        let executor = candidate.pair.executor
        judgement.cost = price(registration, units: candidate.task.spec.units)
        judgement.latencyMs = registration.acceptMs + registration.runMs
        if executors[executor].status == .sleeping { judgement.latencyMs += executors[executor].card?.wakeEveryMs ?? 0 }
        judgement.used = executors[executor].used
        if let counts = circuits[registration.circuit]?.counts(at: now.monotonic) {
            judgement.success = Score.success(counts.successes, of: counts.all)
        }
        let load = Score.load(cost: judgement.cost, used: judgement.used, slots: executors[executor].slots)
        judgement.score = Score.score(
            cost: judgement.cost, latency: judgement.latencyMs, load: load, success: judgement.success,
            priority: candidate.task.spec.priority)
    }

    /// What an attempt of a registration is expected to cost.
    func price(_ registration: Registration, units: Int) -> Int {
        Score.cost(declared: registration.declared(units), ratio: registration.costRatio)
    }

    /// F1: what does not change by waiting: conflicts, labels, mode, assignment.
    private func fitObstacle(_ candidate: Candidate, _ registration: Registration) -> Obstacle? {
        let executor = candidate.pair.executor
        if let obstacle = obstacle(executor, registration) { return obstacle }
        if let wanted = candidate.task.assignedTo, wanted != executors[executor].name.name {
            return Obstacle(WaitCode.notAssigned)
        }
        if candidate.task.mode != .undecided, candidate.task.mode != candidate.mode {
            return Obstacle(.wrongMode)
        }
        if !takes(candidate.mode, executors[executor]) { return Obstacle(.wrongMode) }
        guard let requires = candidate.task.spec.extras?.intent.requires else { return nil }
        let labels = executors[executor].card?.labels ?? []
        for label in requires where label.hasPrefix("agent:") && !labels.contains(label) {
            return Obstacle(WaitCode.labelMissing)
        }
        return nil
    }

    /// Conflicts that keep a registration from all work.
    func obstacle(_ executor: Int, _ registration: Registration) -> Obstacle? {
        if let until = executors[executor].identityConflictUntil { return Obstacle(WaitCode.quarantined, until: until) }
        if registration.isUnsupported || registration.isQuarantined { return Obstacle(WaitCode.quarantined) }
        if registration.isShadowed { return Obstacle(WaitCode.shadowed) }
        if !executors[executor].isCardless, registration.slotCost > executors[executor].slots {
            return Obstacle(WaitCode.quarantined)
        }
        return nil
    }

    /// F2: alive and open for work. A claim is its own sign of life.
    private func livenessObstacle(_ candidate: Candidate) -> Obstacle? {
        if capabilityPause(candidate.pair.capability) != nil {
            return Obstacle(WaitCode.paused, until: capabilityPause(candidate.pair.capability)?.end)
        }
        let isCheck = candidate.task.spec.origin?.kind == "check"
        return livenessObstacle(candidate.pair.executor, candidate.mode, isCheck: isCheck)
    }

    /// Whether an executor is alive and open for work in a mode.
    func livenessObstacle(_ index: Int, _ mode: Mode, isCheck: Bool) -> Obstacle? {
        if executors[index].isDraining || executors[index].status == .draining { return Obstacle(WaitCode.draining) }
        if executors[index].status == .paused { return Obstacle(WaitCode.paused) }
        if mode == .pull { return nil }
        if executors[index].isLost { return Obstacle(WaitCode.lost) }
        if let boot = executors[index].statusBoot, boot != executors[index].card?.boot {
            return Obstacle(WaitCode.offline)
        }
        switch executors[index].status {
        case .sleeping: if executors[index].card?.wakeEveryMs == nil { return Obstacle(WaitCode.sleeping) }
        case .online: if executors[index].isSilent { return Obstacle(WaitCode.silent) }
        case .lost: return Obstacle(WaitCode.lost)
        default: return Obstacle(WaitCode.offline)
        }
        guard isWatched(executors[index].name.workspace), executors[index].verdictBoot == executors[index].card?.boot
        else { return nil }
        switch executors[index].verdict {
        case .degraded: return isCheck ? nil : Obstacle(WaitCode.degraded)
        case .stale: return Obstacle(WaitCode.silent)
        case .offline: return Obstacle(WaitCode.offline)
        case .draining: return Obstacle(WaitCode.draining)
        case .paused: return Obstacle(WaitCode.paused)
        default: return nil
        }
    }

    /// Whether a heartbeat is up for a workspace.
    private func isWatched(_ workspace: String) -> Bool {
        heartbeats.values.contains { $0.isEmpty || $0.contains(workspace) }
    }

    /// F3: free slots beside the reserve; for pull a claim.
    private func slotObstacle(_ candidate: Candidate, _ registration: Registration) -> Obstacle? {
        let index = candidate.pair.executor
        let (slots, used) = (executors[index].slots, executors[index].used)
        if let until = executors[index].busyUntil, until > now.monotonic {
            return Obstacle(WaitCode.noSlot, until: until)
        }
        if used + registration.slotCost > slots { return Obstacle(WaitCode.noSlot) }
        let isBound = candidate.task.spec.priority != .critical && !candidate.task.isForced
        if isBound, used + registration.slotCost > slots - executors[index].reserve {
            return Obstacle(WaitCode.reserved)
        }
        if candidate.mode == .pull, claimSlot(candidate.task, index) == nil { return Obstacle(WaitCode.noClaim) }
        return nil
    }

    /// The parked claim of an executor that takes a task, the oldest first.
    func claimSlot(_ task: TaskRecord, _ executor: Int) -> String? {
        for claim in executors[executor].claims {
            if let own = claim.capabilities, !own.contains(task.spec.capability) { continue }
            if task.spec.delivery == .atMostOnce, claim.boot == nil { continue }
            return claim.slot
        }
        return nil
    }

    /// F5: both circuits, and pauses of the pair.
    private func circuitObstacle(_ candidate: Candidate, _ registration: Registration) -> Obstacle? {
        if let until = registration.pausedUntil, until > now.monotonic {
            return Obstacle(WaitCode.pairPaused, until: until, prospect: .rateLimited)
        }
        if let pause = pairPause(candidate.pair) { return Obstacle(WaitCode.pairPaused, until: pause.end) }
        if candidate.task.isForced { return nil }
        let isPreferred = candidate.task.spec.delivery == .atLeastOnce && candidate.task.spec.priority != .critical
        return obstacle(registration.circuit, isPreferred: isPreferred)
            ?? obstacle(capabilityCircuitKey(candidate.pair.capability), isPreferred: isPreferred)
    }

    private func obstacle(_ key: CircuitKey, isPreferred: Bool) -> Obstacle? {
        guard let circuit = circuits[key] else { return nil }
        let permission = circuit.permission(isPreferred: isPreferred)
        guard let code = permission.code else { return nil }
        guard case .open(let until) = permission else { return Obstacle(code) }
        let prospect: Code = circuit.why == "quota" ? .resourceExhausted : .circuitOpen
        return Obstacle(code, until: until, prospect: prospect)
    }

    /// F6: tokens of the capability and of the pair.
    private func rateObstacle(_ candidate: Candidate) -> Obstacle? {
        guard !configuration.rates.isEmpty else { return nil }
        let executor = executors[candidate.pair.executor].name
        guard let until = rates.opening(candidate.task.spec.capability, executor, configuration, at: now.monotonic)
        else { return nil }
        return Obstacle(.rateLimited, until: until, prospect: .rateLimited)
    }

    /// F8: the task's own limit, and budgets.
    private func costObstacle(_ candidate: Candidate, _ cost: Int) -> Obstacle? {
        let spec = candidate.task.spec
        if let most = spec.maxCost, cost > most { return Obstacle(WaitCode.tooExpensive) }
        if spec.step != nil, let plan = boundedPlan(spec), let left = planLeft(plan), cost > left {
            return Obstacle(WaitCode.tooExpensive)
        }
        guard !configuration.budgets.isEmpty else { return nil }
        if spending.neverAllows(cost, spec, configuration, at: now.wall) {
            var obstacle = Obstacle(.budgetExceeded, prospect: .budgetExceeded)
            obstacle.isForGood = true
            return obstacle
        }
        guard let until = spending.opening(cost, spec, configuration, at: now.wall) else { return nil }
        return Obstacle(.budgetExceeded, until: now.clock(until), prospect: .budgetExceeded)
    }

    /// A pause of a whole capability by command.
    func capabilityPause(_ capability: Int) -> Pause? {
        guard let pause = capabilities[capability].pause, pause.holds(at: now) else { return nil }
        return Pause(end: pause.end)
    }

    /// A pause of a pair by command.
    func pairPause(_ pair: Pair) -> Pause? {
        let name = executors[pair.executor].name.name
        guard let pause = capabilities[pair.capability].pairPauses[name], pause.holds(at: now) else { return nil }
        return Pause(end: pause.end)
    }
}

/// A pause that holds, and its end, if it has one.
struct Pause: Hashable, Sendable {
    /// Its end.
    var end: MonotonicTime?
}

/// Gathers why nobody can take a task.
struct OutlookTally: Sendable {
    private var best = -1
    private var candidates = 0
    private var known = 0
    private var prospects: Set<Code> = []
    private var outcome = Outlook()

    /// Adds one candidate that cannot.
    mutating func add(_ judgement: Judgement) {
        guard let obstacle = judgement.obstacle else { return }
        if obstacle.code == .budgetExceeded { outcome.waitsForBudget = true }
        if obstacle.code != .wrongMode || best < 0 { candidates += 1 }
        if judgement.passed > best {
            best = judgement.passed
            outcome.code = obstacle.code
        }
        if let until = obstacle.until { outcome.until = min(until, outcome.until ?? until) }
        if let prospect = obstacle.knownProspect {
            known += 1
            prospects.insert(prospect)
        }
    }

    /// The whole.
    var outlook: Outlook {
        var whole = outcome
        whole.allKnown = candidates > 0 && known == candidates
        let order: [Code] = [.circuitOpen, .resourceExhausted, .rateLimited, .budgetExceeded]
        whole.prospect = order.first { prospects.contains($0) }
        return whole
    }
}
