import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// How an attempt ended, for its record.
struct AttemptEnd: Hashable, Sendable {
    /// `success`, `failed`, `timeout`, `lost`, `canceled`, `released`.
    var outcome: String
    /// Why it failed.
    var error: ErrorBody?
    /// What it used, as reported.
    var usage: Usage?
    /// What it cost, as reported.
    var cost: Int?

    /// An end without figures.
    init(_ outcome: String, _ error: ErrorBody? = nil) {
        self.outcome = outcome
        self.error = error
    }
}

/// What executors say of attempts (`topics/executors.md`, reports).
extension Dispatcher {
    /// Takes a report.
    mutating func receiveReport(_ workspace: String, _ name: String, _ id: String, _ message: InboundMessage) {
        metrics.reports += 1
        let scoped = ScopedName(workspace, name)
        if executorIndex[scoped] == nil, executorIndex.count >= Limits.executors { return }
        let executor = executorNumber(scoped)
        if refuseRetained(message, executor) { return }
        let report: Report
        do throws(WireError) {
            guard Names.isName(name), Names.isID(id) else { throw WireError(.field, reason: "illegal name") }
            guard message.payload.count <= Limits.payload else { return tooLarge(executor, id) }
            report = try Report(decoding: message.payload)
        } catch {
            let code: Code = error.kind == .syntax ? .invalidJSON : .invalidField
            return sendError(executor, ErrorBody(code, error.message), task: Names.isID(id) ? id : nil)
        }
        heard(executor)
        if endZombie(executor, id, report) { return answerStale(executor, id, report) }
        guard let number = epochIndex[report.epoch], isHolder(executor, number, id, report.epoch) else {
            return answerStale(executor, id, report)
        }
        if tasks[number] == nil { return answerRepeated(executor, id, report, number) }
        take(report, of: number, from: executor)
    }

    /// An outcome over the size limit ends its attempt as one; anything else is refused.
    private mutating func tooLarge(_ executor: Int, _ id: String) {
        heard(executor)
        for number in executors[executor].tasks where tasks[number]?.spec.key.id == id {
            guard let lease = leases[number] else { continue }
            var report = Report(.outcome, epoch: lease.epoch)
            report.status = .failed
            report.error = ErrorBody(.resultTooLarge, "the outcome is over \(Limits.payload) bytes")
            return take(report, of: number, from: executor)
        }
        sendError(executor, ErrorBody(.payloadTooLarge, "the limit is \(Limits.payload) bytes"), task: id)
    }

    /// Whether an executor holds, or held last, a task under an epoch.
    private func isHolder(_ executor: Int, _ number: Int, _ id: String, _ epoch: Int) -> Bool {
        let name = executors[executor].name
        if let task = tasks[number] {
            guard task.spec.key.id == id, task.spec.key.workspace == name.workspace else { return false }
            if let lease = leases[number] { return lease.executor == executor && lease.epoch == epoch }
            guard let holder = runs[number]?.holder else { return false }
            return holder.executor == name.name && holder.epoch == epoch
        }
        guard let record = ended[number], record.spec.key.id == id else { return false }
        return record.holder?.executor == name.name && record.holder?.epoch == epoch
    }

    /// A report of a fenced epoch may free its slots; its outcome is stale.
    private mutating func endZombie(_ executor: Int, _ id: String, _ report: Report) -> Bool {
        guard
            let position = executors[executor].zombies.firstIndex(where: {
                $0.epoch == report.epoch && $0.key.id == id
            })
        else { return false }
        switch report.type {
        case .outcome, .refuse, .release: endZombie(executor, at: position)
        case .accept, .progress: break
        }
        return true
    }

    /// Answers a report that does not count (L8): changes nothing.
    private mutating func answerStale(_ executor: Int, _ id: String, _ report: Report) {
        metrics.stale += 1
        let pair = LeasePair(id, report.epoch)
        switch report.type {
        case .outcome, .refuse, .release:
            sendAck(executor, BeatAck(revoked: [pair]))
        case .accept, .progress:
            guard let principal = report.principal ?? principal(of: id, report.epoch) else {
                return sendAck(executor, BeatAck(revoked: [pair]))
            }
            let name = AttemptName(principal: principal, task: id, epoch: report.epoch, term: term)
            send(.revoke(name, code: .staleEpoch), Names.noCapability, executor)
        }
        guard report.type == .outcome else { return }
        let name = executors[executor].name
        event(.taskStaleResult, in: name.workspace, actor: name.name, subject: id) {
            $0.field("executor", name.name)
            $0.field("epoch", report.epoch)
        }
        if let cost = report.cost { metrics.wastedCost += cost }
    }

    /// Whose task an epoch was for, as far as that is still known.
    private func principal(of id: String, _ epoch: Int) -> String? {
        guard let number = epochIndex[epoch], let key = tasks[number]?.spec.key ?? ended[number]?.spec.key,
            key.id == id
        else { return nil }
        return key.principal
    }

    /// An outcome that is in the journal already; one of an attempt that was lost for good is not, and is stale.
    private mutating func answerRepeated(_ executor: Int, _ id: String, _ report: Report, _ number: Int) {
        let pair = LeasePair(id, report.epoch)
        if report.type == .outcome, !endedByLoss(number) {
            sendAck(executor, BeatAck(confirmed: [pair]))
        } else {
            answerStale(executor, id, report)
        }
    }

    /// Whether a task ended because its last holder was lost: what that one still reports is not in the journal.
    func endedByLoss(_ number: Int) -> Bool {
        let lost: [Code] = [.leaseExpired, .executorLost, .poison]
        return ended[number]?.code.map(lost.contains) ?? false
    }

    /// Takes a report of the present holder, or of the last one of a task nobody holds.
    private mutating func take(_ report: Report, of number: Int, from executor: Int) {
        guard let task = tasks[number] else { return }
        if leases[number] == nil { return takeLate(report, of: number, from: executor) }
        switch report.type {
        case .accept:
            start(number)
            renew(number)
        case .progress: takeProgress(report, number)
        case .refuse:
            if task.state == .canceling { released(report, number) } else { refused(report, number, executor) }
        case .release:
            if task.state == .offered { start(number) }
            released(report, number)
        case .outcome:
            if task.state == .offered { start(number, sinceGrant: true) }
            takeOutcome(report, number, executor)
            confirm(executor, LeasePair(task.spec.key.id, report.epoch))
        }
    }

    /// Says at once that an outcome is safe, to those who do not beat.
    private mutating func confirm(_ executor: Int, _ pair: LeasePair) {
        if let heard = executors[executor].beaten,
            now.monotonic - heard < Defaults.missedBeats * executors[executor].beatMs
        {
            return
        }
        sendAck(executor, BeatAck(confirmed: [pair]))
    }

    /// T23: the last holder comes back with its outcome before anybody else has the task.
    private mutating func takeLate(_ report: Report, of number: Int, from executor: Int) {
        guard let task = tasks[number], let holder = runs[number]?.holder else { return }
        let pair = LeasePair(task.spec.key.id, report.epoch)
        guard report.type == .outcome else { return answerStale(executor, pair.task, report) }
        let wasLost = runs[number]?.history.last?.outcome == "lost" && runs[number]?.history.last?.epoch == holder.epoch
        guard wasLost else { return sendAck(executor, BeatAck(confirmed: [pair])) }
        guard task.state == .delayed || task.state == .queued, sameBoot(executor, holder.boot) else {
            return answerStale(executor, pair.task, report)
        }
        let judged = judge(report, task, executor)
        let isPermanent = judged.error.map { $0.errorClass == .permanent } ?? true
        if report.status == .canceled || !isPermanent { return sendAck(executor, BeatAck(confirmed: [pair])) }
        metrics.late += 1
        amendLost(number, judged, report)
        let attempt = runs[number]?.history.last
        let status: Status = judged.error == nil ? .success : .failed
        finish(number, Ending(status, judged.error, output: report.output, attempt: attempt))
        sendAck(executor, BeatAck(confirmed: [pair]))
    }

    /// Whether an executor is still the process that held a lease.
    func sameBoot(_ executor: Int, _ boot: String?) -> Bool {
        guard let boot, let present = executors[executor].card?.boot else { return true }
        return boot == present
    }

    /// The attempt that was taken for lost has an outcome after all.
    private mutating func amendLost(_ number: Int, _ judged: JudgedOutcome, _ report: Report) {
        guard var run = runs[number], var last = run.history.popLast() else { return }
        let before = last.cost ?? 0
        run.spent -= before
        last.outcome = judged.error == nil ? "success" : "failed"
        last.error = judged.error
        last.usage = report.usage
        last.cost = report.cost ?? last.cost
        run.spent += last.cost ?? 0
        run.history.append(last)
        runs[number] = run
        correctCost(number, by: (last.cost ?? 0) - before, at: last.startedAt)
    }

    /// Keeps what the next attempt is to get. One with which its assign would be too large is refused, and the one
    /// before stays.
    private mutating func keepCheckpoint(_ report: Report, _ number: Int) -> Bool {
        guard let checkpoint = report.checkpoint, let task = tasks[number] else { return false }
        let beside = task.spec.input?.bytes.count ?? 0
        if checkpoint.bytes.count > Limits.payload - Limits.envelope - beside {
            if let lease = leases[number] {
                let error = ErrorBody(.payloadTooLarge, "the checkpoint does not fit into an assign beside the input")
                sendError(lease.executor, error, task: task.spec.key.id)
            }
            return false
        }
        runs[number, default: RunRecord()].checkpoint = checkpoint
        return true
    }

    private mutating func takeProgress(_ report: Report, _ number: Int) {
        if tasks[number]?.state == .offered { start(number) }
        renew(number)
        if keepCheckpoint(report, number) { journalChange(number) }
        guard let task = tasks[number], task.spec.updates == .all, task.spec.step == nil else { return }
        var update = Update(.progress, task: task.spec.key.id, state: task.state, rev: task.rev, at: now.wall)
        update.percent = report.percent
        update.message = report.message
        tell(update, of: task.spec)
    }

    /// T9: the executor will not do it. A grant it refuses has begun by the clock alone: nothing was done.
    private mutating func refused(_ report: Report, _ number: Int, _ executor: Int) {
        guard let task = tasks[number], let lease = leases[number] else { return }
        let capability = task.capability
        let pair = Pair(executor, capability)
        judgeCircuits(number, lease, pair: .neutral, capability: .neutral, nil)
        var end = AttemptEnd("released")
        end.cost = 0
        noteAttempt(number, end)
        // Before the lease ends: the registration of an executor without a card may end with it.
        switch report.reason {
        case .unsupported:
            registrations[pair]?.isUnsupported = true
            capabilities[capability].summary = workedOutSummary(of: capability)
            touch(executor: executor)
        case .rateLimited: pausePair(pair, report.retryAfterMs)
        case .busy, .quota, nil: break
        }
        let wasLast = report.reason == .unsupported && executors[executor].isCardless && isUnsupported(task)
        endLease(number)
        epochIndex[lease.epoch] = nil
        runs[number]?.holder = nil
        switch report.reason {
        case .busy: setBusy(executor)
        case .quota: openForQuota(pair, report.retryAfterMs)
        case .unsupported, .rateLimited, nil: break
        }
        if task.state == .running { sendAck(executor, BeatAck(confirmed: [LeasePair(task.spec.key.id, report.epoch)])) }
        if wasLast { return finishUnsupported(number) }
        guard task.state == .running else { return returnOffer(number, after: task, wasRefused: true) }
        transition(number, to: .queued)
    }

    /// Nobody is left who has not refused it.
    mutating func finishUnsupported(_ number: Int) {
        finish(number, Ending(.failed, ErrorBody(.skillNotLoaded, "every executor refuses it as unsupported")))
    }

    /// It said `busy`: nothing for it until its next beat, or for a while.
    private mutating func setBusy(_ executor: Int) {
        executors[executor].busyUntil = now.monotonic + Defaults.busyMs
    }

    /// The executor asked for a pause of the pair.
    mutating func pausePair(_ pair: Pair, _ ms: Int?) {
        registrations[pair]?.pausedUntil = now.monotonic + (ms ?? Defaults.rateLimitedMs)
        touch(capability: pair.capability)
    }

    /// T13a: the executor gives the task back.
    private mutating func released(_ report: Report, _ number: Int) {
        guard let task = tasks[number], let lease = leases[number] else { return }
        judgeCircuits(number, lease, pair: .neutral, capability: .neutral, nil)
        _ = keepCheckpoint(report, number)
        noteAttempt(number, AttemptEnd("released"))
        endLease(number)
        epochIndex[lease.epoch] = nil
        runs[number]?.holder = nil
        sendAck(lease.executor, BeatAck(confirmed: [LeasePair(task.spec.key.id, report.epoch)]))
        if task.state == .canceling {
            finish(number, Ending(.canceled, cancelError(runs[number]?.cancelReason)))
        } else if task.spec.delivery == .atMostOnce, report.safe != true {
            let attempt = runs[number]?.history.last
            finish(number, Ending(.failed, ErrorBody(.executorLost, "given back after its start"), attempt: attempt))
        } else {
            transition(number, to: .queued)
        }
    }
}
