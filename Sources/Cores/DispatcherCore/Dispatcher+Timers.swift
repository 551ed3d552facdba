import Contract
import Determinism
import Machine
import TimeModel

/// Times: what is due, what stands still, what moves on when the service itself was late.
extension Dispatcher {
    /// A turn that begins over a second late moves what others had to keep: nobody could be heard in between.
    mutating func notePassedTime() {
        guard let due = dueAt else { return }
        let late = now.monotonic - due
        guard late > 1000, !isHeld, let first = heldTimers.first?.priority, first <= now.monotonic else { return }
        shiftHeld(by: late)
        log(.warning, "late", "A turn began late: leases and windows move on", [LogField("ms", String(late))])
    }

    /// The calendar was set: periods of budgets begin at other moments than the timers of what waits for them say.
    mutating func noteCalendar() {
        let lead = now.wall.milliseconds - now.monotonic.milliseconds
        guard let before = calendarLead else { return calendarLead = lead }
        guard abs(lead - before) > 1000 else { return }
        calendarLead = lead
        noteMoreToSpend()
    }

    /// Moves leases, offers, graces, zombies and silences.
    mutating func shiftHeld(by ms: Int) {
        guard ms > 0 else { return }
        for number in leases.keys.sorted() {
            leases[number]?.shift(by: ms)
            setAttemptTimer(number)
        }
        for executor in executors.indices {
            for position in executors[executor].zombies.indices {
                executors[executor].zombies[position].until = executors[executor].zombies[position].until + ms
            }
            if let until = heldTimers.priority(of: TimerKey(.zombie, executor)) {
                heldTimers.set(TimerKey(.zombie, executor), until + ms)
            }
            executors[executor].heard = executors[executor].heard.map { $0 + ms }
            executors[executor].beaten = executors[executor].beaten.map { $0 + ms }
            if let until = heldTimers.priority(of: TimerKey(.silence, executor)) {
                heldTimers.set(TimerKey(.silence, executor), until + ms)
            }
        }
    }

    /// Does what is due.
    mutating func runTimers() {
        while let next = timers.first, next.priority <= now.monotonic {
            timers.remove(next.key)
            fire(next.key)
        }
        guard !isHeld else { return }
        while let next = heldTimers.first, next.priority <= now.monotonic {
            if inbox.isNeeded(for: next.priority, at: now.monotonic) {
                if inbox.send(at: now.monotonic) { publishService(.up, reason: nil) }
                return
            }
            heldTimers.remove(next.key)
            fire(next.key)
        }
    }

    private mutating func fire(_ key: TimerKey) {
        switch key.kind {
        case .task: taskDue(key.id)
        case .attempt: attemptDue(key.id)
        case .zombie: endZombies(key.id, all: false)
        case .silence: silenceDue(key.id)
        case .claim: claimsDue(key.id)
        case .identity: identityDue(key.id)
        case .demand: demandDue(key.id)
        case .aside: wakeAside(key.id)
        case .circuit: circuitDue(key.id)
        case .offer: publishOffer(key.id)
        case .capability: publishCapability(key.id)
        case .view: checkViews()
        case .kept: clearKept(key.id)
        case .load: loadDue(key.id)
        case .settle: settle(complete: false)
        case .memory: memoryDue()
        case .metrics: metricsDue()
        case .notes: flushNotes()
        }
    }

    private mutating func demandDue(_ demand: Int) {
        guard let record = demands[demand] else { return }
        wake(demand: demand, capabilities[record.key.capability].name.workspace)
        touch(capability: record.key.capability)
    }

    private mutating func memoryDue() {
        limitMemory()
        if endedOrder.count > 0 || deadOrder.count > 0 { timers.set(TimerKey(.memory), now.monotonic + 60_000) }
    }

    /// After a start: times of the calendar become times of the clock; leases begin anew with their full length.
    mutating func restoreTimes() {
        for number in tasks.keys.sorted() {
            guard var task = tasks[number] else { continue }
            task.deadline = restored(task.spec.deadlineAt, since: task.spec.acceptedAt)
            task.ready = task.readyAt.map { min(restored($0, since: waitBegan(task)), longestWait(of: task)) }
            task.queued = min(now.monotonic, task.queuedAt.map(now.clock) ?? now.monotonic)
            tasks[number] = task
            setTaskTimer(number)
            if var lease = leases[number] {
                restoreLease(&lease, task)
                leases[number] = lease
                setAttemptTimer(number)
            }
            enqueue(number)
        }
        for executor in executors.indices {
            executors[executor].noticed = now.monotonic
            for position in executors[executor].zombies.indices {
                let until = now.clock(executors[executor].zombies[position].untilAt)
                executors[executor].zombies[position].until = min(until, now.monotonic + Limits.claimMs)
            }
            if let first = executors[executor].zombies.map(\.until).min() {
                heldTimers.set(TimerKey(.zombie, executor), first)
            }
        }
        for number in endedOrder.all {
            if let until = ended[number]?.keptUntil { timers.set(TimerKey(.kept, number), now.clock(until)) }
        }
        if endedOrder.count > 0 || deadOrder.count > 0 { timers.set(TimerKey(.memory), now.monotonic + 60_000) }
        for capability in capabilities.indices {
            capabilities[capability].pause?.begin(at: now)
            for executor in capabilities[capability].pairPauses.keys {
                capabilities[capability].pairPauses[executor]?.begin(at: now)
            }
        }
        restoreCircuits()
    }

    /// The end of a wait, by the clock: never later than the whole wait from now on, though the calendar was set back
    /// while the dispatcher was down.
    private func restored(_ end: WallTime, since began: WallTime) -> MonotonicTime {
        now.monotonic + min(end - now.wall, max(0, end - began))
    }

    /// When a task's present wait began: after its last attempt, else at its acceptance.
    private func waitBegan(_ task: TaskRecord) -> WallTime {
        guard let last = runs[task.number]?.history.last else { return task.spec.acceptedAt }
        return last.startedAt + (last.durationMs ?? 0)
    }

    /// When a task's present wait is over at the latest, however the calendar was set during it. After an offer or an
    /// attempt no wait is longer than those of `retry`, and than what the executor asked for.
    private func longestWait(of task: TaskRecord) -> MonotonicTime {
        guard task.state == .delayed, task.offers > 0 || task.attempts > 0 else { return task.deadline }
        let wished = runs[task.number]?.lastError?.retryAfterMs ?? Defaults.rateLimitedMs
        return now.monotonic + max(task.spec.retryMaxDelayMs, wished)
    }

    private func restoreLease(_ lease: inout Lease, _ task: TaskRecord) {
        lease.granted = min(now.monotonic, now.clock(lease.grantedAt))
        guard let startedAt = lease.startedAt else {
            // A journal of an earlier version does not say how long it was.
            if lease.offerMs == 0 {
                lease.offerMs = task.spec.delivery == .atMostOnce ? lease.leaseMs : Defaults.acceptMs
            }
            lease.offerUntil = now.monotonic + lease.offerMs
            return
        }
        lease.started = min(now.monotonic, now.clock(startedAt))
        lease.leaseUntil = now.monotonic + lease.leaseMs
        let left = lease.timeoutMs - max(0, now.wall - startedAt)
        lease.execUntil = now.monotonic + max(left, Defaults.acceptMs)
        if task.state == .canceling {
            lease.execUntil = nil
            lease.cancelUntil = now.monotonic + (lease.graceMs ?? Defaults.cancelGraceMs)
        }
    }

    private mutating func restoreCircuits() {
        for (key, record) in replayedCircuits.sorted(by: { $0.key < $1.key }) {
            circuits[key] = Circuit(record, at: now)
            setCircuitTimer(key)
        }
        replayedCircuits = [:]
        // The probe is the one that no command forced, else the first: of leases that are forced there may be others.
        let held = leases.keys.compactMap { number in leases[number].map { (number: number, lease: $0) } }
        let ordered = held.sorted { a, b in
            a.lease.isForced == b.lease.isForced ? a.lease.epoch < b.lease.epoch : b.lease.isForced
        }
        for (number, lease) in ordered {
            guard let task = tasks[number] else { continue }
            let index = task.capability
            circuits[circuitKey(Pair(lease.executor, index))]?.noteProbe(
                epoch: lease.epoch, generation: lease.pairGeneration)
            circuits[capabilityCircuitKey(index)]?.noteProbe(
                epoch: lease.epoch, generation: lease.capabilityGeneration)
        }
    }
}
