import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Retries, losses, dead letters.
@Suite struct RetryAcceptanceTests {
    /// Lets the wait before a retry pass, which the tests keep short: an offer is open for two seconds.
    private func waitForRetry(_ bench: inout Harness) { bench.advance(100) }

    @Test func t1_42_failsTwiceThenSucceeds() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"retry":{"count":3,"max_delay_ms":50}}"#)
        for _ in 0..<2 {
            bench.fail("e1", try bench.assignment("e1"))
            waitForRetry(&bench)
        }
        bench.succeed("e1", try bench.assignment("e1"))
        let result = try #require(bench.result("t1"))
        #expect(result.status == .success && result.attempts.count == 3)
        #expect(result.attempts.map(\.number) == [1, 2, 3])
    }

    @Test func t1_43_attemptsExhausted() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"input":{"k":1},"retry":{"max_delay_ms":50}}"#)
        for attempt in 1...3 {
            bench.fail("e1", try bench.assignment("e1"))
            if attempt < 3 { waitForRetry(&bench) }
        }
        let result = try #require(bench.result("t1"))
        #expect(result.status == .failed && result.error?.code == .attemptsExhausted)
        #expect(result.error?.details.flatMap { JSONValue($0).text("/last/code") } == "flaky")
        let letter = try #require(bench.deadLetters().first)
        #expect(letter.principal == "alice" && letter.input?.text == #"{"k":1}"#)
    }

    @Test func t1_44_noHiddenCap() throws {
        var bench = try Harness(#"{"circuits":[{"capability":"*","failures":20,"sample":20}]}"#)
        for name in ["e1", "e2"] { bench.online(name) }
        bench.intent("t1", #"{"retry":{"count":10,"max_delay_ms":50}}"#)
        var attempts = 0
        while bench.result("t1") == nil, attempts < 20 {
            for name in ["e1", "e2"] {
                for assignment in bench.assignments(name) {
                    bench.fail(name, assignment)
                    attempts += 1
                }
            }
            bench.advance(100)
        }
        #expect(attempts == 11)
        #expect(bench.result("t1")?.attempts.count == 11)
    }

    @Test func t1_45_waitsWithinTheirBounds() throws {
        let bounds = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
        var bench = try Harness(#"{"circuits":[{"capability":"*","failures":20,"sample":20}]}"#)
        let names = (0..<9).map { "e\($0)" }
        for name in names { bench.online(name) }
        bench.intent("t1", #"{"retry":{"count":8}}"#)
        var waits: [Int] = []
        for bound in bounds {
            // At the very end of the wait somebody has it; without a wait at once.
            let held = names.compactMap { name in bench.assignments(name).last.map { (name, $0) } }
            #expect(held.count == 1)
            let (holder, own) = try #require(held.first)
            bench.fail(holder, own)
            let task = try bench.command("task/get/t1", #"{"principal":"alice"}"#)
            let ready = task.data.flatMap { JSONValue($0).text("/ready_at") }.flatMap { WallTime(rfc3339: $0) }
            let wait = ready.map { $0 - bench.now.wall } ?? 0
            #expect((0...bound).contains(wait))
            waits.append(wait)
            bench.advance(wait)
        }
        #expect(Set(waits).count > 4 && waits.contains { $0 > 8000 }, "random, within ends that rise: \(waits)")
    }

    @Test func t1_46_g23_cancelWhileDelayed() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"delay_ms":5000}"#)
        let reply = try bench.command("task/cancel/t1", #"{"principal":"alice","reason":"no need"}"#)
        #expect(reply.data.flatMap { JSONValue($0).text("/state") } == "canceled")
        #expect(bench.result("t1")?.status == .canceled)
        let again = try bench.command("task/cancel/t1", #"{"principal":"alice"}"#)
        #expect(again.ok && again.data == reply.data)
        bench.advance(60_000)
        #expect(bench.resultCount("t1") == 1 && bench.assignments("e1").isEmpty)
    }

    @Test func t1_97_atMostOnce() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"delivery":"at_most_once","timeout_ms":200000}"#)
        bench.accept("e1", try bench.assignment("e1"))
        bench.status("e1", "lost")
        bench.advance(60_000)
        let lost = try #require(bench.result("t1"))
        #expect(lost.status == .failed && lost.attempts.count == 1)
        #expect(lost.error?.code == .executorLost || lost.error?.code == .leaseExpired)
        bench.online("e1", boot: "b2")
        bench.intent("t2", #"{"delivery":"at_most_once"}"#)
        bench.fail("e1", try bench.assignment("e1"), rest: #""safe":true"#)
        bench.advance(1000)
        #expect(bench.assignments("e1").count == 1)
        bench.intent("t3", #"{"delivery":"at_most_once"}"#)
        bench.online("e2")
        bench.fail("e2", try bench.assignment("e2"))
        #expect(bench.result("t3")?.error?.code.rawValue == "flaky")
    }

    @Test func t1_98_threeLossesArePoison() throws {
        var bench = try Harness()
        for name in ["e1", "e2", "e3"] { bench.online(name) }
        bench.intent("t1", #"{"retry":{"count":9,"max_delay_ms":50}}"#)
        for name in ["e1", "e2", "e3"] {
            bench.accept(name, try bench.assignment(name))
            bench.status(name, "lost")
            bench.advance(1100)
        }
        let result = try #require(bench.result("t1"))
        #expect(result.status == .failed && result.error?.code == .poison)
        #expect(bench.deadLetters().count == 1)
    }

    @Test func theLastCodeOfALossIsTold() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"retry":{"count":0}}"#)
        bench.accept("e1", try bench.assignment("e1"))
        bench.status("e1", "lost")
        bench.advance(1000)
        #expect(bench.result("t1")?.error?.code == .executorLost)
    }

    @Test func permanentFailuresAreNotRepeated() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        bench.fail("e1", try bench.assignment("e1"), code: "odd", rest: #""class":"permanent""#)
        #expect(bench.result("t1")?.error?.code.rawValue == "odd")
        bench.intent("t2")
        bench.fail("e1", try bench.assignment("e1"), code: "policy_rejected")
        #expect(bench.result("t2")?.status == .rejected)
    }

    @Test func aRetryPrefersAnother() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":1}}"#)
        bench.online("e2", #"{"name":"c","cost":{"fixed":100000}}"#)
        bench.intent("t1")
        bench.fail("e1", try bench.assignment("e1"))
        bench.advance(500)
        #expect(bench.assignments("e2").count == 1)
    }

    @Test func redriveMakesANewTask() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"input":{"k":1},"dedup_key":"k","retry":{"count":0}}"#)
        #expect(try bench.command("task/redrive/t1", #"{"principal":"alice"}"#).code == .notAssignable)
        bench.fail("e1", try bench.assignment("e1"))
        let dead = try bench.command("task/list/all", #"{"principal":"*","dead":true}"#)
        #expect(dead.data.flatMap { JSONValue($0).text("/items/0/task") } == "t1")
        let reply = try bench.command("task/redrive/t1", #"{"principal":"alice","priority":"high"}"#)
        #expect(reply.data.flatMap { JSONValue($0).text("/task") } == "t1~r1")
        let again = try bench.command("task/redrive/t1", #"{"principal":"alice","priority":"high"}"#)
        #expect(again.data == reply.data)
        let assignment = try bench.assignment("e1")
        #expect(assignment.task == "t1~r1" && assignment.input?.text == #"{"k":1}"#)
        bench.succeed("e1", assignment)
        let result = try #require(bench.result("t1~r1"))
        #expect(result.status == .success)
        #expect(result.origin.map { JSONValue($0.raw).text("/redrive_of") } == "t1")
        #expect(try bench.command("task/redrive/t9", #"{"principal":"alice"}"#).code == .notFound)
    }
}
