import Contract
import Machine
import Testing
import Wire

/// What becomes of an assignment.
@Suite struct WorkTests {
    @Test func acceptsRunsAndKeepsTheOutcomeUntilItIsConfirmed() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 7, input: #"{"a":[1,2]}"#)
        #expect(rig.reports.map(\.type) == [.accept])
        let child = try #require(rig.children.first)
        #expect(child.arguments == ["/opt/adapters/./run", "-x"])
        #expect(String(decoding: child.input, as: UTF8.self) == #"{"a":[1,2]}"#)
        #expect(child.directory == "/opt/adapters")
        #expect(child.memoryLimit == 64 << 20)
        rig.end(.exited(0), output: #"{"done":true}"# + "\n")
        let outcome = try #require(rig.outcome)
        #expect(outcome.epoch == 7)
        #expect(outcome.status == .success)
        #expect(outcome.output?.text == #"{"done":true}"#)
        #expect(outcome.usage == Usage(cpuTimeMs: 7, memoryMB: 3))
        rig.pass(1000)
        #expect(rig.beats.last?.unconfirmed == [LeasePair("t1", 7)])
        rig.acknowledge(confirmed: [LeasePair("t1", 7)])
        rig.pass(1000)
        #expect(rig.beats.last?.unconfirmed == [])
    }

    @Test func quickWorkSendsItsOutcomeWithoutAnAccept() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1, capability: "demo.echo", input: #"{"x":"é"}"#)
        #expect(rig.reports.map(\.type) == [.outcome])
        #expect(rig.outcome?.output?.text == #"{"x":"é"}"#)
    }

    @Test func environmentHoldsWhatTheManifestAllowsAndWhatTheTaskIs() throws {
        let rig = try Rig()
        var assignment = rig.assignment("t1", epoch: 3)
        assignment.action = "print"
        assignment.traceparent = "00-ab"
        assignment.checkpoint = try RawJSON(validating: Array("[5]".utf8))
        rig.work(.assign(assignment))
        let environment = try #require(rig.children.first).environment
        #expect(environment.contains("PATH=/bin"))
        #expect(environment.contains("TZ=UTC"))
        #expect(!environment.contains { $0.hasPrefix("SECRET") })
        for entry in ["TASK=t1", "PRINCIPAL=me", "EPOCH=3", "TERM=1", "ATTEMPT=1", "CAPABILITY=run", "ACTION=print"] {
            #expect(environment.contains("MARTLET_\(entry)"), "\(entry)")
        }
        #expect(environment.contains("MARTLET_CHECKPOINT=[5]"))
        #expect(environment.contains("TRACEPARENT=00-ab"))
    }

    @Test func sameEpochTwiceIsStartedOnce() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.assign("t1", epoch: 1)
        #expect(rig.children.count == 1)
        rig.end(.exited(0), output: "1")
        rig.assign("t1", epoch: 1)
        #expect(rig.children.count == 1)
        #expect(rig.count(.outcome) == 2)
        rig.acknowledge(confirmed: [LeasePair("t1", 1)])
        rig.assign("t1", epoch: 1)
        #expect(rig.children.count == 1)
        #expect(rig.count(.outcome) == 2)
    }

    @Test func lowerEpochIsIgnoredAndHigherOneStopsTheOlderAttempt() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 5)
        rig.assign("t1", epoch: 4)
        #expect(rig.children.count == 1)
        rig.assign("t1", epoch: 6)
        #expect(rig.stopped == [1])
        #expect(rig.children.count == 1)
        rig.end(.stopped)
        #expect(rig.children.count == 2)
        #expect(rig.count(.release, epoch: 5) == 1)
        #expect(rig.count(.accept, epoch: 6) == 1)
        rig.end(.exited(0), output: "null")
        #expect(rig.count(.outcome, epoch: 6) == 1)
        #expect(rig.count(.outcome, epoch: 5) == 0)
    }

    @Test func tasksOfTwoPrincipalsWithOneIDAreTwo() throws {
        let rig = try Rig()
        rig.work(.assign(rig.assignment("t1", epoch: 5, principal: "a")))
        rig.work(.assign(rig.assignment("t1", epoch: 4, principal: "b")))
        #expect(rig.children.count == 2)
    }

    @Test func anotherBootAndALowerTermAreIgnored() throws {
        let rig = try Rig()
        var other = rig.assignment("t1", epoch: 1)
        other.boot = "else"
        rig.work(.assign(other))
        #expect(rig.children.isEmpty)
        var later = rig.assignment("t2", epoch: 9)
        later.term = 4
        rig.work(.assign(later))
        var dead = rig.assignment("t3", epoch: 10)
        dead.term = 3
        rig.work(.assign(dead))
        rig.work(.cancel(AttemptName(principal: "me", task: "t2", epoch: 9, term: 3), graceMs: 10, reason: nil))
        rig.work(.revoke(AttemptName(principal: "me", task: "t2", epoch: 9, term: 3), code: .staleEpoch))
        #expect(rig.children.count == 1)
        #expect(rig.stopped.isEmpty)
        #expect(rig.events.contains { $0.name == "term_refused" })
    }

    @Test func refusesWhatItCannotDoAndWhatItHasNoRoomFor() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1, capability: "unknown")
        #expect(rig.reports.last?.reason == .unsupported)
        rig.assign("t2", epoch: 2, capability: "later")
        #expect(rig.reports.last?.reason == .unsupported)
        rig.assign("t3", epoch: 3, capability: "single")
        rig.assign("t4", epoch: 4, capability: "single")
        #expect(rig.reports.last?.reason == .busy)
        rig.assign("t5", epoch: 5, capability: "heavy")
        #expect(rig.reports.last?.reason == .busy)
        rig.assign("t6", epoch: 6)
        #expect(rig.reports.last?.type == .accept)
        rig.assign("t7", epoch: 7)
        #expect(rig.reports.last?.reason == .busy)
        #expect(rig.children.count == 2)
        rig.end(.exited(0), id: 1)
        rig.assign("t4", epoch: 4, capability: "single")
        #expect(rig.children.count == 2, "a refused epoch is never started")
        rig.assign("t4", epoch: 8, capability: "single")
        #expect(rig.children.count == 3)
    }

    @Test func sleepTakesItsTimeAndTellsItsProgress() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1, capability: "demo.sleep", input: #"{"ms":2500}"#)
        rig.pass(2499)
        #expect(rig.reports.map(\.type) == [.accept, .progress, .progress])
        #expect(rig.reports.compactMap(\.percent) == [40, 80])
        rig.pass(1)
        #expect(rig.outcome?.output?.text == #"{"slept_ms":2500}"#)
    }

    @Test(arguments: [
        (#"{"ms":-1}"#, Report.Outcome.failed), (#"{"seconds":"a"}"#, .failed), (#"{"ms":0}"#, .success),
        (#"{"ms":86400001}"#, .failed), (#"{"seconds":90000000000000}"#, .failed),
    ])
    func sleepJudgesItsInput(_ input: String, _ status: Report.Outcome) throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1, capability: "demo.sleep", input: input)
        #expect(rig.outcome?.status == status)
        if status == .failed { #expect(rig.outcome?.error?.code == .invalidField) }
    }

    @Test func failFailsAsItIsTold() throws {
        let rig = try Rig()
        let input = #"{"code":"quota_met","class":"quota","message":"no","retry_after_ms":9,"safe":true}"#
        rig.assign("t1", epoch: 1, capability: "demo.fail", input: input)
        let error = try #require(rig.outcome?.error)
        #expect(error.code.rawValue == "quota_met")
        #expect(error.errorClass == .quota)
        #expect(error.retryAfterMs == 9)
        #expect(error.safe == true)
        var second = rig.assignment("t2", epoch: 2, capability: "demo.fail", input: #"{"times":2}"#)
        second.attempt = 2
        rig.work(.assign(second))
        #expect(rig.outcome?.status == .failed)
        var third = second
        (third.epoch, third.attempt) = (3, 3)
        rig.work(.assign(third))
        #expect(rig.outcome?.status == .success)
    }

    @Test func outcomesAreSentAgainWhenAskedAndAfterAReconnect() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1, capability: "demo.echo")
        rig.acknowledge(resend: [LeasePair("t1", 1)])
        #expect(rig.count(.outcome) == 2)
        rig.give(.disconnected)
        rig.forget()
        rig.connect()
        #expect(rig.count(.outcome) == 1)
        rig.work(.beatAck(BeatAck(confirmed: [LeasePair("t1", 1)])))
        rig.give(.disconnected)
        rig.forget()
        rig.connect()
        #expect(rig.count(.outcome) == 0)
    }

    @Test func workThatEndsWithoutAConnectionIsReportedLater() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.give(.disconnected)
        rig.forget()
        rig.end(.exited(0), output: "5")
        #expect(rig.published.isEmpty)
        rig.connect()
        #expect(rig.outcome?.output?.text == "5")
    }

    @Test func aRevokedOutcomeIsForgotten() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1, capability: "demo.echo")
        rig.work(.revoke(AttemptName(principal: "me", task: "t1", epoch: 1, term: 1), code: .staleEpoch))
        rig.pass(1000)
        #expect(rig.beats.last?.unconfirmed == [])
    }

    @Test func moreLeasesThanABeatMayNameGoIntoSeveral() throws {
        let rig = try Rig(
            #"{"slots": 1030, "capabilities": [{"name": "demo.sleep", "builtin": "sleep"}], "beat_ms": 5000}"#)
        for number in 0..<1030 {
            rig.assign("t\(number)", epoch: number + 1, capability: "demo.sleep", input: #"{"seconds":100}"#)
        }
        rig.forget()
        rig.pass(5000)
        #expect(rig.beats.count == 2)
        #expect(Set(rig.beats.flatMap { $0.leases ?? [] }).count == 1030)
    }
}
