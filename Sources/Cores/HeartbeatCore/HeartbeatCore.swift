import Contract
import Determinism
public import Machine
public import TimeModel
import Timing
import Wire

/// Heartbeat's decisions (`topics/checks.md`): what to think of executors and services, and which checks run when.
///
/// Checks are decided by the engine that decides schedules; this core adds the ear: it hears every sign of life, judges
/// silence on a clock of its own, and publishes its verdicts.
public struct HeartbeatCore: Service {
    /// What the shell tells.
    public typealias Input = ServiceInput
    /// What the shell is asked for.
    public typealias Effect = ServiceEffect

    var settings: HeartbeatSettings
    /// Decides, runs and publishes the checks; has the journal's term and the link's state.
    var engine: ScheduleEngine
    var clock = OwnClock()
    var executors: [ExecutorKey: ExecutorPulse] = [:]
    /// Boots in which executors have beaten, as journaled.
    var beaten: [ExecutorKey: String] = [:]
    /// When the Will of each executor takes effect, and when its silence has to be judged, by own time.
    var wills = IndexedHeap<ExecutorKey, Int>()
    var looks = IndexedHeap<ExecutorKey, Int>()
    /// Verdicts that wait to be published.
    var views = IndexedHeap<ExecutorKey, MonotonicTime>()
    /// The greatest number of a retained verdict; one's own go on from there.
    var highestRev: [ExecutorKey: Int] = [:]
    /// Retained verdicts on executors that nobody knows (yet).
    var strangers: Set<ExecutorKey> = []
    /// Executors for which a check is in `error`.
    var failing: Set<ExecutorKey> = []
    var services = ServiceWatch()
    /// Own time up to which silence may be concluded: not beyond the last look after which the own metric came back.
    var judgedUntil = 0
    /// Own time up to which a Will may take effect: that of the last look after which the inbox was known to be drained.
    var willsUntil = 0
    /// After a late turn nothing is concluded before an own metric with a greater number than this is back.
    var drainsAfter: Int?
    /// The own metric that is under way.
    var probe: Probe?
    /// The last own metric that was taken for a probe.
    var probed = 0
    /// Workspaces in which executors were seen.
    var places: Set<String> = [Names.defaultWorkspace]
    /// Workspaces in which alerts about services stand as they should.
    var toldPlaces: [String] = []
    /// Retained alerts of ours that came before the start was over, by workspace and key.
    var foundAlerts: Set<ExecutorKey> = []
    var nextRestLook: MonotonicTime?
    var wasReady = false
    var isJournalWritable = true
    var effects: [ServiceEffect] = []

    struct Probe: Hashable {
        var number: Int
        var sentAt: MonotonicTime
    }

    /// Until when nothing is due.
    public private(set) var nextWake: MonotonicTime?

    /// A heartbeat that knows nobody.
    public init(settings: HeartbeatSettings) {
        self.settings = settings
        engine = ScheduleEngine(settings: settings.engine)
    }

    /// Takes one input and appends what is to be done.
    public mutating func handle(_ input: ServiceInput, at now: Now, emitting output: inout [ServiceEffect]) {
        clock.advance(to: now.monotonic, expected: nextWake)
        if clock.wasLate {
            drainsAfter = probed
            engine.publishMetricsSoon(now)
        }
        switch input {
        case .disconnected:
            clock.isRunning = false
            probe = nil
            drainsAfter = nil
        case .message(let message): listen(message, now)
        case .journalWritable(let isWritable): isJournalWritable = isWritable
        case .reload(let configuration): reload(configuration, now)
        default: break
        }
        engine.ownMetrics = metrics
        var others: [ServiceEffect] = []
        engine.handle(input, at: now, emitting: &others)
        noteEngine(now)
        // Only at a turn's end: what the turn has read speaks first.
        if case .wake = input { judgeDue(now) }
        flush(now)
        output += effects
        output += others
        effects.removeAll(keepingCapacity: true)
        nextWake = soonest(now)
    }

    /// Takes over what the engine has learned: the link, the own metric, checks that changed.
    private mutating func noteEngine(_ now: Now) {
        if engine.isReady != wasReady {
            wasReady = engine.isReady
            clock.isRunning = wasReady
            if wasReady { becomeReady(now) }
        }
        if engine.isConnected, let sent = engine.metricsSent, sent.number > probed {
            probed = sent.number
            probe = Probe(number: sent.number, sentAt: sent.at)
        }
        let nowFailing = Set(engine.failingTargets.map { ExecutorKey(workspace: $0.workspace, name: $0.name) })
        guard nowFailing != failing else { return }
        let changed = nowFailing.symmetricDifference(failing)
        failing = nowFailing
        for key in changed.sorted() { judge(key, now) }
    }

    /// All that was retained has come: what nobody owns is cleared, what is ours is published anew.
    private mutating func becomeReady(_ now: Now) {
        nextRestLook = settings.rest.isEmpty ? nil : now.monotonic
        services.excuse(own: clock.elapsed, silentUntil: judgedUntil, widenedMs: clock.widenedMs)
        for key in executors.keys.sorted() {
            executors[key]?.excuse(own: clock.elapsed)
            judge(key, now)
            views.set(key, now.monotonic)
        }
        for key in strangers.sorted() where executors[key] == nil { clearView(key) }
        strangers.removeAll()
        for key in beaten.keys.sorted() where executors[key] == nil { forgetBeaten(key) }
        toldPlaces = []
        flushServices(now)
        for alert in foundAlerts.sorted() { clearIfOver(alert) }
        foundAlerts.removeAll()
    }

    private func soonest(_ now: Now) -> MonotonicTime? {
        var wakes: [MonotonicTime] = []
        if let wake = engine.nextWake { wakes.append(wake) }
        if clock.isRunning {
            if drainsAfter == nil, let look = wills.first {
                wakes.append(now.monotonic + max(0, look.priority - clock.elapsed))
            }
            if isSure, let look = looks.first {
                wakes.append(now.monotonic + max(0, look.priority - clock.elapsed))
            }
            if drainsAfter == nil, let top = views.first { wakes.append(top.priority) }
            if let look = nextRestLook { wakes.append(look) }
            if isSure,
                let look = services.nextLook(
                    except: settings.engine.role.service, widenedMs: clock.widenedMs, after: clock.elapsed)
            {
                wakes.append(now.monotonic + max(0, look - clock.elapsed))
            }
        }
        return wakes.min().map { max($0, now.monotonic) }
    }

    /// Whether silence may be concluded now: all that came before the last own metric was read.
    var isSure: Bool { probe == nil && drainsAfter == nil }

    private mutating func reload(_ configuration: [UInt8], _ now: Now) {
        settings.apply(configuration)
        nextRestLook = settings.rest.isEmpty ? nil : now.monotonic
        for key in executors.keys.sorted() { judge(key, now) }
    }

    private var metrics: [(name: String, number: Int)] {
        [
            ("executors", executors.count), ("services", services.count), ("waiting_verdicts", views.count),
            ("widened_ms", clock.widenedMs),
        ]
    }

    // The journal, the Will.

    /// Takes one record of the journal: own ones, all others are the engine's.
    public mutating func replay(_ record: [UInt8]) throws(JournalError) {
        if let entry = BeatenEntry(record) {
            beaten[entry.key] = entry.boot
        } else {
            try engine.replay(record)
        }
    }

    /// Writes records that give this state again.
    public func snapshot(_ emit: ([UInt8]) -> Void) {
        engine.snapshot(emit)
        for key in beaten.keys.sorted() { emit(BeatenEntry(key: key, boot: beaten[key]).encoded) }
    }

    /// What the broker publishes when this process is lost.
    public func will() -> OutboundMessage? { engine.will() }

    /// A sentence for each invariant that does not hold.
    public func checkInvariants() -> [String] {
        var broken = engine.checkInvariants()
        for key in executors.keys.sorted() {
            guard let pulse = executors[key] else { continue }
            if !pulse.hasCard, pulse.status == nil, !pulse.hasBeaten { broken.append("\(key.name): known by nothing") }
            if pulse.hasBeaten, beaten[key] != pulse.boot, isJournalWritable {
                broken.append("\(key.name): its beat was not journaled")
            }
        }
        if executors.count > Limits.executors { broken.append("more executors than the limit") }
        return broken
    }
}

/// The journal's word that an executor has beaten in a boot; without a boot: that it is forgotten.
struct BeatenEntry: WireWritable {
    var key: ExecutorKey
    var boot: String?

    init(key: ExecutorKey, boot: String?) {
        self.key = key
        self.boot = boot
    }

    /// `nil` when the record is another one.
    init?(_ record: [UInt8]) {
        guard let raw = try? RawJSON(validating: record) else { return nil }
        let value = JSONValue(raw)
        guard value["k"]?.stringValue == "beaten", let workspace = value["w"]?.stringValue,
            let name = value["e"]?.stringValue
        else { return nil }
        key = ExecutorKey(workspace: workspace, name: name)
        boot = value["boot"]?.stringValue
    }

    func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("k", "beaten")
            $0.field("w", key.workspace)
            $0.field("e", key.name)
            $0.field("boot", boot)
        }
    }
}
