/// What came of a run.
public struct RunReport: Sendable {
    /// The seed that repeats it.
    public var seed: UInt64
    /// Rules that were broken, first one first.
    public var violations: [String]
    /// How often each thing happened that a set of seeds must meet.
    public var sometimes: [(name: String, count: Int)]
    /// The hash of all that happened.
    public var trace: UInt64
    /// Events that were played.
    public var events: Int
    /// Intents that were sent.
    public var intents: Int
    /// The faults that were on.
    public var faults: [String]
}
