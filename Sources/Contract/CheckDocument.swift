public import Wire

/// What a health check says of its target (`topics/checks.md`, results).
public enum CheckStatus: String, CaseIterable, Hashable, Sendable, Comparable {
    /// From well to unwell.
    case ok, warning, error

    private var rank: Int {
        switch self {
        case .ok: 0
        case .warning: 1
        case .error: 2
        }
    }

    /// Less grave is less.
    public static func < (a: CheckStatus, b: CheckStatus) -> Bool { a.rank < b.rank }
}

/// A limit for one number of a check's output (`topics/checks.md`, thresholds).
public struct CheckThreshold: Hashable, Sendable {
    /// A JSON pointer into the output, or the name of one of its fields.
    public var path: String
    /// Whether larger numbers are worse; otherwise smaller ones.
    public var isAbove: Bool
    /// Beyond this the result is at least a warning; a number as it is spelled.
    public var warning: JSONValue?
    /// Beyond this the result is an error.
    public var error: JSONValue?
    /// A level ends only when the number is back by that much.
    public var clearBy: JSONValue?

    /// A threshold without limits.
    public init(path: String, isAbove: Bool) {
        self.path = path
        self.isAbove = isAbove
    }
}

/// When a check's action is carried out.
public enum CheckActionWhen: String, CaseIterable, Hashable, Sendable {
    /// After each run.
    case always
    /// By the status after the run.
    case onOk = "on_ok"
    case onWarning = "on_warning"
    case onError = "on_error"
}

/// What a check's action does.
public enum CheckActionKind: String, CaseIterable, Hashable, Sendable {
    /// A notification.
    case notify
    /// An intent for `notify.webhook`.
    case webhook
    /// A note in `notify/memory`.
    case remember
    /// An intent for any capability.
    case execute
}

/// Whether an action is carried out again while the status stays the same.
public enum CheckActionRepeat: String, CaseIterable, Hashable, Sendable {
    /// After each run.
    case each
    /// Only after a run that changed the status.
    case change
}

/// What follows a check's run (`topics/checks.md`, actions).
public struct CheckAction: Hashable, Sendable {
    /// When.
    public var when: CheckActionWhen
    /// What.
    public var kind: CheckActionKind
    /// More, by kind; an object.
    public var config: RawJSON?
    /// How often.
    public var repetition = CheckActionRepeat.each

    /// An action after each run.
    public init(_ when: CheckActionWhen, _ kind: CheckActionKind, config: RawJSON? = nil) {
        self.when = when
        self.kind = kind
        self.config = config
    }
}

/// The fields that a check's document has beyond a schedule's (`topics/checks.md`, the document).
public struct CheckRules: Hashable, Sendable {
    /// Limits for numbers of the output.
    public var thresholds: [CheckThreshold] = []
    /// So many results in a row that are not `ok` make the status bad.
    public var failAfter = 1
    /// So many results in a row that are `ok` make it `ok` again.
    public var recoverAfter = 1
    /// Whether `error` makes its target `degraded`.
    public var speaksForTarget = false
    /// What follows each run.
    public var actions: [CheckAction] = []

    /// No limits, no actions.
    public init() {}
}

extension Limits {
    /// Actions of one check.
    public static let checkActions = 8
    /// Thresholds of one check.
    public static let checkThresholds = 16
    /// Results in a row that may be asked for.
    public static let checkResults = 1000
    /// Runs of one check that are remembered.
    public static let checkLog = 200
    /// A message in a check's view, log and notes, in bytes.
    public static let checkMessage = 512
    /// Checks of one workspace, unless configured.
    public static let checksPerWorkspace = 1000
    /// The interval of a check that gives none, unless configured.
    public static let checkEveryMs = 30_000
    /// Time limit of a check's `execute` action, in ms.
    public static let checkExecuteMs = 60_000
    /// Time limit of a check's webhook, in ms.
    public static let checkWebhookMs = 30_000
}

extension CheckRules {
    /// Writes the fields that are not the defaults, without braces.
    func writeFields(to writer: inout JSONWriter) {
        if !thresholds.isEmpty { writer.field("thresholds", thresholds) }
        if failAfter != 1 { writer.field("fail_after", failAfter) }
        if recoverAfter != 1 { writer.field("recover_after", recoverAfter) }
        if speaksForTarget { writer.field("liveness", true) }
        if !actions.isEmpty { writer.field("actions", actions) }
    }
}

extension CheckThreshold: WireWritable {
    /// Writes the threshold.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("path", path)
            $0.field(isAbove ? "above" : "below") {
                $0.field("warning", warning.map { value in RawJSON { value.write(to: &$0) } })
                $0.field("error", error.map { value in RawJSON { value.write(to: &$0) } })
            }
            $0.field("clear_by", clearBy.map { value in RawJSON { value.write(to: &$0) } })
        }
    }
}

extension CheckAction: WireWritable {
    /// Writes the action.
    public func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("when", when)
            $0.field("kind", kind)
            $0.field("config", config)
            if repetition != .each { $0.field("repeat", repetition) }
        }
    }
}
