/// What an account may do on the bus (`topics/broker.md`, roles). The broker's access list is generated from these
/// rows and from nothing else.
public enum Role: String, CaseIterable, Hashable, Sendable {
    /// Sends intents and commands, reads its own answers.
    case publisher
    /// A publisher that also does work.
    case executor
    /// Reads the retained views.
    case viewer
    /// A viewer and publisher that also reads events, logs, dead letters and the services' records.
    case `operator`
    /// Home Assistant, and the bridge to it: its own topics, beside another role.
    case homeAssistant = "home-assistant"
    /// The four services.
    case dispatcher, scheduler, heartbeat, monitor

    /// Whether it is one of the services, whose word about `origin` and `listeners` is believed.
    public var isService: Bool {
        switch self {
        case .dispatcher, .scheduler, .heartbeat, .monitor: true
        default: false
        }
    }
}

/// One line of the broker's access list.
public struct AccessRule: Hashable, Sendable {
    /// What the line allows.
    public enum Access: String, Hashable, Sendable {
        /// Receive.
        case read
        /// Publish.
        case write
    }

    /// What it allows.
    public var access: Access
    /// On which topics.
    public var filter: String

    /// A line.
    public init(_ access: Access, _ filter: String) {
        self.access = access
        self.filter = filter
    }
}

extension Role {
    /// The lines for an account named `principal` in `workspace`; services see every workspace (`+`).
    public func rules(workspace: String, principal: String) -> [AccessRule] {
        switch self {
        case .publisher: Rows(workspace).publisher(principal)
        case .executor: Rows(workspace).publisher(principal) + Rows(workspace).executor(principal)
        case .viewer: Rows(workspace).viewer
        case .operator: Rows(workspace).publisher(principal) + Rows(workspace).viewer + Rows(workspace).operator
        case .homeAssistant: [AccessRule(.read, "homeassistant/#"), AccessRule(.write, "homeassistant/#")]
        case .dispatcher: Rows(workspace).dispatcher + Rows(workspace).service("dispatcher", principal)
        case .scheduler: Rows(workspace).scheduler(principal) + Rows(workspace).service("scheduler", principal)
        case .heartbeat: Rows(workspace).heartbeat(principal) + Rows(workspace).service("heartbeat", principal)
        case .monitor: Rows(workspace).monitor + Rows(workspace).service("monitor", principal)
        }
    }
}

/// The rows of the table of roles, for one workspace.
private struct Rows {
    let workspace: String

    init(_ workspace: String) { self.workspace = workspace }

    private func read(_ word: String, _ levels: String...) -> AccessRule {
        AccessRule(.read, ([workspace, Names.protocolLevel, word] + levels).joined(separator: "/"))
    }

    private func write(_ word: String, _ levels: String...) -> AccessRule {
        AccessRule(.write, ([workspace, Names.protocolLevel, word] + levels).joined(separator: "/"))
    }

    func publisher(_ principal: String) -> [AccessRule] {
        [
            write("intent", principal, "#"), write("command", principal, "#"),
            read("result", principal, "#"), read("update", principal, "#"), read("reply", principal, "#"),
        ]
    }

    func executor(_ principal: String) -> [AccessRule] {
        [
            write("executor", principal, "+"), write("report", principal, "+"), write("claim", principal, "+"),
            write("beat", principal), read("work", "+", principal), read("grant", principal, "+"), read("offer", "+"),
        ]
    }

    var viewer: [AccessRule] {
        [
            read("executor", "+", "+"), read("offer", "+"), read("capability", "+"), read("circuit", "#"),
            read("schedule", "+"), read("check", "+"), read("liveness", "+"), read("alert", "+"),
            read("notify", "+", "+"), read("summary", "+", "+"),
        ]
    }

    var `operator`: [AccessRule] {
        [
            read("event", "+", "+"), read("log", "+", "+"), read("dead", "+", "+"),
            AccessRule(.read, "\(Names.systemWorkspace)/\(Names.protocolLevel)/#"),
        ]
    }

    var dispatcher: [AccessRule] {
        [
            write("update", "#"), write("result", "#"), write("work", "+", "+"), write("offer", "+"),
            write("grant", "+", "+"), write("capability", "+"), write("circuit", "#"), write("log", "+", "+"),
            write("dead", "+", "+"), read("intent", "#"), read("executor", "+", "+"), read("claim", "+", "+"),
            read("report", "+", "+"), read("beat", "+"), read("liveness", "+"),
            write("intent", "#"), write("claim", "+", "+"), write("report", "+", "+"), write("beat", "+"),
            read("capability", "+"), read("circuit", "#"), read("offer", "+"),
        ]
    }

    func scheduler(_ principal: String) -> [AccessRule] {
        [
            write("intent", principal, "#"), read("result", principal, "#"), read("update", principal, "#"),
            write("schedule", "+"), read("schedule", "+"), read("executor", "+", "status"), read("liveness", "+"),
        ]
    }

    func heartbeat(_ principal: String) -> [AccessRule] {
        [
            write("intent", principal, "#"), read("result", principal, "#"), read("update", principal, "#"),
            write("check", "+"), read("check", "+"), write("liveness", "+"), read("liveness", "+"),
            read("executor", "+", "+"), read("beat", "+"),
        ]
    }

    var monitor: [AccessRule] {
        [AccessRule(.read, "\(workspace)/\(Names.protocolLevel)/#"), write("summary", "+", "+")]
    }

    /// What each service has beside its own rows: commands of its nouns, events, alerts, notifications, its records.
    func service(_ name: String, _ principal: String) -> [AccessRule] {
        var rules = [write("event", "+", "+"), write("alert", "+"), read("alert", "+"), write("notify", "+", "+")]
        for noun in Noun.allCases where noun.service == name {
            rules.append(read("command", "+", noun.rawValue, "#"))
            rules.append(write("command", "+", noun.rawValue, "#"))
            rules.append(write("reply", "+", noun.rawValue, "#"))
        }
        let system = "\(Names.systemWorkspace)/\(Names.protocolLevel)"
        rules.append(AccessRule(.write, "\(system)/service/\(name)/+"))
        rules.append(AccessRule(.write, "\(system)/metrics/\(name)"))
        rules.append(AccessRule(.write, "\(system)/metrics/\(name)/+"))
        rules.append(AccessRule(.read, "\(system)/#"))
        return rules
    }
}
