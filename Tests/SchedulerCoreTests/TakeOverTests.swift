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
    }
}
