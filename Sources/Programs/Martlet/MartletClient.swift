public import Contract
import Foundation
import Shell
public import Wire

/// Asks for work.
/// ```swift
/// let client = try MartletClient(MartletConnection(user: "me"))
/// let result = try await client.run("demo.echo", input: RawJSON { $0.value("hello") })
/// ```
/// Every call may be made from any Swift task. The connection is made in the background, and anew when it is lost;
/// intents are repeated with the same id until they are answered, which has the effect of one.
public final class MartletClient: Sendable {
    private let bus: BusThread<ClientHome>

    /// A client; throws `badAddress` or `badName` at once, everything else with the call that needs the broker.
    public init(_ connection: MartletConnection) throws(MartletError) {
        let options = try connection.options()
        bus = BusThread(options) { _ in ClientHome(connection.workspace, connection.user) }
    }

    deinit { bus.send(.close(nil)) }

    /// Runs a capability and waits for its result, whatever that is: `failed` and `rejected` are results too.
    ///
    /// - Parameters:
    ///   - capability: What is to be run.
    ///   - intent: Input and everything else that can be asked for (`topics/intents.md`).
    ///   - id: The task's id, at most 128 bytes; random when `nil`. The same id with the same content is the same task.
    ///   - timeoutMs: How long to wait; `nil`: for ever. The task itself has its own limits, in the intent.
    ///
    /// Cancelling the Swift task ends the waiting with `CancellationError`; the task goes on.
    public func run(
        _ capability: String, _ intent: Intent, id: String? = nil, timeoutMs: Int? = nil
    ) async throws -> TaskResult {
        switch try await ask(capability, intent, id: id, AskLimits(wantsResult: true, timeoutMs: timeoutMs)) {
        case .result(let result): result
        case .accepted: throw MartletError.closed
        }
    }

    /// Runs a capability with an input and waits for its result.
    public func run(_ capability: String, input: RawJSON) async throws -> TaskResult {
        var intent = Intent()
        intent.input = input
        return try await run(capability, intent)
    }

    /// Runs a capability with an input and returns its output. Throws `failed` when the task does not succeed, or when
    /// its output is of another type.
    public func run<Output: Decodable>(
        _ capability: String, _ input: some Encodable, as type: Output.Type = Output.self
    ) async throws -> Output {
        let result = try await run(capability, input: RawJSON(validating: Array(try JSONEncoder().encode(input))))
        let output = Data((result.output ?? .null).bytes)
        guard result.status == .success, let value = try? JSONDecoder().decode(Output.self, from: output) else {
            throw MartletError.failed(result)
        }
        return value
    }

    /// Publishes an intent and returns the task's id as soon as the dispatcher has it in its journal. Throws `rejected`.
    @discardableResult public func publish(
        _ capability: String, _ intent: Intent, id: String? = nil, timeoutMs: Int? = nil
    ) async throws -> String {
        switch try await ask(capability, intent, id: id, AskLimits(wantsResult: false, timeoutMs: timeoutMs)) {
        case .accepted(let id): return id
        case .result(let result):
            if result.status == .rejected { throw MartletError.rejected(result) }
            return result.task
        }
    }

    /// Leaves the broker. Calls that still wait throw `closed`; tasks go on.
    public func close() async {
        await withCheckedContinuation { continuation in
            if !bus.send(.close(continuation)) { continuation.resume() }
        }
    }

    private func ask(_ capability: String, _ intent: Intent, id: String?, _ limits: AskLimits) async throws -> Answer {
        let id = id ?? RandomSource.hexadecimal(bytes: 10)
        guard Names.isName(capability) else { throw MartletError.badName(capability) }
        guard Names.isID(id) else { throw MartletError.badName(id) }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let question = Question(id, capability, intent.encoded, limits, continuation)
                if !bus.send(.ask(question)) { continuation.resume(throwing: MartletError.closed) }
                // A call that was cancelled before it began said so before its question was there.
                if Task.isCancelled { bus.send(.forget(id)) }
            }
        } onCancel: {
            bus.send(.forget(id))
        }
    }
}

/// How long and for what a call waits.
struct AskLimits: Sendable {
    var wantsResult: Bool
    var timeoutMs: Int?
}

/// What a call waits for.
enum Answer: Sendable {
    /// The intent is a task.
    case accepted(String)
    /// The task has ended, or the intent was refused.
    case result(TaskResult)
}
