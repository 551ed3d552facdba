public import TimeModel
public import Wire

/// What becomes of a task before its result (`topics/intents.md`, updates).
public struct Update: Hashable, Sendable {
    /// The kinds of updates.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
        /// The intent is a task now and survives a crash.
        case accepted
        /// The id, or the dedup key, is known.
        case duplicate
        /// The task changed its state.
        case state
        /// Its executor told its progress.
        case progress
    }

    /// Which kind.
    public var type: Kind
    /// The task's id.
    public var task: String
    /// Its state.
    public var state: TaskState
    /// Rises by one with each transition.
    public var rev: Int
    /// Why it is in this state.
    public var code: Code?
    /// For `duplicate` by key: the id of the first task.
    public var of: String?
    /// The time limit that applies, when it is another than the intent's.
    public var timeoutMs: Int?
    /// When.
    public var at: WallTime
    /// For `progress`: 0 to 100.
    public var percent: Int?
    /// For `progress`: a text.
    public var message: String?

    /// An update.
    public init(_ type: Kind, task: String, state: TaskState, rev: Int, at: WallTime) {
        self.type = type
        self.task = task
        self.state = state
        self.rev = rev
        self.at = at
    }
}

extension Update: WireReadable, WireWritable {
    /// Reads an update.
    public init(from reader: inout JSONReader) throws(WireError) {
        let before = reader
        var type: Kind?
        var task: String?
        var state: TaskState?
        var at: WallTime?
        var rest = Update(.state, task: "", state: .queued, rev: 0, at: WallTime(milliseconds: 0))
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "type": type = try reader.word()
            case "task": task = try reader.id()
            case "state": state = try reader.word()
            case "rev": rest.rev = try reader.int()
            case "code": rest.code = try reader.code()
            case "of": rest.of = try reader.id()
            case "timeout_ms": rest.timeoutMs = try reader.milliseconds()
            case "at": at = try reader.instant()
            case "percent": rest.percent = try reader.int(in: 0...100)
            case "message": rest.message = try reader.string(limit: Limits.text)
            default: reader.skip()
            }
        }
        guard let type, let task, let state, let at else {
            throw before.refused("an update needs type, task, state and at")
        }
        self = rest
        (self.type, self.task, self.state, self.at) = (type, task, state, at)
    }

    /// Writes the update.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("type", type)
            $0.field("task", task)
            $0.field("state", state)
            $0.field("rev", rev)
            $0.field("code", code?.rawValue)
            $0.field("of", of)
            $0.field("timeout_ms", timeoutMs)
            $0.field("at", at)
            $0.field("percent", percent)
            $0.field("message", message)
        }
    }
}
