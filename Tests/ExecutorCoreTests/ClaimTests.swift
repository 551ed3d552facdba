import Contract
import Machine
import Testing
import Wire

/// Work by pull.
@Suite struct ClaimTests {
    private let manifest = """
        {"modes": ["pull"], "slots": 2, "beat_ms": 1000, "wait_ms": 20000, "capabilities": [
          {"name": "run", "command": ["./run"], "lease_ms": 10000},
          {"name": "demo.echo", "builtin": "echo", "lease_ms": 10000}
        ]}
        """

    @Test func claimsWithEverySlotAndKeepsAsking() throws {
        let rig = try Rig(manifest)
        let topics = rig.published.map(\.topic).filter { $0.contains("/claim/") }
        #expect(topics == ["main/martlet1/claim/e1/1", "main/martlet1/claim/e1/2"])
        #expect(rig.claims.allSatisfy { $0.boot == rig.boot && $0.seq == 1 && $0.waitMs == 20_000 })
        rig.grant(.none(retryAfterMs: 3000, code: nil))
        rig.pass(2999)
        #expect(rig.claims.count == 2)
        rig.pass(1)
        #expect(rig.claims.count == 3)
        #expect(rig.claims.last?.seq == 2)
    }

    @Test func aGrantRunsWithoutAnAcceptAndItsSlotAsksAgainAtTheEnd() throws {
        let rig = try Rig(manifest)
        rig.grant(.task(rig.assignment("t1", epoch: 1)))
        #expect(rig.children.count == 1)
        #expect(rig.count(.accept) == 0)
        #expect(rig.claims.count == 2)
        rig.end(.exited(0), output: "1")
        #expect(rig.claims.count == 3)
        #expect(rig.claims.last?.seq == 2)
        rig.grant(.task(rig.assignment("t2", epoch: 2, capability: "demo.echo")))
        #expect(rig.count(.outcome) == 2)
        #expect(rig.claims.count == 4)
    }

    @Test func aGrantThatComesTwiceRunsOnce() throws {
        let rig = try Rig(manifest)
        rig.grant(.task(rig.assignment("t1", epoch: 1)))
        rig.grant(.task(rig.assignment("t1", epoch: 1)))
        #expect(rig.children.count == 1)
        rig.pass(5000)
        #expect(rig.claims.count == 2, "the slot is busy")
    }

    @Test func aLostClaimIsSentAgainWithTheSameNumber() throws {
        let rig = try Rig(manifest)
        rig.pass(25_000)
        #expect(rig.claims.map(\.seq) == [1, 1, 1, 1])
        rig.give(.disconnected)
        rig.connect()
        #expect(rig.claims.map(\.seq) == [1, 1, 1, 1, 1, 1])
    }

    @Test func theLeaseOfAGrantCountsFromTheClaim() throws {
        let rig = try Rig(manifest)
        rig.pass(4000)
        rig.grant(.task(rig.assignment("t1", epoch: 1)))
        rig.give(.disconnected)
        rig.pass(4999)
        #expect(rig.stopped.isEmpty)
        rig.pass(1)
        #expect(rig.stopped == [1])
    }

    @Test func aGrantWhoseLeaseMayBeOverWaitsForAnAnsweredBeat() throws {
        let rig = try Rig(manifest)
        rig.pass(15_000)
        rig.forget()
        rig.grant(.task(rig.assignment("t1", epoch: 1)))
        #expect(rig.children.isEmpty)
        #expect(rig.beats.last?.leases == [LeasePair("t1", 1)])
        rig.acknowledge()
        #expect(rig.children.count == 1)
    }

    @Test func aGrantThatTheDispatcherTookBackIsNeverStarted() throws {
        let rig = try Rig(manifest)
        rig.pass(15_000)
        rig.grant(.task(rig.assignment("t1", epoch: 1)))
        rig.acknowledge(revoked: [LeasePair("t1", 1)])
        #expect(rig.children.isEmpty)
        #expect(rig.count(.release, epoch: 1) == 1)
        #expect(rig.reports.last { $0.type == .release }?.safe == true)
    }

    @Test func aGrantItCannotTakeIsGivenBackAsSafe() throws {
        let rig = try Rig(manifest)
        rig.grant(.task(rig.assignment("t1", epoch: 1, capability: "gone")))
        #expect(rig.reports.last?.type == .release)
        #expect(rig.reports.last?.safe == true)
        rig.grant(.task(rig.assignment("t2", epoch: 2)))
        rig.give(.terminate)
        rig.grant(.task(rig.assignment("t3", epoch: 3)), slot: "2")
        #expect(rig.reports.last?.epoch == 3)
        #expect(rig.reports.last?.safe == true)
        rig.forget()
        rig.pass(60_000)
        #expect(rig.claims.isEmpty)
    }
}
