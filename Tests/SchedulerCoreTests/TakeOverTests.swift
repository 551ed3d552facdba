import Contract
import Machine
import SchedulerCore
import Simulation
import Testing
import TimeModel
import Wire

/// Two schedulers with one history: the one that was started later stays, and what both send is done once.
@Suite struct TakeOverTests {
    @Test func T2_24_theOlderOneLeavesAndNothingRunsTwice() throws {
        let fleet = try Fleet()
        let reply = fleet.command(
            "schedule", "put", "s",
            #"{"type":"interval","spec":{"every_ms":2000},"target":{"workspace_id":"main","agent_id":"desk"}}"#)
        #expect(reply?.ok == true)
        fleet.pass(10_000)
        var left: [Int] = []
        fleet.scheduler.quitted = { status, _ in left.append(status) }
        fleet.scheduler.freeze()
        let history = fleet.scheduler.disk.synced
        let heir = ServiceNode(fleet.world, name: "scheduler", clientID: "scheduler-2") { seed in
            var settings = SchedulerSettings()
            settings.boot = "heir\(seed)"
            var core = SchedulerCore(settings: settings)
            for record in history {
                do { try core.replay(record) } catch { Issue.record("\(error)") }
            }
            return core
        }
        heir.violated = { Issue.record("\($0)") }
        heir.start()
        fleet.pass(20_000)
        fleet.scheduler.thaw()
        fleet.pass(60_000)
        #expect(left == [78] && fleet.scheduler.core == nil, "\(left)")
        #expect(heir.core != nil)
        let tasks = fleet.assignments.map(\.assignment.task)
        #expect(Set(tasks).count == tasks.count, "a run was given out twice")
        let before = fleet.assignments.count
        fleet.pass(20_000)
        #expect(fleet.assignments.count == before + 10)
        // The older one read of the newer one before it judged what it had missed.
        #expect(!fleet.events.contains { $0.event == .misfiredSkipped })
    }

    @Test func whoStoodStillReadsWhatCameMeanwhileBeforeItDecides() {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "interval", #"{"every_ms":10000}"#)
        bench.pass(1000)
        bench.returnsRecords = false
        bench.jump(20_000)
        bench.give(.wake)
        #expect(bench.runs.isEmpty && bench.slotsTold.isEmpty)
        bench.returnsRecords = true
        bench.pass(10_000)
        #expect(bench.slotsTold.first == "MISFIRED_SKIPPED superseded 2", "\(bench.slotsTold)")
        #expect(bench.runs.count == 1)
        // What has come back is proof, however slow all turns are.
        bench.jump(10_400)
        bench.give(.wake)
        #expect(bench.runs.count == 2)
    }

    @Test func withoutItsOwnRecordItDecidesAfterTenSeconds() {
        let bench = Bench()
        bench.put("s", "interval", #"{"every_ms":10000}"#)
        bench.returnsRecords = false
        bench.jump(10_500)
        bench.give(.wake)
        bench.pass(9000)
        #expect(bench.runs.isEmpty)
        bench.pass(1000)
        #expect(bench.runs.count == 1)
    }

    @Test func whoStoodStillAndWasTakenOverLeavesWithoutAWord() {
        let bench = Bench()
        bench.put("s", "interval", #"{"every_ms":10000}"#)
        bench.pass(1000)
        bench.returnsRecords = false
        bench.forgetAll()
        bench.jump(25_000)
        bench.status("desk", .online)
        let newer = ServiceRecord(state: .up, version: "1", term: 9, boot: "heir", since: bench.wall)
        let topic = "_sys/martlet1/service/scheduler/scheduler"
        bench.give(.message(InboundMessage(topic: topic, payload: newer.encoded, retained: true)))
        bench.returnsRecords = true
        bench.pass(30_000)
        #expect(bench.quits == 1 && bench.runs.isEmpty && bench.events.isEmpty, "\(bench.told)")
    }

    @Test func whoStoodStillDecidesAsSoonAsTheBrokerHasAnswered() throws {
        let fleet = try Fleet()
        fleet.command(
            "schedule", "put", "s",
            #"{"type":"interval","spec":{"every_ms":2000},"target":{"workspace_id":"main","agent_id":"desk"}}"#)
        fleet.pass(10_000)
        fleet.scheduler.freeze()
        fleet.pass(9000)
        let before = fleet.assignments.count
        fleet.scheduler.thaw()
        fleet.pass(100)
        #expect(fleet.assignments.count == before + 1)
        #expect(fleet.events.contains { $0.event == .misfiredSkipped })
    }

    @Test func anOwnRecordOfAnEarlierConnectionProvesNothing() throws {
        let bench = Bench(returnsRecords: false)
        let topic = "_sys/martlet1/service/scheduler/scheduler"
        let early = try #require(bench.retained[topic])
        bench.disconnect()
        bench.connect()
        let late = try #require(bench.retained[topic])
        // It was on its way when the connection ended, and is sent again before all that has come since.
        bench.give(.message(InboundMessage(topic: topic, payload: early, retained: true)))
        #expect(bench.readies == 0)
        bench.give(.message(InboundMessage(topic: topic, payload: late, retained: true)))
        // The early one may have overwritten the record of a newer process, which puts that right.
        #expect(bench.readies == 0)
        bench.pass(1000)
        #expect(bench.readies == 1)
    }
}
