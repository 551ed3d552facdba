import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Plans: refusals, order, ends, the execution log.
@Suite struct PlanAcceptanceTests {
    private let skills =
        #"{"name":"a"},{"name":"b"},{"name":"d"},{"name":"tool","kind":"tool"},{"name":"wasm","kind":"wasm"}"#

    private func bench(_ configuration: String = "{}") throws -> Harness {
        var bench = try Harness(configuration)
        bench.online("e1", skills, rest: #""slots":8,"reserved":0"#)
        return bench
    }

    private func input(_ steps: String) -> String {
        #"{"input":{"assistant_id":"desk","reasoning":"why","steps":[\#(steps)]}}"#
    }

    private func step(_ name: String, _ rest: String = "") -> String {
        #"{"name":"\#(name)","type":"skill"\#(rest.isEmpty ? "" : "," + rest)}"#
    }

    /// `input` with further fields of the intent.
    private func plan(_ steps: [String], _ rest: String = "") -> String {
        let text = input(steps.joined(separator: ","))
        return rest.isEmpty ? text : "{\(rest),\(text.dropFirst())"
    }

    private func steps(_ result: TaskResult?) -> [JSONValue] {
        guard let output = result?.output, case .array(let list)? = JSONValue(output)["steps"] else { return [] }
        return list
    }

    private func log(_ bench: Harness, _ id: String = "p", _ record: String) -> [JSONValue] {
        bench.all("log/\(id)/\(record)").compactMap { try? RawJSON(validating: $0) }.map { JSONValue($0) }
    }

    @Test(
        arguments: [
            (#"{"input":{}}"#, "plan must have at least one step", Code.invalidField, nil),
            (#"{"input":{"steps":[]}}"#, "plan must have at least one step", .invalidField, nil),
            (#"{"input":{"steps":[{"type":"skill"}]}}"#, "step 0 has empty name", .invalidField, 0),
            (
                #"{"input":{"steps":[{"name":"a","type":"unknown"}]}}"#, "step 0 has invalid type: unknown",
                .invalidField, 0
            ),
            (#"{"input":{"steps":[{"name":"a","type":"skill"},{"name":"a","type":"skill"}]}}"#, nil, .invalidField, 1),
            ("{}", nil, .invalidField, nil),
        ] as [(String, String?, Code, Int?)])
    func t1_25_26_27_28_32_wrongPlans(_ json: String, _ message: String?, _ code: Code, _ index: Int?) throws {
        var bench = try bench()
        bench.intent("p", to: "plan", json)
        let error = try #require(bench.result("p", of: "plan")?.error)
        #expect(error.code == code)
        if let message { #expect(error.message == message) }
        #expect(error.details.flatMap { JSONValue($0).number("/index") } == index)
        #expect(bench.assignments("e1").isEmpty)
    }

    @Test func t1_31_hundredSteps() throws {
        var bench = try bench()
        func list(_ count: Int) -> [String] { (0..<count).map { step("s\($0)", #""capability":"a""#) } }
        bench.intent("p", to: "plan", plan(list(101)))
        #expect(bench.result("p", of: "plan")?.error?.code == .limitReached)
        #expect(bench.assignments("e1").isEmpty)
        bench.intent("q", to: "plan", plan(list(100)))
        for _ in 0..<100 {
            let assignment = try bench.assignment("e1")
            bench.succeed("e1", assignment)
            bench.succeed("e1", assignment)
        }
        #expect(bench.result("q", of: "plan")?.status == .success)
        #expect(bench.resultCount("q", of: "plan") == 1)
        #expect(steps(bench.result("q", of: "plan")).count == 100)
        #expect(log(bench, "q", "step").count == 100)
    }

    @Test func t1_29_30_33_34_stepsInOrder() throws {
        var bench = try bench()
        bench.intent("p", to: "plan", plan([step("a"), step("b", #""arguments":{"x":[1]}"#)]))
        let first = try bench.assignment("e1")
        #expect(first.task == "p.a" && first.input?.text == "{}")
        bench.advance(7)
        bench.succeed("e1", first, output: "1")
        let second = try bench.assignment("e1")
        #expect(second.task == "p.b" && second.input?.text == #"{"x":[1]}"#)
        bench.succeed("e1", second, output: "2")
        let result = try #require(bench.result("p", of: "plan"))
        #expect(result.status == .success)
        #expect(steps(result).map { $0.text("/step_name") } == ["a", "b"])
        #expect(steps(result).first?.number("/duration_ms") == 7)
        let start = try #require(log(bench, "p", "plan_start").first)
        #expect(start.text("/assistant_id") == "desk" && start.text("/plan/reasoning") == "why")
        #expect(start.text("/plan/steps/1/name") == "b")
        #expect(log(bench, "p", "step").count == 2)
        #expect(log(bench, "p", "plan_end").first?.text("/status") == "success")
        #expect(bench.all("result/alice/a/+").isEmpty)
    }

    @Test func t1_35_theFirstFailureStops() throws {
        var bench = try bench()
        bench.intent("p", to: "plan", plan([step("a"), step("b")]))
        bench.fail("e1", try bench.assignment("e1"), code: "invalid_thing")
        let result = try #require(bench.result("p", of: "plan"))
        #expect(result.status == .failed && result.error?.code.rawValue == "invalid_thing")
        #expect(result.error?.message?.hasPrefix(#"step "a" (index 0): "#) == true)
        #expect(result.error?.details?.text == #"{"step":"a","index":0}"#)
        #expect(steps(result).count == 1)
        #expect(bench.assignments("e1").isEmpty)
        #expect(log(bench, "p", "plan_end").first?.text("/status") == "failed")
        #expect(bench.deadLetters("a").isEmpty)
    }

    @Test func t1_36_canceledBeforeTheFirstAssign() throws {
        var bench = try bench()
        bench.card("e1", skills, rev: 2, rest: #""slots":1"#)
        bench.intent("t", to: "a")
        _ = try bench.assignment("e1")
        bench.intent("p", to: "plan", plan([step("a"), step("b")]))
        #expect(try bench.command("task/cancel/p", #"{"principal":"alice"}"#).ok)
        let result = try #require(bench.result("p", of: "plan"))
        #expect(result.status == .canceled && steps(result).isEmpty && log(bench, "p", "step").isEmpty)
        #expect(log(bench, "p", "plan_end").count == 1)
        #expect(bench.assignments("e1").isEmpty)
    }

    @Test func t1_37_38_kindsOfSteps() throws {
        var bench = try bench()
        bench.intent("p", to: "plan", plan([#"{"name":"tool","type":"tool","arguments":{"q":1}}"#]))
        let assignment = try bench.assignment("e1")
        #expect(assignment.capability == "tool" && assignment.input?.text == #"{"q":1}"#)
        bench.succeed("e1", assignment)
        bench.intent("q", to: "plan", plan([#"{"name":"nobody","type":"tool"}"#]))
        #expect(steps(bench.result("q", of: "plan")).first?.text("/error/code") == "unknown_capability")
        bench.intent("r", to: "plan", plan([#"{"name":"a","type":"tool"}"#]))
        #expect(steps(bench.result("r", of: "plan")).first?.text("/error/code") == "wrong_kind")
        bench.intent("s", to: "plan", plan([#"{"name":"wasm","type":"tool"}"#]))
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func t1_40_contextAndTimeLeft() throws {
        var bench = try bench()
        bench.intent(
            "p", to: "plan",
            plan([step("a"), step("b")], #""context":{"request_id":"r1","user_id":"u"},"deadline_ms":5000"#))
        let first = try bench.assignment("e1")
        #expect(first.context?.userID == "u" && first.timeoutMs == 5000)
        bench.advance(2000)
        bench.succeed("e1", first)
        let second = try bench.assignment("e1")
        #expect(second.context == first.context && second.timeoutMs == 3000)
        #expect(log(bench, "r1", "plan_start").count == 1)
    }

    @Test("S1-17 an attempt says when it began, and a step ends with its plan's deadline")
    func startedAtAndDeadline() throws {
        var bench = try bench()
        bench.advance(1234)
        let began = bench.now.wall
        bench.intent("t", to: "a", #"{"deadline_ms":9000}"#)
        let own = try bench.assignment("e1")
        bench.accept("e1", own)
        bench.advance(500)
        bench.succeed("e1", own)
        let alone = try #require(bench.result("t", of: "a"))
        #expect(alone.attempts.first?.startedAt == began && alone.attempts.first?.durationMs == 500)
        bench.intent("p", to: "plan", plan([step("a"), step("b")], #""deadline_ms":5000"#))
        bench.advance(2000)
        bench.accept("e1", try #require(bench.assignments("e1").last))
        bench.advance(2999)
        #expect(bench.result("p", of: "plan") == nil)
        bench.advance(1)
        let ended = try #require(bench.result("p", of: "plan"))
        #expect(ended.status == .timeout && ended.error?.code == .expired)
        #expect(steps(ended).first?.text("/status") == "timeout")
    }

    @Test func t1_47_theThirdOfFiveFails() throws {
        var bench = try bench()
        let all = (0..<5).map { step("s\($0)", #""capability":"a""#) }
        bench.intent("p", to: "plan", plan(all))
        for _ in 0..<2 { bench.succeed("e1", try bench.assignment("e1")) }
        bench.fail("e1", try bench.assignment("e1"), code: "not_found")
        #expect(steps(bench.result("p", of: "plan")).count == 3)
        #expect(bench.assignments("e1").isEmpty)
    }

    @Test func t1_48_49_continueAndFallback() throws {
        var bench = try bench()
        bench.intent(
            "p", to: "plan", plan([step("a"), step("b", #""on_error":"continue","retry":{"count":0}"#), step("d")]))
        bench.succeed("e1", try bench.assignment("e1"))
        bench.fail("e1", try bench.assignment("e1"))
        bench.succeed("e1", try bench.assignment("e1"))
        let result = try #require(bench.result("p", of: "plan"))
        #expect(result.status == .success)
        #expect(steps(result).map { $0.text("/status") } == ["success", "failed", "success"])
        let fallback = #""when":{"ref":"steps.a.status","op":"ne","value":"success"}"#
        let attempts = #""on_error":"continue","retry":{"count":1,"delay_ms":1}"#
        bench.intent("q", to: "plan", plan([step("a", attempts), step("b", fallback)]))
        bench.fail("e1", try bench.assignment("e1"))
        bench.advance(10)
        bench.fail("e1", try bench.assignment("e1"))
        #expect(try bench.assignment("e1").capability == "b")
        bench.intent("r", to: "plan", plan([step("a", attempts), step("b", fallback)]))
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(steps(bench.result("r", of: "plan")).map { $0.text("/status") } == ["success", "skipped"])
    }

    @Test func t1_50_costBoundsAPlan() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"a","cost":{"fixed":60}},{"name":"b","cost":{"fixed":60}}"#)
        bench.intent("p", to: "plan", plan([step("a"), step("b")], #""max_cost":100"#))
        bench.succeed("e1", try bench.assignment("e1"))
        let result = try #require(bench.result("p", of: "plan"))
        #expect(result.status == .failed && result.error?.code == .budgetExceeded)
        #expect(steps(result).count >= 1 && steps(result).first?.text("/status") == "success")
        #expect(bench.assignments("e1").isEmpty)
    }

    @Test func t1_51_deadlineBoundsAPlan() throws {
        var bench = try bench()
        bench.intent("p", to: "plan", plan([step("a"), step("b")], #""deadline_ms":1000"#))
        bench.succeed("e1", try bench.assignment("e1"))
        let second = try bench.assignment("e1")
        bench.accept("e1", second)
        bench.advance(1000)
        let result = try #require(bench.result("p", of: "plan"))
        #expect(result.status == .timeout && result.error?.code == .expired)
        #expect(steps(result).first?.text("/status") == "success")
        #expect(bench.work("e1").contains { $0.kind == .cancel || $0.kind == .revoke })
    }

    @Test func t1_52_aStepTooLongMayBePassedOver() throws {
        var bench = try bench()
        bench.intent(
            "p", to: "plan",
            plan([step("a", #""on_error":"continue","timeout_ms":50,"retry":{"count":0}"#), step("b")]))
        bench.accept("e1", try bench.assignment("e1"))
        bench.advance(50)
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(steps(bench.result("p", of: "plan")).map { $0.text("/status") } == ["timeout", "success"])
    }

    @Test func t1_53_policyDeniesAStep() throws {
        let rules =
            #"{"policy":{"main":[{"id":"no-b","effect":"deny","capabilities":["b"]},{"id":"rest","effect":"allow"}]}}"#
        var bench = try bench(rules)
        bench.intent("p", to: "plan", plan([step("a"), step("b")]))
        bench.succeed("e1", try bench.assignment("e1"))
        let result = try #require(bench.result("p", of: "plan"))
        #expect(result.status == .failed && result.error?.code == .policyRejected)
        #expect(steps(result).last?.text("/status") == "rejected")
        #expect(steps(result).last?.at(pointer: "/error").map { "\($0)".contains("no-b") } == true)
        #expect(bench.assignments("e1").isEmpty)
    }

    @Test func t1_56_canceledInTheMiddle() throws {
        var bench = try bench()
        bench.intent("p", to: "plan", plan([step("a"), step("b"), step("d")]))
        bench.succeed("e1", try bench.assignment("e1"))
        let second = try bench.assignment("e1")
        bench.accept("e1", second)
        _ = try bench.command("task/cancel/p", #"{"principal":"alice"}"#)
        #expect(bench.work("e1").contains { $0.kind == .cancel })
        bench.report("e1", second, #""type":"outcome","status":"canceled""#)
        let result = try #require(bench.result("p", of: "plan"))
        #expect(result.status == .canceled)
        #expect(steps(result).first?.text("/status") == "success")
        #expect(log(bench, "p", "plan_end").count == 1)
        #expect(bench.assignments("e1").isEmpty)
    }

    @Test func trap4_theLogIsWrittenStepByStep() throws {
        var bench = try bench()
        bench.intent("p", to: "plan", plan([step("a"), step("b")]))
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(log(bench, "p", "step").count == 1)
        let open = try bench.assignment("e1")
        try bench.restart()
        bench.succeed("e1", open)
        #expect(bench.result("p", of: "plan")?.status == .success)
        #expect(steps(bench.result("p", of: "plan")).count == 2)
        let names = log(bench, "p", "step").compactMap { $0.text("/step_name") }
        #expect(Set(names) == ["a", "b"])
    }

    @Test func referencesBetweenSteps() throws {
        var bench = try bench()
        bench.intent(
            "p", to: "plan", plan([step("a"), step("b", #""arguments":{"v":{"$ref":"steps.a.output#/x"}}"#)]))
        bench.succeed("e1", try bench.assignment("e1"), output: #"{"x":[5]}"#)
        #expect(try bench.assignment("e1").input?.text == #"{"v":[5]}"#)
        bench.intent("q", to: "plan", plan([step("a", #""arguments":{"v":{"$ref":"steps.z.output"}}"#)]))
        let result = try #require(bench.result("q", of: "plan"))
        #expect(result.status == .failed && result.error?.code == .invalidField)
        #expect(
            JSONValue(try #require(try bench.command("task/get/p.a", #"{"principal":"alice"}"#).data)).text("/state")
                == "success")
    }
}
