import Contract
import Determinism

/// The wait before a further try (`topics/tasks.md`, retry).
struct Backoff: Hashable, Sendable {
    /// First upper end in ms.
    var delayMs = Defaults.retryDelayMs
    /// Greatest upper end in ms.
    var maxDelayMs = Defaults.retryMaxDelayMs

    /// The upper end of the wait after `tries` tries; none before the first.
    func bound(after tries: Int) -> Int {
        guard tries > 0, delayMs > 0 else { return 0 }
        let doublings = min(tries - 1, 40)
        return delayMs > maxDelayMs >> doublings ? maxDelayMs : delayMs << doublings
    }

    /// A random wait after `tries` tries, not less than what the executor asked for.
    func wait(after tries: Int, atLeast retryAfterMs: Int?, using generator: inout SeededGenerator) -> Int {
        max(generator.uniform(0...bound(after: tries)), retryAfterMs ?? 0)
    }

    /// The tries that count for the wait after an executor was lost: none after the first loss.
    static func tries(afterLosses lost: Int) -> Int { max(lost - 1, 0) }
}
