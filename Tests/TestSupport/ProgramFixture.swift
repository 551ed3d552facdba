public import Foundation

/// A program that runs beside the test: one of ours from the build folder, or any other. End it with `end`; a program
/// that is still there when nobody refers to it any more is killed.
public final class ProgramFixture: Sendable {
    private let process: ChildProcess
    private let log: String
    private let folder: TemporaryFolder

    /// Its process id.
    public var processID: Int32 { process.processID }

    /// Whether it still runs.
    public var isRunning: Bool { process.isRunning }

    /// What it has written so far, to standard output and standard error.
    public var output: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    /// Starts a program; a name without a slash is one of this package's.
    public init(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws {
        folder = try TemporaryFolder()
        log = try folder.write("log", "")
        let file = program.contains("/") ? program : try BuildFolder.program(program).path(percentEncoded: false)
        process = try ChildProcess(
            [file] + arguments, environment: environment, input: nil, output: log, errors: log)
    }

    /// Sends a signal.
    public func signal(_ number: Int32) { kill(process.processID, number) }

    /// Sends a signal and waits until the program has ended; it is killed if that takes longer than `seconds`. Returns
    /// its exit status, or the number of the signal that ended it.
    @discardableResult
    public func end(_ number: Int32 = SIGTERM, seconds: Int = 10) async -> Int32 {
        signal(number)
        return await ended(seconds: seconds)
    }

    /// Waits until the program has ended by itself; it is killed if that takes longer than `seconds`.
    @discardableResult
    public func ended(seconds: Int = 10) async -> Int32 {
        let limit = DispatchWorkItem { [process] in
            if process.isRunning { kill(process.processID, SIGKILL) }
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(seconds), execute: limit)
        defer { limit.cancel() }
        return await process.ended()
    }
}

/// Where the programs of this package were built: the folder of the running test bundle.
public enum BuildFolder {
    /// The program's file.
    public static func program(_ name: String) throws -> URL {
        let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folders = [URL(filePath: bundle).deletingLastPathComponent(), repository.appending(path: ".build/debug")]
        for folder in folders {
            let file = folder.appending(path: name)
            if FileManager.default.isExecutableFile(atPath: file.path(percentEncoded: false)) { return file }
        }
        throw NotBuilt(name: name, folders: folders.map { $0.path(percentEncoded: false) })
    }

    /// A file of the repository.
    public static func repositoryFile(_ path: String) -> String {
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: path).path(percentEncoded: false)
    }

    /// A program that is not there.
    public struct NotBuilt: Error {
        /// Its name.
        public var name: String
        /// Where it was looked for.
        public var folders: [String]
    }
}
