public import TimeModel
public import Wire

/// The names of audit events (`topics/events.md`).
public enum EventName: String, CaseIterable, Hashable, Sendable {
    /// A schedule was put for the first time.
    case scheduleCreated = "SCHEDULE_CREATED"
    /// A schedule, or its zone data, changed.
    case scheduleUpdated = "SCHEDULE_UPDATED"
    /// A schedule is gone.
    case scheduleDeleted = "SCHEDULE_DELETED"
    /// A slot became a task.
    case scheduleTriggered = "SCHEDULE_TRIGGERED"
    /// A slot was skipped by a condition, a pause or a limit.
    case scheduleSkipped = "SCHEDULE_SKIPPED"
    /// A slot was missed.
    case misfiredSkipped = "MISFIRED_SKIPPED"
    /// A missed slot will still run.
    case misfiredDeferred = "MISFIRED_DEFERRED"
    /// A schedule was paused.
    case schedulePaused = "SCHEDULE_PAUSED"
    /// A schedule goes on.
    case scheduleResumed = "SCHEDULE_RESUMED"
    /// A schedule has ended.
    case scheduleDisabled = "SCHEDULE_DISABLED"
    /// An intent became a task.
    case taskAccepted = "TASK_ACCEPTED"
    /// Push or pull was decided for an attempt.
    case taskModeDecided = "TASK_MODE_DECIDED"
    /// A task was sent or granted to an executor.
    case taskAssigned = "TASK_ASSIGNED"
    /// An attempt began.
    case taskStarted = "TASK_STARTED"
    /// A further attempt will follow.
    case taskRetrying = "TASK_RETRYING"
    /// A task reached its status.
    case taskFinished = "TASK_FINISHED"
    /// An outcome came too late and changed nothing.
    case taskStaleResult = "TASK_STALE_RESULT"
    /// A lease was taken away.
    case leaseRevoked = "LEASE_REVOKED"
    /// A card was taken up.
    case executorRegistered = "EXECUTOR_REGISTERED"
    /// An executor is there.
    case executorOnline = "EXECUTOR_ONLINE"
    /// An executor left, or was lost.
    case executorOffline = "EXECUTOR_OFFLINE"
    /// An executor takes nothing new.
    case executorDraining = "EXECUTOR_DRAINING"
    /// Registrations of a capability conflict.
    case capabilityConflict = "CAPABILITY_CONFLICT"
    /// A conflict is over.
    case conflictResolved = "CONFLICT_RESOLVED"
    /// A circuit opened.
    case circuitOpened = "CIRCUIT_OPENED"
    /// A circuit lets a probe through.
    case circuitHalfOpen = "CIRCUIT_HALF_OPEN"
    /// A circuit closed.
    case circuitClosed = "CIRCUIT_CLOSED"
    /// A health check has a result.
    case checkResult = "CHECK_RESULT"
    /// A task waits for a decision.
    case approvalRequested = "APPROVAL_REQUESTED"
    /// A task was approved.
    case approvalGranted = "APPROVAL_GRANTED"
    /// A task was denied.
    case approvalDenied = "APPROVAL_DENIED"
    /// Nobody decided in time.
    case approvalExpired = "APPROVAL_EXPIRED"
    /// A request was refused.
    case requestRefused = "REQUEST_REFUSED"

    /// Whether the dispatcher sends it only with `task_events` in its configuration.
    public var isTaskLife: Bool {
        switch self {
        case .taskAccepted, .taskModeDecided, .taskAssigned, .taskStarted, .taskRetrying, .taskFinished: true
        default: false
        }
    }
}

/// An audit event: what happened, to what, because of whom. Never an input or an output.
public struct Event: Hashable, Sendable {
    /// Unique; a repeated event has the same.
    public var eventID: String
    /// What happened.
    public var event: EventName
    /// Rises by one per service and term; a gap is a loss.
    public var seq: Int
    /// When.
    public var at: WallTime
    /// The principal, or the service, because of whom.
    public var actor: String
    /// The workspace.
    public var workspace: String
    /// To what: a task, an executor, a capability, a schedule.
    public var subject: String
    /// The request that all of this belongs to.
    public var correlationID: String?
    /// What caused it.
    public var causationID: String?
    /// More, by event.
    public var data: RawJSON?

    /// An event.
    public init(
        eventID: String, event: EventName, seq: Int, at: WallTime, actor: String, workspace: String, subject: String
    ) {
        self.eventID = eventID
        self.event = event
        self.seq = seq
        self.at = at
        self.actor = actor
        self.workspace = workspace
        self.subject = subject
    }
}

extension Event: WireReadable, WireWritable {
    /// Reads an event.
    public init(from reader: inout JSONReader) throws(WireError) {
        let before = reader
        self.init(
            eventID: "", event: .requestRefused, seq: 0, at: WallTime(milliseconds: 0), actor: "", workspace: "",
            subject: "")
        try reader.beginObject()
        while let key = reader.nextKey() {
            if key == "data" {
                data = reader.raw()
                continue
            }
            if reader.takeNull() { continue }
            switch key {
            case "event_id": eventID = try reader.string(limit: 512)
            case "event": event = try reader.word()
            case "seq": seq = try reader.int()
            case "at": at = try reader.instant()
            case "actor": actor = try reader.string(limit: Limits.key)
            case "workspace": workspace = try reader.string(limit: Limits.key)
            case "subject": subject = try reader.string(limit: Limits.key)
            case "correlation_id": correlationID = try reader.string(limit: Limits.key)
            case "causation_id": causationID = try reader.string(limit: Limits.key)
            default: reader.skip()
            }
        }
        if eventID.isEmpty { throw before.refused("an event needs event_id, event, at") }
    }

    /// Writes the event.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("event_id", eventID)
            $0.field("event", event)
            $0.field("seq", seq)
            $0.field("at", at)
            $0.field("actor", actor)
            $0.field("workspace", workspace)
            $0.field("subject", subject)
            $0.field("correlation_id", correlationID)
            $0.field("causation_id", causationID)
            $0.field("data", data)
        }
    }
}

/// An alert (`topics/events.md`, alerts); retained on `alert/K` until it is resolved, then cleared.
public struct Alert: Hashable, Sendable {
    /// How grave.
    public var severity: Severity
    /// Since when.
    public var since: WallTime
    /// What, for people.
    public var text: String
    /// How often.
    public var count: Int?

    /// An alert.
    public init(severity: Severity, since: WallTime, text: String, count: Int? = nil) {
        self.severity = severity
        self.since = since
        self.text = text
        self.count = count
    }
}

extension Alert: WireReadable, WireWritable {
    /// Reads an alert.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(severity: .warning, since: WallTime(milliseconds: 0), text: "")
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "severity": severity = try reader.word()
            case "since": since = try reader.instant()
            case "text": text = try reader.string(limit: Limits.text)
            case "count": count = try reader.int()
            default: reader.skip()
            }
        }
    }

    /// Writes the alert.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("severity", severity)
            $0.field("since", since)
            $0.field("text", text)
            $0.field("count", count)
        }
    }
}

/// A service's own record (`topics/broker.md`, services); retained on `_sys/martlet1/service/NAME/INSTANCE`, also its
/// Will.
public struct ServiceRecord: Hashable, Sendable {
    /// Whether it is there.
    public var state: State
    /// Its version.
    public var version: String
    /// One more with each start from the same journal; who finds a greater one stops.
    public var term: Int
    /// Random per process start.
    public var boot: String
    /// When it started.
    public var since: WallTime
    /// Rises with each publication of a boot; a scheduler and a heartbeat wait for their own to come back.
    public var rev: Int?
    /// Limits that clients may want to know, in their units.
    public var limits: RawJSON?
    /// Optional behaviour that is on.
    public var features: [String]
    /// Version of the zone data, of services that use one.
    public var tzdb: String?
    /// The workspaces it serves, when it is a cell; empty: all.
    public var workspaces: [String] = []
    /// Why it is down.
    public var reason: String?

    /// Up or down.
    public enum State: String, CaseIterable, Hashable, Sendable {
        /// Both.
        case up, down
    }

    /// A record.
    public init(state: State, version: String, term: Int, boot: String, since: WallTime) {
        self.state = state
        self.version = version
        self.term = term
        self.boot = boot
        self.since = since
        features = []
    }
}

extension ServiceRecord: WireReadable, WireWritable {
    /// Reads a record.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(state: .down, version: "", term: 0, boot: "", since: WallTime(milliseconds: 0))
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "state": state = try reader.word()
            case "version": version = try reader.string(limit: Limits.key)
            case "term": term = try reader.int(in: 0...JSONLimits.largestInteger)
            case "boot": boot = try reader.name()
            case "since": since = try reader.instant()
            case "rev": rev = try reader.int(in: 0...JSONLimits.largestInteger)
            case "limits": limits = reader.raw()
            case "features": features = try reader.strings(limit: Limits.key, count: Limits.labels)
            case "workspaces": workspaces = try reader.names(count: Limits.page)
            case "tzdb": tzdb = try reader.string(limit: Limits.key)
            case "reason": reason = try reader.string(limit: Limits.text)
            default: reader.skip()
            }
        }
    }

    /// Writes the record.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("state", state)
            $0.field("version", version)
            $0.field("term", term)
            $0.field("boot", boot)
            $0.field("since", since)
            $0.field("rev", rev)
            $0.field("limits", limits)
            $0.field("features", features)
            if !workspaces.isEmpty { $0.field("workspaces", workspaces) }
            $0.field("tzdb", tzdb)
            $0.field("reason", reason)
        }
    }
}
