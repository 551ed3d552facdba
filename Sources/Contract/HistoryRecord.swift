public import TimeModel
public import Wire

/// What a record of the history tells of (`topics/history.md`, records).
public enum RecordKind: String, CaseIterable, Hashable, Sendable {
    /// The one terminal answer to an intent.
    case result
    /// A dead letter.
    case dead
    /// An audit event.
    case event
    /// A run of a health check.
    case check
    /// A record of a plan's execution log.
    case log
    /// A service's numbers.
    case metric
    /// Something that was missed, as far as it is known.
    case gap
}

/// One record of the history (`topics/history.md`, records): what stands in its lines and in replies.
public struct HistoryRecord: Hashable, Sendable {
    /// Its number: rises by one, never used again.
    public var number = 0
    /// When what it tells of happened.
    public var at: WallTime
    /// What it tells of.
    public var record: RecordKind
    /// Whose it is; `_sys` for what belongs to the services.
    public var workspace: String
    /// Who got the result, or caused the event.
    public var principal: String?
    /// What was run.
    public var capability: String?
    /// What it is about: a task, schedule, check, executor, service.
    public var subject: String
    /// Who decided the result, or whom the event concerns.
    public var executor: String?
    /// The executor's type, from its card; of what a service published, the service.
    public var type: String?
    /// The capability's kind, from the executor's card.
    public var kind: String?
    /// How it ended.
    public var status: String?
    /// The error's code; of an event its name.
    public var code: String?
    /// `context.user_id`.
    public var user: String?
    /// `context.request_id`, or what the event belongs to.
    public var request: String?
    /// From acceptance to the first start, in ms.
    public var queuedMs: Int?
    /// What the deciding attempt took, in ms.
    public var durationMs: Int?
    /// What the deciding attempt cost, in micro-units.
    public var cost: Int?
    /// What the other attempts cost.
    public var wastedCost: Int?
    /// `usage.tokens_used`.
    public var tokens: Int?
    /// Whether the same result went to another principal before: it is not counted again.
    public var isCopy = false
    /// The message as it was sent.
    public var body: RawJSON?

    /// A record.
    public init(_ record: RecordKind, at: WallTime, workspace: String, subject: String) {
        self.record = record
        self.at = at
        self.workspace = workspace
        self.subject = subject
    }
}

extension HistoryRecord: WireReadable, WireWritable {
    /// Reads a record.
    public init(from reader: inout JSONReader) throws(WireError) {
        let before = reader
        self.init(.result, at: WallTime(milliseconds: 0), workspace: "", subject: "")
        try reader.beginObject()
        while let key = reader.nextKey() {
            if key == "body" {
                body = reader.raw()
                continue
            }
            if reader.takeNull() { continue }
            try read(key, &reader)
        }
        if workspace.isEmpty || subject.isEmpty { throw before.refused("a record needs workspace and subject") }
    }

    private mutating func read(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "n": number = try reader.int(in: 0...JSONLimits.largestInteger)
        case "at": at = try reader.instant()
        case "record": record = try reader.word()
        case "workspace": workspace = try reader.string(limit: Limits.key)
        case "principal": principal = try reader.string(limit: Limits.key)
        case "capability": capability = try reader.string(limit: Limits.key)
        case "subject": subject = try reader.string(limit: Limits.key)
        case "executor": executor = try reader.string(limit: Limits.key)
        case "type": type = try reader.string(limit: Limits.key)
        case "kind": kind = try reader.string(limit: Limits.key)
        case "status": status = try reader.string(limit: Limits.key)
        case "code": code = try reader.string(limit: Limits.key)
        case "user": user = try reader.string(limit: Limits.key)
        case "request": request = try reader.string(limit: Limits.key)
        default: try readNumber(key, &reader)
        }
    }

    private mutating func readNumber(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "queued_ms": queuedMs = try reader.int(in: 0...JSONLimits.largestInteger)
        case "duration_ms": durationMs = try reader.int(in: 0...JSONLimits.largestInteger)
        case "cost": cost = try reader.int(in: 0...JSONLimits.largestInteger)
        case "wasted_cost": wastedCost = try reader.int(in: 0...JSONLimits.largestInteger)
        case "tokens": tokens = try reader.int(in: 0...JSONLimits.largestInteger)
        case "copy": isCopy = try reader.bool()
        default: reader.skip()
        }
    }

    /// Writes the record.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            if number > 0 { $0.field("n", number) }
            $0.field("at", at)
            $0.field("record", record)
            $0.field("workspace", workspace)
            $0.field("principal", principal)
            $0.field("capability", capability)
            $0.field("subject", subject)
            $0.field("executor", executor)
            $0.field("type", type)
            $0.field("kind", kind)
            $0.field("status", status)
            $0.field("code", code)
            $0.field("user", user)
            $0.field("request", request)
            $0.field("queued_ms", queuedMs)
            $0.field("duration_ms", durationMs)
            $0.field("cost", cost)
            $0.field("wasted_cost", wastedCost)
            $0.field("tokens", tokens)
            if isCopy { $0.field("copy", true) }
            $0.field("body", body)
        }
    }
}

/// What a gap says (`topics/history.md`, gaps): the body of a record of that kind.
public struct HistoryGap: Hashable, Sendable {
    /// Why something is missing.
    public enum Reason: String, CaseIterable, Hashable, Sendable {
        /// The broker kept nothing for the monitor while it was away.
        case sessionLost = "session_lost"
        /// Numbers of events were left out.
        case eventsMissing = "events_missing"
        /// The disk took no records.
        case notWritten = "not_written"
    }

    /// Why something is missing.
    public var reason: Reason
    /// From when on.
    public var from: WallTime?
    /// Until when.
    public var to: WallTime?
    /// The first missing event number.
    public var first: Int?
    /// The last missing event number.
    public var last: Int?
    /// How many are missing, where that is known.
    public var count: Int?

    /// A gap.
    public init(_ reason: Reason) { self.reason = reason }
}

extension HistoryGap: WireReadable, WireWritable {
    /// Reads a gap.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(.sessionLost)
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "reason": reason = try reader.word()
            case "from": from = try reader.instant()
            case "to": to = try reader.instant()
            case "first": first = try reader.int()
            case "last": last = try reader.int()
            case "count": count = try reader.int()
            default: reader.skip()
            }
        }
    }

    /// Writes the gap.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("reason", reason)
            $0.field("from", from)
            $0.field("to", to)
            $0.field("first", first)
            $0.field("last", last)
            $0.field("count", count)
        }
    }
}
