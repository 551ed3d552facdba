import Contract
import Testing
import Wire

@testable import DispatcherCore

@Suite struct PlanTests {
    private func raw(_ text: String) throws -> RawJSON { try RawJSON(validating: Array(text.utf8)) }

    private func plan(_ steps: String, id: String = "p") throws -> Plan {
        try Plan(
            raw(#"{"assistant_id":"desk","reasoning":"why","input":{"n":{"a/b":[1,2]}},"steps":\#(steps)}"#), id: id)
    }

    private func refusal(_ steps: String, id: String = "p") -> PlanRefusal? {
        do {
            _ = try plan(steps, id: id)
            return nil
        } catch {
            return error as? PlanRefusal
        }
    }

    private func list(_ count: Int) -> String {
        "[" + (0..<count).map { #"{"name":"s\#($0)","type":"skill"}"# }.joined(separator: ",") + "]"
    }

    @Test(
        arguments: [
            ("[]", "plan must have at least one step", nil), ("7", "plan must have at least one step", nil),
            (#"[{"type":"skill"}]"#, "step 0 has empty name", 0),
            (#"[{"name":"","type":"skill"}]"#, "step 0 has empty name", 0),
            (#"[{"name":"a","type":"unknown"}]"#, "step 0 has invalid type: unknown", 0),
            (#"[{"name":"a","type":"x"}]"#, "step 0 has invalid type: x", 0),
            (#"[{"name":"a","type":"tool"},{"name":"a","type":"tool"}]"#, "step 1 has the same name as step 0: a", 1),
            (#"[{"name":"a","type":"tool","needs":["b"]}]"#, "step 0 needs an unknown step: b", 0),
            (#"[{"name":"plan","type":"tool"}]"#, "step 0 has capability 'plan': a plan cannot run plans", 0),
            (#"[{"name":"a","type":"tool","timeout_ms":-1}]"#, nil, 0),
            (#"[{"name":"a","type":"tool","on_error":"ignore"}]"#, nil, 0),
            (#"[{"name":"a","type":"tool","when":{"ref":"x","op":"eq"}}]"#, nil, 0),
        ] as [(String, String?, Int?)])
    func wrongPlansAreRefused(_ steps: String, _ message: String?, _ index: Int?) throws {
        let found = try #require(refusal(steps))
        #expect(found.code == .invalidField)
        if let message { #expect(found.message == message) }
        #expect(found.index == index)
        #expect(found.details?.text == index.map { #"{"index":\#($0)}"# })
    }

    @Test func circlesAreFound() {
        let steps =
            #"[{"name":"x","type":"tool"},{"name":"a","type":"tool","needs":["b"]},{"name":"b","type":"tool","needs":["a"]}]"#
        #expect(refusal(steps)?.index == 1)
        #expect(refusal(#"[{"name":"a","type":"tool","needs":["a"]}]"#)?.index == 0)
    }

    @Test func limitsOfAPlan() throws {
        #expect(refusal(list(101))?.code == .limitReached)
        #expect(try plan(list(100)).steps.count == 100)
        #expect(refusal(list(1), id: String(repeating: "p", count: 126))?.code == .invalidName)
        #expect(refusal(list(1), id: String(repeating: "p", count: 125)) == nil)
        #expect(throws: PlanRefusal.self) { try Plan(nil, id: "p") }
    }

    @Test func fieldsArriveAsSent() throws {
        let plan = try plan(
            #"""
            [{"name":"a","type":"tool"},
            {"name":"b","type":"skill","capability":"text.sum","arguments":{"x":[1]},"on_error":"continue","timeout_ms":50,
            "retry":{"count":3},"requires":["agent:gpu"],"mode":"http_pull","max_cost":7,"units":2,"executor":"e"}]
            """#)
        #expect(plan.assistant == "desk" && plan.reasoning == "why")
        #expect(plan.steps[0].arguments.text == "{}" && plan.steps[0].capability == "a" && !plan.steps[0].continues)
        let step = plan.steps[1]
        #expect(step.capability == "text.sum" && step.arguments.text == #"{"x":[1]}"# && step.continues)
        #expect(step.intent.timeoutMs == 50 && step.intent.retry?.count == 3 && step.intent.mode == .pull)
        #expect(step.intent.maxCost == 7 && step.intent.units == 2 && step.intent.executor == "e")
    }

    @Test func withoutNeedsOneAfterTheOther() throws {
        #expect(try plan(list(3)).steps.map(\.needs) == [[], [0], [1]])
        let free = try plan(
            #"[{"name":"a","type":"tool"},{"name":"b","type":"tool","needs":[]},{"name":"c","type":"tool","needs":["b","a"]}]"#
        )
        #expect(free.steps.map(\.needs) == [[], [], [0, 1]])
    }

    @Test func theFirstFailureStops() throws {
        var run = PlanRun(try plan(list(3)))
        #expect(run.ready == [0])
        run.note(StepEnd(index: 0, status: "success", output: try raw("1"), durationMs: 5))
        #expect(run.ready == [1] && run.stopper == nil)
        run.note(StepEnd(index: 1, status: "failed", error: ErrorBody(.poison, "three lost")))
        run.note(StepEnd(index: 1, status: "success"))
        let stopper = try #require(run.stopper)
        #expect(run.ready.isEmpty)
        let error = run.error(of: stopper)
        #expect(error.code == .poison)
        #expect(error.message == #"step "s1" (index 1): three lost"#)
        #expect(error.details?.text == #"{"step":"s1","index":1}"#)
        #expect(
            run.output().text
                == #"{"steps":[{"step_name":"s0","type":"skill","status":"success","output":1,"duration_ms":5},"#
                + #"{"step_name":"s1","type":"skill","status":"failed","error":{"code":"poison","message":"three lost"},"duration_ms":0}]}"#
        )
    }

    @Test func aFallbackRunsOnlyAfterAFailure() throws {
        let steps = #"""
            [{"name":"a","type":"tool","on_error":"continue"},
            {"name":"b","type":"tool","when":{"ref":"steps.a.status","op":"ne","value":"success"}}]
            """#
        var failed = PlanRun(try plan(steps))
        failed.note(StepEnd(index: 0, status: "failed", error: ErrorBody(.poison)))
        #expect(failed.ready == [1] && failed.shouldRun(1) && failed.stopper == nil)
        var good = PlanRun(try plan(steps))
        good.note(StepEnd(index: 0, status: "success"))
        #expect(good.ready == [1] && !good.shouldRun(1))
        good.note(StepEnd(index: 1, status: StepEnd.skipped))
        #expect(good.isComplete && good.stopper == nil)
    }

    @Test func referencesAreReplaced() throws {
        let steps = #"""
            [{"name":"a.b","type":"tool"},{"name":"c","type":"tool","arguments":
            {"x":[{"$ref":"steps.a.b.output#/list/1"}],"y":{"$ref":"plan.input#/n/a~1b"},"z":{"$ref":"steps.a.b.status"},
            "all":{"$ref":"steps.a.b.output"},"kept":{"$ref":"x","other":1}}}]
            """#
        var run = PlanRun(try plan(steps))
        run.note(StepEnd(index: 0, status: "success", output: try raw(#"{"list":[1,"two"]}"#)))
        #expect(
            try run.arguments(of: 1).text
                == #"{"x":["two"],"y":[1,2],"z":"success","all":{"list":[1,"two"]},"kept":{"$ref":"x","other":1}}"#)
    }

    @Test(arguments: [
        "steps.a.output#/none", "steps.b.output", "steps.zz.status", "plan.input#/m", "plan.output", "x",
        "steps..status",
        "steps.a.status#/x", "plan.input#n",
    ])
    func missingReferencesAreTold(_ reference: String) throws {
        let steps =
            #"[{"name":"a","type":"tool"},{"name":"b","type":"tool","arguments":{"v":{"$ref":"\#(reference)"}}}]"#
        var run = PlanRun(try plan(steps))
        run.note(StepEnd(index: 0, status: "success", output: try raw("{}")))
        let error = #expect(throws: PlanRefusal.self) { try run.arguments(of: 1) }
        #expect(error?.code == .invalidField)
        #expect(error?.message == "reference '\(reference)' gives nothing")
    }

    @Test(arguments: [
        ("eq", "5", true), ("eq", "5.0", true), ("eq", #""5""#, false), ("ne", "5", false), ("ne", "6", true),
        ("gt", "4", true), ("gt", "5", false), ("lt", "5.5", true), ("lt", "5", false), ("exists", "null", true),
    ])
    func conditions(_ operation: String, _ value: String, _ expected: Bool) throws {
        let steps = #"""
            [{"name":"a","type":"tool"},
            {"name":"b","type":"tool","when":{"ref":"steps.a.output#/n","op":"\#(operation)","value":\#(value)}}]
            """#
        var run = PlanRun(try plan(steps))
        run.note(StepEnd(index: 0, status: "success", output: try raw(#"{"n":5}"#)))
        #expect(run.shouldRun(1) == expected)
        var empty = PlanRun(try plan(steps))
        empty.note(StepEnd(index: 0, status: StepEnd.skipped))
        #expect(empty.shouldRun(1) == (operation == "ne"))
    }

    @Test func largeOutputsGiveWayLargestFirst() throws {
        var run = PlanRun(try plan(list(3)))
        for (index, size) in [2000, 4000, 3000].enumerated() {
            let text = "\"" + String(repeating: "x", count: size) + "\""
            run.note(StepEnd(index: index, status: "success", output: try raw(text)))
        }
        let output = JSONValue(run.output(limit: 6000))
        #expect(output.at(pointer: "/steps/1/output_omitted") == .bool(true))
        #expect(output.at(pointer: "/steps/0/output") != nil && output.at(pointer: "/steps/2/output") != nil)
        #expect(run.output(limit: 6000).bytes.count <= 6000)
    }
}
