import CPlatform
import Glibc

/// Ctrl-C and its like, taken as something to read instead of something that ends the program anywhere.
struct Interrupts: Sendable {
    /// Becomes readable when a signal came; -1 when they are not caught.
    let descriptor: Int32

    /// Catches SIGINT, SIGTERM and SIGHUP for the whole process.
    static func caught() -> Interrupts {
        let signals: [Int32] = [SIGINT, SIGTERM, SIGHUP]
        _ = platform_ignore_broken_pipe()
        return Interrupts(descriptor: platform_signal_descriptor(signals, Int32(signals.count)))
    }

    /// Leaves signals alone.
    static let none = Interrupts(descriptor: -1)

    /// Whether one came since the last call.
    func take() -> Bool { descriptor >= 0 && platform_signal_next(descriptor) != 0 }

    /// Waits until one comes, one of `others` can be read, or so many ms have passed.
    func wait(ms: Int, others: [Int32] = []) {
        var entries = ([descriptor] + others).filter { $0 >= 0 }.map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        _ = poll(&entries, nfds_t(entries.count), Int32(clamping: max(0, ms)))
    }
}
