import Contract
import Determinism
import Machine
import TimeModel
import Wire

// MARK: - Doing

extension ExecutorMachine {
    /// Work of the executor's own that takes no time needs no accept and no record of its beginning.
    mutating func endsAtOnce(_ key: AttemptKey) -> Bool {
        guard let attempt = attempts[key], mayStart(key, attempt), case .builtin(let builtin) = attempt.capability.work
        else { return false }
        let assignment = attempt.assignment
        let input = assignment.input ?? .emptyObject
        guard case .ended(let ending) = builtin.course(of: input, attempt: assignment.attempt) else { return false }
        attempts[key]?.startedAt = now.monotonic
        finish(key, ending)
        return true
    }

    /// Starts what was taken and had to wait. At most one attempt of a task at a time, and never more than the slots.
    mutating func startWaiting() {
        guard !waiting.isEmpty, journalIsWritable else { return }
        for key in waiting {
            guard let attempt = attempts[key], mayStart(key, attempt) else { continue }
            start(key, attempt)
        }
    }

    private func mayStart(_ key: AttemptKey, _ attempt: Attempt) -> Bool {
        attempt.phase == .waiting && attempt.stop == nil && !attempt.needsRenewal
            && usedSlots + attempt.capability.slotCost <= manifest.slots
            && !attempts.keys.contains { $0.task == key.task && $0 < key }
    }

    private mutating func start(_ key: AttemptKey, _ attempt: Attempt) {
        waiting.removeAll { $0 == key }
        attempts[key]?.startedAt = now.monotonic
        let capability = attempt.capability.entry.name
        log(.info, "attempt_started", "\(capability), attempt \(attempt.assignment.attempt)", key)
        switch attempt.capability.work {
        case .builtin(let builtin):
            let input = attempt.assignment.input ?? .emptyObject
            switch builtin.course(of: input, attempt: attempt.assignment.attempt) {
            case .ended(let ending): finish(key, ending)
            case .takes(let ms):
                attempts[key]?.phase = .timer(now.monotonic + ms)
                attempts[key]?.progressAt = ms > 1000 ? now.monotonic + 1000 : nil
            }
        case .command(let command):
            lastChild += 1
            children[lastChild] = key
            attempts[key]?.phase = .child(lastChild)
            effects.append(.startChild(request(command, attempt)))
        }
    }

    private func request(_ command: Command, _ attempt: Attempt) -> ChildRequest {
        ChildRequest(
            id: lastChild, arguments: command.arguments,
            input: (attempt.assignment.input ?? .emptyObject).bytes,
            environment: environment(command, attempt.assignment), directory: command.directory,
            timeoutMs: attempt.workLimitMs, graceMs: command.stopGraceMs, outputLimit: command.outputLimit,
            memoryLimit: (command.memoryLimitMB ?? 0) * 1024 * 1024)
    }

    /// What the manifest allows or sets, then what this task is. Inputs go to standard input only.
    private func environment(_ command: Command, _ assignment: Assignment) -> [String] {
        var list: [String] = []
        for entry in command.environment {
            if entry.utf8.contains(UInt8(ascii: "=")) {
                list.append(entry)
            } else if let own = settings.environment.first(where: { $0.hasPrefix(entry + "=") }) {
                list.append(own)
            }
        }
        if !list.contains(where: { $0.hasPrefix("PATH=") }) { list.append(ManifestDefaults.path) }
        list += [
            "MARTLET_WORKSPACE=\(settings.workspace)", "MARTLET_TASK=\(assignment.task)",
            "MARTLET_PRINCIPAL=\(assignment.principal)", "MARTLET_CAPABILITY=\(assignment.capability)",
            "MARTLET_EPOCH=\(assignment.epoch)", "MARTLET_TERM=\(assignment.term)",
            "MARTLET_ATTEMPT=\(assignment.attempt)", "MARTLET_TIMEOUT_MS=\(assignment.timeoutMs)",
        ]
        let texts = [
            ("MARTLET_ACTION", assignment.action), ("MARTLET_CONTEXT", assignment.context?.raw.text),
            ("MARTLET_CHECKPOINT", assignment.checkpoint?.text), ("TRACEPARENT", assignment.traceparent),
        ]
        for case (let name, let text?) in texts where !text.utf8.contains(0) { list.append("\(name)=\(text)") }
        return list
    }

    /// Beats, progress and the ends of the executor's own work.
    mutating func advanceTimers() {
        if isConnected, let due = beatAt, due <= now.monotonic { beat() }
        for (key, attempt) in attempts {
            guard case .timer(let end) = attempt.phase, let startedAt = attempt.startedAt else { continue }
            if end <= now.monotonic {
                finish(key, Builtin.slept(now.monotonic - startedAt))
            } else if let due = attempt.progressAt, due <= now.monotonic {
                var report = Report(.progress, epoch: key.epoch)
                report.percent = min(100, (now.monotonic - startedAt) * 100 / max(1, end - startedAt))
                send(report, key)
                attempts[key]?.progressAt = now.monotonic + 1000
            }
        }
    }
}

// MARK: - Ending

extension ExecutorMachine {
    mutating func childEnded(_ id: Int, _ outcome: ChildOutcome) {
        guard let key = children.removeValue(forKey: id), let attempt = attempts[key],
            case .command(let command) = attempt.capability.work
        else { return }
        let ending = EndingReader(command: command, timeoutMs: attempt.timeoutMs).ending(of: outcome)
        guard let stop = attempt.stop else { return finish(key, ending) }
        switch (stop, outcome.end) {
        case (.canceled, .stopped), (.canceled, .signaled):
            finish(key, Ending(status: .canceled, usage: ending.usage))
        case (.canceled, _): finish(key, ending)
        case (.fenced, .exited): finish(key, ending)
        default: giveBack(key)
        }
    }

    /// An attempt has come to an end: the outcome is written down, then sent until it is confirmed.
    mutating func finish(_ key: AttemptKey, _ ending: Ending) {
        let report = ending.report(epoch: key.epoch, principal: key.task.principal)
        let kept = KeptOutcome(payload: report.encoded)
        append(.outcome(key, report.raw))
        open[key] = nil
        outcomes[key] = kept
        outcomeBytes += kept.payload.count
        publish(kept, key)
        let status = report.status?.rawValue ?? ""
        log(.info, "attempt_ended", "\(status) after \(runTime(key)) ms", key, code: report.error?.code)
        remove(key)
    }

    /// An attempt ends without an outcome. Nothing has happened if it never started.
    mutating func giveBack(_ key: AttemptKey) {
        guard let attempt = attempts[key] else { return }
        append(.dropped(key))
        open[key] = nil
        release(key, safe: attempt.startedAt == nil)
        log(.info, "attempt_ended", "given back after \(runTime(key)) ms", key)
        remove(key)
    }

    private func runTime(_ key: AttemptKey) -> Int {
        attempts[key]?.startedAt.map { now.monotonic - $0 } ?? 0
    }

    private mutating func remove(_ key: AttemptKey) {
        guard let attempt = attempts[key] else { return }
        attempts[key] = nil
        waiting.removeAll { $0 == key }
        if let slot = attempt.claimSlot { freeClaim(slot, retryAfterMs: 0) }
    }
}

// MARK: - Outcomes

extension ExecutorMachine {
    mutating func publish(_ kept: KeptOutcome, _ key: AttemptKey) {
        guard isConnected else { return }
        let topic = topic(.report(executor: settings.name, id: key.task.task))
        effects.append(.publish(OutboundMessage(topic: topic, payload: kept.payload)))
    }

    /// Forgets outcomes that are safe or count no more.
    mutating func settle(_ pair: LeasePair) {
        for (key, kept) in outcomes where key.pair == pair {
            outcomes[key] = nil
            outcomeBytes -= kept.payload.count
            append(.settled(key))
        }
    }
}
