import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Policy and approvals.
@Suite struct PolicyAcceptanceTests {
    private func bench(_ rules: String) throws -> Harness {
        var bench = try Harness(#"{"policy":{"main":[\#(rules)]}}"#)
        bench.online("e1", #"{"name":"a.x"},{"name":"b"},{"name":"c"}"#, rest: #""slots":20"#)
        return bench
    }

    private let approval =
        #"{"id":"ask","effect":"require_approval","capabilities":["c"]},{"id":"rest","effect":"allow"}"#

    private func waiting(_ bench: inout Harness, _ id: String = "t1") {
        bench.intent(id)
    }

    @Test func t1_54_76_77_78_rules() throws {
        var open = try Harness()
        open.online("e1")
        open.intent("t1")
        #expect(open.assignments("e1").count == 1)
        var bench = try bench(#"{"id":"some","effect":"allow","capabilities":["a.*"],"verbs":["execute"]}"#)
        bench.intent("t1", to: "b")
        #expect(bench.result("t1", of: "b")?.error?.code == .policyRejected)
        #expect(bench.result("t1", of: "b")?.status == .rejected)
        bench.intent("t2", to: "a.x")
        #expect(bench.assignments("e1").count == 1)
        #expect(try bench.command("task/list/all").code == .permissionDenied)
        var denied = try self.bench(#"{"id":"no-b","effect":"deny","capabilities":["b"]},{"id":"r","effect":"allow"}"#)
        denied.intent("t1", to: "b")
        let details = denied.result("t1", of: "b")?.error?.details.map { JSONValue($0) }
        #expect(details?.text("/rule") == "no-b")
    }

    @Test func t1_80_rulesOfAnotherWorkspace() throws {
        var bench = try Harness(#"{"policy":{"other":[{"id":"no","effect":"deny"}]}}"#)
        bench.online("e1")
        bench.intent("t1")
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func t1_84_aBadSetIsRefusedWhole() throws {
        var bench = try bench(#"{"id":"no-b","effect":"deny","capabilities":["b"]},{"id":"r","effect":"allow"}"#)
        let bad =
            #"{"dispatcher":{"policy":{"main":[{"id":"","effect":"allow"},{"id":"x","effect":"allow","verbs":[]}]}}}"#
        bench.input(.reload(Array(bad.utf8)))
        bench.intent("t1", to: "b")
        #expect(bench.result("t1", of: "b")?.error?.code == .policyRejected)
        #expect(bench.retained.contains { $0.key.contains("/alert/") && !$0.value.isEmpty })
        bench.input(.reload(Array(#"{"dispatcher":{"policy":{"main":[]}}}"#.utf8)))
        bench.intent("t2", to: "b")
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func t1_85_noRuleNoEffect() throws {
        let allow = #"{"id":"r","effect":"allow"}"#
        var bench = try bench(#"{"id":"no-b","effect":"deny","capabilities":["b"]},"# + allow)
        bench.intent("t1", to: "b")
        #expect(bench.result("t1", of: "b")?.error?.code == .policyRejected)
        bench.input(.reload(Array(#"{"dispatcher":{"policy":{"main":[\#(allow)]}}}"#.utf8)))
        bench.intent("t2", to: "b")
        #expect(try bench.assignment("e1").task == "t2")
        for none in [#"{"dispatcher":{"policy":{"main":[]}}}"#, #"{"dispatcher":{"policy":{}}}"#, "{}"] {
            bench.input(.reload(Array(none.utf8)))
            let can = try bench.command("capability/can_execute/b").data.map { JSONValue($0) }
            #expect(can?["can"] == .bool(true) && can?.at(pointer: "/policy/rule") == nil)
        }
    }

    @Test func t1_86_87_approved() throws {
        var bench = try bench(approval)
        waiting(&bench)
        let update = try #require(bench.updates("t1").first)
        #expect(update.state == .awaitingApproval && update.code == .approvalRequired)
        #expect(bench.events(.approvalRequested).count == 1)
        #expect(bench.assignments("e1").isEmpty)
        #expect(try bench.explain("t1").text("/code") == "awaiting_approval")
        #expect(try bench.command("task/approve/t1", #"{"principal":"alice"}"#).ok)
        #expect(bench.events(.approvalGranted).first?.actor == "ops")
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(bench.result("t1")?.status == .success)
    }

    @Test func t1_88_denied() throws {
        var bench = try bench(approval)
        waiting(&bench)
        #expect(try bench.command("task/deny/t1", #"{"principal":"alice","reason":"too late"}"#).ok)
        let result = try #require(bench.result("t1"))
        #expect(result.status == .rejected && result.error?.code == .approvalDenied)
        #expect(result.error?.message?.contains("too late") == true)
        #expect(bench.events(.approvalDenied).count == 1)
    }

    @Test func t1_89_theFirstDecisionStands() throws {
        var bench = try bench(approval)
        for id in ["t1", "t2", "t3"] { waiting(&bench, id) }
        let who = #"{"principal":"alice"}"#
        #expect(try bench.command("task/approve/t1", who).ok)
        #expect(try bench.command("task/approve/t1", who).ok)
        #expect(bench.events(.approvalGranted).count == 1)
        #expect(try bench.command("task/deny/t1", who).code == .conflictRev)
        #expect(try bench.command("task/deny/t2", who).ok)
        #expect(try bench.command("task/deny/t2", who).ok)
        #expect(try bench.command("task/approve/t2", who).code == .conflictRev)
        #expect(try bench.command("task/approve/t3", who).ok)
        bench.succeed("e1", try #require(bench.assignments("e1").last))
        #expect(try bench.command("task/approve/t3", who).ok)
        #expect(bench.events(.approvalDenied).count == 1)
    }

    @Test func t1_90_93_nobodyDecides() throws {
        var bench = try bench(approval)
        waiting(&bench)
        bench.advance(600_000)
        try bench.restart(after: 1000)
        #expect(try bench.explain("t1").text("/code") == "awaiting_approval")
        bench.advance(1_198_000)
        #expect(bench.result("t1") == nil)
        bench.advance(1001)
        let result = try #require(bench.result("t1"))
        #expect(result.status == .rejected && result.error?.code == .approvalExpired)
        #expect(bench.events(.approvalExpired).count == 1)
        #expect(try bench.command("task/approve/t1", #"{"principal":"alice"}"#).code == .approvalExpired)
    }

    @Test func aDecisionAfterTheDeadline() throws {
        var bench = try bench(approval)
        bench.intent("t1", #"{"deadline_ms":60000}"#)
        bench.advance(60_000)
        #expect(bench.result("t1")?.status == .timeout && bench.result("t1")?.error?.code == .expired)
        #expect(try bench.command("task/approve/t1", #"{"principal":"alice"}"#).code == .approvalExpired)
        bench.intent("t2", to: "b")
        #expect(try bench.command("task/approve/t2", #"{"principal":"alice"}"#).code == .notAssignable)
    }

    @Test func t1_91_listOfTheUndecided() throws {
        var bench = try bench(approval)
        waiting(&bench, "t1")
        waiting(&bench, "t2")
        bench.intent("t3", to: "b")
        bench.workspace = "other"
        let none = try bench.command("task/list/all", #"{"principal":"*","state":"awaiting_approval"}"#)
        #expect(JSONValue(try #require(none.data)).at(pointer: "/items") == .array([]))
        bench.workspace = "main"
        let list = try bench.command("task/list/all", #"{"principal":"*","state":"awaiting_approval"}"#)
        let tree = JSONValue(try #require(list.data))
        #expect(tree.text("/items/0/task") == "t1" && tree.text("/items/1/task") == "t2")
        #expect(tree.at(pointer: "/items/2") == nil)
    }

    @Test func t1_92_withoutTheRight() throws {
        var bench = try bench(
            approval + #",{"id":"no","effect":"deny","priority":5,"principals":["eve"],"verbs":["task.*"]}"#)
        waiting(&bench)
        #expect(try bench.command("task/approve/t1", #"{"principal":"alice"}"#, by: "eve").code == .permissionDenied)
        #expect(try bench.command("task/approve/t1", by: "alice").code == .permissionDenied)
        #expect(bench.assignments("e1").isEmpty)
    }
}
