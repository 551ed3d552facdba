public import Wire

/// One task with the right to run it (`topics/executors.md`, assign): sent as `assign`, or as the answer to a claim.
public struct Assignment: Hashable, Sendable {
    /// The task's id, unique for its principal.
    public var task: String
    /// The fencing number: every report must carry it.
    public var epoch: Int
    /// The dispatcher's own fencing number, one more with each of its starts.
    public var term: Int
    /// 1 for the first attempt.
    public var attempt: Int
    /// What is to be run.
    public var capability: String
    /// Which action of it.
    public var action: String?
    /// What it gets; absent: `{}`.
    public var input: RawJSON?
    /// How long the lease lasts without renewal, in ms.
    public var leaseMs: Int
    /// How long the attempt may take, in ms.
    public var timeoutMs: Int
    /// How soon it must be accepted, in ms; absent in a grant.
    public var acceptMs: Int?
    /// What an earlier attempt left.
    public var checkpoint: RawJSON?
    /// The caller's own names.
    public var context: Context?
    /// W3C trace context.
    public var traceparent: String?
    /// Whose task it is.
    public var principal: String
    /// The boot it is meant for; absent for an executor without a card.
    public var boot: String?
    /// Absent: `at_least_once`.
    public var delivery: Delivery?

    /// An assignment with what every one has.
    public init(task: String, epoch: Int, term: Int, attempt: Int, capability: String, principal: String) {
        self.task = task
        self.epoch = epoch
        self.term = term
        self.attempt = attempt
        self.capability = capability
        self.principal = principal
        leaseMs = 0
        timeoutMs = 0
    }

    fileprivate mutating func read(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "task": task = try reader.id()
        case "epoch": epoch = try reader.int(in: 0...JSONLimits.largestInteger)
        case "term": term = try reader.int(in: 0...JSONLimits.largestInteger)
        case "attempt": attempt = try reader.int()
        case "capability": capability = try reader.name()
        case "action": action = try reader.string(limit: Limits.key)
        case "input": input = reader.raw()
        case "lease_ms": leaseMs = try reader.milliseconds()
        case "timeout_ms": timeoutMs = try reader.milliseconds()
        case "accept_ms": acceptMs = try reader.milliseconds()
        case "checkpoint": checkpoint = reader.raw()
        case "context": context = try Context(from: &reader)
        case "traceparent": traceparent = try reader.string(limit: Limits.key)
        case "principal": principal = try reader.name()
        case "boot": boot = try reader.name()
        case "delivery": delivery = try reader.word()
        default: reader.skip()
        }
    }

    fileprivate func writeFields(to writer: inout JSONWriter) {
        writer.field("task", task)
        writer.field("epoch", epoch)
        writer.field("term", term)
        writer.field("attempt", attempt)
        writer.field("capability", capability)
        writer.field("action", action)
        writer.field("input", input)
        writer.field("lease_ms", leaseMs)
        writer.field("timeout_ms", timeoutMs)
        writer.field("accept_ms", acceptMs)
        writer.field("checkpoint", checkpoint)
        writer.field("context", context)
        writer.field("traceparent", traceparent)
        writer.field("principal", principal)
        writer.field("boot", boot)
        writer.field("delivery", delivery)
    }
}

extension Assignment: WireReadable, WireWritable {
    /// Reads an assignment.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(task: "", epoch: 0, term: 0, attempt: 0, capability: "", principal: "")
        let before = reader
        try reader.beginObject()
        while let key = reader.nextKey() {
            if key != "input", key != "checkpoint", reader.takeNull() { continue }
            try read(key, &reader)
        }
        if task.isEmpty || capability.isEmpty {
            throw before.refused("an assignment needs task, epoch, term and capability")
        }
    }

    /// Writes the assignment.
    public func write(to writer: inout JSONWriter) { writer.object { writeFields(to: &$0) } }
}

/// One attempt, named by whose task it is, which, and the epoch.
public struct AttemptName: Hashable, Sendable {
    /// Whose task it is.
    public var principal: String
    /// The task's id.
    public var task: String
    /// The epoch.
    public var epoch: Int
    /// The dispatcher's term.
    public var term: Int

    /// A name.
    public init(principal: String, task: String, epoch: Int, term: Int) {
        self.principal = principal
        self.task = task
        self.epoch = epoch
        self.term = term
    }

    fileprivate mutating func read(_ key: String, _ reader: inout JSONReader) throws(WireError) -> Bool {
        switch key {
        case "principal": principal = try reader.name()
        case "task": task = try reader.id()
        case "epoch": epoch = try reader.int(in: 0...JSONLimits.largestInteger)
        case "term": term = try reader.int(in: 0...JSONLimits.largestInteger)
        default: return false
        }
        return true
    }

    fileprivate func writeFields(to writer: inout JSONWriter) {
        writer.field("principal", principal)
        writer.field("task", task)
        writer.field("epoch", epoch)
        writer.field("term", term)
    }
}

/// What the dispatcher sends to one executor on `work/C/E` (`topics/executors.md`, work).
public enum WorkMessage: Hashable, Sendable {
    /// Run this.
    case assign(Assignment)
    /// Stop it and say how it ended, within `graceMs`.
    case cancel(AttemptName, graceMs: Int, reason: String?)
    /// The right to run it is gone; stop, say nothing more of it.
    case revoke(AttemptName, code: Code)
    /// Take up a capability; the command's payload.
    case load(RawJSON)
    /// Give a capability up; the command's payload.
    case unload(RawJSON)
    /// Answer to a beat.
    case beatAck(BeatAck)
    /// A message of the executor was refused.
    case error(ErrorBody, task: String?)

    /// The words of `type`.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
        /// The kinds of work messages.
        case assign, cancel, revoke, load, unload
        /// The answer to a beat.
        case beatAck = "beat_ack"
        /// A refusal.
        case error
    }

    /// Its kind.
    public var kind: Kind {
        switch self {
        case .assign: .assign
        case .cancel: .cancel
        case .revoke: .revoke
        case .load: .load
        case .unload: .unload
        case .beatAck: .beatAck
        case .error: .error
        }
    }
}

extension WorkMessage: WireReadable, WireWritable {
    /// Reads a work message.
    public init(from reader: inout JSONReader) throws(WireError) {
        var first = reader
        let before = reader
        var kind: Kind?
        try first.beginObject()
        while let key = first.nextKey() {
            if key == "type" { kind = try first.word() } else { first.skip() }
        }
        guard let kind else { throw before.refused("a work message needs a type") }
        switch kind {
        case .assign: self = .assign(try Assignment(from: &reader))
        case .cancel, .revoke: self = try WorkMessage.ending(kind, &reader)
        case .load: self = .load(try WorkMessage.payload(&reader))
        case .unload: self = .unload(try WorkMessage.payload(&reader))
        case .beatAck: self = .beatAck(try BeatAck(from: &reader))
        case .error:
            var inner = reader
            var task: String?
            try inner.beginObject()
            while let key = inner.nextKey() {
                if key == "task" { task = try inner.id() } else { inner.skip() }
            }
            self = .error(try ErrorBody(from: &reader), task: task)
        }
    }

    private static func ending(_ kind: Kind, _ reader: inout JSONReader) throws(WireError) -> WorkMessage {
        var name = AttemptName(principal: "", task: "", epoch: 0, term: 0)
        var graceMs = Defaults.cancelGraceMs
        var reason: String?
        var code = Code.staleEpoch
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            if try name.read(key, &reader) { continue }
            switch key {
            case "grace_ms": graceMs = try reader.milliseconds()
            case "reason": reason = try reader.string(limit: Limits.text)
            case "code": code = try reader.code()
            default: reader.skip()
            }
        }
        return kind == .cancel ? .cancel(name, graceMs: graceMs, reason: reason) : .revoke(name, code: code)
    }

    private static func payload(_ reader: inout JSONReader) throws(WireError) -> RawJSON {
        var payload = RawJSON.emptyObject
        try reader.beginObject()
        while let key = reader.nextKey() {
            if key == "payload" { payload = reader.raw() } else { reader.skip() }
        }
        return payload
    }

    /// Writes the message.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("type", kind)
            switch self {
            case .assign(let assignment): assignment.writeFields(to: &$0)
            case .cancel(let name, let graceMs, let reason):
                name.writeFields(to: &$0)
                $0.field("grace_ms", graceMs)
                $0.field("reason", reason)
            case .revoke(let name, let code):
                name.writeFields(to: &$0)
                $0.field("code", code.rawValue)
            case .load(let payload), .unload(let payload): $0.field("payload", payload)
            case .beatAck(let ack): ack.writeFields(to: &$0)
            case .error(let error, let task):
                $0.field("code", error.code.rawValue)
                $0.field("message", error.message)
                $0.field("task", task)
            }
        }
    }
}

/// The answer to a claim (`topics/executors.md`, grant).
public enum Grant: Hashable, Sendable {
    /// A task, already leased.
    case task(Assignment)
    /// None; ask again after this many ms. `code` says why when it is not just that nothing waits.
    case none(retryAfterMs: Int, code: Code?)
}

extension Grant: WireReadable, WireWritable {
    /// Reads a grant.
    public init(from reader: inout JSONReader) throws(WireError) {
        var inner = reader
        var isNone = false
        var retryAfterMs = Defaults.claimRetryMs
        var code: Code?
        try inner.beginObject()
        while let key = inner.nextKey() {
            switch key {
            case "none": isNone = try inner.bool()
            case "retry_after_ms": retryAfterMs = try inner.milliseconds()
            case "code": code = try inner.code()
            default: inner.skip()
            }
        }
        if isNone {
            reader.skip()
            self = .none(retryAfterMs: retryAfterMs, code: code)
        } else {
            self = .task(try Assignment(from: &reader))
        }
    }

    /// Writes the grant.
    public func write(to writer: inout JSONWriter) {
        switch self {
        case .task(let assignment):
            writer.object {
                $0.field("type", WorkMessage.Kind.assign)
                assignment.writeFields(to: &$0)
            }
        case .none(let retryAfterMs, let code):
            writer.object {
                $0.field("none", true)
                $0.field("retry_after_ms", retryAfterMs)
                $0.field("code", code?.rawValue)
            }
        }
    }
}
