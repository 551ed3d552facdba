import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Audit events (`topics/events.md`): metadata only.
extension Dispatcher {
    /// An event about a task.
    mutating func event(_ name: EventName, of spec: TaskSpec, actor: String? = nil) {
        event(name, of: spec, actor: actor) { _ in }
    }

    /// An event about a task, with data.
    mutating func event(
        _ name: EventName, of spec: TaskSpec, actor: String? = nil, _ data: (inout JSONWriter) -> Void
    ) {
        if name.isTaskLife, !configuration.taskEvents { return }
        guard isConnected else { return skipEvent() }
        emit(
            name, spec.key.workspace, actor ?? (name == .taskAccepted ? spec.key.principal : "dispatcher"),
            spec.key.id
        ) { event in
            event.correlationID = spec.correlation
            event.causationID = spec.step.flatMap { _ in String(spec.key.id.prefix { $0 != "." }) }
            event.data = RawJSON { writer in
                writer.object { object in
                    object.field("principal", spec.key.principal)
                    object.field("capability", spec.capability)
                    data(&object)
                }
            }
        }
    }

    /// An event about something else.
    mutating func event(
        _ name: EventName, in workspace: String, actor: String = "dispatcher", subject: String,
        _ data: (inout JSONWriter) -> Void
    ) {
        guard isConnected else { return skipEvent() }
        emit(name, workspace, actor, subject) { event in
            event.data = RawJSON { writer in writer.object { data(&$0) } }
        }
    }

    /// An event that cannot be told leaves a gap in the numbers.
    private mutating func skipEvent() { eventSequence += 1 }

    private mutating func emit(
        _ name: EventName, _ workspace: String, _ actor: String, _ subject: String, _ fill: (inout Event) -> Void
    ) {
        eventSequence += 1
        metrics.events += 1
        var event = Event(
            eventID: "\(configuration.cell ?? "dispatcher").\(term).\(eventSequence)", event: name, seq: eventSequence,
            at: now.wall,
            actor: actor, workspace: workspace, subject: subject)
        fill(&event)
        let key = "dispatcher.\(subject)"
        let place = Topic.Place.event(name: name.rawValue, key: Names.isID(key) ? key : "dispatcher")
        publish(workspace, place, event.encoded)
    }
}

/// Numbers about the dispatcher: counters from its start.
struct DispatcherMetrics: Hashable, Sendable {
    var intents = 0
    var accepted = 0
    var refused = 0
    var duplicates = 0
    var shed = 0
    var ended = 0
    var succeeded = 0
    var decisions = 0
    var grants = 0
    var revoked = 0
    var lost = 0
    var late = 0
    var stale = 0
    var reports = 0
    var beats = 0
    var claims = 0
    var illegal = 0
    var commands = 0
    var events = 0
    var cost = 0
    var wastedCost = 0
    /// Ends in the present and in the last span of 10 s.
    private var span = 0
    private var spanEnds = 0
    private var lastSpanEnds = 0

    /// Notes an end.
    mutating func noteEnd(_ status: Status, at now: MonotonicTime) {
        ended += 1
        if status == .success { succeeded += 1 }
        let present = now.milliseconds / 10_000
        if present != span {
            lastSpanEnds = present == span + 1 ? spanEnds : 0
            (span, spanEnds) = (present, 0)
        }
        spanEnds += 1
    }

    /// Tasks that end per second, of late.
    func endedPerSecond(at now: MonotonicTime) -> Int {
        let present = now.milliseconds / 10_000
        if present > span + 1 { return 0 }
        return (present == span ? max(lastSpanEnds, spanEnds) : spanEnds) / 10
    }
}

extension Dispatcher {
    /// Counts an end.
    mutating func countEnd(_ spec: TaskSpec, _ ending: Ending) { metrics.noteEnd(ending.status, at: now.monotonic) }

    /// Publishes the numbers, every 10 s.
    mutating func metricsDue() {
        timers.set(TimerKey(.metrics), now.monotonic + 10_000)
        forgetExecutors()
        let payload = metricsRecord.bytes
        let topic = Topic.system(.metrics(name: "dispatcher", instance: configuration.cell)).name
        publish(OutboundMessage(topic: topic, payload: payload, atLeastOnce: false, retain: true))
    }

    /// One flat object of whole numbers.
    var metricsRecord: RawJSON {
        let live = capabilities.reduce(0) { $0 + $1.queued }
        let oldest = lanes.values.compactMap(\.oldest).min()
        var states: [TaskState: Int] = [:]
        for task in tasks.values { states[task.state, default: 0] += 1 }
        return RawJSON { writer in
            writer.object {
                $0.field("term", term)
                $0.field("uptime_ms", max(0, now.wall - startedAt))
                $0.field("tasks", tasks.count)
                $0.field("queued", live)
                for state in [TaskState.delayed, .blocked, .awaitingApproval, .offered, .running, .canceling] {
                    $0.field(named: state.rawValue) { $0.value(states[state, default: 0]) }
                }
                $0.field("oldest_queued_ms", oldest.map { max(0, now.monotonic - $0) } ?? 0)
                $0.field("leases", leases.count)
                $0.field("remembered", ended.count)
                $0.field("dead_letters", dead.count)
                $0.field("undelivered", undelivered.count)
                $0.field("executors", executorIndex.count)
                $0.field("capabilities", capabilities.count)
                $0.field("circuits", circuits.count)
                $0.field("task_bytes", taskBytes)
                $0.field("result_bytes", resultBytes)
                $0.field("journal_writable", isWritable ? 1 : 0)
                writeCounters(to: &$0)
                writeBudgets(to: &$0)
            }
        }
    }

    /// Each budget by its place in the configuration.
    private func writeBudgets(to writer: inout JSONWriter) {
        for (place, budget) in spending.standing(configuration, at: now.wall).enumerated() {
            let numbers = [
                ("amount", budget.rule.amount), ("period_ms", budget.rule.periodMs), ("spent", budget.spent),
                ("reserved", budget.reserved),
            ]
            for (name, number) in numbers { writer.field(named: "budget_\(place + 1)_\(name)") { $0.value(number) } }
        }
    }

    private func writeCounters(to writer: inout JSONWriter) {
        writer.field("intents_total", metrics.intents)
        writer.field("accepted_total", metrics.accepted)
        writer.field("refused_total", metrics.refused)
        writer.field("duplicates_total", metrics.duplicates)
        writer.field("shed_total", metrics.shed)
        writer.field("ended_total", metrics.ended)
        writer.field("succeeded_total", metrics.succeeded)
        writer.field("decisions_total", metrics.decisions)
        writer.field("grants_total", metrics.grants)
        writer.field("revoked_total", metrics.revoked)
        writer.field("lost_total", metrics.lost)
        writer.field("late_outcomes_total", metrics.late)
        writer.field("stale_reports_total", metrics.stale)
        writer.field("reports_total", metrics.reports)
        writer.field("beats_total", metrics.beats)
        writer.field("claims_total", metrics.claims)
        writer.field("illegal_messages_total", metrics.illegal)
        writer.field("commands_total", metrics.commands)
        writer.field("events_total", metrics.events)
        writer.field("cost_total", metrics.cost)
        writer.field("wasted_cost_total", metrics.wastedCost)
    }
}
