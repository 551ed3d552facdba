public import TimeModel
public import Wire

extension JSONReader {
    /// A name by the contract's grammar.
    public mutating func name() throws(WireError) -> String {
        let before = self
        let text = try string(limit: Names.idLimit)
        guard Names.isName(text) else {
            throw before.refused("expected a name: letters, digits, '.', '_', '~', '-', at most \(Names.limit) bytes")
        }
        return text
    }

    /// A task id by the contract's grammar.
    public mutating func id() throws(WireError) -> String {
        let before = self
        let text = try string(limit: Names.idLimit)
        guard Names.isID(text) else {
            throw before.refused("expected an id: letters, digits, '.', '_', '~', '-', at most \(Names.idLimit) bytes")
        }
        return text
    }

    /// A duration in ms, from 0 to `limit`.
    public mutating func milliseconds(limit: Int = Limits.longestMs) throws(WireError) -> Int { try int(in: 0...limit) }

    /// A point in time, RFC 3339.
    public mutating func instant() throws(WireError) -> WallTime {
        let before = self
        let text = try string(limit: 64)
        guard let time = WallTime(rfc3339: text) else {
            throw before.refused("expected a time such as 2026-11-20T09:00:00.000Z")
        }
        return time
    }

    /// A mode, aliases included.
    public mutating func mode() throws(WireError) -> Mode {
        let before = self
        guard let mode = Mode(word: try string(limit: 32)) else {
            throw before.refused("must be one of undecided, push, pull")
        }
        return mode
    }

    /// A code: any legal name.
    public mutating func code() throws(WireError) -> Code { Code(rawValue: try name()) }

    /// A cost in micro-units of the configured currency.
    public mutating func cost() throws(WireError) -> Int { try int(in: 0...Limits.largestCost) }
}

extension Limits {
    /// The greatest cost of one attempt in micro-units: a billion units.
    public static let largestCost = 1_000_000_000_000_000
}

extension JSONWriter {
    /// Writes a point in time, RFC 3339 UTC with milliseconds; `nil` writes nothing.
    public mutating func field(_ name: StaticString, _ time: WallTime?) {
        guard let time else { return }
        key(name)
        plainText { time.appendRFC3339(to: &$0) }
    }
}

/// What an error says (`topics/intents.md`, errors).
public struct ErrorBody: Hashable, Sendable {
    /// The stable code.
    public var code: Code
    /// What it means for a further attempt, when the sender says so.
    public var errorClass: ErrorClass?
    /// A sentence for people.
    public var message: String?
    /// More, by code.
    public var details: RawJSON?
    /// Not before this many ms.
    public var retryAfterMs: Int?
    /// From an executor: nothing has happened, a further attempt is safe.
    public var safe: Bool?

    /// An error.
    public init(
        _ code: Code, _ message: String? = nil, errorClass: ErrorClass? = nil, details: RawJSON? = nil,
        retryAfterMs: Int? = nil, safe: Bool? = nil
    ) {
        self.code = code
        self.errorClass = errorClass
        self.message = message
        self.details = details
        self.retryAfterMs = retryAfterMs
        self.safe = safe
    }
}

extension ErrorBody: WireReadable, WireWritable {
    /// Reads an error.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(.internal)
        var hasCode = false
        let before = reader
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "code":
                code = try reader.code()
                hasCode = true
            case "class": errorClass = try reader.word()
            case "message": message = try reader.string(limit: Limits.envelope)
            case "details": details = reader.raw()
            case "retry_after_ms": retryAfterMs = try reader.milliseconds()
            case "safe": safe = try reader.bool()
            default: reader.skip()
            }
        }
        if !hasCode { throw before.refused("an error needs a code") }
    }

    /// Writes the error.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("code", code.rawValue)
            $0.field("class", errorClass)
            $0.field("message", message)
            $0.field("details", details)
            $0.field("retry_after_ms", retryAfterMs)
            $0.field("safe", safe)
        }
    }
}

/// What an attempt used.
public struct Usage: Hashable, Sendable {
    /// Processor time in ms.
    public var cpuTimeMs: Int?
    /// Memory in MiB.
    public var memoryMB: Int?
    /// Tokens of a language model.
    public var tokensUsed: Int?

    /// A usage.
    public init(cpuTimeMs: Int? = nil, memoryMB: Int? = nil, tokensUsed: Int? = nil) {
        self.cpuTimeMs = cpuTimeMs
        self.memoryMB = memoryMB
        self.tokensUsed = tokensUsed
    }
}

extension Usage: WireReadable, WireWritable {
    /// Reads a usage.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init()
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "cpu_time_ms": cpuTimeMs = try reader.milliseconds()
            case "memory_mb": memoryMB = try reader.int(in: 0...1_000_000_000)
            case "tokens_used": tokensUsed = try reader.int(in: 0...1_000_000_000_000)
            default: reader.skip()
            }
        }
    }

    /// Writes the usage.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("cpu_time_ms", cpuTimeMs)
            $0.field("memory_mb", memoryMB)
            $0.field("tokens_used", tokensUsed)
        }
    }
}

/// Who and what a task belongs to in the caller's world; copied unchanged.
public struct Context: Hashable, Sendable {
    /// The caller's request; names the execution log.
    public var requestID: String?
    /// The assistant on whose behalf.
    public var assistantID: String?
    /// The session.
    public var sessionID: String?
    /// The user.
    public var userID: String?

    /// A context.
    public init(requestID: String? = nil, assistantID: String? = nil, sessionID: String? = nil, userID: String? = nil) {
        self.requestID = requestID
        self.assistantID = assistantID
        self.sessionID = sessionID
        self.userID = userID
    }
}

extension Context: WireReadable, WireWritable {
    /// Reads a context; each text is at most 256 bytes.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init()
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "request_id": requestID = try reader.string(limit: 256)
            case "assistant_id": assistantID = try reader.string(limit: 256)
            case "session_id": sessionID = try reader.string(limit: 256)
            case "user_id": userID = try reader.string(limit: 256)
            default: reader.skip()
            }
        }
    }

    /// Writes the context.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("request_id", requestID)
            $0.field("assistant_id", assistantID)
            $0.field("session_id", sessionID)
            $0.field("user_id", userID)
        }
    }
}

/// Where a task comes from; only service accounts may say so. Carried unchanged, a few fields are looked at.
public struct Origin: Hashable, Sendable {
    /// All of it as it was sent.
    public var raw: RawJSON
    /// What kind of origin: `schedule`, `check`, `action`, `plan`, `redrive`.
    public var kind: String?
    /// Whose rights, rates and budgets count.
    public var owner: String?
    /// After this moment no first attempt begins.
    public var expiresAt: WallTime?

    /// An origin that is told by `raw`; throws `field` when a field that is looked at is illegal.
    public init(_ raw: RawJSON) throws(WireError) {
        var reader = JSONReader(raw)
        try self.init(from: &reader)
    }
}

extension Origin: WireReadable, WireWritable {
    /// Reads an origin.
    public init(from reader: inout JSONReader) throws(WireError) {
        var inner = reader
        raw = reader.raw()
        try inner.beginObject()
        while let key = inner.nextKey() {
            if inner.takeNull() { continue }
            switch key {
            case "kind": kind = try inner.name()
            case "owner": owner = try inner.name()
            case "expires_at": expiresAt = try inner.instant()
            default: inner.skip()
            }
        }
    }

    /// Writes it as it was sent.
    public func write(to writer: inout JSONWriter) { writer.value(raw) }
}
