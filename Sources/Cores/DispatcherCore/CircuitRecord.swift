import Contract
import TimeModel
import Wire

/// A circuit as the journal keeps it: times of the calendar, since the monotonic clock begins anew with each start.
struct CircuitRecord: Hashable, Sendable {
    /// One outcome of the window.
    struct Mark: Hashable, Sendable {
        /// When it came.
        var at: WallTime
        /// Whose it is.
        var executor: String
        /// Whether it was a failure.
        var failed: Bool
    }

    /// Closed, open or half open.
    var state: CircuitState
    /// Rises with each change of the state.
    var generation: Int
    /// Since when it is in this state.
    var since: WallTime
    /// When an open one becomes half open.
    var until: WallTime?
    /// Trips in a row.
    var trips = 0
    /// The last failure's code, or `quota`, or `forced`.
    var why: String?
    /// Failures in a row when it opened.
    var failures = 0
    /// Who holds it.
    var forcedBy: String?
    /// Until when it is held.
    var forcedUntil: WallTime?
    /// How long it was to be held, in ms; absent: until a reset, or not known.
    var forcedForMs: Int?
    /// Whether it ever left `closed`.
    var hasView = false
    /// Of the view that was published last.
    var rev = 0
    /// The window.
    var window: [Mark] = []

    /// A record of what every circuit has.
    init(state: CircuitState, generation: Int, since: WallTime) {
        self.state = state
        self.generation = generation
        self.since = since
    }
}

extension CircuitRecord: WireReadable, WireWritable {
    /// Reads a record.
    init(from reader: inout JSONReader) throws(WireError) {
        self.init(state: .closed, generation: 1, since: WallTime(milliseconds: 0))
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "state": state = try reader.word()
            case "generation": generation = try reader.int()
            case "since": since = WallTime(milliseconds: try reader.int())
            case "until": until = WallTime(milliseconds: try reader.int())
            case "trips": trips = try reader.int()
            case "why": why = try reader.string()
            case "failures": failures = try reader.int()
            case "forced_by": forcedBy = try reader.string()
            case "forced_until": forcedUntil = WallTime(milliseconds: try reader.int())
            case "forced_ms": forcedForMs = try reader.int()
            case "has_view": hasView = try reader.bool()
            case "rev": rev = try reader.int()
            case "window": window = try reader.list(count: Circuit.windowSize)
            default: reader.skip()
            }
        }
    }

    /// Writes the record.
    func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("state", state)
            $0.field("generation", generation)
            $0.field("since", since.milliseconds)
            $0.field("until", until?.milliseconds)
            $0.field("trips", trips)
            $0.field("why", why)
            $0.field("failures", failures)
            $0.field("forced_by", forcedBy)
            $0.field("forced_until", forcedUntil?.milliseconds)
            $0.field("forced_ms", forcedForMs)
            $0.field("has_view", hasView)
            $0.field("rev", rev)
            $0.field("window", window)
        }
    }
}

extension CircuitRecord.Mark: WireReadable, WireWritable {
    /// Reads `[at, failed, executor]`.
    init(from reader: inout JSONReader) throws(WireError) {
        let refusal = reader.refused("expected [at, failed, executor]")
        try reader.beginArray()
        guard reader.nextElement() else { throw refusal }
        at = WallTime(milliseconds: try reader.int())
        guard reader.nextElement() else { throw refusal }
        failed = try reader.bool()
        guard reader.nextElement() else { throw refusal }
        executor = try reader.string()
        guard !reader.nextElement() else { throw refusal }
    }

    /// Writes `[at, failed, executor]`.
    func write(to writer: inout JSONWriter) {
        writer.beginArray()
        writer.value(at.milliseconds)
        writer.value(failed)
        writer.value(executor)
        writer.endArray()
    }
}
