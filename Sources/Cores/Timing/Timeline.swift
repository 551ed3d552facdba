public import TimeModel

/// What gives a schedule its slots.
public enum TimelineRule: Hashable, Sendable {
    /// The matching local times of a zone.
    case cron(CronTimeline)
    /// `anchor + n · every` milliseconds for n from `first` on; no drift, no DST.
    case interval(every: Int, anchor: WallTime, first: Int)
    /// One instant.
    case once(WallTime)
}

/// The set of all nominal fire instants of a schedule: its rule, cut by its bounds. A pure function of what it holds,
/// so that any two starts agree (`topics/schedules.md`).
public struct Timeline: Hashable, Sendable {
    /// What gives the slots.
    public var rule: TimelineRule
    /// No slot lies before it.
    public var notBefore: WallTime?
    /// No slot lies after it.
    public var notAfter: WallTime?

    /// A timeline; without bounds it goes on for ever.
    public init(_ rule: TimelineRule, notBefore: WallTime? = nil, notAfter: WallTime? = nil) {
        self.rule = rule
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// The least slot after `time`.
    public func next(after time: WallTime) -> WallTime? {
        let from = notBefore.map { max(time, $0 - 1) } ?? time
        guard let slot = ruleNext(after: from) else { return nil }
        if let notAfter, slot > notAfter { return nil }
        return slot
    }

    /// The greatest slot at or before `time`.
    public func previous(atOrBefore time: WallTime) -> WallTime? {
        let from = notAfter.map { min(time, $0) } ?? time
        guard let slot = rulePrevious(atOrBefore: from) else { return nil }
        if let notBefore, slot < notBefore { return nil }
        return slot
    }

    /// Whether the bounds leave no slot at all.
    public var isEmpty: Bool {
        if let notBefore { return next(after: notBefore - 1) == nil }
        return notAfter.map { previous(atOrBefore: $0) == nil } ?? false
    }

    /// The next slots after `time`, at most `count`.
    public func next(_ count: Int, after time: WallTime) -> [WallTime] {
        var slots: [WallTime] = []
        var from = time
        while slots.count < count, let slot = next(after: from) {
            slots.append(slot)
            from = slot
        }
        return slots
    }

    /// The slots strictly between two instants; `nil` when there are none. Beyond `limit` they are not counted.
    public func slots(after low: WallTime, before high: WallTime, limit: Int) -> SlotRange? {
        guard let first = next(after: low), first < high, let last = previous(atOrBefore: high - 1) else { return nil }
        var count = 1
        var slot = first
        while slot < last {
            if count == limit { return SlotRange(count: count, first: first, last: last, more: true) }
            guard let following = next(after: slot) else { break }
            slot = following
            count += 1
        }
        return SlotRange(count: count, first: first, last: last, more: false)
    }

    private func ruleNext(after time: WallTime) -> WallTime? {
        switch rule {
        case .cron(let cron): return cron.next(after: time)
        case .interval(let every, let anchor, let first):
            let number = max(floorDivide(time - anchor, every) + 1, first)
            let (distance, overflow) = number.multipliedReportingOverflow(by: every)
            return overflow ? nil : anchor + distance
        case .once(let instant): return instant > time ? instant : nil
        }
    }

    private func rulePrevious(atOrBefore time: WallTime) -> WallTime? {
        switch rule {
        case .cron(let cron): return cron.previous(atOrBefore: time)
        case .interval(let every, let anchor, let first):
            let number = floorDivide(time - anchor, every)
            return number < first ? nil : anchor + number * every
        case .once(let instant): return instant <= time ? instant : nil
        }
    }
}

/// Some slots in a row.
public struct SlotRange: Hashable, Sendable {
    /// How many, as far as they were counted.
    public var count: Int
    /// The earliest.
    public var first: WallTime
    /// The latest.
    public var last: WallTime
    /// Whether there are more than were counted.
    public var more: Bool

    /// Some slots in a row.
    public init(count: Int, first: WallTime, last: WallTime, more: Bool) {
        self.count = count
        self.first = first
        self.last = last
        self.more = more
    }
}

/// The delay that spreads schedules which share an instant.
public enum Jitter {
    /// How long after its slot a run is due: between 0 and `limit` ms, always before the following slot; the same after
    /// each restart, since it follows from id and slot alone (`policy.jitter_ms`).
    public static func delay(id: String, slot: WallTime, following: WallTime?, limit: Int) -> Int {
        guard limit > 0 else { return 0 }
        let room = following.map { max(0, min(limit, $0 - slot - 1)) } ?? limit
        return Int(StableHash.value(id, String(slot.milliseconds)) % UInt64(room + 1))
    }
}
