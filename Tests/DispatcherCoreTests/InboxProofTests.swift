import Contract
import Determinism
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Load alone ends no attempt: what stands in the broker's row is read before anything is declared over.
@Suite struct InboxProofTests {
    /// A dispatcher whose own messages do not come back, with one offer out and many messages coming.
    private func loaded() throws -> (Harness, Assignment) {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        let own = try bench.assignment("e1")
        bench.echoes = false
        bench.advance(1500)
        for number in 0..<InboxProof.busyPerSecond { bench.intent("x\(number)", to: "nobody") }
        bench.advance(700)
        return (bench, own)
    }

    @Test func G24_anOutcomeBehindManyMessagesStillCounts() throws {
        var (bench, own) = try loaded()
        #expect(bench.core.leases.count == 1)
        bench.succeed("e1", own)
        #expect(bench.result("t1")?.status == .success)
        #expect(bench.events(.leaseRevoked).isEmpty)
    }

    @Test func theProofLetsWhatIsDueEnd() throws {
        var (bench, _) = try loaded()
        bench.echoes = true
        bench.sendSystem(
            "service/dispatcher/dispatcher",
            String(decoding: bench.core.service(.up, reason: nil).encoded, as: UTF8.self))
        bench.advance(1)
        #expect(bench.events(.leaseRevoked).count == 1)
    }

    @Test func aFloodDoesNotKeepTheDeadAlive() throws {
        var (bench, _) = try loaded()
        for _ in 0..<35 {
            for number in 0..<InboxProof.busyPerSecond { bench.intent("x\(number)", to: "nobody") }
            bench.advance(1000)
        }
        #expect(bench.events(.leaseRevoked).count == 1)
    }

    @Test func withoutLoadNothingWaits() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        _ = try bench.assignment("e1")
        bench.echoes = false
        bench.advance(2001)
        #expect(bench.events(.leaseRevoked).count == 1)
    }
}
