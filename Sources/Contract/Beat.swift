public import Wire

/// Task and epoch, as `["order-7", 12]`. Ids of two principals may be equal; the epoch tells them apart.
public struct LeasePair: Hashable, Sendable {
    /// The task's id.
    public var task: String
    /// The epoch.
    public var epoch: Int

    /// A pair.
    public init(_ task: String, _ epoch: Int) {
        self.task = task
        self.epoch = epoch
    }
}

extension LeasePair: WireReadable, WireWritable {
    /// Reads a pair.
    public init(from reader: inout JSONReader) throws(WireError) {
        let before = reader
        try reader.beginArray()
        guard reader.nextElement() else { throw before.refused("expected [task, epoch]") }
        task = try reader.id()
        guard reader.nextElement() else { throw before.refused("expected [task, epoch]") }
        epoch = try reader.int(in: 0...JSONLimits.largestInteger)
        if reader.nextElement() { throw before.refused("expected [task, epoch]") }
    }

    /// Writes the pair.
    public func write(to writer: inout JSONWriter) {
        writer.beginArray()
        writer.value(task)
        writer.value(epoch)
        writer.endArray()
    }
}

/// Sign of life (`topics/executors.md`, beats), on `beat/E`.
public struct Beat: Hashable, Sendable {
    /// The executor's boot.
    public var boot: String
    /// Rises by one with each beat.
    public var seq: Int
    /// Slots it could fill now.
    public var freeSlots: Int?
    /// What it runs.
    public var leases: [LeasePair]?
    /// Outcomes it has sent and that nobody confirmed.
    public var unconfirmed: [LeasePair]?
    /// How busy it is, in percent.
    public var load: Int?
    /// Battery in percent.
    public var battery: Int?

    /// A beat.
    public init(boot: String, seq: Int) {
        self.boot = boot
        self.seq = seq
    }
}

extension Beat: WireReadable, WireWritable {
    /// Reads a beat.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(boot: "", seq: 0)
        let before = reader
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "boot": boot = try reader.name()
            case "seq": seq = try reader.int(in: 0...JSONLimits.largestInteger)
            case "free_slots": freeSlots = try reader.int(in: 0...Limits.slots)
            case "leases": leases = try reader.list(count: Limits.beatPairs)
            case "unconfirmed": unconfirmed = try reader.list(count: Limits.beatPairs)
            case "load": load = try reader.int(in: 0...1_000_000)
            case "battery": battery = try reader.int(in: 0...100)
            default: reader.skip()
            }
        }
        if boot.isEmpty { throw before.refused("a beat needs boot") }
    }

    /// Writes the beat.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("boot", boot)
            $0.field("seq", seq)
            $0.field("free_slots", freeSlots)
            if let leases { $0.field("leases", leases) }
            if let unconfirmed { $0.field("unconfirmed", unconfirmed) }
            $0.field("load", load)
            $0.field("battery", battery)
        }
    }
}

/// The answer to a beat, on `work/_/E`; without `seq` when no beat asked.
public struct BeatAck: Hashable, Sendable {
    /// The beat's number.
    public var seq: Int?
    /// Leases that are gone: stop this work.
    public var revoked: [LeasePair]
    /// Outcomes that are safe: forget them.
    public var confirmed: [LeasePair]
    /// Outcomes that never arrived and would still count: send them again.
    public var resend: [LeasePair]
    /// `not_found`: the dispatcher has no card of this executor.
    public var code: Code?

    /// An answer.
    public init(
        seq: Int? = nil, revoked: [LeasePair] = [], confirmed: [LeasePair] = [], resend: [LeasePair] = [],
        code: Code? = nil
    ) {
        self.seq = seq
        self.revoked = revoked
        self.confirmed = confirmed
        self.resend = resend
        self.code = code
    }

    func writeFields(to writer: inout JSONWriter) {
        writer.field("seq", seq)
        if !revoked.isEmpty { writer.field("revoked", revoked) }
        if !confirmed.isEmpty { writer.field("confirmed", confirmed) }
        if !resend.isEmpty { writer.field("resend", resend) }
        writer.field("code", code?.rawValue)
    }
}

extension BeatAck: WireReadable, WireWritable {
    /// Reads an answer.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init()
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "seq": seq = try reader.int(in: 0...JSONLimits.largestInteger)
            case "revoked": revoked = try reader.list(count: Limits.beatPairs)
            case "confirmed": confirmed = try reader.list(count: Limits.beatPairs)
            case "resend": resend = try reader.list(count: Limits.beatPairs)
            case "code": code = try reader.code()
            default: reader.skip()
            }
        }
    }

    /// Writes the answer's fields as an object.
    public func write(to writer: inout JSONWriter) { writer.object { writeFields(to: &$0) } }
}
