public import Wire

/// Who owns which commands (`topics/commands.md`).
public enum Noun: String, CaseIterable, Hashable, Sendable {
    /// The dispatcher's nouns.
    case task, capability, circuit, executor
    /// The scheduler's.
    case schedule
    /// Heartbeat's.
    case check
    /// The monitor's.
    case history

    /// The service that answers.
    public var service: String {
        switch self {
        case .task, .capability, .circuit, .executor: "dispatcher"
        case .schedule: "scheduler"
        case .check: "heartbeat"
        case .history: "monitor"
        }
    }

    /// Its verbs.
    public var verbs: [String] {
        switch self {
        case .task: ["get", "list", "explain", "cancel", "assign", "redrive", "approve", "deny"]
        case .capability: ["get", "list", "can_execute", "pause", "resume"]
        case .circuit: ["get", "list", "reset", "open", "close"]
        case .executor: ["get", "list", "drain", "resume", "load", "unload"]
        case .schedule: ["put", "get", "list", "delete", "pause", "resume", "enable", "trigger", "preview"]
        case .check: ["put", "get", "list", "delete", "pause", "resume", "run"]
        case .history: ["query", "get", "stats", "cost"]
        }
    }
}

/// The fields of the dispatcher's commands; each verb uses those that its page names. An empty payload is `{}`.
public struct DispatcherCommand: Hashable, Sendable {
    /// Owner of the task, when it is another than the caller; for `list` also `*`, all.
    public var principal: String?
    /// Why.
    public var reason: String?
    /// For `cancel`: how long the executor may take to stop, in ms.
    public var graceMs: Int?
    /// For `list`: only tasks in this state.
    public var state: TaskState?
    /// For `list`: only tasks of this capability.
    public var capability: String?
    /// For `list`: dead letters instead.
    public var dead: Bool?
    /// The executor that is meant.
    public var executor: String?
    /// For `assign`: whether `executor` was given as `null`, which undoes an assignment.
    public var executorIsNull = false
    /// For `assign`: how.
    public var mode: Mode?
    /// Only if the object has this revision.
    public var ifRev: Int?
    /// For `assign`: pass circuit and reserve.
    public var force: Bool?
    /// For `assign`: take it from who has it.
    public var steal: Bool?
    /// For `redrive`: another lane.
    public var priority: Priority?
    /// For `redrive`: another retry rule.
    public var retry: RetryRule?
    /// For how long, in ms.
    public var forMs: Int?
    /// For `drain`: take the work away at once.
    public var now: Bool?
    /// For `can_execute`: the intent that would be sent.
    public var intent: Intent?
    /// Elements per page.
    public var limit: Int?
    /// The last element of the page before.
    public var after: String?
    /// All of it, for what is passed on.
    public var raw: RawJSON = .emptyObject

    /// A command without fields.
    public init() {}
}

extension DispatcherCommand: WireReadable, WireWritable {
    /// Reads the fields.
    public init(from reader: inout JSONReader) throws(WireError) {
        var copy = reader
        raw = copy.raw()
        try reader.beginObject()
        while let key = reader.nextKey() {
            if key == "executor" || key == "agent_id", reader.takeNull() {
                executorIsNull = true
            } else if !reader.takeNull() {
                try read(key, &reader)
            }
        }
    }

    private mutating func read(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "principal": principal = try reader.nameOrAll()
        case "reason": reason = try reader.string(limit: Limits.text)
        case "grace_ms": graceMs = try reader.milliseconds(limit: 3_600_000)
        case "state": state = try reader.word()
        case "capability": capability = try reader.string(limit: Limits.key)
        case "dead": dead = try reader.bool()
        case "executor", "agent_id": executor = try reader.name()
        case "mode", "execution_mode": mode = try reader.mode()
        case "if_rev": ifRev = try reader.int(in: 0...JSONLimits.largestInteger)
        case "force": force = try reader.bool()
        case "steal": steal = try reader.bool()
        case "priority": priority = try reader.word()
        case "retry": retry = try RetryRule(from: &reader)
        case "for_ms": forMs = try reader.int(in: 1...Limits.longestMs)
        case "now": now = try reader.bool()
        case "intent": intent = try Intent(from: &reader)
        case "limit": limit = try reader.int(in: 1...Limits.page)
        case "after": after = try reader.string(limit: Limits.key)
        default: reader.skip()
        }
    }

    /// Writes the fields.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("principal", principal)
            $0.field("reason", reason)
            $0.field("grace_ms", graceMs)
            $0.field("state", state)
            $0.field("capability", capability)
            $0.field("dead", dead)
            if executorIsNull { $0.field("executor", RawJSON.null) }
            $0.field("executor", executor)
            $0.field("mode", mode)
            $0.field("if_rev", ifRev)
            $0.field("force", force)
            $0.field("steal", steal)
            $0.field("priority", priority)
            $0.field("retry", retry)
            $0.field("for_ms", forMs)
            $0.field("now", now)
            $0.field("intent", intent)
            $0.field("limit", limit)
            $0.field("after", after)
        }
    }
}

extension JSONReader {
    /// A name, or `*` for all.
    fileprivate mutating func nameOrAll() throws(WireError) -> String {
        var copy = self
        if try copy.string(limit: Names.idLimit) == "*" {
            self = copy
            return "*"
        }
        return try name()
    }
}

/// The one reply to a command.
public struct Reply: Hashable, Sendable {
    /// Whether it was done.
    public var ok: Bool
    /// Why not.
    public var code: Code?
    /// A sentence for people.
    public var message: String?
    /// Whether asking again helps.
    public var retry: RetryAdvice?
    /// For `after`: when, in ms.
    public var retryAfterMs: Int?
    /// The object's revision.
    public var rev: Int?
    /// What was asked for; on a conflict the present object.
    public var data: RawJSON?

    /// Done.
    public static func done(rev: Int? = nil, data: RawJSON? = nil) -> Reply {
        var reply = Reply(ok: true)
        reply.rev = rev
        reply.data = data
        return reply
    }

    /// Refused.
    public static func refused(_ code: Code, _ message: String, data: RawJSON? = nil) -> Reply {
        var reply = Reply(ok: false)
        reply.code = code
        reply.message = message
        reply.retry = RetryAdvice.no
        reply.data = data
        return reply
    }

    /// Refused for now: the same again after a while.
    public static func refused(_ code: Code, _ message: String, retryAfterMs: Int) -> Reply {
        var reply = refused(code, message)
        reply.retry = .after
        reply.retryAfterMs = retryAfterMs
        return reply
    }

    /// A reply without more.
    public init(ok: Bool) { self.ok = ok }
}

extension Reply: WireReadable, WireWritable {
    /// Reads a reply.
    public init(from reader: inout JSONReader) throws(WireError) {
        let before = reader
        var ok: Bool?
        self.init(ok: false)
        try reader.beginObject()
        while let key = reader.nextKey() {
            if key == "data" {
                data = reader.raw()
                continue
            }
            if reader.takeNull() { continue }
            switch key {
            case "ok": ok = try reader.bool()
            case "code": code = try reader.code()
            case "message": message = try reader.string(limit: Limits.envelope)
            case "retry": retry = try reader.word()
            case "retry_after_ms": retryAfterMs = try reader.milliseconds()
            case "rev": rev = try reader.int()
            default: reader.skip()
            }
        }
        guard let ok else { throw before.refused("a reply needs ok") }
        self.ok = ok
    }

    /// Writes the reply.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("ok", ok)
            $0.field("code", code?.rawValue)
            $0.field("message", message)
            $0.field("retry", retry)
            $0.field("retry_after_ms", retryAfterMs)
            $0.field("rev", rev)
            $0.field("data", data)
        }
    }
}
