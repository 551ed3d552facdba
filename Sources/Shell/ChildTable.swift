import CPlatform
import Glibc
public import Machine
public import TimeModel

/// The running children of a service: each in a process group of its own, with limits of time, memory and output. All
/// their descriptors are polled by the one loop.
public final class ChildTable {
    /// Bytes of standard error that are kept, the last ones.
    static let errorTail = 8192
    /// Bytes read from one pipe in one turn.
    static let readLimit = 1 << 20

    private var running: [Int: Child] = [:]
    private var owners: [Int32: Int] = [:]
    /// Groups that were given up; they are reaped without a word.
    private var abandoned: [Child] = []
    private var ended: [(id: Int, outcome: ChildOutcome)] = []

    /// No children yet. SIGPIPE is ignored from here on: a child may close its input.
    public init() { platform_ignore_broken_pipe() }

    deinit { abandonAll() }

    /// How many run.
    public var count: Int { running.count }

    /// Starts a child. When that fails, the outcome says so.
    public func start(_ request: ChildRequest, at now: MonotonicTime) {
        let child = Child(request, startedAt: now)
        if let problem = child.start() {
            ended.append((request.id, child.outcome(.notStarted(problem), nil, at: now)))
            return
        }
        running[request.id] = child
        for descriptor in child.descriptors { owners[descriptor] = request.id }
    }

    /// Ends a child's group: SIGTERM now, SIGKILL after its grace. An unknown number is one that has ended.
    public func stop(_ id: Int, at now: MonotonicTime) { running[id]?.end(.stopped, at: now) }

    /// Whether a child has ended since `takeEnded`.
    public var hasEnded: Bool { !ended.isEmpty }

    /// Takes the endings since the last call.
    public func takeEnded() -> [(id: Int, outcome: ChildOutcome)] {
        defer { ended.removeAll(keepingCapacity: true) }
        return ended
    }

    /// Kills all groups and forgets their outcomes.
    public func abandonAll() {
        for id in running.keys.sorted() {
            guard let child = running[id] else { continue }
            child.signal(SIGKILL)
            child.closePipes()
            abandoned.append(child)
        }
        running.removeAll()
        owners.removeAll()
        ended.removeAll()
        reapAbandoned()
    }

    /// Until when no limit is reached.
    public var nextWake: MonotonicTime? { running.values.compactMap(\.nextWake).min() }

    /// What to poll for.
    func pollEntries() -> [pollfd] {
        var entries = running.keys.sorted().flatMap { running[$0]?.pollEntries ?? [] }
        for child in abandoned {
            entries.append(pollfd(fd: child.processDescriptor, events: Int16(POLLIN), revents: 0))
        }
        return entries
    }

    /// Serves a descriptor that is ready.
    func handle(_ entry: pollfd, at now: MonotonicTime) {
        guard let id = owners[entry.fd], let child = running[id] else {
            reapAbandoned()
            return
        }
        if entry.fd != child.processDescriptor {
            if child.serve(entry.fd, at: now) { owners[entry.fd] = nil }
            return
        }
        guard let outcome = child.finish(at: now) else { return }
        for descriptor in owners.keys where owners[descriptor] == id { owners[descriptor] = nil }
        running[id] = nil
        ended.append((id, outcome))
    }

    /// Enforces the limits of time.
    func advance(at now: MonotonicTime) {
        for child in running.values { child.advance(at: now) }
    }

    private func reapAbandoned() {
        var ending = platform_ending()
        abandoned.removeAll { child in
            guard platform_reap(child.process, &ending) != 0 else { return false }
            child.closeAll()
            return true
        }
    }
}
