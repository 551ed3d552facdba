import Contract
import Determinism
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// How a task is given out: push, pull, undecided; assignments, claims, stale reports.
@Suite struct ModeAcceptanceTests {
    private func pull(_ bench: inout Harness, _ name: String = "p1", rest: String = "") {
        let extra = rest.isEmpty ? "" : "," + rest
        bench.online(name, rest: #""modes":["pull"]\#(extra)"#)
    }

    private func task(_ grant: Grant?) throws -> Assignment {
        guard case .task(let assignment)? = grant else { throw Missing() }
        return assignment
    }

    private struct Missing: Error {}

    private func mode(_ bench: inout Harness, _ id: String) throws -> String? {
        let reply = try bench.command("task/get/\(id)", #"{"principal":"alice"}"#)
        return JSONValue(try #require(reply.data)).text("/mode")
    }

    @Test func t4_01_withoutModeItIsUndecided() throws {
        var bench = try Harness()
        pull(&bench)
        bench.intent("t1")
        #expect(try mode(&bench, "t1") == "undecided")
        bench.send("intent/scheduler/c/t2", #"{"origin":{"kind":"schedule"}}"#)
        let reply = try bench.command("task/get/t2", #"{"principal":"scheduler"}"#)
        #expect(JSONValue(try #require(reply.data)).text("/mode") == "undecided")
        bench.online("e1", rest: #""slots":2"#)
        #expect(bench.assignments("e1").count == 1)
        #expect(try task(bench.claim("p1")).task == "t2")
    }

    @Test(arguments: [
        ("push", "push"), ("pull", "pull"), ("undecided", "undecided"), ("ssh_cli", "push"),
        ("http_pull", "pull"),
    ])
    func t4_02_wordsOfMode(_ word: String, _ meant: String) throws {
        var bench = try Harness()
        bench.online("e1")
        bench.status("e1", "paused")
        bench.intent("t1", #"{"mode":"\#(word)"}"#)
        #expect(try mode(&bench, "t1") == meant)
    }

    @Test func t4_02_anotherWordIsRefused() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"mode":"carrier_pigeon"}"#)
        #expect(bench.result("t1")?.error?.code == .invalidField)
    }

    @Test func t4_03_labelsAndPush() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""labels":["agent:code"]"#)
        bench.online("e0", rest: #""labels":["other"]"#)
        bench.intent("t1", #"{"requires":["agent:code"]}"#)
        let assignment = try bench.assignment("e1")
        #expect(bench.assignments("e0").isEmpty)
        bench.succeed("e1", assignment)
        #expect(bench.result("t1")?.mode == .push)
    }

    @Test func t4_04_withoutPushItIsOffered() throws {
        var bench = try Harness()
        bench.online("e1")
        pull(&bench, rest: #""labels":["agent:review"]"#)
        bench.intent("t1", #"{"requires":["agent:review"]}"#)
        #expect(bench.view("offer/c")?.number("/open") == 1)
        #expect(try task(bench.claim("p1")).task == "t1")
        bench.advance(200)
        #expect(bench.view("offer/c") == nil)
    }

    @Test(arguments: [true, false]) func t4_05_theFirstToComeGetsIt(_ claims: Bool) throws {
        var bench = try Harness()
        bench.online("e1")
        pull(&bench)
        bench.status("e1", "offline")
        bench.intent("t1")
        #expect(bench.assignments("e1").isEmpty)
        if claims { #expect(try task(bench.claim("p1")).task == "t1") }
        bench.status("e1", "online", conn: 2)
        #expect(bench.assignments("e1").count == (claims ? 0 : 1))
    }

    @Test func t4_06_aClaimDecidesPull() throws {
        var bench = try Harness(#"{"task_events":true}"#)
        pull(&bench)
        bench.intent("t1")
        let grant = try task(bench.claim("p1"))
        #expect(grant.epoch > 0 && grant.acceptMs == nil && grant.boot == "b1")
        let decided = try #require(bench.events(.taskModeDecided).last?.data)
        #expect(JSONValue(decided).text("/mode") == "pull")
        bench.succeed("p1", grant)
        #expect(bench.result("t1")?.mode == .pull)
    }

    @Test func t4_07_nothingFits() throws {
        var bench = try Harness()
        pull(&bench)
        guard case .none(let wait, _)? = try bench.claim("p1") else { throw Missing() }
        #expect((1000...60_000).contains(wait))
    }

    @Test func t4_08_oneGrantForTwoClaims() throws {
        var bench = try Harness()
        pull(&bench, "p1", rest: #""slots":4"#)
        pull(&bench, "p2", rest: #""slots":4"#)
        for round in 0..<1000 {
            let before = bench.messages.count
            bench.send("claim/p1/s1", #"{"wait_ms":1000}"#)
            bench.send("claim/p2/s1", #"{"wait_ms":1000}"#)
            bench.intent("t\(round)")
            var grants: [(String, Assignment)] = []
            for name in ["p1", "p2"] {
                if case .task(let own)? = try bench.grant(name, since: before) { grants.append((name, own)) }
            }
            #expect(grants.count == 1)
            for (name, own) in grants { bench.succeed(name, own) }
        }
    }

    @Test func t4_09_slotAndClaimAtOneInstant() throws {
        var bench = try Harness()
        bench.online("e1")
        pull(&bench)
        bench.intent("t1")
        let first = try bench.assignment("e1")
        bench.intent("t2")
        let before = bench.messages.count
        bench.send("claim/p1/s1", #"{"wait_ms":1000}"#)
        bench.succeed("e1", first)
        let pulled = try bench.grant("p1", since: before)
        #expect(bench.assignments("e1").count + (pulled == nil ? 0 : 1) == 1)
    }

    @Test func t4_10_highFirstThenOldest() throws {
        var bench = try Harness()
        pull(&bench, rest: #""slots":9"#)
        bench.intent("low", #"{"priority":"low"}"#)
        bench.intent("high", #"{"priority":"high"}"#)
        bench.intent("normal")
        #expect(try task(bench.claim("p1", slot: "a")).task == "high")
        #expect(try task(bench.claim("p1", slot: "b")).task == "normal")
        #expect(try task(bench.claim("p1", slot: "d")).task == "low")
        for id in ["n1", "n2", "n3"] { bench.intent(id) }
        for id in ["n1", "n2", "n3"] { #expect(try task(bench.claim("p1", slot: id)).task == id) }
    }

    @Test func t4_11_trap11_aMissingLabelExcludes() throws {
        var bench = try Harness()
        pull(&bench, rest: #""labels":["agent:code"]"#)
        bench.intent("t1", #"{"requires":["agent:document","urgent"]}"#)
        guard case .none? = try bench.claim("p1") else { throw Missing() }
        pull(&bench, "p2", rest: #""labels":["agent:document"]"#)
        #expect(try task(bench.claim("p2")).task == "t1")
    }

    @Test func t4_12_assignedToPull() throws {
        var bench = try Harness()
        pull(&bench)
        pull(&bench, "p2")
        bench.intent("t1")
        let reply = try bench.command("task/assign/t1", #"{"principal":"alice","agent_id":"p1"}"#)
        #expect(reply.ok)
        #expect(try mode(&bench, "t1") == "pull")
        guard case .none? = try bench.claim("p2") else { throw Missing() }
        #expect(try task(bench.claim("p1")).task == "t1")
    }

    @Test func t4_13_assignedToPush() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.online("e2", #"{"name":"c","cost":{"fixed":9}}"#)
        bench.status("e1", "paused")
        bench.status("e2", "paused")
        bench.intent("t1")
        bench.status("e2", "online")
        #expect(bench.assignments("e2").count == 1)
        bench.intent("t2")
        #expect(try bench.command("task/assign/t2", #"{"principal":"alice","executor":"e1"}"#).ok)
        bench.status("e1", "online")
        #expect(bench.assignments("e1").map(\.task) == ["t2"])
    }

    @Test func t4_13_assignedToAnotherIsGivenOutAtOnce() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.online("e2")
        bench.status("e2", "paused")
        bench.intent("t1", #"{"executor":"e2"}"#)
        #expect(bench.assignments("e1").isEmpty && bench.assignments("e2").isEmpty)
        #expect(try bench.command("task/assign/t1", #"{"principal":"alice","executor":"e1"}"#).ok)
        let own = try bench.assignment("e1")
        #expect(own.task == "t1" && own.acceptMs == 2000, "it is pushed: a grant has no accept_ms")
    }

    @Test func t4_14_15_16_whatCannotBeAssigned() throws {
        var bench = try Harness()
        bench.online("e1")
        pull(&bench)
        bench.status("e1", "paused")
        bench.intent("t1")
        let wrong = #"{"principal":"alice","executor":"p1","mode":"push"}"#
        #expect(try bench.command("task/assign/t1", wrong).code == .wrongMode)
        #expect(try mode(&bench, "t1") == "undecided")
        let unknown = #"{"principal":"alice","executor":"nobody"}"#
        #expect(try bench.command("task/assign/t1", unknown).code == .notFound)
        let right = #"{"principal":"alice","executor":"e1"}"#
        #expect(try bench.command("task/assign/t9", right).code == .notFound)
        bench.status("e1", "online")
        let assignment = try bench.assignment("e1")
        bench.accept("e1", assignment)
        let other = #"{"principal":"alice","executor":"p1"}"#
        let running = try bench.command("task/assign/t1", other)
        #expect(running.code == .notAssignable && running.data != nil)
        bench.succeed("e1", assignment)
        let finished = try bench.command("task/assign/t1", other)
        #expect(finished.code == .notAssignable && finished.data != nil)
    }

    @Test func t4_17_aFixedModeStays() throws {
        var bench = try Harness()
        bench.online("e1")
        pull(&bench)
        bench.intent("t1", #"{"mode":"pull"}"#)
        #expect(bench.assignments("e1").isEmpty)
        #expect(try bench.command("task/assign/t1", #"{"principal":"alice","executor":"e1"}"#).code == .wrongMode)
        let first = try task(bench.claim("p1"))
        bench.fail("p1", first)
        bench.advance(2000)
        #expect(bench.assignments("e1").isEmpty)
        #expect(try mode(&bench, "t1") == "pull")
    }

    @Test func t4_18_threeMissedBeats() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":3"#)
        bench.intent("t1", #"{"timeout_ms":300000}"#)
        bench.intent("t2", #"{"timeout_ms":300000}"#)
        let held = bench.assignments("e1")
        #expect(held.count == 2)
        for own in held { bench.accept("e1", own) }
        bench.beat("e1", seq: 1, leases: held)
        bench.advance(29_999)
        #expect(bench.events(.executorOffline).isEmpty)
        bench.advance(1)
        #expect(bench.events(.executorOffline).count == 1)
        #expect(bench.events(.leaseRevoked).count == 2)
        #expect(bench.view("alert/dispatcher.offline.main.e1")?.number("/count") == 2)
        #expect(bench.core.leases.isEmpty)
        #expect(bench.core.tasks.values.allSatisfy { $0.state == .queued })
        bench.beat("e1", seq: 2)
        #expect(bench.assignments("e1").count == 2)
        #expect(!bench.retained.contains { $0.key.contains("alert/") })
    }

    @Test func t4_19_aBeatInTime() throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":3"#)
        bench.intent("t1", #"{"timeout_ms":300000}"#)
        let own = try bench.assignment("e1")
        bench.accept("e1", own)
        for seq in 1...5 {
            bench.beat("e1", seq: seq, leases: [own])
            bench.advance(29_999)
        }
        #expect(bench.events(.executorOffline).isEmpty && bench.events(.leaseRevoked).isEmpty)
        bench.succeed("e1", own)
        #expect(bench.result("t1")?.attempts.count == 1)
    }

    @Test func t4_20_aBeatWithoutCard() throws {
        var bench = try Harness()
        bench.send("beat/e1", #"{"boot":"b1","seq":1}"#)
        #expect(bench.work("e1") == [.beatAck(BeatAck(seq: 1, code: .notFound))])
        bench.online("e1")
        bench.beat("e1", seq: 2)
        #expect(bench.work("e1") == [.beatAck(BeatAck(seq: 2))])
    }

    @Test func t4_21_cardTwiceAndChanged() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.online("e1")
        func names(_ bench: inout Harness) throws -> String {
            try #require(try bench.command("executor/list/all").data).text
        }
        #expect(try names(&bench).split(separator: "\"executor\"").count == 2)
        bench.card("e1", #"{"name":"c"},{"name":"d"}"#, rev: 2)
        bench.intent("t1", to: "d")
        #expect(bench.assignments("e1").count == 1)
        bench.card("e1", #"{"name":"z"}"#, rev: 1)
        #expect(bench.core.capabilityIndex[ScopedName("main", "z")] == nil)
    }

    @Test func t4_22_23_26_reportsThatDoNotCount() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.online("e2", #"{"name":"c","cost":{"fixed":9}}"#)
        bench.intent("t1", #"{"timeout_ms":300000}"#)
        let own = try bench.assignment("e1")
        bench.accept("e1", own)
        _ = bench.work("e2")
        bench.succeed("e2", own)
        #expect(bench.result("t1") == nil)
        #expect(bench.events(.taskStaleResult).count == 1)
        #expect(bench.work("e2") == [.beatAck(BeatAck(revoked: [LeasePair("t1", own.epoch)]))])
        bench.send("report/e2/nothing", #"{"epoch":99,"type":"outcome","status":"success"}"#)
        #expect(bench.events(.taskStaleResult).count == 2)
        bench.send("report/e2/t1", #"{"epoch":\#(own.epoch),"type":"accept"}"#)
        let attempt = AttemptName(principal: "alice", task: "t1", epoch: own.epoch, term: 1)
        #expect(bench.work("e2").last == .revoke(attempt, code: .staleEpoch))
        bench.send("report/e2/nothing", #"{"epoch":99,"type":"accept"}"#)
        #expect(bench.work("e2") == [.beatAck(BeatAck(revoked: [LeasePair("nothing", 99)]))])
        bench.advance(30_001)
        let next = try bench.assignment("e2")
        #expect(next.epoch > own.epoch)
        bench.succeed("e1", own)
        #expect(bench.events(.taskStaleResult).count == 3)
        #expect(bench.result("t1") == nil)
        bench.succeed("e2", next)
        #expect(bench.result("t1")?.status == .success && bench.result("t1")?.executor == "e2")
    }

    @Test func t4_22_aReportOnTheGrantOfAnother() throws {
        var bench = try Harness()
        pull(&bench)
        pull(&bench, "p2")
        bench.intent("t1")
        let own = try task(bench.claim("p1"))
        bench.succeed("p2", own)
        #expect(bench.result("t1") == nil && bench.core.leases.count == 1)
        #expect(bench.events(.taskStaleResult).count == 1)
        #expect(bench.work("p2") == [.beatAck(BeatAck(revoked: [LeasePair("t1", own.epoch)]))])
        bench.succeed("p1", own)
        #expect(bench.result("t1")?.executor == "p1")
    }

    @Test func t4_24_outputOfAFailure() throws {
        var bench = try Harness()
        bench.online("e1")
        bench.intent("t1", #"{"retry":{"count":0}}"#)
        let own = try bench.assignment("e1")
        bench.report("e1", own, #""type":"outcome","status":"partial""#)
        #expect(bench.work("e1").contains { $0.kind == .error })
        #expect(bench.core.leases.count == 1)
        bench.report("e1", own, #""type":"outcome","status":"failed","output":{"seen":1},"error":{"code":"e"}"#)
        let result = try #require(bench.result("t1"))
        #expect(result.status == .failed && result.output?.text == #"{"seen":1}"#)
    }

    @Test func t4_25_outputAgainstItsSchema() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","output_schema":{"type":"object","required":["y"]}}"#)
        bench.intent("t1")
        bench.succeed("e1", try bench.assignment("e1"), output: "{}")
        #expect(bench.result("t1") == nil)
        bench.advance(2000)
        bench.succeed("e1", try bench.assignment("e1"), output: #"{"y":1}"#)
        let result = try #require(bench.result("t1"))
        #expect(result.status == .success)
        #expect(result.attempts.first?.error?.code == .resultInvalid)
    }

    @Test(arguments: [Mode.push, Mode.pull]) func t4_27_trap3_alwaysTooLong(_ mode: Mode) throws {
        var bench = try Harness()
        bench.online("e1", rest: #""slots":9,"modes":["\#(mode.rawValue)"]"#)
        bench.intent("t1", #"{"timeout_ms":100}"#)
        for _ in 0..<3 {
            if mode == .push {
                bench.accept("e1", try bench.assignment("e1"))
            } else {
                _ = try task(bench.claim("e1", slot: "s\(bench.messages.count)"))
            }
            bench.advance(100)
            _ = bench.work("e1")
            bench.advance(2000)
        }
        let result = try #require(bench.result("t1"))
        #expect(result.status == .timeout && result.error?.code == .executionTimeout)
        #expect(result.attempts.map(\.outcome) == ["timeout", "timeout", "timeout"])
        #expect(bench.deadLetters().count == 1)
    }

    @Test func t4_28_noFreeSlot() throws {
        var bench = try Harness()
        pull(&bench)
        bench.intent("t1")
        bench.intent("t2")
        _ = try task(bench.claim("p1", slot: "a"))
        guard case .none? = try bench.claim("p1", slot: "b") else { throw Missing() }
    }
}
