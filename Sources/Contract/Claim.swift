public import Wire

/// "Give me one" (`topics/executors.md`, claim), on `claim/E/SLOT`. An empty payload is `{}`.
public struct Claim: Hashable, Sendable {
    /// Rises with each new claim of the slot; the same again gets the same answer.
    public var seq: Int?
    /// The executor's boot; without it no `at_most_once` task is given.
    public var boot: String?
    /// What it takes; needed from an executor without a card.
    public var capabilities: [String]?
    /// How long the dispatcher may keep the claim until there is something, in ms.
    public var waitMs: Int?
    /// The lease it wants, in ms.
    public var leaseMs: Int?

    /// A claim for anything.
    public init() {}
}

extension Claim: WireReadable, WireWritable {
    /// Reads a claim.
    public init(from reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "seq": seq = try reader.int(in: 0...JSONLimits.largestInteger)
            case "boot": boot = try reader.name()
            case "capabilities": capabilities = try reader.names(count: Limits.cardCapabilities)
            case "wait_ms": waitMs = try reader.milliseconds(limit: Limits.claimMs)
            case "lease_ms": leaseMs = try reader.int(in: 1...Limits.claimMs)
            default: reader.skip()
            }
        }
    }

    /// Writes the claim.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("seq", seq)
            $0.field("boot", boot)
            if let capabilities { $0.field("capabilities", capabilities) }
            $0.field("wait_ms", waitMs)
            $0.field("lease_ms", leaseMs)
        }
    }
}

/// What an executor says of one attempt (`topics/executors.md`, reports), on `report/E/ID`.
public struct Report: Hashable, Sendable {
    /// What it says.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
        /// It begins.
        case accept
        /// It goes on.
        case progress
        /// It will not do it.
        case refuse
        /// It gives it back.
        case release
        /// It has ended.
        case outcome
    }

    /// Why an executor refuses.
    public enum Reason: String, CaseIterable, Hashable, Sendable {
        /// No free slot after all.
        case busy
        /// It cannot do this.
        case unsupported
        /// Its quota is used up.
        case quota
        /// It is asked too often.
        case rateLimited = "rate_limited"
    }

    /// How an attempt ended, as its executor sees it.
    public enum Outcome: String, CaseIterable, Hashable, Sendable {
        /// The three endings.
        case success, failed, canceled
    }

    /// The epoch of the assignment.
    public var epoch: Int
    /// What it says.
    public var type: Kind
    /// Whose task it is; needed only when ids of two principals could meet.
    public var principal: String?
    /// For an outcome: how it ended.
    public var status: Outcome?
    /// For an outcome: what came of it.
    public var output: RawJSON?
    /// For an outcome: why it failed.
    public var error: ErrorBody?
    /// For an outcome: what it used.
    public var usage: Usage?
    /// For an outcome: what it cost, in micro-units.
    public var cost: Int?
    /// For a refusal: why.
    public var reason: Reason?
    /// For a refusal: not before this many ms.
    public var retryAfterMs: Int?
    /// For a release: nothing has happened yet.
    public var safe: Bool?
    /// For progress: 0 to 100.
    public var percent: Int?
    /// For progress: a text.
    public var message: String?
    /// For progress and release: what the next attempt gets.
    public var checkpoint: RawJSON?

    /// A report.
    public init(_ type: Kind, epoch: Int) {
        self.type = type
        self.epoch = epoch
    }
}

extension Report: WireReadable, WireWritable {
    /// Reads a report.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(.accept, epoch: -1)
        let before = reader
        var type: Kind?
        try reader.beginObject()
        while let key = reader.nextKey() {
            if key == "output" {
                output = reader.raw()
            } else if reader.takeNull() {
                continue
            } else if key == "type" {
                type = try reader.word()
            } else {
                try read(key, &reader)
            }
        }
        guard let type, epoch >= 0 else {
            throw before.refused("a report needs epoch and type; an outcome a status, a refusal a reason")
        }
        self.type = type
        if type == .outcome && status == nil || type == .refuse && reason == nil {
            throw before.refused("a report needs epoch and type; an outcome a status, a refusal a reason")
        }
    }

    private mutating func read(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "epoch": epoch = try reader.int(in: 0...JSONLimits.largestInteger)
        case "principal": principal = try reader.name()
        case "status": status = try Report.outcome(&reader)
        case "error": error = try ErrorBody(from: &reader)
        case "usage": usage = try Usage(from: &reader)
        case "cost": cost = try reader.cost()
        case "reason": reason = try reader.word()
        case "retry_after_ms": retryAfterMs = try reader.milliseconds()
        case "safe": safe = try reader.bool()
        case "percent": percent = try reader.int(in: 0...100)
        case "message": message = try reader.string(limit: Limits.text)
        case "checkpoint": checkpoint = reader.raw()
        default: reader.skip()
        }
    }

    private static func outcome(_ reader: inout JSONReader) throws(WireError) -> Outcome {
        let before = reader
        let word = try reader.string(limit: 16)
        guard let outcome = Outcome(rawValue: word == "cancelled" ? "canceled" : word) else {
            throw before.refused("must be one of success, failed, canceled")
        }
        return outcome
    }

    /// Writes the report.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("epoch", epoch)
            $0.field("type", type)
            $0.field("principal", principal)
            $0.field("status", status)
            $0.field("output", output)
            $0.field("error", error)
            $0.field("usage", usage)
            $0.field("cost", cost)
            $0.field("reason", reason)
            $0.field("retry_after_ms", retryAfterMs)
            $0.field("safe", safe)
            $0.field("percent", percent)
            $0.field("message", message)
            $0.field("checkpoint", checkpoint)
        }
    }
}
