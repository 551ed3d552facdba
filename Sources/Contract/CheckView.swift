public import TimeModel
public import Wire

/// One run of a check, as its log tells (`topics/checks.md`, the log).
public struct CheckRun: Hashable, Sendable {
    /// Its id.
    public var run: String
    /// When it began.
    public var ranAt: WallTime
    /// What came out, thresholds included.
    public var status: CheckStatus
    /// What was said; at most 512 bytes.
    public var message: String?
    /// What it took, in ms.
    public var durationMs: Int?
    /// Why there was no output.
    public var code: Code?

    /// A run.
    public init(run: String, ranAt: WallTime, status: CheckStatus) {
        self.run = run
        self.ranAt = ranAt
        self.status = status
    }
}

extension CheckRun: WireReadable, WireWritable {
    /// Reads a run.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(run: "", ranAt: WallTime(milliseconds: 0), status: .ok)
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "run": run = try reader.id()
            case "ran_at": ranAt = try reader.instant()
            case "status": status = try reader.word()
            case "message": message = try reader.string(limit: Limits.text)
            case "duration_ms": durationMs = try reader.int()
            case "code": code = try reader.code()
            default: reader.skip()
            }
        }
    }

    /// Writes the run.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("run", run)
            $0.field("ran_at", ranAt)
            $0.field("status", status)
            $0.field("message", message)
            $0.field("duration_ms", durationMs)
            $0.field("code", code?.rawValue)
        }
    }
}

/// What a check's view has beyond a schedule's.
public struct CheckHealth: Hashable, Sendable {
    /// The status after hysteresis; absent until there is one.
    public var status: CheckStatus?
    /// Since when.
    public var since: WallTime?
    /// The last run with a result.
    public var last: CheckRun?
    /// Results in a row that were not `ok`.
    public var consecutiveFailures = 0

    /// Nothing is known.
    public init() {}

    /// Takes one field of the view; `false` when it is none of these.
    mutating func read(_ key: String, _ reader: inout JSONReader) throws(WireError) -> Bool {
        switch key {
        case "status": status = try reader.word()
        case "since": since = try reader.instant()
        case "last": last = try CheckRun(from: &reader)
        case "consecutive_failures": consecutiveFailures = try reader.int()
        default: return false
        }
        return true
    }

    /// Writes the fields without braces.
    func writeFields(to writer: inout JSONWriter) {
        writer.field("status", status.map { word in RawJSON { $0.value(word.rawValue) } } ?? .null)
        writer.field("since", since.map { time in RawJSON { $0.value(time.rfc3339) } } ?? .null)
        writer.field("last", last?.raw ?? .null)
        writer.field("consecutive_failures", consecutiveFailures)
    }
}
