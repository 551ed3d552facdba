import Contract
import ExecutorCore
import Machine
import Shell
import Synchronization
import TimeModel
import Wire

/// What comes to an executor's thread from outside.
enum ExecutorRequest: Sendable {
    /// A handler has returned: its output, or the report of its failure.
    case returned(Int, ChildOutcome.End, [UInt8])
    /// Leave in good order.
    case terminate
}

/// The side of an executor that lives on the connection's thread: the same machine as in `martlet-executor`, with
/// handlers in the place of programs.
struct ExecutorHome: Resident {
    typealias Request = ExecutorRequest

    /// A handler at work.
    private struct Running {
        var work: Task<Void, Never>
        var startedAt: MonotonicTime
        /// When its time is up.
        var limit: MonotonicTime
        var graceMs: Int
        /// Why it was asked to stop, and until when its end is awaited.
        var stop: (end: ChildOutcome.End, until: MonotonicTime)?
    }

    private var machine: ExecutorMachine
    private let handlers: [String: MartletExecutor.Handler]
    private let ending: RunEnding
    private let send: @Sendable (ExecutorRequest) -> Void
    private var running: [Int: Running] = [:]
    private var error: MartletError?
    private var wasConnected = false
    private(set) var isDone = false

    init(
        _ machine: ExecutorMachine, _ handlers: [String: MartletExecutor.Handler], _ ending: RunEnding,
        _ send: @escaping @Sendable (ExecutorRequest) -> Void
    ) {
        self.machine = machine
        self.handlers = handlers
        self.ending = ending
        self.send = send
        var nothing: [ServiceEffect] = []
        self.machine.handle(.started, at: SystemClock.now, emitting: &nothing)
    }

    var nextWake: MonotonicTime? {
        ([machine.nextWake] + running.values.map { $0.stop?.until ?? $0.limit }).compactMap { $0 }.min()
    }

    func will() -> OutboundMessage? { machine.will() }

    mutating func take(_ request: ExecutorRequest, _ link: Link) {
        switch request {
        case .terminate: give(.terminate, link)
        case .returned(let id, let end, let output):
            guard let handler = running.removeValue(forKey: id) else { return }
            conclude(id, handler, handler.stop?.end ?? end, output, link)
        }
    }

    mutating func take(_ event: LinkEvent, _ link: Link) {
        switch event {
        case .connected:
            wasConnected = true
            give(.connected, link)
        case .disconnected: give(.disconnected, link)
        case .message(let message): give(.message(message), link)
        case .delivered(let token): give(.delivered(token: token), link)
        case .attemptFailed(let reason, forbidden: true) where !wasConnected:
            error = .notAdmitted(reason)
            isDone = true
        default: break
        }
    }

    mutating func wake(_ link: Link) {
        let now = SystemClock.monotonic
        for id in running.keys.sorted() {
            guard let handler = running[id] else { continue }
            if let stop = handler.stop, stop.until <= now {
                running[id] = nil
                conclude(id, handler, stop.end, [], link)
            } else if handler.stop == nil, handler.limit <= now {
                askToStop(id, .timedOut)
            }
        }
        give(.wake, link)
    }

    mutating func ended() {
        for handler in running.values { handler.work.cancel() }
        ending.end(error)
    }

    private mutating func give(_ input: ServiceInput, _ link: Link) {
        var effects: [ServiceEffect] = []
        machine.handle(input, at: SystemClock.now, emitting: &effects)
        for effect in effects {
            switch effect {
            case .publish(let message): _ = link.publish(message)
            case .subscribe(let filters): _ = link.subscribe(filters)
            case .startChild(let request): start(request)
            case .stopChild(let id): askToStop(id, .stopped)
            case .quit: isDone = true
            case .append, .log, .status, .ready, .archive: break
            }
        }
    }

    private mutating func start(_ request: ChildRequest) {
        let now = SystemClock.monotonic
        let item = WorkItem(request)
        let handler = handlers[item.capability]
        let work = Task { [send] in
            do {
                guard let handler else { throw TaskFailure(.skillNotLoaded, item.capability) }
                send(.returned(request.id, .exited(0), try await handler(item).bytes))
            } catch let failure as TaskFailure {
                send(.returned(request.id, .exited(1), ExecutorHome.report(failure.error)))
            } catch {
                let failure = ErrorBody(Code(rawValue: "handler_failed"), String("\(error)".prefix(1000)))
                send(.returned(request.id, .exited(1), ExecutorHome.report(failure)))
            }
        }
        running[request.id] = Running(
            work: work, startedAt: now, limit: now + request.timeoutMs, graceMs: request.graceMs)
    }

    private static func report(_ error: ErrorBody) -> [UInt8] {
        RawJSON { $0.object { $0.field("error", error) } }.bytes
    }

    private mutating func askToStop(_ id: Int, _ end: ChildOutcome.End) {
        guard let handler = running[id], handler.stop == nil else { return }
        handler.work.cancel()
        running[id]?.stop = (end, SystemClock.monotonic + handler.graceMs)
    }

    private mutating func conclude(
        _ id: Int, _ handler: Running, _ end: ChildOutcome.End, _ output: [UInt8], _ link: Link
    ) {
        let duration = SystemClock.monotonic - handler.startedAt
        let outcome = ChildOutcome(
            end: end, output: output, errorTail: [], cpuTimeMs: 0, maxResidentKiB: 0, durationMs: duration)
        give(.childEnded(id: id, outcome), link)
    }
}

extension WorkItem {
    /// What the machine hands to a program in its environment.
    fileprivate init(_ request: ChildRequest) {
        func value(_ name: String) -> String? {
            let prefix = "MARTLET_\(name)="
            return request.environment.first { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
        }
        task = value("TASK") ?? ""
        principal = value("PRINCIPAL") ?? ""
        capability = value("CAPABILITY") ?? ""
        action = value("ACTION")
        attempt = value("ATTEMPT").flatMap { Int($0) } ?? 1
        epoch = value("EPOCH").flatMap { Int($0) } ?? 0
        term = value("TERM").flatMap { Int($0) } ?? 0
        input = (try? RawJSON(validating: request.input)) ?? .emptyObject
    }
}

/// The end of a run, for the one who waits for it.
final class RunEnding: Sendable {
    private enum State {
        case running
        case awaited(CheckedContinuation<MartletError?, Never>)
        case ended(MartletError?)
    }

    private let state = Mutex(State.running)

    func wait() async -> MartletError? {
        await withCheckedContinuation { continuation in
            let ended: MartletError?? = state.withLock { state in
                if case .ended(let error) = state { return .some(error) }
                state = .awaited(continuation)
                return nil
            }
            if let error = ended { continuation.resume(returning: error) }
        }
    }

    func end(_ error: MartletError?) {
        let waiting: CheckedContinuation<MartletError?, Never>? = state.withLock { state in
            defer { state = .ended(error) }
            if case .awaited(let continuation) = state { return continuation }
            return nil
        }
        waiting?.resume(returning: error)
    }
}
