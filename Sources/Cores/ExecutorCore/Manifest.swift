public import Contract

/// What one executor offers and how it does it (`deploy/executors/README.md`): the fields of its card, and for each
/// capability the work behind it.
public struct Manifest: Hashable, Sendable {
    /// The card without boot, revision and capabilities, which the machine fills in.
    public var card: Card
    /// Everything that can be offered, loaded or not, in the order of the file.
    public var capabilities: [OfferedCapability]
    /// How long a claim may wait at the dispatcher, in ms; 20 000 unless said.
    public var waitMs: Int
    /// After SIGTERM, how long running work may go on, in ms; 2500 unless said.
    public var drainMs: Int

    /// A manifest that offers `capabilities` and takes defaults for the rest.
    public init(capabilities: [OfferedCapability]) {
        card = Card(boot: "", rev: 0, capabilities: [])
        self.capabilities = capabilities
        waitMs = ManifestDefaults.waitMs
        drainMs = ManifestDefaults.drainMs
    }

    /// How much it does at one time.
    public var slots: Int { card.slots ?? 1 }
    /// Between two beats, in ms.
    public var beatMs: Int { card.beatMs ?? Defaults.beatMs }
    /// From SIGTERM to its end at the latest, in ms: draining, stopping the programs, the last messages.
    public var leaveMs: Int {
        let graces = capabilities.map { if case .command(let command) = $0.work { command.stopGraceMs } else { 0 } }
        return drainMs + (graces.max() ?? 0) + 1000
    }
    /// Whether it claims.
    public var pulls: Bool { card.modes?.contains(.pull) ?? false }

    /// The capability of this name, loaded or not.
    public func capability(_ name: String) -> OfferedCapability? { capabilities.first { $0.entry.name == name } }
}

/// One capability of a manifest.
public struct OfferedCapability: Hashable, Sendable {
    /// What stands on the card.
    public var entry: CapabilityEntry
    /// What is done for a task.
    public var work: Work
    /// Whether it stands on the card from the start; if not, `executor/load` puts it there.
    public var loaded: Bool

    /// A capability that is offered from the start unless said otherwise.
    public init(_ entry: CapabilityEntry, _ work: Work, loaded: Bool = true) {
        self.entry = entry
        self.work = work
        self.loaded = loaded
    }

    /// Slots one task takes.
    public var slotCost: Int { entry.slotCost ?? 1 }
}

/// What is done for a task.
public enum Work: Hashable, Sendable {
    /// Something the executor does itself.
    case builtin(Builtin)
    /// A program: input on standard input, output from standard output.
    case command(Command)
}

/// A program that does the work of a capability.
public struct Command: Hashable, Sendable {
    /// How standard output is understood when the program succeeds.
    public enum Output: String, CaseIterable, Hashable, Sendable {
        /// One JSON value; anything else is `result_invalid`. The default.
        case json
        /// A text, which becomes a JSON string without its last line end.
        case text
        /// An object with `output`, `error`, `usage`, `cost`.
        case report
    }

    /// Program and arguments; never touched by an input.
    public var arguments: [String]
    /// Working directory; absent: the executor's own.
    public var directory: String?
    /// Names that are passed on, and `NAME=value` that are set.
    public var environment: [String]
    /// Limit of memory in MiB; absent: none.
    public var memoryLimitMB: Int?
    /// Limit of standard output in bytes.
    public var outputLimit: Int
    /// How standard output is understood.
    public var output: Output
    /// Between SIGTERM and SIGKILL, in ms; 2000 unless said.
    public var stopGraceMs: Int

    /// A program with all defaults.
    public init(_ arguments: [String]) {
        self.arguments = arguments
        environment = ManifestDefaults.environment
        outputLimit = ManifestDefaults.outputLimit
        output = .json
        stopGraceMs = ManifestDefaults.stopGraceMs
    }
}

/// What a manifest need not say.
public enum ManifestDefaults {
    /// How long a claim may wait at the dispatcher, in ms.
    public static let waitMs = 20_000
    /// After SIGTERM, how long running work may go on, in ms.
    public static let drainMs = 2500
    /// Between SIGTERM and SIGKILL of a program, in ms.
    public static let stopGraceMs = 2000
    /// Bytes of standard output: what fits into a report.
    public static let outputLimit = Limits.payload - Limits.envelope
    /// What a program gets of the executor's own environment.
    public static let environment = ["PATH", "LANG", "LC_ALL", "TZ"]
    /// `PATH` of a program when the executor has none.
    public static let path = "PATH=/usr/local/bin:/usr/bin:/bin"
}

extension Limits {
    /// Tasks whose highest epoch an executor remembers; the oldest go.
    public static let executorEpochs = 10_000
    /// Outcomes an executor keeps until they are confirmed; with so many it takes no further work.
    public static let executorOutcomes = 8192
    /// Bytes of outcomes an executor keeps; with so many it takes no further work.
    public static let executorOutcomeBytes = 64 * 1024 * 1024
    /// Bytes of a program's standard error that go into `details`.
    public static let errorTail = 4096
    /// Bytes of `details` of an error that travel into the result: half of the envelope. A program's own that are
    /// larger are left out.
    public static let errorDetails = envelope / 2
    /// Arguments of a command.
    public static let commandArguments = 256
    /// Names of an allow-list of environment variables.
    public static let environmentNames = 256
    /// Beats that wait for their answer.
    public static let beatsInFlight = 32
}
