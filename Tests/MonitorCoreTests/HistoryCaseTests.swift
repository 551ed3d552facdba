import Contract
import Machine
import Simulation
import Testing
import TimeModel
import Wire

@testable import MonitorCore

/// The cases of the monitor, by the names of the requirements that they hold.
@Suite struct HistoryCaseTests {
    @Test("S0-26: every result, dead letter, event, check, log record and number is in one history, once")
    func s0_26() throws {
        let bench = try Bench { $0.metricsEveryMs = 60_000 }
        bench.result("t1")
        bench.result("t1")
        bench.result("t2", .failed) { $0.code = "attempts_exhausted" }
        var sketch = ResultSketch(id: "t2", status: .failed, at: bench.wall)
        sketch.code = "attempts_exhausted"
        let letter = DeadLetter(
            result: try TaskResult(decoding: sketch.payload), principal: "alice", input: .emptyObject)
        bench.message("dead/c/t2", letter.encoded)
        bench.message(
            "event/CIRCUIT_OPENED/dispatcher.c",
            #"{"event_id":"d.1.1","event":"CIRCUIT_OPENED","seq":1,"at":"2026-11-20T09:00:00.000Z","#
                + #""actor":"dispatcher","workspace":"main","subject":"c","data":{"capability":"c","executor":"e1"}}"#)
        bench.message(
            "event/CHECK_RESULT/heartbeat.check.disk",
            #"{"event_id":"h.1","event":"CHECK_RESULT","seq":1,"at":"2026-11-20T09:00:00.000Z","actor":"heartbeat","#
                + #""workspace":"main","subject":"disk","data":{"status":"warning","duration_ms":7}}"#)
        bench.message(
            "log/r-9/step",
            #"{"request_id":"r-9","step_name":"fetch","step_type":"tool","status":"success","duration_ms":3,"#
                + #""timestamp":"2026-11-20T09:00:00.003Z"}"#)
        bench.give(
            .message(
                InboundMessage(
                    topic: "_sys/martlet1/metrics/dispatcher", payload: Array(#"{"queued":3}"#.utf8), retained: true)))
        let kinds = try bench.items("query").reversed().compactMap { $0["record"]?.stringValue }
        // The first one is the monitor's own.
        #expect(kinds == ["metric", "result", "result", "dead", "event", "check", "log", "metric"])
        let check = try #require(try bench.items("query", #"{"record":"check"}"#).first)
        #expect(check["status"]?.stringValue == "warning")
        #expect(check["duration_ms"]?.intValue == 7)
        let about = try bench.items("get", id: "t2")
        #expect(about.map { $0["record"]?.stringValue } == ["dead", "result"])
        #expect(about[1]["body"]?["error"]?["code"]?.stringValue == "attempts_exhausted")
        #expect(try bench.ask("get", id: "nobody").code == .notFound)
    }

    @Test("S0-27, S0-28, S0-29, T0-10: rate 0.7, cost per kind exact, ten latencies")
    func t0_10() throws {
        let bench = try Bench()
        bench.card("e1", type: "printer", kinds: [("c", "skill"), ("d", "tool")])
        let statuses: [Status] = [
            .success, .success, .success, .success, .success, .success, .success, .failed, .failed, .timeout,
        ]
        for (index, status) in statuses.enumerated() {
            bench.result("t\(index + 1)", status) {
                $0.cost = index + 1
                $0.wasted = index % 2
                $0.capability = index % 2 == 0 ? "c" : "d"
                $0.durationMs = (index + 1) * 100
                $0.tokens = 10
            }
        }
        let reply = try bench.ask("stats", #"{"by":"workspace"}"#)
        let total = try HistorySummary(try #require(reply.data.flatMap { JSONValue($0)["total"] }).raw)
        #expect(total.successPermille == 700)
        #expect(total.count == 10)
        #expect(total.statuses == [7, 2, 1, 0, 0])
        #expect(total.tokens == 100)
        #expect(total.run.max == 1000)
        #expect(total.run.p50 >= 500 && total.run.p50 <= 531)
        let byKind = try bench.items("cost", #"{"by":"kind"}"#)
        #expect(byKind.map { $0["name"]?.stringValue } == ["tool", "skill"])
        #expect(byKind.map { $0["cost"]?.intValue } == [30, 25])
        #expect(byKind.map { $0["wasted_cost"]?.intValue } == [5, 0])
        let byType = try bench.items("cost", #"{"by":"type"}"#)
        #expect(byType.map { $0["name"]?.stringValue } == ["printer"])
        #expect(byType.first?["cost"]?.intValue == 55)
        #expect(try bench.items("stats", #"{"by":"executor","capability":"c"}"#).first?["count"]?.intValue == 5)
        #expect(try bench.items("cost", #"{"by":"day"}"#).first?["name"]?.stringValue == "2026-11-20")
        bench.wait(1000)
        let view = try #require(bench.retained["main/martlet1/summary/capability/d"])
        #expect(try HistorySummary(decoding: view).cost == 30)
        #expect(bench.retained["main/martlet1/summary/type/printer"] != nil)
    }

    @Test("T1-94: a query by user, capability and time finds two of three; bounds are inclusive")
    func t1_94() throws {
        let bench = try Bench()
        bench.result("t1") { $0.user = "u1" }
        bench.wait(1000)
        bench.result("t2") {
            $0.user = "u1"
            $0.capability = "d"
        }
        bench.wait(1000)
        bench.result("t3") {
            $0.user = "u2"
            $0.capability = "d"
        }
        #expect(try bench.subjects(#"{"user":"u1"}"#) == ["t2", "t1"])
        #expect(try bench.subjects(#"{"capability":"d"}"#) == ["t3", "t2"])
        let first = #"{"from":"2026-11-20T09:00:00.000Z","to":"2026-11-20T09:00:01.000Z"}"#
        #expect(try bench.subjects(first) == ["t2", "t1"])
        #expect(try bench.subjects(#"{"from":"2026-11-20T09:00:01.000Z"}"#) == ["t3", "t2"])
        #expect(
            try bench.ask("query", #"{"from":"2026-11-20T10:00:00.000Z","to":"2026-11-20T09:00:00.000Z"}"#).code
                == .invalidField)
    }

    @Test("S1-22 to S1-25: the log of a plan, in order and with its statuses")
    func logs() throws {
        let bench = try Bench()
        let at = #""timestamp":"2026-11-20T09:00:00.003Z""#
        bench.message("log/r-9/plan_start", #"{"request_id":"r-9","plan":{"steps":[]},\#(at)}"#)
        bench.message(
            "log/r-9/step",
            #"{"request_id":"r-9","step_name":"a","step_type":"tool","status":"failed","error":"x: y","duration_ms":3,\#(at)}"#
        )
        bench.message("log/r-9/plan_end", #"{"request_id":"r-9","status":"failed","duration_ms":9,\#(at)}"#)
        let items = try bench.items("get", id: "r-9")
        #expect(items.map { $0["code"]?.stringValue } == ["plan_end", "step", "plan_start"])
        #expect(items.map { $0["status"]?.stringValue } == ["failed", "failed", nil])
        #expect(try bench.subjects(#"{"request":"r-9","status":"failed"}"#).count == 2)
    }

    @Test("S3-30: who changed a schedule can be asked for")
    func audit() throws {
        let bench = try Bench()
        bench.message(
            "event/SCHEDULE_UPDATED/scheduler.backup",
            #"{"event_id":"b.1-1.SCHEDULE_UPDATED","event":"SCHEDULE_UPDATED","seq":1,"#
                + #""at":"2026-11-20T09:00:00.000Z","actor":"bob","workspace":"main","subject":"backup","data":{"rev":2}}"#
        )
        let found = try bench.items("query", #"{"record":"event","principal":"bob","bodies":true}"#)
        #expect(found.first?["code"]?.stringValue == "SCHEDULE_UPDATED")
        #expect(found.first?["body"]?["data"]?["rev"]?.intValue == 2)
        #expect(try bench.subjects(#"{"code":"SCHEDULE_UPDATED","type":"scheduler"}"#) == ["backup"])
        #expect(try bench.subjects(#"{"code":"SCHEDULE_DELETED"}"#).isEmpty)
    }

    @Test("G-17: nobody reads under another principal's name, or in another workspace")
    func access() throws {
        let bench = try Bench()
        bench.result("t1")
        bench.result("t2") { $0.principal = "bob" }
        #expect(try bench.subjects("{}", as: "alice") == ["t1"])
        #expect(try bench.subjects("{}", as: "bob") == ["t2"])
        #expect(try bench.ask("query", #"{"principal":"bob"}"#, as: "alice").code == .permissionDenied)
        #expect(try bench.ask("get", id: "t2", as: "alice").code == .notFound)
        #expect(try bench.items("stats", as: "alice").first?["count"]?.intValue == 1)
        bench.give(
            .message(InboundMessage(topic: "other/martlet1/command/ops/history/query/q", payload: [])))
        let reply = try #require(bench.published.last { $0.topic == "other/martlet1/reply/ops/history/query/q" })
        #expect(try Reply(decoding: reply.payload).data?.text == #"{"items":[]}"#)
    }

    @Test("Refusals have a code: retained, no JSON, no object, unknown verb, fields that sums lack")
    func refusals() throws {
        let bench = try Bench()
        #expect(try bench.ask("query", "[").code == .invalidJSON)
        #expect(try bench.ask("query", "[]").code == .invalidField)
        #expect(try bench.ask("forget").code == .invalidField)
        #expect(try bench.ask("stats", #"{"subject":"t1"}"#).code == .invalidField)
        #expect(try bench.ask("query", #"{"by":"day"}"#).code == .invalidField)
        bench.message("command/ops/history/query/r", "{}", retained: true)
        let reply = try #require(bench.published.last { $0.topic.hasSuffix("/reply/ops/history/query/r") })
        #expect(try Reply(decoding: reply.payload).code == .retainedRequest)
        #expect(bench.published.contains { $0.topic.hasSuffix("command/ops/history/query/r") && $0.payload.isEmpty })
        bench.give(.terminate)
        #expect(try bench.ask("query").code == .shuttingDown)
        #expect(bench.quits == 1)
    }

    @Test("A result for several principals is a record for each, counted once")
    func copies() throws {
        let bench = try Bench()
        let payload = ResultSketch(id: "t1", status: .success, at: bench.wall).payload
        for principal in ["alice", "listener"] { bench.message("result/\(principal)/c/t1", payload) }
        #expect(try bench.items("get", id: "t1").map { $0["copy"] == .bool(true) } == [true, false])
        #expect(try bench.items("stats").first?["count"]?.intValue == 1)
    }

    @Test("A copy that comes after a restart is a copy all the same")
    func copyAfterRestart() throws {
        let bench = try Bench()
        for index in 1...5 { bench.result("t\(index)") { $0.output = #"{"text":"a\/b \u00e4"}"# } }
        try bench.restart()
        bench.result("t5") {
            $0.output = #"{"text":"a\/b \u00e4"}"#
            $0.principal = "bob"
        }
        #expect(try bench.items("stats").first?["count"]?.intValue == 5)
        #expect(try bench.items("query").count == 6)
    }

    @Test("What is no result is not recorded, and counted; a body of several lines becomes one")
    func badMessages() throws {
        let bench = try Bench()
        bench.message("result/alice/c/t1", "nonsense")
        bench.message("result/alice/c/t1", #"{"task":"t1"}"#)
        bench.message("result/alice/c/t1", [])
        #expect(try bench.subjects("{}").isEmpty)
        #expect(bench.core.totals.refused == 2)
        bench.message(
            "result/alice/c/t2",
            "{\"task\":\"t2\",\n \"status\":\"success\",\r\n\"output\":\"a\\nb\",\"finished_at\":\"2026-11-20T09:00:00.000Z\"}"
        )
        let item = try #require(try bench.items("get", id: "t2").first)
        #expect(item["body"]?["output"]?.stringValue == "a\nb")
        try bench.restart()
        #expect(try bench.subjects("{}") == ["t2"])
    }
}
