import Contract
import DispatcherCore
import Machine
import SchedulerCore
import Testing
import TimeModel
import Wire

/// What a scheduler and a dispatcher promise together.
@Suite struct FleetCaseTests {
    @Test func T2_22_threeAttemptsAndOneNotification() throws {
        let fleet = try Fleet()
        fleet.work = { $0.end($1, .failed) }
        #expect(fleet.once(in: 2000, #","work":{"retry":{"count":2,"delay_ms":200}}"#)?.ok == true)
        fleet.pass(10_000)
        #expect(fleet.assignments.count == 3)
        #expect(fleet.assignments.map(\.assignment.attempt) == [1, 2, 3])
        #expect(fleet.results.count == 1 && fleet.results[0].result.attempts.count == 3)
        #expect(fleet.notes.count == 1)
        let state = try fleet.view("s").state
        #expect(state.last?.code == .attemptsExhausted && state.failures == 1 && state.runCount == 1)
    }

    @Test func T2_23_noAnswerWithinTheTimeLimit() throws {
        let fleet = try Fleet()
        fleet.work = { $0.accept($1) }
        fleet.once(in: 2000, #","work":{"timeout_ms":5000,"retry":{"count":0}}"#)
        fleet.pass(12_000)
        let ended = try #require(fleet.results.first)
        #expect(ended.result.status == .timeout && ended.result.error?.code == .executionTimeout)
        let began = try #require(fleet.assignments.first).at
        #expect(abs(ended.at - began - 5000) < 50)
        #expect(try fleet.view("s").state.last?.status == .timeout)
    }

    @Test func T3_17_anOutcomeOfAnOlderEpoch() throws {
        let fleet = try Fleet()
        fleet.work = { $0.accept($1) }
        fleet.once(in: 2000, #","policy":{"misfire_grace_ms":60000}"#)
        fleet.pass(3000)
        let first = try #require(fleet.assignments.first).assignment
        fleet.status(.lost)
        fleet.pass(3000)
        fleet.hello()
        fleet.pass(5000)
        let second = try #require(fleet.assignments.last).assignment
        #expect(second.epoch > first.epoch && second.task == first.task)
        fleet.end(first, .success)
        fleet.pass(500)
        #expect(fleet.count(.taskStaleResult) == 1 && fleet.results.isEmpty)
        let told = try #require(fleet.events.first { $0.event == .taskStaleResult }?.data)
        #expect(JSONValue(told)["code"]?.stringValue == "stale_epoch" || told.text.contains("epoch"))
        fleet.end(second, .success)
        fleet.pass(500)
        #expect(fleet.results.map(\.result.status) == [.success])
        #expect(try fleet.view("s").state.slots.triggered == 1)
    }

    @Test func T3_20_beatsStopWhileARunIsLive() throws {
        let fleet = try Fleet()
        fleet.work = { $0.accept($1) }
        fleet.once(in: 2000, #","work":{"timeout_ms":120000,"retry":{"count":0}}"#)
        fleet.pass(4000)
        let run = try #require(fleet.assignments.first).assignment
        fleet.beats = false
        fleet.pass(65_000)
        #expect(
            fleet.results.count == 1 && fleet.results.first?.result.error?.code == .leaseExpired, "\(fleet.results)")
        fleet.end(run, .success)
        fleet.pass(1000)
        #expect(fleet.count(.taskStaleResult) == 1)
        #expect(fleet.results.allSatisfy { $0.result.status == .failed })
        #expect(try fleet.view("s").state.last?.status == .failed)
    }

    @Test func T3_25_aRunThatWaitsForApproval() throws {
        let rules =
            #"{"main":[{"id":"ask","effect":"require_approval","capabilities":["run"]},{"id":"rest","effect":"allow"}]}"#
        let fleet = try Fleet(policy: rules)
        fleet.once(in: 2000, "")
        fleet.pass(5000)
        let update = try #require(fleet.updates.last)
        #expect(update.type == .accepted && update.state == .awaitingApproval)
        #expect(fleet.assignments.isEmpty && fleet.count(.approvalRequested) == 1)
        #expect(fleet.count(.scheduleTriggered) == 1)
        let run = update.task
        let who = #"{"principal":"scheduler"}"#
        // The run is done in the name of whoever put the schedule, and nobody approves what is one's own.
        #expect(fleet.command("task", "approve", run, who)?.code == .permissionDenied)
        #expect(fleet.command("task", "approve", run, who, by: "boss")?.ok == true)
        fleet.pass(1000)
        #expect(fleet.results.map(\.result.status) == [.success] && fleet.results[0].result.task == run)
    }

    @Test func T3_17_theGrantCarriesItsEpoch() throws {
        let fleet = try Fleet()
        fleet.once(in: 2000, "")
        fleet.pass(4000)
        let given = try #require(fleet.assignments.first).assignment
        #expect(given.epoch > 0 && given.term > 0 && given.task.hasPrefix("s~"))
    }
}
