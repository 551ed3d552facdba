import CPlatform
import Glibc

/// A program to start in a process group of its own.
public struct ProgramStart: Sendable {
    /// The program, looked up in `PATH` when it has no slash, and its arguments.
    public var arguments: [String]
    /// The whole environment, `NAME=value`.
    public var environment: [String]
    /// Working directory, or the present one.
    public var directory: String?
    /// Bytes of address space for it and for each process that it starts; 0: no limit.
    public var memoryLimit: Int
    /// Whether the kernel kills it when the thread that started it is gone, so that nothing outlives a killed daemon.
    public var endsWithStarter = false

    /// A program, by default without limit and in the present directory.
    public init(arguments: [String], environment: [String], directory: String? = nil, memoryLimit: Int = 0) {
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
        self.memoryLimit = memoryLimit
    }

    /// Starts it with three descriptors as its standard ones; returns 0 or the error number. The caller reaps it.
    public func start(_ process: inout Int32, _ input: Int32, _ output: Int32, _ errors: Int32) -> Int32 {
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        var values: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) }
        let place = directory.map { strdup($0) } ?? nil
        defer {
            (words + values).forEach { free($0) }
            free(place)
        }
        words.append(nil)
        values.append(nil)
        return words.withUnsafeBufferPointer { words in
            values.withUnsafeBufferPointer { values in
                var start = platform_start(
                    arguments: words.baseAddress, environment: values.baseAddress, directory: place, input: input,
                    output: output, error: errors, memory_limit: UInt64(max(0, memoryLimit)),
                    ends_with_starter: endsWithStarter ? 1 : 0)
                return platform_spawn(&process, &start)
            }
        }
    }
}
