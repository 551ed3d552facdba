import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

@Suite struct PolicyTests {
    private func policy(_ text: String) throws -> Policy { try Policy(RawJSON(validating: Array(text.utf8))) }

    private func problems(_ text: String) throws -> [String] {
        do {
            _ = try policy(text)
            return []
        } catch let refusal as PolicyRefusal {
            return refusal.problems
        }
    }

    private func ask(
        _ capability: String? = "a.x", of workspace: String = "main", by principal: String = "alice",
        verb: String = "execute", at time: String = "2026-11-20T12:00:00Z"
    ) throws -> PolicyQuestion {
        let at = try #require(WallTime(rfc3339: time))
        return PolicyQuestion(
            workspace: workspace, principal: principal, verb: verb, capability: capability, isOwn: true, at: at)
    }

    @Test func t1_76_85_noRulesAllow() throws {
        #expect(Policy().answer(try ask()).effect == .allow)
        #expect(try policy(#"{"main":[]}"#).answer(try ask()).effect == .allow)
        #expect(try Policy(nil).answer(try ask()).effect == .allow)
    }

    @Test func whatNoRuleFitsIsDenied() throws {
        let rules = try policy(#"{"main":[{"id":"r","effect":"allow","capabilities":["a.*"]}]}"#)
        #expect(rules.answer(try ask("b")) == PolicyAnswer(effect: .deny, rule: nil))
        #expect(rules.answer(try ask("a.x")) == PolicyAnswer(effect: .allow, rule: "r"))
        #expect(rules.answer(try ask("b", of: "other")).effect == .allow)
    }

    @Test func t1_79_higherPriorityFirstThenDeny() throws {
        let allowFirst = try policy(
            #"{"main":[{"id":"d","effect":"deny","priority":5},{"id":"a","effect":"allow","priority":10}]}"#)
        #expect(allowFirst.answer(try ask()).rule == "a")
        let equal = try policy(
            #"{"main":[{"id":"a","effect":"allow"},{"id":"q","effect":"require_approval"},{"id":"d","effect":"deny"}]}"#
        )
        #expect(equal.answer(try ask()).rule == "d")
        #expect(equal.answer(try ask(verb: "task.get")).rule == "d")
        let approval = try policy(
            #"{"main":[{"id":"a","effect":"allow"},{"id":"q","effect":"require_approval"}]}"#)
        #expect(approval.answer(try ask()).effect == .requireApproval)
        #expect(approval.answer(try ask(verb: "task.get")).effect == .allow)
    }

    @Test func t1_81_patternsEndInAStar() throws {
        let all = try policy(#"{"main":[{"id":"d","effect":"deny","capabilities":["*"]}]}"#)
        #expect(all.answer(try ask("x")).effect == .deny)
        let models = try policy(
            #"{"main":[{"id":"d","effect":"deny","capabilities":["model.*"]},{"id":"a","effect":"allow"}]}"#)
        #expect(models.answer(try ask("model.x")).rule == "d")
        #expect(models.answer(try ask("modelx")).rule == "a")
        #expect(models.answer(try ask(nil)).rule == "a")
    }

    @Test func t1_82_rulesByPrincipalVerbAndOwnership() throws {
        let rules = try policy(
            #"""
            {"main":[{"id":"mine","effect":"allow","own":true},
            {"id":"ops","effect":"allow","principals":["ops*"],"verbs":["task.*"],"own":false}]}
            """#)
        var question = try ask(verb: "task.cancel")
        #expect(rules.answer(question).rule == "mine")
        question.isOwn = false
        #expect(rules.answer(question).effect == .deny)
        question.principal = "ops-1"
        #expect(rules.answer(question).rule == "ops")
        question.verb = "circuit.open"
        question.isOwn = nil
        #expect(rules.answer(question).effect == .deny)
    }

    @Test func t1_83_timesOfDayMayPassMidnight() throws {
        let rules = try policy(
            #"{"main":[{"id":"n","effect":"deny","after":"18:00","before":"09:00"},{"id":"a","effect":"allow"}]}"#)
        let expected = [
            "22:00:00": "n", "03:00:00": "n", "08:59:59": "n", "09:00:00": "a", "17:59:59": "a", "18:00:00": "n",
        ]
        for (time, rule) in expected.sorted(by: { $0.key < $1.key }) {
            #expect(rules.answer(try ask(at: "2026-11-20T\(time)Z")).rule == rule, "\(time)")
        }
        let morning = try policy(#"{"main":[{"id":"m","effect":"allow","before":"12:00"}]}"#)
        #expect(morning.answer(try ask(at: "2026-11-20T11:59:00Z")).effect == .allow)
        #expect(morning.answer(try ask(at: "2026-11-20T12:00:00Z")).effect == .deny)
    }

    @Test func t1_84_aBadSetIsRefusedWithAllThatIsWrong() throws {
        let found = try problems(
            #"""
            {"main":[{"id":"","effect":"allow"},{"id":"a","effect":"allow"},{"id":"a","effect":"maybe"},
            {"id":"b","effect":"deny","verbs":[]},{"id":"c","effect":"deny","verbs":["task.fly",""]},
            {"id":"d","effect":"deny","after":"25:00"},{"id":"e","effect":"require_approval","verbs":["task.get"]},
            {"id":"f","effect":"deny","principals":["a*b"],"note":1},{"id":"g"}],"b a d":[],"other":{}}
            """#)
        let places = [
            "policy.main[0].id", "policy.main[2].effect", "policy.main[2].id", "policy.main[3].verbs",
            "policy.main[4].verbs[1]", "policy.main[4].verbs", "policy.main[5].after", "policy.main[6].verbs",
            "policy.main[7].principals[0]", "policy.main[7].note", "policy.main[8].effect", "policy.b a d",
            "policy.other",
        ]
        for place in places { #expect(found.contains { $0.hasPrefix("\(place): ") }, "\(place)") }
        #expect(try problems("[]").count == 1)
    }
}

@Suite struct SchemaTests {
    private func violation(_ value: String, _ schema: String) throws -> String? {
        Schema(try RawJSON(validating: Array(schema.utf8))).violation(in: try RawJSON(validating: Array(value.utf8)))
    }

    @Test(arguments: [
        (#"{"a":1}"#, #"{"type":"object","required":["a"],"properties":{"a":{"type":"integer","minimum":1}}}"#),
        ("1.0", #"{"type":"integer"}"#), ("-25e-1", #"{"type":"number"}"#), ("20e-1", #"{"type":"integer"}"#),
        ("[1,2]", #"{"type":"array","items":{"maximum":2}}"#),
        (#""äöü""#, #"{"maxLength":3,"minLength":3}"#), ("null", #"{"type":["string","null"]}"#),
        ("1e0", #"{"enum":["x",1]}"#), (#"{"b":2}"#, #"{"additionalProperties":{"type":"number"}}"#),
        (#"{"a":{"deep":[{}]}}"#, #"{"title":"ignored","format":"date"}"#), ("5", "{}"),
    ])
    func fits(_ value: String, _ schema: String) throws {
        #expect(try violation(value, schema) == nil)
    }

    @Test(arguments: [
        ("{}", #"{"required":["a"]}"#, "'a' is missing"), ("[]", #"{"type":"object"}"#, "expected object"),
        (#"{"a":{"b":0}}"#, #"{"properties":{"a":{"properties":{"b":{"minimum":1}}}}}"#, "a.b: must be at least 1"),
        (#"{"x":1}"#, #"{"properties":{},"additionalProperties":false}"#, "x: nothing is allowed here"),
        ("[1,9]", #"{"items":{"maximum":2.5}}"#, "[1]: must be at most 2.5"),
        (#""ab""#, #"{"minLength":3}"#, "must have at least 3 characters"),
        (#""ab""#, #"{"maxLength":1}"#, "must have at most 1 characters"),
        ("1.5", #"{"type":"integer"}"#, "expected integer"), ("25e-1", #"{"type":"integer"}"#, "expected integer"),
        ("2", #"{"enum":[1,"2"]}"#, "is not one of the values allowed"),
    ])
    func doesNotFit(_ value: String, _ schema: String, _ expected: String) throws {
        #expect(try violation(value, schema) == expected)
    }
}
