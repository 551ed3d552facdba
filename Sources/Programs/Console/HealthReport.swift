import Contract
import Machine
import TimeModel
import Wire

/// How well something is, with the numbers of Nagios.
enum HealthLevel: Int32, Hashable, Sendable, CaseIterable {
    /// All is well, something deserves a look, something is broken, nobody knows.
    case ok = 0
    case warning = 1
    case critical = 2
    case unknown = 3

    /// `OK`, `WARNING`.
    var word: String {
        switch self {
        case .ok: "OK"
        case .warning: "WARNING"
        case .critical: "CRITICAL"
        case .unknown: "UNKNOWN"
        }
    }

    /// How much it matters beside others: what is broken before what is odd before what is not known.
    private var rank: Int {
        switch self {
        case .ok: 0
        case .unknown: 1
        case .warning: 2
        case .critical: 3
        }
    }

    /// The level of several things together.
    static func worst(_ levels: [HealthLevel]) -> HealthLevel { levels.max { $0.rank < $1.rank } ?? .ok }
}

/// What can be asked about.
enum HealthPart: String, Hashable, Sendable, CaseIterable {
    /// The broker and the services.
    case broker, dispatcher, scheduler, heartbeat, monitor
    /// What they tell of the fleet.
    case journal, queue, executors, circuits, schedules, alerts
    /// One of many; a name follows.
    case executor, capability

    /// Whether a name follows.
    var needsName: Bool { self == .executor || self == .capability }
    /// The four services.
    static let services: [HealthPart] = [.dispatcher, .scheduler, .heartbeat, .monitor]
    /// What is asked when nothing is named.
    static let whole: [HealthPart] =
        [.broker] + services + [.journal, .queue, .executors, .circuits, .schedules, .alerts]
}

/// A number that monitoring systems draw.
struct HealthFigure: Hashable, Sendable {
    /// Its name, with its unit at the end unless it counts things.
    var name: String
    /// Whole numbers; ms for names that end in `_ms`.
    var number: Int
    /// From there on it is a warning, and critical, if ever.
    var limits: (warning: Int, critical: Int?)?

    static func == (a: HealthFigure, b: HealthFigure) -> Bool { a.name == b.name && a.number == b.number }

    func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

/// What is said of one part.
struct HealthLine: Hashable, Sendable {
    /// Which part, with its name if it is one of many.
    var part: String
    var level: HealthLevel
    /// One clause for people.
    var text: String
    var figures: [HealthFigure] = []

    /// Makes it a warning at least, and says why.
    mutating func warn(_ text: String) {
        level = HealthLevel.worst([level, .warning])
        self.text += ", \(text)"
    }
}

/// All that `martlet health` has learned, and what to think of it: a pure function of retained views and replies.
struct HealthReport {
    /// How long the broker took to answer, in ms.
    var roundTripMs = 0
    /// Services that did not answer a harmless command, and why.
    var silent: [String: String] = [:]
    var now = WallTime(milliseconds: 0)

    private(set) var services: ServiceRecords
    private var metrics: [String: JSONValue] = [:]
    private var capabilities: [String: CapabilityView] = [:]
    private var circuits: [String: CircuitView] = [:]
    private var verdicts: [String: LivenessView] = [:]
    private var statuses: [String: ExecutorStatus] = [:]
    private var schedules: [String: ScheduleView] = [:]
    private var alerts: [String: Alert] = [:]

    /// What one workspace sees.
    init(workspace: String = Names.defaultWorkspace) { services = ServiceRecords(workspace: workspace) }

    /// A broker slower than this is odd, in ms.
    static let slowBrokerMs = 100
    /// A task that waits so long is odd, and too long, in ms.
    static let oldestMs = (warning: 60_000, critical: 300_000)
    private static let oldestLimits: (warning: Int, critical: Int?) = (oldestMs.warning, oldestMs.critical)
    /// So many names are shown before "and N more".
    static let shownNames = 4

    /// The filters of everything it looks at.
    static func filters(_ workspace: String) -> [String] {
        [
            Topic.filter(workspace, "capability", "+"), Topic.filter(workspace, "circuit", "#"),
            Topic.filter(workspace, "executor", "+", "status"), Topic.filter(workspace, "liveness", "+"),
            Topic.filter(workspace, "schedule", "+"), Topic.filter(workspace, "alert", "+"),
            Topic.filter(Names.systemWorkspace, "service", "+", "+"),
            Topic.filter(Names.systemWorkspace, "metrics", "#"),
        ]
    }

    /// Takes a view in.
    mutating func take(_ message: InboundMessage) {
        guard let topic = Topic(message.topic) else { return }
        let bytes = message.payload
        switch topic.place {
        case .capability(let name): capabilities[name] = try? CapabilityView(decoding: bytes)
        case .circuit(let name, let executor):
            circuits[executor.map { "\(name) \($0)" } ?? name] = try? CircuitView(decoding: bytes)
        case .status(let name): statuses[name] = try? ExecutorStatus(decoding: bytes)
        case .liveness(let name): verdicts[name] = try? LivenessView(decoding: bytes)
        case .schedule(let name): schedules[name] = try? ScheduleView(decoding: bytes)
        case .alert(let key): alerts[key] = try? Alert(decoding: bytes)
        case .service(let name, let instance): services.take(name, instance, bytes)
        case .metrics(let name, let instance):
            metrics[instance ?? name] = (try? RawJSON(validating: bytes)).map { JSONValue($0) }
        default: return
        }
    }

    /// Whether this account may read what health is made of.
    var isBlind: Bool { services.isEmpty }

    /// The lines about some parts.
    func lines(_ parts: [HealthPart], name: String? = nil) -> [HealthLine] {
        parts.compactMap { part in
            switch part {
            case .broker: broker
            case .dispatcher, .scheduler, .heartbeat, .monitor: service(part.rawValue, isAsked: parts.count == 1)
            case .journal: journal
            case .queue: queue
            case .executors: executors
            case .circuits: circuitLine
            case .schedules: scheduleLine
            case .alerts: alertLine
            case .executor: executor(name ?? "")
            case .capability: capability(name ?? "")
            }
        }
    }

    // Broker and services.

    private var broker: HealthLine {
        HealthLine(
            part: "broker", level: roundTripMs > HealthReport.slowBrokerMs ? .warning : .ok,
            text: "answers in \(Durations.text(roundTripMs))",
            figures: [
                HealthFigure(name: "round_trip_ms", number: roundTripMs, limits: (HealthReport.slowBrokerMs, 5000))
            ])
    }

    /// A service that was never there is left out, unless one asks for it; no fleet works without a dispatcher.
    private func service(_ name: String, isAsked: Bool) -> HealthLine? {
        guard let record = services[name] else {
            if isBlind { return isAsked || name == "dispatcher" ? blind(name) : nil }
            guard isAsked || name == "dispatcher" else { return nil }
            return HealthLine(part: name, level: .critical, text: "was never there")
        }
        guard record.state == .up else {
            let why = record.reason.map { " (\(Terminal.escape($0)))" } ?? ""
            return HealthLine(part: name, level: .critical, text: "is down\(why)")
        }
        if let why = silent[name] { return HealthLine(part: name, level: .critical, text: why) }
        var line = HealthLine(part: name, level: .ok, text: "up \(Durations.text(max(0, now - record.since)))")
        if number(name, "journal_writable") == 0 {
            line.level = .critical
            line.text += ", its journal cannot be written"
        }
        if name == "monitor", alerts["monitor.disk"] != nil {
            line.level = .critical
            line.text += ", its history cannot be written"
        }
        if let text = alerts["heartbeat.service.\(name)"]?.text {
            line.level = HealthLevel.worst([line.level, .warning])
            line.text += ", \(Terminal.escape(text))"
        }
        for shown in HealthReport.shownFigures[name] ?? [] {
            guard let value = number(name, shown.key) else { continue }
            line.figures.append(
                HealthFigure(
                    name: shown.name, number: value, limits: shown.name == "oldest_ms" ? HealthReport.oldestLimits : nil
                ))
            let text = shown.name.hasSuffix("_ms") ? Durations.text(value) : "\(value)"
            let words = value == 1 && shown.words.hasSuffix("s") ? String(shown.words.dropLast()) : shown.words
            line.text += ", " + words.replacing("%", with: text)
        }
        return line
    }

    /// The metrics that a service's line shows; `%` is the number.
    private static let shownFigures: [String: [(key: String, name: String, words: String)]] = [
        "dispatcher": [
            ("queued", "waiting", "% waiting"), ("oldest_queued_ms", "oldest_ms", "oldest %"),
            ("leases", "running", "% running"),
        ],
        "scheduler": [
            ("schedules", "schedules", "% schedules"), ("unconfirmed_runs", "unconfirmed_runs", "% unconfirmed"),
        ],
        "heartbeat": [
            ("checks", "checks", "% checks"), ("executors", "executors", "% executors"),
            ("widened_ms", "widened_ms", "limits widened by %"),
        ],
        "monitor": [
            ("history_records", "records", "% records"), ("lost_total", "lost", "% lost"),
            ("gaps_total", "gaps", "gaps stated: %"),
        ],
    ]

    private func number(_ service: String, _ key: String) -> Int? {
        metrics[services.metricsName(service)]?[key]?.intValue
    }

    private func blind(_ part: String) -> HealthLine {
        HealthLine(
            part: part, level: .unknown, text: "no service record can be read; the account needs the role operator")
    }

    /// From so much of the disk on, in percent, and so many ms for a sync it is a warning.
    static let fullDisk = 90
    static let slowSyncMs = 1000

    /// The journals of the services: whether they can be written, how full their disks and how slow these are.
    private var journal: HealthLine? {
        let told = HealthPart.services.map(\.rawValue).filter { number($0, "journal_writable") != nil }
        guard !told.isEmpty else { return nil }
        let sizes = told.compactMap { number($0, "journal_bytes") }
        let slow = told.compactMap { name in number(name, "journal_sync_ms").map { ($0, name) } }.max { $0.0 < $1.0 }
        let full = told.compactMap { name in usedPercent(name).map { ($0, name) } }.max { $0.0 < $1.0 }
        let closed = told.filter { number($0, "journal_writable") == 0 }
        let bytes = sizes.reduce(0, +)
        var line = HealthLine(
            part: "journal", level: .ok, text: sizes.isEmpty ? "size not known" : HealthReport.size(bytes))
        if !sizes.isEmpty { line.figures.append(HealthFigure(name: "journal_bytes", number: bytes)) }
        if let (used, name) = full {
            line.text += ", disk \(used) % used"
            line.figures.append(
                HealthFigure(name: "disk_used_percent", number: used, limits: (HealthReport.fullDisk, nil)))
            if used >= HealthReport.fullDisk { line.warn("the disk of \(name) is nearly full") }
        }
        if let (ms, name) = slow {
            line.text += ", slowest sync \(Durations.text(ms))"
            line.figures.append(
                HealthFigure(name: "slowest_sync_ms", number: ms, limits: (HealthReport.slowSyncMs, nil)))
            if ms > HealthReport.slowSyncMs { line.warn("the disk of \(name) is slow") }
        }
        if !closed.isEmpty {
            line.level = .critical
            line.text = "cannot be written: \(closed.joined(separator: ", ")); " + line.text
        }
        return line
    }

    private func usedPercent(_ name: String) -> Int? {
        guard let all = number(name, "journal_disk_bytes"), all >= 100,
            let free = number(name, "journal_disk_free_bytes")
        else { return nil }
        return 100 - free / (all / 100)
    }

    /// `812 KiB`, `3 MiB`.
    private static func size(_ bytes: Int) -> String {
        bytes < 1 << 20 ? "\((bytes + 1023) >> 10) KiB" : "\(bytes >> 20) MiB"
    }

    // The fleet.

    /// By the dispatcher's figures; until it has told any, by the views of the capabilities.
    private var queue: HealthLine? {
        if isBlind { return nil }
        let queued = number("dispatcher", "queued") ?? capabilities.values.reduce(0) { $0 + $1.queued }
        let oldest = number("dispatcher", "oldest_queued_ms") ?? 0
        let limits = HealthReport.oldestMs
        let level: HealthLevel = oldest > limits.critical ? .critical : oldest > limits.warning ? .warning : .ok
        return HealthLine(
            part: "queue", level: level,
            text: queued == 0 ? "nothing waits" : "\(queued) waiting, oldest \(Durations.text(oldest))",
            figures: [
                HealthFigure(name: "waiting", number: queued),
                HealthFigure(name: "oldest_ms", number: oldest, limits: HealthReport.oldestLimits),
            ])
    }

    /// What is thought of an executor: heartbeat's word while there is a heartbeat, else its own status.
    private func verdict(_ name: String) -> Verdict {
        if services["heartbeat"]?.state == .up, let verdict = verdicts[name]?.verdict { return verdict }
        switch statuses[name]?.status {
        case .online, .sleeping: return .ready
        case .draining: return .draining
        case .paused: return .paused
        case .offline, .lost: return .offline
        case nil: return .unknown
        }
    }

    private var executors: HealthLine {
        let names = Set(statuses.keys).union(verdicts.keys).sorted()
        let verdicts = names.map { ($0, verdict($0)) }
        let odd = verdicts.filter { $0.1 == .stale || $0.1 == .degraded }.map {
            "\(Terminal.escape($0.0)) \($0.1.rawValue)"
        }
        let here = verdicts.filter { [.ready, .running, .busy].contains($0.1) }.count
        let stuck = capabilities.keys.sorted().filter(isStuck).map(Terminal.escape)
        var line = HealthLine(
            part: "executors", level: odd.isEmpty ? .ok : .warning, text: "\(here) of \(names.count) at work or ready",
            figures: [
                HealthFigure(name: "executors", number: names.count),
                HealthFigure(name: "executors_ready", number: here),
            ])
        if !odd.isEmpty { line.text += ", \(HealthReport.shown(odd))" }
        if !stuck.isEmpty {
            line.level = .critical
            line.text += ", tasks wait for \(HealthReport.shown(stuck)) and nobody who does that is online"
        }
        return line
    }

    /// Whether tasks wait for a capability that nobody online offers.
    private func isStuck(_ capability: String) -> Bool {
        guard let view = capabilities[capability], view.queued > 0 else { return false }
        return !view.executors.contains { $0.state == "online" || $0.state == "sleeping" }
    }

    private func executor(_ name: String) -> HealthLine {
        let part = "executor \(Terminal.escape(name))"
        guard verdicts[name] != nil || statuses[name] != nil else {
            return isBlind ? blind(part) : HealthLine(part: part, level: .unknown, text: "nobody has heard of it")
        }
        let verdict = verdict(name)
        let level: HealthLevel =
            switch verdict {
            case .ready, .running, .busy: .ok
            case .stale, .degraded, .draining, .paused: .warning
            case .offline: .critical
            case .unknown: .unknown
            }
        var line = HealthLine(part: part, level: level, text: verdict.rawValue)
        guard let view = verdicts[name] else { return line }
        if let since = view.since { line.text += " for \(Durations.text(max(0, now - since)))" }
        if let reason = view.reason, level != .ok { line.text += " (\(reason.rawValue))" }
        if let seen = view.lastSeen, level != .ok {
            line.text += ", last heard \(Durations.text(max(0, now - seen))) ago"
        }
        if let free = view.freeSlots { line.figures.append(HealthFigure(name: "free_slots", number: free)) }
        if let leases = view.leases { line.figures.append(HealthFigure(name: "leases", number: leases)) }
        return line
    }

    private func capability(_ name: String) -> HealthLine {
        let part = "capability \(Terminal.escape(name))"
        guard let view = capabilities[name] else {
            return isBlind ? blind(part) : HealthLine(part: part, level: .unknown, text: "nobody ever offered it")
        }
        let online = view.executors.filter { $0.state == "online" || $0.state == "sleeping" }.count
        var line = HealthLine(
            part: part, level: .ok,
            text: "\(view.queued) waiting, \(view.running) running, \(online) of \(view.executors.count) online, "
                + "circuit \(view.circuit.rawValue)",
            figures: [
                HealthFigure(name: "waiting", number: view.queued), HealthFigure(name: "running", number: view.running),
                HealthFigure(name: "online", number: online),
            ])
        if isStuck(name) || view.circuit == .open {
            line.level = .critical
        } else if online == 0 || circuits.keys.contains(where: { $0.hasPrefix("\(name) ") && isOpen($0) }) {
            line.level = .warning
        }
        return line
    }

    private func isOpen(_ key: String) -> Bool { circuits[key]?.state == .open }

    private var circuitLine: HealthLine {
        let open = circuits.keys.sorted().filter(isOpen)
        let isWhole = open.contains { !$0.contains(" ") }
        let level: HealthLevel = open.isEmpty ? .ok : isWhole ? .critical : .warning
        let text = open.isEmpty ? "none open" : "open: \(HealthReport.shown(open.map(Terminal.escape)))"
        return HealthLine(
            part: "circuits", level: level, text: text,
            figures: [HealthFigure(name: "circuits_open", number: open.count)])
    }

    private var scheduleLine: HealthLine {
        let failed = schedules.keys.sorted().filter {
            schedules[$0]?.state.status == .disabled && schedules[$0]?.state.reason == DisableReason.failures.rawValue
        }
        let missed = schedules.keys.sorted().filter { name in
            schedules[name]?.state.lastMissedAt.map { now - $0 < 3_600_000 } ?? false
        }
        var line = HealthLine(
            part: "schedules", level: failed.isEmpty ? missed.isEmpty ? .ok : .warning : .critical,
            text: schedules.count == 1 ? "1 schedule" : "\(schedules.count) schedules",
            figures: [
                HealthFigure(name: "schedules", number: schedules.count),
                HealthFigure(name: "schedules_missed", number: missed.count),
            ])
        if !failed.isEmpty {
            line.text += ", disabled after failures: \(HealthReport.shown(failed.map(Terminal.escape)))"
        }
        if !missed.isEmpty {
            line.text += ", missed in the last hour: \(HealthReport.shown(missed.map(Terminal.escape)))"
        }
        return line
    }

    private var alertLine: HealthLine {
        let open = alerts.keys.sorted().compactMap { key in alerts[key].map { (key, $0) } }.filter {
            $0.1.severity != .info
        }
        let worst: HealthLevel =
            open.contains { $0.1.severity == .critical } ? .critical : open.isEmpty ? .ok : .warning
        let grave = open.filter { $0.1.severity == .critical } + open.filter { $0.1.severity != .critical }
        let text = open.isEmpty ? "none" : HealthReport.shown(grave.map { Terminal.escape("\($0.0): \($0.1.text)") })
        return HealthLine(
            part: "alerts", level: worst, text: text, figures: [HealthFigure(name: "alerts_open", number: open.count)])
    }

    /// The first few, and how many more.
    private static func shown(_ names: [String]) -> String {
        let more = names.count > shownNames ? " and \(names.count - shownNames) more" : ""
        return names.prefix(shownNames).joined(separator: ", ") + more
    }
}
