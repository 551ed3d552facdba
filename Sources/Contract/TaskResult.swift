public import TimeModel
public import Wire

/// What came of one attempt, in a result.
public struct AttemptRecord: Hashable, Sendable {
    /// 1, 2, …
    public var number: Int
    /// Who made it.
    public var executor: String
    /// Under which epoch.
    public var epoch: Int
    /// How it was given out.
    public var mode: Mode
    /// When it began.
    public var startedAt: WallTime
    /// How long it took, measured by the dispatcher; absent while it runs.
    public var durationMs: Int?
    /// `success`, `failed`, `timeout`, `lost`, `canceled`, `released`; absent while it runs.
    public var outcome: String?
    /// Why it failed.
    public var error: ErrorBody?
    /// What it used.
    public var usage: Usage?
    /// What it cost.
    public var cost: Int?

    /// An attempt that begins.
    public init(number: Int, executor: String, epoch: Int, mode: Mode, startedAt: WallTime) {
        self.number = number
        self.executor = executor
        self.epoch = epoch
        self.mode = mode
        self.startedAt = startedAt
    }
}

extension AttemptRecord: WireReadable, WireWritable {
    /// Reads an attempt.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init(number: 0, executor: "", epoch: 0, mode: .push, startedAt: WallTime(milliseconds: 0))
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "number": number = try reader.int()
            case "executor": executor = try reader.name()
            case "epoch": epoch = try reader.int()
            case "mode": mode = try reader.mode()
            case "started_at": startedAt = try reader.instant()
            case "duration_ms": durationMs = try reader.milliseconds()
            case "outcome": outcome = try reader.string(limit: 32)
            case "error": error = try ErrorBody(from: &reader)
            case "usage": usage = try Usage(from: &reader)
            case "cost": cost = try reader.cost()
            default: reader.skip()
            }
        }
    }

    /// Writes the attempt.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("number", number)
            $0.field("executor", executor)
            $0.field("epoch", epoch)
            $0.field("mode", mode)
            $0.field("started_at", startedAt)
            $0.field("duration_ms", durationMs)
            $0.field("outcome", outcome)
            $0.field("error", error)
            $0.field("usage", usage)
            $0.field("cost", cost)
        }
    }
}

/// The one terminal answer to an intent (`topics/intents.md`, results).
public struct TaskResult: Hashable, Sendable {
    /// The task's id.
    public var task: String
    /// One of the five statuses.
    public var status: Status
    /// What the capability gave.
    public var output: RawJSON?
    /// Why it is not `success`.
    public var error: ErrorBody?
    /// Who decided it.
    public var executor: String?
    /// How it was given out.
    public var mode: Mode?
    /// The last 32 attempts.
    public var attempts: [AttemptRecord] = []
    /// What the deciding attempt used.
    public var usage: Usage?
    /// What the deciding attempt cost, in micro-units.
    public var cost: Int?
    /// What the other attempts cost.
    public var wastedCost: Int?
    /// From acceptance to the first start, in ms.
    public var queuedMs: Int?
    /// What the deciding attempt took, measured, in ms.
    public var durationMs: Int?
    /// When it became a task; absent when it never did.
    public var acceptedAt: WallTime?
    /// When it ended.
    public var finishedAt: WallTime
    /// Copied from the intent.
    public var context: Context?
    /// Copied from the intent.
    public var origin: Origin?
    /// Copied from the intent.
    public var traceparent: String?

    /// A result.
    public init(task: String, status: Status, finishedAt: WallTime) {
        self.task = task
        self.status = status
        self.finishedAt = finishedAt
    }
}

extension TaskResult: WireReadable, WireWritable {
    /// Reads a result.
    public init(from reader: inout JSONReader) throws(WireError) {
        let before = reader
        self.init(task: "", status: .success, finishedAt: WallTime(milliseconds: 0))
        var seen = 0
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "output":
                output = reader.raw()
                continue
            default: if reader.takeNull() { continue }
            }
            switch key {
            case "task":
                task = try reader.id()
                seen += 1
            case "status":
                let before = reader
                guard let status = Status(word: try reader.string(limit: 16)) else {
                    throw before.refused("must be one of success, failed, timeout, canceled, rejected")
                }
                self.status = status
                seen += 1
            case "finished_at":
                finishedAt = try reader.instant()
                seen += 1
            default: try readRest(key, &reader)
            }
        }
        if seen < 3 { throw before.refused("a result needs task, status and finished_at") }
    }

    private mutating func readRest(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "error": error = try ErrorBody(from: &reader)
        case "executor": executor = try reader.name()
        case "mode": mode = try reader.mode()
        case "attempts": attempts = try reader.list(count: Limits.attemptRecords)
        case "usage": usage = try Usage(from: &reader)
        case "cost": cost = try reader.cost()
        case "wasted_cost": wastedCost = try reader.int(in: 0...JSONLimits.largestInteger)
        case "queued_ms": queuedMs = try reader.int(in: 0...JSONLimits.largestInteger)
        case "duration_ms": durationMs = try reader.int(in: 0...JSONLimits.largestInteger)
        case "accepted_at": acceptedAt = try reader.instant()
        case "context": context = try Context(from: &reader)
        case "origin": origin = try Origin(from: &reader)
        case "traceparent": traceparent = try reader.string(limit: Limits.key)
        default: reader.skip()
        }
    }

    /// Writes the result.
    public func write(to writer: inout JSONWriter) {
        writer.object { writeFields(to: &$0) }
    }

    /// Writes the fields without the braces, for messages that add fields of their own.
    public func writeFields(to writer: inout JSONWriter) {
        writer.field("task", task)
        writer.field("status", status)
        writer.field("output", output)
        writer.field("error", error)
        writer.field("executor", executor)
        writer.field("mode", mode)
        if !attempts.isEmpty { writer.field("attempts", attempts) }
        writer.field("usage", usage)
        writer.field("cost", cost)
        writer.field("wasted_cost", wastedCost)
        writer.field("queued_ms", queuedMs)
        writer.field("duration_ms", durationMs)
        writer.field("accepted_at", acceptedAt)
        writer.field("finished_at", finishedAt)
        writer.field("context", context)
        writer.field("origin", origin)
        writer.field("traceparent", traceparent)
    }
}

/// A dead letter (`topics/tasks.md`): the result with what is needed to send the task again.
public struct DeadLetter: Hashable, Sendable {
    /// How it ended.
    public var result: TaskResult
    /// Whose task it was.
    public var principal: String
    /// What it was given.
    public var input: RawJSON?

    /// A dead letter.
    public init(result: TaskResult, principal: String, input: RawJSON?) {
        self.result = result
        self.principal = principal
        self.input = input
    }
}

extension DeadLetter: WireReadable, WireWritable {
    /// Reads a dead letter.
    public init(from reader: inout JSONReader) throws(WireError) {
        var inner = reader
        result = try TaskResult(from: &reader)
        principal = ""
        try inner.beginObject()
        while let key = inner.nextKey() {
            switch key {
            case "principal": principal = try inner.name()
            case "input": input = inner.raw()
            default: inner.skip()
            }
        }
    }

    /// Writes the dead letter.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            result.writeFields(to: &$0)
            $0.field("principal", principal)
            $0.field("input", input)
        }
    }
}
