import CPlatform
import Glibc
import Shell
import TimeModel

/// A program that is started, watched and ended: in a process group of its own, its output in a log file.
final class ManagedProcess {
    /// How it ended.
    enum Ending: Hashable, Sendable {
        case exited(Int)
        case signaled(Int)

        /// `exit status 78`, `signal 9`.
        var text: String {
            switch self {
            case .exited(let status): "exit status \(status)"
            case .signaled(let number): "signal \(number)"
            }
        }
    }

    /// Its name in messages.
    let name: String
    /// The log file, or none.
    let log: String?
    /// Its process id while it runs.
    private(set) var process: pid_t = 0
    /// How it ended, once it has.
    private(set) var ending: Ending?
    /// Processor time it used, in ms, and its largest resident memory in KiB; once it has ended.
    private(set) var usage: (cpuMs: Int, residentKiB: Int) = (0, 0)
    /// When it was started last.
    private(set) var startedAt = MonotonicTime(milliseconds: 0)
    private let arguments: [String]
    private let environment: [String: String]

    /// A program that does not run yet.
    init(_ name: String, _ arguments: [String], environment: [String: String], log: String?) {
        self.name = name
        self.arguments = arguments
        self.environment = environment
        self.log = log
    }

    /// Whether it runs.
    var isRunning: Bool { process != 0 }

    /// Starts it.
    func start() throws(Failure) {
        let input = open("/dev/null", O_RDONLY | O_CLOEXEC)
        let output = open(log ?? "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer {
            close(input)
            close(output)
        }
        guard input >= 0, output >= 0 else { throw FileText.fault("open", log ?? "/dev/null") }
        let variables = environment.keys.sorted().map { "\($0)=\(environment[$0] ?? "")" }
        let program = ProgramStart(arguments: arguments, environment: variables)
        ending = nil
        startedAt = SystemClock.monotonic
        let code = program.start(&process, input, output, output)
        guard code == 0 else {
            process = 0
            let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
            throw Failure(.ownFault, "cannot start \(arguments.first ?? name): \(reason)")
        }
    }

    /// Looks whether it has ended; true once it has.
    @discardableResult func reap() -> Bool {
        guard isRunning else { return true }
        var result = platform_ending()
        guard platform_reap(process, &result) != 0 else { return false }
        ending = result.exited != 0 ? .exited(Int(result.status)) : .signaled(Int(result.status))
        usage = (Int(result.cpu_milliseconds), Int(result.max_resident_kib))
        process = 0
        return true
    }

    /// Sends a signal to its whole group.
    func signal(_ number: Int32) {
        if isRunning { kill(-process, number) }
    }

    /// Waits for its end, so many ms at most.
    func waitForEnd(ms: Int) -> Bool {
        guard isRunning else { return true }
        let deadline = SystemClock.monotonic + ms
        let descriptor = platform_process_descriptor(process)
        defer { if descriptor >= 0 { close(descriptor) } }
        while !reap() {
            let left = deadline - SystemClock.monotonic
            if left <= 0 { return false }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            _ = poll(&entry, 1, Int32(clamping: descriptor < 0 ? min(left, 20) : left))
        }
        return true
    }

    /// Ends it: SIGTERM, after so many ms SIGKILL.
    func end(graceMs: Int) {
        signal(SIGTERM)
        if waitForEnd(ms: graceMs) { return }
        signal(SIGKILL)
        _ = waitForEnd(ms: 1000)
    }

    /// The last lines of its log.
    func lastLines(_ count: Int = 12) -> [String] {
        guard let log, let bytes = try? FileText.read(log, limit: 64 << 20) else { return [] }
        let text = String(decoding: bytes.suffix(16_384), as: UTF8.self)
        return text.split(separator: "\n").suffix(count).map { Terminal.escape(String($0)) }
    }
}

extension ManagedProcess {
    /// It ended although it should not have.
    var endedEarly: Failure {
        let status: ExitStatus = ending == .exited(78) ? .configuration : .ownFault
        let how = ending?.text ?? "unknown"
        var failure = Failure(status, "\(name) ended (\(how)); its log is \(log ?? "not kept")")
        failure.log = lastLines()
        return failure
    }
}

extension Failure {
    /// Programs that did not become ready in time.
    static func notReady(_ processes: [ManagedProcess], withinMs: Int) -> Failure {
        let names = processes.map(\.name).joined(separator: ", ")
        var failure = Failure(.unreachable, "not ready within \(Durations.text(withinMs)): \(names)")
        failure.log = processes.flatMap { $0.lastLines() }
        return failure
    }
}
