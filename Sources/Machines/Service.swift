/// A message as it came from the broker.
public struct InboundMessage: Hashable, Sendable {
    /// The full topic name.
    public var topic: String
    /// The payload, unread.
    public var payload: [UInt8]
    /// The retain flag as it was published (Retain As Published is asked for).
    public var retained: Bool
    /// MQTT 5 Response Topic, if the sender gave one.
    public var responseTopic: String?
    /// MQTT 5 Correlation Data, echoed in every answer to this message.
    public var correlation: [UInt8]?

    /// A message; the MQTT 5 extras are absent with 3.1.1 clients.
    public init(
        topic: String, payload: [UInt8], retained: Bool = false, responseTopic: String? = nil,
        correlation: [UInt8]? = nil
    ) {
        self.topic = topic
        self.payload = payload
        self.retained = retained
        self.responseTopic = responseTopic
        self.correlation = correlation
    }
}

/// A message for the broker.
public struct OutboundMessage: Hashable, Sendable {
    /// The full topic name.
    public var topic: String
    /// The payload; empty with `retain` clears the retained message.
    public var payload: [UInt8]
    /// At least once (QoS 1), the default, or at most once (QoS 0).
    public var atLeastOnce: Bool
    /// Whether the broker keeps it as the view of its topic.
    public var retain: Bool
    /// MQTT 5 Message Expiry in seconds; sent only to brokers that handle it well (`broker.message_expiry`).
    public var expirySeconds: Int?
    /// MQTT 5 Correlation Data to echo.
    public var correlation: [UInt8]?
    /// Asks for a `ServiceInput.delivered` with this number once the broker has acknowledged.
    public var token: Int?

    /// A message at QoS 1, not retained, unless said otherwise.
    public init(
        topic: String, payload: [UInt8], atLeastOnce: Bool = true, retain: Bool = false, expirySeconds: Int? = nil,
        correlation: [UInt8]? = nil, token: Int? = nil
    ) {
        self.topic = topic
        self.payload = payload
        self.atLeastOnce = atLeastOnce
        self.retain = retain
        self.expirySeconds = expirySeconds
        self.correlation = correlation
        self.token = token
    }
}

/// One topic filter to subscribe to.
public struct Subscription: Hashable, Sendable {
    /// The filter, with wildcards.
    public var filter: String
    /// Whether the broker sends what is retained: yes for views, no for requests.
    public var wantsRetained: Bool
    /// QoS 1, or QoS 0 for metrics.
    public var atLeastOnce: Bool

    /// A subscription at QoS 1.
    public init(filter: String, wantsRetained: Bool, atLeastOnce: Bool = true) {
        self.filter = filter
        self.wantsRetained = wantsRetained
        self.atLeastOnce = atLeastOnce
    }
}

/// How grave a log event is; the numbers are syslog's.
public enum LogLevel: Int, Hashable, Sendable, Comparable {
    /// Something is broken; fails a simulation.
    case error = 3
    /// Something wants attention.
    case warning = 4
    /// A turning point of normal life.
    case info = 6
    /// For those who look for a fault.
    case debug = 7

    /// Graver is less.
    public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}

/// One line of the log: a name, a sentence and fields; never a payload.
public struct LogEvent: Hashable, Sendable {
    /// How grave it is.
    public var level: LogLevel
    /// A stable name, such as `lease_revoked`.
    public var name: String
    /// One sentence for people.
    public var text: String
    /// Names and values in a fixed order: task, principal, executor, epoch, code.
    public var fields: [LogField]

    /// A log event.
    public init(_ level: LogLevel, _ name: String, _ text: String, _ fields: [LogField] = []) {
        self.level = level
        self.name = name
        self.text = text
        self.fields = fields
    }
}

/// One field of a log event.
public struct LogField: Hashable, Sendable {
    /// The field's name.
    public var key: String
    /// Its value as text.
    public var value: String

    /// A field.
    public init(_ key: String, _ value: String) {
        self.key = key
        self.value = value
    }
}

/// A child process to start. It runs in a process group of its own, which is ended as a whole.
public struct ChildRequest: Hashable, Sendable {
    /// The core's number for it; never used twice in one run.
    public var id: Int
    /// Program and arguments; the program is looked up in `PATH` when it has no slash.
    public var arguments: [String]
    /// What it reads from standard input.
    public var input: [UInt8]
    /// The whole environment, `NAME=value`.
    public var environment: [String]
    /// Working directory, or the shell's own.
    public var directory: String?
    /// After this long it is ended: SIGTERM, then SIGKILL after `graceMs`.
    public var timeoutMs: Int
    /// Between SIGTERM and SIGKILL.
    public var graceMs: Int
    /// Bytes of standard output that are kept; more ends it.
    public var outputLimit: Int
    /// Address-space limit in bytes; 0: none.
    public var memoryLimit: Int

    /// A child to start.
    public init(
        id: Int, arguments: [String], input: [UInt8], environment: [String], directory: String?, timeoutMs: Int,
        graceMs: Int, outputLimit: Int, memoryLimit: Int
    ) {
        self.id = id
        self.arguments = arguments
        self.input = input
        self.environment = environment
        self.directory = directory
        self.timeoutMs = timeoutMs
        self.graceMs = graceMs
        self.outputLimit = outputLimit
        self.memoryLimit = memoryLimit
    }
}

/// How a child ended.
public struct ChildOutcome: Hashable, Sendable {
    /// Why it ended.
    public enum End: Hashable, Sendable {
        /// It returned this status.
        case exited(Int)
        /// This signal ended it.
        case signaled(Int)
        /// It took longer than its limit and was ended.
        case timedOut
        /// It was ended by `stopChild`.
        case stopped
        /// It wrote more than its limit and was ended.
        case outputLimit
        /// The kernel refused it memory, or ended it for its memory.
        case memoryLimit
        /// It could not be started: the system's error text.
        case notStarted(String)
    }

    /// Why it ended.
    public var end: End
    /// Standard output, at most the limit.
    public var output: [UInt8]
    /// The last 8 KiB of standard error.
    public var errorTail: [UInt8]
    /// Processor time of the whole group as far as it was waited for, in ms.
    public var cpuTimeMs: Int
    /// Largest resident memory in KiB.
    public var maxResidentKiB: Int
    /// Wall time from start to end in ms.
    public var durationMs: Int

    /// An ending.
    public init(
        end: End, output: [UInt8], errorTail: [UInt8], cpuTimeMs: Int, maxResidentKiB: Int, durationMs: Int
    ) {
        self.end = end
        self.output = output
        self.errorTail = errorTail
        self.cpuTimeMs = cpuTimeMs
        self.maxResidentKiB = maxResidentKiB
        self.durationMs = durationMs
    }
}

/// What the shell, or the simulator, tells a service's core.
public enum ServiceInput: Sendable {
    /// The journal has been replayed; the first input of every run.
    case started
    /// The broker has accepted the connection. The core subscribes and re-publishes what it owns.
    case connected
    /// Told before `connected` when the broker kept nothing of an earlier connection: what was sent since is lost.
    case sessionLost
    /// The connection is gone. Nothing can be published until `connected`.
    case disconnected
    /// A message came.
    case message(InboundMessage)
    /// The broker has acknowledged the publish with this token.
    case delivered(token: Int)
    /// `nextWake` has passed, or the wall clock was set.
    case wake
    /// A child ended.
    case childEnded(id: Int, ChildOutcome)
    /// Something about the archive, for a service that has one. The first, `opened`, follows `started`.
    case archive(ArchiveEvent)
    /// The journal cannot be written (`false`) or can be again (`true`).
    case journalWritable(Bool)
    /// SIGTERM: begin nothing new, finish, then `quit`.
    case terminate
    /// SIGHUP: the configuration's new text, already checked by the program's own decoder.
    case reload([UInt8])
}

/// What a service's core wants done. Effects of one turn are carried out in this order: all appends, one sync, then
/// everything else as listed; so nothing leaves before its cause is durable.
public enum ServiceEffect: Equatable, Sendable {
    /// Append one record to the journal.
    case append([UInt8])
    /// Publish.
    case publish(OutboundMessage)
    /// Subscribe, in this order.
    case subscribe([Subscription])
    /// Start a child.
    case startChild(ChildRequest)
    /// End a child's process group: SIGTERM, then SIGKILL after its grace.
    case stopChild(id: Int)
    /// Something for the archive, of a service that has one.
    case archive(ArchiveRequest)
    /// Write a log line.
    case log(LogEvent)
    /// Tell the service manager one line of status.
    case status(String)
    /// Subscriptions are in place and the own record came back: ready.
    case ready
    /// Leave once what was published is acknowledged, at the latest after 5 s, with this exit status.
    case quit(status: Int, reason: String)
}

/// A service: a machine with a journal.
public protocol Service: Machine where Input == ServiceInput, Effect == ServiceEffect {
    /// Takes one record of the journal, in order, before `started`. Throws when the record is not of a known form.
    mutating func replay(_ record: [UInt8]) throws(JournalError)

    /// Writes records that, replayed into a new machine, give this state. Called when the journal is compacted.
    func snapshot(_ emit: ([UInt8]) -> Void)

    /// The retained Will that the broker publishes when this service is lost without a word.
    func will() -> OutboundMessage?
}

/// A journal record that cannot be read.
public struct JournalError: Error, Hashable, Sendable {
    /// What is wrong with it.
    public var reason: String

    /// An error with its reason.
    public init(_ reason: String) { self.reason = reason }
}
