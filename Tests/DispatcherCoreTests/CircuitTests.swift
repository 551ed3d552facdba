import Contract
import Determinism
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

@Suite struct CircuitTests {
    /// A circuit with a clock and a generator of its own.
    private struct Bench {
        var circuit = Circuit(at: MonotonicTime(milliseconds: 0))
        var generator = SeededGenerator(seed: 7)
        var now = MonotonicTime(milliseconds: 0)
        var trips = CircuitTrips()
        var epoch = 0

        /// Grants and ends one task; `F` fails, `S` succeeds, `N` says nothing.
        @discardableResult mutating func play(_ outcomes: String, from executor: String = "a") -> CircuitChange? {
            var last: CircuitChange?
            for outcome in outcomes {
                epoch += 1
                let grant = CircuitGrant(
                    generation: circuit.grant(epoch: epoch), epoch: epoch, executor: executor)
                last = end(grant, outcome)
            }
            return last
        }

        mutating func end(_ grant: CircuitGrant, _ outcome: Character) -> CircuitChange? {
            let verdict: CircuitVerdict = outcome == "F" ? .failure : outcome == "S" ? .success : .neutral
            let rule = CircuitRule(trips, using: &generator)
            return circuit.record(verdict, of: grant, why: .executionTimeout, at: now, rule: rule)
        }

        mutating func advance(_ ms: Int) -> CircuitChange? {
            now = now + ms
            return circuit.poll(at: now)
        }

        /// Waits for the end of the open time and returns how long it was.
        mutating func waitForProbe() -> Int {
            let length = (circuit.until ?? now) - now
            #expect(advance(length - 1) == nil)
            #expect(advance(1) == .halfOpened)
            return length
        }
    }

    @Test func fiveFailuresInARowOpen() {
        var bench = Bench()
        #expect(bench.play("FFFF") == nil)
        #expect(bench.circuit.state == .closed)
        #expect(bench.circuit.permission(isPreferred: false) == .allowed)
        #expect(bench.play("F") == .opened)
        #expect(bench.circuit.state == .open)
        #expect(bench.circuit.permission(isPreferred: true).code == .circuitOpen)
        #expect((24_000...36_000).contains(bench.waitForProbe()))
    }

    @Test func aSuccessBetweenBreaksTheRow() {
        var bench = Bench()
        bench.play("FFFFSFFFF")
        #expect(bench.circuit.state == .closed)
    }

    @Test func halfOfTenOpen() {
        var bench = Bench()
        #expect(bench.play("SFSFSFSFS") == nil)
        #expect(bench.circuit.state == .closed)
        #expect(bench.play("F") == .opened)
    }

    @Test func oldOutcomesDoNotCount() {
        var bench = Bench()
        bench.play("FFFF")
        _ = bench.advance(600_000)
        #expect(bench.play("F") == nil)
        #expect(bench.circuit.counts(at: bench.now).all == 1)
    }

    @Test func openTimesDoubleUpToFiveMinutes() {
        var bench = Bench()
        bench.play("FFFFF")
        let bounds = [24...36, 48...72, 96...144, 192...288, 240...360, 240...360]
        for bound in bounds {
            let length = bench.waitForProbe()
            #expect((bound.lowerBound * 1000...bound.upperBound * 1000).contains(length))
            #expect(bench.play("F") == .opened)
        }
    }

    @Test func aGoodProbeClosesAndTheRowEndsAfterAMinute() {
        var bench = Bench()
        bench.play("FFFFF")
        _ = bench.waitForProbe()
        #expect(bench.play("S") == .closed)
        #expect(bench.circuit.counts(at: bench.now).all == 0)
        #expect(bench.circuit.failuresInARow(at: bench.now) == 0)
        var soon = bench
        _ = soon.advance(10_000)
        soon.play("FFFFF")
        #expect((48_000...72_000).contains(soon.waitForProbe()))
        #expect(bench.advance(60_000) == .view)
        bench.play("FFFFF")
        #expect((24_000...36_000).contains(bench.waitForProbe()))
    }

    @Test func oneProbeAtATime() {
        var bench = Bench()
        bench.play("FFFFF")
        _ = bench.waitForProbe()
        #expect(bench.circuit.permission(isPreferred: true) == .allowed)
        let grant = CircuitGrant(generation: bench.circuit.grant(epoch: 90), epoch: 90, executor: "a")
        #expect(bench.circuit.permission(isPreferred: true) == .probe)
        #expect(bench.end(grant, "N") == .probeFree)
        #expect(bench.circuit.state == .halfOpen)
        #expect(bench.circuit.permission(isPreferred: true) == .allowed)
    }

    @Test func othersMayProbeAfterASecond() {
        var bench = Bench()
        bench.play("FFFFF")
        _ = bench.waitForProbe()
        #expect(bench.circuit.permission(isPreferred: false) == .probe)
        #expect(bench.advance(999) == nil)
        #expect(bench.advance(1) == .probeFree)
        #expect(bench.circuit.permission(isPreferred: false) == .allowed)
    }

    @Test func workFromBeforeTheOpeningDoesNotCount() {
        var bench = Bench()
        let early = CircuitGrant(generation: bench.circuit.grant(epoch: 99), epoch: 99, executor: "a")
        bench.play("FFFFF")
        _ = bench.waitForProbe()
        #expect(bench.end(early, "S") == nil)
        #expect(bench.circuit.state == .halfOpen)
    }

    @Test func aCapabilityNeedsTwoExecutors() {
        var bench = Bench(trips: CircuitTrips().acrossExecutors)
        #expect(bench.play("FFFFFFF", from: "a") == nil)
        #expect(bench.play("F", from: "b") == .opened)
        var mixed = Bench(trips: CircuitTrips().acrossExecutors)
        mixed.play("SFSFSFSFSFS", from: "a")
        #expect(mixed.circuit.state == .closed)
        #expect(mixed.play("F", from: "b") == .opened)
    }

    @Test func thresholdsCanBeConfigured() {
        var bench = Bench(trips: CircuitTrips(consecutive: 3))
        #expect(bench.play("FF") == nil)
        #expect(bench.play("F") == .opened)
    }

    @Test func heldByForce() {
        var bench = Bench()
        #expect(bench.circuit.force(.open, by: "ops", for: nil, at: bench.now) == .opened)
        #expect(bench.circuit.deadline == nil)
        #expect(bench.circuit.view(at: now(bench)).forcedBy == "ops")
        #expect(bench.circuit.force(.open, by: "ops", for: nil, at: bench.now) == nil)
        #expect(bench.circuit.force(.closed, by: "ops", for: 5000, at: bench.now) == .closed)
        #expect(bench.play("FFFFFFF") == nil)
        #expect(bench.advance(5000) == .view)
        #expect(bench.circuit.forcedBy == nil)
        #expect(bench.circuit.reset(at: bench.now) == .view)
        #expect(bench.circuit.reset(at: bench.now) == nil)
    }

    @Test func aForcedOpeningEndsInAProbe() {
        var bench = Bench()
        _ = bench.circuit.force(.open, by: "ops", for: 1000, at: bench.now)
        #expect(bench.advance(1000) == .halfOpened)
        #expect(bench.play("S") == .closed)
    }

    @Test func aQuotaOpensForItsTime() {
        var bench = Bench()
        #expect(bench.circuit.open(for: 300_000, why: "quota", at: bench.now) == .opened)
        #expect(bench.circuit.open(for: 1000, why: "quota", at: bench.now) == nil)
        #expect(bench.waitForProbe() == 300_000)
    }

    @Test func theRecordKeepsTheRestOfTheOpenTime() throws {
        var bench = Bench()
        bench.play("SFFFFF")
        let before = now(bench)
        let record = bench.circuit.record(at: before)
        #expect(try CircuitRecord(decoding: record.encoded) == record)
        let after = Now(wall: before.wall + 5000, monotonic: MonotonicTime(milliseconds: 1_000_000))
        let restored = Circuit(record, at: after)
        let rest = (bench.circuit.until ?? bench.now) - bench.now
        #expect(restored.until == after.monotonic + rest - 5000)
        #expect(restored.generation == bench.circuit.generation)
        #expect(restored.view(at: after).until == bench.circuit.view(at: before).until)
    }

    @Test func theRecordKeepsTheWindow() throws {
        var bench = Bench()
        bench.play("SF")
        let restored = Circuit(
            try CircuitRecord(decoding: bench.circuit.record(at: now(bench)).encoded), at: now(bench))
        #expect(restored == bench.circuit)
    }

    private func now(_ bench: Bench) -> Now {
        Now(wall: WallTime(milliseconds: 1_700_000_000_000 + bench.now.milliseconds), monotonic: bench.now)
    }
}
