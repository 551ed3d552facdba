import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// What an explanation tells beside the code: numbers, names and moments.
@Suite struct ExplainFactTests {
    private func candidate(_ bench: inout Harness, _ id: String, _ index: Int = 0) throws -> JSONValue {
        let why = try bench.explain(id)
        guard case .array(let candidates)? = why["candidates"] else { throw Missing() }
        return try #require(candidates.indices.contains(index) ? candidates[index] : nil)
    }

    private struct Missing: Error {}

    @Test func slotsNameTheOwnTasksThatUseThem() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":2,"reserved":0"#)
        bench.intent("t0")
        bench.intent("x0", by: "bob")
        bench.intent("t1")
        let shown = try candidate(&bench, "t1")
        #expect(shown.text("/code") == "no_slot")
        #expect(shown.number("/used") == 2 && shown.number("/slots") == 2)
        #expect(shown.text("/tasks/0") == "t0" && shown.text("/tasks/1") == nil, "bob's id is not told")
    }

    @Test func theReserveAndTheLimitOfACapabilityAreTold() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c"},{"name":"d","max_concurrent":1}"#, rest: #""slots":2"#)
        bench.intent("t0", to: "d")
        bench.intent("t1")
        let reserved = try candidate(&bench, "t1")
        #expect(reserved.text("/code") == "reserved" && reserved.number("/reserved") == 1)
        bench.intent("t2", to: "d", #"{"priority":"critical"}"#)
        let limited = try candidate(&bench, "t2")
        #expect(limited.text("/code") == "max_concurrent")
        #expect(limited.number("/used") == 1 && limited.number("/slots") == 1 && limited.text("/tasks/0") == "t0")
    }

    @Test func aCircuitTellsWhyAndWhoHoldsIt() throws {
        var bench = try Harness()
        bench.online("e1")
        #expect(try bench.command("circuit/open/c", #"{"executor":"e1"}"#).ok)
        bench.intent("t1")
        let shown = try candidate(&bench, "t1")
        #expect(shown.text("/code") == "circuit_open")
        #expect(shown.text("/circuit/of") == "executor" && shown.text("/circuit/state") == "open")
        #expect(shown.text("/circuit/forced_by") != nil)
    }

    @Test func missingLabelsAndTheLastSignOfLifeAreTold() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""labels":["agent:code"]"#)
        bench.intent("t1", #"{"requires":["agent:code","agent:gpu","urgent"]}"#)
        let shown = try candidate(&bench, "t1")
        #expect(shown.text("/missing/0") == "agent:gpu" && shown.text("/missing/1") == nil)
        bench.status("e1", "lost")
        bench.intent("t2")
        #expect(try candidate(&bench, "t2").text("/heard_at") != nil)
    }
}
