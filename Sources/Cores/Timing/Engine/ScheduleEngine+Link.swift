import Contract
import Determinism
public import Machine
import TimeModel
import Wire

/// Beginning, connecting, messages, clock and end.
extension ScheduleEngine {
    mutating func start(_ now: Now) {
        term += 1
        startedAt = now.wall
        let number = term
        journal {
            $0.field("k", "term")
            $0.field("term", number)
        }
        clockOffset = now.wall - WallTime(milliseconds: now.monotonic.milliseconds)
        if refusesLeftOut() { return }
        for key in schedules.keys.sorted() {
            change(key, now) { core, record in
                core.checkAfterStart(&record, now)
                if record.cursor - now.wall > ScheduleEngine.longestBackwardMs { core.moveBack(&record, now) }
                core.decideSlots(&record, now)
            }
        }
    }

    /// What a cell no longer serves would run twice, here and in the cell that has its workspace now: it must be gone
    /// before.
    private mutating func refusesLeftOut() -> Bool {
        let served = settings.workspaces
        guard !served.isEmpty, let left = workspaces.first(where: { !served.contains($0) }) else { return false }
        let (noun, service) = (settings.role.noun.rawValue, settings.role.service)
        let reason =
            "the journal has \(noun)s of the workspace \(left), which \(service).workspaces leaves out: delete them first"
        isEnding = true
        effects.append(.log(LogEvent(.error, "workspace_left_out", reason)))
        effects.append(.quit(status: 78, reason: reason))
        return true
    }

    /// A zone that this machine lacks, and an expression that its data never lets fire, end a schedule.
    private mutating func checkAfterStart(_ record: inout ScheduleRecord, _ now: Now) {
        guard record.status != .disabled, let flaw = record.definition.flaw else { return }
        disable(&record, flaw, now)
    }

    mutating func connect(_ now: Now) {
        isConnected = true
        isReady = false
        drain = nil
        readyBy = now.monotonic + ScheduleEngine.readyWithinMs
        // What is retained comes anew: what was cleared meanwhile does not.
        targets.removeAll()
        heartbeats.removeAll()
        nextMetrics = now.monotonic
        // The own record comes back behind all that is retained: also behind that of a process which has taken over.
        effects.append(.subscribe(subscriptions))
        publishRecord(state: .up)
        readyRev = recordRev
        hasStaleRecord = false
        if !isAdopting { effects.append(.subscribe(ownViews)) }
        outbox.resend()
    }

    /// So long the own record is waited for.
    static let readyWithinMs = 10_000

    /// All that is retained has come, and nobody newer is there: runs, decisions, events and views go out.
    mutating func becomeReady(_ now: Now) {
        guard isConnected, !isReady else { return }
        isReady = true
        readyBy = nil
        raiseTerm()
        // What nobody knows from now on is a stranger's.
        if isAdopting {
            hasHistory = true
            journalTakeOver(false)
        }
        for key in schedules.keys.sorted() {
            change(key, now) { core, record in
                core.repeatAll(&record, now)
                core.decideSlots(&record, now)
            }
            views.set(key, now.monotonic)
            publishMemory(key)
        }
        publishAlerts(now)
        publishHeldNotes()
        effects.append(.ready)
    }

    /// Goes above the greatest term that was left behind. A journal that was lost counts from 1 again, and the ids of
    /// events, and what readers take for newer, rest on the term.
    private mutating func raiseTerm() {
        guard termLeft >= term else { return }
        let number = termLeft + 1
        term = number
        journal {
            $0.field("k", "term")
            $0.field("term", number)
        }
        effects.append(
            .log(
                LogEvent(
                    .info, "term_raised", "Another \(settings.role.service) served here before",
                    [LogField("term", String(number))])))
        publishRecord(state: .up)
    }

    /// Own views, of which there may be very many: only when they are taken over they are waited for. One that is lost on
    /// its way does no harm.
    private var ownViews: [Subscription] {
        scoped([settings.role.noun.rawValue, "+"], retained: true, atLeastOnce: false)
    }

    /// A subscription in each workspace that is served.
    private func scoped(_ levels: [String], retained: Bool, atLeastOnce: Bool = true) -> [Subscription] {
        (settings.workspaces.isEmpty ? ["+"] : settings.workspaces).map { scope in
            let filter = ([scope, Names.protocolLevel] + levels).joined(separator: "/")
            return Subscription(filter: filter, wantsRetained: retained, atLeastOnce: atLeastOnce)
        }
    }

    private var subscriptions: [Subscription] {
        let mine = settings.principal
        let noun = settings.role.noun.rawValue
        var list: [Subscription] = []
        func add(_ levels: [String], retained: Bool) { list += scoped(levels, retained: retained) }
        add(["command", "+", noun, "+", "+"], retained: false)
        add(["update", mine, "+", "+"], retained: false)
        add(["result", mine, "+", "+"], retained: true)
        add(["liveness", "+"], retained: true)
        let system = "\(Names.systemWorkspace)/\(Names.protocolLevel)"
        if settings.role == .scheduler {
            add(["executor", "+", "status"], retained: true)
            list.append(Subscription(filter: "\(system)/service/heartbeat/+", wantsRetained: true))
        } else {
            add(["executor", "+", "+"], retained: true)
            add(["beat", "+"], retained: false)
            add(["alert", "+"], retained: true)
            list.append(Subscription(filter: "\(system)/metrics/#", wantsRetained: true, atLeastOnce: false))
            for service in ["dispatcher", "scheduler", "monitor"] {
                list.append(Subscription(filter: "\(system)/service/\(service)/+", wantsRetained: true))
            }
        }
        if isAdopting { list += ownViews }
        list.append(Subscription(filter: "\(system)/service/\(settings.role.service)/+", wantsRetained: true))
        return list
    }

    /// Whether retained views are taken over: asked for, and nothing was journaled before, or not finished.
    var isAdopting: Bool { isTakingOver || settings.adopts && !hasHistory }

    mutating func disconnect() {
        isConnected = false
        isReady = false
        readyBy = nil
        drain = nil
        outbox.resend()
    }

    mutating func reload(_ text: [UInt8], _ now: Now) {
        guard let reload = EngineReload(text) else { return }
        settings.apply(reload.configuration)
        if let zones = reload.zones { take(zones, now) }
        for key in schedules.keys.sorted() {
            change(key, now) { core, record in core.decideSlots(&record, now) }
        }
    }

    /// New zone data: slots from now on follow it. A next slot that moved is told; a zone that vanished keeps its data.
    private mutating func take(_ zones: ZoneCatalog, _ now: Now) {
        var newer = zones
        newer.keepMissing(from: settings.zones)
        guard newer != settings.zones else { return }
        let isOtherRelease = newer.version != settings.zones.version
        settings.zones = newer
        for key in schedules.keys.sorted() {
            change(key, now) { core, record in
                core.decideSlots(&record, now)
                core.takeZones(&record, now)
                if isOtherRelease { record.isDirty = true }
            }
        }
        if isOtherRelease, isConnected { publishRecord(state: isEnding ? .down : .up) }
    }

    private mutating func takeZones(_ record: inout ScheduleRecord, _ now: Now) {
        if record.definition.hasZones(of: settings.zones) { return }
        var compiler = settings.compiler(record.key.name)
        guard let compiled = compiler.compile(record.definition.document, anchor: record.definition.anchor) else {
            return
        }
        let fresh = compiled.named(rev: record.definition.rev, owner: record.definition.owner)
        let old = record.definition
        let before = old.timeline.next(after: now.wall)
        record.definition = fresh
        guard fresh.timeline.next(after: now.wall) != before else { return }
        if record.status == .active { keepLate(&record, old, now) }
        // Slots up to now followed the older data; what the newer one would add there is not owed.
        if record.status == .active { moveCursor(&record, max(record.cursor, now.wall)) }
        emit(.scheduleUpdated, record, .scheduler, now) {
            $0.field("rev", fresh.rev)
            $0.field("reason", "tzdb")
        }
        endIfOver(&record, now)
    }

    /// A slot of the older data that its jitter holds back stays owed.
    private func keepLate(_ record: inout ScheduleRecord, _ old: Definition, _ now: Now) {
        guard let latest = old.timeline.previous(atOrBefore: now.wall), latest > record.cursor else { return }
        var open = OpenSlot(slot: latest, due: old.due(latest, id: record.key.name), since: now.wall)
        open.isEarly = true
        open.isRepeat = latest <= record.highest
        record.open = open
    }

    // Messages.

    mutating func receive(_ message: InboundMessage, _ now: Now) {
        guard let topic = Topic(message.topic) else { return }
        switch topic.place {
        case .command(_, let noun, _, _):
            guard noun == settings.role.noun.rawValue, let caller = Caller(topic, message) else { return }
            command(caller, message, now)
        case .update(_, _, let id):
            guard let key = ScheduleEngine.schedule(of: id, topic.workspace),
                let update = try? Update(decoding: message.payload)
            else { return }
            take(update, key, id, now)
        case .result(_, _, let id):
            guard let key = ScheduleEngine.schedule(of: id, topic.workspace),
                let result = try? TaskResult(decoding: message.payload)
            else { return }
            take(result, key, id, now)
        case .status(let executor): takeStatus(topic.workspace, executor, message.payload, now)
        case .liveness(let executor): takeVerdict(topic.workspace, executor, message.payload, now)
        case .schedule(let name), .check(let name):
            guard topic.place == settings.role.view(name) else { return }
            takeView(ScheduleKey(workspace: topic.workspace, name: name), message.payload, now)
        case .service(let name, let instance): takeService(name, instance, message.payload, now)
        default: return
        }
    }

    /// The schedule of a run: what stands before the last `~`.
    static func schedule(of id: String, _ workspace: String) -> ScheduleKey? {
        guard let tilde = id.lastIndex(of: "~") else { return nil }
        return ScheduleKey(workspace: workspace, name: String(id[..<tilde]))
    }

    private mutating func takeStatus(_ workspace: String, _ executor: String, _ payload: [UInt8], _ now: Now) {
        let status = payload.isEmpty ? nil : try? ExecutorStatus(decoding: payload)
        setTarget(ScheduleKey(workspace: workspace, name: executor), now) { $0.status = status?.status }
    }

    private mutating func takeVerdict(_ workspace: String, _ executor: String, _ payload: [UInt8], _ now: Now) {
        let view = payload.isEmpty ? nil : try? LivenessView(decoding: payload)
        setTarget(ScheduleKey(workspace: workspace, name: executor), now) { $0.verdict = view?.verdict }
    }

    private mutating func setTarget(_ key: ScheduleKey, _ now: Now, _ body: (inout TargetState) -> Void) {
        let before = targets[key] ?? TargetState()
        var after = before
        body(&after)
        guard after != before, targets[key] != nil || targets.count < Limits.executors else { return }
        targets[key] = after == TargetState() ? nil : after
        judgeWaiting(now)
    }

    /// What waits is judged again at each change of what it waits for.
    mutating func judgeWaiting(_ now: Now) {
        for key in openSlots.sorted() { change(key, now) { core, record in core.decideSlots(&record, now) } }
    }

    private mutating func takeService(_ name: String, _ instance: String, _ payload: [UInt8], _ now: Now) {
        let record = payload.isEmpty ? nil : try? ServiceRecord(decoding: payload)
        if name == "heartbeat" {
            heartbeats[instance] = record?.state == .up ? record : nil
            judgeWaiting(now)
        }
        guard name == settings.role.service else { return }
        if let record, record.boot != settings.boot, instance == settings.instance {
            termLeft = max(termLeft, record.term)
        }
        let service = settings.role.service
        if let record, let reason = ownRecord(.up).verdict(on: record, instance: instance, service: service) {
            guard !isEnding else { return }
            isEnding = true
            publishRecord(state: .down, reason: "superseded")
            effects.append(.quit(status: 78, reason: reason))
        } else if let record, record.boot == settings.boot, record.state == .up {
            takeOwnRecord(record.rev ?? 0, now)
        } else if instance == settings.instance, isConnected, !isEnding {
            // A late Will, or a stranger's word.
            publishRecord(state: .up)
        }
    }

    /// What was due by now should have been done before: the process stood still, and another may have taken over that
    /// is in the inbox yet. The own record is sent to come back behind it.
    mutating func noteLateness(_ now: Now) {
        guard isConnected, !isEnding, drain == nil, let due = nextWake,
            now.monotonic - due > ScheduleEngine.latestTurnMs
        else { return }
        publishRecord(state: .up)
        drain = Drain(rev: recordRev, by: now.monotonic + ScheduleEngine.readyWithinMs)
    }

    /// A turn that is later than this is late.
    static let latestTurnMs = 200

    /// An own record is back. One of an earlier connection that was never read proves nothing; one that was sent again
    /// with this connection may have taken the place of a newer process's record: that one gets the time to say so.
    private mutating func takeOwnRecord(_ rev: Int, _ now: Now) {
        if let drain, rev >= drain.rev { self.drain = nil }
        guard !isReady else { return }
        if rev < readyRev {
            hasStaleRecord = true
        } else if hasStaleRecord {
            let soonest = now.monotonic + ScheduleEngine.staleRecordMs
            readyBy = min(readyBy ?? soonest, soonest)
        } else {
            becomeReady(now)
        }
    }

    /// So long a newer process may take to put its record in place again.
    static let staleRecordMs = 1000

    // Clock, end.

    /// The wall clock was set when it moved against the monotonic one by over a second.
    mutating func noteClock(_ now: Now) {
        let offset = now.wall - WallTime(milliseconds: now.monotonic.milliseconds)
        defer { clockOffset = offset }
        guard term > 0, let before = clockOffset, abs(offset - before) > ScheduleEngine.clockStepMs else { return }
        raiseClockAlert(offset - before, now)
        let isFarBack = before - offset > ScheduleEngine.longestBackwardMs
        for key in schedules.keys.sorted() {
            change(key, now) { core, record in
                let ahead = record.cursor - now.wall
                if ahead > 0, isFarBack || ahead > ScheduleEngine.longestBackwardMs { core.moveBack(&record, now) }
                core.decideSlots(&record, now)
            }
        }
    }

    static let clockStepMs = 1000
    /// A clock that was set back by more moves the cursor back too.
    static let longestBackwardMs = 3 * 3_600_000

    /// A cursor that lies far ahead of the clock would keep a schedule silent: it comes back to now. Slots up to the
    /// highest cursor ever keep their run ids and are not counted again.
    private func moveBack(_ record: inout ScheduleRecord, _ now: Now) {
        record.highest = max(record.highest, record.cursor)
        record.cursor = now.wall
        record.isDirty = true
    }

    mutating func terminate(_ now: Now) {
        isEnding = true
        for reply in replies { send(reply, confirmed: false) }
        replies.removeAll()
        if isConnected { publishRecord(state: .down, reason: "stopped") }
        effects.append(.quit(status: 0, reason: "stopped"))
    }

    /// The service's own record.
    func record(state: ServiceRecord.State, reason: String?, rev: Int? = nil) -> OutboundMessage {
        var record = ownRecord(state)
        record.reason = reason
        record.rev = rev
        let topic = Topic.system(.service(name: settings.role.service, instance: settings.instance))
        return OutboundMessage(topic: topic.name, payload: record.encoded, retain: true)
    }

    private func ownRecord(_ state: ServiceRecord.State) -> ServiceRecord {
        var record = ServiceRecord(
            state: state, version: settings.version, term: max(term, 1), boot: settings.boot, since: startedAt)
        record.limits = RawJSON { writer in
            writer.object {
                if settings.role == .scheduler { $0.field("schedules_per_agent", settings.schedulesPerAgent) }
                $0.field(named: "\(settings.role.noun.rawValue)s_per_workspace") {
                    $0.value(settings.schedulesPerWorkspace)
                }
                $0.field("document_bytes", Limits.scheduleDocument)
                $0.field("shortest_interval_ms", settings.shortestIntervalMs)
            }
        }
        record.tzdb = settings.zones.version
        record.workspaces = settings.workspaces
        return record
    }

    private mutating func publishRecord(state: ServiceRecord.State, reason: String? = nil) {
        recordRev += 1
        effects.append(.publish(record(state: state, reason: reason, rev: recordRev)))
    }

    /// What the broker publishes when this process is lost.
    public func will() -> OutboundMessage? { record(state: .down, reason: "lost") }
}
