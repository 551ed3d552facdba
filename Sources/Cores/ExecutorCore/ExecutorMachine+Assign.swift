import Contract
import Determinism
import Machine
import TimeModel
import Wire

// MARK: - Messages

extension ExecutorMachine {
    mutating func receive(_ message: InboundMessage) {
        guard let place = Topic(message.topic)?.place, !message.payload.isEmpty else { return }
        guard !message.retained else {
            log(.warning, "message_refused", "retained message on \(message.topic)", code: .retainedRequest)
            return
        }
        do {
            switch place {
            case .work(_, settings.name): receive(try WorkMessage(decoding: message.payload))
            case .grant(settings.name, let slot): receive(try Grant(decoding: message.payload), for: slot)
            default: return
            }
        } catch {
            let code: Code = error.kind == .syntax ? .invalidJSON : .invalidField
            log(.warning, "message_refused", "\(message.topic): \(error.message)", code: code)
        }
    }

    private mutating func receive(_ message: WorkMessage) {
        switch message {
        case .assign(let assignment): take(assignment)
        case .cancel(let name, _, let reason):
            if isCurrent(term: name.term) { cancel(AttemptKey(name), reason: reason) }
        case .revoke(let name, _):
            if isCurrent(term: name.term) { revoke(AttemptKey(name).pair) }
        case .load(let payload): load(payload)
        case .unload(let payload): unload(payload)
        case .beatAck(let ack): receive(ack)
        case .error(let error, let task):
            let text = "the dispatcher refused a message about \(task ?? "this executor"): \(error.message ?? "")"
            log(.warning, "report_refused", text, code: error.code)
        }
    }

    /// Whether a dispatcher of this term may be obeyed: none of a lower term than one heard before. Durable, so that a
    /// dispatcher that came back from the dead is refused after a restart too.
    mutating func isCurrent(term: Int) -> Bool {
        if term > highestTerm {
            highestTerm = term
            append(.term(term))
        }
        if term < highestTerm {
            let text = "a dispatcher of term \(term) speaks; one of term \(highestTerm) was heard before"
            log(.warning, "term_refused", text)
        }
        return term == highestTerm
    }
}

// MARK: - Taking work

extension ExecutorMachine {
    /// Takes an assignment, pushed or granted to `slot`. `sentAt`: when the claim was sent that it answers. Whatever is
    /// not for this boot, of a lower term, or of an epoch not above those seen, changes nothing.
    mutating func take(_ assignment: Assignment, slot: String? = nil, sentAt: MonotonicTime? = nil) {
        let key = AttemptKey(assignment)
        guard assignment.boot ?? boot == boot else {
            return log(.debug, "assign_ignored", "it is meant for another boot", key)
        }
        guard isCurrent(term: assignment.term) else { return }
        if let known = highestEpoch(key.task), key.epoch <= known { return repeatAnswer(key) }
        seen.note(key)
        for older in attempts.keys where older.task == key.task { stop(older, .revoked) }
        guard let capability = manifest.capability(assignment.capability), isLoaded(capability) else {
            return decline(key, .unsupported, slot)
        }
        guard hasRoom(for: capability) else { return decline(key, .busy, slot) }
        begin(assignment, capability, slot: slot, sentAt: sentAt)
    }

    private mutating func begin(
        _ assignment: Assignment, _ capability: OfferedCapability, slot: String?, sentAt: MonotonicTime?
    ) {
        let key = AttemptKey(assignment)
        var attempt = Attempt(assignment: assignment, capability: capability, claimSlot: slot)
        attempt.deadline = attempt.deadline(from: sentAt ?? now.monotonic)
        if slot != nil, attempt.deadline ?? now.monotonic <= now.monotonic || sentAt == nil {
            attempt.needsRenewal = true
            attempt.deadline = attempt.deadline(from: now.monotonic)
        }
        attempts[key] = attempt
        if endsAtOnce(key) { return }
        waiting.append(key)
        append(.begun(key))
        open[key] = true
        if slot == nil { send(Report(.accept, epoch: key.epoch), key) }
        if attempt.needsRenewal { beat() }
    }

    private func highestEpoch(_ task: TaskKey) -> Int? {
        let live = attempts.keys.last { $0.task == task }?.epoch
        let kept = outcomes.keys.last { $0.task == task }?.epoch
        return [seen[task], live, kept].compactMap { $0 }.max()
    }

    private func hasRoom(for capability: OfferedCapability) -> Bool {
        guard state == .online, !isFull else { return false }
        let same = attempts.values.count {
            $0.stop == nil && $0.capability.entry.name == capability.entry.name
        }
        return promisedSlots + capability.slotCost <= manifest.slots
            && same < capability.entry.maxConcurrent ?? manifest.slots
    }

    /// An epoch is started once. Who names it again has missed the answer, and gets it again.
    private mutating func repeatAnswer(_ key: AttemptKey) {
        if let kept = outcomes[key] {
            publish(kept, key)
        } else if let attempt = attempts[key], attempt.stop == nil {
            if attempt.claimSlot == nil { send(Report(.accept, epoch: key.epoch), key) }
        } else {
            log(.debug, "assign_ignored", "this epoch or a higher one was seen before", key)
        }
    }

    /// Says no: a refusal of an offer, a release of what is already leased.
    private mutating func decline(_ key: AttemptKey, _ reason: Report.Reason, _ slot: String?) {
        log(.info, "work_refused", "refused: \(reason.rawValue)", key)
        if let slot {
            freeClaim(slot, retryAfterMs: reason == .busy ? 1000 : Defaults.claimRetryMs)
            release(key, safe: true)
        } else {
            var report = Report(.refuse, epoch: key.epoch)
            report.reason = reason
            send(report, key)
        }
    }

    /// Sends a report; an accept or a refusal that cannot leave is worthless later.
    mutating func send(_ report: Report, _ key: AttemptKey) {
        guard isConnected else { return }
        var report = report
        report.principal = key.task.principal
        let topic = topic(.report(executor: settings.name, id: key.task.task))
        effects.append(.publish(OutboundMessage(topic: topic, payload: report.encoded)))
    }

    /// Gives an attempt back, now or once the connection is there again.
    mutating func release(_ key: AttemptKey, safe: Bool) {
        guard isConnected else {
            owedReleases[key] = safe
            return
        }
        var report = Report(.release, epoch: key.epoch)
        report.safe = safe
        send(report, key)
    }
}
