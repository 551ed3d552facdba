public import Contract
import ExecutorCore
import Foundation
import Shell
public import Wire

/// One task as a handler sees it.
public struct WorkItem: Hashable, Sendable {
    /// The task's id.
    public var task: String
    /// Whose task it is.
    public var principal: String
    /// What is to be run.
    public var capability: String
    /// Which action of it.
    public var action: String?
    /// 1 for the first attempt.
    public var attempt: Int
    /// Fencing number of this attempt; a resource that refuses lower ones is safe from late work.
    public var epoch: Int
    /// Fencing number of the dispatcher.
    public var term: Int
    /// What it gets; `{}` when the intent has none.
    public var input: RawJSON
}

/// Ends a task as `failed`, with a code of its own and a word on whether another try makes sense.
public struct TaskFailure: Error, Hashable, Sendable {
    /// What is reported.
    public var error: ErrorBody

    /// A failure; `transient`, and so tried again, unless said otherwise.
    public init(_ code: Code, _ message: String, errorClass: ErrorClass = .transient) {
        error = ErrorBody(code, message, errorClass: errorClass)
    }
}

/// Offers capabilities that are done by Swift code.
/// ```swift
/// var executor = MartletExecutor(MartletConnection(user: "upper-1"), slots: 4)
/// executor.offer("text.upper") { (text: String) in text.uppercased() }
/// try await executor.run()
/// ```
/// The whole of the executor's protocol is kept: leases, fencing, outcomes until they are confirmed. Nothing is written
/// to a disk: outcomes that nobody confirmed end with the process, and the dispatcher then counts the task as lost.
public struct MartletExecutor: Sendable {
    /// Does the work of one task.
    public typealias Handler = @Sendable (WorkItem) async throws -> RawJSON

    private let connection: MartletConnection
    private var manifest: Manifest
    private var handlers: [String: Handler] = [:]

    /// An executor that does at most `slots` tasks at once, 1 to 4096.
    public init(_ connection: MartletConnection, slots: Int = 1) {
        self.connection = connection
        manifest = Manifest(capabilities: [])
        manifest.card.slots = min(max(1, slots), Limits.slots)
    }

    /// Offers a capability; one of the same name is replaced. `entry` says more about it for its card: cost, time limit,
    /// schemas. The Swift task of `handler` is cancelled when the time is up, the task is canceled or the lease is lost.
    public mutating func offer(_ capability: String, _ entry: CapabilityEntry? = nil, handler: @escaping Handler) {
        var entry = entry ?? CapabilityEntry(name: capability)
        entry.name = capability
        manifest.capabilities.removeAll { $0.entry.name == capability }
        manifest.capabilities.append(OfferedCapability(entry, .command(Command([capability]))))
        handlers[capability] = handler
    }

    /// Offers a capability whose input and output are values of Swift. An input of another type fails as
    /// `invalid_field`.
    public mutating func offer<Input: Decodable & Sendable, Output: Encodable & Sendable>(
        _ capability: String, _ entry: CapabilityEntry? = nil,
        handler: @escaping @Sendable (Input) async throws -> Output
    ) {
        offer(capability, entry) { work in
            let input: Input
            do {
                input = try JSONDecoder().decode(Input.self, from: Data(work.input.bytes))
            } catch {
                throw TaskFailure(.invalidField, "input: \(error)", errorClass: .permanent)
            }
            return try RawJSON(validating: Array(try JSONEncoder().encode(try await handler(input))))
        }
    }

    /// Connects and works until the surrounding Swift task is cancelled: then nothing new is taken, running work has
    /// 2.5 s to end, the rest is given back. Throws `badAddress`, `badName` or `notAdmitted`.
    public func run() async throws(MartletError) {
        let options = try connection.options()
        for name in handlers.keys.sorted() where !Names.isName(name) { throw .badName(name) }
        let settings = ExecutorSettings(
            workspace: connection.workspace, name: connection.user, seed: RandomSource.seed)
        let ending = RunEnding()
        let bus = BusThread(options) { [manifest, handlers] send in
            ExecutorHome(ExecutorMachine(manifest, settings: settings), handlers, ending, send)
        }
        let error = await withTaskCancellationHandler {
            await ending.wait()
        } onCancel: {
            bus.send(.terminate)
        }
        if let error { throw error }
    }
}
