public import TimeModel
public import Wire

/// By what statistics and costs are split (`topics/history.md`, statistics).
public enum HistoryDimension: String, CaseIterable, Hashable, Sendable {
    /// Not at all: one element for everything.
    case workspace
    /// By what was run.
    case capability
    /// By who decided the result.
    case executor
    /// By the executor's type.
    case type
    /// By the capability's kind.
    case kind
    /// By who asked.
    case principal
    /// By the day of the end, UTC.
    case day
}

/// The fields of the `history` commands (`topics/commands.md`, history). An empty payload is `{}`.
public struct HistoryCommand: Hashable, Sendable {
    /// Only records of this kind.
    public var record: RecordKind?
    /// Only those about this task, schedule, check, executor or service.
    public var subject: String?
    /// Only of this capability.
    public var capability: String?
    /// Only of this executor.
    public var executor: String?
    /// Only of this type of executor, or from this service.
    public var type: String?
    /// Only of this principal.
    public var principal: String?
    /// Only with this status.
    public var status: String?
    /// Only with this code, or this event.
    public var code: String?
    /// Only with this `context.user_id`.
    public var user: String?
    /// Only with this `context.request_id`.
    public var request: String?
    /// Not before.
    public var from: WallTime?
    /// Not after.
    public var to: WallTime?
    /// With the messages themselves.
    public var bodies: Bool?
    /// `stats`, `cost`: by what to split.
    public var by: HistoryDimension?
    /// Elements per page.
    public var limit: Int?
    /// Where the page before ended.
    public var after: String?

    /// A command without fields.
    public init() {}
}

extension HistoryCommand: WireReadable, WireWritable {
    /// Reads the fields.
    public init(from reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            try read(key, &reader)
        }
    }

    private mutating func read(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "record": record = try reader.word()
        case "subject": subject = try reader.string(limit: Limits.key)
        case "capability": capability = try reader.name()
        case "executor": executor = try reader.name()
        case "type": type = try reader.string(limit: Limits.key)
        case "principal": principal = try reader.name()
        case "status": status = try reader.name()
        case "code": code = try reader.name()
        case "user": user = try reader.string(limit: Limits.key)
        case "request": request = try reader.string(limit: Limits.key)
        case "from": from = try reader.instant()
        case "to": to = try reader.instant()
        case "bodies": bodies = try reader.bool()
        case "by": by = try reader.word()
        case "limit": limit = try reader.int(in: 1...Limits.page)
        case "after": after = try HistoryCommand.cursor(&reader)
        default: reader.skip()
        }
    }

    /// A cursor is a record's number as text.
    private static func cursor(_ reader: inout JSONReader) throws(WireError) -> String {
        let before = reader
        let text = try reader.string(limit: 16)
        guard let number = Int(text), number >= 0 else { throw before.refused("expected the after of an earlier page") }
        return text
    }

    /// Writes the fields.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("record", record)
            $0.field("subject", subject)
            $0.field("capability", capability)
            $0.field("executor", executor)
            $0.field("type", type)
            $0.field("principal", principal)
            $0.field("status", status)
            $0.field("code", code)
            $0.field("user", user)
            $0.field("request", request)
            $0.field("from", from)
            $0.field("to", to)
            $0.field("bodies", bodies)
            $0.field("by", by)
            $0.field("limit", limit)
            $0.field("after", after)
        }
    }
}

/// Percentiles of one latency, in ms: whole numbers, at most a sixteenth too high.
public struct Percentiles: Hashable, Sendable {
    /// Half, 95 and 99 of 100 took at most this.
    public var p50 = 0, p95 = 0, p99 = 0
    /// The longest.
    public var max = 0

    /// Nothing measured.
    public init() {}
}

extension Percentiles: WireReadable, WireWritable {
    /// Reads the percentiles.
    public init(from reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "p50_ms": p50 = try reader.int()
            case "p95_ms": p95 = try reader.int()
            case "p99_ms": p99 = try reader.int()
            case "max_ms": max = try reader.int()
            default: reader.skip()
            }
        }
    }

    /// Writes the percentiles.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("p50_ms", p50)
            $0.field("p95_ms", p95)
            $0.field("p99_ms", p99)
            $0.field("max_ms", max)
        }
    }
}

/// Numbers about the results of one capability, executor, type or workspace (`topics/history.md`, statistics): an
/// element of `history/stats` and the retained `summary/BY/NAME`.
public struct HistorySummary: Hashable, Sendable {
    /// What they are about.
    public var name: String?
    /// Results counted.
    public var count = 0
    /// Of these, by status, in the order of the statuses.
    public var statuses = [Int](repeating: 0, count: Status.allCases.count)
    /// Thousandths of success among success, failed and timeout; absent when there is none of them.
    public var successPermille: Int?
    /// From acceptance to the first start.
    public var queued = Percentiles()
    /// What the deciding attempt took.
    public var run = Percentiles()
    /// What deciding attempts cost, in micro-units.
    public var cost = 0
    /// What other attempts cost.
    public var wastedCost = 0
    /// Tokens used.
    public var tokens = 0
    /// Of a view: the span it tells of, in ms.
    public var windowMs: Int?
    /// Of a view: rises.
    public var rev: Int?

    /// Nothing counted.
    public init() {}
}

extension HistorySummary: WireReadable, WireWritable {
    /// Reads the numbers.
    public init(from reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            if let at = Status.allCases.firstIndex(where: { $0.rawValue == key }) {
                statuses[at] = try reader.int(in: 0...JSONLimits.largestInteger)
                continue
            }
            try read(key, &reader)
        }
    }

    private mutating func read(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "name": name = try reader.string(limit: Limits.key)
        case "count": count = try reader.int(in: 0...JSONLimits.largestInteger)
        case "success_permille": successPermille = try reader.int(in: 0...1000)
        case "queued": queued = try Percentiles(from: &reader)
        case "run": run = try Percentiles(from: &reader)
        case "cost": cost = try reader.int(in: 0...JSONLimits.largestInteger)
        case "wasted_cost": wastedCost = try reader.int(in: 0...JSONLimits.largestInteger)
        case "tokens": tokens = try reader.int(in: 0...JSONLimits.largestInteger)
        case "window_ms": windowMs = try reader.milliseconds()
        case "rev": rev = try reader.int(in: 0...JSONLimits.largestInteger)
        default: reader.skip()
        }
    }

    /// Writes the numbers.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("name", name)
            $0.field("count", count)
            for (status, number) in zip(Status.allCases, statuses) {
                $0.field(named: status.rawValue) { $0.value(number) }
            }
            $0.field("success_permille", successPermille)
            $0.field("queued", queued)
            $0.field("run", run)
            $0.field("cost", cost)
            $0.field("wasted_cost", wastedCost)
            $0.field("tokens", tokens)
            $0.field("window_ms", windowMs)
            $0.field("rev", rev)
        }
    }
}

extension Limits {
    /// Records that one question of the history looks at before it answers with a cursor.
    public static let historyScan = 200_000
    /// Records of one segment of the history.
    public static let segmentRecords = 32_768
    /// Bytes of one segment of the history.
    public static let segmentBytes = 32 * 1024 * 1024
    /// Newest records among which a copy of a message is recognised.
    public static let historyDigests = 131_072
    /// Groups of which rolling numbers are kept.
    public static let summaryGroups = 1000
    /// Records that `history/get` gives.
    public static let historyOfOne = 100
}
