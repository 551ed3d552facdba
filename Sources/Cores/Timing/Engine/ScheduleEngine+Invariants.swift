import Contract
import TimeModel

extension ScheduleEngine {
    /// A sentence for each invariant that does not hold.
    public func checkInvariants() -> [String] {
        var broken: [String] = []
        var unconfirmed = 0
        var agents: [ScheduleKey: Int] = [:]
        for key in schedules.keys.sorted() {
            guard let record = schedules[key] else { continue }
            let face = ScheduleFace(record)
            unconfirmed += face.unconfirmed
            if let agent = face.countedAgent { agents[agent, default: 0] += 1 }
            broken += check(record)
        }
        if unconfirmed != self.unconfirmed {
            broken.append("\(self.unconfirmed) unconfirmed runs, \(unconfirmed) counted")
        }
        if agents != agentCounts { broken.append("the counts per agent are wrong") }
        return broken
    }

    private func check(_ record: ScheduleRecord) -> [String] {
        var broken: [String] = []
        let name = record.key.name
        if record.highest < record.cursor { broken.append("\(name): the cursor is beyond the highest one") }
        if let open = record.open, record.status != .active {
            broken.append("\(name): \(open.slot) waits, but it is \(record.status)")
        }
        if record.liveRuns > record.policy.maxConcurrentRuns + liveBeforeChange(record) {
            broken.append("\(name): \(record.liveRuns) live runs")
        }
        if Set(record.runs.map(\.id)).count != record.runs.count { broken.append("\(name): a run twice") }
        if record.runCount != record.counts.triggered + record.counts.deferred + record.manual {
            broken.append("\(name): the runs do not add up")
        }
        if let slots = slotsSinceCreation(record), slots != record.slotCounts.decided {
            broken.append("\(name): \(record.slotCounts.decided) slots are decided, the calendar has \(slots)")
        }
        return broken
    }

    /// How many slots lie between creation and cursor: each is in exactly one count. Told of an interval whose rule has
    /// never changed, where it takes no search, unless some slots were too many to be counted.
    private func slotsSinceCreation(_ record: ScheduleRecord) -> Int? {
        guard settings.role == .scheduler, record.definition.rev == 1, !record.hasUncounted,
            case .interval(let every, let anchor, let first) = record.definition.timeline.rule,
            record.definition.timeline.notBefore == nil, record.definition.timeline.notAfter == nil
        else { return nil }
        func number(_ time: WallTime) -> Int { max(floorDivide(time - anchor, every), first - 1) }
        return number(record.highest) - number(record.createdAt)
    }

    /// Runs that were started under an earlier definition may exceed a lowered limit.
    private func liveBeforeChange(_ record: ScheduleRecord) -> Int {
        record.runs.filter { $0.isLive && $0.sentAt <= record.updatedAt }.count
    }
}
