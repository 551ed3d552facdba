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
        let process = try ChildProcess(
            ["timeout", "--kill-after=5", String(seconds)] + arguments, environment: environment,
            input: given.path(percentEncoded: false), output: files[0].path(percentEncoded: false),
            errors: files[1].path(percentEncoded: false))
        let status = await process.ended()
        let texts = try files.map { String(decoding: try Data(contentsOf: $0), as: UTF8.self) }
        return CommandOutcome(status: status, output: texts[0], errors: texts[1])
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
