import Contract
import Determinism
import Testing
import TimeModel

@testable import DispatcherCore

/// Scores, waits, rates and budgets by the numbers of the contract's pages.
@Suite struct NumbersTests {
    private func at(_ ms: Int) -> MonotonicTime { MonotonicTime(milliseconds: ms) }

    @Test func theRoutingExample() {
        let success = (a: Score.success(18, of: 20), b: Score.success(9, of: 20))
        #expect(success == (884, 465))
        let load = (a: Score.load(cost: 1000, used: 1, slots: 4), b: Score.load(cost: 400, used: 0, slots: 2))
        #expect(load == (6, 0))
        let expected: [Priority: (Int, Int)] = [
            .low: (1165, 880), .normal: (1188, 1057), .high: (1396, 2642), .critical: (3482, 18498),
        ]
        for priority in Priority.allCases {
            let a = Score.score(cost: 1000, latency: 2000, load: load.a, success: success.a, priority: priority)
            let b = Score.score(cost: 400, latency: 8000, load: load.b, success: success.b, priority: priority)
            #expect(expected[priority].map { $0 == (a, b) } == true)
        }
        #expect(Score.success(0, of: 0) == 512)
        #expect(Score.success(0, of: 20) == 51)
    }

    @Test func theRatioFollowsTheActualCost() {
        var ratio = Score.evenRatio
        var steps: [Int] = []
        for _ in 0..<3 {
            ratio = Score.ratio(ratio, declared: 1000, actual: 2000)
            steps.append(ratio)
        }
        #expect(steps == [1152, 1264, 1362])
        #expect(Score.ratio(1024, declared: 0, actual: 500) == 1024)
        #expect(Score.ratio(4000, declared: 1, actual: Limits.largestCost) == 4096)
        #expect(Score.ratio(260, declared: 1000, actual: 0) == 256)
        #expect(Score.cost(declared: 1000, ratio: 1152) == 1125)
    }

    @Test func theLargestNumbersFit() {
        let cost = Score.cost(declared: Limits.largestCost, ratio: 4096)
        let load = Score.load(cost: cost, used: Limits.slots, slots: Limits.slots)
        #expect(load == cost / 10)
        #expect(Score.score(cost: cost, latency: Limits.longestMs, load: load, success: 51, priority: .critical) > 0)
    }

    @Test func theBoundsOfTheWaits() {
        let backoff = Backoff()
        #expect((1...8).map(backoff.bound) == [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
        #expect(backoff.bound(after: 0) == 0)
        #expect(Backoff(delayMs: 50_000, maxDelayMs: 30_000).bound(after: 1) == 30_000)
        #expect(Backoff(delayMs: 0, maxDelayMs: 30_000).bound(after: 20) == 0)
        #expect(Backoff(delayMs: 1, maxDelayMs: Limits.longestMs).bound(after: 21) == 1 << 20)
        #expect([1, 2, 3].map(Backoff.tries) == [0, 1, 2])
    }

    @Test func waitsAreSpreadOverTheWholeRange() {
        var generator = SeededGenerator(seed: 3)
        let waits = (0..<2000).map { _ in Backoff().wait(after: 1, atLeast: nil, using: &generator) }
        #expect(waits.allSatisfy { (0...500).contains($0) })
        #expect(waits.filter { $0 < 100 }.count > 200 && waits.filter { $0 > 400 }.count > 200)
        #expect(Backoff().wait(after: 1, atLeast: 9000, using: &generator) == 9000)
    }

    @Test func aBucketGivesBurstAndRate() {
        var bucket = TokenBucket(perSecond: 2, burst: 3, at: at(0))
        let atOnce = (0..<5).map { _ in bucket.take(at: at(0)) }
        #expect(atOnce == [true, true, true, false, false])
        #expect(bucket.next(at: at(0)) == at(500))
        #expect(!bucket.hasToken(at: at(499)))
        let taken = bucket.take(at: at(500))
        #expect(taken)
        #expect(bucket.isFull(at: at(1_000_000)))
        #expect(!TokenBucket(perSecond: 2, burst: 3, at: at(0), isFull: false).hasToken(at: at(10)))
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func noWindowGetsMore(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let (rate, burst) = (generator.uniform(1...50), generator.uniform(1...20))
        var bucket = TokenBucket(perSecond: rate, burst: burst, at: at(0))
        var taken: [Int] = []
        var now = 0
        for _ in 0..<500 {
            now += generator.uniform(0...60)
            if bucket.take(at: at(now)) { taken.append(now) }
        }
        for (index, first) in taken.enumerated() {
            for (count, last) in taken[index...].enumerated() {
                #expect((count + 1) * 1000 <= burst * 1000 + rate * (last - first))
            }
        }
    }

    @Test func budgetsAreReservedAndSettled() {
        func wall(_ ms: Int) -> WallTime { WallTime(milliseconds: ms) }
        var budget = Budget(periodMs: 1000, amount: 100, at: wall(2500))
        #expect(budget.allows(100, at: wall(2500)))
        budget.reserve(60, at: wall(2500))
        #expect(!budget.allows(50, at: wall(2600)))
        #expect(budget.allows(40, at: wall(2600)))
        budget.settle(reserved: 60, actual: 10, grantedAt: wall(2500), at: wall(2700))
        #expect(budget.allows(90, at: wall(2700)))
        budget.reserve(90, at: wall(2700))
        #expect(budget.nextPeriod(at: wall(2700)) == wall(3000))
        #expect(budget.allows(100, at: wall(3000)))
        budget.settle(reserved: 90, actual: 90, grantedAt: wall(2700), at: wall(3100))
        #expect(budget.spent == 0)
        #expect(budget.neverAllows(101))
    }
}
