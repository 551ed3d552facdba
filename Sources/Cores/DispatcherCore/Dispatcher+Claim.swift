import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Claims and beats (`topics/executors.md`, work by pull and beats).
extension Dispatcher {
    /// Takes a claim: it is answered at once, or parked.
    mutating func receiveClaim(_ name: ScopedName, _ slot: String, _ message: InboundMessage) {
        metrics.claims += 1
        guard Names.isName(name.name), Names.isName(slot) else { return }
        if executorIndex[name] == nil, executorIndex.count >= Limits.executors { return }
        let executor = executorNumber(name)
        if refuseRetained(message, executor) { return }
        let prefix = "\(name.workspace)/\(Names.protocolLevel)/grant/\(name.name)/"
        let answer = AnswerPlace(message, below: [prefix])
        let claim: Claim
        do throws(WireError) {
            guard message.payload.count <= Limits.payload else { throw WireError(.field, reason: "too large") }
            claim = message.payload.isEmpty ? Claim() : try Claim(decoding: message.payload)
        } catch {
            let code: Code = error.kind == .syntax ? .invalidJSON : .invalidField
            sendError(executor, ErrorBody(code, error.message), task: nil)
            return sendNone(executor, slot, answer, code: code)
        }
        heard(executor)
        if isTerminating { return sendNone(executor, slot, answer, code: .shuttingDown) }
        var parked = ParkedClaim(
            slot: slot, seq: claim.seq, boot: claim.boot, capabilities: claim.capabilities, leaseMs: claim.leaseMs,
            until: now.monotonic + (claim.waitMs ?? 0))
        parked.correlation = answer?.correlation
        parked.responseTopic = answer?.topic
        if repeatAnswer(executor, parked, answer) { return }
        if executors[executor].card == nil {
            guard claim.capabilities?.isEmpty == false else {
                return sendNone(executor, slot, answer, code: .notFound)
            }
            if let reason = lackOfRoom(name, claim.capabilities ?? []) {
                sendError(executor, ErrorBody(.limitReached, reason), task: nil)
                return sendNone(executor, slot, answer, code: .limitReached)
            }
            registerClaim(executor, claim)
        }
        let isNewSlot = !executors[executor].claims.contains { $0.slot == slot }
        if isNewSlot, executors[executor].claims.count >= Limits.claimsPerExecutor {
            return sendNone(executor, slot, answer, code: .limitReached)
        }
        park(parked, executor)
    }

    /// A slot with a live lease of the same boot gets its grant again; the same `seq` the same answer, unless that gave a
    /// task that has ended meanwhile or is somebody else's: an executor that keeps nothing would run it again.
    private mutating func repeatAnswer(_ executor: Int, _ claim: ParkedClaim, _ place: AnswerPlace?) -> Bool {
        guard let last = executors[executor].answers.first(where: { $0.slot == claim.slot }) else {
            return repeatLease(executor, claim, place)
        }
        if repeatLease(executor, claim, place) { return true }
        guard let seq = claim.seq, seq == last.seq, claim.boot == last.boot else { return false }
        let none = Grant.none(retryAfterMs: nextOpening(executor), code: nil).encoded
        publishGrant(executor, claim.slot, last.task == nil ? last.payload : none, place)
        return true
    }

    private mutating func repeatLease(_ executor: Int, _ claim: ParkedClaim, _ place: AnswerPlace?) -> Bool {
        for number in executors[executor].tasks {
            guard let lease = leases[number], lease.slot == claim.slot, lease.mode == .pull,
                claim.boot == nil || lease.boot == nil || claim.boot == lease.boot,
                let assignment = assignment(number)
            else { continue }
            publishGrant(executor, claim.slot, Grant.task(assignment).encoded, place)
            return true
        }
        return false
    }

    /// Without a card, what the claim names is registered: pull, one slot for each SLOT.
    private mutating func registerClaim(_ executor: Int, _ claim: Claim) {
        executors[executor].isCardless = true
        let known = Set(executors[executor].capabilities.map { capabilities[$0].name.name })
        let names = known.union(claim.capabilities ?? []).subtracting([Names.planCapability])
        let entries = names.sorted().prefix(Limits.cardCapabilities).map { CapabilityEntry(name: $0) }
        register(entries, executor, isNewBoot: false)
    }

    /// Keeps a claim; a newer one of the slot replaces it.
    private mutating func park(_ claim: ParkedClaim, _ executor: Int) {
        executors[executor].claims.removeAll { $0.slot == claim.slot }
        executors[executor].claims.append(claim)
        if claim.until <= now.monotonic {
            unansweredClaims.append(SlotName(executor: executor, slot: claim.slot))
        } else {
            setClaimTimer(executor)
        }
        dirtyExecutors.insert(executor)
    }

    /// After the decisions: claims that do not wait are told that there is none.
    mutating func answerClaims() {
        guard !unansweredClaims.isEmpty else { return }
        let slots = unansweredClaims
        unansweredClaims.removeAll(keepingCapacity: true)
        for name in slots { endClaim(name.executor, name.slot) }
    }

    /// Claims whose wait is over.
    mutating func claimsDue(_ executor: Int) {
        for claim in executors[executor].claims where claim.until <= now.monotonic { endClaim(executor, claim.slot) }
        setClaimTimer(executor)
    }

    private mutating func endClaim(_ executor: Int, _ slot: String) {
        guard let position = executors[executor].claims.firstIndex(where: { $0.slot == slot }),
            executors[executor].claims[position].until <= now.monotonic
        else { return }
        let claim = executors[executor].claims.remove(at: position)
        let payload = Grant.none(retryAfterMs: nextOpening(executor), code: nil).encoded
        answerClaim(executor, claim, payload, task: nil)
        dropCardless(executor)
    }

    /// Answers a claim and remembers the answer for its slot.
    mutating func answerClaim(_ executor: Int, _ claim: ParkedClaim, _ payload: [UInt8], task: Int?) {
        var answer = ClaimAnswer(slot: claim.slot, seq: claim.seq, boot: claim.boot, payload: payload)
        answer.task = task
        executors[executor].answers.removeAll { $0.slot == claim.slot }
        if claim.seq != nil {
            if executors[executor].answers.count >= executors[executor].slots + 16 {
                executors[executor].answers.removeFirst()
            }
            executors[executor].answers.append(answer)
        }
        var place: AnswerPlace?
        if claim.correlation != nil || claim.responseTopic != nil {
            place = AnswerPlace(topic: claim.responseTopic, correlation: claim.correlation)
        }
        publishGrant(executor, claim.slot, payload, place)
    }

    private mutating func publishGrant(_ executor: Int, _ slot: String, _ payload: [UInt8], _ place: AnswerPlace?) {
        let name = executors[executor].name
        publish(name.workspace, .grant(executor: name.name, slot: slot), payload, to: place)
    }

    private mutating func sendNone(_ executor: Int, _ slot: String, _ place: AnswerPlace?, code: Code) {
        let payload = Grant.none(retryAfterMs: Defaults.claimRetryMs, code: code).encoded
        publishGrant(executor, slot, payload, place)
    }

    /// The nearest known opening for an executor's claims, in ms.
    private func nextOpening(_ executor: Int) -> Int {
        var nearest: MonotonicTime?
        for capability in executors[executor].capabilities {
            for demand in capabilities[capability].demands {
                if let until = demands[demand]?.until { nearest = min(until, nearest ?? until) }
            }
        }
        let wait = nearest.map { $0 - now.monotonic } ?? Defaults.claimRetryMs
        return min(60_000, max(1000, wait))
    }

    /// Registrations from claims end with the last claim and lease. Their circuits stay until the executor is forgotten,
    /// and their pauses until they are over: else one that always fails would be given work for ever.
    mutating func dropCardless(_ executor: Int) {
        guard executors[executor].isCardless, executors[executor].claims.isEmpty, executors[executor].tasks.isEmpty,
            executors[executor].zombies.isEmpty
        else { return }
        executors[executor].pauses = executors[executor].pauses.filter { $0.value > now.monotonic }
        for capability in executors[executor].capabilities {
            let pair = Pair(executor, capability)
            if let until = registrations[pair]?.pausedUntil, until > now.monotonic {
                executors[executor].pauses[capability] = until
            }
            unregister(pair, keepsCircuit: true)
        }
        executors[executor].capabilities = []
        executors[executor].isCardless = false
        // What waits for its capabilities is looked at again, and told what it waits for now.
        dirtyExecutors.insert(executor)
    }

    /// The timer of an executor's parked claims.
    mutating func setClaimTimer(_ executor: Int) {
        let key = TimerKey(.claim, executor)
        if let first = executors[executor].claims.map(\.until).min() {
            timers.set(key, first)
        } else {
            timers.remove(key)
        }
    }

    // MARK: - Beats

    /// Takes a beat and answers it.
    mutating func receiveBeat(_ name: ScopedName, _ message: InboundMessage) {
        metrics.beats += 1
        guard Names.isName(name.name) else { return }
        if executorIndex[name] == nil, executorIndex.count >= Limits.executors { return }
        let executor = executorNumber(name)
        if refuseRetained(message, executor) { return }
        let beat: Beat
        do throws(WireError) {
            guard message.payload.count <= Limits.payload else { throw WireError(.field, reason: "too large") }
            beat = try Beat(decoding: message.payload)
        } catch {
            let code: Code = error.kind == .syntax ? .invalidJSON : .invalidField
            return sendError(executor, ErrorBody(code, error.message), task: nil)
        }
        var ack = BeatAck(seq: beat.seq)
        guard let boot = executors[executor].card?.boot else {
            ack.code = .notFound
            return sendAck(executor, ack)
        }
        guard boot == beat.boot else {
            ack.code = .notFound
            return sendAck(executor, ack)
        }
        executors[executor].beaten = now.monotonic
        if executors[executor].busyUntil != nil {
            executors[executor].busyUntil = nil
            dirtyExecutors.insert(executor)
        }
        heard(executor)
        revive(executor, boot: boot)
        renewLeases(executor, beat, &ack)
        answerUnconfirmed(executor, beat, &ack)
        sendAck(executor, ack)
    }

    private mutating func renewLeases(_ executor: Int, _ beat: Beat, _ ack: inout BeatAck) {
        for pair in beat.leases ?? [] {
            guard let number = epochIndex[pair.epoch], let task = tasks[number], task.spec.key.id == pair.task,
                let lease = leases[number], lease.executor == executor, lease.epoch == pair.epoch,
                lease.boot == nil || lease.boot == beat.boot
            else {
                ack.revoked.append(pair)
                continue
            }
            if task.state == .offered { start(number) }
            renew(number)
        }
    }

    /// What became of outcomes the executor was not told about.
    private func answerUnconfirmed(_ executor: Int, _ beat: Beat, _ ack: inout BeatAck) {
        let name = executors[executor].name.name
        for pair in beat.unconfirmed ?? [] {
            guard let number = epochIndex[pair.epoch] else {
                ack.revoked.append(pair)
                continue
            }
            if let record = ended[number] {
                let isOwn = record.holder?.executor == name && record.spec.key.id == pair.task
                if isOwn, !endedByLoss(number) { ack.confirmed.append(pair) } else { ack.revoked.append(pair) }
            } else if let lease = leases[number] {
                let isOwn = lease.executor == executor && lease.epoch == pair.epoch
                if isOwn { ack.resend.append(pair) } else { ack.revoked.append(pair) }
            } else if let holder = runs[number]?.holder, holder.executor == name, holder.epoch == pair.epoch {
                let last = runs[number]?.history.last
                if last?.epoch == pair.epoch, last?.outcome != "lost" {
                    ack.confirmed.append(pair)
                } else {
                    ack.resend.append(pair)
                }
            } else {
                ack.revoked.append(pair)
            }
        }
    }

    /// Sends a beat's answer, or one that nobody asked for.
    mutating func sendAck(_ executor: Int, _ ack: BeatAck) {
        send(.beatAck(ack), Names.noCapability, executor)
    }

    /// Tells an executor that a message of its was refused.
    mutating func sendError(_ executor: Int, _ error: ErrorBody, task: String?) {
        metrics.illegal += 1
        send(.error(error, task: task), Names.noCapability, executor)
    }

    /// A request must not be retained: it is refused and cleared.
    mutating func refuseRetained(_ message: InboundMessage, _ executor: Int) -> Bool {
        guard message.retained else { return false }
        if message.payload.isEmpty { return true }
        publish(OutboundMessage(topic: message.topic, payload: [], retain: true))
        sendError(executor, ErrorBody(.retainedRequest, "requests must not be retained"), task: nil)
        return true
    }
}
