import CPlatform
import Glibc
public import Machine
import TimeModel

/// What a loop works with.
public struct LoopParts<Core: Service> {
    /// Makes a core in its first state: at the start, and again after a failed write, when the journal is read anew.
    public var makeCore: () -> Core
    /// The journal, in a locked state directory.
    public var journal: Journal
    /// The connection, not yet begun.
    public var link: Link
    /// Where log lines go.
    public var log: LogWriter
    /// The store of a service that keeps more than its journal.
    public var archive: (any Archive)?
    /// The service manager.
    public var notifier = ServiceNotifier()
    /// Topics whose messages are handled before others that came with them: beats and reports, so that load alone
    /// expires no lease. The order among them, and among the others, stays.
    public var servedFirst: (String) -> Bool = { _ in false }
    /// Topics of the service's own numbers, retained objects: to a message there the journal's are added, which the core
    /// does not know.
    public var isMetrics: (String) -> Bool = { _ in false }
    /// Reads the configuration again; `nil` when it is refused, which was then already logged.
    public var reload: () -> [UInt8]? = { nil }
    /// SIGTERM, SIGINT and SIGHUP; without it they do what they do by themselves.
    public var signals: SignalWatch?
    /// Milliseconds from SIGTERM to the end, for a core that does not quit by itself; 5000 unless set.
    public var leaveTime = LoopTiming.leaveTime
    /// Looked at once a minute: whether something outside changed that asks for `reload` without a signal.
    public var hasChanged: () -> Bool = { false }

    /// The parts that every loop needs.
    public init(makeCore: @escaping () -> Core, journal: Journal, link: Link, log: LogWriter) {
        self.makeCore = makeCore
        self.journal = journal
        self.link = link
        self.log = log
    }
}

/// Points of a turn at which tests let the process die.
enum LoopStage: Hashable, CaseIterable {
    case afterRead, afterHandle, afterSync, afterPublish, afterWrite
}

/// Runs one core on one thread. A turn: wait, read what arrived, let the core handle it, append its records and sync
/// once, and only then let publishes and acknowledgements leave. So nothing is said whose cause is not on the disk.
public final class EventLoop<Core: Service> {
    /// How a run ended.
    public struct Ending: Hashable, Sendable {
        /// The exit status.
        public var status: Int
        /// One sentence.
        public var reason: String
    }

    let parts: LoopParts<Core>
    var core: Core
    let children = ChildTable()
    let archive: ArchiveTurns
    var effects: [ServiceEffect] = []
    /// What the core believes about the connection.
    var toldConnected = false
    /// What the core was last told about the journal.
    var toldWritable = true
    /// Set while the journal fails: when to read it again.
    var recoverAt: MonotonicTime?
    var recoveryBackoff = ReconnectBackoff(seed: RandomSource.seed)
    var ending: Ending?
    var leaveBy: MonotonicTime?
    var nextSpaceCheck = MonotonicTime(milliseconds: 0)
    /// When to look outside for changes.
    var nextChangeCheck: MonotonicTime?
    var nextAlive: MonotonicTime?
    var forbiddenAttempts = 0
    var everConnected = false
    var lastFailure: String?
    /// Publishes that the core made while it knew of no connection.
    var unsent = 0
    /// Publishes that found the queue full.
    var dropped = 0
    private let timer: Int32
    private let clockWatch: Int32
    private var armedFor: MonotonicTime?
    /// Called at each stage of a turn; true lets the run end there as a killed process would.
    var diesAt: (LoopStage) -> Bool = { _ in false }

    /// A loop that has not read anything yet.
    public init(_ parts: LoopParts<Core>) throws(SystemError) {
        self.parts = parts
        core = parts.makeCore()
        archive = ArchiveTurns(parts.archive, log: parts.log)
        platform_ignore_broken_pipe()
        timer = platform_timer_descriptor()
        clockWatch = platform_clock_watch_descriptor()
        guard timer >= 0, clockWatch >= 0 else { throw SystemError("make", "a timer") }
    }

    deinit {
        for descriptor in [timer, clockWatch] where descriptor >= 0 { close(descriptor) }
    }

    /// Reads the journal and serves until the core quits.
    public func run() throws(JournalFault) -> Ending {
        try begin()
        while true {
            if let ending = turn() { return ending }
        }
    }

    /// Reads the journal into the core and lets it start.
    func begin() throws(JournalFault) {
        let recovery = try parts.journal.recover { (record) throws(JournalError) in try core.replay(record) }
        if recovery.cut > 0 {
            log(.warning, "journal_tail_cut", "The unfinished end of the journal was cut", ["bytes": recovery.cut])
        }
        log(
            .info, "journal_read", "The journal was read",
            ["records": recovery.records, "bytes": recovery.bytes])
        let now = SystemClock.now
        try archive.open(at: now)
        core.handle(.started, at: now, emitting: &effects)
        nextAlive = parts.notifier.watchdogInterval.map { now.monotonic + $0 }
        if commit(at: now) { perform(at: now) }
    }

    /// One turn; returns how the run ended when it has.
    func turn() -> Ending? {
        let entries = wait()
        let now = SystemClock.now
        let clockSet = drainTimers(entries)
        serveChildren(entries, at: now.monotonic)
        if recoverAt == nil {
            parts.link.advance(at: now.monotonic, will: { core.will() })
            if Self.isReady(entries, parts.link.interest.descriptor) { parts.link.read(at: now.monotonic) }
            if diesAt(.afterRead) { return die() }
        }
        handleSignals(entries, at: now)
        if recoverAt == nil {
            handleInputs(clockSet: clockSet, at: now)
            if diesAt(.afterHandle) { return die() }
            if commit(at: now) {
                if diesAt(.afterSync) { return die() }
                perform(at: now)
                if diesAt(.afterPublish) { return die() }
                parts.link.flush(at: now.monotonic)
                if diesAt(.afterWrite) { return die() }
                maintain(at: now)
            }
        } else {
            recoverIfDue(at: now)
        }
        keepAlive(at: now.monotonic)
        return endIfDue(at: now.monotonic)
    }

    private func die() -> Ending {
        parts.link.drop()
        children.abandonAll()
        return Ending(status: -1, reason: "killed by a test")
    }

    /// Waits until something is to be done.
    private func wait() -> [pollfd] {
        arm()
        var entries = [parts.signals?.descriptor ?? -1, timer, clockWatch].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        let interest = parts.link.interest
        entries.append(pollfd(fd: interest.descriptor, events: interest.events, revents: 0))
        entries += children.pollEntries()
        while poll(&entries, nfds_t(entries.count), -1) < 0, errno == EINTR {}
        return entries
    }

    /// Arms the timer for the next moment at which something is due.
    private func arm() {
        var wakes: [MonotonicTime?] = [children.nextWake, nextAlive, leaveBy]
        if let recoverAt {
            wakes.append(recoverAt)
        } else {
            wakes += [Self.nextWake(of: &core), parts.link.nextWake]
            if !toldWritable { wakes.append(nextSpaceCheck) }
        }
        let next = wakes.compactMap { $0 }.min()
        // Work that is finished may have left events behind that no descriptor announces.
        let soonest =
            parts.link.hasEvents || children.hasEnded || archive.hasEvents ? MonotonicTime(milliseconds: 0) : next
        guard soonest != armedFor else { return }
        armedFor = soonest
        platform_timer_arm(timer, Int64(soonest?.milliseconds ?? -1))
    }

    /// When the core wants to be woken. Asked in place: a plain read would copy the whole core each time.
    static func nextWake(of core: inout Core) -> MonotonicTime? { core.nextWake }

    /// Empties the timers; true when the wall clock was set.
    private func drainTimers(_ entries: [pollfd]) -> Bool {
        if Self.isReady(entries, timer) {
            _ = platform_timer_drain(timer)
            armedFor = nil
        }
        return Self.isReady(entries, clockWatch) && platform_timer_drain(clockWatch) == 2
    }

    private func serveChildren(_ entries: [pollfd], at now: MonotonicTime) {
        for entry in entries.dropFirst(4) where entry.revents != 0 { children.handle(entry, at: now) }
        children.advance(at: now)
    }

    private static func isReady(_ entries: [pollfd], _ descriptor: Int32) -> Bool {
        descriptor >= 0 && entries.prefix(4).contains { $0.fd == descriptor && $0.revents != 0 }
    }

    private func handleSignals(_ entries: [pollfd], at now: Now) {
        guard let signals = parts.signals, Self.isReady(entries, signals.descriptor) else { return }
        while let number = signals.next() {
            if number == SIGHUP { reload(at: now) } else { terminate(number, at: now) }
        }
    }
}
