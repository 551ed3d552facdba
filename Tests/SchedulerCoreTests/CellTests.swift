import Contract
import Machine
import SchedulerCore
import Testing
import TimeModel
import Wire

/// Schedulers as cells (`topics/broker.md`, cells): the guard and what is listened to.
@Suite struct CellTests {
    private func record(term: Int, workspaces: [String]) -> [UInt8] {
        var record = ServiceRecord(
            state: .up, version: "1", term: term, boot: "other", since: WallTime(milliseconds: 0))
        record.workspaces = workspaces
        return record.encoded
    }

    private func quits(_ workspaces: [String], term: Int) -> (status: Int?, record: ServiceRecord?) {
        let bench = Bench { $0.serve(["lab", "shop"], as: "scheduler-1") }
        var effects: [ServiceEffect] = []
        let topic = "_sys/martlet1/service/scheduler/scheduler-2"
        let message = InboundMessage(topic: topic, payload: record(term: term, workspaces: workspaces), retained: true)
        bench.core.handle(
            .message(message), at: Now(wall: bench.wall, monotonic: bench.monotonic), emitting: &effects)
        var told: (status: Int?, record: ServiceRecord?)
        for effect in effects {
            if case .quit(let status, _) = effect { told.status = status }
            if case .publish(let message) = effect, message.topic.contains("/service/") {
                told.record = try? ServiceRecord(decoding: message.payload)
            }
        }
        return told
    }

    @Test("G-27 the lower term of two that share a workspace ends with 78; disjoint ones live side by side")
    func guarded() {
        let told = quits(["shop"], term: 2)
        #expect(told.status == 78)
        #expect(told.record?.state == .down)
        #expect(told.record?.workspaces == ["lab", "shop"])
        #expect(quits([], term: 2).status == 78)
        #expect(quits(["shop"], term: 0).status == nil)
        #expect(quits(["office"], term: 9).status == nil)
    }

    @Test("A heartbeat that serves other workspaces says nothing of a target") func foreignHeartbeat() {
        for (workspaces, word) in [(["lab"], "SCHEDULE_TRIGGERED"), (["lab", "main"], "MISFIRED_SKIPPED target")] {
            let bench = Bench()
            bench.put("s", "cron", #"{"expr":"0 9 * * *"}"#)
            let payload = record(term: 1, workspaces: workspaces)
            let topic = "_sys/martlet1/service/heartbeat/heartbeat-2"
            bench.give(.message(InboundMessage(topic: topic, payload: payload, retained: true)))
            bench.until("2026-11-20T09:02:00Z")
            #expect(bench.slotsTold == [word], "\(workspaces)")
        }
    }

    @Test("A cell listens to its own workspaces alone") func filters() {
        var settings = SchedulerSettings()
        settings.serve(["lab", "shop"], as: "scheduler-1")
        var core = SchedulerCore(settings: settings)
        var effects: [ServiceEffect] = []
        let now = Now(wall: WallTime(milliseconds: 0), monotonic: MonotonicTime(milliseconds: 0))
        core.handle(.started, at: now, emitting: &effects)
        core.handle(.connected, at: now, emitting: &effects)
        let filters = effects.flatMap { effect -> [String] in
            if case .subscribe(let list) = effect { list.map(\.filter) } else { [] }
        }
        #expect(filters.contains("lab/martlet1/command/+/schedule/+/+"))
        #expect(filters.contains("shop/martlet1/schedule/+"))
        #expect(!filters.contains { $0.hasPrefix("+/") })
        // The own record ends what it waits for; of own views there may be very many: nobody waits for these.
        let awaited = filters.firstIndex(of: "_sys/martlet1/service/scheduler/+")
        #expect(awaited == filters.firstIndex(of: "lab/martlet1/schedule/+").map { $0 - 1 })
    }

    @Test("Schedules of a workspace that is left out keep it from starting") func leftOut() {
        let bench = Bench()
        bench.put("s", "interval", #"{"every_ms":60000}"#)
        var settings = SchedulerSettings()
        settings.serve(["shop"], as: "scheduler-1")
        var core = SchedulerCore(settings: settings)
        for record in bench.journal {
            do { try core.replay(record) } catch { Issue.record("\(error.reason)") }
        }
        var effects: [ServiceEffect] = []
        core.handle(.started, at: Now(wall: bench.wall, monotonic: bench.monotonic), emitting: &effects)
        let reasons = effects.compactMap { effect -> String? in
            if case .quit(78, let reason) = effect { reason } else { nil }
        }
        #expect(reasons.count == 1 && reasons[0].contains("the workspace main"))
    }
}
