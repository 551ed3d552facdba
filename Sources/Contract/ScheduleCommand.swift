public import TimeModel
public import Wire

/// The fields of the `schedule` commands besides documents (`topics/commands.md`, schedule); each verb uses its own.
public struct ScheduleCommand: Hashable, Sendable {
    /// `delete`: only if the definition has this revision.
    public var ifRev: Int?
    /// `list`: how many.
    public var limit: Int?
    /// `list`: after which schedule.
    public var after: String?
    /// `pause`: why.
    public var note: String?
    /// `pause`: until when.
    public var until: WallTime?
    /// `resume`: run the latest slot that the pause swallowed.
    public var catchUp = false
    /// `trigger`, and `run` of checks: names the run.
    public var requestID: String?
    /// `get` of checks: how many runs of the log.
    public var history: Int?
    /// `get` of checks: only runs of the log with this status.
    public var status: CheckStatus?

    /// A command without fields.
    public init() {}
}

extension ScheduleCommand: WireReadable, WireWritable {
    /// Reads the fields, snake_case or camelCase.
    public init(from reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "if_rev", "ifRev": ifRev = try reader.int(in: 0...JSONLimits.largestInteger)
            case "limit": limit = try reader.int(in: 1...Limits.page)
            case "after": after = try reader.string(limit: Limits.key)
            case "note": note = try reader.string(limit: Limits.scheduleNote)
            case "until": until = try ScheduleCommand.instant(&reader)
            case "catch_up", "catchUp": catchUp = try reader.bool()
            case "request_id", "requestId": requestID = try ScheduleCommand.request(&reader)
            case "history": history = try reader.int(in: 0...Limits.checkLog)
            case "status": status = try reader.word()
            default: reader.skip()
            }
        }
    }

    private static func instant(_ reader: inout JSONReader) throws(WireError) -> WallTime {
        guard reader.kind == .number else { return try reader.instant() }
        return WallTime(milliseconds: try reader.int(in: 100_000_000_000...WallTime.latestText.milliseconds))
    }

    private static func request(_ reader: inout JSONReader) throws(WireError) -> String {
        let before = reader
        let text = try reader.name()
        guard text.utf8.count <= Limits.requestID, !text.contains("~") else {
            throw before.refused("expected a name without '~' of at most \(Limits.requestID) bytes")
        }
        return text
    }

    /// Writes the fields.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("if_rev", ifRev)
            $0.field("limit", limit)
            $0.field("after", after)
            $0.field("note", note)
            $0.field("until", until)
            if catchUp { $0.field("catch_up", true) }
            $0.field("request_id", requestID)
            $0.field("history", history)
            $0.field("status", status)
        }
    }
}
