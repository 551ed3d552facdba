import CPlatform
import Glibc
public import Machine
public import TimeModel

/// The two clocks of this machine. The monotonic one counts suspended time too (CLOCK_BOOTTIME).
public enum SystemClock {
    /// Both readings of this moment.
    public static var now: Now { Now(wall: wall, monotonic: monotonic) }

    /// What the calendar says.
    public static var wall: WallTime { WallTime(milliseconds: Int(platform_wall_milliseconds())) }

    /// What has passed since the machine started.
    public static var monotonic: MonotonicTime { MonotonicTime(milliseconds: Int(platform_boot_milliseconds())) }
}

/// Random numbers from the kernel, for the seeds that a program gives its core at construction.
public enum RandomSource {
    /// A seed of 64 bits.
    public static var seed: UInt64 {
        var value: UInt64 = 0
        withUnsafeMutableBytes(of: &value) { _ = platform_random($0.baseAddress, $0.count) }
        return value
    }

    /// So many random bytes as lower-case hexadecimal, two digits a byte; 16 bytes give the 128 bits of a client id.
    public static func hexadecimal(bytes count: Int) -> String {
        var bytes = [UInt8](repeating: 0, count: count)
        bytes.withUnsafeMutableBytes { _ = platform_random($0.baseAddress, $0.count) }
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

/// A system call that failed: what was tried, on what, and the system's error number.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried, such as `open`.
    public var call: String
    /// The file or address concerned.
    public var subject: String
    /// The error number.
    public var code: Int32

    /// An error with its number.
    public init(_ call: String, _ subject: String, code: Int32) {
        self.call = call
        self.subject = subject
        self.code = code
    }

    /// An error with the number the failing call left behind.
    init(_ call: String, _ subject: String) { self.init(call, subject, code: errno) }

    /// One sentence: `cannot open /x: No such file or directory`.
    public var description: String { "cannot \(call) \(subject): \(systemErrorText(code))" }
}

/// The system's text for an error number.
func systemErrorText(_ code: Int32) -> String {
    strerror(code).map { String(cString: $0) } ?? "error \(code)"
}

/// Reads a whole file of at most `limit` bytes. Throws also when it is longer.
public func readFile(_ path: String, limit: Int = 16 << 20) throws(SystemError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemError("open", path) }
    defer { close(descriptor) }
    var content: [UInt8] = []
    var status = stat()
    if fstat(descriptor, &status) == 0 { content.reserveCapacity(min(Int(status.st_size), limit)) }
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(descriptor, &chunk, chunk.count)
        if count == 0 { return content }
        if count < 0 {
            if errno == EINTR { continue }
            throw SystemError("read", path)
        }
        content.append(contentsOf: chunk[..<count])
        if content.count > limit { throw SystemError("read", path, code: EFBIG) }
    }
}

/// Writes all bytes to a descriptor, however many calls it takes.
func writeAll(_ descriptor: Int32, _ bytes: borrowing [UInt8], named path: String) throws(SystemError) {
    var done = 0
    while done < bytes.count {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done) }
        if count < 0 {
            if errno == EINTR { continue }
            throw SystemError("write", path)
        }
        done += count
    }
}

/// Makes the names in a directory durable.
func synchronizeDirectory(_ path: String) throws(SystemError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemError("open", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw SystemError("sync", path) }
}

/// Makes a directory and those above it; one that is there already is fine.
func makeDirectories(_ path: String, mode: mode_t = 0o700) throws(SystemError) {
    var made = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
        made += made.isEmpty || made.hasSuffix("/") ? String(part) : "/\(part)"
        if mkdir(made, mode) != 0, errno != EEXIST { throw SystemError("make the directory", made) }
    }
}

/// The value of an environment variable, `nil` when unset or empty.
func environmentValue(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
}
