import Contract
import Determinism
public import Machine
public import TimeModel
import Wire

/// The decisions of schedules and checks (`topics/schedules.md`): which slots become intents, and what is told of those
/// that do not.
///
/// A slot is decided when it is due, in one procedure for every wake, start, reconnect and step of the clock; what was
/// decided is journaled before it is published, so it is neither lost nor run twice.
public struct ScheduleEngine: Service {
    /// What the shell tells.
    public typealias Input = ServiceInput
    /// What the shell is asked for.
    public typealias Effect = ServiceEffect

    var settings: EngineSettings
    var schedules = ScheduleTable()
    /// Next decision of each schedule, by the wall clock.
    var decisions = Agenda<ScheduleKey>()
    /// Next repetition or judgement of each schedule, by the monotonic clock.
    var repetitions = IndexedHeap<ScheduleKey, MonotonicTime>()
    /// Views that wait to be published.
    var views = IndexedHeap<ScheduleKey, MonotonicTime>()
    /// Schedules whose state changed in this turn.
    var dirty: [ScheduleKey] = []
    /// Open slots that only wait because too many runs are unconfirmed, by their due time.
    var heldBack = IndexedHeap<ScheduleKey, WallTime>()
    /// Schedules that have an open slot.
    var openSlots: Set<ScheduleKey> = []
    /// Schedules that count against a limit, per workspace and named agent, and all of a workspace.
    var agentCounts: [ScheduleKey: Int] = [:]
    var workspaceCounts: [String: Int] = [:]
    /// Runs without an answer.
    var unconfirmed = 0
    /// Checks that speak against their targets.
    var failingChecks: Set<ScheduleKey> = []

    var targets: [ScheduleKey: TargetState] = [:]
    /// Instances of heartbeat that are up.
    var heartbeats: [String: ServiceRecord] = [:]
    var outbox = Outbox()
    var alerts = AlertState()
    /// Notifications for the channel `log` that wait for a connection.
    var heldNotes: [OutboundMessage] = []
    var replies: [PendingReply] = []
    var totals = Totals()

    /// The number of this start.
    public internal(set) var term = 0
    /// The greatest term that another process of this name has left.
    var termLeft = 0
    var startedAt = WallTime(milliseconds: 0)
    /// Whether the broker is there.
    public internal(set) var isConnected = false
    /// Whether all that is retained has come since it is there.
    public internal(set) var isReady = false
    /// Until when that is waited for.
    var readyBy: MonotonicTime?
    /// The number of the own record that was published last, and of the first one of this connection.
    var recordRev = 0
    var readyRev = 0
    /// Whether one of an earlier connection has come back in this one.
    var hasStaleRecord = false
    /// Since a late turn: what has to be read before anything is decided.
    var drain: Drain?
    var isEnding = false
    var isJournalWritable = true
    /// Whether views that nobody knows are cleared: not before something but terms was journaled.
    var hasHistory = false
    /// Whether retained views are being taken over; a start goes on with what an earlier one could not finish.
    var isTakingOver = false
    /// Wall clock less monotonic clock, to notice that the former was set.
    var clockOffset: Int?
    var nextMetrics = MonotonicTime(milliseconds: 0)
    /// Further numbers for the metrics.
    public var ownMetrics: [(name: String, number: Int)] = []
    /// The last publication of the metrics.
    public internal(set) var metricsSent: SentMetrics?
    var effects: [ServiceEffect] = []

    /// Until when nothing is due.
    public private(set) var nextWake: MonotonicTime?

    /// A scheduler without schedules.
    public init(settings: EngineSettings) { self.settings = settings }

    /// Takes one input and appends what is to be done.
    public mutating func handle(_ input: ServiceInput, at now: Now, emitting output: inout [ServiceEffect]) {
        noteLateness(now)
        noteClock(now)
        switch input {
        case .started: start(now)
        case .connected: connect(now)
        case .disconnected: disconnect()
        case .message(let message): receive(message, now)
        case .delivered(let token): outbox.delivered(token)
        case .wake, .childEnded, .archive, .sessionLost: break
        case .journalWritable(let writable): setJournal(writable: writable, now)
        case .terminate: terminate(now)
        case .reload(let configuration): reload(configuration, now)
        }
        runDue(now)
        flush(now)
        output += effects
        effects.removeAll(keepingCapacity: true)
        nextWake = soonest(now)
    }

    /// Decides everything that is due.
    private mutating func runDue(_ now: Now) {
        if let readyBy, readyBy <= now.monotonic { becomeReady(now) }
        if let drain, drain.by <= now.monotonic { self.drain = nil }
        guard term > 0 else { return }
        answerLate(now)
        endClockAlert(now)
        guard mayDecide else { return }
        var due: [ScheduleKey] = []
        while outbox.hasRoom, let top = decisions.first, top.moment <= now.wall {
            decisions.set(top.key, nil)
            due.append(top.key)
        }
        for key in due { change(key, now) { core, record in core.decide(&record, now) } }
        due.removeAll()
        while let top = repetitions.first, top.priority <= now.monotonic {
            repetitions.remove(top.key)
            due.append(top.key)
        }
        for key in due { change(key, now) { core, record in core.repeatWhatIsDue(&record, now) } }
        while unconfirmed < Limits.unconfirmedRuns, let held = heldBack.popFirst() {
            change(held.key, now) { core, record in core.decideSlots(&record, now) }
        }
    }

    private func soonest(_ now: Now) -> MonotonicTime? {
        guard term > 0 else { return nil }
        var wakes: [MonotonicTime] = []
        if mayDecide {
            // With a full outbox nothing is decided until the broker has taken some of it.
            if outbox.hasRoom, let top = decisions.first {
                wakes.append(now.monotonic + max(0, top.moment - now.wall))
            }
            if let top = repetitions.first { wakes.append(top.priority) }
        }
        if let reply = replies.first { wakes.append(reply.at) }
        if let until = alerts.clockUntil { wakes.append(until) }
        if let readyBy { wakes.append(readyBy) }
        if let drain { wakes.append(drain.by) }
        if isConnected {
            if isReady, let top = views.first { wakes.append(top.priority) }
            wakes.append(nextMetrics)
        }
        return wakes.min().map { max($0, now.monotonic) }
    }

    /// Takes a schedule out, lets `body` change it, and puts it back with its timers and its view queued.
    mutating func change(_ key: ScheduleKey, _ now: Now, _ body: (inout ScheduleEngine, inout ScheduleRecord) -> Void) {
        guard var record = schedules[key] else { return }
        let before = ScheduleFace(record)
        body(&self, &record)
        guard schedules[key] != nil else { return }
        settle(&record, before: before, now)
    }

    /// Puts a schedule back: counts, timers, the turn's journal record and the view.
    mutating func settle(_ record: inout ScheduleRecord, before: ScheduleFace?, _ now: Now) {
        let key = record.key
        let after = ScheduleFace(record)
        if before?.countedAgent != after.countedAgent {
            if let agent = before?.countedAgent { count(agent, -1) }
            if let agent = after.countedAgent { count(agent, 1) }
        }
        unconfirmed += after.unconfirmed - (before?.unconfirmed ?? 0)
        noteFailing(record)
        if record.open == nil {
            openSlots.remove(key)
            heldBack.remove(key)
        } else {
            openSlots.insert(key)
        }
        decisions.set(key, wallWake(record))
        if let wake = monotonicWake(record, now) { repetitions.set(key, wake) } else { repetitions.remove(key) }
        if record.isDirty {
            dirty.append(key)
            record.isDirty = false
            record.rev += 1
            let isUrgent = before?.urgent != after.urgent
            // A run's beginning, answer and result mostly come close together: one view tells of all.
            let settled = now.monotonic + ScheduleEngine.viewAfterMs
            let soon = isUrgent ? now.monotonic : max(settled, (record.viewedAt ?? now.monotonic - 1000) + 1000)
            views.set(key, min(soon, views.priority(of: key) ?? soon))
        }
        schedules[key] = record
    }

    private mutating func count(_ agent: ScheduleKey, _ change: Int) {
        let number = (agentCounts[agent] ?? 0) + change
        agentCounts[agent] = number == 0 ? nil : number
    }

    private func wallWake(_ record: ScheduleRecord) -> WallTime? {
        switch record.status {
        case .disabled: return isReady ? record.disabledAt.map { $0 + record.policy.keepMs } : nil
        case .paused: return record.until
        case .active:
            guard settings.isEnabled else { return nil }
            let next = record.nextDecision()
            guard let open = record.open else { return next }
            var end =
                open.deferred == nil
                ? open.due + record.policy.graceMs + 1 : record.deferralEnd(open.slot, due: open.due)
            if open.isEarly { end = open.due }
            return next.map { min($0, end) } ?? end
        }
    }

    private func monotonicWake(_ record: ScheduleRecord, _ now: Now) -> MonotonicTime? {
        var wake = isConnected ? record.runs.map(\.resendAt).min() : nil
        if record.open != nil, record.status == .active {
            let judge = now.monotonic + ScheduleEngine.judgeEveryMs
            wake = wake.map { min($0, judge) } ?? judge
        }
        return wake
    }

    /// So long a change that is not told at once waits for others.
    static let viewAfterMs = 200

    /// What waits is judged again that often, besides at each change of what it waits for.
    static let judgeEveryMs = 10_000
}

/// After a late turn an own record has to come back before anything is decided: what came before it has been read then.
struct Drain: Hashable, Sendable {
    /// The number of the record that proves it.
    var rev: Int
    /// No longer than until then.
    var by: MonotonicTime
}

/// What of a schedule counts outside of it: compared before and after a change.
struct ScheduleFace: Hashable {
    /// The agent against whose limit it counts.
    var countedAgent: ScheduleKey?
    var unconfirmed: Int
    /// What is told at once instead of once a second.
    var urgent: Urgent

    struct Urgent: Hashable {
        var rev: Int
        var status: ScheduleStatus
        var deferred: WallTime?
        var health: CheckStatus?
    }

    init(_ record: ScheduleRecord) {
        let definition = record.definition
        if record.status != .disabled, !definition.isForAny {
            countedAgent = ScheduleKey(workspace: record.key.workspace, name: definition.agent)
        }
        unconfirmed = record.runs.reduce(0) { $0 + ($1.isConfirmed ? 0 : 1) }
        urgent = Urgent(
            rev: record.definition.rev, status: record.status,
            deferred: record.open.flatMap { $0.deferred == nil ? nil : $0.slot }, health: record.health.shown.status)
    }
}

/// Numbers since the start of the process.
struct Totals: Hashable, Sendable {
    var triggered = 0
    var manual = 0
    var skipped = 0
    var missed = 0
    var results = 0
    var refused = 0
}
