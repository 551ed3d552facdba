import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Mistakes that are easily made again.
@Suite struct TrapTests {
    @Test func trap1_durationsAreMilliseconds() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        let assignment = try bench.assignment("e1")
        bench.accept("e1", assignment)
        bench.advance(1500)
        bench.succeed("e1", assignment)
        #expect(bench.result("t1")?.durationMs == 1500)
        #expect(bench.result("t1")?.attempts.first?.durationMs == 1500)
    }

    @Test func trap3_tooLongIsTimeoutOnEveryPath() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c"},{"name":"a"}"#, rest: #""slots":4,"reserved":0"#)
        bench.online("p1", #"{"name":"d"}"#, rest: #""modes":["pull"]"#)
        let limits = #""timeout_ms":100,"retry":{"count":0}"#
        bench.intent("push", "{\(limits)}")
        bench.accept("e1", try bench.assignment("e1"))
        bench.intent("pull", to: "d", "{\(limits)}")
        guard case .task? = try bench.claim("p1") else {
            Issue.record("no grant")
            return
        }
        let step = #"{"name":"a","type":"skill",\#(limits)}"#
        bench.intent("plan", to: "plan", #"{"input":{"steps":[\#(step)]}}"#)
        bench.accept("e1", try bench.assignment("e1"))
        bench.advance(100)
        #expect(bench.result("push")?.status == .timeout)
        #expect(bench.result("pull", of: "d")?.status == .timeout)
        let output = bench.result("plan", of: "plan")?.output.map { JSONValue($0) }
        #expect(output?.text("/steps/0/status") == "timeout")
        #expect(output?.text("/steps/0/error/code") == "execution_timeout")
    }

    @Test func trap3_theExecutorsOwnWordForTooLong() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"retry":{"count":0}}"#)
        bench.fail("e1", try bench.assignment("e1"), code: "execution_timeout")
        #expect(bench.result("t1")?.status == .timeout)
    }

    @Test func trap11_aMissingLabelAlwaysExcludes() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""labels":["agent:code","urgent"]"#)
        bench.intent("t1", #"{"requires":["agent:document","urgent"]}"#)
        #expect(bench.assignments("e1").isEmpty)
        bench.intent("t2", #"{"requires":["agent:code","nonsense"]}"#)
        #expect(try bench.assignment("e1").task == "t2")
    }

    @Test(arguments: ["alice", "scheduler", "heartbeat"])
    func trap12_withoutAModeItIsUndecided(_ principal: String) throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t0")
        let origin = principal == "alice" ? "{}" : #"{"origin":{"kind":"check","owner":"alice"}}"#
        bench.intent("t1", by: principal, origin)
        let task = try bench.command("task/get/t1", #"{"principal":"\#(principal)"}"#)
        #expect(task.data.flatMap { JSONValue($0).text("/mode") } == "undecided")
    }

    @Test func trap15_t1_41_oneSpellingOnOutput() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        bench.report("e1", try bench.assignment("e1"), #""type":"outcome","status":"cancelled""#)
        #expect(bench.result("t1")?.status == .canceled)
        #expect(try bench.command("task/list/all", #"{"state":"canceled"}"#, by: "alice").ok)
        #expect(!bench.messages.contains { String(decoding: $0.payload, as: UTF8.self).contains("cancelled") })
    }

    @Test func trap10_eventsOfExecutors() throws {
        var bench = try Harness()
        bench.online("e1")
        #expect(bench.events(.executorRegistered).count == 1)
        #expect(bench.events(.executorOnline).count == 1)
        bench.card("e1", #"{"name":"c"}"#)
        #expect(bench.events(.executorRegistered).count == 1)
        bench.status("e1", "lost")
        #expect(bench.events(.executorOffline).count == 1)
        #expect(bench.events(.executorOffline).first?.subject == "e1")
    }

    @Test func t1_21_eventsDoNotDecide() throws {
        var bench = try Harness(#"{"task_events":true}"#)
        bench.online("e1")
        bench.acknowledges = false
        bench.intent("t1")
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(bench.result("t1")?.status == .success)
    }

    @Test func aKillLosesNothing() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":8,"reserved":0"#)
        bench.acknowledges = false
        for task in 0..<5 { bench.intent("t\(task)") }
        let work = bench.assignments("e1")
        bench.succeed("e1", work[0], output: "1")
        let before = bench.all("result/alice/c/t0")
        try bench.restart()
        let after = bench.all("result/alice/c/t0")
        #expect(after.count == before.count + 1)
        #expect(Set(after).count == 1)
        #expect(bench.assignments("e1").map(\.epoch).sorted() == work[1...].map(\.epoch).sorted())
        for assignment in work[1...] { bench.succeed("e1", assignment) }
        #expect((0..<5).allSatisfy { bench.result("t\($0)")?.status == .success })
    }
}
