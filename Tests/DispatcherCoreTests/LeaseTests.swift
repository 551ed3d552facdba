import Contract
import Determinism
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Leases: what is granted, kept, lost, fenced; what a restart and a broken connection change.
@Suite struct LeaseTests {
    private func held(_ bench: inout Harness, _ fields: String = "{}") throws -> Assignment {
        bench.online("e1", rest: #""slots":2"#)
        bench.intent("t1", fields)
        let own = try bench.assignment("e1")
        bench.accept("e1", own)
        return own
    }

    @Test func aLateOutcomeCountsUntilAnotherHasTheTask() throws {
        var bench = try Harness()
        let own = try held(&bench, #"{"retry":{"count":5,"delay_ms":60000,"max_delay_ms":60000}}"#)
        bench.status("e1", "lost")
        bench.advance(1000)
        #expect(bench.core.tasks.values.first?.epoch == own.epoch)
        #expect(bench.core.leases.isEmpty)
        bench.succeed("e1", own)
        let result = try #require(bench.result("t1"))
        #expect(result.status == .success && result.attempts.count == 1)
    }

    @Test func g07_aNewGrantMakesTheOldEpochStale() throws {
        var bench = try Harness()
        let own = try held(&bench)
        bench.status("e1", "lost")
        bench.online("e2")
        bench.advance(1000)
        let next = try bench.assignment("e2")
        #expect(next.epoch > own.epoch && next.attempt == 2)
        bench.succeed("e1", own)
        #expect(bench.result("t1") == nil && bench.events(.taskStaleResult).count == 1)
    }

    @Test func aWillOfAnOlderConnectionDoesNoHarm() throws {
        var bench = try Harness()
        let own = try held(&bench, #"{"timeout_ms":300000}"#)
        bench.status("e1", "online", conn: 4)
        bench.status("e1", "lost", conn: 3)
        bench.advance(5000)
        #expect(bench.core.leases.count == 1)
        bench.status("e1", "lost", conn: 4)
        bench.advance(500)
        bench.beat("e1", seq: 1, leases: [own])
        bench.advance(10_000)
        #expect(bench.core.leases.count == 1)
    }

    /// A broker that ends in good order publishes every Will; the executor has done the work and tells when it is back.
    @Test func anOfferOutlivesTheWillOfItsExecutor() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        let own = try bench.assignment("e1")
        bench.online("e2")
        bench.status("e1", "lost")
        bench.advance(500)
        bench.succeed("e1", own)
        #expect(bench.result("t1")?.status == .success)
        #expect(bench.assignments("e1").isEmpty && bench.assignments("e2").isEmpty)
    }

    @Test func anOfferOfALostExecutorIsMadeToAnotherAfterTheGrace() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        _ = try bench.assignment("e1")
        bench.status("e1", "lost")
        bench.online("e2")
        #expect(bench.assignments("e2").isEmpty)
        bench.advance(1000)
        #expect(bench.assignments("e2").count == 1)
    }

    @Test func quickWorkNeedsNoAccept() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        let own = try bench.assignment("e1")
        bench.advance(1500)
        bench.succeed("e1", own)
        let result = try #require(bench.result("t1"))
        #expect(result.status == .success && result.durationMs == 1500)
    }

    @Test func anOfferThatNobodyTakesIsFenced() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        let own = try bench.assignment("e1")
        bench.advance(2500)
        let work = bench.work("e1")
        #expect(work.contains { $0.kind == .revoke })
        bench.succeed("e1", own)
        #expect(bench.result("t1") == nil)
        #expect(bench.work("e1").contains(.beatAck(BeatAck(revoked: [LeasePair("t1", own.epoch)]))))
    }

    @Test func aZombieKeepsItsSlots() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"timeout_ms":1000,"retry":{"count":0}}"#)
        let own = try bench.assignment("e1")
        bench.accept("e1", own)
        bench.advance(1000)
        #expect(bench.result("t1")?.status == .timeout)
        _ = bench.work("e1")
        bench.intent("t2")
        #expect(bench.assignments("e1").isEmpty)
        bench.report("e1", own, #""type":"outcome","status":"canceled""#)
        #expect(bench.assignments("e1").count == 1)
        #expect(bench.resultCount("t1") == 1)
    }

    @Test func aZombieEndsWithItsOldLease() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"timeout_ms":1000,"retry":{"count":0}}"#)
        bench.accept("e1", try bench.assignment("e1"))
        bench.advance(1000)
        bench.intent("t2")
        bench.advance(28_999)
        #expect(bench.assignments("e1").isEmpty)
        bench.advance(1)
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func g08_atMostOnceIsNeverGivenTwice() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.online("e2", #"{"name":"c","cost":{"fixed":9}}"#)
        bench.intent("t1", #"{"delivery":"at_most_once"}"#)
        let own = try bench.assignment("e1")
        #expect(own.delivery == .atMostOnce)
        bench.advance(29_000)
        #expect(bench.result("t1") == nil)
        bench.advance(1000)
        #expect(bench.result("t1")?.error?.code == .executorLost)
        #expect(bench.assignments("e2").isEmpty)
        bench.intent("t2", #"{"delivery":"at_most_once","timeout_ms":60000}"#)
        bench.refuse("e1", try bench.assignment("e1"), "busy")
        let next = try bench.assignment("e2")
        bench.accept("e2", next)
        bench.advance(30_000)
        #expect(bench.result("t2")?.error?.code == .leaseExpired)
    }

    @Test func whileTheLinkIsDownNobodyDies() throws {
        var bench = try Harness()
        let own = try held(&bench)
        bench.advance(20_000)
        bench.disconnect()
        bench.advance(120_000)
        bench.connect()
        #expect(bench.core.leases.count == 1)
        bench.advance(9_000)
        bench.succeed("e1", own)
        #expect(bench.result("t1")?.status == .success)
    }

    @Test func aLateTurnMovesLeases() throws {
        var bench = try Harness()
        _ = try held(&bench)
        bench.jump(45_000)
        #expect(bench.core.leases.count == 1)
        #expect(bench.logs.contains { $0.name == "late" })
        let epoch = try #require(bench.core.leases[1]).epoch
        bench.advance(30_001)
        #expect(bench.core.leases[1]?.epoch != epoch)
    }

    @Test func aRestartKeepsLeasesAndOffers() throws {
        var bench = try Harness()
        let own = try held(&bench)
        bench.intent("t2")
        bench.advance(0)
        bench.online("e2", #"{"name":"d"}"#)
        bench.intent("o1", to: "d")
        let offer = try bench.assignment("e2")
        try bench.restart(after: 500)
        let again = try bench.assignment("e2")
        #expect(again.epoch == offer.epoch && again.term == offer.term + 1)
        bench.succeed("e1", own)
        #expect(bench.result("t1")?.status == .success)
        bench.succeed("e2", again)
        #expect(bench.result("o1", of: "d")?.status == .success)
    }

    @Test func whatTheBrokerDidNotTakeIsToldAgain() throws {
        var bench = try Harness()
        bench.acknowledges = false
        bench.online("e1")
        bench.intent("t1")
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(bench.resultCount("t1") == 1)
        try bench.restart()
        #expect(bench.resultCount("t1") == 2)
        #expect(Set(bench.all("result/alice/c/t1")).count == 1)
        bench.acknowledges = true
        try bench.restart()
        #expect(bench.resultCount("t1") == 3)
        bench.advance(2000)
        try bench.restart()
        #expect(bench.resultCount("t1") == 3)
    }

    @Test func aFullJournalRefusesAndRecovers() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":4"#)
        bench.intent("t1")
        let own = try bench.assignment("e1")
        bench.input(.journalWritable(false))
        bench.intent("t2")
        #expect(bench.result("t2")?.error?.code == .busy)
        bench.succeed("e1", own)
        #expect(bench.result("t1")?.status == .success)
        bench.input(.journalWritable(true))
        bench.intent("t2")
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func t1_96_stopping() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""modes":["pull"]"#)
        bench.send("claim/e1/s1", #"{"wait_ms":60000}"#)
        bench.input(.terminate)
        guard case .none(_, let code)? = try bench.grant("e1") else { return #expect(Bool(false)) }
        #expect(code == .shuttingDown)
        bench.intent("t1")
        #expect(bench.result("t1")?.error?.code == .shuttingDown)
        #expect(try bench.command("task/list/all").code == .shuttingDown)
        #expect(bench.quit == .quit(status: 0, reason: "stopped"))
        let record = try #require(bench.retained.first { $0.key.hasPrefix("_sys/martlet1/service/dispatcher") })
        #expect(try ServiceRecord(decoding: record.value).state == .down)
    }

    @Test func aNewerDispatcherEndsThisOne() throws {
        var bench = try Harness()
        bench.allowsErrors = true
        bench.sendSystem(
            "service/dispatcher/other",
            #"{"state":"up","version":"1","term":9,"boot":"x","since":"2026-11-20T10:00:00.000Z"}"#)
        guard case .quit(let status, _)? = bench.quit else { return #expect(Bool(false)) }
        #expect(status == 78)
    }

    @Test func aViewChangedByAStrangerIsPutRight() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.advance(2000)
        let own = try #require(bench.view("capability/c"))
        bench.send("capability/c", #"{"executors":[]}"#, retain: true)
        bench.advance(5000)
        #expect(bench.view("capability/c") == own)
        bench.send("capability/zzz", #"{"executors":[]}"#, retain: true)
        #expect(bench.view("capability/zzz") == nil)
    }

    @Test func aClaimWithoutCard() throws {
        var bench = try Harness()
        bench.intent("t0")
        #expect(bench.result("t0")?.error?.code == .unknownCapability)
        bench.send("claim/sh/1", #"{"capabilities":["c"],"wait_ms":60000,"lease_ms":120000}"#)
        bench.intent("t1")
        guard case .task(let own)? = try bench.grant("sh", slot: "1") else { return #expect(Bool(false)) }
        #expect(own.leaseMs == 120_000)
        let before = bench.messages.count
        bench.send("claim/sh/1", #"{"capabilities":["c"]}"#)
        guard case .task(let again)? = try bench.grant("sh", slot: "1", since: before) else {
            return #expect(Bool(false))
        }
        #expect(again.epoch == own.epoch)
        bench.send("report/sh/t1", #"{"epoch":\#(own.epoch),"type":"outcome","status":"success"}"#)
        #expect(bench.work("sh").contains(.beatAck(BeatAck(confirmed: [LeasePair("t1", own.epoch)]))))
        #expect(bench.result("t1")?.status == .success)
        bench.intent("t2")
        #expect(bench.result("t2")?.error?.code == .skillNotLoaded)
    }

    @Test func aParkedClaimEndsWithItsWait() throws {
        var bench = try Harness()
        bench.online("p1", rest: #""modes":["pull"]"#)
        bench.send("claim/p1/s1", #"{"wait_ms":5000,"seq":1}"#)
        #expect(try bench.grant("p1") == nil)
        bench.advance(5000)
        guard case .none? = try bench.grant("p1") else { return #expect(Bool(false)) }
        let before = bench.messages.count
        bench.send("claim/p1/s1", #"{"wait_ms":5000,"seq":1}"#)
        #expect(try bench.grant("p1", since: before) != nil)
    }
}
