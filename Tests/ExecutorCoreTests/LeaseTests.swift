import Contract
import ExecutorCore
import Machine
import Testing
import Wire

/// Leases by the executor's own clock, cancel, revoke, leaving.
@Suite struct LeaseTests {
    @Test func aLeaseThatNothingRenewsStopsTheWorkBeforeTheDispatcherGivesItAway() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.give(.disconnected)
        rig.pass(8999)
        #expect(rig.stopped.isEmpty)
        rig.pass(1)
        #expect(rig.stopped == [1])
        rig.end(.stopped)
        rig.forget()
        rig.connect()
        #expect(rig.count(.release, epoch: 1) == 1)
        #expect(rig.reports.first?.safe == false)
        #expect(rig.beats.last?.leases == [])
    }

    @Test func smallLeasesKeepHalfASecond() throws {
        let rig = try Rig()
        var assignment = rig.assignment("t1", epoch: 1)
        assignment.leaseMs = 2000
        rig.work(.assign(assignment))
        rig.give(.disconnected)
        rig.pass(1499)
        #expect(rig.stopped.isEmpty)
        rig.pass(1)
        #expect(rig.stopped == [1])
    }

    @Test func anAnsweredBeatRenewsFromTheMomentItWasSent() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.pass(1000)
        rig.pass(500)
        rig.acknowledge()
        rig.give(.disconnected)
        rig.pass(8499)
        #expect(rig.stopped.isEmpty)
        rig.pass(1)
        #expect(rig.stopped == [1])
    }

    @Test func anUnansweredBeatRenewsNothing() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.pass(9000)
        #expect(rig.stopped == [1])
    }

    @Test func aThawedProcessStopsItsWorkBeforeAnythingElse() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.assign("t2", epoch: 2, capability: "demo.sleep", input: #"{"ms":9500}"#)
        rig.freeze(60_000)
        rig.acknowledge()
        #expect(rig.stopped == [1])
        #expect(rig.count(.outcome) == 0)
        #expect(rig.count(.release, epoch: 2) == 1)
    }

    @Test func workThatEndedByItselfIsReportedEvenIfTheLeaseIsOver() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.freeze(60_000)
        rig.end(.exited(0), output: "3")
        #expect(rig.outcome?.output?.text == "3")
    }

    @Test func aRevokedAttemptStopsAndFreesItsSlots() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.acknowledge(revoked: [LeasePair("t1", 1)])
        #expect(rig.stopped == [1])
        rig.pass(1000)
        #expect(rig.beats.last?.leases == [])
        #expect(rig.beats.last?.freeSlots == 1, "its program still runs")
        rig.end(.stopped)
        #expect(rig.count(.release, epoch: 1) == 1)
        #expect(rig.count(.outcome) == 0)
        rig.pass(1000)
        #expect(rig.beats.last?.freeSlots == 2)
    }

    @Test func cancelEndsInTheOutcomeCanceledWithUsage() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.work(.cancel(AttemptName(principal: "me", task: "t1", epoch: 1, term: 1), graceMs: 5000, reason: "no"))
        #expect(rig.stopped == [1])
        rig.end(.stopped)
        #expect(rig.outcome?.status == .canceled)
        #expect(rig.outcome?.usage?.cpuTimeMs == 7)
    }

    @Test func anOutcomeThatComesBeforeTheCancelWins() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.work(.cancel(AttemptName(principal: "me", task: "t1", epoch: 1, term: 1), graceMs: 5000, reason: nil))
        rig.end(.exited(0), output: "1")
        #expect(rig.outcome?.status == .success)
    }

    @Test(arguments: [("other", "t1", 1), ("me", "t2", 1), ("me", "t1", 2), ("me", "t1", 0)])
    func cancelOfAnotherPrincipalTaskOrEpochIsIgnored(_ principal: String, _ task: String, _ epoch: Int) throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.work(.cancel(AttemptName(principal: principal, task: task, epoch: epoch, term: 1), graceMs: 1, reason: nil))
        #expect(rig.stopped.isEmpty)
    }

    @Test func sleepIsCanceledAtOnce() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1, capability: "demo.sleep", input: #"{"seconds":60}"#)
        rig.work(.cancel(AttemptName(principal: "me", task: "t1", epoch: 1, term: 1), graceMs: 1, reason: nil))
        #expect(rig.outcome?.status == .canceled)
    }

    @Test func sigtermDrainsFinishesAndLeavesOffline() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.give(.terminate)
        #expect(rig.states.last == .draining)
        rig.assign("t2", epoch: 2)
        #expect(rig.reports.last?.reason == .busy)
        #expect(!rig.hasQuit)
        rig.end(.exited(0), output: "1")
        #expect(rig.outcome?.status == .success)
        #expect(rig.states.last == .offline)
        #expect(rig.hasQuit)
        #expect(rig.machine.nextWake == nil)
    }

    @Test func workThatTakesLongerThanTheDrainIsGivenBack() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.assign("t2", epoch: 2, capability: "demo.sleep", input: #"{"seconds":60}"#)
        rig.give(.terminate)
        rig.pass(2499)
        #expect(rig.stopped.isEmpty)
        rig.pass(1)
        #expect(rig.stopped == [1])
        #expect(rig.count(.release, epoch: 2) == 1)
        rig.end(.stopped)
        #expect(rig.count(.release, epoch: 1) == 1)
        #expect(rig.hasQuit)
        #expect(rig.states.last == .offline)
    }

    @Test func aProgramThatDoesNotStopDoesNotHoldTheExecutor() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.give(.terminate)
        rig.give(.terminate)
        #expect(rig.stopped == [1])
        rig.pass(10_000)
        #expect(rig.hasQuit)
        #expect(rig.count(.release, epoch: 1) == 1)
    }
}
