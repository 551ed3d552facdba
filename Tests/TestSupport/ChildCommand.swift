public import Foundation

/// How a command ended and what it said.
public struct CommandOutcome: Sendable {
    /// Its exit status; 124 when it was ended for taking too long.
    public var status: Int32
    /// What it wrote to standard output.
    public var output: String
    /// What it wrote to standard error.
    public var errors: String
}

/// Commands that run to their end.
public enum ChildCommand {
    /// Runs a command and returns how it ended. It is ended itself after `seconds`.
    public static func run(
        _ arguments: [String], environment: [String: String] = [:], input: String = "", seconds: Int = 60
    ) async throws -> CommandOutcome {
        let folder = try TemporaryFolder()
        let files = ["output", "errors"].map { folder.url.appending(path: $0) }
        for file in files { try Data().write(to: file) }
        let given = folder.url.appending(path: "input")
        try Data(input.utf8).write(to: given)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/timeout")
        process.arguments = ["--kill-after=5", String(seconds)] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        process.standardInput = try FileHandle(forReadingFrom: given)
        process.standardOutput = try FileHandle(forWritingTo: files[0])
        process.standardError = try FileHandle(forWritingTo: files[1])
        let status = try await ended(process)
        let texts = try files.map { String(decoding: try Data(contentsOf: $0), as: UTF8.self) }
        return CommandOutcome(status: status, output: texts[0], errors: texts[1])
    }

    /// Starts a process and waits, without holding a thread, until it has ended.
    private static func ended(_ process: Process) async throws -> Int32 {
        try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do {
                try process.runUnmasked()
            } catch {
                process.terminationHandler = nil
                continuation.resume(throwing: error)
            }
        }
    }
}

extension Process {
    /// Starts the process with no signal blocked. The threads that tests run on block all of them, and a child that
    /// inherits that cannot be ended by SIGTERM.
    func runUnmasked() throws {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try run()
    }
}

/// A folder that goes when nobody refers to it any more. Its path is short enough for Unix sockets.
public final class TemporaryFolder: Sendable {
    /// Where it is.
    public let url: URL

    /// Its path.
    public var path: String { url.path(percentEncoded: false) }

    /// Makes a new, empty folder.
    public init() throws {
        let name = "martlet-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
        url = FileManager.default.temporaryDirectory.appending(path: name)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    /// Writes a file and returns its path.
    public func write(_ name: String, _ text: String) throws -> String {
        let file = url.appending(path: name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
        return file.path(percentEncoded: false)
    }
}
