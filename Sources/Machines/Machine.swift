public import TimeModel

/// The two clocks of one moment. They do not mix: leases and time-outs use `monotonic`, what crosses a process or a
/// restart uses `wall`.
public struct Now: Hashable, Sendable {
    /// What the calendar says; may step.
    public var wall: WallTime
    /// What has passed since the machine started, time suspended included; never steps.
    public var monotonic: MonotonicTime

    /// Both readings of one moment.
    public init(wall: WallTime, monotonic: MonotonicTime) {
        self.wall = wall
        self.monotonic = monotonic
    }
}

/// A core: a value that decides. It reads no clock, file, environment or random source; everything it learns comes
/// through `handle`, everything it wants done leaves as an effect.
public protocol Machine: Sendable {
    /// What can happen to it.
    associatedtype Input: Sendable
    /// What it can ask for: a plain value, carried out by the shell or by the simulator.
    associatedtype Effect: Equatable & Sendable

    /// Takes one input and appends what is to be done, in order.
    mutating func handle(_ input: Input, at now: Now, emitting effects: inout [Effect])

    /// Until when nothing is due; `nil`: nothing is ever due without a further input.
    var nextWake: MonotonicTime? { get }

    /// Returns a sentence for each invariant that does not hold; empty when all hold. Called after each input in
    /// simulation and tests.
    func checkInvariants() -> [String]
}
