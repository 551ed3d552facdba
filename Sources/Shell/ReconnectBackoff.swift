import Determinism
import TimeModel

/// How long to wait before the next attempt to connect: 0.1 s, doubling to 30 s, each with a random half taken off. A
/// connection that lasted 10 s starts the row anew; so two clients that evict each other slow down.
struct ReconnectBackoff: Hashable, Sendable {
    /// The first delay in ms.
    static let first = 100
    /// The longest delay in ms.
    static let longest = 30_000
    /// A connection of this length in ms counts as good.
    static let goodConnection = 10_000

    private var attempts = 0
    private var generator: SeededGenerator

    /// A row of delays from its beginning.
    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    /// The next delay in ms.
    mutating func next() -> Int {
        let bound = min(ReconnectBackoff.longest, ReconnectBackoff.first << min(attempts, 20))
        attempts += 1
        return generator.uniform(bound / 2...bound)
    }

    /// Takes note of a connection that lasted so many ms.
    mutating func connectionLasted(_ milliseconds: Int) {
        if milliseconds >= ReconnectBackoff.goodConnection { attempts = 0 }
    }
}

/// Notices a client that is evicted again and again by another one with the same client id. The broker of the time
/// gives no reason for it before 2.0.15, so a connection that was closed soon after it stood counts as well.
struct EvictionWatch: Hashable, Sendable {
    /// This many evictions within the window are worth a warning.
    static let limit = 3
    /// The window in ms.
    static let window = 60_000

    private var times: [MonotonicTime] = []

    /// Notes an eviction; true when it is time to say so, after which counting begins anew.
    mutating func evicted(at now: MonotonicTime) -> Bool {
        times.removeAll { now - $0 > EvictionWatch.window }
        times.append(now)
        guard times.count >= EvictionWatch.limit else { return false }
        times.removeAll()
        return true
    }
}
