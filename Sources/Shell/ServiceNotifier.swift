import CPlatform
import Glibc

/// Tells the service manager how things stand, over the datagram socket that it names in `NOTIFY_SOCKET`; without one
/// it does nothing.
public struct ServiceNotifier: Sendable {
    private let path: String?
    /// Milliseconds between two signs of life, half of what the service manager allows; `nil`: none are wanted.
    public let watchdogInterval: Int?

    /// A notifier as the environment says.
    public init() {
        self.init(path: environmentValue("NOTIFY_SOCKET"), watchdogMicroseconds: environmentValue("WATCHDOG_USEC"))
    }

    init(path: String?, watchdogMicroseconds: String?) {
        self.path = path
        let limit = watchdogMicroseconds.flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
        watchdogInterval = path == nil ? nil : limit.map { max(1, $0 / 2000) }
    }

    /// The service works.
    public func ready() { send("READY=1") }
    /// One line for `systemctl status`.
    public func status(_ text: String) { send("STATUS=\(text.withCharacters(["\n"], replacedBy: " "))") }
    /// The service is about to end.
    public func stopping() { send("STOPPING=1") }
    /// The loop is alive.
    public func alive() { send("WATCHDOG=1") }

    private func send(_ text: String) {
        guard let path else { return }
        _ = platform_notify(path, text, text.utf8.count)
    }
}
