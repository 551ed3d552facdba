import Contract
import Determinism
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// What one workspace, one principal or one executor may take of what all share.
@Suite struct QuotaTests {
    @Test func g24AWorkspaceHasItsQuotaOfTasksAndNoOtherPaysForIt() throws {
        var bench = try Harness(#"{"quotas":{"main":{"tasks":2},"*":{"tasks":3}}}"#)
        bench.online("e", rest: #""slots":1"#)
        for id in ["a", "b", "c"] { bench.intent(id, by: id) }
        let refused = try #require(bench.result("c", for: "c"))
        #expect(refused.status == .rejected && refused.error?.code == .busy)
        #expect(refused.error?.details.flatMap { JSONValue($0).number("/retry_after_ms") } ?? 0 > 0)
        bench.workspace = "other"
        bench.online("e", rest: #""slots":1"#)
        for id in ["a", "b", "c", "d"] { bench.intent(id, by: id) }
        #expect(bench.result("c", for: "c") == nil && bench.result("d", for: "d")?.error?.code == .busy)
        bench.workspace = "main"
        bench.succeed("e", try bench.assignment("e"))
        bench.intent("again", by: "c")
        #expect(bench.result("again", for: "c") == nil)
        try bench.restart()
        bench.intent("late", by: "c")
        #expect(bench.result("late", for: "c")?.error?.code == .busy, "what is live is counted after a restart too")
    }

    @Test func g24AWorkspaceHasItsQuotaOfBytes() throws {
        var bench = try Harness(#"{"quotas":{"main":{"task_bytes":20000}}}"#)
        bench.online("e", rest: #""slots":1"#)
        let input = #"{"input":"\#(String(repeating: "x", count: 8000))"}"#
        for id in ["a", "b", "c"] { bench.intent(id, input) }
        #expect(bench.result("b") == nil && bench.result("c")?.error?.code == .busy)
        bench.workspace = "other"
        bench.online("e")
        bench.intent("c", input)
        #expect(bench.result("c") == nil)
    }

    @Test func g24AWorkspaceHasItsRate() throws {
        var bench = try Harness(#"{"rates":[{"workspace":"*","per_s":1,"burst":2},{"owner":"*","per_s":9,"burst":9}]}"#)
        bench.online("e", rest: #""slots":9"#)
        for id in ["a", "b", "c"] { bench.intent(id, by: id) }
        #expect(bench.result("b", for: "b") == nil && bench.result("c", for: "c")?.error?.code == .rateLimited)
        let wait = bench.result("c", for: "c")?.error?.details.flatMap { JSONValue($0).number("/retry_after_ms") } ?? 0
        #expect((1...1000).contains(wait))
        bench.workspace = "other"
        bench.online("e", rest: #""slots":9"#)
        bench.intent("c", by: "c")
        #expect(bench.result("c", for: "c") == nil, "each workspace has its own")
        bench.workspace = "main"
        bench.advance(wait)
        bench.intent("d", by: "c")
        #expect(bench.result("d", for: "c") == nil)
    }

    @Test func wrongQuotasAreRefused() {
        for text in [
            #"{"quotas":{"a/b":{"tasks":1}}}"#, #"{"quotas":{"main":{"tasks":0}}}"#, #"{"quotas":{"main":{"task":1}}}"#,
            #"{"rates":[{"workspace":"a/b","per_s":1,"burst":1}]}"#,
            #"{"rates":[{"workspace":"a","executor":"e","per_s":1,"burst":1}]}"#,
        ] {
            #expect(throws: WireError.self, "\(text)") { try DispatcherConfiguration(decoding: Array(text.utf8)) }
        }
    }

    /// Names that one executor offers one after the other do not take the room of all others.
    @Test func g18OneExecutorCannotFillTheRegistry() throws {
        var bench = try Harness()
        bench.checks = false
        let honest = #"{"name":"honest"}"#
        for page in 0..<400 {
            let names = (0..<250).map { #"{"name":"c\#(page)-\#($0)"}"# }.joined(separator: ",")
            bench.card("liar", names, rev: page + 1)
        }
        #expect(bench.core.capabilities.count <= Limits.seenCapabilities)
        let told = bench.takeAll("work/_/liar").map { String(decoding: $0.payload, as: UTF8.self) }
        #expect(told.count == 396 && told.allSatisfy { $0.contains("limit_reached") })
        bench.online("e", honest)
        bench.intent("x", to: "honest")
        #expect(try bench.assignment("e").task == "x")
        try bench.restart()
        _ = bench.takeAll("work/_/liar")
        bench.card("liar", #"{"name":"one-more"}"#, rev: 1000)
        bench.card("liar", (0..<250).map { #"{"name":"d\#($0)"}"# }.joined(separator: ","), rev: 1001)
        #expect(bench.takeAll("work/_/liar").count == 1, "what was offered before is counted after a restart too")
    }

    /// The same by claims without a card; and claims that wait.
    @Test func g18OneExecutorCannotFillTheTablesByClaims() throws {
        var bench = try Harness()
        bench.checks = false
        for page in 0..<20 {
            let names = (0..<200).map { "\"c\(page)-\($0)\"" }.joined(separator: ",")
            let answer = try bench.claim("liar", slot: "s", #"{"capabilities":[\#(names)]}"#)
            if page >= 6, case .none(_, let code)? = answer { #expect(code == .limitReached) }
        }
        #expect(bench.core.capabilities.count <= Limits.seenCapabilities)
        var bench2 = try Harness()
        bench2.checks = false
        bench2.online("e", rest: #""modes":["pull"],"slots":4"#)
        for slot in 0...Limits.claimsPerExecutor { bench2.send("claim/e/s\(slot)", #"{"boot":"b1","wait_ms":600000}"#) }
        #expect(bench2.core.executors[0].claims.count == Limits.claimsPerExecutor)
        #expect(bench2.all("grant/e/+").count == 1)
    }

    /// More executors than there is room for, and ids without end: what is kept has its bound.
    @Test func g18ExecutorsAndIdsAreBounded() throws {
        var bench = try Harness(#"{"limits":{"id_memory":1000,"tasks":500}}"#)
        bench.checks = false
        bench.allowsErrors = true
        for number in 0...Limits.executors {
            bench.send("executor/e\(number)/status", #"{"status":"online","boot":"b","conn":1}"#)
        }
        #expect(bench.core.executorIndex.count == Limits.executors)
        var ids = try Harness(#"{"limits":{"id_memory":1000,"tasks":500}}"#)
        ids.checks = false
        ids.online("e", rest: #""slots":1"#)
        for number in 0..<5000 { ids.intent("i\(number)", #"{"updates":"none"}"#) }
        #expect(ids.core.tasks.count <= 500 && ids.core.ids.count <= 1500)
    }

    /// Results that are small never reach the bound of their bytes: their order goes with the ids. A step that a plan
    /// needs is the oldest all the time.
    @Test func g18TheOrderOfResultsIsBounded() throws {
        var bench = try Harness(#"{"limits":{"id_memory":100}}"#)
        bench.checks = false
        bench.online("e1", rest: #""slots":4"#)
        try bench.planHalfDone()
        for number in 0..<4000 {
            bench.intent("i\(number)", #"{"updates":"none"}"#)
            bench.succeed("e1", try bench.assignment("e1"))
        }
        #expect(bench.core.ended.count <= 101)
        #expect(bench.core.resultsOrder.count <= 2000)
        #expect(bench.core.resultsOrder.all.contains { bench.core.ended[$0]?.spec.step != nil })
        #expect(bench.core.checkInvariants().isEmpty)
    }
}

/// `can_execute` says which rule decided, and what it is about.
@Suite struct PolicyAnswerTests {
    @Test func canExecuteNamesTheRule() throws {
        let rules = """
            {"policy":{"main":[
            {"id":"night","priority":9,"effect":"deny","capabilities":["print.*"],"after":"18:00","before":"06:30"},
            {"id":"ask","effect":"require_approval","principals":["bob"]},
            {"id":"rest","effect":"allow","principals":["alice","bob","ops"]}]}}
            """
        var bench = try Harness(rules)
        bench.online("e", #"{"name":"c"},{"name":"print.label"}"#)
        bench.setWall(try #require(WallTime(rfc3339: "2026-11-20T20:00:00Z")))
        func ask(_ capability: String, _ principal: String) throws -> JSONValue {
            JSONValue(try #require(try bench.command("capability/can_execute/\(capability)", by: principal).data))
        }
        let denied = try ask("print.label", "alice")
        #expect(denied["can"] == .bool(false) && denied.text("/code") == "policy_rejected")
        #expect(denied.text("/policy/effect") == "deny" && denied.text("/policy/rule") == "night")
        #expect(denied.number("/policy/priority") == 9)
        #expect(denied.text("/policy/why") == "capabilities print.*; from 18:00 to 06:30 UTC")
        let asked = try ask("c", "bob")
        #expect(asked["can"] == .bool(false) && asked.text("/code") == "awaiting_approval")
        #expect(asked.text("/policy/effect") == "require_approval" && asked.text("/policy/rule") == "ask")
        let allowed = try ask("c", "alice")
        #expect(allowed["can"] == .bool(true) && allowed.text("/policy/rule") == "rest")
        let nobody = try ask("c", "stranger")
        #expect(nobody["can"] == .bool(false) && nobody.text("/policy/why") == "no rule of the workspace fits")
        bench.workspace = "other"
        bench.online("e", #"{"name":"c"}"#)
        #expect(try ask("c", "stranger").text("/policy/why") == "the workspace has no rules")
    }
}
