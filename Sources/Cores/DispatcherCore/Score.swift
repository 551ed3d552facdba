import Contract

/// How executors that could all take a task are compared (`topics/tasks.md`, score). Integers throughout; divisions
/// in the order in which the page gives them.
enum Score {
    /// The ratio of actual to declared cost before anything is known, in 1/1024.
    static let evenRatio = 1024
    /// The ratio stays within a quarter and four times.
    static let ratios = 256...4096

    /// The ratio of actual to declared cost after one more attempt; without a declared cost nothing is learned.
    static func ratio(_ old: Int, declared: Int, actual: Int) -> Int {
        guard declared > 0 else { return old }
        let sample = min(actual, Limits.largestCost) * evenRatio / declared
        return min(max(average(old, sample), ratios.lowerBound), ratios.upperBound)
    }

    /// What an attempt is expected to cost, in micro-units.
    static func cost(declared: Int, ratio: Int) -> Int { min(declared, Limits.largestCost) * ratio / evenRatio }

    /// A moving average: an eighth of the way to the sample. For accept and run times too, in ms.
    static func average(_ old: Int, _ sample: Int) -> Int { old + (sample - old) / 8 }

    /// The part of outcomes that were good, in 1/1024: of a pair without outcomes a half, never under a twentieth.
    static func success(_ successes: Int, of all: Int) -> Int {
        min(max((successes + 1) * 1024 / (all + 2), 51), 1024)
    }

    /// What the slots in use add to the cost.
    static func load(cost: Int, used: Int, slots: Int) -> Int {
        let part = min(used, slots)
        let product = cost.multipliedFullWidth(by: part * part)
        return (max(slots, 1) * max(slots, 1)).dividingFullWidth(product).quotient / 10
    }

    /// What a second of waiting is worth, in micro-units.
    static func worthOfSecond(_ priority: Priority) -> Int {
        switch priority {
        case .critical: 1000
        case .high: 100
        case .normal: 10
        case .low: 0
        }
    }

    /// The score: the smallest wins. `latency` is accept time and run time, and the wake-up time of a sleeper, in ms.
    static func score(cost: Int, latency: Int, load: Int, success: Int, priority: Priority) -> Int {
        ((cost + worthOfSecond(priority) * latency / 1000 + load) * 1024) / success
    }
}
