import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// The registry: who offers what (`topics/executors.md`, card and status).
extension Dispatcher {
    /// Index of an executor; a new one gets the next.
    mutating func executorNumber(_ name: ScopedName) -> Int {
        if let known = executorIndex[name] { return known }
        var record = ExecutorRecord(name)
        record.noticed = now.monotonic
        if let free = freeExecutors.popLast() {
            executors[free] = record
            executorIndex[name] = free
            return free
        }
        executors.append(record)
        executorIndex[name] = executors.count - 1
        return executors.count - 1
    }

    /// Index of a capability; a new one gets the next.
    mutating func capabilityNumber(_ name: ScopedName) -> Int {
        if let known = capabilityIndex[name] { return known }
        capabilities.append(CapabilityRecord(name))
        capabilityIndex[name] = capabilities.count - 1
        return capabilities.count - 1
    }

    /// Takes a card.
    mutating func receiveCard(_ name: ScopedName, _ message: InboundMessage) {
        guard Names.isName(name.name) else { return }
        if executorIndex[name] == nil, executorIndex.count >= Limits.executors {
            return log(.warning, "registry_full", "No room for a further executor", [LogField("executor", name.name)])
        }
        let executor = executorNumber(name)
        if message.payload.isEmpty { return removeCard(executor) }
        let card: Card
        let raw: RawJSON
        do throws(WireError) {
            guard message.payload.count <= Limits.payload else { throw WireError(.field, reason: "too large") }
            raw = try RawJSON(validating: message.payload)
            card = try Card(raw)
            if let twice = Dispatcher.twice(card.capabilities) {
                throw WireError(.field, path: "capabilities", reason: "'\(twice)' stands there twice")
            }
            if let reason = lackOfRoom(name, card.capabilities.map(\.name)) {
                return sendError(executor, ErrorBody(.limitReached, reason), task: nil)
            }
        } catch {
            let code: Code = error.kind == .syntax ? .invalidJSON : .invalidField
            return sendError(executor, ErrorBody(code, error.message), task: nil)
        }
        take(card, raw, executor)
    }

    private static func twice(_ entries: [CapabilityEntry]) -> String? {
        var seen: Set<String> = []
        return entries.first { !seen.insert($0.name).inserted }?.name
    }

    /// Why there is no room for what an executor offers: the registry is full, or it has offered too much under its
    /// name. One executor shall not take the room of all others.
    func lackOfRoom(_ executor: ScopedName, _ names: [String]) -> String? {
        let fresh = names.count { firstSeen[SeenKey(executor: executor, capability: $0)] == nil }
        if fresh > 0, (seenCounts[executor] ?? 0) + fresh > Limits.seenCapabilities {
            return "one executor may offer \(Limits.seenCapabilities) different capabilities in its life"
        }
        let unknown = names.count { capabilityIndex[ScopedName(executor.workspace, $0)] == nil }
        guard unknown > 0, capabilities.count + unknown > Limits.capabilities else { return nil }
        return "\(Limits.capabilities) capabilities are known; there is no room for more"
    }

    private mutating func take(_ card: Card, _ raw: RawJSON, _ executor: Int) {
        let record = CardRecord(card, raw: raw)
        let old = executors[executor].card
        if let old, old.boot == record.boot {
            if record.rev < old.rev { return }
            if record.rev == old.rev {
                if record.digest != old.digest { noteSelfConflict(executor) }
                return
            }
        }
        let isNewBoot = old.map { $0.boot != record.boot } ?? true
        if isNewBoot { changeBoot(executor, from: old?.boot, to: record.boot) }
        executors[executor].isCardless = false
        executors[executor].card = record
        executors[executor].selfConflictAt = nil
        register(card.capabilities, executor, isNewBoot: isNewBoot)
        event(.executorRegistered, in: executors[executor].name.workspace, subject: executors[executor].name.name) {
            $0.field("boot", record.boot)
            $0.field("rev", record.rev)
            $0.field("capabilities", card.capabilities.count)
        }
        answerLoads(executor)
        tellOnline(executor)
        touch(executor: executor)
    }

    /// Same boot and revision, other content: the card is ignored.
    private mutating func noteSelfConflict(_ executor: Int) {
        if executors[executor].selfConflictAt == nil { executors[executor].selfConflictAt = now.wall }
        for capability in executors[executor].capabilities { changedConflicts.insert(capability) }
    }

    /// Another process: what the old one had is lost, and its claims and slots with it.
    private mutating func changeBoot(_ executor: Int, from old: String?, to new: String) {
        // A card may be an old one that was retained: the status that stands beside it still counts.
        let fits = executors[executor].statusBoot == nil || executors[executor].statusBoot == new
        if !fits { executors[executor].connection = 0 }
        executors[executor].isLost = executors[executor].status == .lost && fits
        executors[executor].isSilent = false
        executors[executor].beaten = nil
        executors[executor].busyUntil = nil
        executors[executor].claims.removeAll { $0.boot != new }
        executors[executor].answers.removeAll { $0.boot != new }
        setClaimTimer(executor)
        if old != nil { noteBootChange(executor) }
        for number in executors[executor].tasks {
            guard let lease = leases[number], lease.boot != nil, lease.boot != new else { continue }
            lose(number, .executorLost)
        }
        endZombies(executor, all: true)
    }

    /// C3: over three changes of the boot within a minute: two programs share the name.
    private mutating func noteBootChange(_ executor: Int) {
        var changes = executors[executor].bootChanges.filter { now.monotonic - $0 < 60_000 }
        changes.append(now.monotonic)
        executors[executor].bootChanges = changes
        guard changes.count > 3 || executors[executor].identityConflictUntil != nil else { return }
        executors[executor].identityConflictUntil = now.monotonic + 60_000
        timers.set(TimerKey(.identity, executor), now.monotonic + 60_000)
        for capability in executors[executor].capabilities { changedConflicts.insert(capability) }
    }

    /// One boot has stayed for a minute: the conflict is over.
    mutating func identityDue(_ executor: Int) {
        executors[executor].identityConflictUntil = nil
        for capability in executors[executor].capabilities { changedConflicts.insert(capability) }
        touch(executor: executor)
    }

    /// Puts the capabilities of a card in the place of those that stood there.
    mutating func register(_ entries: [CapabilityEntry], _ executor: Int, isNewBoot: Bool) {
        let name = executors[executor].name
        let old = executors[executor].capabilities
        let sorted = entries.sorted { $0.name < $1.name }
        var numbers: [Int] = []
        for entry in sorted {
            let scoped = ScopedName(name.workspace, entry.name)
            if capabilityIndex[scoped] == nil, capabilities.count >= Limits.capabilities { continue }
            let capability = capabilityNumber(scoped)
            numbers.append(capability)
            let pair = Pair(executor, capability)
            if var known = registrations[pair] {
                known.entry = entry
                known.isUnsupported = false
                if isNewBoot { known.pausedUntil = nil }
                registrations[pair] = known
            } else {
                var registration = Registration(
                    entry, firstSeenAt: see(name, entry.name),
                    circuit: CircuitKey(capability: scoped, executor: name.name))
                registration.running = heldCount(pair)
                registration.pausedUntil = executors[executor].pauses.removeValue(forKey: capability)
                registrations[pair] = registration
                insert(executor, into: capability)
            }
            changedConflicts.insert(capability)
        }
        for capability in old where !numbers.contains(capability) { unregister(Pair(executor, capability)) }
        executors[executor].capabilities = numbers
    }

    /// Leases and zombies of a pair.
    func heldCount(_ pair: Pair) -> Int {
        let name = capabilities[pair.capability].name
        let leased = executors[pair.executor].tasks.count { tasks[$0]?.spec.capability == name.name }
        return leased + executors[pair.executor].zombies.count { $0.capability == pair.capability }
    }

    private mutating func insert(_ executor: Int, into capability: Int) {
        let name = executors[executor].name.name
        let offers = capabilities[capability].executors
        let position = offers.firstIndex { executors[$0].name.name > name } ?? offers.count
        capabilities[capability].executors.insert(executor, at: position)
        capabilities[capability].wasSeen = true
        touch(capability: capability)
        wake(capability: capability, for: executor)
    }

    /// Takes one registration away; its circuit goes with it, unless it comes and goes with claims.
    mutating func unregister(_ pair: Pair, keepsCircuit: Bool = false) {
        registrations[pair] = nil
        capabilities[pair.capability].executors.removeAll { $0 == pair.executor }
        if !keepsCircuit { removeCircuit(circuitKey(pair)) }
        changedConflicts.insert(pair.capability)
        touch(capability: pair.capability)
        wake(capability: pair.capability, for: pair.executor)
    }

    /// When an executor first offered a capability; noted in the journal.
    private mutating func see(_ executor: ScopedName, _ capability: String) -> WallTime {
        let key = SeenKey(executor: executor, capability: capability)
        if let at = firstSeen[key] { return at }
        firstSeen[key] = now.wall
        seenCounts[executor, default: 0] += 1
        journal(.seen(executor, capability: capability, at: now.wall))
        return now.wall
    }

    /// An empty card: the executor offers nothing any more.
    private mutating func removeCard(_ executor: Int) {
        for capability in executors[executor].capabilities { unregister(Pair(executor, capability)) }
        executors[executor].capabilities = []
        executors[executor].card = nil
        executors[executor].noticed = now.monotonic
        executors[executor].claims = []
        setClaimTimer(executor)
        tellOnline(executor)
        touch(executor: executor)
    }

    // MARK: - Status

    /// Takes a status, or a Will.
    mutating func receiveStatus(_ name: ScopedName, _ message: InboundMessage) {
        guard Names.isName(name.name), !message.payload.isEmpty, message.payload.count <= Limits.payload else { return }
        if executorIndex[name] == nil, executorIndex.count >= Limits.executors { return }
        guard let status = try? ExecutorStatus(decoding: message.payload) else {
            if executorIndex[name] != nil {
                sendError(executorNumber(name), ErrorBody(.invalidField, "a status of unknown form"), task: nil)
            }
            return
        }
        let executor = executorNumber(name)
        let boot = executors[executor].card?.boot
        if status.status == .lost {
            // A Will counts if its boot is the present one and no later connection of that boot is known.
            let isPresent = status.boot == nil || boot == nil || status.boot == boot
            guard isPresent, status.conn ?? 0 >= executors[executor].connection else { return }
            if executors[executor].status != .lost { executors[executor].statusBefore = executors[executor].status }
            executors[executor].status = .lost
            executors[executor].statusBoot = status.boot
            loseExecutor(executor)
        } else {
            if status.boot == executors[executor].statusBoot || status.boot == boot {
                executors[executor].connection = max(executors[executor].connection, status.conn ?? 0)
            } else {
                executors[executor].connection = status.conn ?? 0
            }
            executors[executor].status = status.status
            executors[executor].statusBoot = status.boot
            if !message.retained || status.status != .offline { heard(executor) }
            if status.status == .offline { leaveExecutor(executor) }
        }
        tellOnline(executor)
        touch(executor: executor)
    }

    /// Its Will: what it has comes back after the grace unless it is heard of again.
    private mutating func loseExecutor(_ executor: Int) {
        guard !executors[executor].isLost else { return }
        executors[executor].isLost = true
        executors[executor].claims = []
        setClaimTimer(executor)
        let grace = executors[executor].card?.willGraceMs ?? Defaults.willGraceMs
        for number in executors[executor].tasks {
            guard let task = tasks[number], leases[number] != nil, task.spec.delivery == .atLeastOnce else { continue }
            // An offer too: a broker that ends in good order publishes every Will, and the executor has done the work.
            leases[number]?.lostUntil = now.monotonic + grace
            setAttemptTimer(number)
        }
    }

    /// It left in good order: offers come back, what runs ends by its own clocks.
    private mutating func leaveExecutor(_ executor: Int) {
        executors[executor].claims = []
        setClaimTimer(executor)
        for number in executors[executor].tasks {
            guard let task = tasks[number], let lease = leases[number], task.state == .offered,
                task.spec.delivery == .atLeastOnce
            else { continue }
            loseOffer(number, lease)
        }
    }

    /// An executor said something: it lives.
    mutating func heard(_ executor: Int) {
        executors[executor].heard = now.monotonic
        executors[executor].noticed = now.monotonic
        if executors[executor].isLost {
            executors[executor].isLost = false
            for number in executors[executor].tasks {
                leases[number]?.lostUntil = nil
                setAttemptTimer(number)
            }
            touch(executor: executor)
        }
        if executors[executor].isSilent {
            executors[executor].isSilent = false
            tellOnline(executor)
            touch(executor: executor)
        }
        if executors[executor].beaten != nil {
            heldTimers.set(
                TimerKey(.silence, executor),
                now.monotonic + Defaults.missedBeats * executors[executor].beatMs)
        }
    }

    /// It beats in the boot of its card: it is connected, whatever the last status says that came. The status that it
    /// published itself may have been lost on the way, in a queue that was full.
    mutating func revive(_ executor: Int, boot: String) {
        let record = executors[executor]
        guard record.status == .lost || record.statusBoot != boot else { return }
        let stands = record.statusBoot == boot && (record.statusBefore == .paused || record.statusBefore == .draining)
        executors[executor].status = stands ? record.statusBefore : .online
        executors[executor].statusBoot = boot
        tellOnline(executor)
        touch(executor: executor)
    }

    /// Nothing for three beats: no new work; leases end by their own clocks.
    mutating func silenceDue(_ executor: Int) {
        guard executors[executor].beaten != nil, executors[executor].status != .sleeping else { return }
        executors[executor].isSilent = true
        executors[executor].claims = []
        setClaimTimer(executor)
        for number in executors[executor].tasks {
            guard tasks[number]?.state == .offered, let lease = leases[number],
                tasks[number]?.spec.delivery == .atLeastOnce
            else { continue }
            loseOffer(number, lease)
        }
        tellOnline(executor)
        touch(executor: executor)
    }

    /// Tells in events when an executor comes, goes or drains.
    mutating func tellOnline(_ executor: Int) {
        let record = executors[executor]
        let isOnline =
            record.card != nil && !record.isLost && !record.isSilent
            && (record.status == .online || record.status == .sleeping || record.status == .paused
                || record.status == .draining)
        let name = record.name
        if isOnline != record.toldOnline {
            executors[executor].toldOnline = isOnline
            event(isOnline ? .executorOnline : .executorOffline, in: name.workspace, subject: name.name) {
                $0.field("status", record.isSilent ? "silent" : record.status?.rawValue)
                $0.field("leases", record.tasks.count)
            }
            alertLost(executor, isOnline: isOnline)
        }
        let drains = record.isDraining || record.status == .draining
        if drains != record.toldDraining {
            executors[executor].toldDraining = drains
            if drains { event(.executorDraining, in: name.workspace, subject: name.name) { _ in } }
        }
    }

    /// Takes heartbeat's verdict.
    mutating func receiveVerdict(_ name: ScopedName, _ message: InboundMessage) {
        guard let executor = executorIndex[name] else { return }
        let view = try? LivenessView(decoding: message.payload)
        executors[executor].verdict = view?.verdict
        executors[executor].verdictBoot = view?.boot
        touch(executor: executor)
    }
}
