import Contract
import Determinism
import Testing
import TimeModel

@testable import DispatcherCore

@Suite struct LanesTests {
    private let start = MonotonicTime(milliseconds: 0)

    private func place(_ lane: Priority, _ owner: String = "a", demand: Int = 0, at queued: Int = 0) -> Lanes.Place {
        Lanes.Place(lane: lane, owner: owner, demand: demand, queued: MonotonicTime(milliseconds: queued))
    }

    /// Decides `count` times at `now`; every decision charges `charge`.
    private func decide(_ lanes: inout Lanes, _ count: Int, charge: Int = 1000, at now: Int = 0) -> [Int] {
        var order: [Int] = []
        for _ in 0..<count {
            guard let task = lanes.next(at: MonotonicTime(milliseconds: now)) else { break }
            lanes.granted(task, charge: charge, at: MonotonicTime(milliseconds: now))
            order.append(task)
        }
        #expect(lanes.checkInvariants().isEmpty)
        return order
    }

    @Test func firstComeFirstServed() {
        var lanes = Lanes()
        lanes.insert(2, place(.normal, at: 20))
        lanes.insert(3, place(.normal, at: 10))
        lanes.insert(1, place(.normal, at: 20))
        #expect(decide(&lanes, 9) == [3, 1, 2])
        #expect(lanes.count == 0)
    }

    @Test func criticalFirstButNotForever() {
        var lanes = Lanes()
        for task in 0..<40 { lanes.insert(task, place(.critical)) }
        lanes.insert(100, place(.low))
        lanes.insert(101, place(.normal))
        let order = decide(&lanes, 42)
        #expect(order[..<16] == Array(0..<16)[...])
        #expect(order[16] == 101)
        #expect(order[33] == 100)
    }

    @Test func lanesShareByWeight() {
        var lanes = Lanes()
        for task in 0..<30_000 {
            lanes.insert(task, place([.low, .normal, .high][task % 3], demand: task % 3, at: 0))
        }
        let order = decide(&lanes, 10_000)
        let shares = [0, 1, 2].map { lane in order.filter { $0 % 3 == lane }.count }
        #expect(abs(shares[0] - 10_000 / 21) <= 25)
        #expect(abs(shares[1] - 40_000 / 21) <= 100)
        #expect(abs(shares[2] - 160_000 / 21) <= 400)
    }

    @Test func waitingRaisesALane() {
        #expect(Lanes.weight(.low, waited: 60_000) == 1)
        #expect(Lanes.weight(.low, waited: 60_001) == 4)
        #expect(Lanes.weight(.low, waited: 120_001) == 16)
        #expect(Lanes.weight(.normal, waited: 60_001) == 16)
        #expect(Lanes.weight(.high, waited: 500_000) == 16)
    }

    @Test func ownersTakeTurnsByWhatTheyUse() {
        var lanes = Lanes(weights: ["c": 2])
        for task in 0..<3000 { lanes.insert(task, place(.normal, ["a", "b", "c"][task % 3])) }
        var used = [0, 0, 0]
        for _ in 0..<1000 {
            guard let task = lanes.next(at: start) else { break }
            let charge = task % 3 == 0 ? 3000 : 1000
            lanes.granted(task, charge: charge, at: start)
            used[task % 3] += charge
        }
        #expect(abs(used[0] - used[1]) <= 6000)
        #expect(abs(used[2] - 2 * used[1]) <= 6000)
    }

    @Test func aNewcomerStartsWithTheOthers() {
        var lanes = Lanes()
        for task in 0..<100 { lanes.insert(task, place(.normal, "a")) }
        _ = decide(&lanes, 50)
        for task in 100..<200 { lanes.insert(task, place(.normal, "b")) }
        let order = decide(&lanes, 20)
        #expect(order.filter { $0 >= 100 }.count == 10)
    }

    @Test func correctionsEvenOut() {
        var lanes = Lanes()
        for task in 0..<2000 { lanes.insert(task, place(.normal, task % 2 == 0 ? "a" : "b")) }
        var used = [0, 0]
        for _ in 0..<600 {
            guard let task = lanes.next(at: start) else { break }
            lanes.granted(task, charge: 1000, at: start)
            let actual = task % 2 == 0 ? 200 : 1800
            lanes.correct(owner: task % 2 == 0 ? "a" : "b", lane: .normal, by: actual - 1000)
            used[task % 2] += actual
        }
        #expect(abs(used[0] - used[1]) <= 3600)
    }

    @Test func aParkedDemandBlocksNobody() {
        var lanes = Lanes()
        for task in 0..<100_000 { lanes.insert(task, place(.normal, "a", demand: 1)) }
        lanes.insert(100_000, place(.normal, "a", demand: 2, at: 5))
        #expect(lanes.next(at: start) == 0)
        lanes.park(1)
        #expect(lanes.next(at: start) == 100_000)
        lanes.park(2)
        #expect(lanes.next(at: start) == nil)
        lanes.insert(200_000, place(.normal, "b", demand: 1))
        #expect(lanes.next(at: start) == nil)
        lanes.wake(1)
        #expect(lanes.next(at: start) == 0)
        lanes.granted(0, charge: 10, at: start)
        #expect(lanes.next(at: start) == 200_000)
        #expect(lanes.isParked(2) && !lanes.isParked(1))
    }

    @Test func saturatedOwnersStayEven() {
        var lanes = Lanes()
        for task in 0..<4000 { lanes.insert(task, place(.normal, "o\(task % 4)", demand: 1)) }
        for task in 4000..<9000 { lanes.insert(task, place(.normal, "fast", demand: 2)) }
        var got: [Int: Int] = [:]
        for round in 0..<400 {
            lanes.wake(1)
            guard let task = lanes.next(at: start) else { break }
            lanes.granted(task, charge: 1000, at: start)
            if task < 4000 { got[task % 4, default: 0] += 1 }
            if round % 2 == 0 { lanes.park(1) }
        }
        let most = got.values.max() ?? 0
        let least = got.values.min() ?? 0
        #expect(most - least <= 2)
        #expect(least > 30)
    }

    @Test func whoCouldNotRunDoesNotTakeOverLater() {
        var lanes = Lanes()
        for task in 0..<5000 { lanes.insert(task, place(.normal, "late", demand: 1)) }
        lanes.park(1)
        for task in 5000..<20_000 { lanes.insert(task, place(.normal, "busy", demand: 2)) }
        _ = decide(&lanes, 8000)
        lanes.wake(1)
        let order = decide(&lanes, 200)
        #expect(order.filter { $0 >= 5000 }.count >= 80)
    }

    @Test func positionCountsTurns() {
        var lanes = Lanes()
        for task in 0..<3 { lanes.insert(task, place(.normal, "a", at: task)) }
        for task in 10..<20 { lanes.insert(task, place(.normal, "b", at: task)) }
        lanes.insert(50, place(.normal, "c", demand: 9, at: 0))
        lanes.park(9)
        for task in [0, 1, 2, 10, 11, 12, 13] {
            var copy = lanes
            let order = decide(&copy, 13)
            #expect(lanes.position(of: task) == order.firstIndex(of: task))
        }
        #expect(lanes.position(of: 999) == nil)
    }

    @Test func theNewestLowTaskOfTheBusiestGivesWay() {
        var lanes = Lanes()
        lanes.insert(1, place(.low, "a"))
        #expect(lanes.newestLow == 1)
        for task in 2...5 { lanes.insert(task, place(task < 4 ? .low : .normal, "b")) }
        #expect(lanes.newestLow == 3)
        lanes.remove(3)
        #expect(lanes.newestLow == 2)
        lanes.remove(2)
        #expect(lanes.newestLow == 1)
        lanes.remove(1)
        #expect(lanes.newestLow == nil)
    }

    /// Against a walk over all tasks: with equal charges the least pass, then the owner, then age decide.
    @Test(arguments: [1, 2, 3, 4] as [UInt64]) func agreesWithAWalkOverAllTasks(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var lanes = Lanes()
        var waiting: [Int: Lanes.Place] = [:]
        var served: [String: Int] = [:]
        for task in 0..<600 {
            let spot = place(
                .high, "o\(generator.uniform(0...4))", demand: generator.uniform(0...6), at: generator.uniform(0...50))
            lanes.insert(task, spot)
            waiting[task] = spot
        }
        var parked: Set<Int> = []
        for _ in 0..<600 {
            let demand = generator.uniform(0...6)
            if generator.chance(1, of: 4), waiting.values.contains(where: { $0.demand == demand }) {
                lanes.park(demand)
                parked.insert(demand)
            } else {
                lanes.wake(demand)
                parked.remove(demand)
            }
            let open = waiting.filter { !parked.contains($0.value.demand) }
            let expected = open.min { a, b in
                let (x, y) = (a.value, b.value)
                return (served[x.owner, default: 0], x.owner, x.queued, a.key)
                    < (served[y.owner, default: 0], y.owner, y.queued, b.key)
            }
            let got = lanes.next(at: start)
            #expect(got == expected?.key)
            guard let got, let spot = waiting.removeValue(forKey: got) else { continue }
            lanes.granted(got, charge: 1000, at: start)
            served[spot.owner, default: 0] += 1
            if !waiting.values.contains(where: { $0.demand == spot.demand }) { parked.remove(spot.demand) }
        }
        #expect(lanes.checkInvariants().isEmpty)
    }
}
