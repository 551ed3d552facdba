public import Wire

/// How often and how soon a failed attempt is repeated.
public struct RetryRule: Hashable, Sendable {
    /// Further attempts after the first, 0 to 20; absent: 2.
    public var count: Int?
    /// First bound of the random wait in ms; absent: 500.
    public var delayMs: Int?
    /// Greatest bound of the random wait in ms; absent: 30 000.
    public var maxDelayMs: Int?

    /// A rule.
    public init(count: Int? = nil, delayMs: Int? = nil, maxDelayMs: Int? = nil) {
        self.count = count
        self.delayMs = delayMs
        self.maxDelayMs = maxDelayMs
    }
}

extension RetryRule: WireReadable, WireWritable {
    /// Reads a rule.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init()
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "count": count = try reader.int(in: 0...Limits.retryCount)
            case "delay_ms": delayMs = try reader.milliseconds()
            case "max_delay_ms": maxDelayMs = try reader.milliseconds()
            default: reader.skip()
            }
        }
    }

    /// Writes the rule.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("count", count)
            $0.field("delay_ms", delayMs)
            $0.field("max_delay_ms", maxDelayMs)
        }
    }
}

/// A trigger (`topics/intents.md`): a request that a capability be run. Every field is optional.
public struct Intent: Hashable, Sendable {
    /// What the capability gets; absent: `{}`.
    public var input: RawJSON?
    /// Which of the capability's actions.
    public var action: String?
    /// Its lane; absent: the highest of the registrations, else `normal`.
    public var priority: Priority?
    /// Time limit of one attempt in ms; 0 or absent: the card's, else 30 000.
    public var timeoutMs: Int?
    /// Time limit of the whole task in ms from acceptance.
    public var deadlineMs: Int?
    /// Not before this many ms after acceptance.
    public var delayMs: Int?
    /// How failed attempts are repeated.
    public var retry: RetryRule?
    /// Tasks with the same key are one.
    public var dedupKey: String?
    /// How long the key stands.
    public var dedup: DedupMode?
    /// For `window`: how long after acceptance, in ms.
    public var dedupWindowMs: Int?
    /// What happens to a later task with the key.
    public var onDuplicate: OnDuplicate?
    /// Tasks with the same key run one after the other.
    public var concurrencyKey: String?
    /// Labels; those that begin with `agent:` an executor must have, the others are metadata.
    public var requires: [String]?
    /// How it is to be given out; absent: `undecided`.
    public var mode: Mode?
    /// Only this executor.
    public var executor: String?
    /// The most one attempt may cost, in micro-units.
    public var maxCost: Int?
    /// Whether it may run more than once.
    public var delivery: Delivery?
    /// How long the result stays retained, in ms.
    public var keepMs: Int?
    /// Which updates are sent.
    public var updates: UpdateLevel?
    /// From service accounts only: principals that get the same result.
    public var listeners: [String]?
    /// The caller's own names, copied unchanged.
    public var context: Context?
    /// From service accounts only: where it comes from.
    public var origin: Origin?
    /// W3C trace context, copied unchanged.
    public var traceparent: String?
    /// How many units of work, for the price; absent: 1.
    public var units: Int?

    /// An intent that asks for nothing special.
    public init() {}
}

extension Intent: WireReadable, WireWritable {
    /// Reads an intent. An empty payload is none: callers read it as `{}`.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init()
        try reader.beginObject()
        while let key = reader.nextKey() {
            if key == "input" {
                input = reader.raw()
            } else if reader.takeNull() {
                continue
            } else if try !readLimit(key, &reader), try !readKey(key, &reader) {
                try readRest(key, &reader)
            }
        }
    }

    private mutating func readLimit(_ key: String, _ reader: inout JSONReader) throws(WireError) -> Bool {
        switch key {
        case "priority": priority = try reader.word()
        case "timeout_ms": timeoutMs = try reader.milliseconds()
        case "deadline_ms": deadlineMs = try reader.int(in: 1...Limits.longestMs)
        case "delay_ms": delayMs = try reader.milliseconds()
        case "retry": retry = try RetryRule(from: &reader)
        case "max_cost": maxCost = try reader.cost()
        case "delivery": delivery = try reader.word()
        case "keep_ms": keepMs = try reader.milliseconds()
        case "units": units = try reader.int(in: 0...1_000_000_000)
        default: return false
        }
        return true
    }

    private mutating func readKey(_ key: String, _ reader: inout JSONReader) throws(WireError) -> Bool {
        switch key {
        case "dedup_key": dedupKey = try reader.string(limit: Limits.key)
        case "dedup": dedup = try reader.word()
        case "dedup_window_ms": dedupWindowMs = try reader.milliseconds()
        case "on_duplicate": onDuplicate = try reader.word()
        case "concurrency_key": concurrencyKey = try reader.string(limit: Limits.key)
        default: return false
        }
        return true
    }

    private mutating func readRest(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "action": action = try reader.string(limit: Limits.key)
        case "requires": requires = try reader.strings(limit: Limits.key, count: Limits.labels)
        case "mode": mode = try reader.mode()
        case "executor": executor = try reader.name()
        case "updates": updates = try reader.word()
        case "listeners": listeners = try reader.names(count: Limits.listeners)
        case "context": context = try Context(from: &reader)
        case "origin": origin = try Origin(from: &reader)
        case "traceparent": traceparent = try reader.string(limit: Limits.key)
        default: reader.skip()
        }
    }

    /// Writes the intent; absent fields are left out.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("input", input)
            $0.field("action", action)
            $0.field("priority", priority)
            $0.field("timeout_ms", timeoutMs)
            $0.field("deadline_ms", deadlineMs)
            $0.field("delay_ms", delayMs)
            $0.field("retry", retry)
            $0.field("dedup_key", dedupKey)
            $0.field("dedup", dedup)
            $0.field("dedup_window_ms", dedupWindowMs)
            $0.field("on_duplicate", onDuplicate)
            $0.field("concurrency_key", concurrencyKey)
            if let requires { $0.field("requires", requires) }
            $0.field("mode", mode)
            $0.field("executor", executor)
            $0.field("max_cost", maxCost)
            $0.field("delivery", delivery)
            $0.field("keep_ms", keepMs)
            $0.field("updates", updates)
            if let listeners { $0.field("listeners", listeners) }
            $0.field("context", context)
            $0.field("origin", origin)
            $0.field("traceparent", traceparent)
            $0.field("units", units)
        }
    }
}

extension JSONReader {
    /// A list of names.
    public mutating func names(count: Int) throws(WireError) -> [String] {
        var list: [String] = []
        let before = self
        try beginArray()
        while nextElement() {
            list.append(try name())
            if list.count > count { throw before.refused("more than \(count) names") }
        }
        return list
    }
}
