import TimeModel

/// Heartbeat's own time, on which the silence of others is measured (`topics/checks.md`, own slowness).
///
/// It stands while the link is down, until what is retained has come again after a reconnect, and for the part of a late
/// turn that exceeds one second: whoever does not listen cannot call others silent.
struct OwnClock: Hashable, Sendable {
    /// Own time in ms since the process began.
    private(set) var elapsed = 0
    /// Whether the link is up and the retained messages have come.
    var isRunning = false
    /// Whether a turn came so late that nothing may be concluded before the own metric is back.
    private(set) var wasLate = false
    private var last: MonotonicTime?
    /// The worst lags of the last minute, falling from first to last.
    private var lags: [Lag] = []

    private struct Lag: Hashable, Sendable {
        var at: MonotonicTime
        var ms: Int
    }

    /// A turn that is later than this stops the clock for the rest.
    static let longestTurnMs = 1000
    /// How long a lag is remembered.
    static let memoryMs = 60_000

    /// Comes to the moment of a turn. `expected` is when the turn was asked for, if it was.
    mutating func advance(to now: MonotonicTime, expected: MonotonicTime?) {
        defer { last = now }
        wasLate = false
        guard let last else { return }
        let passed = max(0, now - last)
        let late = expected.map { max(0, now - max($0, last)) } ?? 0
        noteLag(late, now)
        wasLate = late > OwnClock.longestTurnMs
        guard isRunning else { return }
        elapsed += wasLate ? passed - late + OwnClock.longestTurnMs : passed
    }

    /// Takes note of a late turn, or of a slow round trip.
    mutating func noteLag(_ ms: Int, _ now: MonotonicTime) {
        lags.removeAll { now - $0.at > OwnClock.memoryMs }
        guard ms > 0 else { return }
        while let least = lags.last, least.ms <= ms { lags.removeLast() }
        lags.append(Lag(at: now, ms: ms))
    }

    /// By how much limits of silence are widened: twice the worst lag of the last minute.
    var widenedMs: Int { 2 * (lags.first?.ms ?? 0) }
}
