import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Single runs: capabilities, refusals, time limits, events.
@Suite struct RunAcceptanceTests {
    @Test func t1_01_loadIsPassedOn() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.send("command/ops/executor/load/e1", #"{"name":"d","kind":"tool"}"#)
        #expect(bench.all("reply/ops/executor/load/e1").isEmpty)
        let work = bench.work("e1")
        #expect(work == [.load(try RawJSON(validating: Array(#"{"name":"d","kind":"tool"}"#.utf8)))])
        bench.card("e1", #"{"name":"c"},{"name":"d","kind":"tool"}"#, rev: 2)
        let reply = try Reply(decoding: try #require(bench.last("reply/ops/executor/load/e1")))
        #expect(reply.ok && reply.rev == 2)
    }

    @Test func t1_02_whatCannotBeLoaded() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","kind":"tool"}"#)
        #expect(try bench.command("executor/load/e1", "{}").code == .invalidField)
        #expect(try bench.command("executor/load/e1", #"{"name":"a b"}"#).code == .invalidName)
        #expect(try bench.command("executor/load/e1", #"{"name":"c","kind":"tool"}"#).ok)
        #expect(try bench.command("executor/load/e1", #"{"name":"c","kind":"skill"}"#).code == .conflictRev)
        #expect(try bench.command("executor/load/e9", #"{"name":"c"}"#).code == .notFound)
        bench.send("command/ops/executor/load/e1", #"{"name":"z"}"#)
        bench.advance(30_000)
        let reply = try Reply(decoding: try #require(bench.last("reply/ops/executor/load/e1")))
        #expect(reply.code == .executionTimeout)
    }

    @Test func t1_03_unload() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c"},{"name":"d"}"#)
        bench.send("command/ops/executor/unload/e1", #"{"name":"d"}"#)
        bench.card("e1", #"{"name":"c"}"#, rev: 2)
        #expect(try Reply(decoding: try #require(bench.last("reply/ops/executor/unload/e1"))).ok)
        #expect(try bench.command("executor/unload/e1", #"{"name":"d"}"#).code == .notFound)
        #expect(try bench.command("executor/unload/e1", #"{"name":"a b"}"#).code == .invalidName)
    }

    @Test func t1_04_05_06_capabilities() throws {
        var bench = try Harness()
        func items(_ reply: Reply) -> Int? {
            guard case .array(let list)? = reply.data.flatMap({ JSONValue($0)["items"] }) else { return nil }
            return list.count
        }
        #expect(items(try bench.command("capability/list/all")) == 0)
        bench.online("e1", #"{"name":"a"},{"name":"b"},{"name":"c"}"#)
        let list = try bench.command("capability/list/all")
        #expect(items(list) == 3)
        let page = try bench.command("capability/list/all", #"{"limit":2}"#)
        #expect(items(page) == 2)
        let after = try #require(page.data.flatMap { JSONValue($0).text("/after") })
        #expect(items(try bench.command("capability/list/all", #"{"after":"\#(after)"}"#)) == 1)
        let object = try bench.command("capability/get/c")
        #expect(object.data.flatMap { JSONValue($0).text("/name") } == "c")
        #expect(object.data.flatMap { JSONValue($0).text("/executors/0/executor") } == "e1")
        #expect(try bench.command("capability/get/x").code == .notFound)
        #expect(try bench.command("capability/get/a b").code == .invalidName)
        let can = try bench.command("capability/can_execute/c")
        #expect(can.data.flatMap { JSONValue($0)["can"] } == .bool(true))
        let cannot = try bench.command("capability/can_execute/x")
        #expect(cannot.ok && cannot.data.flatMap { JSONValue($0)["can"] } == .bool(false))
        #expect(try bench.command("capability/can_execute/a b").code == .invalidName)
    }

    @Test func t1_07_acceptedThenSuccess() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"input":{"x":1},"context":{"request_id":"r","user_id":"u"},"traceparent":"tp"}"#)
        #expect(bench.updates("t1").map(\.type) == [.accepted])
        let assignment = try bench.assignment("e1")
        #expect(assignment.input?.text == #"{"x":1}"#)
        #expect(assignment.context?.requestID == "r" && assignment.traceparent == "tp")
        bench.accept("e1", assignment)
        bench.advance(1500)
        bench.succeed("e1", assignment, output: #"{"y":2}"#)
        let result = try #require(bench.result("t1"))
        #expect(result.status == .success && result.output?.text == #"{"y":2}"#)
        #expect(result.durationMs == 1500 && result.executor == "e1" && result.mode == .push)
        #expect(result.context?.userID == "u" && result.traceparent == "tp")
        #expect(bench.updates("t1").count == 1)
    }

    @Test func t1_08_09_16_refusals() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", to: "never")
        #expect(bench.result("t1", of: "never")?.error?.code == .unknownCapability)
        bench.intent("t2", to: "a b")
        #expect(bench.result("t2", of: "a b")?.error?.code == .invalidName)
        bench.intent("t3", to: "c", "{not json")
        #expect(bench.result("t3")?.error?.code == .invalidJSON)
        bench.intent("t4", #"{"timeout_ms":"soon"}"#)
        #expect(bench.result("t4")?.error?.code == .invalidField)
        bench.intent("t5", #"{"input":""# + String(repeating: "x", count: Limits.payload) + #""}"#)
        #expect(bench.result("t5")?.error?.code == .payloadTooLarge)
        bench.send("intent/alice/c/t6", "{}", retain: true)
        #expect(bench.result("t6")?.error?.code == .retainedRequest)
        #expect(bench.retained["main/martlet1/intent/alice/c/t6"] == nil)
        #expect(bench.events(.requestRefused).count == 6)
        #expect(bench.assignments("e1").isEmpty)
    }

    @Test func t1_10_loadRunUnloadRun() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        bench.succeed("e1", try bench.assignment("e1"))
        bench.card("e1", "", rev: 2)
        bench.intent("t2")
        #expect(bench.result("t2")?.error?.code == .skillNotLoaded)
        bench.card("e1", #"{"name":"c"}"#, rev: 3)
        bench.intent("t3")
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(bench.result("t1")?.status == .success && bench.result("t3")?.status == .success)
    }

    @Test(arguments: [
        (#"{"timeout_ms":50,"retry":{"count":0}}"#, #"{"name":"c"}"#),
        (#"{"retry":{"count":0}}"#, #"{"name":"c","timeout_ms":50}"#),
        (#"{"timeout_ms":50,"retry":{"count":0}}"#, #"{"name":"c","timeout_ms":5000}"#),
        (#"{"timeout_ms":0,"retry":{"count":0}}"#, #"{"name":"c","timeout_ms":50}"#),
    ])
    func t1_11_12_13_timeLimits(_ intent: String, _ card: String) throws {
        var bench = try Harness()
        bench.online("e1", card)
        bench.intent("t1", intent)
        let assignment = try bench.assignment("e1")
        #expect(assignment.timeoutMs == 50)
        bench.accept("e1", assignment)
        bench.advance(49)
        #expect(bench.result("t1") == nil)
        bench.advance(1)
        let result = try #require(bench.result("t1"))
        #expect(result.status == .timeout && result.error?.code == .executionTimeout)
        let cancels = bench.work("e1").filter { $0.kind == .cancel }
        #expect(cancels.count == 1)
    }

    @Test(arguments: [(#"{"timeout_ms":0}"#, #"{"name":"c","timeout_ms":0}"#), ("{}", #"{"name":"c"}"#)])
    func t1_14_withoutALimitThirtySeconds(_ intent: String, _ card: String) throws {
        var bench = try Harness()
        bench.online("e1", card)
        bench.intent("t1", intent)
        let assignment = try bench.assignment("e1")
        #expect(assignment.timeoutMs == 30_000)
        bench.succeed("e1", assignment)
        #expect(bench.result("t1")?.status == .success)
    }

    @Test func t1_15_inputAgainstItsSchema() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","input_schema":{"type":"object","required":["n"]}}"#)
        bench.intent("t1", #"{"input":{}}"#)
        #expect(bench.result("t1")?.error?.code == .invalidField)
        #expect(bench.events(.requestRefused).count == 1)
        #expect(bench.assignments("e1").isEmpty)
        bench.intent("t2", #"{"input":{"n":1}}"#)
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func t1_17_anEmptyPayloadIsAnIntent() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", "")
        let assignment = try bench.assignment("e1")
        #expect(assignment.input?.text == "{}")
        bench.succeed("e1", assignment)
        #expect(bench.result("t1")?.status == .success)
    }

    @Test func t1_18_19_20_22_eventsOfATask() throws {
        var bench = try Harness(#"{"task_events":true}"#)
        bench.online("e1", rest: #""slots":40"#)
        bench.intent("good", #"{"context":{"request_id":"r9"}}"#)
        let good = try bench.assignment("e1")
        bench.accept("e1", good)
        bench.advance(5)
        bench.succeed("e1", good)
        let started = try #require(bench.events(.taskStarted).last)
        let finished = try #require(bench.events(.taskFinished).last)
        #expect(started.correlationID == "r9" && finished.correlationID == "r9")
        #expect(finished.data.map { JSONValue($0).number("/duration_ms") } == 5)
        #expect(bench.events(.taskAccepted).count == 1 && bench.events(.taskAssigned).count == 1)
        #expect(bench.events(.taskModeDecided).count == 1)
        bench.intent("bad", #"{"retry":{"count":0}}"#)
        bench.fail("e1", try bench.assignment("e1"))
        #expect(bench.events(.taskFinished).last?.data.map { JSONValue($0).text("/code") } == "flaky")
        bench.intent("slow", #"{"retry":{"count":0},"timeout_ms":50}"#)
        bench.accept("e1", try bench.assignment("e1"))
        bench.advance(60)
        #expect(bench.events(.taskFinished).last?.data.map { JSONValue($0).text("/status") } == "timeout")
        let before = bench.events(.taskStarted).count
        for task in 0..<20 { bench.intent("m\(task)") }
        for assignment in bench.assignments("e1") { bench.succeed("e1", assignment) }
        #expect(bench.events(.taskStarted).count - before == 20)
        #expect(bench.events(.taskFinished).count == 23)
        bench.intent("again", #"{"retry":{"count":1}}"#)
        bench.fail("e1", try bench.assignment("e1"))
        #expect(bench.events(.taskRetrying).count == 1)
    }

    @Test func taskEventsAreOffUnlessAskedFor() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        bench.succeed("e1", try bench.assignment("e1"))
        for name in EventName.allCases where name.isTaskLife { #expect(bench.events(name).isEmpty) }
    }

    @Test func t1_24_whileItIsLoadedAndUnloaded() throws {
        var bench = try Harness()
        let room = #""slots":64,"reserved":0"#
        bench.online("e1", rest: room)
        for (rev, verb) in ["unload", "load", "unload", "load"].enumerated() {
            for task in 0..<4 { bench.intent("t\(rev)-\(task)") }
            bench.send("command/ops/executor/\(verb)/e1", #"{"name":"c"}"#)
            bench.intent("u\(rev)")
            bench.card("e1", verb == "load" ? #"{"name":"c"}"# : #"{"name":"d"}"#, rev: rev + 2, rest: room)
            bench.intent("v\(rev)")
        }
        for assignment in bench.assignments("e1") { bench.succeed("e1", assignment) }
        for rev in 0..<4 {
            for id in ["t\(rev)-0", "t\(rev)-1", "t\(rev)-2", "t\(rev)-3", "u\(rev)", "v\(rev)"] {
                #expect(bench.resultCount(id) == 1, "\(id)")
            }
            #expect(bench.result("v\(rev)")?.error?.code == (rev % 2 == 0 ? .skillNotLoaded : nil))
        }
    }

    @Test func t1_24_manyAtOnceEachOneResult() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":64"#)
        for task in 0..<40 {
            bench.intent("t\(task)")
            if task % 7 == 0 {
                bench.card("e1", #"{"name":"c"},{"name":"x\#(task)"}"#, rev: task + 2, rest: #""slots":64"#)
            }
        }
        for assignment in bench.assignments("e1") { bench.succeed("e1", assignment) }
        for task in 0..<40 { #expect(bench.resultCount("t\(task)") == 1) }
    }

    @Test(arguments: [(2, 5), (4, 20)]) func t1_95_slotsAreNeverExceeded(_ slots: Int, _ tasks: Int) throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":\#(slots),"reserved":0"#)
        for task in 0..<tasks { bench.intent("t\(task)") }
        var running = bench.assignments("e1")
        var done = 0
        while let next = running.first {
            #expect(running.count <= slots)
            bench.succeed("e1", next)
            running.removeFirst()
            running += bench.assignments("e1")
            done += 1
        }
        #expect(done == tasks)
    }

    @Test func t1_96_stoppingInGoodOrder() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.online("p1", rest: #""modes":["pull"]"#)
        bench.intent("t1")
        let assignment = try bench.assignment("e1")
        bench.input(.terminate)
        #expect(try bench.command("task/list/all").code == .shuttingDown)
        guard case .none(_, let code)? = try bench.claim("p1") else {
            Issue.record("a claim was granted")
            return
        }
        #expect(code == .shuttingDown)
        bench.intent("t2")
        #expect(bench.result("t2")?.error?.code == .shuttingDown && bench.updates("t2").isEmpty)
        try bench.restart()
        bench.succeed("e1", assignment)
        #expect(bench.result("t1")?.status == .success)
        bench.intent("t2")
        #expect(bench.updates("t2").map(\.type) == [.accepted])
    }

    @Test func t1_99_sameIdSameContent() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"input":{"a":1,"b":2}}"#)
        bench.intent("t1", #"{"input": {"b":2, "a":1}}"#)
        #expect(bench.updates("t1").map(\.type) == [.accepted, .duplicate])
        bench.intent("t1", #"{"input":{"a":2,"b":2}}"#)
        #expect(bench.result("t1")?.error?.code == .idReused)
        bench.succeed("e1", try bench.assignment("e1"))
        bench.intent("t1", #"{"input":{"a":1,"b":2}}"#)
        #expect(bench.updates("t1").last?.state == .success)
        #expect(bench.result("t1")?.status == .success)
        #expect(bench.assignments("e1").isEmpty)
    }

    @Test func t1_101_theCapIsToldAndApplies() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"timeout_ms":600000}"#)
        #expect(bench.updates("t1").first?.timeoutMs == 300_000)
        #expect(try bench.assignment("e1").timeoutMs == 300_000)
    }

    @Test func t1_103_unsupportedIsNotAskedAgain() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        bench.refuse("e1", try bench.assignment("e1"), "unsupported")
        #expect(bench.result("t1")?.error?.code == .skillNotLoaded)
        bench.intent("t2")
        #expect(bench.assignments("e1").isEmpty)
        bench.card("e1", #"{"name":"c"}"#, rev: 2)
        bench.intent("t3")
        #expect(bench.result("t2")?.error?.code == .skillNotLoaded)
        #expect(try bench.assignment("e1").task == "t3")
    }
}
