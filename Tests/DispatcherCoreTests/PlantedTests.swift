import Contract
import Determinism
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Each checker is shown a state that somebody has spoilt, and must say so by the id of the invariant.
@Suite struct PlantedTests {
    /// A dispatcher with a running, an offered and a queued task.
    private func bench(_ configuration: String = "{}") throws -> Harness {
        var bench = try Harness(configuration)
        bench.online("e1", rest: #""slots":2,"reserved":0"#)
        for id in ["t1", "t2", "t3"] { bench.intent(id) }
        let work = bench.assignments("e1")
        #expect(work.count == 2)
        bench.accept("e1", work[0])
        return bench
    }

    /// Expects that exactly this invariant, among others perhaps, is named.
    private func expect(
        _ id: String, _ bench: Harness, at place: SourceLocation = #_sourceLocation,
        _ spoil: (inout Dispatcher) -> Void
    ) {
        #expect(bench.faults { _ in }.isEmpty, sourceLocation: place)
        let faults = bench.faults(spoil)
        #expect(faults.contains { $0.hasPrefix(id + ":") }, "\(faults)", sourceLocation: place)
    }

    @Test func i1_aLeaseWithoutItsTask() throws {
        let bench = try bench()
        expect("I1", bench) { $0.leases[1] = nil }
        expect("I1", bench) { $0.tasks[2]?.state = .queued }
        expect("I1", bench) { $0.leases[99] = $0.leases[1] }
    }

    @Test func i2_anEpochThatFalls() throws {
        let bench = try bench()
        expect("I2", bench) { $0.tasks[1]?.epoch = 0 }
        expect("I2", bench) { $0.leases[1]?.epoch = 77 }
        expect("I2", bench) { $0.lastEpoch = 0 }
    }

    @Test func i3_anEndThatChanges() throws {
        var bench = try bench()
        let own = try #require(bench.core.leases[1].map(\.epoch))
        bench.send("report/e1/t1", #"{"epoch":\#(own),"type":"outcome","status":"success"}"#)
        expect("I3", bench) { $0.ended[1]?.status = .failed }
        expect("I3", bench) { $0.tasks[2]?.state = .success }
        expect("I3", bench) { $0.tasks[3]?.rev = 0 }
    }

    @Test func i8_aTryTooMany() throws {
        let bench = try bench()
        expect("I8", bench) { $0.tasks[1]?.tries = 9 }
        expect("I8", bench) { $0.tasks[1]?.lost = 9 }
        expect("I8", bench) { core in
            var record = CircuitRecord(state: .open, generation: 1, since: core.now.wall)
            record.until = core.now.wall + 30_000
            core.circuits[core.circuitKey(Pair(0, 0))] = Circuit(record, at: core.now)
        }
        expect("I8", bench) { core in
            core.leases[1]?.epoch += 10
            core.tasks[1]?.deadline = core.now.monotonic + -1
        }
    }

    @Test func i9_slotsThatAreMiscounted() throws {
        let bench = try bench()
        expect("I9", bench) { $0.executors[0].used = 1 }
        expect("I9", bench) { $0.executors[0].tasks = [1] }
        expect("I9", bench) { $0.registrations[Pair(0, 0)]?.running = 0 }
        expect("I9", bench) { core in
            core.leases[1]?.epoch += 10
            core.executors[0].card?.slots = 1
        }
        expect("I9", bench) { core in
            core.leases[1]?.epoch += 10
            core.executors[0].card?.reserved = 1
        }
    }

    @Test func i10_holdersAndBuckets() throws {
        var bench = try Harness(#"{"rates":[{"capability":"c","per_s":1,"burst":5}]}"#)
        bench.online("e1", rest: #""slots":4"#)
        for id in ["t1", "t2"] { bench.intent(id, #"{"concurrency_key":"k"}"#) }
        #expect(bench.assignments("e1").count == 1)
        expect("I10", bench) { $0.concurrency[ScopedName("main", "k")]?.holders = 2 }
        expect("I10", bench) { $0.configuration.rates[0].burst = 2 }
    }

    @Test func i11_aTaskInTwoPlaces() throws {
        let bench = try bench()
        expect("I11", bench) { _ = $0.lanes.change("main") { $0 = Lanes() } }
        expect("I11", bench) { $0.capabilities[0].aside = [3] }
    }

    @Test func i12_aTaskThatWaitsForNothing() throws {
        var bench = try Harness()
        bench.online("e1")
        _ = try bench.command("executor/drain/e1")
        bench.intent("t1")
        expect("I12", bench) { $0.executors[0].isDraining = false }
        var busy = try self.bench()
        busy.intent("t4", #"{"concurrency_key":"k"}"#)
        expect("I12", busy) { $0.executors[0].card?.slots = 5 }
    }

    @Test func i13_aSecondProbe() throws {
        let bench = try bench()
        expect("I13", bench) { core in
            let record = CircuitRecord(state: .halfOpen, generation: 1, since: core.now.wall)
            core.circuits[core.circuitKey(Pair(0, 0))] = Circuit(record, at: core.now)
        }
        expect("I13", bench) { core in
            var record = CircuitRecord(state: .halfOpen, generation: 2, since: core.now.wall)
            record.window = [CircuitRecord.Mark(at: core.now.wall, executor: "e1", failed: true)]
            core.circuits[core.circuitKey(Pair(0, 0))] = Circuit(record, at: core.now)
        }
        expect("I13", bench) { core in
            var circuit = Circuit(CircuitRecord(state: .halfOpen, generation: 2, since: core.now.wall), at: core.now)
            _ = circuit.grant(epoch: 55)
            core.circuits[core.circuitKey(Pair(0, 0))] = circuit
        }
    }

    @Test func i14_aCircuitThatOpensTooShort() throws {
        var bench = try bench()
        expect("I14", bench) { core in
            var record = CircuitRecord(state: .open, generation: 2, since: core.now.wall)
            (record.until, record.trips) = (core.now.wall + 100, 1)
            core.circuits[core.circuitKey(Pair(0, 0))] = Circuit(record, at: core.now)
        }
        _ = try bench.command("circuit/open/c", #"{"executor":"e1","for_ms":60000}"#)
        expect("I14", bench) { core in
            var record = CircuitRecord(state: .closed, generation: 3, since: core.now.wall)
            record.trips = 1
            core.circuits[core.circuitKey(Pair(0, 0))] = Circuit(record, at: core.now)
        }
    }

    @Test func i15_whatIsMiscounted() throws {
        let bench = try bench()
        expect("I15", bench) { $0.taskBytes += 1 }
        expect("I15", bench) { $0.ownerCounts = [:] }
        expect("I15", bench) { $0.capabilities[0].queued = 0 }
        expect("I15", bench) { $0.resultBytes = 5 }
        expect("I15", bench) { core in
            for number in 0..<300 { core.attachments[1, default: []].append(1000 + number) }
        }
    }

    @Test func i16_anIdWithTwoTasks() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":4"#)
        bench.intent("t1", #"{"dedup_key":"k"}"#)
        bench.intent("t2")
        expect("I16", bench) { $0.ids[TaskKey("main", "alice", "t1")] = 2 }
        expect("I16", bench) { core in
            guard let spec = core.tasks[1]?.spec else { return }
            let decision = TaskSpec.Decision(
                number: 2, owner: "alice", priority: .normal, delivery: .atLeastOnce, acceptedAt: spec.acceptedAt,
                deadlineAt: spec.deadlineAt)
            core.tasks[2]?.spec = TaskSpec(
                TaskKey("main", "alice", "t2"), capability: "c", intent: spec.intent, digest: spec.digest,
                decision: decision)
        }
    }

    @Test func i21_whatWasNotSpent() throws {
        var bench = try Harness(#"{"budgets":[{"workspace":"main","period_ms":60000,"amount":5000}]}"#)
        bench.online("e1", #"{"name":"c","cost":{"fixed":100}}"#, rest: #""slots":4"#)
        bench.intent("t1", #"{"retry":{"delay_ms":1}}"#)
        bench.fail("e1", try bench.assignment("e1"))
        bench.advance(10)
        bench.intent("p", to: "plan", #"{"input":{"steps":[{"name":"s","type":"skill","capability":"c"}]}}"#)
        expect("I21", bench) { $0.runs[1]?.spent += 1 }
        expect("I21", bench) { $0.leases[1]?.estimate += 1 }
        expect("I21", bench) { $0.plans[2]?.spent += 1 }
    }

    @Test func i22_conflictsThatAreNone() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","input_schema":{"type":"object"}}"#)
        bench.online("e2", #"{"name":"c","input_schema":{"type":"array"}}"#)
        expect("I22", bench) { $0.capabilities[0].conflicts = [] }
        expect("I22", bench) { $0.registrations[Pair(1, 0)]?.isQuarantined = false }
        expect("I22", bench) { $0.registrations[Pair(0, 0)]?.isShadowed = true }
        expect("I22", bench) { $0.capabilities[0].conflicts[0].executors = ["e1"] }
    }

    @Test func i23_workForAQuarantinedExecutor() throws {
        let bench = try bench()
        expect("I23", bench) { core in
            core.leases[1]?.epoch += 10
            core.registrations[Pair(0, 0)]?.isUnsupported = true
        }
    }

    @Test func i23_aCardInConflictGetsNothing() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","input_schema":{"type":"object"}}"#)
        for id in ["t1", "t2"] { bench.intent(id) }
        bench.online("e2", #"{"name":"d"}"#, rest: #""slots":4"#)
        let clash = #"{"name":"c","input_schema":{"type":"array"}}"#
        bench.card("e2", #"{"name":"d"},\#(clash)"#, rev: 2, rest: #""slots":4"#)
        #expect(bench.assignments("e2").isEmpty && bench.assignments("e1").count == 1)
    }

    /// A plan of three steps side by side that may cost `most` together; each costs 100.
    private func plan(_ most: Int, slots: Int = 5) throws -> Harness {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":100}}"#, rest: #""slots":\#(slots),"reserved":0"#)
        let steps = (0..<3).map { #"{"name":"s\#($0)","type":"skill","capability":"c","needs":[]}"# }
        bench.intent(
            "p", to: "plan", #"{"max_cost":\#(most),"input":{"steps":[\#(steps.joined(separator: ","))]}}"#)
        return bench
    }

    @Test func i25_aStepWithoutItsPlan() throws {
        let bench = try plan(1000)
        expect("I25", bench) { $0.plans[1]?.steps[0] = nil }
        expect("I25", bench) { core in
            if let spec = core.tasks[2]?.spec { core.tasks[2]?.spec = spec.with(input: .null) }
        }
        var ordered = try Harness()
        ordered.online("e1")
        ordered.intent(
            "p", to: "plan",
            #"{"input":{"steps":[{"name":"a","type":"skill","capability":"c"},{"name":"b","type":"skill","capability":"c"}]}}"#
        )
        expect("I25", ordered) { $0.tasks[3]?.state = .delayed }
    }

    @Test func i26_aStepThatThePlanCannotPay() throws {
        let bench = try plan(1000)
        expect("I26", bench) { core in
            core.leases[2]?.epoch += 10
            core.plans[1]?.spent += 900
        }
        expect("I26", bench) { core in
            guard let plan = core.tasks[1]?.spec, let step = core.tasks[2]?.spec else { return }
            let decision = TaskSpec.Decision(
                number: 2, owner: "alice", priority: .normal, delivery: .atLeastOnce, acceptedAt: step.acceptedAt,
                deadlineAt: plan.deadlineAt + 1, step: step.step)
            core.tasks[2]?.spec = TaskSpec(
                step.key, capability: "c", intent: step.intent, digest: step.digest, decision: decision)
        }
    }

    @Test func i26_stepsSideBySideCostNoMoreThanThePlanMay() throws {
        for most in [100, 250] {
            var bench = try plan(most)
            let work = bench.assignments("e1")
            #expect(work.count == most / 100)
            for own in work { bench.report("e1", own, #""type":"outcome","status":"canceled""#) }
            #expect(bench.result("p", of: "plan")?.error?.code == .budgetExceeded)
        }
        var enough = try plan(300)
        for own in enough.assignments("e1") { enough.succeed("e1", own) }
        #expect(enough.result("p", of: "plan")?.status == .success)
    }

    @Test func i21_aBudgetKeepsWhatIsSetAsideOverARestart() throws {
        var bench = try Harness(#"{"budgets":[{"workspace":"main","period_ms":3600000,"amount":250}]}"#)
        bench.online("e1", #"{"name":"c","cost":{"fixed":100}}"#, rest: #""slots":8,"reserved":0"#)
        for id in ["t1", "t2", "t3"] { bench.intent(id) }
        for own in bench.assignments("e1") { bench.accept("e1", own) }
        try bench.restart()
        #expect(bench.assignments("e1").isEmpty)
        #expect(try bench.explain("t3").text("/code") == "budget_exceeded")
    }

    @Test func i21_aLateOutcomeIsPaidByItsBudgetAndPlan() throws {
        var bench = try Harness(#"{"budgets":[{"workspace":"main","period_ms":3600000,"amount":1000}]}"#)
        bench.online("e1", #"{"name":"c","cost":{"fixed":100}}"#, rest: #""slots":8,"reserved":0"#)
        bench.intent(
            "p", to: "plan",
            #"{"input":{"steps":[{"name":"s","type":"skill","capability":"c"},{"name":"r","type":"skill","capability":"c"}]}}"#
        )
        let own = try bench.assignment("e1")
        bench.accept("e1", own)
        bench.status("e1", "lost")
        bench.late(1000)
        bench.input(.wake)
        bench.report("e1", own, #""type":"outcome","status":"success","cost":400"#)
        #expect(bench.core.plans[1]?.spent == 400)
        #expect(
            bench.core.spending.all([:], bench.core.configuration, at: bench.now.wall).values.map(\.amount) == [400])
    }

    @Test func i15_aStepsNewInputIsCounted() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent(
            "p", to: "plan",
            #"{"input":{"input":{"x":"long enough"},"steps":[{"name":"s","type":"skill","capability":"c","arguments":{"$ref":"plan.input#/x"}}]}}"#
        )
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(bench.core.taskBytes == 0)
    }

    @Test func i18_aStepIsRememberedAsLongAsItsPlanRuns() throws {
        var bench = try Harness(#"{"limits":{"id_memory":2}}"#)
        try bench.comparesReplay()
        bench.online("e1", rest: #""slots":4"#)
        try bench.planHalfDone()
        for id in ["t1", "t2", "t3", "t4"] {
            bench.intent(id)
            bench.succeed("e1", try bench.assignment("e1"))
        }
        try bench.restart()
        bench.advance(100)
        #expect(bench.assignments("e1").isEmpty)
    }
}
