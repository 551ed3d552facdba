import Contract
import Determinism
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// I12: what waits is looked at again as soon as somebody could take it. The harness asks after every input.
@Suite struct WakeTests {
    private let hour = 3_600_000

    @Test func whatABudgetGetsBackIsSpentByOtherCapabilitiesToo() throws {
        var bench = try Harness(#"{"budgets":[{"workspace":"main","period_ms":3600000,"amount":150}]}"#)
        bench.online("e1", #"{"name":"c","cost":{"fixed":100}}"#)
        bench.online("e2", #"{"name":"d","cost":{"fixed":100}}"#)
        bench.intent("t1")
        let first = try bench.assignment("e1")
        bench.intent("t2", to: "d")
        #expect(bench.assignments("e2").isEmpty)
        bench.report("e1", first, #""type":"outcome","status":"success","cost":20"#)
        #expect(try bench.assignment("e2").task == "t2")
    }

    @Test func aBudgetsPeriodBeginsWhenTheCalendarIsSet() throws {
        var bench = try Harness(#"{"budgets":[{"workspace":"main","period_ms":3600000,"amount":150}]}"#)
        bench.online("e1", #"{"name":"c","cost":{"fixed":100}}"#, rest: #""slots":4"#)
        bench.intent("t1")
        bench.succeed("e1", try bench.assignment("e1"))
        bench.intent("t2")
        #expect(bench.assignments("e1").isEmpty)
        bench.setWall(bench.now.wall + hour)
        #expect(try bench.assignment("e1").task == "t2")
    }

    @Test func eachTaskWaitsForPushByItself() throws {
        var bench = try Harness(#"{"push_wait_ms":{"c":1000}}"#)
        bench.online("busy", rest: #""slots":1"#)
        bench.intent("t0")
        bench.accept("busy", try bench.assignment("busy"))
        // Of the two that wait, the owner whose turn it is sent its task later.
        bench.intent("old", by: "zoe")
        bench.advance(700)
        bench.intent("new", by: "alice")
        bench.online("idle", rest: #""modes":["pull"]"#)
        bench.send("claim/idle/s1", #"{"boot":"b1","wait_ms":600000}"#)
        #expect(bench.all("grant/idle/s1").isEmpty)
        bench.advance(300)
        let grant = try #require(try bench.grant("idle"))
        guard case .task(let own) = grant else { return #expect(Bool(false), "nobody got the claim") }
        #expect(own.task == "old")
        bench.send("claim/idle/s2", #"{"boot":"b1","wait_ms":600000}"#)
    }

    @Test func aTaskWhoseDeadlineIsTooNearForOneIsLookedAtWhenAnotherOpens() throws {
        var bench = try Harness(#"{"rates":[{"capability":"c","executor":"e2","per_s":1,"burst":1}]}"#)
        bench.online("e2", #"{"name":"c","expected_ms":100}"#, rest: #""slots":4"#)
        bench.intent("t1")
        bench.accept("e2", try bench.assignment("e2"))
        bench.online("e1", #"{"name":"c","expected_ms":60000}"#, rest: #""slots":4"#)
        bench.intent("t2", #"{"deadline_ms":10000}"#)
        #expect(bench.assignments("e1").isEmpty && bench.assignments("e2").isEmpty)
        bench.advance(1000)
        #expect(try bench.assignment("e2").task == "t2")
    }

    @Test func aTaskThatIsParkedDoesNotKeepTheTurnOfItsKey() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":4"#)
        bench.online("e2", #"{"name":"d"}"#, rest: #""slots":1"#)
        bench.intent("full", to: "d")
        bench.intent("also", to: "d")
        bench.intent("t0", #"{"concurrency_key":"k"}"#)
        let first = try bench.assignment("e1")
        bench.intent("t1", to: "d", #"{"concurrency_key":"k","priority":"high"}"#)
        bench.intent("t2", #"{"concurrency_key":"k"}"#)
        bench.succeed("e1", first)
        #expect(try bench.assignment("e1").task == "t2")
    }

    @Test func aRetryKeepsItsPlaceInTheWaitForPush() throws {
        var bench = try Harness(#"{"push_wait_ms":{"c":1000}}"#)
        bench.online("busy", rest: #""slots":1"#)
        bench.intent("t0")
        bench.accept("busy", try bench.assignment("busy"))
        bench.online("idle", rest: #""modes":["pull"]"#)
        bench.intent("old", #"{"retry":{"count":3,"delay_ms":0}}"#)
        bench.send("claim/idle/s1", #"{"boot":"b1","wait_ms":600000}"#)
        bench.advance(1000)
        let first = try granted("idle", bench)
        bench.online("other", rest: #""modes":["pull"]"#)
        bench.send("claim/other/s1", #"{"boot":"b1","wait_ms":600000}"#)
        bench.intent("new")
        #expect(bench.all("grant/other/s1").isEmpty)
        bench.fail("idle", first)
        #expect(try granted("other", bench).task == "old")
    }

    @Test(arguments: [0, 8]) func nobodyWaitsForPushWhileOneIsFreeThatFailedItLast(_ walked: Int) throws {
        var bench = try Harness(#"{"push_wait_ms":{"c":1000}}"#)
        bench.walks(upTo: walked)
        bench.online("busy", rest: #""slots":1"#)
        bench.intent("t0")
        bench.accept("busy", try bench.assignment("busy"))
        bench.online("bad", rest: #""slots":1"#)
        bench.intent("t1", #"{"retry":{"count":3,"delay_ms":0}}"#)
        let first = try bench.assignment("bad")
        bench.online("idle", rest: #""modes":["pull"]"#)
        bench.send("claim/idle/s1", #"{"boot":"b1","wait_ms":600000}"#)
        bench.fail("bad", first)
        #expect(try granted("idle", bench).task == "t1")
        bench.intent("t2")
        #expect(try bench.assignment("bad").task == "t2")
    }

    private func granted(_ executor: String, _ bench: Harness) throws -> Assignment {
        guard case .task(let assignment) = try #require(try bench.grant(executor)) else { throw NoTask() }
        return assignment
    }

    private struct NoTask: Error {}

    @Test func aTaskThatIsParkedWithAnotherDoesNotKeepTheTurnOfItsKey() throws {
        var bench = try Harness()
        bench.online("e9", #"{"name":"c"},{"name":"d"}"#, rest: #""slots":4,"reserved":0"#)
        bench.intent("head")
        bench.intent("holder", to: "d", #"{"concurrency_key":"k","deadline_ms":1000}"#)
        bench.accept("e9", bench.assignments("e9")[1])
        bench.intent("called", #"{"concurrency_key":"k"}"#)
        bench.online("e2", #"{"name":"d"}"#, rest: #""slots":4"#)
        bench.intent("next", to: "d", #"{"concurrency_key":"k"}"#)
        // At one moment the key calls a task, and one comes back that is decided before it and parks both.
        bench.status("e9", "lost")
        bench.advance(1000)
        #expect(try bench.assignment("e2").task == "next")
    }

    @Test func aLongRowForAKeyThatNobodyCanTakeIsNoDeepStack() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.online("e2", #"{"name":"d"}"#)
        bench.intent("holder", to: "d", #"{"concurrency_key":"k"}"#)
        bench.checks = false
        for number in 0..<3000 { bench.intent("t\(number)", #"{"concurrency_key":"k"}"#) }
        bench.status("e1", "offline")
        bench.succeed("e2", try bench.assignment("e2"))
        bench.checks = true
        bench.intent("late", to: "d", #"{"concurrency_key":"k"}"#)
        bench.succeed("e2", try bench.assignment("e2"))
        bench.status("e1", "online")
        #expect(try bench.assignment("e1").task == "t0")
    }

    @Test(arguments: [0, 8]) func aTaskThatNoBudgetCanEverPayEnds(_ walked: Int) throws {
        var bench = try Harness(#"{"budgets":[{"workspace":"main","period_ms":3600000,"amount":90}]}"#)
        bench.walks(upTo: walked)
        bench.online("e1", #"{"name":"c","cost":{"fixed":100}}"#)
        bench.intent("t1")
        #expect(bench.result("t1")?.status == .failed)
        #expect(bench.result("t1")?.error?.code == .budgetExceeded)
        // A cheaper one, even if it is away, may take the next.
        bench.online("e2", #"{"name":"c","cost":{"fixed":80}}"#)
        bench.status("e2", "offline")
        bench.intent("t2")
        #expect(bench.result("t2") == nil)
        bench.status("e2", "online")
        #expect(try bench.assignment("e2").task == "t2")
    }

    // MARK: - What was lost on the way

    @Test func whoBeatsIsConnectedThoughItsStatusWasLost() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":4"#)
        bench.status("e1", "lost")
        bench.intent("t1")
        #expect(bench.assignments("e1").isEmpty)
        bench.beat("e1", seq: 1)
        #expect(try bench.assignment("e1").task == "t1")
        bench.card("e1", #"{"name":"c"}"#, boot: "b2", rest: #""slots":4"#)
        bench.intent("t2")
        #expect(bench.assignments("e1").isEmpty)
        bench.beat("e1", seq: 1, boot: "b2")
        #expect(bench.assignments("e1").contains { $0.task == "t2" && $0.boot == "b2" })
    }

    @Test(arguments: ["paused", "draining"]) func whoTookNothingBeforeItsWillTakesNothingAfterIt(_ word: String) throws
    {
        var bench = try Harness()
        bench.online("e1")
        bench.status("e1", word)
        bench.status("e1", "lost")
        bench.intent("t1")
        bench.beat("e1", seq: 1)
        #expect(bench.assignments("e1").isEmpty)
        bench.status("e1", "online")
        #expect(try bench.assignment("e1").task == "t1")
    }

    @Test func newLimitsAndBudgetsWakeWhatWaits() throws {
        var bench = try Harness(#"{"key_limits":[{"key":"k","limit":1}]}"#)
        bench.online("e1", rest: #""slots":4,"reserved":0"#)
        for id in ["t1", "t2", "t3"] { bench.intent(id, #"{"concurrency_key":"k"}"#) }
        #expect(try bench.assignment("e1").task == "t1")
        bench.input(.reload(Array(#"{"dispatcher":{"key_limits":[{"key":"k","limit":2}]}}"#.utf8)))
        #expect(try bench.assignment("e1").task == "t2")
    }

    // MARK: - The calendar

    @Test(arguments: [nil, "e1"]) func aPauseLastsAsLongAsWasSaidThoughTheCalendarIsSetBack(_ executor: String?) throws
    {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":4"#)
        let whom = executor.map { #","executor":"\#($0)""# } ?? ""
        #expect(try bench.command("capability/pause/c", #"{"for_ms":5000\#(whom)}"#).ok)
        bench.intent("t1")
        bench.setWall(bench.now.wall - 2 * hour)
        bench.advance(4999)
        #expect(bench.assignments("e1").isEmpty)
        bench.advance(1)
        #expect(try bench.assignment("e1").task == "t1")
        #expect(try bench.command("capability/pause/c", #"{"for_ms":5000\#(whom)}"#).ok)
        bench.intent("t2")
        bench.setWall(bench.now.wall + 2 * hour)
        #expect(bench.assignments("e1").isEmpty)
    }

    @Test(arguments: [nil, "e1"]) func afterARestartAPauseLastsNoLongerThanWasSaid(_ executor: String?) throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":4"#)
        let whom = executor.map { #","executor":"\#($0)""# } ?? ""
        #expect(try bench.command("capability/pause/c", #"{"for_ms":60000\#(whom)}"#).ok)
        bench.intent("t1")
        bench.advance(10_000)
        try bench.restart(after: 10_000)
        bench.advance(39_900)
        #expect(bench.assignments("e1").isEmpty)
        bench.advance(100)
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(try bench.command("capability/pause/c", #"{"for_ms":60000\#(whom)}"#).ok)
        bench.intent("t2")
        try bench.compact()
        try bench.restart(after: -2 * hour)
        bench.advance(59_000)
        #expect(bench.assignments("e1").isEmpty)
        bench.advance(1000)
        #expect(try bench.assignment("e1").task == "t2")
    }

    @Test func aWindowIsNotOlderThanItsGenerationThoughTheCalendarWasSetBack() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":4"#)
        bench.intent("t1")
        bench.fail("e1", try bench.assignment("e1"))
        bench.setWall(bench.now.wall - hour)
        bench.intent("t2")
        bench.succeed("e1", try bench.assignment("e1"))
        try bench.restart()
    }

    @Test func afterARestartAQuotaLastsNoLongerThanWasSaid() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        bench.refuse("e1", try bench.assignment("e1"), "quota", rest: #""retry_after_ms":5000"#)
        try bench.restart(after: -2 * hour)
        try bench.compact()
        try bench.restart(after: -2 * hour)
        bench.advance(5000)
        #expect(try bench.assignment("e1").task == "t1")
    }

    /// The calendar was ahead for a while: it was set during the attempt, and set back before the restart.
    @Test(arguments: [(nil, Defaults.rateLimitedMs), (9000, 9000)])
    func afterARestartARetryWaitsNoLongerThanItMay(_ retryAfterMs: Int?, _ longest: Int) throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"retry":{"count":2,"delay_ms":400,"max_delay_ms":400}}"#)
        let assignment = try bench.assignment("e1")
        bench.accept("e1", assignment)
        bench.setWall(bench.now.wall + hour)
        bench.fail("e1", assignment, rest: retryAfterMs.map { #""retry_after_ms":\#($0)"# } ?? "")
        #expect(bench.core.tasks.values.map(\.state) == [.delayed])
        try bench.restart(after: -2 * hour)
        bench.advance(longest)
        #expect(try bench.assignment("e1").task == "t1")
    }

    @Test func afterARestartAReturnedOfferWaitsNoLongerThanItMay() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"retry":{"count":2,"delay_ms":60000,"max_delay_ms":60000}}"#)
        bench.setWall(bench.now.wall + hour)
        for seq in 1...Defaults.offersBeforeBackoff + 1 {
            bench.refuse("e1", try bench.assignment("e1"), "busy")
            bench.beat("e1", seq: seq)
        }
        #expect(bench.core.tasks.values.map(\.state) == [.delayed])
        try bench.restart(after: -2 * hour)
        bench.advance(60_000)
        #expect(bench.core.tasks.values.map(\.state) != [.delayed])
    }

    @Test func afterARestartACircuitIsHeldNoLongerThanWasSaid() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":4"#)
        #expect(try bench.command("circuit/open/c", #"{"for_ms":5000}"#).ok)
        bench.intent("t1")
        try bench.restart(after: -2 * hour)
        bench.advance(5000)
        #expect(try bench.assignment("e1").task == "t1")
    }
}
