import Contract
import Determinism
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Sentences of the pages that no acceptance case stands for.
@Suite struct SentenceTests {
    private func plan(_ names: [String], _ rest: String = "") -> String {
        let steps = names.map { #"{"name":"\#($0)","type":"skill"}"# }.joined(separator: ",")
        return #"{\#(rest.isEmpty ? "" : rest + ",")"input":{"steps":[\#(steps)]}}"#
    }

    private struct Missing: Error {}

    private let once = #"{"name":"a","delivery":"at_most_once"}"#

    // MARK: - At most once

    @Test("G-08: a step of a capability whose card says at_most_once is not started twice")
    func aStepRunsAtMostOnceByItsCard() throws {
        var bench = try Harness()
        try bench.comparesReplay()
        bench.online("e1", once)
        bench.intent("p", to: "plan", plan(["a"], #""timeout_ms":60000"#))
        let own = try bench.assignment("e1")
        #expect(own.delivery == .atMostOnce)
        bench.accept("e1", own)
        try bench.restart()
        bench.online("e1", once)
        bench.advance(30_000)
        #expect(bench.assignments("e1").isEmpty)
        #expect(bench.result("p", of: "plan")?.error?.code == .leaseExpired)
    }

    @Test("G-08: what is accepted before the card was read is not started twice either")
    func aTaskRunsAtMostOnceByALaterCard() throws {
        var bench = try Harness()
        try bench.comparesReplay()
        bench.online("e2", #"{"name":"a"}"#)
        try bench.restart(connects: false)
        bench.echoes = false
        bench.connect()
        bench.intent("t1", to: "a", #"{"timeout_ms":60000}"#)
        bench.online("e1", once)
        bench.advance(2000)
        let own = try bench.assignment("e1")
        #expect(own.delivery == .atMostOnce)
        bench.accept("e1", own)
        bench.advance(30_000)
        #expect(bench.result("t1", of: "a")?.error?.code == .leaseExpired)
    }

    @Test("A grant that is refused before anything was done goes elsewhere, with at_most_once too")
    func aRefusedGrant() throws {
        var bench = try Harness()
        bench.online("p1", rest: #""modes":["pull"]"#)
        bench.intent("t1", #"{"delivery":"at_most_once"}"#)
        guard case .task(let own)? = try bench.claim("p1", #"{"boot":"b1"}"#) else { throw Missing() }
        bench.refuse("p1", own, "unsupported")
        #expect(bench.result("t1")?.error?.code == .skillNotLoaded, "p1 gets no more of it, and nobody else has it")
        bench.card("p1", #"{"name":"c"}"#, rev: 2, rest: #""modes":["pull"]"#)
        bench.online("p2", rest: #""modes":["pull"]"#)
        bench.intent("t2", #"{"delivery":"at_most_once"}"#)
        guard case .task(let second)? = try bench.claim("p1", #"{"boot":"b1"}"#) else { throw Missing() }
        bench.refuse("p1", second, "rate_limited", rest: #""retry_after_ms":60000"#)
        guard case .task(let third)? = try bench.claim("p2", #"{"boot":"b1"}"#) else { throw Missing() }
        #expect(third.task == "t2" && third.epoch > second.epoch)
        bench.succeed("p2", third)
        bench.intent("t3")
        guard case .none? = try bench.claim("p1", #"{"boot":"b1"}"#) else { throw Missing() }
    }

    @Test("A repeated claim gets no task again that has ended")
    func aRepeatedClaim() throws {
        var bench = try Harness()
        bench.online("p1", rest: #""modes":["pull"]"#)
        bench.intent("t1")
        let claim = #"{"boot":"b1","seq":7}"#
        guard case .task(let own)? = try bench.claim("p1", claim) else { throw Missing() }
        guard case .task(let again)? = try bench.claim("p1", claim) else { throw Missing() }
        #expect(again.task == own.task && again.epoch == own.epoch)
        bench.succeed("p1", own)
        guard case .none? = try bench.claim("p1", claim) else { throw Missing() }
    }

    // MARK: - Acceptance

    @Test("An intent for an executor whose card has not been read yet is accepted while settling")
    func anIntentForAnExecutorBeforeItsCard() throws {
        var bench = try Harness()
        bench.online("e1")
        try bench.restart(connects: false)
        bench.echoes = false
        bench.connect()
        bench.intent("t1", #"{"executor":"e1"}"#)
        #expect(bench.result("t1") == nil)
        bench.online("e1")
        bench.advance(2000)
        #expect(try bench.assignment("e1").task == "t1")
        bench.intent("t2", #"{"executor":"e9"}"#)
        #expect(bench.result("t2")?.error?.code == .notFound)
    }

    @Test("A card in conflict with the reference does not say what the capability is")
    func aCardInConflictDecidesNothing() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":4"#)
        bench.advance(1000)
        bench.online("e2", #"{"name":"c","kind":"heartbeat"}"#)
        bench.intent("t1")
        #expect(bench.result("t1") == nil && bench.assignments("e1").count == 1)
        bench.online("e2", #"{"name":"c","kind":"tool"}"#, rev: 2)
        bench.intent("p", to: "plan", plan(["c"]))
        #expect(bench.assignments("e1").count == 1)
    }

    @Test("A card without a priority says normal")
    func aCardWithoutAPriority() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","priority":"low"}"#)
        bench.online("e2")
        bench.intent("t1")
        #expect(bench.core.tasks[1]?.spec.priority == .normal)
    }

    @Test("can_execute says what would refuse the intent")
    func whatWouldRefuseAnIntent() throws {
        var bench = try Harness()
        let schema = #"{"type":"object","required":["k"]}"#
        bench.online("e1", #"{"name":"c","input_schema":\#(schema)},{"name":"h","kind":"heartbeat"}"#)
        func code(_ capability: String, _ intent: String) throws -> String? {
            let reply = try bench.command("capability/can_execute/\(capability)", #"{"intent":\#(intent)}"#)
            let tree = JSONValue(try #require(reply.data))
            #expect((tree["can"] == .bool(true)) == (tree.text("/code") == nil))
            return tree.text("/code")
        }
        #expect(try code("c", #"{"input":{"k":1}}"#) == nil)
        #expect(try code("c", "{}") == "invalid_field")
        #expect(try code("c", #"{"input":{"k":1},"executor":"e9"}"#) == "not_found")
        #expect(try code("c", #"{"input":{"k":1},"listeners":["x"]}"#) == "permission_denied")
        #expect(try code("h", "{}") == "wrong_kind")
        #expect(try code("plan", plan([])) == "invalid_field")
        #expect(try code("plan", plan(["c"])) == nil)
    }

    // MARK: - Plans

    @Test("A plan that is approved waits for the end of its delay")
    func anApprovedPlanKeepsItsDelay() throws {
        var bench = try Harness(
            #"{"policy":{"main":[{"id":"a","priority":1,"effect":"require_approval","verbs":["execute"],"capabilities":["plan"]},{"id":"b","effect":"allow"}]}}"#
        )
        bench.online("e1", #"{"name":"a"}"#)
        bench.intent("p", to: "plan", plan(["a"], #""delay_ms":60000"#))
        #expect(try bench.command("task/approve/p", #"{"principal":"alice"}"#).ok)
        #expect(bench.core.tasks[1]?.state == .delayed && bench.assignments("e1").isEmpty)
        bench.advance(60_000)
        #expect(bench.assignments("e1").count == 1)
    }

    @Test("The grace of a plan's cancel is that of its steps")
    func aPlansCancelHasItsGrace() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"a"}"#)
        bench.intent("p", to: "plan", plan(["a"]))
        bench.accept("e1", try bench.assignment("e1"))
        #expect(try bench.command("task/cancel/p", #"{"principal":"alice","grace_ms":700}"#).ok)
        let told = bench.work("e1").compactMap { message -> Int? in
            guard case .cancel(_, let graceMs, _) = message else { return nil }
            return graceMs
        }
        #expect(told == [700])
        bench.advance(700)
        #expect(bench.result("p", of: "plan")?.status == .canceled)
    }

    @Test("The refusal of a plan whose step's id is in use names the step")
    func aStepIDInUse() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"a"},{"name":"b"}"#)
        bench.intent("p.b", to: "a")
        bench.intent("p", to: "plan", plan(["a", "b"]))
        let error = try #require(bench.result("p", of: "plan")?.error)
        #expect(error.code == .idReused && error.details.flatMap { JSONValue($0).number("/index") } == 1)
    }

    @Test("I16: a plan that begins later takes no id from a task that came meanwhile")
    func aStepIDTakenMeanwhile() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"a"},{"name":"b"}"#)
        bench.intent("p", to: "plan", plan(["a", "b"], #""delay_ms":1000"#))
        bench.intent("p.b", to: "a")
        bench.advance(1000)
        let result = try #require(bench.result("p", of: "plan"))
        #expect(result.status == .failed && result.error?.code == .idReused)
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(bench.result("p.b", of: "a")?.status == .success)
    }

    @Test("A failed plan is a dead letter, once a step was tried, and can be sent again")
    func aFailedPlanIsADeadLetter() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"a"}"#)
        bench.intent("p", to: "plan", plan(["a"]))
        bench.fail("e1", try bench.assignment("e1"), code: "not_found")
        #expect(bench.deadLetters("plan").map(\.result.task) == ["p"])
        #expect(bench.deadLetters("a").isEmpty)
        #expect(try bench.command("task/redrive/p", #"{"principal":"alice"}"#).ok)
        bench.succeed("e1", try bench.assignment("e1"))
        #expect(bench.result("p~r1", of: "plan")?.status == .success)
        bench.intent("q", to: "plan", plan(["nobody"]))
        #expect(bench.result("q", of: "plan")?.status == .failed && bench.deadLetters("plan").count == 1)
    }

    @Test("I15: steps take room: a plan without it is refused, and one that begins later waits for it")
    func stepsTakeRoom() throws {
        var bench = try Harness(#"{"limits":{"tasks":20}}"#)
        let names = (0..<10).map { "a\($0)" }
        let cards = (["a"] + names).map { #"{"name":"\#($0)"}"# }.joined(separator: ",")
        bench.online("e1", cards, rest: #""slots":40,"reserved":0"#)
        bench.intent("big", to: "plan", plan(names + names.map { $0 + "x" }))
        #expect(bench.result("big", of: "plan")?.error?.code == .busy)
        bench.intent("p", to: "plan", plan(names, #""delay_ms":1000"#))
        for task in 0..<12 { bench.intent("t\(task)", to: "a") }
        let held = bench.assignments("e1")
        for own in held { bench.accept("e1", own) }
        bench.advance(1000)
        #expect(held.count == 12 && bench.core.tasks.count == 13)
        #expect(try bench.explain("p").text("/code") == "busy")
        for own in held { bench.succeed("e1", own) }
        bench.advance(90_000)
        #expect(try bench.explain("p").text("/code") == "running")
    }

    @Test("T26: a delayed low task gives way to a critical one, if none is queued")
    func aDelayedLowTaskGivesWay() throws {
        var bench = try Harness(#"{"limits":{"tasks":10}}"#)
        bench.online("e1")
        for id in ["a", "b"] { bench.intent(id, #"{"priority":"low","delay_ms":60000}"#) }
        for id in 0..<8 { bench.intent("h\(id)", #"{"priority":"\#(id < 6 ? "normal" : "critical")"}"#) }
        #expect(bench.core.tasks.count == 10)
        bench.intent("c", #"{"priority":"critical"}"#)
        #expect(bench.result("b")?.status == .rejected && bench.result("b")?.error?.code == .busy)
        #expect(bench.result("a") == nil && bench.result("c") == nil && bench.updates("c").count == 1)
        try bench.restart()
        bench.intent("d", #"{"priority":"critical"}"#)
        #expect(bench.result("a")?.error?.code == .busy && bench.result("d") == nil)
        bench.intent("e", #"{"priority":"critical"}"#)
        #expect(bench.result("e")?.error?.code == .busy)
    }

    @Test(
        "Attached intents count as tasks do",
        arguments: [#"{"quotas":{"main":{"tasks":3}}}"#, #"{"limits":{"tasks_per_owner":3}}"#])
    func attachedIntentsCount(configuration: String) throws {
        var bench = try Harness(configuration)
        bench.online("e1")
        for id in ["a", "b", "c", "d"] { bench.intent(id, #"{"dedup_key":"k"}"#) }
        #expect(bench.result("c") == nil && bench.result("d")?.error?.code == .busy)
        try bench.restart()
        bench.intent("e", #"{"dedup_key":"k"}"#)
        #expect(bench.result("e")?.error?.code == .busy)
        #expect(try bench.command("task/cancel/b", #"{"principal":"alice"}"#).ok)
        bench.intent("f", #"{"dedup_key":"k"}"#)
        bench.succeed("e1", try #require(bench.assignments("e1").last))
        #expect(["a", "c", "f"].allSatisfy { bench.result($0)?.status == .success })
        for id in ["g", "h", "i"] { bench.intent(id) }
        #expect(["g", "h", "i"].allSatisfy { bench.result($0) == nil })
    }

    @Test("A checkpoint with which the next assign would be too large is refused, and the one before stays")
    func aCheckpointThatDoesNotFit() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"input":"\#(String(repeating: "x", count: 150_000))"}"#)
        let own = try bench.assignment("e1")
        bench.accept("e1", own)
        bench.report("e1", own, #""type":"progress","checkpoint":{"at":1}"#)
        let large = #"{"at":"\#(String(repeating: "y", count: 100_000))"}"#
        bench.report("e1", own, #""type":"progress","checkpoint":\#(large)"#)
        bench.report("e1", own, #""type":"release","safe":true,"checkpoint":\#(large)"#)
        let work = bench.work("e1")
        let codes = work.compactMap { if case .error(let error, _) = $0 { error.code } else { nil } }
        #expect(codes == [.payloadTooLarge, .payloadTooLarge])
        let kept = work.compactMap { if case .assign(let next) = $0 { next.checkpoint } else { nil } }
        #expect(kept.map { String(decoding: $0.bytes, as: UTF8.self) } == [#"{"at":1}"#])
        let sizes = bench.all("work/#").map(\.count)
        #expect(sizes.allSatisfy { $0 <= Limits.payload })
    }

    @Test("F2: verdicts count while a heartbeat is up that serves the workspace")
    func verdictsOfCells() throws {
        var bench = try Harness()
        func heartbeat(_ cell: String, _ state: String, _ workspaces: String) {
            bench.sendSystem(
                "service/heartbeat/\(cell)",
                #"{"state":"\#(state)","version":"1","term":1,"boot":"\#(cell)","since":"2026-11-20T00:00:00Z","workspaces":[\#(workspaces)]}"#
            )
        }
        bench.online("e1")
        bench.send("liveness/e1", #"{"verdict":"offline","boot":"b1"}"#, retain: true)
        heartbeat("a", "up", #""other""#)
        bench.intent("t1")
        bench.succeed("e1", try bench.assignment("e1"))
        heartbeat("b", "up", #""main""#)
        heartbeat("a", "down", #""other""#)
        bench.intent("t2")
        #expect(bench.assignments("e1").isEmpty, "one cell that is down says nothing of another")
        heartbeat("b", "down", #""main""#)
        #expect(bench.assignments("e1").count == 1)
    }

    @Test("until_start: a plan that runs has started")
    func aPlanThatRunsHasStarted() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"a"}"#, rest: #""slots":3"#)
        for id in ["p", "q"] {
            bench.intent(id, to: "plan", plan(["a"], #""dedup_key":"k","dedup":"until_start""#))
        }
        #expect(bench.assignments("e1").map(\.task) == ["p.a", "q.a"])
    }

    // MARK: - What may be repeated, and what rises

    @Test("A redrive that is repeated after its task has succeeded starts no other")
    func aRepeatedRedrive() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"retry":{"count":0}}"#)
        bench.fail("e1", try bench.assignment("e1"))
        let first = try bench.command("task/redrive/t1", #"{"principal":"alice"}"#)
        bench.succeed("e1", try bench.assignment("e1"))
        let second = try bench.command("task/redrive/t1", #"{"principal":"alice"}"#)
        #expect(first.ok && second.data == first.data && bench.assignments("e1").isEmpty)
    }

    @Test("The rev of a view rises over a restart")
    func revisionsRiseOverARestart() throws {
        var bench = try Harness()
        bench.online("e1")
        for id in 0..<3 { bench.intent("t\(id)") }
        bench.advance(2000)
        let before = try #require(bench.view("capability/c")?.number("/rev"))
        let offered = try #require(bench.view("offer/c")?.number("/rev"))
        try bench.restart()
        bench.advance(2000)
        bench.intent("t9")
        bench.advance(2000)
        #expect(try #require(bench.view("capability/c")?.number("/rev")) > before)
        #expect(try #require(bench.view("offer/c")?.number("/rev")) > offered)
    }

    @Test("The circuit of an executor without a card outlives its claims")
    func circuitsWithoutACard() throws {
        var bench = try Harness()
        bench.online("other", #"{"name":"c","delivery":"at_least_once"}"#, rest: #""slots":1"#)
        bench.status("other", "paused")
        let claim = #"{"capabilities":["c"]}"#
        for id in 0..<5 {
            bench.intent("t\(id)", #"{"retry":{"count":0}}"#)
            guard case .task(let own)? = try bench.claim("sh", claim) else { throw Missing() }
            bench.fail("sh", own)
        }
        #expect(bench.view("circuit/c/sh")?.text("/state") == "open")
        bench.intent("t9")
        guard case .none? = try bench.claim("sh", claim) else { throw Missing() }
        #expect(bench.view("circuit/c/sh")?.text("/state") == "open")
        #expect(try bench.command("circuit/reset/c", #"{"executor":"sh"}"#).ok)
        guard case .task? = try bench.claim("sh", claim) else { throw Missing() }
    }

    @Test("The result of an attached intent that is canceled has its origin")
    func anAttachedIntentIsCanceled() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"dedup_key":"k"}"#)
        bench.intent("t2", #"{"dedup_key":"k","traceparent":"00-1","context":{"request_id":"r"}}"#)
        #expect(try bench.command("task/cancel/t2", #"{"principal":"alice"}"#).ok)
        let result = try #require(bench.result("t2"))
        #expect(result.status == .canceled && result.traceparent == "00-1" && result.context?.requestID == "r")
    }

    @Test("A lost attempt costs what its card said, though the card is gone")
    func aLostAttemptCosts() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","cost":{"fixed":70}}"#)
        bench.online("e2", #"{"name":"c","cost":{"fixed":7000}}"#)
        bench.intent("t1")
        bench.accept("e1", try bench.assignment("e1"))
        bench.card("e1", "", rev: 2)
        bench.status("e1", "lost")
        bench.advance(1000)
        bench.succeed("e2", try bench.assignment("e2"))
        #expect(bench.result("t1")?.wastedCost == 70)
    }

    // MARK: - Outcomes

    @Test("A dead letter and a task in a reply stay within the size limit: the input gives way")
    func theInputGivesWay() throws {
        var bench = try Harness()
        bench.online("e1")
        let text = String(repeating: "x", count: 200_000)
        bench.intent("t1", #"{"input":"\#(text)","retry":{"count":0}}"#)
        let own = try bench.assignment("e1")
        bench.report(
            "e1", own, #""type":"outcome","status":"failed","output":"\#(text)","error":{"code":"odd"}"#)
        let letter = try #require(bench.last("dead/c/t1"))
        #expect(letter.count <= Limits.payload)
        #expect(try DeadLetter(decoding: letter).input == nil)
        let reply = try bench.command("task/get/t1", #"{"principal":"alice"}"#)
        #expect(reply.encoded.count <= Limits.payload)
        #expect(reply.data.flatMap { JSONValue($0).text("/result/error/code") } == "odd")
        _ = try bench.command("task/redrive/t1", #"{"principal":"alice"}"#)
        #expect(try bench.assignment("e1").input?.bytes.count == 200_002)
    }

    @Test("The outcome of a lost attempt that ended its task is not in the journal, and not confirmed")
    func anOutcomeAfterTheLossThatEndedItsTask() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"delivery":"at_most_once","timeout_ms":60000}"#)
        let own = try bench.assignment("e1")
        bench.accept("e1", own)
        bench.advance(30_000)
        #expect(bench.result("t1")?.error?.code == .leaseExpired)
        _ = bench.work("e1")
        bench.send("beat/e1", #"{"boot":"b1","seq":1,"unconfirmed":[["t1",\#(own.epoch)]]}"#)
        #expect(bench.work("e1") == [.beatAck(BeatAck(seq: 1, revoked: [LeasePair("t1", own.epoch)]))])
    }

    @Test("An executor's own word for too long is a timeout by its class")
    func tooLongByItsClass() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"retry":{"count":1,"delay_ms":0}}"#)
        for _ in 0..<2 {
            bench.fail("e1", try bench.assignment("e1"), code: "slow", rest: #""class":"timeout""#)
        }
        #expect(bench.result("t1")?.status == .timeout)
    }

    @Test("The output of a failure is kept, though no time is left for another try")
    func theOutputOfTheLastFailure() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","expected_ms":5000}"#)
        bench.intent("t1", #"{"deadline_ms":8000,"retry":{"delay_ms":0}}"#)
        let own = try bench.assignment("e1")
        bench.advance(1500)
        bench.accept("e1", own)
        bench.advance(4000)
        bench.report("e1", own, #""type":"outcome","status":"failed","output":{"seen":1},"error":{"code":"odd"}"#)
        let result = try #require(bench.result("t1"))
        #expect(result.error?.code == .attemptsExhausted && result.output?.text == #"{"seen":1}"#)
    }
}
