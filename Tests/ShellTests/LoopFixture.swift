import Glibc
import Machine
import TestSupport
import TimeModel

@testable import Shell

/// Runs a relay in this process, turn by turn, on a state directory that outlives it.
final class LoopFixture {
    let broker: TestBroker
    let scratch: Scratch
    var loop: EventLoop<RelayCore>
    private let configure: (inout RelayCore) -> Void

    init(_ broker: TestBroker, configure: @escaping (inout RelayCore) -> Void = { _ in }) throws {
        self.broker = broker
        self.configure = configure
        scratch = try Scratch()
        loop = try LoopFixture.makeLoop(broker, scratch.path, configure)
        try loop.begin()
    }

    static func makeLoop(
        _ broker: TestBroker, _ directory: String, _ configure: @escaping (inout RelayCore) -> Void
    ) throws -> EventLoop<RelayCore> {
        var options = ConnectionOptions(address: broker.address, clientID: "relay")
        options.keepaliveSeconds = 5
        var limits = Journal.Limits()
        limits.compactionFloor = 4096
        let parts = LoopParts(
            makeCore: {
                var core = RelayCore()
                configure(&core)
                return core
            },
            journal: Journal(directory: directory, limits: limits), link: Link(options, seed: 1),
            log: LogWriter(format: .text, level: .error, descriptor: -1))
        return try EventLoop(parts)
    }

    /// A new process on the same state directory: the old loop is gone.
    func startAgain() throws {
        loop.parts.link.drop()
        loop = try LoopFixture.makeLoop(broker, scratch.path, configure)
        try loop.begin()
    }

    /// Makes turns until the condition holds; false when it does not within 10 s. Ends early when the run ends.
    @discardableResult func run(
        while serving: ClientSession? = nil, until condition: (RelayCore) -> Bool
    ) -> EventLoop<RelayCore>.Ending? {
        let deadline = SystemClock.monotonic + 10_000
        while !condition(loop.core), SystemClock.monotonic < deadline {
            serving?.pump()
            loop.nextAlive = SystemClock.monotonic + 5
            if let ending = loop.turn() { return ending }
        }
        return nil
    }

    var core: RelayCore { loop.core }
}
