import CPlatform
import Glibc

/// Signals as a descriptor that can be polled: they are blocked from here on and no longer end the process. Make it
/// before anything else, so that no signal is missed.
public final class SignalWatch {
    /// Becomes readable when a signal has come.
    public let descriptor: Int32

    /// Watches for SIGTERM, SIGINT and SIGHUP.
    public convenience init() throws(SystemError) { try self.init([SIGTERM, SIGINT, SIGHUP]) }

    /// Watches for the named signals. SIGPIPE is ignored from here on.
    public init(_ signals: [Int32]) throws(SystemError) {
        platform_ignore_broken_pipe()
        descriptor = platform_signal_descriptor(signals, Int32(signals.count))
        guard descriptor >= 0 else { throw SystemError("make", "a descriptor for signals") }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// The number of the next signal that has come, or `nil`.
    public func next() -> Int32? {
        let number = platform_signal_next(descriptor)
        return number == 0 ? nil : number
    }
}
