import Contract

/// What the program's exit status says (`topics/commands.md`).
enum ExitStatus: Int32, Hashable, Sendable {
    /// Done; the task is `success`.
    case done = 0
    /// The task `failed`.
    case failed = 1
    /// The task ended as `timeout`.
    case timeout = 2
    /// The task was `canceled`.
    case canceled = 3
    /// The task was `rejected`, or a request was refused.
    case refused = 4
    /// The command line is wrong.
    case usage = 64
    /// The object does not exist.
    case notFound = 66
    /// Broker or service cannot be reached.
    case unreachable = 69
    /// A fault of this program.
    case ownFault = 70
    /// No answer in time: the outcome is unknown.
    case noAnswer = 75
    /// Not permitted.
    case forbidden = 77
    /// The configuration is wrong.
    case configuration = 78
    /// Ended by Ctrl-C.
    case interrupted = 130

    /// The status for a task that ended like this.
    init(_ status: Status, code: Code?) {
        switch status {
        case .success: self = .done
        case .failed: self = .failed
        case .timeout: self = .timeout
        case .canceled: self = .canceled
        case .rejected: self = ExitStatus(refusal: code)
        }
    }

    /// The status for a refusal with this code.
    init(refusal code: Code?) {
        switch code {
        case .notFound: self = .notFound
        case .permissionDenied: self = .forbidden
        default: self = .refused
        }
    }

    /// What it means, for the manual page.
    var meaning: String {
        switch self {
        case .done: "Done; the task is success."
        case .failed: "The task failed."
        case .timeout: "The task ended as timeout."
        case .canceled: "The task was canceled."
        case .refused: "The task was rejected, or the request was refused for a reason not named below."
        case .usage: "The command line is wrong."
        case .notFound: "The object does not exist (not_found)."
        case .unreachable: "The broker or the service cannot be reached."
        case .ownFault: "A fault of this program."
        case .noAnswer: "No answer in time: the outcome is unknown. Repeat with the same id."
        case .forbidden: "Not permitted (permission_denied, or the broker refuses the account)."
        case .configuration: "The configuration is wrong."
        case .interrupted: "Ended by Ctrl-C."
        }
    }

    /// Every status, in the order of the numbers.
    static let all: [ExitStatus] = [
        .done, .failed, .timeout, .canceled, .refused, .usage, .notFound, .unreachable, .ownFault, .noAnswer,
        .forbidden, .configuration, .interrupted,
    ]
}

/// Why a command ends: one sentence with the code, then what to try.
struct Failure: Error, Hashable, Sendable {
    /// The exit status.
    var status: ExitStatus
    /// One sentence without its full stop.
    var message: String
    /// The code, when the failure has one.
    var code: Code?
    /// The nearest name to the one that is unknown.
    var meant: String?
    /// Command lines to try.
    var tries: [String]
    /// The last log lines of a program that did not do what it should; shown before the sentence.
    var log: [String] = []

    /// A failure.
    init(_ status: ExitStatus, _ message: String, code: Code? = nil, meant: String? = nil, tries: [String] = []) {
        self.status = status
        self.message = message
        self.code = code
        self.meant = meant
        self.tries = tries
    }

    /// A fault in the command line.
    static func usage(_ message: String, meant: String? = nil, tries: [String] = []) -> Failure {
        Failure(.usage, message, meant: meant, tries: tries)
    }

    /// The whole text for people.
    var text: String {
        var text = message
        if let code { text += " (\(code.rawValue))" }
        if let last = text.last, last != "." && last != "?" { text += "." }
        if let meant { text += " Did you mean \"\(meant)\"?" }
        return tries.isEmpty ? text : text + " Try: " + tries.joined(separator: ", or ")
    }
}
