import Contract
import Determinism
import Machine
import TimeModel

/// When a circuit opens (`topics/tasks.md`, circuits); configurable per capability.
struct CircuitTrips: Hashable, Sendable {
    /// Failures in a row; more than the window's 20 never come together.
    var consecutive = 5
    /// Outcomes that must be known before half of them being failures counts, 1 to 20.
    var sample = 10
    /// From how many executors the failures must come: 1 for a pair, 2 for a capability.
    var sources = 1

    /// The same thresholds for a capability's own circuit.
    var acrossExecutors: CircuitTrips {
        var trips = self
        trips.sources = 2
        return trips
    }
}

/// What an outcome says about the one who was asked.
enum CircuitVerdict: Hashable, Sendable {
    /// It answered.
    case success
    /// It failed, was too late or is gone.
    case failure
    /// Says nothing; a probe's place is free again.
    case neutral
}

/// What changed in a circuit.
enum CircuitChange: Hashable, Sendable {
    /// Its state is another one now: an event, a new view.
    case opened, halfOpened, closed
    /// The probe ended without a verdict, or others than the preferred tasks may be the probe.
    case probeFree
    /// Only what the view shows has changed.
    case view

    /// The event that tells of it.
    var event: EventName? {
        switch self {
        case .opened: .circuitOpened
        case .halfOpened: .circuitHalfOpen
        case .closed: .circuitClosed
        case .probeFree, .view: nil
        }
    }

    /// Whether tasks that wait for this circuit may run now.
    var wakes: Bool { self == .halfOpened || self == .closed || self == .probeFree }
}

/// Whether a circuit lets a task through.
enum CircuitPermission: Hashable, Sendable {
    /// It does.
    case allowed
    /// It is open; until when, unless it is held.
    case open(until: MonotonicTime?)
    /// It is half open and another task is, or is to be, the probe.
    case probe

    /// The code of the obstacle.
    var code: Code? {
        switch self {
        case .allowed: nil
        case .open: .circuitOpen
        case .probe: Code(rawValue: "circuit_probe")
        }
    }
}

/// The part of a lease that a circuit knows again.
struct CircuitGrant: Hashable, Sendable {
    /// The circuit's generation at the grant.
    var generation: Int
    /// The lease's epoch.
    var epoch: Int
    /// Who has the lease.
    var executor: String
}

/// One circuit: of a capability, or of a capability and an executor (`topics/tasks.md`, circuits).
///
/// It is asked before each grant, told of each end of a lease, and polled at `deadline`. A probe is a lease of the
/// present generation; `noteProbe` restores it from the leases after a restart.
struct Circuit: Hashable, Sendable {
    /// One outcome of the window.
    struct Entry: Hashable, Sendable {
        /// When it came.
        var at: MonotonicTime
        /// Whose it is.
        var executor: String
        /// Whether it was a failure.
        var failed: Bool
    }

    /// Outcomes in the window.
    static let windowSize = 20
    /// How long an outcome stays in it.
    static let windowMs = 600_000
    /// First open time, doubled with each trip in a row.
    static let openMs = 30_000
    /// Longest open time before the random part.
    static let longestOpenMs = 300_000
    /// After so long closed the next trip is a first one again.
    static let calmMs = 60_000
    /// So long only preferred tasks may be the probe.
    static let preferredMs = 1_000

    /// Closed, open or half open.
    private(set) var state = CircuitState.closed
    /// Rises with each change of the state.
    private(set) var generation = 1
    /// Since when it is in this state.
    private(set) var since: MonotonicTime
    /// When an open one becomes half open.
    private(set) var until: MonotonicTime?
    /// Trips in a row.
    private(set) var trips = 0
    /// The last failure's code, or `quota`, or `forced`.
    private(set) var why: String?
    /// Who holds it in its state.
    private(set) var forcedBy: String?
    /// Until when it is held; absent: until a reset.
    private(set) var forcedUntil: MonotonicTime?
    /// How long it was to be held, in ms; absent: until a reset.
    private var forcedForMs: Int?
    /// The epoch of the probe under way.
    private(set) var probe: Int?
    /// Whether it ever left `closed`: only then it has a topic.
    private(set) var hasView = false
    /// Rises with each publication of the view.
    private(set) var rev = 0
    private(set) var window: [Entry] = []
    private var failuresAtTrip = 0
    private var probeFreeSince: MonotonicTime
    private var isWidened = false

    /// A closed circuit.
    init(at now: MonotonicTime) {
        since = now
        probeFreeSince = now
    }

    /// Whether a task may be given out. Preferred as a probe is an `at_least_once` task below `critical`.
    func permission(isPreferred: Bool) -> CircuitPermission {
        switch state {
        case .closed: .allowed
        case .open: .open(until: forcedBy == nil ? until : forcedUntil)
        case .halfOpen: probe == nil && (isPreferred || isWidened) ? .allowed : .probe
        }
    }

    /// Notes a grant and returns the generation that its lease keeps.
    mutating func grant(epoch: Int) -> Int {
        noteProbe(epoch: epoch, generation: generation)
        return generation
    }

    /// Makes a lease of the present generation the probe, if the circuit is half open and has none.
    mutating func noteProbe(epoch: Int, generation: Int) {
        if state == .halfOpen, probe == nil, generation == self.generation { probe = epoch }
    }

    /// Takes the end of a lease. An outcome of another generation changes nothing.
    mutating func record(
        _ verdict: CircuitVerdict, of grant: CircuitGrant, why code: Code?, at now: MonotonicTime,
        rule: CircuitRule
    ) -> CircuitChange? {
        guard grant.generation == generation else { return nil }
        switch state {
        case .open: return nil
        case .halfOpen:
            guard probe == grant.epoch else { return nil }
            return endProbe(verdict, why: code, at: now, jitter: rule.jitter)
        case .closed:
            guard verdict != .neutral else { return nil }
            calm(at: now)
            add(Entry(at: now, executor: grant.executor, failed: verdict == .failure))
            if verdict == .failure { why = code?.rawValue }
            guard verdict == .failure, forcedBy == nil, shouldTrip(rule.trips) else { return nil }
            trip(at: now, jitter: rule.jitter)
            return .opened
        }
    }

    private mutating func endProbe(
        _ verdict: CircuitVerdict, why code: Code?, at now: MonotonicTime, jitter: Int
    ) -> CircuitChange {
        switch verdict {
        case .success:
            enter(.closed, at: now)
            why = nil
            return .closed
        case .failure:
            why = code?.rawValue
            failuresAtTrip += 1
            trip(at: now, jitter: jitter)
            return .opened
        case .neutral:
            probe = nil
            probeFreeSince = now
            isWidened = false
            return .probeFree
        }
    }

    /// Opens for `duration` ms because a quota is used up; `nil` when it is open already or held.
    mutating func open(for duration: Int, why: String, at now: MonotonicTime) -> CircuitChange? {
        guard forcedBy == nil else { return nil }
        let end = now + duration
        if state == .open {
            guard end > until ?? now else { return nil }
            until = end
            self.why = why
            return .view
        }
        failuresAtTrip = state == .closed ? failuresInARow(at: now) : failuresAtTrip
        enter(.open, at: now)
        until = end
        self.why = why
        return .opened
    }

    /// Holds the circuit open or closed, for `duration` ms or until a reset; `nil` when that is so already.
    mutating func force(_ target: CircuitState, by principal: String, for duration: Int?, at now: MonotonicTime)
        -> CircuitChange?
    {
        let end = duration.map { now + $0 }
        if state == target, forcedBy == principal, forcedUntil == end { return nil }
        let changed = state != target
        if changed { enter(target, at: now) }
        (forcedBy, forcedUntil, forcedForMs) = (principal, end, duration)
        hasView = true
        until = nil
        why = "forced"
        guard changed else { return .view }
        return target == .open ? .opened : .closed
    }

    /// Closed, counts 0, not held; `nil` when that is so already.
    mutating func reset(at now: MonotonicTime) -> CircuitChange? {
        if state == .closed, forcedBy == nil, trips == 0, window.isEmpty { return nil }
        let changed = state != .closed
        if changed { enter(.closed, at: now) }
        window = []
        trips = 0
        (forcedBy, forcedUntil, forcedForMs, why) = (nil, nil, nil, nil)
        return changed ? .closed : .view
    }

    /// When `poll` has something to do.
    var deadline: MonotonicTime? {
        if forcedBy != nil { return forcedUntil }
        switch state {
        case .open: return until
        case .halfOpen: return probe == nil && !isWidened ? probeFreeSince + Circuit.preferredMs : nil
        case .closed: return trips > 0 ? since + Circuit.calmMs : nil
        }
    }

    /// Does what is due.
    mutating func poll(at now: MonotonicTime) -> CircuitChange? {
        guard let deadline, now >= deadline else { return nil }
        let wasForced = forcedBy != nil
        (forcedBy, forcedUntil, forcedForMs) = (nil, nil, nil)
        switch state {
        case .open:
            enter(.halfOpen, at: now)
            return .halfOpened
        case .halfOpen:
            isWidened = true
            return .probeFree
        case .closed:
            if wasForced { why = nil } else { trips = 0 }
            return .view
        }
    }

    /// Moves all times by a delay of the whole service.
    mutating func shift(by delay: Int) {
        since = since + delay
        until = until.map { $0 + delay }
        forcedUntil = forcedUntil.map { $0 + delay }
        probeFreeSince = probeFreeSince + delay
        for index in window.indices { window[index].at = window[index].at + delay }
    }

    /// Successes and all outcomes of the window.
    func counts(at now: MonotonicTime) -> (successes: Int, all: Int) {
        var (successes, all) = (0, 0)
        for entry in window where now - entry.at < Circuit.windowMs {
            all += 1
            if !entry.failed { successes += 1 }
        }
        return (successes, all)
    }

    /// Failures in a row; of one that is not closed those that opened it.
    func failuresInARow(at now: MonotonicTime) -> Int {
        guard state == .closed else { return failuresAtTrip }
        return window.reversed().prefix { $0.failed && now - $0.at < Circuit.windowMs }.count
    }

    /// The view for its retained topic, with the next `rev`.
    mutating func nextView(at now: Now) -> CircuitView {
        rev += 1
        return view(at: now)
    }

    /// The view as it was published last, at the present time.
    func view(at now: Now) -> CircuitView {
        var view = CircuitView(
            state: state, since: now.calendar(since), failures: failuresInARow(at: now.monotonic), opened: trips,
            rev: rev)
        view.until = (forcedBy == nil ? until : forcedUntil).map(now.calendar)
        view.why = why
        view.forcedBy = forcedBy
        return view
    }

    private mutating func enter(_ next: CircuitState, at now: MonotonicTime) {
        state = next
        generation += 1
        window = []
        since = now
        until = nil
        probe = nil
        probeFreeSince = now
        isWidened = false
        if next == .closed { failuresAtTrip = 0 } else { hasView = true }
    }

    private mutating func calm(at now: MonotonicTime) {
        if now - since >= Circuit.calmMs { trips = 0 }
    }

    private mutating func trip(at now: MonotonicTime, jitter: Int) {
        if state == .closed { failuresAtTrip = failuresInARow(at: now) }
        enter(.open, at: now)
        trips += 1
        let base = min(Circuit.longestOpenMs, Circuit.openMs << min(trips - 1, 10))
        until = now + base * jitter / 100
    }

    private mutating func add(_ entry: Entry) {
        window.removeAll { entry.at - $0.at >= Circuit.windowMs }
        window.append(entry)
        if window.count > Circuit.windowSize { window.removeFirst() }
    }

    private func shouldTrip(_ trips: CircuitTrips) -> Bool {
        let run = window.reversed().prefix { $0.failed }
        if run.count >= trips.consecutive, Set(run.map(\.executor)).count >= trips.sources { return true }
        let failures = window.filter(\.failed)
        return window.count >= trips.sample && failures.count * 2 >= window.count
            && Set(failures.map(\.executor)).count >= trips.sources
    }

    /// A circuit as its record says. Times ahead of what is possible, after the calendar was set, are cut.
    init(_ record: CircuitRecord, at now: Now) {
        self.init(at: now.monotonic)
        (state, generation, trips, why) = (record.state, record.generation, record.trips, record.why)
        (forcedBy, hasView, rev, failuresAtTrip) = (record.forcedBy, record.hasView, record.rev, record.failures)
        since = min(now.clock(record.since), now.monotonic)
        // The calendar may have been set back since: it is held no longer than the whole time from now on.
        forcedForMs = record.forcedForMs
        forcedUntil = record.forcedUntil.map { now.monotonic + min($0 - now.wall, record.forcedForMs ?? .max) }
        until = record.until.map { now.monotonic + min($0 - now.wall, max(0, $0 - record.since)) }
        window = record.window.map { mark in
            // The calendar may have been set back since: an outcome of this generation is not older than it.
            let at = max(since, min(now.clock(mark.at), now.monotonic))
            return Entry(at: at, executor: mark.executor, failed: mark.failed)
        }
    }

    /// What the journal keeps.
    func record(at now: Now) -> CircuitRecord {
        var record = CircuitRecord(state: state, generation: generation, since: now.calendar(since))
        (record.trips, record.why, record.forcedBy) = (trips, why, forcedBy)
        (record.hasView, record.rev, record.failures) = (hasView, rev, failuresAtTrip)
        record.until = until.map(now.calendar)
        record.forcedUntil = forcedUntil.map(now.calendar)
        record.forcedForMs = forcedForMs
        record.window = window.map {
            CircuitRecord.Mark(at: now.calendar($0.at), executor: $0.executor, failed: $0.failed)
        }
        return record
    }
}

/// How one outcome is judged: the thresholds, and the random part of an open time.
struct CircuitRule: Hashable, Sendable {
    /// When it opens.
    var trips: CircuitTrips
    /// Per cent of the open time, 80 to 120.
    var jitter: Int

    /// Thresholds with a jitter drawn from the core's generator.
    init(_ trips: CircuitTrips, using generator: inout SeededGenerator) {
        self.trips = trips
        jitter = generator.uniform(80...120)
    }
}

extension Now {
    /// What the calendar says at a point of the monotonic clock.
    func calendar(_ time: MonotonicTime) -> WallTime { wall + (time - monotonic) }

    /// The point of the monotonic clock at a point of the calendar.
    func clock(_ time: WallTime) -> MonotonicTime { monotonic + (time - wall) }
}
