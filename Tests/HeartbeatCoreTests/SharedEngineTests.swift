import Contract
import HeartbeatCore
import Machine
import SchedulerCore
import Testing
import TimeModel
import Timing
import Wire

/// What checks share with schedules: engine, document, conditions, notifications.
@Suite("Checks and schedules") struct SharedEngineTests {
    /// The instants at which a service sends intents for one rule within two days.
    private func runs<Core: Service>(
        _ given: Core, _ command: String, _ document: String
    ) -> [String] where Core.Input == ServiceInput, Core.Effect == ServiceEffect {
        var core = given
        var ids: [String] = []
        var wall = WallTime(rfc3339: "2026-10-24T12:00:00.000Z") ?? WallTime(milliseconds: 0)
        var monotonic = MonotonicTime(milliseconds: 0)
        func give(_ input: ServiceInput) {
            var effects: [ServiceEffect] = []
            core.handle(input, at: Now(wall: wall, monotonic: monotonic), emitting: &effects)
            for case .publish(let message) in effects {
                guard case .intent(let principal, let capability, let id)? = Topic(message.topic)?.place else {
                    continue
                }
                ids.append(id)
                let place = Topic.Place.result(principal: principal, capability: capability, id: id)
                let result = TaskResult(task: id, status: .success, finishedAt: wall)
                give(.message(InboundMessage(topic: Topic("main", place).name, payload: result.encoded)))
            }
        }
        give(.started)
        give(.connected)
        give(.message(InboundMessage(topic: command, payload: Array(document.utf8))))
        let end = monotonic + 2 * 86_400_000
        while let wake = core.nextWake, wake <= end {
            wall = wall + (wake - monotonic)
            monotonic = wake
            give(.wake)
        }
        return ids
    }

    @Test(
        "S2-02 S2-43 S2-44: one document gives a check and a schedule the same runs",
        arguments: [
            #"{"type":"cron","spec":{"expr":"17 */3 * * *"}"#,
            #"{"type":"interval","spec":{"every_ms":3600000,"start_at":"2026-10-24T13:30:00.000Z"}"#,
            #"{"type":"one-shot","spec":{"run_at":"2026-10-25T01:30:00.000Z"}"#,
            #"{"type":"cron","spec":{"expr":"H H * * *"},"conditions":{"days_of_week":["sun"]}"#,
        ])
    func sameRuns(_ rule: String) {
        let document = rule + #","target":{"workspace_id":"main","agent_id":"@any"},"work":{"capability":"c"}}"#
        let scheduled = runs(
            SchedulerCore(settings: SchedulerSettings()), "main/martlet1/command/shop/schedule/put/k", document)
        let checked = runs(
            HeartbeatCore(settings: HeartbeatSettings()), "main/martlet1/command/shop/check/put/k", document)
        #expect(scheduled == checked)
        #expect(!scheduled.isEmpty)
    }

    @Test("S2-08 to S2-12: conditions are judged for checks too")
    func conditions() {
        for (conditions, reason) in [
            (#"{"active_hours":{"start":"09:00","end":"10:00"}}"#, SkipReason.activeHours),
            (#"{"days_of_week":["sat"]}"#, .daysOfWeek), (#"{"environment":["development"]}"#, .environment),
            (#"{"session_active":true}"#, .sessionActive), (#"{"custom":"hour == 7"}"#, .custom),
        ] {
            let rig = Rig()
            rig.put("disk", #","conditions":\#(conditions)"#)
            rig.pass(30_000)
            #expect(rig.runs("disk").isEmpty, "\(conditions)")
            #expect(rig.check("disk")?.state.slots.skipped[reason] ?? 0 >= 1, "\(conditions)")
        }
    }

    @Test("S2-17 S2-18: a check tells on_success, on_failure and on_skip to its channels")
    func notifications() throws {
        let rig = Rig()
        rig.put(
            "disk",
            #","notifications":{"on_success":{"channel":"log"},"on_failure":[{"channel":"webhook","config":{"url":"u"}}]}"#
        )
        rig.finish("disk", "{}")
        #expect(rig.logged.count == 1)
        rig.pass(30_000)
        rig.fail("disk", .failed, .attemptsExhausted)
        #expect(rig.intents.contains { $0.topic.contains("/notify.webhook/disk~") })
        rig.put("other")
        rig.pass(0)
        let memory = "main/martlet1/notify/memory/heartbeat.check.disk"
        #expect(rig.retained[memory] == nil, "not wanted")
    }

    @Test("S2-24: pause and resume; what the pause swallowed is told together")
    func pause() {
        let rig = Rig()
        rig.put("disk")
        rig.finish("disk", "{}")
        #expect(rig.command("pause", "disk")?.ok == true)
        rig.pass(300_000)
        #expect(rig.runs("disk").count == 1)
        #expect(rig.command("resume", "disk")?.ok == true)
        #expect(rig.check("disk")?.state.slots.skipped[.paused] == 10)
        rig.pass(30_000)
        #expect(rig.runs("disk").count == 2)
    }

    @Test("Commands are the owner's and the operators'; what is not known is not_found")
    func rights() {
        let rig = Rig()
        rig.put("disk")
        for verb in ["get", "pause", "resume", "run", "delete"] {
            #expect(rig.command(verb, "none")?.code == .notFound, "T2-42 \(verb)")
        }
        #expect(rig.command("preview", "disk")?.code == .invalidField, "no verb of checks")
        let topic = "main/martlet1/command/eve/check/delete/disk"
        rig.give(.message(InboundMessage(topic: topic, payload: [])))
        #expect(rig.replies["main/martlet1/reply/eve/check/delete/disk"]?.code == .permissionDenied)
        #expect(rig.command("delete", "disk", #"{"if_rev":0}"#)?.code == .conflictRev)
    }
}
