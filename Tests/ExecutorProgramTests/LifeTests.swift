import Contract
import Foundation
import Machine
import TestSupport
import Testing
import Wire

/// The program from its start to its end, in good order and not.
@Suite(.serialized) struct LifeTests {
    private let waiting = #"{"name": "wait", "command": ["./wait"], "lease_ms": 2000}"#
    private let scripts = ["wait": "#!/bin/sh\necho $$ >> runs\nexec sleep 987\n"]

    @Test func saysOfflineAndEndsInGoodOrderOnSIGTERM() async throws {
        let bench = try Bench(#"{"name": "demo.echo", "builtin": "echo"}"#)
        #expect(try bench.run("demo.echo", "[1]").output?.text == "[1]")
        bench.program.signal(SIGTERM)
        #expect(try bench.status(.offline).boot == bench.boot)
        #expect(await bench.program.ended() == 0)
        await bench.end()
    }

    @Test func givesBackWhatItCannotFinishWhenItLeaves() async throws {
        let bench = try Bench(waiting, scripts: scripts, settings: "\"drain_ms\": 100,")
        try bench.assign("t1", epoch: 1, "wait")
        _ = try bench.report("t1", .accept)
        bench.program.signal(SIGTERM)
        _ = try bench.status(.draining)
        let release = try bench.report("t1", .release)
        #expect(release.epoch == 1)
        #expect(release.safe == false)
        #expect(await bench.program.ended() == 0)
        await bench.end()
    }

    @Test func killedInItsWorkItComesBackWithANewBootAndDoesNotStartTheEpochAgain() async throws {
        let bench = try Bench(waiting, scripts: scripts)
        let first = bench.boot
        try bench.assign("t1", epoch: 1, "wait", limits: (10_000, 60_000))
        _ = try bench.report("t1", .accept)
        #expect(try await Await.condition { (try? bench.lines("runs"))?.isEmpty == false })
        try await bench.restart()
        let process = try #require(pid_t(try bench.lines("runs").first ?? ""))
        #expect(try await Await.condition { kill(process, 0) != 0 }, "its program outlives it")
        #expect(bench.boot != first)
        let lost = bench.messages.compactMap { try? ExecutorStatus(decoding: $0.payload) }.filter { $0.status == .lost }
        #expect(lost.map(\.boot) == [first])
        #expect(lost.map(\.conn) == [1])
        #expect(bench.program.output.contains("work_lost"))
        try bench.assign("t1", epoch: 1, "wait")
        try bench.assign("t2", epoch: 2, "wait")
        _ = try bench.report("t2", .accept)
        #expect(try bench.lines("runs").count <= 2)
        await bench.end()
    }

    @Test func anOutcomeThatNobodyConfirmedIsSentAgainByTheNextRunBeforeItsCard() async throws {
        let bench = try Bench(#"{"name": "demo.echo", "builtin": "echo"}"#)
        _ = try bench.run("demo.echo", "7")
        let before = bench.messages.count
        try await bench.restart()
        let later = bench.messages[before...]
        let report = try #require(later.firstIndex { $0.topic == "main/martlet1/report/e1/t1-demo.echo" })
        let card = try #require(later.firstIndex { $0.topic == "main/martlet1/executor/e1/card" })
        #expect(report < card)
        try bench.send(.beatAck(BeatAck(confirmed: [LeasePair("t1-demo.echo", 1)])))
        let silent = try bench.wait { (try? Beat(decoding: $0.payload))?.unconfirmed == [] }
        #expect(silent.topic == "main/martlet1/beat/e1")
        await bench.end()
    }

    @Test func frozenForLongerThanItsLeaseItStopsTheWorkAndGivesItBack() async throws {
        let bench = try Bench(waiting, scripts: scripts)
        try bench.assign("t1", epoch: 1, "wait", limits: (10_000, 1500))
        _ = try bench.report("t1", .accept)
        bench.program.signal(SIGSTOP)
        let start = DispatchTime.now()
        _ = try await Await.condition { DispatchTime.now() > start + .milliseconds(1500) }
        bench.program.signal(SIGCONT)
        #expect(try bench.report("t1", .release).epoch == 1)
        await bench.end()
    }

    @Test func cancelStopsTheProgramAndSaysWhatItUsed() async throws {
        let bench = try Bench(waiting, scripts: scripts)
        try bench.assign("t1", epoch: 1, "wait", limits: (10_000, 60_000))
        _ = try bench.report("t1", .accept)
        try bench.send(.cancel(AttemptName(principal: "me", task: "t1", epoch: 1, term: 1), graceMs: 1000, reason: nil))
        let outcome = try bench.report("t1")
        #expect(outcome.status == .canceled)
        #expect(outcome.usage?.cpuTimeMs != nil)
        await bench.end()
    }

    @Test func aNewManifestIsTakenOnSIGHUPAndABadOneIsNot() async throws {
        let bench = try Bench(#"{"name": "a", "builtin": "echo"}"#)
        let file = "manifest.json"
        _ = try bench.folder.write(file, #"{"capabilities": [{"name": "b", "builtin": "echo"}]}"#)
        bench.program.signal(SIGHUP)
        let message = try bench.wait { (try? Card(decoding: $0.payload))?.rev == 2 }
        #expect(try Card(decoding: message.payload).capabilities.map(\.name) == ["b"])
        _ = try bench.folder.write(file, #"{"capabilities": [{"name": "b"}]}"#)
        bench.program.signal(SIGHUP)
        #expect(try await Await.condition { bench.program.output.contains("expected either command or builtin") })
        #expect(try bench.run("b", "3").output?.text == "3")
        await bench.end()
    }

    @Test func checksAManifestAndNamesItsFaults() async throws {
        let program = try BuildFolder.program("martlet-executor").path(percentEncoded: false)
        let good = BuildFolder.repositoryFile("deploy/executors/demo.json")
        #expect(try await ChildCommand.run([program, "--check", good]).status == 0)
        let folder = try TemporaryFolder()
        let bad = try folder.write("bad.json", #"{"slot": 1, "capabilities": [{"name": "a"}]}"#)
        let refused = try await ChildCommand.run([program, "--check", bad])
        #expect(refused.status == 78)
        #expect(refused.errors.contains("slot: unknown key; did you mean \"slots\"?"))
        #expect(refused.errors.contains("capabilities[0]: expected either command or builtin"))
        #expect(try await ChildCommand.run([program, "--check"]).status == 78)
        #expect(try await ChildCommand.run([program, "--check", good, "more"]).status == 64)
        #expect(try await ChildCommand.run([program, "--check", "--user", "a b", good]).status == 78)
    }
}
