public import TimeModel
public import Wire

/// A record of the execution log of a plan (`topics/plans.md`, log), on `log/REQUEST_ID/RECORD`.
public enum LogRecord: Hashable, Sendable {
    /// The plan as it was sent.
    case planStart(request: String, assistant: String?, plan: RawJSON, at: WallTime)
    /// A step has ended.
    case step(Step)
    /// The plan has ended; always sent, also when it was canceled.
    case planEnd(request: String, assistant: String?, status: Status, error: String?, durationMs: Int, at: WallTime)

    /// What the log says of one step.
    public struct Step: Hashable, Sendable {
        /// The plan's request.
        public var request: String
        /// The plan's assistant.
        public var assistant: String?
        /// The step's name.
        public var name: String
        /// `skill` or `tool`.
        public var type: String
        /// How it ended: one of the five statuses, or `skipped`.
        public var status: String
        /// What came of it.
        public var output: RawJSON?
        /// Code and message.
        public var error: String?
        /// How long it took.
        public var durationMs: Int
        /// When it ended.
        public var at: WallTime

        /// A step's record.
        public init(
            request: String, assistant: String?, name: String, type: String, status: String, output: RawJSON?,
            error: String?, durationMs: Int, at: WallTime
        ) {
            self.request = request
            self.assistant = assistant
            self.name = name
            self.type = type
            self.status = status
            self.output = output
            self.error = error
            self.durationMs = durationMs
            self.at = at
        }
    }

    /// The last level of its topic.
    public var record: String {
        switch self {
        case .planStart: "plan_start"
        case .step: "step"
        case .planEnd: "plan_end"
        }
    }
}

extension LogRecord: WireWritable {
    /// Writes the record.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            switch self {
            case .planStart(let request, let assistant, let plan, let at):
                $0.field("request_id", request)
                $0.field("assistant_id", assistant)
                $0.field("plan", plan)
                $0.field("timestamp", at)
            case .step(let step): LogRecord.write(step, to: &$0)
            case .planEnd(let request, let assistant, let status, let error, let durationMs, let at):
                $0.field("request_id", request)
                $0.field("assistant_id", assistant)
                $0.field("status", status)
                $0.field("error", error)
                $0.field("duration_ms", durationMs)
                $0.field("timestamp", at)
            }
        }
    }

    private static func write(_ step: Step, to writer: inout JSONWriter) {
        writer.field("request_id", step.request)
        writer.field("assistant_id", step.assistant)
        writer.field("step_name", step.name)
        writer.field("step_type", step.type)
        writer.field("status", step.status)
        writer.field("output", step.output)
        writer.field("error", step.error)
        writer.field("duration_ms", step.durationMs)
        writer.field("timestamp", step.at)
    }
}
