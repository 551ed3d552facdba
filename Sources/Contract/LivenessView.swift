public import TimeModel
public import Wire

/// Why a verdict holds (`topics/checks.md`, liveness); absent with `ready` and `unknown`.
public enum VerdictReason: String, CaseIterable, Hashable, Sendable {
    /// Its own status says so.
    case status
    /// The broker published its Will.
    case lost
    /// Nothing was heard of it for too long.
    case silence
    /// A check that speaks for it is in `error`.
    case check
    /// Its battery is low.
    case battery
    /// All its slots are taken.
    case slots
    /// It holds leases.
    case leases
}

/// The verdict on an executor (`topics/checks.md`, liveness); retained on `liveness/E`.
public struct LivenessView: Hashable, Sendable {
    /// Rises with each publication.
    public var rev = 0
    /// The verdict.
    public var verdict: Verdict
    /// Why.
    public var reason: VerdictReason?
    /// Since when it holds, as far as this heartbeat knows.
    public var since: WallTime?
    /// The boot it speaks of.
    public var boot: String?
    /// What the executor says of itself.
    public var status: ExecutorState?
    /// When it was heard last, as of this publication.
    public var lastSeen: WallTime?
    /// Slots it could fill, by its last beat.
    public var freeSlots: Int?
    /// Leases it holds, by its last beat.
    public var leases: Int?
    /// Whether its checks rest now.
    public var atRest = false
    /// By how much limits of silence were widened for heartbeat's own slowness, in ms, as of this publication.
    public var widenedMs: Int?

    /// A verdict.
    public init(verdict: Verdict, boot: String?) {
        self.verdict = verdict
        self.boot = boot
    }
}

extension LivenessView: WireReadable, WireWritable {
    /// Reads a verdict.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(verdict: .unknown, boot: nil)
        let missing = reader.refused("a liveness view needs a verdict")
        var isGiven = false
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "rev": rev = try reader.int(in: 0...JSONLimits.largestInteger)
            case "verdict":
                verdict = try reader.word()
                isGiven = true
            case "reason": reason = try reader.word()
            case "since": since = try reader.instant()
            case "boot": boot = try reader.name()
            case "status": status = try reader.word()
            default: try readMeasure(key, &reader)
            }
        }
        guard isGiven else { throw missing }
    }

    private mutating func readMeasure(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "last_seen": lastSeen = try reader.instant()
        case "free_slots": freeSlots = try reader.int(in: 0...Limits.slots)
        case "leases": leases = try reader.int(in: 0...Limits.beatPairs)
        case "at_rest": atRest = try reader.bool()
        case "widened_ms": widenedMs = try reader.milliseconds()
        default: reader.skip()
        }
    }

    /// Writes the verdict.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("rev", rev)
            $0.field("verdict", verdict)
            $0.field("reason", reason)
            $0.field("since", since)
            $0.field("boot", boot)
            $0.field("status", status)
            $0.field("last_seen", lastSeen)
            $0.field("free_slots", freeSlots)
            $0.field("leases", leases)
            $0.field("at_rest", atRest)
            $0.field("widened_ms", widenedMs)
        }
    }
}
