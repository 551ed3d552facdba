import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Ends of leases: fences, losses, zombies (`topics/executors.md`, leases and epochs).
extension Dispatcher {
    /// Takes a lease back by force or by time: a new epoch without holder, so that the old one is stale; a live
    /// executor's slots stay used until it says that it has stopped.
    mutating func fenceHolder(_ number: Int, code: Code, cancels: Bool, leavesZombie: Bool = true) {
        guard let task = tasks[number], let lease = leases[number] else { return }
        if lease.started != nil { noteAttempt(number, AttemptEnd(fencedOutcome(task, code))) }
        endLease(number, zombie: leavesZombie && !executors[lease.executor].isLost)
        lastEpoch += 1
        tasks[number]?.epoch = lastEpoch
        epochIndex[lease.epoch] = nil
        runs[number]?.holder = nil
        event(.leaseRevoked, of: task.spec) {
            $0.field("executor", lease.name)
            $0.field("epoch", lease.epoch)
            $0.field("code", code.rawValue)
        }
        metrics.revoked += 1
        if executors[lease.executor].isLost { return }
        if cancels {
            sendCancel(task.spec, lease, graceMs: Defaults.cancelGraceMs, reason: code.rawValue)
        } else {
            sendRevoke(task.spec, lease, code)
        }
    }

    /// How an attempt that is fenced ended.
    private func fencedOutcome(_ task: TaskRecord, _ code: Code) -> String {
        if code == .executionTimeout || code == .expired { return "timeout" }
        return task.state == .canceling ? "canceled" : "released"
    }

    /// Takes a lease out of all tables. With `zombie` its slots stay used, without authority.
    mutating func endLease(_ number: Int, zombie: Bool = false) {
        guard let task = tasks[number], let lease = leases.removeValue(forKey: number) else { return }
        let capability = task.capability
        let pair = Pair(lease.executor, capability)
        heldTimers.remove(TimerKey(.attempt, number))
        freeProbes(number, lease)
        executors[lease.executor].tasks.removeAll { $0 == number }
        capabilities[capability].running -= 1
        if zombie {
            addZombie(task, lease, capability)
        } else {
            executors[lease.executor].used -= lease.slotCost
            _ = registrations.change(pair) { $0.running -= 1 }
        }
        runs[number, default: RunRecord()].holder = Holder(
            executor: lease.name, boot: lease.boot, epoch: lease.epoch, mode: lease.mode)
        if lease.started == nil {
            settle(SpendingEnd(reserved: lease.estimate, actual: 0, grantedAt: lease.grantedAt), task.spec)
        }
        let took = lease.started.map { max(1, lease.slotCost * max(0, now.monotonic - $0)) } ?? 0
        _ = lanes.change(task.spec.key.workspace) {
            $0.correct(owner: task.spec.owner, lane: task.spec.priority, by: took - lease.charge)
        }
        releaseKey(task.spec)
        if let plan = boundedPlan(task.spec) { wakeSteps(of: plan) }
        dropCardless(lease.executor)
        touch(executor: lease.executor)
        touch(capability: capability)
    }

    private mutating func addZombie(_ task: TaskRecord, _ lease: Lease, _ capability: Int) {
        let until = lease.leaseUntil ?? lease.granted + lease.leaseMs
        let zombie = Zombie(
            task: task.number, key: task.spec.key, capability: capability, epoch: lease.epoch,
            slotCost: lease.slotCost, until: until, untilAt: now.calendar(until))
        executors[lease.executor].zombies.append(zombie)
        journal(
            .zombie(executor: executors[lease.executor].name, capability: task.spec.capability, zombie))
        setZombieTimer(lease.executor)
    }

    /// A zombie ends: by what its executor says, or by time.
    mutating func endZombie(_ executor: Int, at position: Int) {
        let zombie = executors[executor].zombies.remove(at: position)
        executors[executor].used -= zombie.slotCost
        registrations[Pair(executor, zombie.capability)]?.running -= 1
        journal(.zombieEnded(executor: executors[executor].name, task: zombie.task, epoch: zombie.epoch))
        setZombieTimer(executor)
        dropCardless(executor)
        touch(executor: executor)
    }

    /// Ends the zombies of an executor that is another process now, or whose time is over.
    mutating func endZombies(_ executor: Int, all: Bool) {
        while let position = executors[executor].zombies.firstIndex(where: { all || $0.until <= now.monotonic }) {
            endZombie(executor, at: position)
        }
        setZombieTimer(executor)
    }

    private mutating func setZombieTimer(_ executor: Int) {
        let key = TimerKey(.zombie, executor)
        if let first = executors[executor].zombies.map(\.until).min() {
            heldTimers.set(key, first)
        } else {
            heldTimers.remove(key)
        }
    }

    // MARK: - Times of a lease

    /// What is due for a lease.
    mutating func attemptDue(_ number: Int) {
        guard let task = tasks[number], let lease = leases[number] else { return }
        func isDue(_ time: MonotonicTime?) -> Bool { time.map { $0 <= now.monotonic } ?? false }
        if isDue(lease.cancelUntil) {
            fenceHolder(number, code: .staleEpoch, cancels: false)
            finish(number, Ending(.canceled, cancelError(runs[number]?.cancelReason)))
        } else if isDue(lease.execUntil), task.state == .running {
            tooLong(number)
        } else if isDue(lease.lostUntil), task.spec.delivery == .atLeastOnce || task.state == .canceling {
            lose(number, .executorLost)
        } else if isDue(lease.leaseUntil) {
            lose(number, .leaseExpired)
        } else if isDue(lease.offerUntil) {
            offerOver(number)
        } else {
            if isDue(lease.lostUntil) { leases[number]?.lostUntil = nil }
            setAttemptTimer(number)
        }
    }

    /// T9 by time: nobody took the offer in its window.
    private mutating func offerOver(_ number: Int) {
        guard let task = tasks[number], let lease = leases[number] else { return }
        judgeCircuits(number, lease, pair: .failure, capability: .neutral, .executorLost)
        fenceHolder(number, code: .staleEpoch, cancels: false)
        returnOffer(number, after: task)
    }

    /// T9: an offer comes back. From the fifth on there is a pause.
    mutating func returnOffer(_ number: Int, after task: TaskRecord, wasRefused: Bool = false) {
        if task.spec.delivery == .atMostOnce, !wasRefused {
            let error = ErrorBody(.executorLost, "the offer was not answered")
            return finish(number, Ending(.failed, error))
        }
        tasks[number]?.offers += 1
        let offers = Int(task.offers) + 1
        guard offers > Defaults.offersBeforeBackoff else { return transition(number, to: .queued) }
        let backoff = Backoff(delayMs: task.spec.retryDelayMs, maxDelayMs: task.spec.retryMaxDelayMs)
        delay(
            number,
            backoff.wait(after: offers - Defaults.offersBeforeBackoff, atLeast: nil, using: &generator), code: nil)
    }

    /// T15: the attempt takes too long.
    private mutating func tooLong(_ number: Int) {
        guard let task = tasks[number], let lease = leases[number] else { return }
        let error = ErrorBody(.executionTimeout, "no outcome within \(lease.timeoutMs) ms", errorClass: .timeout)
        judgeCircuits(number, lease, pair: .failure, capability: .failure, .executionTimeout)
        fenceHolder(number, code: .executionTimeout, cancels: true)
        tasks[number]?.tries += 1
        runs[number]?.failedLast = lease.name
        runs[number]?.lastError = error
        if task.spec.delivery == .atMostOnce || !hasTry(number) {
            let attempt = runs[number]?.history.last
            finish(number, Ending(.timeout, error, attempt: attempt))
        } else {
            retry(number, error, retryAfterMs: nil)
        }
    }

    /// T14, T21: the holder is gone. The epoch stays: should it come back before another one has the task, its outcome
    /// counts.
    mutating func lose(_ number: Int, _ code: Code) {
        guard let task = tasks[number], let lease = leases[number] else { return }
        if task.state == .offered { return loseOffer(number, lease) }
        let error = ErrorBody(code, "\(lease.name) \(code == .leaseExpired ? "let its lease run out" : "is lost")")
        judgeCircuits(number, lease, pair: .failure, capability: .neutral, code)
        noteAttempt(number, AttemptEnd("lost", error))
        endLease(number)
        event(.leaseRevoked, of: task.spec) {
            $0.field("executor", lease.name)
            $0.field("epoch", lease.epoch)
            $0.field("code", code.rawValue)
        }
        metrics.lost += 1
        if task.state == .canceling {
            return finish(number, Ending(.canceled, cancelError(runs[number]?.cancelReason)))
        }
        tasks[number]?.tries += 1
        tasks[number]?.lost += 1
        runs[number]?.failedLast = lease.name
        runs[number]?.lastError = error
        let attempt = runs[number]?.history.last
        if task.spec.delivery == .atMostOnce {
            finish(number, Ending(.failed, error, attempt: attempt))
        } else if Int(task.lost) + 1 >= Defaults.poisonLosses {
            let poison = ErrorBody(.poison, "\(Defaults.poisonLosses) executors were lost during this task")
            finish(number, Ending(.failed, poison, attempt: attempt))
        } else if !hasTry(number) {
            finish(number, Ending(.failed, error, attempt: attempt))
        } else {
            retry(number, error, retryAfterMs: nil, wasLost: true)
        }
    }

    /// T9: the executor is gone while the task was only offered.
    mutating func loseOffer(_ number: Int, _ lease: Lease) {
        guard let task = tasks[number] else { return }
        fenceHolder(number, code: .executorLost, cancels: false, leavesZombie: false)
        returnOffer(number, after: task)
    }

    // MARK: - Further tries

    /// Whether a further try is allowed.
    func hasTry(_ number: Int) -> Bool {
        guard let task = tasks[number] else { return false }
        return Int(task.tries) < task.spec.retryCount + 1
    }

    /// T13, T14, T15: waits for the next try, or ends when there is no time for one.
    mutating func retry(
        _ number: Int, _ error: ErrorBody, retryAfterMs: Int?, wasLost: Bool = false, output: RawJSON? = nil
    ) {
        guard let task = tasks[number] else { return }
        let backoff = Backoff(delayMs: task.spec.retryDelayMs, maxDelayMs: task.spec.retryMaxDelayMs)
        let tries = wasLost ? Backoff.tries(afterLosses: Int(task.lost)) : Int(task.tries)
        let wait = backoff.wait(after: tries, atLeast: retryAfterMs, using: &generator)
        if now.monotonic + wait + fastest(task) > task.deadline { return exhaust(number, error, output: output) }
        event(.taskRetrying, of: task.spec) {
            $0.field("code", error.code.rawValue)
            $0.field("delay_ms", wait)
        }
        delay(number, wait, code: error.code)
    }

    /// Ends a task that has no further try: with the last code if it was the only one allowed or a loss, else
    /// `attempts_exhausted`.
    mutating func exhaust(_ number: Int, _ error: ErrorBody, output: RawJSON? = nil) {
        guard let task = tasks[number] else { return }
        let attempt = runs[number]?.history.last
        let wasLost = error.code == .executorLost || error.code == .leaseExpired
        if error.code == .executionTimeout || error.errorClass == .timeout {
            return finish(number, Ending(.timeout, error, output: output, attempt: attempt))
        }
        if task.spec.retryCount == 0 || wasLost {
            return finish(number, Ending(.failed, error, output: output, attempt: attempt))
        }
        let details = RawJSON { writer in writer.object { $0.field("last", error) } }
        let exhausted = ErrorBody(
            .attemptsExhausted, "\(task.tries) attempts failed, the last with \(error.code.rawValue)", details: details)
        finish(number, Ending(.failed, exhausted, output: output, attempt: attempt))
    }

    /// Waits some ms in `delayed`; none at all is `queued`.
    mutating func delay(_ number: Int, _ ms: Int, code: Code?) {
        if ms <= 0 { return transition(number, to: .queued, code: code) }
        tasks[number]?.readyAt = now.wall + ms
        tasks[number]?.ready = now.monotonic + ms
        transition(number, to: .delayed, code: code)
    }

    /// The least time a further try would take.
    private func fastest(_ task: TaskRecord) -> Int {
        let index = task.capability
        let times = capabilities[index].executors.compactMap { executor in
            registrations[Pair(executor, index)].map { $0.acceptMs + $0.runMs }
        }
        return times.min() ?? 0
    }
}
