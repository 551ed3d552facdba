import Contract
import Machine
import TimeModel
import Wire

/// Conflicts between cards (`topics/executors.md`, conflicts): they are a function of the registrations alone.
extension Dispatcher {
    /// Judges the conflicts of the capabilities whose registrations changed.
    mutating func judgeConflicts() {
        guard !changedConflicts.isEmpty else { return }
        let changed = changedConflicts.sorted()
        changedConflicts.removeAll(keepingCapacity: true)
        for capability in changed { judgeConflicts(capability) }
    }

    private mutating func judgeConflicts(_ capability: Int) {
        let (conflicts, quarantined, shadowed) = conflicts(capability)
        let old = capabilities[capability].conflicts
        var present: [CapabilityView.Conflict] = []
        for var conflict in conflicts {
            if let known = old.first(where: { $0.conflictClass == conflict.conflictClass }) {
                conflict.since = known.since
                if known.executors != conflict.executors || known.resolution != conflict.resolution {
                    tell(.capabilityConflict, conflict, capability)
                }
            } else {
                tell(.capabilityConflict, conflict, capability)
            }
            present.append(conflict)
        }
        for conflict in old where !present.contains(where: { $0.conflictClass == conflict.conflictClass }) {
            tell(.conflictResolved, conflict, capability)
        }
        capabilities[capability].conflicts = present
        for executor in capabilities[capability].executors {
            let pair = Pair(executor, capability)
            registrations[pair]?.isQuarantined = quarantined.contains(executor)
            registrations[pair]?.isShadowed = shadowed.contains(executor)
        }
        capabilities[capability].summary = workedOutSummary(of: capability)
        touch(capability: capability)
        wake(capability: capability)
    }

    private mutating func tell(_ name: EventName, _ conflict: CapabilityView.Conflict, _ capability: Int) {
        let subject = capabilities[capability].name
        event(name, in: subject.workspace, subject: subject.name) {
            $0.field("class", conflict.conflictClass)
            $0.field("executors", conflict.executors)
            $0.field("resolution", conflict.resolution)
        }
    }

    /// The conflicts of a capability, and who is quarantined or shadowed by them.
    func conflicts(_ capability: Int) -> (list: [CapabilityView.Conflict], quarantined: [Int], shadowed: [Int]) {
        let offers = capabilities[capability].executors
        var list: [CapabilityView.Conflict] = []
        func add(_ word: String, _ involved: [Int], _ resolution: String) {
            list.append(
                CapabilityView.Conflict(
                    conflictClass: word, executors: involved.map { executors[$0].name.name }, since: now.wall,
                    resolution: resolution))
        }
        let quarantined = contractConflict(capability)
        let shadowed = exclusiveConflict(capability)
        let routable = offers.filter { !quarantined.contains($0) && !shadowed.contains($0) }
        if routable.count > 1 { add("overlap", routable, "routing decides") }
        if !quarantined.isEmpty, let first = referenceExecutor(capability) {
            let name = executors[first].name.name
            add(
                "contract", offers.filter { $0 == first || quarantined.contains($0) },
                "\(name) is the reference; the others are quarantined until their cards agree")
        }
        let doubled = offers.filter { executors[$0].identityConflictUntil != nil }
        if !doubled.isEmpty { add("identity", doubled, "quarantined until one boot stays for 60 s") }
        let selfish = offers.filter { executors[$0].selfConflictAt != nil }
        if !selfish.isEmpty { add("self", selfish, "the later card is ignored") }
        if !shadowed.isEmpty,
            let holder = offers.first(where: { !shadowed.contains($0) })
        {
            let name = executors[holder].name.name
            add("exclusive", offers.filter { $0 == holder || shadowed.contains($0) }, "\(name) holds the name")
        }
        let single = offers.filter { registrations[Pair($0, capability)]?.entry.delivery == .atMostOnce }
        if !single.isEmpty, single.count < offers.count { add("delivery", single, "at_most_once holds for all") }
        let tooWide = offers.filter {
            !executors[$0].isCardless && registrations[Pair($0, capability)]?.slotCost ?? 1 > executors[$0].slots
        }
        let tooLong = offers.filter {
            registrations[Pair($0, capability)]?.entry.timeoutMs ?? 0 > configuration.timeoutCapMs
        }
        if !tooWide.isEmpty {
            add("limit", tooWide, "not routable: slot_cost is over slots")
        } else if !tooLong.isEmpty {
            add("limit", tooLong, "timeout_ms is clamped")
        }
        return (list, quarantined, shadowed)
    }

    /// The executor whose card the others must agree with: by command, else the one first seen.
    func referenceExecutor(_ capability: Int) -> Int? {
        let offers = capabilities[capability].executors
        if let name = capabilities[capability].reference,
            let chosen = offers.first(where: { executors[$0].name.name == name })
        {
            return chosen
        }
        return offers.min { a, b in
            let (x, y) = (registrations[Pair(a, capability)], registrations[Pair(b, capability)])
            let (first, second) = (x?.firstSeenAt ?? .never, y?.firstSeenAt ?? .never)
            return (first, executors[a].name.name) < (second, executors[b].name.name)
        }
    }

    /// C2: who has another kind or schema than the reference. An absent schema says nothing.
    private func contractConflict(_ capability: Int) -> [Int] {
        guard let first = referenceExecutor(capability), let reference = registrations[Pair(first, capability)]
        else { return [] }
        func differs(_ a: RawJSON?, _ b: RawJSON?) -> Bool {
            guard let a, let b else { return false }
            return a != b && ContentDigest(a) != ContentDigest(b)
        }
        return capabilities[capability].executors.filter { executor in
            guard executor != first, let other = registrations[Pair(executor, capability)] else { return false }
            return other.kind != reference.kind || differs(other.entry.inputSchema, reference.entry.inputSchema)
                || differs(other.entry.outputSchema, reference.entry.outputSchema)
        }
    }

    /// C5: who must yield to the holder of an exclusive name.
    private func exclusiveConflict(_ capability: Int) -> [Int] {
        let offers = capabilities[capability].executors
        let isExclusive = offers.contains { registrations[Pair($0, capability)]?.entry.exclusive ?? false }
        guard offers.count > 1, isExclusive else { return [] }
        let winner = offers.min { a, b in
            guard let x = registrations[Pair(a, capability)], let y = registrations[Pair(b, capability)] else {
                return false
            }
            let (p, q) = (x.entry.priority ?? .normal, y.entry.priority ?? .normal)
            if p != q { return p > q }
            let (f, g) = (x.entry.cost?.fixed ?? 0, y.entry.cost?.fixed ?? 0)
            if f != g { return f < g }
            if x.firstSeenAt != y.firstSeenAt { return x.firstSeenAt < y.firstSeenAt }
            return executors[a].name.name < executors[b].name.name
        }
        return offers.filter { $0 != winner }
    }

    /// Makes the card of an executor the reference of a capability.
    mutating func setReference(_ capability: Int, _ executor: String?) {
        guard capabilities[capability].reference != executor else { return }
        capabilities[capability].reference = executor
        journal(.reference(capabilities[capability].name, executor: executor))
        changedConflicts.insert(capability)
    }
}
