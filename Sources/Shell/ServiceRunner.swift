import Glibc
public import Machine

/// What a core gets from its surroundings when it is made.
public struct ServiceStart: Sendable {
    /// Seed for the core's generator, from the kernel.
    public var seed: UInt64
    /// The client id: the role's name and 128 random bits, always the same for one state directory.
    public var clientID: String
    /// The name of this instance in the service's record: the role's name and 64 random bits, kept likewise. Unlike the
    /// client id it may be told to everybody.
    public var instance: String
    /// The locked state directory.
    public var stateDirectory: String
    /// A random text for this start of the process, such as an executor's `boot`.
    public var boot: String
}

/// What a daemon is: its name, its configuration keys, and how to make its core.
public struct ServiceDescription<Core: Service> {
    /// The role, such as `dispatcher`: the section of its keys, the default account and the name of its state directory.
    public var role: String
    /// The release.
    public var version: String
    /// What it is, in one sentence.
    public var summary: String
    /// Command lines for the help text, each with a word on what it does.
    public var examples: [(command: String, purpose: String)] = []
    /// Its own keys, besides those of every service.
    public var keys: [ConfigurationKey] = []
    /// Checks what single keys cannot say; also before a reload. No problems: the core can be made.
    public var check: (Configuration) -> [ConfigurationProblem] = { _ in [] }
    /// Makes the core in its first state; called again when the journal must be read anew.
    public var makeCore: (Configuration, ServiceStart) -> Core
    /// Topics whose messages are handled before others that came with them.
    public var servedFirst: (String) -> Bool = { _ in false }
    /// Topics of the service's own numbers: to a message there the journal's are added.
    public var isMetrics: (String) -> Bool = { _ in false }
    /// Whether words that are no flags are welcome; `Configuration.arguments` has them.
    public var takesArguments = false
    /// What the core is given after SIGHUP: the configuration as JSON, unless set; `nil`: nothing.
    public var reloaded: (Configuration) -> [UInt8]? = { $0.encoded }
    /// Milliseconds from SIGTERM to the end, for a core that does not quit by itself; 5000 unless set.
    public var leaveTime: (Configuration) -> Int = { _ in LoopTiming.leaveTime }

    /// Makes the store of a service that keeps more than its journal.
    public var makeArchive: (Configuration, ServiceStart) -> (any Archive)? = { _, _ in nil }
    /// Seconds for which the broker keeps the session of a service that is away; an hour unless set.
    public var sessionSeconds = 3600

    /// Looked at once a minute: whether something outside of the configuration changed, so that all is read again.
    public var hasChanged: (Configuration) -> Bool = { _ in false }

    /// A daemon with no keys of its own, unless set.
    public init(
        role: String, version: String, summary: String, makeCore: @escaping (Configuration, ServiceStart) -> Core
    ) {
        self.role = role
        self.version = version
        self.summary = summary
        self.makeCore = makeCore
    }
}

/// Runs a daemon from its command line to its exit status.
public struct ServiceRunner<Core: Service> {
    let description: ServiceDescription<Core>
    let parser: ConfigurationParser

    /// A runner for a daemon.
    public init(_ description: ServiceDescription<Core>) {
        self.description = description
        let role = description.role
        var parser = ConfigurationParser(
            section: role,
            keys: BrokerKeys.keys(section: role, defaultUser: role) + Self.serviceKeys(role) + description.keys)
        parser.takesArguments = description.takesArguments
        self.parser = parser
    }

    /// The keys of every service besides those of the broker.
    static func serviceKeys(_ role: String) -> [ConfigurationKey] {
        [
            ConfigurationKey(
                "\(role).state_directory", .text,
                help: "Where the journal and the client id are kept; STATE_DIRECTORY, or else "
                    + "~/.local/state/martlet/\(role).",
                flag: "state-directory", needsRestart: true),
            ConfigurationKey(
                "journal.free_space_bytes", .integer(0...(1 << 50)), standard: "67108864",
                help: "With less free on the journal's disk nothing new is accepted.", needsRestart: true),
            ConfigurationKey(
                "journal.compaction_floor_bytes", .integer(4096...(1 << 40)), standard: "8388608",
                help: "A smaller journal is never compacted.", needsRestart: true),
            ConfigurationKey(
                "log.format", .word(LogWriter.Format.allCases.map(\.rawValue)), standard: "text",
                help: "The form of log lines.", needsRestart: true),
            ConfigurationKey(
                "log.level", .word(["error", "warning", "info", "debug"]), standard: "info",
                help: "The least grave events that are logged.", needsRestart: true),
        ]
    }

    /// Runs the daemon with the command line of this process, and ends the process.
    public func main() -> Never { exit(Int32(run(Array(CommandLine.arguments.dropFirst())))) }

    /// Runs the daemon; returns its exit status: 0 done, 64 usage, 70 own fault, 77 not admitted by the broker, 78
    /// configuration, damaged journal or a second instance.
    public func run(_ arguments: [String]) -> Int {
        let outcome = read(arguments)
        if outcome.switches.contains("help") { return say(help) }
        if outcome.switches.contains("version") { return say("martlet-\(description.role) \(description.version)\n") }
        if let status = outcome.exitStatus { return complain(outcome.problems, status) }
        let configuration = outcome.configuration
        if outcome.switches.contains("check") { return say("The configuration is good.\n") }
        if outcome.switches.contains("show-config") { return say(configuration.listing) }
        let directory: StateDirectory
        do throws(StateDirectory.Fault) {
            directory = try StateDirectory(stateDirectory(configuration))
        } catch {
            return refuse("\(error)", 78)
        }
        do throws(SystemError) {
            let clientID = try directory.identity(role: description.role)
            let start = ServiceStart(
                seed: 0, clientID: clientID, instance: try directory.instance(role: description.role),
                stateDirectory: directory.path, boot: RandomSource.hexadecimal(bytes: 8))
            return serve(configuration, arguments, directory, start)
        } catch {
            return refuse("\(error)", 78)
        }
    }

    private func serve(
        _ configuration: Configuration, _ arguments: [String], _ directory: StateDirectory, _ start: ServiceStart
    ) -> Int {
        let log = LogWriter(
            format: LogWriter.Format(rawValue: configuration.text("log.format") ?? "") ?? .text,
            level: level(configuration))
        guard case .success(let address) = BrokerKeys.address(configuration) else { return 78 }
        var options = ConnectionOptions(address: address, clientID: start.clientID)
        BrokerKeys.apply(configuration, section: description.role, to: &options)
        options.sessionExpirySeconds = description.sessionSeconds
        var limits = Journal.Limits()
        limits.freeSpace = configuration.integer("journal.free_space_bytes")
        limits.compactionFloor = configuration.integer("journal.compaction_floor_bytes")
        var parts = LoopParts(
            makeCore: { [description] in
                var start = start
                start.seed = RandomSource.seed
                return description.makeCore(configuration, start)
            },
            journal: Journal(directory: directory.path, limits: limits),
            link: Link(options, seed: RandomSource.seed), log: log)
        parts.archive = description.makeArchive(configuration, start)
        parts.servedFirst = description.servedFirst
        parts.isMetrics = description.isMetrics
        parts.leaveTime = description.leaveTime(configuration)
        parts.reload = { reload(arguments, running: configuration, log: log) }
        parts.hasChanged = { [description] in description.hasChanged(configuration) }
        log.write(
            LogEvent(
                .info, "starting", "martlet-\(description.role) \(description.version)",
                [LogField("state", directory.path), LogField("broker", address.description)]))
        return withExtendedLifetime(directory) { loop(parts, log) }
    }

    private func loop(_ parts: LoopParts<Core>, _ log: LogWriter) -> Int {
        do {
            var parts = parts
            parts.signals = try SignalWatch()
            let ending = try EventLoop(parts).run()
            log.write(LogEvent(ending.status == 0 ? .info : .error, "stopped", ending.reason))
            return ending.status
        } catch let fault as JournalFault {
            return refuse(fault.description, 78)
        } catch {
            return refuse("\(error)", 70)
        }
    }

    private func read(_ arguments: [String]) -> ConfigurationParser.Outcome {
        var outcome = parser.parse(arguments)
        if case .failure(let problem) = BrokerKeys.address(outcome.configuration) { outcome.problems.append(problem) }
        if outcome.problems.isEmpty { outcome.problems += description.check(outcome.configuration) }
        return outcome
    }

    /// Reads the configuration again; a refused one is logged, key by key, and changes nothing.
    private func reload(_ arguments: [String], running: Configuration, log: LogWriter) -> [UInt8]? {
        let outcome = read(arguments)
        for problem in outcome.problems {
            log.write(LogEvent(.warning, "configuration_refused", problem.description))
        }
        guard outcome.problems.isEmpty else { return nil }
        let late = outcome.configuration.restartKeys(changedFrom: running)
        if !late.isEmpty {
            log.write(
                LogEvent(
                    .warning, "restart_needed", "Changed keys that take effect only after a restart",
                    [LogField("keys", late.joined(separator: ","))]))
        }
        return description.reloaded(outcome.configuration)
    }

    private func level(_ configuration: Configuration) -> LogLevel {
        let levels: [LogLevel] = [.error, .warning, .info, .debug]
        return levels.first { $0.name == configuration.text("log.level") } ?? .info
    }

    private func stateDirectory(_ configuration: Configuration) -> String {
        let role = description.role
        if let path = configuration.text("\(role).state_directory") { return path }
        if let path = environmentValue("STATE_DIRECTORY") { return String(path.prefix { $0 != ":" }) }
        if let path = environmentValue("XDG_STATE_HOME") { return "\(path)/martlet/\(role)" }
        return "\(environmentValue("HOME") ?? "/var/lib")/.local/state/martlet/\(role)"
    }

    private var help: String {
        HelpText(
            program: "martlet-\(description.role)", summary: description.summary, examples: description.examples,
            parser: parser
        ).text
    }

    private func say(_ text: String) -> Int {
        try? writeAll(1, Array(text.utf8), named: "standard output")
        return 0
    }

    private func refuse(_ text: String, _ status: Int) -> Int {
        try? writeAll(2, Array("martlet-\(description.role): \(text)\n".utf8), named: "standard error")
        return status
    }

    private func complain(_ problems: [ConfigurationProblem], _ status: Int) -> Int {
        for problem in problems { _ = refuse(problem.description, status) }
        return status
    }
}
