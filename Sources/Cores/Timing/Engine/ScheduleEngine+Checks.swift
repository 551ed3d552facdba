import Contract
import Machine
import TimeModel
import Wire

/// What a check's result means, and what follows it (`topics/checks.md`).
extension ScheduleEngine {
    /// A check's run has its result: status, log, event, alert, actions.
    mutating func conclude(_ record: inout ScheduleRecord, _ run: Run, _ result: TaskResult, _ now: Now) {
        guard let rules = record.definition.check else { return }
        // Told again after a crash between the log and the state: it counts once.
        if record.health.log.contains(where: { $0.run == run.id }) { return }
        let startedAt = result.attempts.first?.startedAt ?? run.sentAt
        let found = record.health.judge(result, run: run.id, startedAt: startedAt, rules)
        let hasChanged = record.health.take(found, rules, at: now.wall)
        record.isDirty = true
        journalRun(found, record.key)
        emit(.checkResult, record, .run(run.id), now) {
            $0.field("task", run.id)
            $0.field("result", found.status)
            $0.field("status", record.health.shown.status)
            $0.field("changed", hasChanged)
            $0.field("code", found.code?.rawValue)
            $0.field("duration_ms", found.durationMs)
            $0.field("scheduled_at", run.slot)
        }
        updateAlert(&record)
        act(&record, found, hasChanged: hasChanged, now)
    }

    // Actions.

    private mutating func act(_ record: inout ScheduleRecord, _ found: CheckRun, hasChanged: Bool, _ now: Now) {
        let own = record.definition.check?.actions ?? []
        for (index, action) in (settings.defaultActions + own).enumerated() {
            if action.repetition == .change, !hasChanged { continue }
            guard action.isWanted(record.health.shown.status) else { continue }
            carryOut(&record, action, found, number: index + 1, now)
        }
    }

    private mutating func carryOut(
        _ record: inout ScheduleRecord, _ action: CheckAction, _ found: CheckRun, number: Int, _ now: Now
    ) {
        let config = action.config.map(JSONValue.init) ?? .object([])
        let note = note(record, found, config)
        switch action.kind {
        case .notify:
            let channel = config["channel"]?.stringValue.flatMap(NotificationChannel.init(rawValue:)) ?? .memory
            switch channel {
            case .log: publishLog(record.key, note)
            case .memory: remember(&record, note)
            case .webhook: callWebhook(&record, action.config, note, number, now)
            }
        case .remember:
            var note = note
            note.importance = config["importance"]?.intValue ?? 50
            note.category = config["category"]?.stringValue ?? "heartbeat_alert"
            remember(&record, note)
        case .webhook: callWebhook(&record, action.config, note, number, now)
        case .execute:
            var intent = Intent()
            intent.action = config["action"]?.stringValue
            intent.input = config["input"].map { value in RawJSON { value.write(to: &$0) } }
            intent.timeoutMs = Limits.checkExecuteMs
            let capability = config["capability"]?.stringValue ?? "run"
            sendAction(&record, intent, capability, "\(found.run).a\(number)", now)
        }
    }

    private func note(_ record: ScheduleRecord, _ found: CheckRun, _ config: JSONValue) -> ScheduleNote {
        var note = ScheduleNote(check: record.key.name)
        let status = record.health.shown.status ?? found.status
        note.run = found.run
        note.code = found.code
        note.health = status
        note.level = status.level
        note.durationMs = found.durationMs
        let message = found.message ?? ""
        note.message =
            config["message"]?.stringValue.map {
                let filled = $0.replacing("{check}", with: record.key.name).replacing("{status}", with: status.rawValue)
                return HealthRecord.short(filled.replacing("{message}", with: message))
            } ?? found.message
        return note
    }

    private mutating func callWebhook(
        _ record: inout ScheduleRecord, _ config: RawJSON?, _ note: ScheduleNote, _ number: Int, _ now: Now
    ) {
        var intent = Intent()
        intent.input = RawJSON { writer in
            writer.object {
                $0.field("config", config ?? .emptyObject)
                $0.field("body", note)
            }
        }
        intent.timeoutMs = Limits.checkWebhookMs
        intent.retry = RetryRule(count: 2)
        sendAction(&record, intent, ScheduleEngine.webhook, "\(note.run ?? record.runID(now.wall)).a\(number)", now)
    }

    /// Sends the intent of an action, with the owner's rights, until the dispatcher has it.
    private mutating func sendAction(
        _ record: inout ScheduleRecord, _ given: Intent, _ capability: String, _ id: String, _ now: Now
    ) {
        guard Names.isID(id) else { return }
        var run = Run(
            id: id, kind: .notification, slot: now.wall, sentAt: now.wall,
            expiresAt: now.wall + ScheduleEngine.actionMs, capability: capability, body: [])
        var intent = given
        intent.updates = .accepted
        intent.context = Context(requestID: id)
        intent.origin = sideOrigin(record, run.expiresAt)
        run.body = intent.encoded
        begin(&record, &run, now)
    }

    /// How long an action's or a notification's intent is worth sending.
    static let actionMs = 86_400_000
    /// The capability that webhooks run as.
    static let webhook = "notify.webhook"

    /// What an intent that is no run says of its cause.
    func sideOrigin(_ record: ScheduleRecord, _ expiresAt: WallTime) -> Origin? {
        try? Origin(
            RawJSON { writer in
                writer.object {
                    $0.field("kind", settings.role == .scheduler ? "schedule" : "action")
                    $0.field(named: settings.role.noun.rawValue) { $0.value(record.key.name) }
                    $0.field("owner", record.definition.owner)
                    $0.field("expires_at", expiresAt)
                }
            })
    }

    // Alerts.

    /// Raises, renews or clears a check's alert.
    mutating func updateAlert(_ record: inout ScheduleRecord) {
        let isWanted = record.status != .paused && record.health.isBad
        guard isWanted || record.health.isAlerting else { return }
        record.health.isAlerting = isWanted
        record.isDirty = true
        if isConnected { publishCheckAlert(record) }
    }

    func checkAlert(_ record: ScheduleRecord) -> Alert? {
        guard record.health.isAlerting, let status = record.health.shown.status else { return nil }
        let health = record.health.shown
        return Alert(
            severity: status.level, since: health.since ?? record.updatedAt,
            text: health.last?.message ?? "\(record.key.name) is in \(status.rawValue)",
            count: health.consecutiveFailures)
    }

    mutating func publishCheckAlert(_ record: ScheduleRecord) {
        publishAlert(record.key.workspace, eventKey(record.key), checkAlert(record))
    }

    /// Whether an alert of this engine stands, by its key.
    public func isAlerting(_ workspace: String, _ alert: String) -> Bool {
        switch alert {
        case "\(settings.role.service).clock": return alerts.clock != nil && alerts.clockWorkspaces.contains(workspace)
        case "\(settings.role.service).stalled": return alerts.stalled[workspace] != nil
        case ScheduleEngine.logAlert: return alerts.logSince != nil
        default: break
        }
        guard alert.hasPrefix(settings.role.keyPrefix) else { return false }
        let name = String(alert.dropFirst(settings.role.keyPrefix.count))
        return schedules[ScheduleKey(workspace: workspace, name: name)]?.health.isAlerting ?? false
    }

    /// The targets for which a check with `liveness` is in `error`.
    public var failingTargets: Set<ScheduleKey> {
        var targets: Set<ScheduleKey> = []
        for key in failingChecks {
            guard let record = schedules[key] else { continue }
            targets.insert(ScheduleKey(workspace: key.workspace, name: record.definition.agent))
        }
        return targets
    }

    /// Keeps the set of checks that speak against their targets.
    mutating func noteFailing(_ record: ScheduleRecord) {
        let speaks = record.definition.check?.speaksForTarget ?? false
        if speaks, record.status == .active, record.health.shown.status == .error {
            failingChecks.insert(record.key)
        } else {
            failingChecks.remove(record.key)
        }
    }

    // A log that cannot be written.

    static let logAlert = "heartbeat.log"

    /// Heartbeat goes on without its journal: run ids repeat, so nothing runs twice. What was not written is written as
    /// soon as that is possible again.
    mutating func setJournal(writable isWritable: Bool, _ now: Now) {
        let before = isJournalWritable
        isJournalWritable = isWritable
        guard settings.role == .heartbeat, before != isWritable else { return }
        if isWritable, alerts.logSince != nil {
            snapshot { effects.append(.append($0)) }
        }
        alerts.logSince = isWritable ? nil : now.wall
        effects.append(
            .log(
                isWritable
                    ? LogEvent(.info, "log_written", "The log of checks is written again")
                    : LogEvent(.warning, "log_not_written", "The log of checks cannot be written; checks go on")))
        if isConnected { publishLogAlert() }
    }

    mutating func publishLogAlert() {
        guard settings.role == .heartbeat else { return }
        let alert = alerts.logSince.map {
            Alert(severity: .warning, since: $0, text: "the log of checks cannot be written; checks go on")
        }
        for workspace in workspaces { publishAlert(workspace, ScheduleEngine.logAlert, alert) }
    }

    /// Whether slots are decided: a scheduler needs its journal for that, and one that leaves says nothing more.
    var mayDecide: Bool {
        // Just connected, or after a stop, somebody else may have taken over; that is known in a moment.
        !isEnding && (!isConnected || isReady && drain == nil) && (isJournalWritable || settings.role == .heartbeat)
    }

    // Reading.

    /// A view, and for a check the newest runs of its log.
    func get(_ record: ScheduleRecord, _ command: ScheduleCommand, _ now: Now) -> Reply {
        let view = view(record, now.wall).raw
        guard settings.role == .heartbeat, case .object(var fields) = JSONValue(view) else {
            return .done(rev: record.definition.rev, data: view)
        }
        let runs = record.health.log.reversed().filter { command.status == nil || $0.status == command.status }
        let history = runs.prefix(command.history ?? ScheduleEngine.shownHistory)
        fields.append(.init("history", .array(history.map { JSONValue($0.raw) })))
        return .done(rev: record.definition.rev, data: RawJSON { JSONValue.object(fields).write(to: &$0) })
    }

    /// Runs of the log in a reply, unless asked otherwise.
    static let shownHistory = 20
}

extension CheckAction {
    /// Whether it follows a run that left this status.
    func isWanted(_ status: CheckStatus?) -> Bool {
        switch when {
        case .always: true
        case .onOk: status == .ok
        case .onWarning: status == .warning
        case .onError: status == .error
        }
    }
}

extension CheckStatus {
    /// How grave it is as an alert.
    var level: Severity {
        switch self {
        case .ok: .info
        case .warning: .warning
        case .error: .critical
        }
    }
}
