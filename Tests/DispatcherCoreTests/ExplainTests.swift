import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Every reason that `task/explain` knows, provoked.
@Suite struct ExplainTests {
    /// Whether an explanation of `t1` names a code: as the reason, or for the candidate `e1`.
    private func names(_ code: String, _ bench: inout Harness, _ id: String = "t1") throws -> Bool {
        let why = try bench.explain(id)
        guard case .array(let candidates)? = why["candidates"] else { return why.text("/code") == code }
        let shown = candidates.contains { $0.text("/code") == code }
        #expect(!shown || why.number("/counts/\(code)") ?? 0 > 0)
        return why.text("/code") == code || shown
    }

    @Test func thingsThatGoByThemselves() throws {
        var bench = try Harness(#"{"push_wait_ms":{"c":1000}}"#)
        bench.online("e1")
        bench.online("p1", rest: #""modes":["pull"]"#)
        bench.intent("t0")
        let first = try bench.assignment("e1")
        bench.intent("t1", #"{"mode":"push"}"#)
        #expect(try names("no_slot", &bench))
        #expect(try names("wrong_mode", &bench))
        bench.intent("t2", #"{"mode":"pull"}"#)
        #expect(try names("no_claim", &bench, "t2"))
        _ = try bench.command("task/cancel/t2", #"{"principal":"alice"}"#)
        _ = try bench.claim("p1", #"{"wait_ms":60000}"#)
        bench.intent("t3")
        #expect(try names("push_wait", &bench, "t3"))
        bench.intent("t4", #"{"delay_ms":1000}"#)
        #expect(try names("delay", &bench, "t4"))
        bench.accept("e1", first)
        #expect(try names("running", &bench, "t0"))
        bench.fail("e1", first)
        #expect(try names("retry_delay", &bench, "t0"))
        #expect(try names("offered", &bench))
        bench.accept("e1", try bench.assignment("e1"))
        _ = try bench.command("task/cancel/t1", #"{"principal":"alice"}"#)
        #expect(try names("canceling", &bench))
    }

    @Test func turnAndSettling() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t0")
        let first = try bench.assignment("e1")
        bench.intent("t1")
        bench.intent("t2")
        bench.input(.journalWritable(false))
        bench.succeed("e1", first)
        let why = try bench.explain("t2")
        #expect(why.text("/code") == "turn" && why.number("/position") == 1)
        #expect(why.text("/lane") == "normal")
        bench.disconnect()
        bench.echoes = false
        bench.connect()
        #expect(try names("settling", &bench))
    }

    @Test func limitsOfExecutorAndCapability() throws {
        var bench = try Harness(#"{"rates":[{"capability":"r","per_s":1,"burst":1}]}"#)
        let capabilities = #"{"name":"c","max_concurrent":1},{"name":"k"},{"name":"r"}"#
        bench.online("e1", capabilities, rest: #""slots":9,"reserved":0"#)
        bench.intent("t0")
        bench.intent("t1")
        #expect(try names("max_concurrent", &bench))
        bench.intent("k0", to: "k", #"{"concurrency_key":"gpu"}"#)
        bench.intent("k1", to: "k", #"{"concurrency_key":"gpu"}"#)
        #expect(try names("concurrency_key", &bench, "k1"))
        bench.intent("r0", to: "r")
        bench.intent("r1", to: "r")
        #expect(try names("rate_limited", &bench, "r1"))
        #expect(try bench.explain("r1").text("/next_possible_at") != nil)
        bench.advance(1000)
        #expect(bench.assignments("e1").contains { $0.task == "r1" })
    }

    @Test func pausesAndDraining() throws {
        var bench = try Harness()
        bench.online("e1")
        #expect(try bench.command("capability/pause/c", #"{"executor":"e1"}"#).ok)
        bench.intent("t1")
        #expect(try names("pair_paused", &bench))
        #expect(try bench.command("capability/resume/c", #"{"executor":"e1"}"#).ok)
        bench.refuse("e1", try bench.assignment("e1"), "busy")
        #expect(try bench.command("capability/pause/c", #"{"for_ms":1000}"#).ok)
        #expect(try names("paused", &bench))
        bench.advance(6000)
        let assignment = try #require(bench.assignments("e1").last)
        #expect(try bench.command("executor/drain/e1").ok)
        #expect(try bench.command("executor/drain/e1").ok)
        #expect(bench.events(.executorDraining).count == 1)
        bench.refuse("e1", assignment, "busy")
        bench.advance(6000)
        #expect(try names("draining", &bench))
        #expect(try bench.command("executor/resume/e1").ok)
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func statesOfAnExecutor() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t0")
        _ = try bench.assignment("e1")
        bench.status("e1", "offline")
        bench.intent("t1")
        #expect(try names("offline", &bench))
        bench.status("e1", "sleeping")
        #expect(try names("sleeping", &bench))
        bench.status("e1", "paused")
        #expect(try names("paused", &bench))
        bench.status("e1", "lost")
        #expect(try names("lost", &bench))
        bench.card("e1", "", rev: 2)
        #expect(try names("no_executor", &bench))
    }

    @Test func silentAndDegraded() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.beat("e1", seq: 1)
        bench.advance(30_000)
        bench.intent("t1")
        #expect(try names("silent", &bench))
        let service = #"{"state":"up","version":"1","term":1,"boot":"h","since":"2026-11-20T00:00:00Z"}"#
        bench.sendSystem("service/heartbeat/main", service)
        bench.send("liveness/e1", #"{"verdict":"degraded","boot":"b1"}"#, retain: true)
        bench.beat("e1", seq: 2)
        #expect(try names("degraded", &bench))
        bench.send("liveness/e1", #"{"verdict":"ready","boot":"b1"}"#, retain: true)
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func S3_16_T3_15_verdictsOpenAndCloseTheGate() throws {
        var bench = try Harness()
        let heartbeat = { (state: String) in
            #"{"state":"\#(state)","version":"1","term":1,"boot":"h","since":"2026-11-20T00:00:00Z"}"#
        }
        func say(_ verdict: String, _ bench: inout Harness) {
            bench.send("liveness/e1", #"{"verdict":"\#(verdict)","boot":"b1"}"#, retain: true)
        }
        bench.online("e1", rest: #""slots":9"#)
        bench.sendSystem("service/heartbeat/main", heartbeat("up"))
        for (verdict, code) in [
            ("stale", "silent"), ("offline", "offline"), ("draining", "draining"), ("paused", "paused"),
            ("degraded", "degraded"),
        ] {
            say(verdict, &bench)
            bench.intent("t1")
            #expect(try names(code, &bench), "\(verdict)")
            #expect(bench.assignments("e1").isEmpty, "\(verdict)")
        }
        for (index, verdict) in ["ready", "running", "busy"].enumerated() {
            say("offline", &bench)
            bench.intent("u\(index)")
            #expect(bench.assignments("e1").isEmpty)
            say(verdict, &bench)
            #expect(!bench.assignments("e1").isEmpty, "\(verdict): its own count shows a free slot")
        }
        say("offline", &bench)
        bench.intent("t2")
        #expect(bench.assignments("e1").isEmpty)
        bench.sendSystem("service/heartbeat/main", heartbeat("down"))
        #expect(bench.assignments("e1").count == 1, "without a heartbeat the status decides")
    }

    @Test func whatDoesNotFit() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":5}}"#)
        bench.online("e2", #"{"name":"c","cost":{"fixed":500},"expected_ms":60000}"#)
        bench.intent("t0", #"{"executor":"e1"}"#)
        _ = try bench.assignment("e1")
        bench.intent("t1", #"{"requires":["agent:gpu","urgent"]}"#)
        #expect(try names("label_missing", &bench))
        bench.intent("t2", #"{"executor":"e1"}"#)
        #expect(try names("not_assigned", &bench, "t2"))
        bench.intent("t3", #"{"max_cost":50}"#)
        #expect(try names("too_expensive", &bench, "t3"))
        bench.intent("t4", #"{"deadline_ms":5000}"#)
        #expect(try names("too_slow", &bench, "t4"))
        #expect(bench.assignments("e2").isEmpty)
    }

    @Test func conflictsAndBudgets() throws {
        var bench = try Harness(#"{"budgets":[{"workspace":"main","period_ms":60000,"amount":10}]}"#)
        bench.online("e1", #"{"name":"c","cost":{"fixed":8}},{"name":"x"}"#, rest: #""slots":9,"reserved":0"#)
        bench.intent("t0")
        bench.succeed("e1", try bench.assignment("e1"))
        bench.intent("t1")
        #expect(try names("budget_exceeded", &bench))
        bench.intent("t2", to: "x")
        bench.online("e2", #"{"name":"x"},{"name":"c","cost":{"fixed":50},"exclusive":true,"priority":"high"}"#)
        #expect(try names("shadowed", &bench))
        bench.refuse("e1", try #require(bench.assignments("e1").last), "unsupported")
        let quarantined = try bench.explain("t2")
        #expect(quarantined.text("/code") == "offered")
        bench.intent("t3", to: "x")
        #expect(try names("quarantined", &bench, "t3"))
    }

    @Test func circuitsAndApproval() throws {
        var bench = try Harness(
            #"{"policy":{"main":[{"id":"a","priority":1,"effect":"require_approval","capabilities":["d"]},{"id":"b","effect":"allow"}]}}"#
        )
        bench.online("e1", #"{"name":"c"},{"name":"d"}"#, rest: #""slots":4"#)
        bench.intent("t9", to: "d")
        #expect(try names("awaiting_approval", &bench, "t9"))
        _ = try bench.command("circuit/open/c", #"{"executor":"e1","for_ms":4000}"#)
        bench.intent("t1")
        #expect(try names("circuit_open", &bench))
        #expect(try bench.explain("t1").text("/candidates/0/until") != nil)
        bench.intent("t2")
        bench.advance(4000)
        #expect(bench.assignments("e1").count == 1)
        #expect(try names("circuit_probe", &bench, "t2"))
    }

    @Test func theOneThatFailedLast() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":1}}"#)
        bench.online("e2", #"{"name":"c","cost":{"fixed":100000}}"#)
        bench.intent("t1", #"{"retry":{"delay_ms":60000,"max_delay_ms":60000}}"#)
        bench.fail("e1", try bench.assignment("e1"))
        #expect(try names("failed_last", &bench))
    }

    @Test func earlierStepsAndTheEnd() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"a"},{"name":"b"}"#)
        bench.intent("p", to: "plan", #"{"input":{"steps":[{"name":"a","type":"skill"},{"name":"b","type":"skill"}]}}"#)
        #expect(try names("needs", &bench, "p.b"))
        bench.fail("e1", try bench.assignment("e1"), code: "not_found")
        #expect(try names("not_found", &bench, "p.a"))
        #expect(try bench.command("task/explain/zz", #"{"principal":"alice"}"#).code == .notFound)
    }

    @Test func explanationAndDecisionAgree() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":1000}}"#)
        bench.online("e2", #"{"name":"c","cost":{"fixed":2000}}"#)
        let can = try bench.command("capability/can_execute/c", #"{"max_cost":1500}"#)
        let tree = JSONValue(try #require(can.data))
        #expect(tree["can"] == .bool(true))
        #expect(tree.text("/executors/0/executor") == "e1" && tree.text("/executors/0/code") == nil)
        #expect(tree.text("/executors/1/code") == "too_expensive")
        bench.intent("t1", #"{"max_cost":1500}"#)
        #expect(bench.assignments("e1").count == 1)
        let cannot = try bench.command("capability/can_execute/c", #"{"max_cost":1500}"#)
        #expect(JSONValue(try #require(cannot.data)).text("/code") == "too_expensive")
    }
}
