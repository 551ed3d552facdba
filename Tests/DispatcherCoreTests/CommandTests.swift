import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Commands: refusals, pages, repetition.
@Suite struct CommandTests {
    @Test func refusalsOfAnyCommand() throws {
        var bench = try Harness()
        #expect(try bench.command("task/get/t1", "{nope").code == .invalidJSON)
        #expect(try bench.command("task/get/t1", #"{"principal":7}"#).code == .invalidField)
        #expect(try bench.command("task/fly/t1").code == .invalidField)
        #expect(try bench.command("task/get/a b").code == .invalidName)
        #expect(try bench.command("task/get/t1").code == .notFound)
        let large = #"{"reason":""# + String(repeating: "x", count: Limits.payload) + #""}"#
        #expect(try bench.command("task/cancel/t1", large).code == .payloadTooLarge)
        bench.send("command/ops/schedule/list/all", "{}")
        #expect(bench.all("reply/ops/schedule/list/all").isEmpty)
        bench.send("command/ops/task/list/all", "{}", retain: true)
        let reply = try Reply(decoding: try #require(bench.last("reply/ops/task/list/all")))
        #expect(reply.code == .retainedRequest)
        #expect(bench.retained["main/martlet1/command/ops/task/list/all"] == nil)
    }

    @Test func repliesGoWhereTheSenderAsks() throws {
        var bench = try Harness()
        for (topic, expected) in [("main/martlet1/reply/ops/mine/7", true), ("main/martlet1/reply/eve/x", false)] {
            var message = InboundMessage(topic: "main/martlet1/command/ops/task/list/all", payload: [])
            message.responseTopic = topic
            message.correlation = [1, 2]
            bench.input(.message(message))
            let last = try #require(bench.messages.last)
            #expect((last.topic == topic) == expected)
            #expect(last.correlation == [1, 2])
        }
    }

    @Test func aTaskOfAnotherNeedsItsOwnersName() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"input":{"n":1},"context":{"user_id":"u"}}"#)
        #expect(try bench.command("task/get/t1").code == .notFound)
        let reply = try bench.command("task/get/t1", #"{"principal":"alice"}"#)
        let task = JSONValue(try #require(reply.data))
        #expect(task.text("/state") == "offered" && task.text("/executor") == "e1" && task.text("/mode") == "push")
        #expect(task.number("/input/n") == 1 && task.text("/context/user_id") == "u")
        #expect(reply.rev == task.number("/rev"))
        bench.succeed("e1", try bench.assignment("e1"), output: "5")
        let ended = JSONValue(try #require(try bench.command("task/get/t1", by: "alice").data))
        #expect(ended.text("/state") == "success" && ended.number("/result/output") == 5)
    }

    @Test func listsComeInPages() throws {
        var bench = try Harness()
        bench.online("e1")
        for task in 0..<7 { bench.intent("t\(task)") }
        var seen: [String] = []
        var after = ""
        for _ in 0..<5 {
            let reply = try bench.command("task/list/all", #"{"limit":3\#(after)}"#, by: "alice")
            let page = JSONValue(try #require(reply.data))
            guard case .array(let items)? = page["items"] else { break }
            seen += items.compactMap { $0.text("/task") }
            #expect(items.allSatisfy { $0["input"] == nil })
            guard let next = page.text("/after") else { break }
            after = #","after":"\#(next)""#
        }
        #expect(seen == (0..<7).map { "t\($0)" })
        let queued = try bench.command("task/list/all", #"{"state":"offered","capability":"c"}"#, by: "alice")
        #expect(JSONValue(try #require(queued.data)).at(pointer: "/items/1") == nil)
        #expect(JSONValue(try #require(try bench.command("task/list/all").data))["items"] == .array([]))
    }

    @Test func cancelOfARunningTask() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        let assignment = try bench.assignment("e1")
        bench.accept("e1", assignment)
        for _ in 0..<2 {
            let reply = try bench.command("task/cancel/t1", #"{"principal":"alice","grace_ms":500}"#)
            #expect(reply.data.flatMap { JSONValue($0).text("/state") } == "canceling")
        }
        #expect(bench.work("e1").filter { $0.kind == .cancel }.count == 1)
        bench.advance(500)
        #expect(bench.result("t1")?.status == .canceled)
        bench.intent("t2")
        bench.advance(60_000)
        bench.status("e1", "online", conn: 2)
        _ = try bench.command("task/cancel/t2", #"{"principal":"alice"}"#)
        #expect(bench.result("t2")?.status == .canceled)
    }

    @Test func anAttachedIntentCanBeCanceled() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"dedup_key":"k"}"#)
        bench.intent("t2", by: "bob", #"{"dedup_key":"k"}"#)
        #expect(try bench.command("task/cancel/t2", by: "bob").ok)
        #expect(bench.result("t2", for: "bob")?.status == .canceled)
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(bench.result("t1")?.status == .success)
        #expect(bench.resultCount("t2", for: "bob") == 1)
    }

    @Test func assignWithRevisionAndUndo() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.online("p1", rest: #""modes":["pull"]"#)
        bench.intent("t0", #"{"executor":"e1"}"#)
        _ = try bench.assignment("e1")
        bench.intent("t1")
        let who = #""principal":"alice""#
        #expect(try bench.command("task/assign/t1", "{\(who)}").code == .invalidField)
        #expect(try bench.command("task/assign/t1", #"{\#(who),"executor":"p1","if_rev":9}"#).code == .conflictRev)
        let reply = try bench.command("task/assign/t1", #"{\#(who),"agent_id":"p1","execution_mode":"http_pull"}"#)
        let task = JSONValue(try #require(reply.data))
        #expect(task.text("/assigned_to") == "p1" && task.text("/mode") == "pull")
        let again = try bench.command("task/assign/t1", #"{\#(who),"executor":"p1","mode":"pull"}"#)
        #expect(again.rev == reply.rev)
        let undone = try bench.command("task/assign/t1", #"{\#(who),"executor":null}"#)
        #expect(undone.data.flatMap { JSONValue($0).text("/assigned_to") } == nil)
        #expect(undone.data.flatMap { JSONValue($0).text("/mode") } == "undecided")
    }

    @Test func stealTakesATaskAway() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":1}}"#)
        bench.online("e2", #"{"name":"c","cost":{"fixed":99999}}"#)
        bench.intent("t1")
        let first = try bench.assignment("e1")
        bench.accept("e1", first)
        let fields = #"{"principal":"alice","executor":"e2"}"#
        let refused = try bench.command("task/assign/t1", fields)
        #expect(refused.code == .notAssignable && refused.data != nil)
        #expect(try bench.command("task/assign/t1", #"{"principal":"alice","executor":"e2","steal":true}"#).ok)
        #expect(bench.events(.leaseRevoked).count == 1)
        let second = try bench.assignment("e2")
        #expect(second.epoch > first.epoch)
        bench.succeed("e1", first)
        #expect(bench.result("t1") == nil)
        #expect(bench.events(.taskStaleResult).count == 1)
        bench.succeed("e2", second)
        #expect(bench.result("t1")?.executor == "e2")
    }

    @Test func forcePassesCircuitAndReserve() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":2"#)
        bench.intent("t0")
        _ = try bench.assignment("e1")
        _ = try bench.command("circuit/open/c", #"{"executor":"e1"}"#)
        bench.intent("t1")
        #expect(bench.assignments("e1").isEmpty)
        let forced = #"{"principal":"alice","executor":"e1","force":true}"#
        #expect(try bench.command("task/assign/t1", forced).ok)
        #expect(try bench.assignment("e1").task == "t1")
        bench.intent("t2")
        #expect(try bench.command("task/assign/t2", forced).ok)
        #expect(bench.assignments("e1").isEmpty)
        #expect(try bench.explain("t2").text("/code") == "no_slot")
    }

    @Test func executorsAreShown() throws {
        var bench = try Harness()
        #expect(try bench.command("executor/get/e1").code == .notFound)
        bench.online("e1", rest: #""slots":2,"reserved":0"#)
        bench.online("e2")
        bench.intent("t1", #"{"executor":"e1"}"#)
        let object = JSONValue(try #require(try bench.command("executor/get/e1").data))
        #expect(object.text("/executor") == "e1" && object.text("/state") == "online")
        #expect(object.number("/free_slots") == 1 && object.text("/card/boot") == "b1")
        #expect(object.text("/leases/0/task") == "t1")
        let list = JSONValue(try #require(try bench.command("executor/list/all").data))
        #expect(list.text("/items/1/executor") == "e2" && list.at(pointer: "/items/0/card") == nil)
    }

    @Test func drainNowTakesWorkAway() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":1}}"#, rest: #""slots":2,"reserved":0"#)
        bench.intent("t1")
        bench.accept("e1", try bench.assignment("e1"))
        bench.online("e2")
        #expect(try bench.command("executor/drain/e1", #"{"now":true}"#).ok)
        #expect(bench.work("e1").contains { $0.kind == .revoke || $0.kind == .cancel })
        #expect(try bench.assignment("e2").task == "t1")
        try bench.restart()
        #expect(JSONValue(try #require(try bench.command("executor/get/e1").data)).text("/state") == "draining")
        #expect(try bench.command("executor/resume/e1").ok)
        bench.intent("t2", #"{"delivery":"at_most_once","executor":"e1"}"#)
        let once = try #require(bench.assignments("e1").last)
        bench.accept("e1", once)
        #expect(try bench.command("executor/drain/e1", #"{"now":true}"#).code == .notAssignable)
    }

    @Test func aReferenceCanBeChosen() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","input_schema":{"type":"object"}}"#)
        bench.online("e2", #"{"name":"c","input_schema":{"type":"string"}}"#)
        #expect(try bench.command("capability/resume/c", #"{"executor":"e2"}"#).ok)
        bench.intent("t1", #"{"input":"text"}"#)
        #expect(bench.assignments("e2").count == 1)
        #expect(bench.assignments("e1").isEmpty)
    }

    @Test func noJournalNoChanges() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.input(.journalWritable(false))
        let reply = try bench.command("capability/pause/c")
        #expect(reply.code == .busy && reply.retry == .after && reply.retryAfterMs != nil)
        #expect(try bench.command("capability/get/c").ok)
    }

    /// Each command twice: the second changes nothing.
    @Test(arguments: [
        "task/cancel/t1", "task/approve/t2", "capability/pause/c", "capability/resume/c", "circuit/open/c",
        "circuit/close/c", "circuit/reset/c", "executor/drain/e1", "executor/resume/e1",
    ])
    func trap16_repeatedCommandsHaveOneEffect(_ name: String) throws {
        let rules =
            #"{"policy":{"main":[{"id":"ask","effect":"require_approval","capabilities":["d"]},{"id":"r","effect":"allow"}]}}"#
        var bench = try Harness(rules)
        bench.online("e1", #"{"name":"c"},{"name":"d"}"#)
        bench.intent("t1", #"{"delay_ms":100000}"#)
        bench.intent("t2", to: "d")
        let payload = #"{"principal":"alice"}"#
        #expect(try bench.command(name, payload).ok)
        let events = bench.all("event/+/+").count
        let results = bench.all("result/+/+/+").count
        #expect(try bench.command(name, payload).ok)
        #expect(bench.all("event/+/+").count == events)
        #expect(bench.all("result/+/+/+").count == results)
    }
}
