/// What stands behind a flag.
enum FlagValue: Hashable, Sendable {
    /// Nothing: it is there or not.
    case none
    /// Any text; the name of it in the help.
    case text(String)
    /// A duration such as `500ms`, `30s`, `5m`, `2h`.
    case duration
    /// An integer of at least this.
    case integer(Int)
    /// One of these words.
    case word([String])

    /// How the help shows it.
    var placeholder: String? {
        switch self {
        case .none: nil
        case .text(let name): name
        case .duration: "DURATION"
        case .integer: "N"
        case .word(let words): words.joined(separator: "|")
        }
    }
}

/// One flag of a command.
struct Flag: Hashable, Sendable {
    /// Its name without the two hyphens.
    let name: String
    /// What stands behind it.
    let value: FlagValue
    /// One clause for the help.
    let summary: String
    /// Whether it may be given several times.
    let repeats: Bool

    /// A flag.
    init(_ name: String, _ value: FlagValue = .none, _ summary: String, repeats: Bool = false) {
        self.name = name
        self.value = value
        self.summary = summary
        self.repeats = repeats
    }

    /// `--name VALUE`; of many words the flag's own name stands for them.
    var usage: String {
        if hidesWords { return "--\(name) \(name.uppercased())" }
        return value.placeholder.map { "--\(name) \($0)" } ?? "--\(name)"
    }

    /// Which live names complete its value, told by the flag's name.
    var live: LiveNames? {
        guard case .text = value else { return nil }
        return name == "agent" ? .executor : LiveNames(rawValue: name)
    }

    /// Whether its words are too many to stand behind it.
    var hidesWords: Bool {
        guard case .word = value else { return false }
        return (value.placeholder?.count ?? 0) > 36
    }
}

/// Which live names complete an argument.
enum LiveNames: String, Hashable, Sendable, CaseIterable {
    /// Names that the retained views tell.
    case capability, executor, schedule, check
    /// Names from this computer.
    case context
}

/// One positional argument.
struct Argument: Hashable, Sendable {
    /// How the help shows it.
    let name: String
    /// One clause for the help.
    let summary: String
    /// Whether it may be left out.
    let isOptional: Bool
    /// Whether it takes all that follows.
    let repeats: Bool
    /// What completes it.
    let live: LiveNames?
    /// The words it may be, when they are few.
    let words: [String]
    /// Words that complete it, though others are allowed.
    let offers: [String]

    /// An argument.
    init(
        _ name: String, _ summary: String, isOptional: Bool = false, repeats: Bool = false, live: LiveNames? = nil,
        words: [String] = [], offers: [String] = []
    ) {
        self.name = name
        self.summary = summary
        self.isOptional = isOptional
        self.repeats = repeats
        self.live = live
        self.words = words
        self.offers = words + offers
    }

    /// `NAME`, `[NAME]`, `[NAME...]`.
    var usage: String {
        let shown = repeats ? "\(name)..." : name
        return isOptional ? "[\(shown)]" : shown
    }
}

/// A command line that works, and what it does.
struct Example: Hashable, Sendable {
    /// The line as it is typed, from `martlet` on.
    let line: String
    /// What it does.
    let summary: String

    /// An example.
    init(_ line: String, _ summary: String) {
        self.line = line
        self.summary = summary
    }
}

/// Flags that many commands share.
struct SharedFlags: OptionSet, Hashable, Sendable {
    let rawValue: Int
    /// How to reach the broker, and as whom.
    static let bus = SharedFlags(rawValue: 1)
    /// How long to wait for an answer.
    static let answer = SharedFlags(rawValue: 2)
    /// Output for programs.
    static let json = SharedFlags(rawValue: 4)
    /// How points in time are shown.
    static let time = SharedFlags(rawValue: 8)
    /// Answers the question that a grave verb asks.
    static let yes = SharedFlags(rawValue: 16)

    /// What every request to a service takes.
    static let request: SharedFlags = [.bus, .answer, .json, .time]

    /// The flags themselves.
    var flags: [Flag] {
        var list: [Flag] = []
        if contains(.bus) {
            list += [
                Flag("broker", .text("URL"), "mqtt://HOST:PORT, mqtts://HOST:PORT or unix:/PATH"),
                Flag("user", .text("NAME"), "broker account, which is also the principal"),
                Flag("password-file", .text("FILE"), "file with the account's password in its first line"),
                Flag("workspace", .text("NAME"), "workspace; main unless said otherwise"),
                Flag("context", .text("NAME"), "the named connection instead of the one in use"),
            ]
        }
        if contains(.answer) { list.append(Flag("timeout", .duration, "how long to wait for the answer; 10s")) }
        if contains(.json) { list.append(Flag("json", .none, "one JSON value per line, with the wire's fields")) }
        if contains(.time) {
            list.append(Flag("time", .word(["relative", "local", "utc"]), "how points in time are shown; relative"))
        }
        if contains(.yes) { list.append(Flag("yes", .none, "do it without asking")) }
        return list + SharedFlags.always
    }

    /// What every command takes.
    static let always: [Flag] = [
        Flag("color", .word(["auto", "always", "never"]), "colour; auto is on a terminal only"),
        Flag("quiet", .none, "no messages but errors"),
        Flag("verbose", .none, "more messages"),
        Flag("help", .none, "this help"),
        Flag("version", .none, "the version"),
    ]
}

/// One command of the table, which gives the parser, the help, the completions and the manual page.
struct Command: Sendable {
    /// Its words, such as `task`, `get`.
    let path: [String]
    /// One clause for lists of commands.
    let summary: String
    /// What it takes, in order.
    let arguments: [Argument]
    /// Its own flags.
    let flags: [Flag]
    /// Those it shares with others.
    let shared: SharedFlags
    /// Command lines that work; the first ones of the help.
    let examples: [Example]
    /// Paragraphs below the examples.
    let details: [String]
    /// What it does.
    let action: @Sendable (Session) throws(Failure) -> ExitStatus

    /// A command.
    init(
        _ path: String, _ summary: String, arguments: [Argument] = [], flags: [Flag] = [],
        shared: SharedFlags = .request, examples: [Example], details: [String] = [],
        action: @escaping @Sendable (Session) throws(Failure) -> ExitStatus
    ) {
        self.path = path.split(separator: " ").map(String.init)
        self.summary = summary
        self.arguments = arguments
        self.flags = flags
        self.shared = shared
        self.examples = examples
        self.details = details
        self.action = action
    }

    /// `task get`.
    var name: String { path.joined(separator: " ") }

    /// All flags; an own one stands for a shared one of the same name.
    var allFlags: [Flag] { flags + shared.flags.filter { flag in !flags.contains { $0.name == flag.name } } }

    /// `martlet task get ID [flags]`.
    var usage: String { (["martlet"] + path + arguments.map(\.usage) + ["[flags]"]).joined(separator: " ") }
}
