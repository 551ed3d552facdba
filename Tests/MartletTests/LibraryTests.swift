import Contract
import Foundation
import Martlet
import Shell
import TestSupport
import Testing
import Wire

/// Swift programs that ask and work: against the real dispatcher.
@Suite(.serialized) struct LibraryTests {
    /// A broker with a dispatcher that knows `executor`.
    private final class Bus {
        let broker: TestBroker
        let folder: TemporaryFolder
        let dispatcher: ProgramFixture

        init() throws {
            broker = try TestBroker()
            folder = try TemporaryFolder()
            dispatcher = try ProgramFixture(
                "martlet-dispatcher",
                ["--broker", broker.address.description, "--state-directory", folder.path + "/state"])
        }

        func connection(_ user: String) -> MartletConnection {
            MartletConnection(broker.address.description, user: user)
        }

        /// Runs something beside an executor; the executor is ended behind it.
        func with(_ executor: MartletExecutor, _ body: (MartletClient) async throws -> Void) async throws {
            let work = Task { try await executor.run() }
            let client = try MartletClient(connection("me"))
            let isThere = try await Await.condition {
                let probe = try? await client.run("probe", input: .emptyObject)
                return probe?.status == .success
            }
            #expect(isThere, "\(dispatcher.output)")
            try await body(client)
            await client.close()
            work.cancel()
            try await work.value
            await dispatcher.end()
        }
    }

    private struct Numbers: Codable, Equatable {
        var values: [Int]
    }

    private func executor(_ bus: Bus, slots: Int = 4) -> MartletExecutor {
        var executor = MartletExecutor(bus.connection("e1"), slots: slots)
        executor.offer("probe") { work in work.input }
        executor.offer("sum") { (numbers: Numbers) in numbers.values.reduce(0, +) }
        return executor
    }

    @Test func valuesGoInAndComeOut() async throws {
        let bus = try Bus()
        try await bus.with(executor(bus)) { client in
            let sum: Int = try await client.run("sum", Numbers(values: [1, 2, 39]))
            #expect(sum == 42)
            let result = try await client.run("probe", input: RawJSON { $0.value("é") })
            #expect(result.output?.text == "\"é\"")
            #expect(result.executor == "e1")
            let wrong = try await client.run("sum", input: RawJSON { $0.value(1) })
            #expect(wrong.status == .failed)
            #expect(wrong.error?.code == .invalidField)
            #expect(wrong.attempts.count == 1)
        }
    }

    @Test func manyAtOnceAreEachAnswered() async throws {
        let bus = try Bus()
        try await bus.with(executor(bus, slots: 8)) { client in
            let sums = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<100 {
                    group.addTask { try await client.run("sum", Numbers(values: [number, 1])) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(sums.sorted() == Array(1...100))
        }
    }

    @Test func failuresSayWhatTheHandlerSays() async throws {
        let bus = try Bus()
        var executor = executor(bus)
        executor.offer("broken") { (work: WorkItem) in
            throw TaskFailure(Code(rawValue: "out_of_paper"), "tray 2", errorClass: .permanent)
        }
        executor.offer("second") { (work: WorkItem) in
            if work.attempt == 1 { throw TaskFailure(.internal, "not yet") }
            return RawJSON { $0.value(work.attempt) }
        }
        try await bus.with(executor) { client in
            let broken = try await client.run("broken", input: .emptyObject)
            #expect(broken.error?.code.rawValue == "out_of_paper")
            var intent = Intent()
            intent.retry = RetryRule(count: 2, delayMs: 1)
            #expect(try await client.run("second", intent).output?.text == "2")
            await #expect(throws: MartletError.self) { let _: Int = try await client.run("broken", 1) }
        }
    }

    @Test func refusalsIdsAndTimesAreTold() async throws {
        let bus = try Bus()
        let gate = AsyncStream.makeStream(of: Void.self)
        var executor = executor(bus)
        executor.offer("wait") { (work: WorkItem) in
            for await _ in gate.stream { break }
            return .null
        }
        try await bus.with(executor) { client in
            let unknown = try await client.run("nobody.has.it", input: .null)
            #expect(unknown.error?.code == .unknownCapability)
            await #expect(throws: MartletError.badName("a b")) { try await client.run("a b", input: .null) }
            await #expect(throws: MartletError.timedOut) {
                _ = try await client.run("wait", Intent(), id: "w1", timeoutMs: 200)
            }
            #expect(try await client.publish("wait", Intent(), id: "w1") == "w1")
            await #expect(throws: MartletError.self) { try await client.publish("nobody.has.it", Intent()) }
            gate.continuation.yield()
            #expect(try await client.run("wait", Intent(), id: "w1").status == .success)
        }
    }

    @Test func aHandlerOverItsTimeIsCancelled() async throws {
        let bus = try Bus()
        let seen = AsyncStream.makeStream(of: Bool.self)
        var executor = executor(bus)
        executor.offer("long") { (work: WorkItem) in
            for await _ in AsyncStream<Void>.makeStream().stream {}
            seen.continuation.yield(Task.isCancelled)
            return .null
        }
        try await bus.with(executor) { client in
            var intent = Intent()
            intent.timeoutMs = 100
            intent.retry = RetryRule(count: 0)
            let result = try await client.run("long", intent)
            #expect(result.status == .timeout)
            for await wasCancelled in seen.stream {
                #expect(wasCancelled)
                break
            }
        }
    }

    @Test func cancellingTheCallEndsTheWaiting() async throws {
        let bus = try Bus()
        let client = try MartletClient(bus.connection("me"))
        let call = Task { try await client.run("probe", input: .null) }
        call.cancel()
        await #expect(throws: CancellationError.self) { _ = try await call.value }
        await client.close()
        await #expect(throws: MartletError.closed) { _ = try await client.run("probe", input: .null) }
        await bus.dispatcher.end()
    }

    @Test func whatCannotBeAnAddressOrAnAccountIsRefused() async throws {
        #expect(throws: MartletError.badAddress("http://x")) {
            try MartletClient(MartletConnection("http://x", user: "a"))
        }
        #expect(throws: MartletError.badName("a b")) { try MartletClient(MartletConnection(user: "a b")) }
        let broker = try TestBroker(["allow_anonymous false"])
        let connection = MartletConnection(broker.address.description, user: "stranger")
        let client = try MartletClient(connection)
        await #expect(throws: MartletError.self) { try await client.run("x", input: .null) }
        await #expect(throws: MartletError.self) { try await MartletExecutor(connection).run() }
        await client.close()
    }
}
