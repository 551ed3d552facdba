import Contract
import Determinism
public import Machine
public import TimeModel
import Wire

/// Events that the broker has not acknowledged yet, in the order of their numbers.
struct Outbox: Hashable, Sendable {
    struct Item: Hashable, Sendable {
        var seq: Int
        var topic: String
        var payload: [UInt8]
        var isSent = false
        var isDone = false
    }

    var items: [Item] = []
    /// The number of the last event ever.
    var lastSeq = 0
    /// All events up to this number are acknowledged; what the journal was told of it.
    var doneUpTo = 0
    var journaledUpTo = 0

    /// Events under way at one time.
    static let window = 200
    /// So many acknowledged events are journaled without another reason.
    static let journalEvery = 256
    /// So many are journaled along with other records; fewer are sent once more after a restart.
    static let journalWithOthersEvery = 32

    /// After a lost connection nothing is under way.
    mutating func resend() {
        for index in items.indices { items[index].isSent = false }
    }

    /// Whether further slots may be decided: what is not decided now is told in fewer events later.
    var hasRoom: Bool { items.count < Limits.keptEvents }

    /// Adds an event; beyond the limit, which decisions respect, the oldest is lost.
    mutating func add(_ item: Item) {
        lastSeq = item.seq
        items.append(item)
        if items.count > 2 * Limits.keptEvents { items.removeFirst(items.count - 2 * Limits.keptEvents) }
    }

    mutating func delivered(_ token: Int) {
        guard let first = items.first, token >= first.seq, token - first.seq < items.count else { return }
        items[token - first.seq].isDone = true
        let done = items.prefix { $0.isDone }.count
        guard done > 0 else { return }
        doneUpTo = items[done - 1].seq
        // Moving the rest to the front is shared by many acknowledgements.
        if done == items.count || done >= Outbox.journalWithOthersEvery { items.removeFirst(done) }
    }

    /// What may be published now.
    mutating func take() -> [Item] {
        var taken: [Item] = []
        for index in items.indices.prefix(Outbox.window + Outbox.journalWithOthersEvery)
        where !items[index].isSent && !items[index].isDone {
            items[index].isSent = true
            taken.append(items[index])
        }
        return taken
    }
}

/// What an event comes from.
enum EventCause {
    /// The scheduler itself.
    case scheduler
    /// A command of a principal.
    case principal(String)
    /// A run, which names the event: one that is sent again keeps its id.
    case run(String)
}

/// Alerts that stand.
struct AlertState: Hashable, Sendable {
    /// Until when the step of the clock is told.
    var clockUntil: MonotonicTime?
    var clock: Alert?
    /// Workspaces in which it stands.
    var clockWorkspaces: [String] = []
    /// Schedules whose runs do not end, by workspace, in order.
    var stalled: [String: [String]] = [:]
    var stalledSince: [String: WallTime] = [:]
    /// Since when the log of checks cannot be written.
    var logSince: WallTime?
}

/// One publication of the metrics.
public struct SentMetrics: Hashable, Sendable {
    /// Its number, from 1 on.
    public var number: Int
    /// When.
    public var at: MonotonicTime
}

/// Events, notifications, alerts, metrics.
extension ScheduleEngine {
    /// Journals an event and queues it; metadata only.
    mutating func emit(
        _ name: EventName, _ record: ScheduleRecord, _ cause: EventCause, _ now: Now,
        _ data: (inout JSONWriter) -> Void
    ) {
        let key = record.key
        let seq = outbox.lastSeq + 1
        var event = Event(
            eventID: "\(key.name).\(term)-\(seq).\(name.rawValue)", event: name, seq: seq, at: now.wall,
            actor: settings.principal, workspace: key.workspace, subject: key.name)
        switch cause {
        case .scheduler: break
        case .principal(let principal): event.actor = principal
        case .run(let run):
            event.eventID = "\(run).\(name.rawValue)"
            event.correlationID = run
        }
        event.data = RawJSON { writer in writer.object { data(&$0) } }
        let topic = Topic(key.workspace, .event(name: name.rawValue, key: eventKey(key))).name
        let payload = event.encoded
        outbox.add(Outbox.Item(seq: seq, topic: topic, payload: payload))
        journal {
            $0.field("k", "event")
            $0.field("seq", seq)
            $0.field("topic", topic)
            $0.field("event", event)
        }
    }

    /// Publishes events as far as the window allows.
    mutating func flushEvents() {
        if outbox.doneUpTo - outbox.journaledUpTo >= Outbox.journalEvery { journalSent() }
        guard isReady else { return }
        for item in outbox.take() {
            effects.append(.publish(OutboundMessage(topic: item.topic, payload: item.payload, token: item.seq)))
        }
    }

    /// The key of a schedule's events, alerts and notifications.
    func eventKey(_ key: ScheduleKey) -> String { settings.role.keyPrefix + key.name }

    // Notifications.

    mutating func publishLog(_ key: ScheduleKey, _ note: ScheduleNote) {
        let topic = Topic(key.workspace, .notify(channel: NotificationChannel.log.rawValue, key: eventKey(key)))
        let message = OutboundMessage(topic: topic.name, payload: note.encoded)
        if isConnected { return effects.append(.publish(message)) }
        heldNotes.append(message)
        if heldNotes.count > Limits.heldNotes { heldNotes.removeFirst() }
    }

    /// Notes of the time without a connection, in their order.
    mutating func publishHeldNotes() {
        for message in heldNotes { effects.append(.publish(message)) }
        heldNotes.removeAll()
    }

    /// Adds to the newest ten, at most 8 KiB.
    mutating func remember(_ record: inout ScheduleRecord, _ note: ScheduleNote) {
        record.notes.append(note.raw)
        while record.notes.count > Limits.memoryNotes
            || record.notes.count > 1 && record.notes.reduce(2, { $0 + $1.bytes.count + 1 }) > Limits.memoryBytes
        {
            record.notes.removeFirst()
        }
        record.isDirty = true
        publishMemory(record)
    }

    mutating func publishMemory(_ key: ScheduleKey) {
        if let record = schedules[key], !record.notes.isEmpty { publishMemory(record) }
    }

    private mutating func publishMemory(_ record: ScheduleRecord) {
        guard isConnected else { return }
        let list = RawJSON { writer in
            writer.beginArray()
            for note in record.notes { writer.value(note) }
            writer.endArray()
        }
        effects.append(
            .publish(OutboundMessage(topic: memoryTopic(record.key), payload: list.bytes, retain: true)))
    }

    func memoryTopic(_ key: ScheduleKey) -> String {
        Topic(key.workspace, .notify(channel: NotificationChannel.memory.rawValue, key: eventKey(key))).name
    }

    // Alerts.

    mutating func raiseClockAlert(_ step: Int, _ now: Now) {
        alerts.clockUntil = now.monotonic + ScheduleEngine.clockAlertMs
        alerts.clockWorkspaces = workspaces
        let direction = step > 0 ? "forward" : "back"
        alerts.clock = Alert(
            severity: .warning, since: now.wall, text: "the wall clock was set \(direction) by \(abs(step)) ms")
        effects.append(
            .log(LogEvent(.warning, "clock_step", "The wall clock was set", [LogField("step_ms", String(step))])))
        if isConnected { publishClockAlert() }
    }

    static let clockAlertMs = 600_000

    private mutating func publishClockAlert() {
        guard let alert = alerts.clock else { return }
        for workspace in alerts.clockWorkspaces { publishAlert(workspace, "\(settings.role.service).clock", alert) }
    }

    mutating func endClockAlert(_ now: Now) {
        guard let until = alerts.clockUntil, now.monotonic >= until else { return }
        alerts.clockUntil = nil
        alerts.clock = nil
        if isConnected {
            for workspace in alerts.clockWorkspaces { publishAlert(workspace, "\(settings.role.service).clock", nil) }
        }
        alerts.clockWorkspaces = []
    }

    /// All workspaces that have schedules, in order.
    public var workspaces: [String] { workspaceCounts.keys.sorted() }

    mutating func setStalled(_ key: ScheduleKey, _ isStalled: Bool, _ now: Now) {
        var names = alerts.stalled[key.workspace] ?? []
        names.removeAll { $0 == key.name }
        if isStalled { names = (names + [key.name]).sorted() }
        guard names != alerts.stalled[key.workspace] ?? [] else { return }
        alerts.stalled[key.workspace] = names.isEmpty ? nil : names
        if names.isEmpty {
            alerts.stalledSince[key.workspace] = nil
        } else if alerts.stalledSince[key.workspace] == nil {
            alerts.stalledSince[key.workspace] = now.wall
        }
        if isConnected { publishStalled(key.workspace) }
    }

    private mutating func publishStalled(_ workspace: String) {
        guard let names = alerts.stalled[workspace], let since = alerts.stalledSince[workspace] else {
            return publishAlert(workspace, "\(settings.role.service).stalled", nil)
        }
        let shown = names.prefix(20).joined(separator: ", ")
        publishAlert(
            workspace, "\(settings.role.service).stalled",
            Alert(
                severity: .warning, since: since, text: "skipped three times in a row, runs do not end: \(shown)",
                count: names.count))
    }

    mutating func publishAlerts(_ now: Now) {
        publishClockAlert()
        for workspace in workspaces { publishStalled(workspace) }
        publishLogAlert()
        for key in schedules.keys.sorted() {
            if let record = schedules[key], record.health.isAlerting { publishCheckAlert(record) }
        }
    }

    mutating func publishAlert(_ workspace: String, _ key: String, _ alert: Alert?) {
        let topic = Topic(workspace, .alert(key: key)).name
        effects.append(.publish(OutboundMessage(topic: topic, payload: alert?.encoded ?? [], retain: true)))
    }

    // Metrics.

    /// Lets the metrics go out with this turn.
    public mutating func publishMetricsSoon(_ now: Now) { nextMetrics = now.monotonic }

    mutating func flushMetrics(_ now: Now) {
        guard isConnected, now.monotonic >= nextMetrics else { return }
        nextMetrics = now.monotonic + (settings.role == .scheduler ? 10_000 : 5000)
        let number = (metricsSent?.number ?? 0) + 1
        metricsSent = SentMetrics(number: number, at: now.monotonic)
        var writer = JSONWriter()
        writer.object {
            if settings.role == .heartbeat {
                $0.field("term", term)
                $0.field("seq", number)
            }
            for (name, number) in ownMetrics { $0.field(named: name) { $0.value(number) } }
            $0.field("uptime_ms", max(0, now.wall - startedAt))
            $0.field("journal_writable", isJournalWritable ? 1 : 0)
            $0.field(named: "\(settings.role.noun.rawValue)s") { $0.value(schedules.count) }
            $0.field("open_slots", openSlots.count)
            $0.field("unconfirmed_runs", unconfirmed)
            $0.field("unsent_events", outbox.items.count)
            $0.field("waiting_views", views.count)
            $0.field("triggered_total", totals.triggered)
            $0.field("manual_total", totals.manual)
            $0.field("skipped_total", totals.skipped)
            $0.field("missed_total", totals.missed)
            $0.field("results_total", totals.results)
            $0.field("refused_total", totals.refused)
        }
        let topic = Topic.system(.metrics(name: settings.role.service, instance: settings.cell)).name
        effects.append(
            .publish(OutboundMessage(topic: topic, payload: writer.bytes, atLeastOnce: false, retain: true)))
    }
}
