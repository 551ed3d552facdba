public import Contract
import Shell

/// Where the broker is and who is speaking.
public struct MartletConnection: Hashable, Sendable {
    /// `mqtt://host:port`, `mqtts://host:port` or `unix:/path`.
    public var broker: String
    /// The broker account, which is the principal.
    public var user: String
    /// File whose first line is the account's password.
    public var passwordFile: String?
    /// File with the authorities that may sign the broker's certificate; the system's own when `nil`.
    public var authorityFile: String?
    /// The workspace; `main` unless set.
    public var workspace = Names.defaultWorkspace

    /// A connection of an account.
    public init(_ broker: String = "mqtt://127.0.0.1:1883", user: String) {
        self.broker = broker
        self.user = user
    }

    /// The options of a client with a random client id and no session beyond its connection.
    func options() throws(MartletError) -> ConnectionOptions {
        guard let address = BrokerAddress(broker) else { throw .badAddress(broker) }
        for name in [user, workspace] where !Names.isName(name) { throw .badName(name) }
        var options = ConnectionOptions.client(address, name: user)
        options.username = user
        options.passwordFile = passwordFile
        options.authorityFile = authorityFile
        options.leavesOutOwn = true
        return options
    }
}

/// Why something could not be asked or offered. What became of a task is in its result, not here.
public enum MartletError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Not an address of a broker.
    case badAddress(String)
    /// Not a name: letters, digits, `.`, `_`, `~`, `-`, at most 64 bytes; 128 for an id.
    case badName(String)
    /// A task of this id is being waited for already.
    case idInUse(String)
    /// The broker does not admit the account.
    case notAdmitted(String)
    /// The broker refused a message: its topic and the reason.
    case refused(topic: String, reason: String)
    /// The dispatcher refused the intent; the result says why.
    case rejected(TaskResult)
    /// The task ended otherwise than in success, or its output is of another type.
    case failed(TaskResult)
    /// No answer in time. What becomes of the task is unknown; ask again with the same id.
    case timedOut
    /// The client was closed.
    case closed

    /// One sentence.
    public var description: String {
        switch self {
        case .badAddress(let text): "\"\(text)\" is not mqtt://host:port, mqtts://host:port or unix:/path"
        case .badName(let text): "\"\(text)\" is not a name"
        case .idInUse(let id): "a task \(id) is being waited for already"
        case .notAdmitted(let reason): "the broker does not admit this account: \(reason)"
        case .refused(let topic, let reason): "the broker refused \(topic): \(reason)"
        case .rejected(let result), .failed(let result):
            "\(result.task): \(result.status.rawValue) \(result.error?.code.rawValue ?? "") \(result.error?.message ?? "")"
        case .timedOut: "no answer in time"
        case .closed: "the client was closed"
        }
    }
}
