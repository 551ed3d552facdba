import Contract
import Glibc
import Machine
import Shell
import TimeModel

/// Many connections in one poll loop, without waiting for any of them: what makes load must not be what limits it.
final class BenchLoop {
    /// One connection and what takes its messages.
    private final class Entry {
        let link: Link
        let name: String
        var take: (InboundMessage) -> Void = { _ in }

        init(_ link: Link, _ name: String) {
            self.link = link
            self.name = name
        }
    }

    private var entries: [Entry] = []
    private let interrupts: Interrupts

    /// A loop without connections.
    init(interrupts: Interrupts) { self.interrupts = interrupts }

    /// Adds a connection; `take` gets its messages.
    func add(_ settings: ConnectionSettings, _ take: @escaping (InboundMessage) -> Void) -> Int {
        let entry = Entry(Link(settings.options, seed: RandomSource.seed), settings.principal)
        entry.take = take
        entries.append(entry)
        return entries.count - 1
    }

    /// Subscribes on a connection.
    func subscribe(_ connection: Int, _ filters: [String]) {
        _ = entries[connection].link.subscribe(filters.map { Subscription(filter: $0, wantsRetained: false) })
    }

    /// Publishes on a connection; it leaves in this turn or the next.
    func publish(_ connection: Int, _ topic: String, _ payload: [UInt8], retain: Bool = false) {
        _ = entries[connection].link.publish(OutboundMessage(topic: topic, payload: payload, retain: retain))
    }

    /// Publishes of a connection that the broker has not acknowledged.
    func unacknowledged(_ connection: Int) -> Int { entries[connection].link.unacknowledged }

    /// Turns until all connections stand and have nothing left to be acknowledged.
    func settle(withinMs: Int) throws(Failure) {
        let deadline = SystemClock.monotonic + withinMs
        while !entries.allSatisfy({ $0.link.isOpen && $0.link.unacknowledged == 0 }) {
            guard SystemClock.monotonic < deadline else {
                throw Failure(.unreachable, "the broker does not answer the connections of the load")
            }
            try turn(waitMs: 50)
        }
    }

    /// One turn: sends what waits, waits so many ms at most, takes what came.
    func turn(waitMs: Int) throws(Failure) {
        var now = SystemClock.monotonic
        var polled: [pollfd] = []
        polled.reserveCapacity(entries.count + 1)
        for entry in entries {
            if let wake = entry.link.nextWake, now >= wake { entry.link.advance(at: now) { nil } }
            entry.link.flush(at: now)
            let interest = entry.link.interest
            polled.append(pollfd(fd: interest.descriptor, events: interest.events, revents: 0))
        }
        polled.append(pollfd(fd: interrupts.descriptor, events: Int16(POLLIN), revents: 0))
        _ = poll(&polled, nfds_t(polled.count), Int32(waitMs))
        if polled[entries.count].revents != 0, interrupts.take() { throw Failure(.interrupted, "interrupted") }
        now = SystemClock.monotonic
        for (index, entry) in entries.enumerated() where polled[index].revents != 0 {
            entry.link.advance(at: now) { nil }
            entry.link.read(at: now)
            for event in entry.link.takeEvents() { try handle(event, entry) }
        }
        for entry in entries { entry.link.flush(at: now) }
    }

    private func handle(_ event: LinkEvent, _ entry: Entry) throws(Failure) {
        switch event {
        case .message(let message): entry.take(message)
        case .refused(let topic, let reason, _):
            throw Failure(.forbidden, "the broker refuses \(topic) to \(entry.name): \(reason)")
        case .attemptFailed(let reason, let forbidden):
            if forbidden { throw Failure(.forbidden, "the broker refuses \(entry.name): \(reason)") }
        case .disconnected(let reason):
            throw Failure(.ownFault, "a connection of the load was lost, so that nothing was measured: \(reason)")
        case .connected, .sessionLost, .delivered, .subscribed, .evictedRepeatedly: return
        }
    }

    /// Leaves the broker with all connections.
    func close() {
        for entry in entries { entry.link.leave(at: SystemClock.monotonic) }
        for entry in entries { entry.link.drop() }
        entries = []
    }
}

/// A clock for latencies, in microseconds.
enum BenchClock {
    /// Microseconds of a clock that never steps.
    static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000 + time.tv_nsec / 1000
    }
}

/// Latencies of one phase.
struct BenchLatencies: Hashable, Sendable {
    private var microseconds: [Int]

    /// Measured times in microseconds, in any order.
    init(_ microseconds: [Int]) { self.microseconds = microseconds.sorted() }

    /// The times of several as one.
    init(merging parts: [BenchLatencies]) { self.init(parts.flatMap(\.microseconds)) }

    /// The time that so many of a hundred do not exceed; 0 when none was measured.
    func percentile(_ percent: Int) -> Int {
        guard !microseconds.isEmpty else { return 0 }
        return microseconds[min(microseconds.count - 1, microseconds.count * percent / 100)]
    }

    /// `0.42 ms`, `17.3 ms`, `1.2 s`.
    static func text(_ microseconds: Int) -> String {
        if microseconds >= 1_000_000 { return Durations.text(microseconds / 1000) }
        if microseconds >= 10_000 { return "\(microseconds / 1000).\(microseconds / 100 % 10) ms" }
        let hundredths = microseconds % 1000 / 10
        return "\(microseconds / 1000).\(hundredths < 10 ? "0" : "")\(hundredths) ms"
    }
}

/// What a process has used so far.
struct ProcessUsage: Hashable, Sendable {
    /// Processor time in ms, 10 ms exact.
    var cpuMs = 0
    /// Resident memory in KiB.
    var residentKiB = 0
    /// The largest resident memory in KiB.
    var peakKiB = 0

    /// Reads the kernel's figures; zeros for a process that is gone.
    static func of(_ process: pid_t) -> ProcessUsage {
        var usage = ProcessUsage()
        if let bytes = try? FileText.read("/proc/\(process)/stat", limit: 4096) {
            let text = String(decoding: bytes, as: UTF8.self)
            let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
            let ticks = fields.count > 13 ? (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0) : 0
            usage.cpuMs = ticks * 1000 / max(1, sysconf(Int32(_SC_CLK_TCK)))
        }
        guard let bytes = try? FileText.read("/proc/\(process)/status", limit: 16_384) else { return usage }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count >= 2, let number = Int(words[1]) else { continue }
            if words[0] == "VmRSS:" { usage.residentKiB = number }
            if words[0] == "VmHWM:" { usage.peakKiB = number }
        }
        return usage
    }
}
