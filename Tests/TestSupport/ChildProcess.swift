import CPlatform
import Foundation
import Shell
import Synchronization

/// A process beside the test, started without a signal blocked and in a process group of its own.
final class ChildProcess: Sendable {
    /// Its process id.
    let processID: Int32
    private let endings: AsyncStream<Int32>
    private let status = Mutex<Int32?>(nil)

    /// Starts a program; what it writes goes into the two files. `environment` is added to the test's own.
    init(_ arguments: [String], environment: [String: String], input: String?, output: String, errors: String) throws {
        let files = [
            open(input ?? "/dev/null", O_RDONLY | O_CLOEXEC), open(output, O_WRONLY | O_APPEND | O_CLOEXEC),
            open(errors, O_WRONLY | O_APPEND | O_CLOEXEC),
        ]
        defer { for file in files { close(file) } }
        let all = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        let start = ProgramStart(arguments: arguments, environment: all.map { "\($0.key)=\($0.value)" }.sorted())
        var process: Int32 = 0
        let code = start.start(&process, files[0], files[1], files[2])
        guard code == 0 else { throw NotReady(what: arguments[0], output: String(cString: strerror(code))) }
        processID = process
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
        endings = stream
        let descriptor = platform_process_descriptor(process)
        guard descriptor >= 0 else { throw NotReady(what: arguments[0], output: String(cString: strerror(errno))) }
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .global())
        source.setEventHandler { [weak self] in
            var ending = platform_ending()
            guard platform_reap(process, &ending) == 1 else { return }
            self?.status.withLock { $0 = ending.status }
            continuation.yield(ending.status)
            continuation.finish()
            source.cancel()
        }
        source.setCancelHandler { close(descriptor) }
        source.resume()
    }

    deinit { if isRunning { kill(processID, SIGKILL) } }

    /// Whether it has not ended yet.
    var isRunning: Bool { status.withLock { $0 == nil } }

    /// Its exit status, or the number of the signal that ended it.
    func ended() async -> Int32 {
        for await status in endings { return status }
        return status.withLock { $0 ?? 0 }
    }
}
