import Contract
import Determinism
public import Machine
import TimeModel
import Wire

/// The journal: replayed records give the state that wrote them; a snapshot is that state as records.
extension Dispatcher {
    /// Takes one record of the journal. Throws when it is of no known form.
    public mutating func replay(_ record: [UInt8]) throws(JournalError) {
        switch try JournalRecord(record) {
        case .term(let value): term = max(term, value)
        case .counters(let epoch, let number):
            lastEpoch = max(lastEpoch, epoch)
            lastNumber = max(lastNumber, number)
        case .accepted(let task): replayAccepted(task)
        case .attached(let attachment):
            lastNumber = max(lastNumber, attachment.spec.number)
            enter(attachment)
            if attachment.spec.updates != .none { undelivered.insert(Token.accepted(attachment.spec.number)) }
        case .changed(let change): try replay(change)
        case .ended(let number, let record, let marks): try replayEnded(number, record, marks)
        case .delivered(let tokens): for token in tokens { undelivered.remove(token) }
        case .forgotten(let count): for _ in 0..<count { forget() }
        case .forgottenDead(let count): for _ in 0..<count { forgetDead() }
        case .resultsDropped(let numbers): for number in numbers { dropResult(number) }
        case .unkept(let number): ended[number]?.keptUntil = nil
        case .redriven(let number): redrives[number, default: 0] += 1
        default: try replayRest(JournalRecord(record))
        }
    }

    private mutating func replayRest(_ record: JournalRecord) throws(JournalError) {
        switch record {
        case .seen(let executor, let capability, let at):
            if firstSeen.updateValue(at, forKey: SeenKey(executor: executor, capability: capability)) == nil {
                seenCounts[executor, default: 0] += 1
            }
            capabilities[capabilityNumber(ScopedName(executor.workspace, capability))].wasSeen = true
        case .unseen(let executor): unsee(executor)
        case .reference(let capability, let executor): capabilities[capabilityNumber(capability)].reference = executor
        case .pause(let capability, let executor, let pause):
            applyPause(capabilityNumber(capability), executor: executor, pause)
        case .drain(let executor, let flag): executors[executorNumber(executor)].isDraining = flag
        case .circuit(let capability, let executor, let record):
            replayedCircuits[CircuitKey(capability: capability, executor: executor)] = record
        case .zombie(let executor, let capability, let zombie):
            let number = executorNumber(executor)
            var own = zombie
            own.capability = capabilityNumber(ScopedName(executor.workspace, capability))
            executors[number].zombies.append(own)
            executors[number].used += own.slotCost
        case .zombieEnded(let executor, let task, let epoch):
            let number = executorNumber(executor)
            guard let at = executors[number].zombies.firstIndex(where: { $0.task == task && $0.epoch == epoch })
            else { return }
            executors[number].used -= executors[number].zombies.remove(at: at).slotCost
        case .spent(let budget, let period, let amount):
            replayedSpending[budget] = PeriodSpending(period: period, amount: amount)
        default: break
        }
    }

    private mutating func replayAccepted(_ task: TaskRecord) {
        lastNumber = max(lastNumber, task.number)
        var task = task
        task.spec = names.shared(task.spec)
        enter(task)
        if task.spec.step == nil, task.spec.updates != .none || task.spec.isPlan {
            undelivered.insert(Token.accepted(task.number))
        }
    }

    private mutating func replay(_ change: TaskChange) throws(JournalError) {
        let number = change.task.number
        guard let old = tasks[number] else { throw JournalError("a change of the unknown task \(number)") }
        var task = change.task
        task.spec = change.hasNewInput ? old.spec.with(input: change.task.spec.input) : old.spec
        if change.raisesDelivery { task.spec = task.spec.atMostOnce }
        task.capability = old.capability
        recount(old.spec, task.spec)
        let capability = task.capability
        if old.state == .queued { capabilities[capability].queued -= 1 }
        if task.state == .queued { capabilities[capability].queued += 1 }
        noteDelay(of: task, from: old.state, to: task.state)
        if let lease = leases.removeValue(forKey: number) { releaseReplayed(number, lease, capability) }
        if let holder = runs[number]?.holder { epochIndex[holder.epoch] = nil }
        tasks[number] = task
        runs[number] = change.run
        lastEpoch = max(lastEpoch, task.epoch)
        if var lease = change.lease {
            lease.executor = executorNumber(ScopedName(task.spec.key.workspace, lease.name))
            leases[number] = lease
            lastEpoch = max(lastEpoch, lease.epoch)
            hold(number, lease, capability)
        } else if let holder = change.run?.holder {
            epochIndex[holder.epoch] = number
        }
        if let undelivered = change.undelivered {
            if undelivered { self.undelivered.insert(Token.accepted(number)) }
            if !undelivered { self.undelivered.remove(Token.accepted(number)) }
        }
    }

    /// Takes a lease out of the tables, without the effects of its end.
    private mutating func releaseReplayed(_ number: Int, _ lease: Lease, _ capability: Int) {
        guard let task = tasks[number] else { return }
        epochIndex[lease.epoch] = nil
        executors[lease.executor].tasks.removeAll { $0 == number }
        executors[lease.executor].used -= lease.slotCost
        capabilities[capability].running -= 1
        registrations[Pair(lease.executor, capability)]?.running -= 1
        if let key = waitingKey(task.spec) {
            concurrency[key]?.holders -= 1
            if concurrency[key]?.holders == 0 { concurrency[key] = nil }
        }
    }

    private mutating func replayEnded(
        _ number: Int, _ record: EndedRecord, _ marks: EndMarks
    ) throws(JournalError) {
        var own = record
        if let task = tasks[number] {
            own.spec = task.spec
            let capability = task.capability
            if let lease = leases[number] { releaseReplayed(number, lease, capability) }
            if let holder = runs[number]?.holder { epochIndex[holder.epoch] = nil }
            leave(task)
        } else if let attachment = takeAttached(number) {
            own.spec = attachment.spec
            attachments[attachment.first]?.removeAll { $0 == number }
            if attachments[attachment.first]?.isEmpty ?? false { attachments[attachment.first] = nil }
            undelivered.remove(Token.accepted(number))
        } else {
            throw JournalError("an end of the unknown task \(number)")
        }
        lastEpoch = max(lastEpoch, own.epoch)
        if marks.contains(.onlyDead) {
            ids[own.spec.key] = nil
            rememberDead(number, own)
            return
        }
        restore(number, own)
        if let holder = own.holder { epochIndex[holder.epoch] = number }
        for kind in 1...3 where marks.rawValue & 1 << kind != 0 { undelivered.insert(number * 4 + kind) }
        replaySuccess(own, marks)
        releaseDedup(own.spec, own.status)
    }

    /// Successes that changed nothing else in their circuits.
    private mutating func replaySuccess(_ record: EndedRecord, _ marks: EndMarks) {
        guard let executor = record.holder?.executor else { return }
        let capability = ScopedName(record.spec.key.workspace, record.spec.capability)
        var keys: [CircuitKey] = []
        if marks.contains(.pairSuccess) { keys.append(CircuitKey(capability: capability, executor: executor)) }
        if marks.contains(.capabilitySuccess) { keys.append(CircuitKey(capability: capability, executor: nil)) }
        for key in keys {
            var circuit =
                replayedCircuits[key] ?? CircuitRecord(state: .closed, generation: 1, since: record.endedAt)
            circuit.addSuccess(of: executor, at: record.endedAt)
            replayedCircuits[key] = circuit
        }
    }

    // MARK: - Snapshot

    /// Writes records that, replayed into a new machine, give this state.
    public func snapshot(_ emit: ([UInt8]) -> Void) {
        snapshotState { emit($0.encoded) }
        snapshotCircuits { emit($0.encoded) }
    }

    /// The records of all but the circuits.
    func snapshotState(_ write: (JournalRecord) -> Void) {
        write(.term(term))
        write(.counters(epoch: lastEpoch, number: lastNumber))
        for key in firstSeen.keys.sorted() {
            if let at = firstSeen[key] { write(.seen(key.executor, capability: key.capability, at: at)) }
        }
        snapshotRegistry(write)
        let pending = undelivered.union(notes)
        for number in deadOrder.all where ended[number] == nil {
            guard let record = dead[number] else { continue }
            write(.accepted(TaskRecord(record.spec, state: .queued)))
            write(.ended(number: number, record, .onlyDead))
        }
        for number in endedOrder.all {
            guard let record = ended[number] else { continue }
            if let first = record.attachedTo {
                write(.attached(AttachedRecord(spec: record.spec, first: first)))
            } else {
                write(.accepted(TaskRecord(record.spec, state: .queued)))
            }
            write(.ended(number: number, record, EndMarks(pending, number)))
        }
        for number in redrives.keys.sorted() {
            for _ in 0..<(redrives[number] ?? 0) { write(.redriven(number)) }
        }
        snapshotTasks(pending, write)
    }

    private func snapshotTasks(_ pending: Set<Int>, _ write: (JournalRecord) -> Void) {
        for number in tasks.keys.sorted() {
            guard let task = tasks[number] else { continue }
            write(.accepted(task))
            var change = TaskChange(task: task, lease: leases[number], run: runs[number])
            change.undelivered = pending.contains(Token.accepted(number))
            write(.changed(change))
        }
        for number in attached.keys.sorted() {
            guard let attachment = attached[number] else { continue }
            write(.attached(attachment))
            if !pending.contains(Token.accepted(number)), attachment.spec.updates != .none {
                write(.delivered([Token.accepted(number)]))
            }
        }
    }

    /// What is spent of each budget in its present period.
    private var presentSpending: [String: PeriodSpending] {
        spending.all(replayedSpending, configuration, at: now.wall)
    }

    private func snapshotRegistry(_ write: (JournalRecord) -> Void) {
        for index in capabilities.indices.sorted(by: { capabilities[$0].name < capabilities[$1].name }) {
            let record = capabilities[index]
            if let reference = record.reference { write(.reference(record.name, executor: reference)) }
            var pauses = record.pairPauses.map { (executor: String?.some($0.key), pause: $0.value) }
            pauses.sort { ($0.executor ?? "") < ($1.executor ?? "") }
            if let own = record.pause { pauses.insert((nil, own), at: 0) }
            for (executor, pause) in pauses where pause.holds(at: now) {
                let shown = CommandPause(until: pause.until(at: now), forMs: pause.forMs)
                write(.pause(record.name, executor: executor, shown))
            }
        }
        for index in executors.indices.sorted(by: { executors[$0].name < executors[$1].name }) {
            let executor = executors[index]
            if executor.isDraining { write(.drain(executor.name, true)) }
            for zombie in executor.zombies {
                write(
                    .zombie(
                        executor: executor.name, capability: capabilities[zombie.capability].name.name, zombie))
            }
        }
        for (name, spent) in presentSpending.sorted(by: { $0.key < $1.key }) {
            write(.spent(budget: name, period: spent.period, amount: spent.amount))
        }
    }

    private func snapshotCircuits(_ write: (JournalRecord) -> Void) {
        for key in Set(circuits.keys).union(replayedCircuits.keys).sorted() {
            let record = replayedCircuits[key] ?? circuits[key]?.record(at: now)
            write(.circuit(key.capability, executor: key.executor, record))
        }
    }
}
