import Contract
import Machine
import SchedulerCore
import Testing
import TimeModel
import Timing
import Wire

/// Schedules: limits, verbs, slots, conditions, notifications.
@Suite struct ScheduleCaseTests {
    private let minute = #"{"every_ms":60000}"#
    private let daily = #"{"expr":"0 9 * * *"}"#

    @Test func T2_01_theTwentyFirstScheduleOfAnAgentIsRefused() {
        let bench = Bench()
        for n in 1...20 { #expect(bench.put("s\(n)", "interval", minute)?.ok == true) }
        #expect(bench.put("s21", "interval", minute)?.code == .limitReached)
        #expect(bench.retained["main/martlet1/schedule/s21"] == nil)
        #expect(bench.put("s20", "interval", #"{"every_ms":120000}"#)?.rev == 2)
        #expect(bench.put("any", "interval", minute, agent: "@any")?.ok == true)
        bench.command("delete", "s20")
        #expect(bench.put("s21", "interval", minute)?.ok == true)
    }

    @Test func g18SchedulesOfAWorkspaceAreBounded() {
        let bench = Bench { $0.schedulesPerWorkspace = 100 }
        for n in 0..<1000 {
            let code = bench.put("s\(n)", "interval", minute, agent: "@any")?.code
            #expect(n < 100 || code == .limitReached)
        }
        #expect(bench.retained.keys.count { $0.hasPrefix("main/martlet1/schedule/") } == 100)
    }

    @Test func T2_02_pauseAndResume() throws {
        let bench = Bench()
        bench.put("s", "cron", daily)
        #expect(bench.command("pause", "s", #"{"note":"inventory"}"#)?.ok == true)
        #expect(try bench.state("s").status == .paused)
        #expect(try bench.state("s").note == "inventory")
        #expect(bench.command("pause", "s", #"{"note":"inventory"}"#)?.ok == true)
        #expect(bench.command("resume", "s")?.ok == true)
        #expect(bench.command("resume", "s")?.ok == true)
        #expect(try bench.state("s").status == .active)
        #expect(bench.told == ["SCHEDULE_CREATED", "SCHEDULE_PAUSED operator", "SCHEDULE_RESUMED operator"])
        #expect(bench.events.map(\.actor) == ["shop", "shop", "shop"])
    }

    @Test func T2_03_unknownSchedules() {
        let bench = Bench()
        for verb in ["pause", "resume", "delete", "get", "enable", "trigger", "preview"] {
            #expect(bench.command(verb, "nobody")?.code == .notFound, "\(verb)")
        }
    }

    @Test func T2_04_nothingComesNextOfPausedAndDisabled() throws {
        let bench = Bench()
        bench.put("s", "cron", daily)
        bench.command("pause", "s")
        var state = try bench.state("s")
        #expect(state.next.isEmpty && state.nextRunAt == nil)
        bench.put("o", "one-shot", #"{"run_at":"2026-11-20T07:00:00Z"}"#)
        state = try bench.state("o")
        #expect(state.status == .disabled && state.next.isEmpty && state.nextRunAt == nil)
    }

    @Test func T2_05_aOneShotInTenSeconds() throws {
        let bench = Bench()
        bench.put("s", "one-shot", #"{"run_at":"2026-11-20T08:00:10Z"}"#)
        #expect(try bench.state("s").nextRunAt == bench.wall + 10_000)
        bench.pass(9999)
        #expect(bench.runs == [])
        bench.pass(1)
        #expect(bench.runs == ["s~20261120T080010Z"])
    }

    @Test func T2_06_aOneShotAnHourAgo() throws {
        let bench = Bench()
        let reply = bench.put("s", "one-shot", #"{"run_at":"2026-11-20T07:00:00Z"}"#)
        #expect(reply?.ok == true && reply?.data?.text.contains(#""code":"past""#) == true)
        #expect(bench.told == ["SCHEDULE_CREATED", "MISFIRED_SKIPPED late", "SCHEDULE_DISABLED expired"])
    }

    @Test func T2_29_aOneShotThatIsDone() throws {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "one-shot", #"{"run_at":"2026-11-20T08:00:10Z"}"#)
        bench.pass(20_000)
        let state = try bench.state("s")
        #expect(state.status == .disabled && state.reason == "completed" && state.nextRunAt == nil)
        #expect(state.runCount == 1 && state.last?.status == .success)
        // Without a connection its view could not be cleared.
        bench.disconnect()
        bench.pass(86_400_000)
        #expect(bench.retained["main/martlet1/schedule/s"] != nil)
        bench.connect()
        bench.pass(1000)
        #expect(bench.command("get", "s")?.code == .notFound)
        #expect(bench.told.last == "SCHEDULE_DELETED keep_ms")
        #expect(bench.retained["main/martlet1/schedule/s"] == nil)
    }

    @Test func T2_07_anIntervalWithItsStartAhead() throws {
        let bench = Bench()
        bench.put("s", "interval", #"{"every_ms":60000,"start_at":"2026-11-20T08:00:07Z"}"#)
        #expect(try bench.state("s").next.prefix(2).map { $0 - bench.wall } == [7000, 67_000])
    }

    @Test func T2_08_anIntervalThatBeganFiveSecondsAgo() throws {
        let bench = Bench()
        bench.put("s", "interval", #"{"every_ms":60000,"start_at":"2026-11-20T07:59:55Z"}"#)
        #expect(try bench.state("s").next.first.map { $0 - bench.wall } == 55_000)
    }

    @Test func T2_09_everyFiveMinutesIsStrictlyAfterNow() throws {
        let bench = Bench()
        bench.put("s", "cron", #"{"expr":"*/5 * * * *"}"#)
        #expect(try bench.state("s").next.first?.rfc3339 == "2026-11-20T08:05:00.000Z")
    }

    @Test(arguments: ["bad", "* * * *", "60 * * * *", "*/0 * * * *", "0 0 30 2 *"])
    func T2_10_badExpressions(text: String) {
        let bench = Bench()
        let reply = bench.put("s", "cron", #"{"expr":"\#(text)"}"#)
        #expect(reply?.code == .invalidSpec && reply?.data?.text.contains("spec.expr") == true)
        #expect(bench.retained["main/martlet1/schedule/s"] == nil && bench.told == [])
    }

    @Test func T2_10_hoursWrap() throws {
        let bench = Bench("2026-11-20T12:00:00.000Z")
        bench.put("s", "cron", #"{"expr":"0 22-2 * * *"}"#)
        #expect(try bench.state("s").next.map { $0.rfc3339.dropFirst(11).prefix(2) } == ["22", "23", "00", "01", "02"])
    }

    @Test func T2_11_theThirteenthOrAFriday() throws {
        let bench = Bench()
        bench.put("s", "cron", #"{"expr":"0 0 13 * 5"}"#)
        #expect(
            try bench.state("s").next.prefix(4).map { $0.rfc3339.prefix(10) }
                == ["2026-11-27", "2026-12-04", "2026-12-11", "2026-12-13"])
    }

    @Test func T2_12_springInBerlin() throws {
        let bench = Bench("2027-03-27T12:00:00.000Z")
        bench.dispatcher = .completes
        bench.put("s", "cron", #"{"expr":"30 2 * * *","timezone":"Europe/Berlin"}"#)
        bench.until("2027-03-28T12:00:00Z")
        #expect(bench.runs == ["s~20270328T010000Z"])
    }

    @Test func T2_13_autumnInBerlin() throws {
        let bench = Bench("2026-10-24T12:00:00.000Z")
        bench.dispatcher = .completes
        bench.put("s", "cron", #"{"expr":"30 2 * * *","timezone":"Europe/Berlin"}"#)
        bench.until("2026-10-25T12:00:00Z")
        #expect(bench.runs == ["s~20261025T003000Z"])
    }

    @Test func T2_14_leapDay() throws {
        let bench = Bench()
        bench.put("s", "cron", #"{"expr":"0 0 29 2 *"}"#)
        #expect(try bench.state("s").next.first?.rfc3339 == "2028-02-29T00:00:00.000Z")
    }

    @Test func T2_15_weekdaysOnASunday() throws {
        let bench = Bench("2026-11-22T08:00:00.000Z")
        bench.put("s", "cron", daily, #","conditions":{"daysOfWeek":["mon","tue","wed","thu","fri"]}"#)
        bench.until("2026-11-22T09:30:00Z")
        #expect(bench.slotsTold == ["SCHEDULE_SKIPPED condition:days_of_week"])
        #expect(try bench.state("s").runCount == 0)
    }

    @Test(arguments: [
        ("22:00", "06:00", "10:00", false), ("22:00", "06:00", "23:30", true), ("22:00", "06:00", "05:59", true),
        ("22:00", "06:00", "06:00", false), ("09:00", "17:00", "08:59", false), ("09:00", "17:00", "09:00", true),
        ("09:00", "17:00", "16:59", true), ("09:00", "17:00", "17:00", false),
    ])
    func T2_16_T2_17_activeHours(start: String, end: String, at: String, runs: Bool) {
        let bench = Bench("2026-11-20T00:00:00.000Z")
        let parts = at.split(separator: ":")
        bench.put(
            "s", "cron", #"{"expr":"\#(parts[1]) \#(parts[0]) * * *"}"#,
            #","conditions":{"active_hours":{"start":"\#(start)","end":"\#(end)"}}"#)
        bench.until("2026-11-20T23:59:00Z")
        #expect(bench.slotsTold == [runs ? "SCHEDULE_TRIGGERED" : "SCHEDULE_SKIPPED condition:active_hours"])
    }

    @Test func T2_18_conditionsAreJudgedWhenDue() {
        let bench = Bench()
        bench.put("s", "cron", daily, #","conditions":{"session_active":true,"custom":"agent_status == 'ready'"}"#)
        bench.status("desk", .paused)
        bench.until("2026-11-20T09:00:00Z")
        #expect(bench.slotsTold == ["SCHEDULE_SKIPPED condition:session_active"])
        #expect(
            bench.put("c", "cron", #"{"expr":"30 9 * * *"}"#, #","conditions":{"custom":"agent_status == 'ready'"}"#)?
                .ok == true)
        bench.until("2026-11-20T09:30:00Z")
        #expect(bench.slotsTold.last == "SCHEDULE_SKIPPED condition:custom")
    }

    @Test func T2_19_anotherEnvironment() {
        let bench = Bench { $0.environment = "development" }
        bench.put("s", "cron", daily, #","conditions":{"environment":["production"]}"#)
        bench.until("2026-11-20T09:00:00Z")
        #expect(bench.slotsTold == ["SCHEDULE_SKIPPED condition:environment"])
        #expect(bench.command("trigger", "s")?.code == .invalidCondition)
    }

    @Test func T2_18_aConditionThatCannotBeEvaluated() {
        let bench = Bench()
        bench.put("s", "cron", daily, #","conditions":{"custom":"1 / run_count > 0"}"#)
        bench.until("2026-11-20T09:00:00Z")
        #expect(bench.slotsTold == ["SCHEDULE_SKIPPED condition:custom_error"])
    }

    @Test func T2_20_runsAreCountedWhateverTheirEnd() throws {
        let bench = Bench()
        bench.put("s", "interval", minute)
        for (index, status) in [Status.success, .failed, .timeout].enumerated() {
            bench.pass(60_000)
            let state = try bench.state("s")
            #expect(state.runCount == index + 1 && state.lastRunAt == bench.wall && state.live.count == 1)
            bench.finish(bench.runs[index], status)
        }
        let state = try bench.state("s")
        #expect(state.failures == 2 && state.last?.status == .timeout && state.last?.durationMs == 12)
    }

    @Test func T2_21_eachNotificationIsSent() throws {
        let bench = Bench()
        let rest =
            #","notifications":{"on_failure":[{"channel":"log"},{"channel":"webhook","config":{"url":"http://x"}},{"channel":"memory"}]}"#
        bench.put("s", "interval", minute, rest)
        bench.pass(60_000)
        bench.dispatcher = .away
        bench.finish(bench.runs[0], .failed, code: .attemptsExhausted)
        #expect(
            bench.notes.map(\.topic) == [
                "main/martlet1/notify/log/scheduler.s", "main/martlet1/notify/memory/scheduler.s",
            ])
        let hook = try #require(bench.intents.first { $0.topic.contains("notify.webhook") })
        #expect(hook.topic.hasSuffix("/\(bench.runs[0]).n1"))
        let body = String(decoding: hook.message.payload, as: UTF8.self)
        #expect(body.contains(#""config":{"url":"http://x"}"#) && body.contains(#""code":"attempts_exhausted""#))
        let count = bench.intents.count
        bench.pass(5000)
        #expect(bench.intents.count == count + 1, "it is repeated until it is answered")
    }

    @Test func T2_22_aFailureIsToldOnce() throws {
        let bench = Bench()
        bench.put("s", "interval", minute, #","work":{"retry":{"count":2}}"#)
        bench.pass(60_000)
        #expect(String(decoding: bench.intents[0].message.payload, as: UTF8.self).contains(#""retry":{"count":2}"#))
        bench.finish(bench.runs[0], .failed, code: .attemptsExhausted)
        bench.finish(bench.runs[0], .failed, code: .attemptsExhausted)
        #expect(bench.notes.count == 1)
        let memory = try #require(bench.retained["main/martlet1/notify/memory/scheduler.s"])
        #expect(String(decoding: memory, as: UTF8.self).contains(#""status":"failed""#))
    }

    @Test func T2_24_aNewerSchedulerTakesOver() {
        let bench = Bench()
        var record = ServiceRecord(state: .up, version: "1", term: 7, boot: "other", since: bench.wall)
        record.boot = "other"
        bench.give(
            .message(
                InboundMessage(
                    topic: "_sys/martlet1/service/scheduler/scheduler", payload: record.encoded, retained: true)))
        #expect(bench.quits == 1)
        let stopping = Bench()
        stopping.give(.terminate)
        stopping.give(.terminate)
        #expect(stopping.quits == 2 && stopping.command("list", "x")?.code == .shuttingDown)
    }

    @Test func T2_25_aTriggerWhilePaused() throws {
        let bench = Bench()
        bench.put("s", "cron", daily)
        bench.command("pause", "s")
        let reply = bench.command("trigger", "s", #"{"request_id":"now"}"#, by: "shop")
        #expect(reply?.data?.text == #"{"task":"s~m.now","confirmed":true}"#)
        #expect(bench.runs == ["s~m.now"])
        #expect(String(decoding: bench.intents[0].message.payload, as: UTF8.self).contains(#""listeners":["shop"]"#))
        let state = try bench.state("s")
        #expect(state.next.isEmpty && state.manual == 1 && state.runCount == 1 && state.slots.decided == 0)
        #expect(
            bench.command("trigger", "s", #"{"request_id":"now"}"#)?.data?.text
                == #"{"task":"s~m.now","confirmed":true}"#)
        #expect(bench.intents.count == 1)
    }

    @Test func T2_26_aTriggerAtTheLimit() {
        let bench = Bench()
        bench.put("s", "cron", daily)
        bench.command("trigger", "s", #"{"request_id":"a"}"#)
        #expect(bench.command("trigger", "s", #"{"request_id":"b"}"#)?.code == .busy)
        bench.finish("s~m.a")
        #expect(bench.command("trigger", "s", #"{"request_id":"b"}"#)?.ok == true)
        #expect(bench.command("trigger", "s", #"{"request_id":"a~b"}"#)?.code == .invalidField)
    }

    @Test func T2_26_aTriggerThatNobodyAnswers() {
        let bench = Bench()
        bench.put("s", "cron", daily)
        bench.dispatcher = .away
        #expect(bench.command("trigger", "s", #"{"request_id":"a"}"#) == nil)
        bench.pass(5000)
        let reply =
            bench.replies["main/martlet1/reply/shop/schedule/trigger/a"]
            ?? bench.replies["main/martlet1/reply/shop/schedule/trigger/s"]
        #expect(reply?.data?.text == #"{"task":"s~m.a","confirmed":false}"#)
    }

    @Test func T2_27_aNewExpressionOwesNothingOld() throws {
        let bench = Bench()
        bench.put("s", "cron", daily)
        bench.until("2026-11-20T08:30:00Z")
        bench.put("s", "cron", #"{"expr":"0 8 * * *"}"#)
        #expect(bench.told == ["SCHEDULE_CREATED", "SCHEDULE_UPDATED put"])
        #expect(try bench.state("s").next.first?.rfc3339 == "2026-11-21T08:00:00.000Z")
    }

    @Test func T2_28_cooldown() throws {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "interval", #"{"every_ms":10000}"#, #","policy":{"cooldown_ms":60000}"#)
        bench.pass(120_000)
        let slots = try bench.state("s").slots
        #expect(slots.triggered == 2 && slots.skipped == [.cooldown: 10])
    }

    @Test func T2_45_lastRunOneSecondAndTwoMinutesAgo() throws {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "cron", daily, #","policy":{"cooldown_ms":60000}"#)
        bench.until("2026-11-20T08:59:59Z")
        bench.command("trigger", "s")
        bench.pass(1000)
        #expect(bench.slotsTold.last == "SCHEDULE_SKIPPED cooldown")
        bench.until("2026-11-21T08:58:00Z")
        bench.command("trigger", "s")
        bench.until("2026-11-21T09:00:00Z")
        #expect(bench.slotsTold.last == "SCHEDULE_TRIGGERED")
    }

    @Test func T2_46_theFourthSlotOfADay() throws {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "interval", minute, #","policy":{"limit_per_day":3}"#)
        bench.pass(240_000)
        #expect(bench.slotsTold.last == "SCHEDULE_SKIPPED limit_per_day")
        #expect(try bench.state("s").slots.triggered == 3)
        bench.until("2026-11-21T00:01:30Z")
        #expect(bench.slotsTold.last == "SCHEDULE_TRIGGERED")
    }
}
