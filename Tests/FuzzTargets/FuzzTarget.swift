/// One parser, or reader of stored bytes, as something that takes any bytes (`topics/promises.md`, G-18 and G-20).
/// `.ci/fuzz` drives them with libFuzzer, `FuzzTests` with the kept corpora and seeded changes of them.
public enum FuzzTarget: String, CaseIterable, Sendable {
    /// The JSON reader and writer.
    case json
    /// Every message of the contract; the first byte says which.
    case messages
    /// Topic names.
    case topics
    /// Cron expressions, and the first slots of those that are read.
    case cron
    /// Zone files.
    case zones
    /// What comes over the bus, for each service: the topic in the first line, then the payload.
    case inbound
    /// Documents of schedules and checks, as they are put.
    case documents
    /// Expressions in conditions.
    case conditions
    /// Points in time and civil times.
    case times
    /// The journal's file: no valid prefix is lost.
    case journal
    /// The journals' records, as each service replays them; one on a line.
    case records
    /// Configuration files.
    case configuration
    /// Command lines of the daemons and of `martlet`; one word on a line.
    case commandline
    /// Manifests of executors.
    case manifest
    /// Rule sets of the dispatcher.
    case policy

    /// Takes an input. Returns a sentence when a promise about it is broken; what must never happen at all traps.
    public func run(_ bytes: [UInt8]) -> String? {
        switch self {
        case .json: JSONFuzz.run(bytes)
        case .messages: MessageFuzz.run(bytes)
        case .topics: TextFuzz.topic(bytes)
        case .cron: TextFuzz.cron(bytes)
        case .zones: TextFuzz.zone(bytes)
        case .inbound: RecordFuzz.inbound(bytes)
        case .documents: RecordFuzz.documents(bytes)
        case .conditions: TextFuzz.condition(bytes)
        case .times: TextFuzz.time(bytes)
        case .journal: JournalFuzz.run(bytes)
        case .records: RecordFuzz.run(bytes)
        case .configuration: SettingsFuzz.configuration(bytes)
        case .commandline: SettingsFuzz.commandLine(bytes)
        case .manifest: SettingsFuzz.manifest(bytes)
        case .policy: SettingsFuzz.policy(bytes)
        }
    }
}
