import Contract
import Determinism
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// What a restart keeps, and what is forgotten in the end.
@Suite struct RestartTests {
    @Test func noIntentIsRefusedWhileCardsAreStillToCome() throws {
        var bench = try Harness()
        bench.keepsSession = true
        bench.online("e1")
        bench.online("e2", #"{"name":"d"}"#)
        try bench.restart(connects: false)
        bench.intent("t1")
        bench.connect()
        #expect(bench.core.isSettled)
        for id in ["t2", "t3"] { bench.intent(id) }
        #expect(["t2", "t3"].allSatisfy { bench.result($0) == nil && bench.updates($0).count == 1 })
        bench.disconnect()
        bench.connect()
        #expect(bench.core.isSettled)
    }

    @Test func whatABudgetHasSpentIsKept() throws {
        var bench = try Harness(#"{"budgets":[{"workspace":"main","period_ms":3600000,"amount":250}]}"#)
        bench.online("e1", #"{"name":"c","cost":{"fixed":100}}"#, rest: #""slots":8,"reserved":0"#)
        for id in ["t1", "t2", "t3"] { bench.intent(id) }
        let work = bench.assignments("e1")
        #expect(work.count == 2)
        for own in work { bench.succeed("e1", own) }
        try bench.restart()
        #expect(bench.assignments("e1").isEmpty)
        #expect(try bench.explain("t3").text("/code") == "budget_exceeded")
        bench.advance(3_600_000)
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func theMetricsTellOfEachBudget() throws {
        var bench = try Harness(
            #"{"budgets":[{"owner":"zoe","period_ms":60000,"amount":5},{"workspace":"main","period_ms":3600000,"amount":250}]}"#
        )
        bench.online("e1", #"{"name":"c","cost":{"fixed":100}}"#, rest: #""slots":8,"reserved":0"#)
        for id in ["t1", "t2"] { bench.intent(id) }
        bench.succeed("e1", try #require(bench.assignments("e1").first))
        let numbers = JSONValue(bench.core.metricsRecord)
        let found = ["amount", "period_ms", "spent", "reserved"].flatMap { name in
            (1...3).map { numbers["budget_\($0)_\(name)"]?.intValue }
        }
        #expect(found == [5, 250, nil, 60000, 3_600_000, nil, 0, 100, nil, 0, 100, nil])
    }

    @Test func theMetricsTellWhatWasWasted() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":100}}"#)
        bench.intent("t1")
        bench.fail("e1", try bench.assignment("e1"))
        bench.advance(1000)
        bench.succeed("e1", try bench.assignment("e1"))
        let numbers = JSONValue(bench.core.metricsRecord)
        #expect(numbers["running"]?.intValue == 0 && numbers["delayed"]?.intValue == 0)
        #expect(numbers["cost_total"]?.intValue == 200 && numbers["wasted_cost_total"]?.intValue == 100)
    }

    @Test("I21: what running attempts have set aside of a budget still is after a restart")
    func whatABudgetHasReservedIsKept() throws {
        var bench = try Harness(#"{"budgets":[{"workspace":"main","period_ms":3600000,"amount":250}]}"#)
        bench.online("e1", #"{"name":"c","cost":{"fixed":100}}"#, rest: #""slots":8,"reserved":0"#)
        for id in ["t1", "t2"] { bench.intent(id) }
        let work = bench.assignments("e1")
        for own in work { bench.accept("e1", own) }
        try bench.restart()
        bench.intent("t3")
        #expect(bench.assignments("e1").isEmpty)
        #expect(try bench.explain("t3").text("/code") == "budget_exceeded")
        for own in work { bench.report("e1", own, #""type":"outcome","status":"success","cost":10"#) }
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func aBucketIsEmptyAfterARestart() throws {
        var bench = try Harness(#"{"rates":[{"capability":"c","per_s":1,"burst":3}]}"#)
        bench.online("e1", rest: #""slots":20,"reserved":0"#)
        for id in 0..<3 { bench.intent("t\(id)") }
        #expect(bench.assignments("e1").count == 3)
        try bench.restart()
        _ = bench.assignments("e1")
        for id in 3..<6 { bench.intent("t\(id)") }
        #expect(bench.assignments("e1").isEmpty)
        bench.advance(1000)
        #expect(bench.assignments("e1").count == 1)
        bench.advance(2000)
        #expect(bench.assignments("e1").count == 2)
    }

    @Test func g24_aBeatOfTheSameTurnKeepsItsLease() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"timeout_ms":300000}"#)
        let own = try bench.assignment("e1")
        bench.accept("e1", own)
        bench.late(30_500)
        bench.beat("e1", seq: 1, leases: [own])
        bench.advance(1)
        #expect(bench.core.leases.count == 1 && bench.events(.leaseRevoked).isEmpty)
    }

    @Test func executorsThatAreGoneAreForgotten() throws {
        var bench = try Harness()
        for name in 0..<50 {
            bench.online("x\(name)")
            bench.card("x\(name)", "")
            bench.send("executor/x\(name)/card", "", retain: true)
            bench.status("x\(name)", "offline")
        }
        bench.send("beat/stranger", #"{"boot":"b1","seq":1}"#)
        bench.online("e1")
        #expect(bench.core.executorIndex.count == 52)
        bench.advance(3_600_000)
        bench.status("e1", "online")
        bench.advance(20_000)
        #expect(bench.core.executorIndex.count == 1)
        let size = bench.core.executors.count
        #expect(bench.core.firstSeen.keys.allSatisfy { $0.executor.name == "e1" })
        for name in 0..<50 { bench.online("y\(name)") }
        #expect(bench.core.executors.count == size)
        bench.intent("t1")
        #expect(bench.messages.contains { $0.topic.contains("/work/c/") })
        let hash = bench.core.stateHash(at: bench.now)
        var replayed = Dispatcher(configuration: bench.core.configuration, seed: 7)
        for record in bench.records { try replayed.replay(record) }
        #expect(replayed.stateHash(at: bench.now) == hash)
    }

    @Test func t1_39_hundredStepsReportedTwice() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":2"#)
        let steps = (0..<100).map { #"{"name":"s\#($0)","type":"skill","capability":"c"}"# }
        bench.intent("p", to: "plan", #"{"input":{"steps":[\#(steps.joined(separator: ","))]}}"#)
        for _ in 0..<100 {
            let own = try bench.assignment("e1")
            for _ in 0..<2 { bench.succeed("e1", own) }
        }
        let result = try #require(bench.result("p", of: "plan"))
        #expect(result.status == .success)
        let output = try #require(result.output)
        guard case .array(let ended)? = JSONValue(output)["steps"] else { throw Missing() }
        #expect(ended.map { $0.text("/step_name") } == (0..<100).map { "s\($0)" })
        #expect(bench.all("log/p/step").count == 100)
    }

    @Test func t1_55_rulesThatCannotBeReadRefuse() throws {
        var bench = try Harness(#"{"policy":{"main":[{"id":"","effect":"allow"}]}}"#)
        bench.online("e1")
        bench.intent("t1")
        #expect(bench.result("t1")?.status == .rejected && bench.result("t1")?.error?.code == .internal)
        #expect(try bench.command("task/list/all").code == .internal)
        bench.input(.reload(Array(#"{"dispatcher":{}}"#.utf8)))
        bench.acknowledges = false
        bench.intent("t2")
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(bench.result("t2")?.status == .success)
    }

    @Test func trap2_noTimeLimitIsTheNextSource() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","timeout_ms":700},{"name":"d","timeout_ms":0}"#, rest: #""slots":9"#)
        bench.intent("t1", #"{"timeout_ms":0}"#)
        bench.intent("t2")
        bench.intent("t3", to: "d", #"{"timeout_ms":0}"#)
        #expect(bench.assignments("e1").map(\.timeoutMs) == [700, 700, 30_000])
    }

    @Test func trap14_aCrashEndsItsAttempt() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"retry":{"count":0}}"#)
        bench.report("e1", try bench.assignment("e1"), #""type":"outcome","status":"failed""#)
        #expect(bench.result("t1")?.error?.code == .internal)
        bench.intent("t2")
        #expect(try bench.assignment("e1").task == "t2")
    }

    @Test func g21_manyTasksGoOnAtOnceAfterARestart() throws {
        var bench = try Harness()
        (bench.checks, bench.echoes) = (false, true)
        bench.online("e1", rest: #""slots":4,"reserved":0"#)
        for number in 0..<10_000 { bench.intent("t\(number)") }
        let held = bench.assignments("e1")
        #expect(held.count == 4 && bench.core.tasks.count == 10_000)
        try bench.restart()
        #expect(bench.core.isSettled && bench.core.tasks.count == 10_000)
        #expect(bench.assignments("e1").map(\.epoch) == held.map(\.epoch))
        bench.succeed("e1", held[0])
        #expect(bench.assignments("e1").map(\.task) == ["t4"])
    }

    @Test("G-15 an offer and a view that the snapshot lost are cleared when nothing is behind them")
    func whatTheSnapshotLostIsCleared() throws {
        for place in ["offer/c", "capability/c"] {
            var bench = try Harness()
            bench.online("e1")
            bench.intent("t1")
            bench.succeed("e1", try bench.assignment("e1"))
            bench.send("executor/e1/card", "", retain: true)
            bench.advance(2000)
            bench.loses(place, #"{"open":3,"rev":1}"#)
            try bench.restart()
            #expect(bench.core.isSettled && bench.retained["main/martlet1/\(place)"] == nil, "\(place)")
        }
    }

    @Test("F9: a clock that is set while the dispatcher is down makes no executor seem slow")
    func aSetClockMakesNoExecutorSlow() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        let own = try bench.assignment("e1")
        bench.accept("e1", own)
        try bench.restart(after: 3_600_000)
        bench.succeed("e1", own)
        bench.intent("t2", #"{"deadline_ms":60000}"#)
        #expect(try bench.assignment("e1").task == "t2")
    }

    @Test("T8: an offer has its whole window again after a restart", arguments: ["at_least_once", "at_most_once"])
    func anOfferKeepsItsWindow(delivery: String) throws {
        var bench = try Harness()
        bench.online("e1")
        bench.online("e2")
        bench.intent("t1", #"{"delivery":"\#(delivery)"}"#)
        let holder = bench.assignments("e1").isEmpty ? "e2" : "e1"
        try bench.restart()
        bench.advance(1000)
        let again = try bench.assignment(holder)
        #expect(again.attempt == 1 && again.acceptMs ?? 0 >= 2000)
        bench.accept(holder, again)
        bench.succeed(holder, again)
        #expect(bench.result("t1")?.status == .success)
        #expect(bench.assignments(holder == "e1" ? "e2" : "e1").isEmpty)
    }

    @Test("T20: the grace of a cancel is what was asked for, after a restart too")
    func theGraceOfACancelIsKept() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","lease_ms":300000}"#)
        bench.intent("t1")
        let own = try bench.assignment("e1")
        bench.accept("e1", own)
        #expect(try bench.command("task/cancel/t1", #"{"principal":"alice","grace_ms":60000}"#).ok)
        try bench.restart()
        bench.advance(30_000)
        #expect(bench.result("t1") == nil)
        bench.report("e1", own, #""type":"outcome","status":"canceled""#)
        #expect(bench.result("t1")?.status == .canceled)
    }

    @Test("An executor whose card is still to come after a start can be drained and put back")
    func executorsAreKnownBeforeTheirCards() throws {
        var bench = try Harness()
        bench.echoes = false
        bench.online("e1")
        #expect(try bench.command("executor/drain/e1").ok)
        try bench.restart()
        #expect(!bench.core.isSettled)
        #expect(try bench.command("executor/resume/e1").ok)
        #expect(try bench.command("executor/resume/nobody").code == .notFound)
        bench.advance(60_000)
        bench.online("e1")
        bench.intent("t1")
        #expect(try bench.assignment("e1").task == "t1")
    }

    private struct Missing: Error {}
}
