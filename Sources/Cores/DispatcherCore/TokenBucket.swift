import TimeModel

/// A rate: at most `burst` at once, `perSecond` in the long run (`topics/tasks.md`, rates). In any time w no more than
/// burst + perSecond * w are given.
struct TokenBucket: Hashable, Sendable {
    /// Tokens per second, from 1.
    let perSecond: Int
    /// Most tokens at one time, from 1.
    let burst: Int
    private var thousandths: Int
    private var at: MonotonicTime

    /// A bucket; empty after a restart, since what was given before is not known.
    init(perSecond: Int, burst: Int, at now: MonotonicTime, isFull: Bool = true) {
        self.perSecond = perSecond
        self.burst = burst
        thousandths = isFull ? burst * 1000 : 0
        at = now
    }

    /// Whether there is a token.
    func hasToken(at now: MonotonicTime) -> Bool { level(at: now) >= 1000 }

    /// Takes a token if there is one.
    mutating func take(at now: MonotonicTime) -> Bool {
        thousandths = level(at: now)
        at = max(at, now)
        guard thousandths >= 1000 else { return false }
        thousandths -= 1000
        return true
    }

    /// Gives a token back that was not used after all.
    mutating func giveBack() { thousandths = min(thousandths + 1000, burst * 1000) }

    /// When there is a token; now, if there is one.
    func next(at now: MonotonicTime) -> MonotonicTime {
        let missing = 1000 - level(at: now)
        return missing <= 0 ? now : now + (missing + perSecond - 1) / perSecond
    }

    /// Whether it is as full as it can be: then it need not be remembered.
    func isFull(at now: MonotonicTime) -> Bool { level(at: now) == burst * 1000 }

    /// Whether it never holds more than `burst` tokens, nor less than none.
    func isWithin(_ burst: Int, at now: MonotonicTime) -> Bool {
        self.burst == burst && thousandths >= 0 && thousandths <= burst * 1000 && at <= now
    }

    private func level(at now: MonotonicTime) -> Int {
        let passed = max(now - at, 0)
        let full = burst * 1000
        let missing = full - thousandths
        return passed > missing / perSecond + 1 ? full : min(full, thousandths + passed * perSecond)
    }
}
