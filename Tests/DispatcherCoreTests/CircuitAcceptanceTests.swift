import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Circuits, driven by tasks.
@Suite struct CircuitAcceptanceTests {
    /// Sends one task that is tried once; `F` fails, `S` succeeds.
    private func play(_ bench: inout Harness, _ outcomes: String, _ executor: String = "e1") throws {
        for outcome in outcomes {
            let id = "x\(bench.messages.count)"
            bench.intent(id, #"{"retry":{"count":0},"executor":"\#(executor)"}"#)
            let assignment = try bench.assignment(executor)
            if outcome == "S" { bench.succeed(executor, assignment) } else { bench.fail(executor, assignment) }
        }
    }

    private func state(_ bench: inout Harness, _ executor: String? = "e1", _ capability: String = "c") throws -> String?
    {
        let fields = executor.map { #"{"executor":"\#($0)"}"# } ?? "{}"
        return try bench.command("circuit/get/\(capability)", fields).data.flatMap { JSONValue($0).text("/state") }
    }

    /// Waits until the circuit is half open and returns how long that took.
    private func waitForProbe(_ bench: inout Harness) throws -> Int {
        let text = try #require(bench.view("circuit/c/e1")?.text("/until"))
        let length = try #require(WallTime(rfc3339: text)) - bench.now.wall
        bench.advance(length - 1)
        #expect(try state(&bench) == "open")
        bench.advance(1)
        #expect(try state(&bench) == "half_open")
        return length
    }

    @Test func t1_57_58_59_fiveFailuresInARowOpenTheCircuit() throws {
        var bench = try Harness()
        bench.online("e1")
        #expect(try state(&bench) == "closed")
        try play(&bench, "FFFF")
        #expect(try state(&bench) == "closed")
        #expect(bench.view("circuit/c/e1") == nil)
        try play(&bench, "F")
        #expect(try state(&bench) == "open")
        #expect(bench.events(.circuitOpened).count == 1)
        #expect(bench.view("circuit/c/e1")?.number("/failures") == 5)
        bench.intent("t1")
        #expect(bench.assignments("e1").isEmpty)
        #expect(try bench.explain("t1").text("/code") == "circuit_open")
    }

    @Test func t1_60_72_whatDoesNotOpen() throws {
        var bench = try Harness()
        bench.online("e1")
        try play(&bench, "FFFFSFFFF")
        #expect(try state(&bench) == "closed")
        var turns = try Harness()
        turns.online("e1")
        try play(&turns, "SFSFSFSFS")
        #expect(try state(&turns) == "closed")
        try play(&turns, "F")
        #expect(try state(&turns) == "open")
    }

    @Test func t1_61_62_70_aProbeCloses() throws {
        var bench = try Harness()
        bench.online("e1")
        try play(&bench, "FFFFF")
        #expect((24_000...36_000).contains(try waitForProbe(&bench)))
        #expect(bench.events(.circuitHalfOpen).count == 1)
        try play(&bench, "S")
        #expect(try state(&bench) == "closed")
        #expect(bench.events(.circuitClosed).count == 1)
        #expect(bench.view("circuit/c/e1")?.number("/failures") == 0)
    }

    @Test func t1_63_104_openTimes() throws {
        var bench = try Harness()
        bench.online("e1")
        try play(&bench, "FFFFF")
        _ = try waitForProbe(&bench)
        for seconds in [60, 120, 240, 300, 300] {
            try play(&bench, "F")
            #expect((seconds * 800...seconds * 1200).contains(try waitForProbe(&bench)))
        }
        try play(&bench, "S")
        bench.advance(60_000)
        try play(&bench, "FFFFF")
        #expect((24_000...36_000).contains(try waitForProbe(&bench)))
        try play(&bench, "S")
        bench.advance(10_000)
        try play(&bench, "FFFFF")
        #expect((48_000...72_000).contains(try waitForProbe(&bench)))
    }

    @Test func t1_64_trap6_oneProbeAtATime() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":20"#)
        try play(&bench, "FFFFF")
        _ = try waitForProbe(&bench)
        for task in 0..<10 { bench.intent("t\(task)") }
        var probe = try bench.assignment("e1")
        #expect(try bench.explain("t9").text("/code") == "circuit_probe")
        bench.refuse("e1", probe, "rate_limited", rest: #""retry_after_ms":10"#)
        bench.advance(10)
        probe = try bench.assignment("e1")
        bench.succeed("e1", probe)
        #expect(bench.assignments("e1").count >= 8)
    }

    @Test func t1_65_otherPairsAreNotConcerned() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c"},{"name":"d"}"#)
        bench.online("e2")
        try play(&bench, "FFFFF")
        #expect(try state(&bench, "e2") == "closed")
        #expect(try state(&bench, "e1", "d") == "closed")
        bench.intent("t1")
        #expect(bench.assignments("e2").count == 1)
        bench.intent("t2", to: "d")
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func t1_66_thresholdByConfiguration() throws {
        var bench = try Harness(#"{"circuits":[{"capability":"c","failures":3}]}"#)
        bench.online("e1")
        try play(&bench, "FF")
        #expect(try state(&bench) == "closed")
        try play(&bench, "F")
        #expect(try state(&bench) == "open")
    }

    @Test func t1_67_heldAndReset() throws {
        var bench = try Harness()
        bench.online("e1")
        let opened = try bench.command("circuit/open/c", #"{"executor":"e1"}"#)
        #expect(opened.data.flatMap { JSONValue($0).text("/forced_by") } == "ops")
        #expect(try bench.command("circuit/open/c", #"{"executor":"e1"}"#).data == opened.data)
        #expect(bench.events(.circuitOpened).count == 1)
        bench.advance(3_600_000)
        #expect(try state(&bench) == "open")
        _ = try bench.command("circuit/close/c", #"{"executor":"e1"}"#)
        try play(&bench, "FFFFFF")
        #expect(try state(&bench) == "closed")
        _ = try bench.command("circuit/reset/c", #"{"executor":"e1"}"#)
        let view = bench.view("circuit/c/e1")
        #expect(view?.text("/forced_by") == nil && view?.number("/failures") == 0)
        #expect(try bench.command("circuit/open/x").code == .notFound)
        let list = try bench.command("circuit/list/all").data.map { JSONValue($0) }
        #expect(list?.text("/items/0/executor") == "e1")
    }

    @Test func t1_68_whatDoesNotCount() throws {
        var bench = try Harness()
        bench.online("e1")
        for (round, reason) in ["busy", "rate_limited", "busy", "rate_limited", "busy", "busy"].enumerated() {
            bench.intent("r\(round)")
            bench.refuse("e1", try bench.assignment("e1"), reason, rest: #""retry_after_ms":1000"#)
            _ = try bench.command("task/cancel/r\(round)", #"{"principal":"alice"}"#)
            bench.advance(6000)
        }
        #expect(try state(&bench) == "closed")
        #expect(bench.events(.circuitOpened).isEmpty)
    }

    /// What says nothing neither opens a circuit that four failures have brought near to it, nor breaks their row.
    @Test(arguments: ["canceled", "rejected", "busy", "rate_limited", "unsupported"])
    func t1_68_whatSaysNothing(_ word: String) throws {
        var bench = try Harness()
        bench.online("e1")
        func play(nothing bench: inout Harness, _ id: String) throws {
            bench.intent(id)
            let own = try bench.assignment("e1")
            switch word {
            case "canceled": bench.report("e1", own, #""type":"outcome","status":"canceled""#)
            case "rejected": bench.fail("e1", own, code: "policy_rejected")
            default: bench.refuse("e1", own, word, rest: #""retry_after_ms":100"#)
            }
            _ = try bench.command("task/cancel/\(id)", #"{"principal":"alice"}"#)
            bench.card("e1", #"{"name":"c"}"#, rev: bench.messages.count + 2)
            bench.advance(5000)
        }
        try self.play(&bench, "FFFF")
        try play(nothing: &bench, "n1")
        #expect(try state(&bench) == "closed")
        try self.play(&bench, "F")
        #expect(try state(&bench) == "open")
        _ = try waitForProbe(&bench)
        try play(nothing: &bench, "n2")
        #expect(try state(&bench) == "half_open")
        try self.play(&bench, "S")
        #expect(try state(&bench) == "closed")
    }

    @Test func t1_69_g14_openOverARestart() throws {
        var bench = try Harness()
        bench.online("e1")
        try play(&bench, "FFFFF")
        let until = bench.view("circuit/c/e1")?.text("/until")
        try bench.restart(after: 5000)
        #expect(bench.view("circuit/c/e1")?.text("/until") == until)
        #expect(try state(&bench) == "open")
        #expect(try waitForProbe(&bench) <= 31_000)
    }

    @Test func t1_71_theViewGoesWithTheCapability() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c"},{"name":"d"}"#)
        try play(&bench, "FFFFF")
        #expect(bench.view("circuit/c/e1") != nil)
        bench.card("e1", #"{"name":"d"}"#, rev: 2)
        #expect(bench.view("circuit/c/e1") == nil)
        #expect(!bench.core.circuits.keys.contains { $0.executor == "e1" })
    }

    @Test func t1_73_aCapabilityNeedsTwoExecutors() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.online("e2")
        try play(&bench, "FFFF", "e1")
        #expect(try state(&bench, nil) == "closed")
        try play(&bench, "F", "e2")
        #expect(try state(&bench, nil) == "open")
        #expect(try state(&bench, "e1") == "closed")
        var alone = try Harness()
        alone.online("e1")
        try play(&alone, "FFFFF")
        #expect(try state(&alone, nil) == "closed")
    }

    @Test func t1_74_aLostProbeOpensAgain() throws {
        var bench = try Harness()
        bench.online("e1")
        try play(&bench, "FFFFF")
        _ = try waitForProbe(&bench)
        bench.intent("t1")
        bench.accept("e1", try bench.assignment("e1"))
        bench.status("e1", "lost")
        bench.advance(1000)
        #expect(try state(&bench) == "open")
    }

    @Test func t1_75_outcomesFromBeforeDoNotCount() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":9,"reserved":0"#)
        bench.intent("old", #"{"timeout_ms":300000}"#)
        let old = try bench.assignment("e1")
        bench.accept("e1", old)
        try play(&bench, "FFFFF")
        for beat in 1...12 where bench.view("circuit/c/e1")?.text("/state") == "open" {
            bench.advance(5000)
            bench.beat("e1", seq: beat, leases: [old])
        }
        #expect(try state(&bench) == "half_open")
        bench.succeed("e1", old)
        #expect(bench.result("old")?.status == .success)
        #expect(try state(&bench) == "half_open")
    }

    @Test("I13 a lease that a command forced is not taken for the probe after a restart")
    func aForcedLeaseIsNoProbe() throws {
        var bench = try Harness()
        for name in ["e1", "e2", "e3"] { bench.online(name) }
        #expect(try bench.command("circuit/open/c", #"{"for_ms":4000}"#).ok)
        bench.intent("forced", #"{"priority":"low"}"#)
        bench.intent("probe")
        bench.advance(4000)
        func assigned(_ task: String) -> [(executor: String, assignment: Assignment)] {
            ["e1", "e2", "e3"].flatMap { name in
                bench.assignments(name).filter { $0.task == task }.map { (executor: name, assignment: $0) }
            }
        }
        let probe = try #require(assigned("probe").first)
        bench.accept(probe.executor, probe.assignment)
        #expect(assigned("forced").isEmpty)
        let other = probe.executor == "e1" ? "e2" : "e1"
        let call = #"{"principal":"alice","executor":"\#(other)","force":true}"#
        #expect(try bench.command("task/assign/forced", call).ok)
        let forced = try #require(assigned("forced").first)
        bench.accept(forced.executor, forced.assignment)
        try bench.restart()
        bench.intent("next")
        bench.report(forced.executor, forced.assignment, #""type":"release""#)
        _ = try bench.command("task/cancel/forced", #"{"principal":"alice"}"#)
        #expect(assigned("next").isEmpty, "the probe is under way")
        bench.succeed(probe.executor, probe.assignment)
        #expect(assigned("next").count == 1)
    }

    @Test func t1_102_noProspectBeforeTheDeadline() throws {
        var bench = try Harness()
        bench.online("e1")
        try play(&bench, "FFFFF")
        bench.intent("t1", #"{"deadline_ms":5000}"#)
        let result = try #require(bench.result("t1"))
        #expect(result.status == .failed && result.error?.code == .circuitOpen)
        #expect(bench.deadLetters().allSatisfy { $0.result.task != "t1" })
    }

    @Test func trap5_g14_nothingIsAssignedWhileOpen() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":8"#)
        try play(&bench, "FFFFF")
        for task in 0..<20 { bench.intent("t\(task)") }
        for _ in 0..<20 {
            bench.advance(1000)
            #expect(bench.assignments("e1").isEmpty)
        }
    }
}
