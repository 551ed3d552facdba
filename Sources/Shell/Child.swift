import CPlatform
import Glibc
import Machine
import TimeModel

/// One running child and its pipes.
final class Child {
    let request: ChildRequest
    private let startedAt: MonotonicTime
    private(set) var process: pid_t = 0
    private(set) var processDescriptor: Int32 = -1
    private var input: Int32 = -1
    private var output: Int32 = -1
    private var errors: Int32 = -1
    private var written = 0
    private var outputBytes: [UInt8] = []
    /// Bytes of output that came, kept or not.
    private var outputSeen = 0
    private var errorBytes: [UInt8] = []
    /// Why it is being ended, once it is.
    private var reason: ChildOutcome.End?
    private var killAt: MonotonicTime?

    init(_ request: ChildRequest, startedAt: MonotonicTime) {
        self.request = request
        self.startedAt = startedAt
    }

    /// Starts the process; returns the system's error text if that fails.
    func start() -> String? {
        guard !request.arguments.isEmpty else { return "no program is named" }
        var pipes: [Int32] = []
        for _ in 0..<3 {
            var ends: [Int32] = [-1, -1]
            guard platform_pipe(&ends) == 0 else {
                let text = systemErrorText(errno)
                pipes.forEach { _ = close($0) }
                return text
            }
            pipes += ends
        }
        let code = spawn(pipes[0], pipes[3], pipes[5])
        for end in [pipes[0], pipes[3], pipes[5]] { close(end) }
        (input, output, errors) = (pipes[1], pipes[2], pipes[4])
        guard code == 0 else {
            closeAll()
            return systemErrorText(code)
        }
        processDescriptor = platform_process_descriptor(process)
        for end in [input, output, errors] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        if request.input.isEmpty { closeInput() }
        guard processDescriptor >= 0 else {
            let text = systemErrorText(errno)
            signal(SIGKILL)
            var ending = platform_ending()
            while platform_reap(process, &ending) == 0 { usleep(1000) }
            closeAll()
            return text
        }
        return nil
    }

    private func spawn(_ input: Int32, _ output: Int32, _ errors: Int32) -> Int32 {
        var program = ProgramStart(
            arguments: request.arguments, environment: request.environment, directory: request.directory,
            memoryLimit: request.memoryLimit)
        program.endsWithStarter = true
        return program.start(&process, input, output, errors)
    }

    var descriptors: [Int32] { [processDescriptor, input, output, errors].filter { $0 >= 0 } }

    var pollEntries: [pollfd] {
        var entries = [pollfd(fd: processDescriptor, events: Int16(POLLIN), revents: 0)]
        if input >= 0 { entries.append(pollfd(fd: input, events: Int16(POLLOUT), revents: 0)) }
        for end in [output, errors] where end >= 0 {
            entries.append(pollfd(fd: end, events: Int16(POLLIN), revents: 0))
        }
        return entries
    }

    /// When its next limit is reached.
    var nextWake: MonotonicTime? { killAt ?? (reason == nil ? startedAt + request.timeoutMs : nil) }

    /// Enforces the limits of time.
    func advance(at now: MonotonicTime) {
        if let killAt, now >= killAt {
            signal(SIGKILL)
            self.killAt = nil
        } else if reason == nil, now >= startedAt + request.timeoutMs {
            end(.timedOut, at: now)
        }
    }

    /// Begins its end: SIGTERM to the group, and SIGKILL after the grace. The first reason counts.
    func end(_ why: ChildOutcome.End, at now: MonotonicTime) {
        guard reason == nil else { return }
        reason = why
        signal(SIGTERM)
        killAt = now + max(0, request.graceMs)
    }

    /// Sends a signal to the whole group, which exists as long as its leader is not reaped.
    func signal(_ number: Int32) { kill(-process, number) }

    /// Serves one of its pipes; true when that pipe was closed.
    func serve(_ descriptor: Int32, at now: MonotonicTime) -> Bool {
        if descriptor == input { return writeInput() }
        if descriptor == output { return readOutput(at: now) }
        if descriptor == errors { return readErrors() }
        return false
    }

    private func writeInput() -> Bool {
        while written < request.input.count {
            let count = request.input.withUnsafeBytes {
                write(input, $0.baseAddress.map { $0 + written }, $0.count - written)
            }
            if count < 0, errno == EAGAIN { return false }
            // Whoever does not want his input closes the pipe: no fault of ours.
            if count <= 0 { break }
            written += count
        }
        closeInput()
        return true
    }

    private func readOutput(at now: MonotonicTime) -> Bool {
        let closed = drain(output) { bytes in
            outputSeen += bytes.count
            outputBytes += bytes.prefix(max(0, request.outputLimit - outputBytes.count))
        }
        if outputSeen > request.outputLimit { end(.outputLimit, at: now) }
        if closed { Child.shut(&output) }
        return closed
    }

    private func readErrors() -> Bool {
        let closed = drain(errors) { bytes in
            errorBytes += bytes
            if errorBytes.count > 2 * ChildTable.errorTail {
                errorBytes.removeFirst(errorBytes.count - ChildTable.errorTail)
            }
        }
        if closed { Child.shut(&errors) }
        return closed
    }

    /// Reads what a pipe has, at most the limit of a turn; true when its other end is closed.
    private func drain(_ descriptor: Int32, _ take: (ArraySlice<UInt8>) -> Void) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        var total = 0
        while total < ChildTable.readLimit {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return false }
            if count <= 0 { return true }
            total += count
            take(chunk[..<count])
        }
        return false
    }

    /// The leader has ended: kills what is left of its group, takes the last output and reaps it. `nil`: not ended.
    func finish(at now: MonotonicTime) -> ChildOutcome? {
        // The group's number stays taken until the leader is reaped, so this cannot hit a stranger.
        signal(SIGKILL)
        if output >= 0 { _ = readOutput(at: now) }
        if errors >= 0 { _ = readErrors() }
        var ending = platform_ending()
        let result = platform_reap(process, &ending)
        guard result != 0 else { return nil }
        closeAll()
        guard result > 0 else { return outcome(.notStarted("the process was lost"), nil, at: now) }
        return outcome(end(of: ending), ending, at: now)
    }

    private func end(of ending: platform_ending) -> ChildOutcome.End {
        if let reason { return reason }
        if ending.exited == 1, ending.status == 0 { return .exited(0) }
        if request.memoryLimit > 0, ranOutOfMemory(ending) { return .memoryLimit }
        return ending.exited == 1 ? .exited(Int(ending.status)) : .signaled(Int(ending.status))
    }

    /// A process that is refused memory ends as it likes. Signs of it: the kernel killed it, it had used nearly all it
    /// may have, or its last words say so.
    private func ranOutOfMemory(_ ending: platform_ending) -> Bool {
        if ending.exited == 0, ending.status == SIGKILL { return true }
        if Int(ending.max_resident_kib) * 1024 >= request.memoryLimit / 4 * 3 { return true }
        let words = String(decoding: errorBytes.suffix(ChildTable.errorTail), as: UTF8.self).lowercased()
        let signs = ["memoryerror", "out of memory", "cannot allocate memory", "bad_alloc", "memory exhausted"]
        return signs.contains { words.contains($0) }
    }

    func outcome(_ end: ChildOutcome.End, _ ending: platform_ending?, at now: MonotonicTime) -> ChildOutcome {
        ChildOutcome(
            end: end, output: outputBytes, errorTail: Array(errorBytes.suffix(ChildTable.errorTail)),
            cpuTimeMs: Int(ending?.cpu_milliseconds ?? 0), maxResidentKiB: Int(ending?.max_resident_kib ?? 0),
            durationMs: now - startedAt)
    }

    private func closeInput() { Child.shut(&input) }

    /// Closes the pipes, so that nobody waits for their other ends.
    func closePipes() {
        Child.shut(&input)
        Child.shut(&output)
        Child.shut(&errors)
    }

    /// Closes every descriptor.
    func closeAll() {
        closePipes()
        Child.shut(&processDescriptor)
    }

    private static func shut(_ descriptor: inout Int32) {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }
}
