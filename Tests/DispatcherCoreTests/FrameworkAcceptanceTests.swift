import Contract
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// The framework as a whole: choice, order, identity, conflicts.
@Suite struct FrameworkAcceptanceTests {
    @Test func t0_01_theCheaperExecutorGetsIt() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":1}}"#)
        bench.online("e2", #"{"name":"c","cost":{"fixed":5}}"#)
        bench.intent("t1")
        #expect(bench.assignments("e1").count == 1)
        #expect(bench.assignments("e2").isEmpty)
    }

    @Test func t0_02_aFullExecutorGetsItLater() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":1}}"#)
        bench.online("e2", #"{"name":"c","cost":{"fixed":5}}"#)
        bench.intent("t0")
        let first = try bench.assignment("e1")
        bench.intent("t1")
        #expect(try bench.assignment("e2").task == "t1")
        bench.intent("t2")
        #expect(bench.assignments("e1").isEmpty)
        bench.succeed("e1", first)
        #expect(try bench.assignment("e1").task == "t2")
    }

    @Test func t0_03_anOpenCircuitIsPassedBy() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.online("e2", #"{"name":"c","cost":{"fixed":50000}}"#)
        #expect(try bench.command("circuit/open/c", #"{"executor":"e1"}"#).ok)
        bench.intent("t1")
        #expect(bench.assignments("e2").count == 1)
        bench.intent("t2")
        let why = try bench.explain("t2")
        #expect(why.text("/code") == "circuit_open" || why.text("/code") == "no_slot")
        #expect(why.text("/candidates/0/executor") == "e1")
        #expect(why.text("/candidates/0/code") == "circuit_open")
        #expect(why.number("/counts/circuit_open") == 1)
    }

    @Test func t0_04_theLessLoadedThenTheSmallerName() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":1000}}"#, rest: #""slots":4"#)
        bench.online("e2", #"{"name":"c","cost":{"fixed":1000}}"#, rest: #""slots":4"#)
        bench.intent("t1")
        let first = try bench.assignment("e1")
        bench.intent("t2")
        let second = try bench.assignment("e2")
        bench.succeed("e1", first)
        bench.succeed("e2", second)
        for round in 0..<100 {
            bench.intent("r\(round)")
            let assignment = try bench.assignment("e1")
            bench.refuse("e1", assignment, "busy")
            let other = try bench.assignment("e2")
            bench.refuse("e2", other, "busy")
            _ = try bench.command("task/cancel/r\(round)", #"{"principal":"alice"}"#)
            bench.beat("e1", seq: round)
            bench.beat("e2", seq: round)
        }
    }

    @Test func t0_05_oneRunForOneKey() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":4"#)
        bench.intent("a", by: "alice", #"{"dedup_key":"k"}"#)
        bench.advance(10)
        bench.intent("b", by: "bob", #"{"dedup_key":"k"}"#)
        let duplicate = try #require(bench.updates("b", for: "bob").first)
        #expect(duplicate.type == .duplicate)
        #expect(duplicate.of == "a")
        bench.succeed("e1", try bench.assignment("e1"), output: "7")
        let (first, second) = (bench.result("a"), bench.result("b", for: "bob"))
        #expect(first?.output?.text == "7")
        #expect(second?.output == first?.output && second?.status == .success)
        #expect(bench.assignments("e1").isEmpty)
    }

    @Test func t0_06_anOfferSurvivesAKill() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        let before = try bench.assignment("e1")
        try bench.restart(after: 300)
        let again = try bench.assignment("e1")
        #expect(again.epoch == before.epoch && again.term > before.term)
        bench.succeed("e1", again)
        #expect(bench.result("t1")?.status == .success)
        let epochs = bench.result("t1")?.attempts.map(\.epoch)
        #expect(epochs == [before.epoch])
    }

    @Test func t0_06_anOfferThatIsMadeAnewMakesTheOldEpochStale() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1")
        let before = try bench.assignment("e1")
        try bench.restart(after: 300)
        _ = bench.assignments("e1")
        bench.online("e2")
        bench.advance(2000)
        let next = try bench.assignment("e2")
        #expect(next.task == "t1" && next.epoch > before.epoch)
        bench.succeed("e1", before)
        #expect(bench.result("t1") == nil && bench.events(.taskStaleResult).count == 1)
        bench.succeed("e2", next)
        #expect(bench.result("t1")?.attempts.map(\.epoch) == [next.epoch])
    }

    @Test func t0_07_contractsThatDifferDoNotMix() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":9},"input_schema":{"type":"object"}}"#, rest: #""slots":4"#)
        bench.online("e2", #"{"name":"c","input_schema":{"type":"string"}}"#)
        let conflict = try #require(bench.events(.capabilityConflict).last)
        let names = try #require(conflict.data).text
        #expect(names.contains("e1") && names.contains("e2"), "\(names)")
        bench.intent("t1")
        #expect(bench.assignments("e1").count == 1)
        #expect(bench.assignments("e2").isEmpty)
        bench.card("e2", #"{"name":"c","input_schema":{"type":"object"}}"#, rev: 2)
        #expect(bench.events(.conflictResolved).count == 1)
        bench.intent("t2")
        #expect(bench.assignments("e2").count == 1)
    }

    @Test func t0_08_aSlotIsKeptForCritical() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":2"#)
        bench.intent("n1")
        bench.intent("n2")
        #expect(bench.assignments("e1").map(\.task) == ["n1"])
        #expect(try bench.explain("n2").text("/code") == "reserved")
        bench.intent("k", #"{"priority":"critical"}"#)
        #expect(bench.assignments("e1").map(\.task) == ["k"])
    }

    @Test func reserveOfTenSlots() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":10"#)
        for task in 0..<10 { bench.intent("n\(task)") }
        #expect(bench.assignments("e1").count == 9)
        #expect(try bench.explain("n9").text("/code") == "reserved")
        bench.intent("k", #"{"priority":"critical"}"#)
        #expect(try bench.assignment("e1").task == "k")
    }

    @Test func t0_09_aLostExecutorLeavesTheView() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.advance(2000)
        #expect(bench.view("capability/c")?.text("/executors/0/executor") == "e1")
        bench.status("e1", "lost")
        bench.advance(1000)
        #expect(bench.view("capability/c")?.at(pointer: "/executors") == .array([]))
        #expect(
            try bench.command("capability/can_execute/c").data.map { JSONValue($0).at(pointer: "/can") } == .bool(false)
        )
    }

    @Test func t0_11_heartbeatsRunOnlyForChecks() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","kind":"heartbeat"}"#)
        bench.intent("t1")
        #expect(bench.result("t1")?.error?.code == .wrongKind)
        bench.intent("t2", by: "heartbeat", #"{"origin":{"kind":"check"}}"#)
        #expect(bench.assignments("e1").count == 1)
    }

    @Test func t0_12_anyKindIsTaken() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","kind":"wasm"}"#)
        bench.intent("t1")
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(bench.result("t1")?.status == .success)
    }

    @Test func t0_14_workspacesDoNotSeeEachOther() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.workspace = "other"
        let list = JSONValue(try #require(try bench.command("capability/list/all").data))
        #expect(list.at(pointer: "/items") == .array([]))
        bench.intent("t1")
        #expect(bench.result("t1")?.error?.code == .unknownCapability)
    }

    @Test func t0_15_originIsForServices() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"origin":{"kind":"schedule"}}"#)
        #expect(bench.result("t1")?.status == .rejected)
        #expect(bench.result("t1")?.error?.code == .permissionDenied)
        #expect(bench.events(.requestRefused).count == 1)
    }

    @Test func t0_16_nobodyIsCheapEnough() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":100,"per_unit":10}}"#)
        bench.intent("t1", #"{"max_cost":109}"#)
        #expect(bench.result("t1")?.error?.code == .budgetExceeded)
        bench.intent("t2", #"{"max_cost":110}"#)
        #expect(bench.assignments("e1").count == 1)
    }

    @Test(arguments: [("{}", "e1"), (#"{"routing":"cost_first"}"#, "e2")])
    func t0_17_pushBeforePullUnlessCostIsFirst(_ configuration: String, _ expected: String) throws {
        var bench = try Harness(configuration)
        bench.online("e1", #"{"name":"c","cost":{"fixed":5}}"#)
        bench.online("e2", #"{"name":"c","cost":{"fixed":1}}"#, rest: #""modes":["pull"]"#)
        _ = try bench.claim("e2", #"{"wait_ms":60000}"#)
        bench.intent("t1")
        let pushed = bench.assignments("e1").count == 1
        var granted = false
        if case .task = try bench.grant("e2") { granted = true }
        #expect(pushed == (expected == "e1") && granted == (expected == "e2"))
    }
}
