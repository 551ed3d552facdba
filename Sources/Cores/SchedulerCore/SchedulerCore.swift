public import Machine
public import TimeModel
// Settings and their members are Timing's: whoever has a scheduler has them.
@_exported public import Timing

/// What a scheduler is told from outside.
public typealias SchedulerSettings = EngineSettings

/// What a scheduler gets when everything is read again.
public typealias SchedulerReload = EngineReload

/// The scheduler's decisions (`topics/schedules.md`): which slots become intents, and what is told of those that do not.
///
/// All of it is done by the engine that checks share; a scheduler adds nothing.
public struct SchedulerCore: Service {
    /// What the shell tells.
    public typealias Input = ServiceInput
    /// What the shell is asked for.
    public typealias Effect = ServiceEffect

    private var engine: ScheduleEngine

    /// A scheduler without schedules.
    public init(settings: SchedulerSettings) { engine = ScheduleEngine(settings: settings) }

    /// Until when nothing is due.
    public var nextWake: MonotonicTime? { engine.nextWake }

    /// Takes one input and appends what is to be done.
    public mutating func handle(_ input: ServiceInput, at now: Now, emitting output: inout [ServiceEffect]) {
        engine.handle(input, at: now, emitting: &output)
    }

    /// Takes one record of the journal.
    public mutating func replay(_ record: [UInt8]) throws(JournalError) { try engine.replay(record) }

    /// Writes records that give this state again.
    public func snapshot(_ emit: ([UInt8]) -> Void) { engine.snapshot(emit) }

    /// What the broker publishes when this process is lost.
    public func will() -> OutboundMessage? { engine.will() }

    /// A sentence for each invariant that does not hold.
    public func checkInvariants() -> [String] { engine.checkInvariants() }
}
