import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// An outcome as the dispatcher sees it.
struct JudgedOutcome: Hashable, Sendable {
    /// Why it is no success; its class is filled in.
    var error: ErrorBody?
    /// What it gave, unless that is too large or illegal.
    var output: RawJSON?
}

/// Outcomes (`topics/tasks.md`, what an outcome does).
extension Dispatcher {
    /// The outcome of the present holder.
    mutating func takeOutcome(_ report: Report, _ number: Int, _ executor: Int) {
        guard let task = tasks[number], let lease = leases[number] else { return }
        let judged = judge(report, task, executor)
        if report.status == .canceled { return takeCanceled(report, number, lease) }
        guard let error = judged.error else {
            judgeCircuits(number, lease, pair: .success, capability: .success, nil)
            learnRun(number, lease, report)
            let attempt = noteAttempt(number, end(AttemptEnd("success"), report))
            endLease(number)
            _ = tasks.change(number) { $0.tries += 1 }
            return finish(number, Ending(.success, nil, output: judged.output, attempt: attempt))
        }
        takeFailure(error, judged.output, report, number)
    }

    private func end(_ end: AttemptEnd, _ report: Report) -> AttemptEnd {
        var end = end
        end.usage = report.usage
        end.cost = report.cost
        return end
    }

    private mutating func takeCanceled(_ report: Report, _ number: Int, _ lease: Lease) {
        judgeCircuits(number, lease, pair: .neutral, capability: .neutral, nil)
        let attempt = noteAttempt(number, end(AttemptEnd("canceled", report.error), report))
        endLease(number)
        tasks[number]?.tries += 1
        let error = cancelError(runs[number]?.cancelReason) ?? report.error
        finish(number, Ending(.canceled, error, output: report.output, attempt: attempt))
    }

    /// A failed attempt: the class of its error says what follows.
    private mutating func takeFailure(_ error: ErrorBody, _ output: RawJSON?, _ report: Report, _ number: Int) {
        guard let task = tasks[number], let lease = leases[number] else { return }
        let errorClass = error.errorClass ?? .transient
        let pair = Pair(lease.executor, task.capability)
        switch errorClass {
        case .permanent: judgeCircuits(number, lease, pair: .success, capability: .success, error.code)
        case .transient, .timeout: judgeCircuits(number, lease, pair: .failure, capability: .failure, error.code)
        case .rateLimited, .policy: judgeCircuits(number, lease, pair: .neutral, capability: .neutral, error.code)
        case .quota: judgeCircuits(number, lease, pair: .neutral, capability: .neutral, error.code)
        }
        let word = errorClass == .timeout ? "timeout" : "failed"
        let attempt = noteAttempt(number, end(AttemptEnd(word, error), report))
        endLease(number)
        epochIndex[lease.epoch] = number
        switch errorClass {
        case .rateLimited: pausePair(pair, error.retryAfterMs)
        case .quota: openForQuota(pair, error.retryAfterMs)
        case .permanent, .transient, .timeout: tasks[number]?.tries += 1
        case .policy: break
        }
        runs[number]?.failedLast = lease.name
        runs[number]?.lastError = error
        follow(error, errorClass, output, number, attempt)
    }

    /// Ends the task or waits for its next try.
    private mutating func follow(
        _ error: ErrorBody, _ errorClass: ErrorClass, _ output: RawJSON?, _ number: Int, _ attempt: AttemptRecord?
    ) {
        guard let task = tasks[number] else { return }
        if task.state == .canceling, errorClass != .permanent {
            return finish(
                number,
                Ending(.canceled, cancelError(runs[number]?.cancelReason) ?? error, output: output, attempt: attempt))
        }
        switch errorClass {
        case .permanent: finish(number, Ending(.failed, error, output: output, attempt: attempt))
        case .policy: finish(number, Ending(.rejected, error, output: output, attempt: attempt))
        case .rateLimited, .quota, .transient, .timeout:
            if task.spec.delivery == .atMostOnce, error.safe != true {
                let status: Status = errorClass == .timeout ? .timeout : .failed
                finish(number, Ending(status, error, output: output, attempt: attempt))
            } else if errorClass == .rateLimited {
                delay(number, error.retryAfterMs ?? Defaults.rateLimitedMs, code: error.code)
            } else if errorClass == .quota {
                transition(number, to: .queued, code: error.code)
            } else if !hasTry(number) {
                exhaust(number, error, output: output)
            } else {
                retry(number, error, retryAfterMs: error.retryAfterMs, output: output)
            }
        }
    }

    /// Reads an outcome: its class by name or by code; outputs that are too large or break the schema are failures.
    func judge(_ report: Report, _ task: TaskRecord, _ executor: Int) -> JudgedOutcome {
        let output = report.output
        if let output, output.bytes.count > Limits.payload - Limits.envelope {
            let limit = Limits.payload - Limits.envelope
            return JudgedOutcome(
                error: ErrorBody(.resultTooLarge, "the output is over \(limit) bytes", errorClass: .permanent))
        }
        if report.status == .success {
            guard let index = capabilityIndex[ScopedName(task.spec.key.workspace, task.spec.capability)],
                let schema = registrations[Pair(executor, index)]?.entry.outputSchema,
                let violation = Schema(schema).violation(in: output ?? .null)
            else { return JudgedOutcome(output: output) }
            let error = ErrorBody(.resultInvalid, "output: \(violation)", errorClass: .transient)
            return JudgedOutcome(error: error, output: output)
        }
        var error = report.error ?? ErrorBody(.internal, "failed without an error")
        if error.details?.bytes.count ?? 0 > Limits.envelope / 2 { error.details = nil }
        error.errorClass = error.errorClass ?? Dispatcher.errorClass(of: error.code)
        return JudgedOutcome(error: error, output: output)
    }

    /// What a code means for a further try when the executor does not say.
    static func errorClass(of code: Code) -> ErrorClass {
        switch code {
        case .notFound, .permissionDenied, .unsupportedSchema, .payloadTooLarge, .resultTooLarge: .permanent
        case .policyRejected: .policy
        case .rateLimited: .rateLimited
        case .executionTimeout: .timeout
        default: code.rawValue.hasPrefix("invalid_") ? .permanent : .transient
        }
    }

    /// Records the attempt of a lease that ends; the last 32 are kept. An attempt costs what it reports, else what its
    /// card says.
    @discardableResult mutating func noteAttempt(_ number: Int, _ end: AttemptEnd) -> AttemptRecord? {
        guard let task = tasks[number], let lease = leases[number], let startedAt = lease.startedAt else { return nil }
        var attempt = AttemptRecord(
            number: Int(task.attempts), executor: lease.name, epoch: lease.epoch, mode: lease.mode,
            startedAt: startedAt)
        attempt.durationMs = max(0, now.monotonic - (lease.started ?? now.monotonic))
        attempt.outcome = end.outcome
        attempt.error = end.error
        attempt.error?.details = nil
        attempt.usage = end.usage
        let capability = task.capability
        // The card may be gone; what was expected at the grant is known.
        let declared = registrations[Pair(lease.executor, capability)]?.declared(task.spec.units) ?? lease.estimate
        let cost = end.cost ?? declared
        attempt.cost = cost
        var run = runs[number] ?? RunRecord()
        run.history.append(attempt)
        if run.history.count > Limits.attemptRecords { run.history.removeFirst() }
        run.spent += cost
        runs[number] = run
        settle(SpendingEnd(reserved: lease.estimate, actual: cost, grantedAt: lease.grantedAt), task.spec)
        metrics.cost += cost
        if let plan = task.spec.step?.plan { plans[plan]?.spent += cost }
        return attempt
    }

    /// An attempt that was settled already has cost more, or less.
    mutating func correctCost(_ number: Int, by difference: Int, at grantedAt: WallTime) {
        guard let task = tasks[number], difference != 0 else { return }
        settle(SpendingEnd(reserved: 0, actual: difference, grantedAt: grantedAt), task.spec)
        metrics.cost += difference
        if let plan = task.spec.step?.plan {
            plans[plan]?.spent += difference
            if difference < 0 { wakeSteps(of: plan) }
        }
    }

    /// Settles an attempt in the budgets it counts in; the journal keeps what is spent.
    mutating func settle(_ end: SpendingEnd, _ spec: TaskSpec) {
        guard !configuration.budgets.isEmpty else { return }
        spending.settle(end, spec, configuration, at: now.wall)
        if end.actual < end.reserved { noteMoreToSpend() }
        guard end.actual != 0 else { return }
        for (name, spent) in spending.state(of: spec, configuration) {
            journal(.spent(budget: name, period: spent.period, amount: spent.amount))
        }
    }

    /// Learns price and run time from a success.
    private mutating func learnRun(_ number: Int, _ lease: Lease, _ report: Report) {
        guard let task = tasks[number], let started = lease.started else { return }
        let pair = Pair(lease.executor, task.capability)
        guard let registration = registrations[pair] else { return }
        let declared = registration.declared(task.spec.units)
        // Over a restart the time is the wall clock's, which may have been set meanwhile.
        let ran = min(max(0, now.monotonic - started), lease.timeoutMs)
        _ = registrations.change(pair) {
            if let cost = report.cost {
                $0.costRatio = Score.ratio($0.costRatio, declared: declared, actual: cost)
            }
            $0.runMs = Score.average($0.runMs, ran)
        }
    }
}
