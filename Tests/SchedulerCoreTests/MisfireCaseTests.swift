import Contract
import Machine
import Testing
import TimeModel
import Wire

/// Triggers, misfires, gates, refusals, audit.
@Suite struct MisfireCaseTests {
    private let minute = #"{"every_ms":60000}"#
    private let daily = #"{"expr":"0 9 * * *"}"#
    private let deferring = #","policy":{"misfire":"defer_once"}"#

    @Test func T3_01_defaultsOfAPlainDocument() throws {
        let bench = Bench()
        let reply = bench.command(
            "put", "s",
            #"{"type":"cron","spec":{"expr":"0 9 * * 1-5","timezone":"Europe/Berlin"},"target":{"workspace_id":"main","agent_id":"codex"}}"#
        )
        #expect(reply?.ok == true && reply?.rev == 1)
        let text = try #require(bench.view("s")).definition.text
        #expect(text.contains(#""work":{"capability":"run"}"#))
        #expect(text.contains(#""misfire":"skip""#) && text.contains(#""max_concurrent_runs":1"#))
        #expect(bench.told == ["SCHEDULE_CREATED"])
    }

    @Test func T3_06_theSourceExampleWithItsOwnNames() throws {
        let bench = Bench()
        let reply = bench.command(
            "put", "s",
            #"{"skillId":"report","timeoutMs":5000,"schedule":{"type":"once","timestamp":1795251600000},"target":{"workspace_id":"main","agent_id":"codex"},"retryCount":1,"onSuccess":{"type":"log"},"runCount":4}"#
        )
        #expect(reply?.ok == true)
        let text = try #require(bench.view("s")).definition.text
        #expect(text.contains(#""type":"one-shot","spec":{"run_at":"2026-11-21T09:00:00.000Z"}"#))
        #expect(text.contains(#""work":{"capability":"report","timeout_ms":5000,"retry":{"count":1}}"#))
        #expect(text.contains(#""on_success":[{"channel":"log"}]"#))
        let other = bench.command(
            "put", "i",
            #"{"skill_id":"a","work":{"capability":"b"},"type":"interval","spec":{"interval_ms":1000},"target":{"tenant_id":"main","assistant_id":"x"}}"#
        )
        #expect(other?.code == .invalidField)
    }

    @Test(arguments: [
        #"{"type":"cron","spec":{"run_at":"2026-11-21T09:00:00Z"}}"#,
        #"{"type":"interval","spec":{"expr":"* * * * *"}}"#,
        #"{"type":"interval","spec":{"every_ms":1000,"expr":"* * * * *"}}"#,
        #"{"type":"weekly","spec":{"every_ms":1000}}"#,
        #"{"type":"cron","spec":{}}"#, #"{"spec":{"every_ms":1000}}"#, #"{"type":"interval","spec":{"every_ms":999}}"#,
        #"{"type":"cron","spec":{"expr":"* * * * *","timezone":"Mars/Base"}}"#,
        #"{"type":"one-shot","spec":{"run_at":1795251600}}"#, #"{"type":"one-shot","spec":{"run_at":"soon"}}"#,
        #"{"type":"interval","spec":{"every_ms":1000},"bounds":{"not_before":"2027-01-01T00:00:00Z","not_after":"2026-12-01T00:00:00Z"}}"#,
    ])
    func T3_02_specsThatDoNotFitTheirType(text: String) {
        let bench = Bench()
        let body = text.dropLast() + #","target":{"workspace_id":"main","agent_id":"desk"}}"#
        #expect(bench.command("put", "s", String(body))?.code == .invalidSpec)
        #expect(bench.retained["main/martlet1/schedule/s"] == nil && bench.told == [])
    }

    @Test func T3_03_aOneShotIsNeverDeferred() {
        let bench = Bench()
        let spec = #"{"run_at":"2026-11-21T09:00:00Z"}"#
        #expect(bench.put("s", "one-shot", spec, deferring)?.code == .invalidMisfirePolicy)
        #expect(bench.put("s", "cron", daily, #","policy":{"misfire":"replay"}"#)?.code == .invalidMisfirePolicy)
    }

    @Test(arguments: [
        ("{}", Code.missingTarget), (#"{"workspace_id":"main"}"#, .missingTarget),
        (#"{"workspace_id":"main","agent_id":""}"#, .missingTarget),
        (#"{"workspace_id":"main","agent_id":null}"#, .missingTarget),
        (#"{"workspace_id":"other","agent_id":"desk"}"#, .permissionDenied),
        (#"{"workspace_id":"main","agent_id":"desk","session_id":"x"}"#, .invalidSpec),
        (#"{"workspace_id":"main","agent_id":"a b"}"#, .invalidField),
    ])
    func T3_04_T3_05_targets(target: String, code: Code) {
        let bench = Bench()
        let reply = bench.command("put", "s", #"{"type":"interval","spec":{"every_ms":1000},"target":\#(target)}"#)
        #expect(reply?.code == code)
    }

    @Test(arguments: [
        (#""conditions":{"days_of_week":["funday"]}"#, Code.invalidCondition),
        (#""conditions":{"active_hours":{"start":"09:00","end":"09:00"}}"#, .invalidCondition),
        (#""conditions":{"custom":"hour >"}"#, .invalidCondition),
        (#""conditions":{"environment":[]}"#, .invalidCondition),
        (#""exclude":[]"#, .invalidField), (#""overlap":"skip""#, .invalidField),
        (#""policy":{"misfire_grace_ms":10}"#, .invalidField), (#""work":{"capability":"a b"}"#, .invalidField),
        (#""note":5"#, .invalidField), (#""schema_version":2"#, .unsupportedSchema),
        (#""notifications":{"on_skip":{"channel":"pigeon"}}"#, .invalidField),
        (#""work":{"mode":"sideways"}"#, .invalidField),
    ])
    func T3_02_otherRefusals(field: String, code: Code) {
        let bench = Bench()
        #expect(bench.put("s", "interval", minute, "," + field)?.code == code)
    }

    @Test func T3_02_theFirstCodeInTheirOrderCounts() throws {
        let bench = Bench()
        let reply = bench.command(
            "put", "s",
            #"{"type":"cron","spec":{"expr":"60 * * * *"},"policy":{"misfire":"x"},"conditions":{"custom":"("},"note":1}"#
        )
        #expect(reply?.code == .invalidSpec)
        let data = try #require(reply?.data?.text)
        for word in [
            "invalid_spec", "missing_target", "invalid_misfire_policy", "invalid_condition", "invalid_field",
            #""at":0"#,
        ] {
            #expect(data.contains(word), "\(word) in \(data)")
        }
    }

    @Test(arguments: ["", #","policy":{"misfire":"defer_once"}"#])
    func T3_07_everyMinuteDownForFive(rest: String) {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "interval", minute, rest)
        bench.restart(after: 5 * 60_000 + 30_000)
        #expect(bench.slotsTold == ["MISFIRED_SKIPPED superseded 4", "SCHEDULE_TRIGGERED"])
    }

    @Test func T3_08_theSameWithAGraceOfOneSecond() {
        let skipping = Bench()
        skipping.put("s", "interval", minute, #","policy":{"misfire_grace_ms":1000}"#)
        skipping.restart(after: 5 * 60_000 + 30_000)
        #expect(skipping.slotsTold == ["MISFIRED_SKIPPED superseded 4", "MISFIRED_SKIPPED late"])
        let bench = Bench()
        bench.put("s", "interval", minute, #","policy":{"misfire_grace_ms":1000,"misfire":"defer_once"}"#)
        bench.restart(after: 5 * 60_000 + 30_000)
        #expect(bench.slotsTold == ["MISFIRED_SKIPPED superseded 4", "MISFIRED_DEFERRED late", "SCHEDULE_TRIGGERED"])
    }

    @Test func T3_09_oneRunForManyMissedSlots() throws {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "interval", #"{"every_ms":120000}"#, deferring)
        bench.status("desk", .lost)
        bench.pass(4 * 120_000 + 61_000)
        #expect(try bench.state("s").pendingDeferred?.reason == "target")
        bench.status("desk", .online)
        #expect(bench.runs == ["s~20261120T080800Z"])
        let slots = try bench.state("s").slots
        #expect(slots.deferred == 1 && slots.skipped == [.absorbed: 3] && slots.pending == 0)
    }

    @Test func T3_10_theNextSlotTakesTheDeferredOnesPlace() {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "interval", #"{"every_ms":120000}"#, deferring)
        bench.status("desk", .lost)
        bench.pass(239_000)
        bench.pass(1000)
        bench.status("desk", .online)
        #expect(bench.runs == ["s~20261120T080400Z"])
    }

    @Test func T3_11_T3_12_oneShotsMissedAndLate() throws {
        let missed = Bench()
        missed.put("s", "one-shot", #"{"run_at":"2026-11-20T08:00:10Z"}"#)
        missed.restart(after: 3_600_000)
        #expect(missed.told == ["SCHEDULE_CREATED", "MISFIRED_SKIPPED late", "SCHEDULE_DISABLED expired"])
        let late = Bench()
        late.put("s", "one-shot", #"{"run_at":"2026-11-20T08:00:10Z"}"#)
        late.restart(after: 40_000)
        #expect(late.told == ["SCHEDULE_CREATED", "SCHEDULE_TRIGGERED", "SCHEDULE_DISABLED completed"])
    }

    @Test func T3_13_T3_14_runsAtOneTime() throws {
        let bench = Bench()
        bench.put("s", "interval", minute, #","policy":{"max_concurrent_runs":2}"#)
        bench.pass(180_000)
        #expect(bench.slotsTold == ["SCHEDULE_TRIGGERED", "SCHEDULE_TRIGGERED", "MISFIRED_SKIPPED overlap"])
        #expect(try bench.state("s").live.count == 2)
        bench.pass(120_000)
        #expect(bench.retained["main/martlet1/alert/scheduler.stalled"] != nil)
        bench.finish(bench.runs[0])
        bench.pass(60_000)
        #expect(bench.retained["main/martlet1/alert/scheduler.stalled"] == nil)
        bench.restart(after: 1000)
        #expect(bench.retained["main/martlet1/alert/scheduler.stalled"] == nil, "what is over stays over")
    }

    @Test(arguments: [ExecutorState.paused, .offline, .draining, .lost, .sleeping])
    func T3_15_statusesThatKeepTheGateShut(state: ExecutorState) {
        let bench = Bench()
        bench.put("s", "cron", daily)
        bench.status("desk", state)
        bench.until("2026-11-20T09:02:00Z")
        #expect(bench.intents.isEmpty && bench.slotsTold == ["MISFIRED_SKIPPED target"])
    }

    @Test(arguments: Verdict.allCases)
    func T3_15_T3_16_verdicts(verdict: Verdict) {
        let bench = Bench()
        bench.put("s", "cron", daily)
        let record = ServiceRecord(state: .up, version: "1", term: 1, boot: "h", since: bench.wall)
        bench.give(
            .message(
                InboundMessage(topic: "_sys/martlet1/service/heartbeat/main", payload: record.encoded, retained: true)))
        let view = LivenessView(verdict: verdict, boot: "x")
        bench.give(
            .message(InboundMessage(topic: "main/martlet1/liveness/desk", payload: view.encoded, retained: true)))
        bench.until("2026-11-20T09:02:00Z")
        let passes = [Verdict.ready, .running, .busy].contains(verdict)
        #expect(bench.slotsTold == [passes ? "SCHEDULE_TRIGGERED" : "MISFIRED_SKIPPED target"])
    }

    @Test func T3_18_aSlotsIdIsAlwaysTheSame() throws {
        let bench = Bench()
        bench.dispatcher = .away
        bench.put("s", "cron", daily)
        bench.until("2026-11-20T09:05:00Z")
        bench.restart()
        bench.pass(120_000)
        #expect(bench.runs == ["s~20261120T090000Z"])
        #expect(Set(bench.intents.map(\.message.payload)).count == 1)
        let waits = zip(bench.intents.dropFirst(), bench.intents).map { $0.at - $1.at }
        #expect(waits.prefix(5) == [5000, 10_000, 20_000, 40_000, 60_000])
    }

    @Test func T3_19_noExpiryIsGivenWhenTheTimeIsOver() {
        let bench = Bench()
        bench.dispatcher = .away
        bench.put("s", "cron", daily)
        bench.until("2026-11-20T09:03:00Z")
        #expect(bench.intents.first?.message.expirySeconds == 60)
        #expect(bench.intents.last?.message.expirySeconds == nil)
    }

    @Test func T3_19_aDispatcherWithoutRoom() throws {
        let bench = Bench()
        bench.dispatcher = .away
        bench.put("s", "cron", daily)
        bench.until("2026-11-20T09:00:00Z")
        let busy = bench.resultMessage("s~20261120T090000Z", .rejected, code: .busy, retryAfterMs: 20_000)
        bench.give(.message(busy))
        bench.pass(19_999)
        #expect(bench.intents.count == 1)
        bench.pass(1)
        #expect(bench.intents.count == 2)
        bench.give(.message(busy))
        bench.pass(120_000)
        #expect(bench.slotsTold == ["MISFIRED_SKIPPED expired"])
        #expect(try bench.state("s").slots.skipped == [.expired: 1])
    }

    @Test func T3_21_aFailedRunIsNotSentAnew() {
        let bench = Bench()
        bench.put("s", "cron", daily)
        bench.until("2026-11-20T09:00:00Z")
        bench.finish(bench.runs[0], .failed, code: .attemptsExhausted)
        let count = bench.intents.count
        bench.pass(3_600_000)
        #expect(bench.intents.count == count)
    }

    @Test func T3_22_manyFailuresInARowDisable() throws {
        let bench = Bench()
        bench.put("s", "interval", minute, #","policy":{"disable_after":2}"#)
        for n in 0..<2 {
            bench.pass(60_000)
            bench.finish(bench.runs[n], .failed)
        }
        #expect(bench.told.last == "SCHEDULE_DISABLED failures")
        #expect(bench.command("pause", "s")?.code == .expired && bench.command("resume", "s")?.code == .expired)
        #expect(bench.command("enable", "s")?.ok == true)
        #expect(bench.told.last == "SCHEDULE_RESUMED enabled")
        #expect(try bench.state("s").status == .active)
    }

    @Test func T3_23_pausedForTenSlots() throws {
        let bench = Bench()
        bench.put("s", "interval", minute)
        bench.command("pause", "s", #"{"until":"2026-11-20T08:10:00Z"}"#)
        bench.pass(600_000)
        #expect(
            bench.told == [
                "SCHEDULE_CREATED", "SCHEDULE_PAUSED operator", "SCHEDULE_SKIPPED paused 10", "SCHEDULE_RESUMED until",
            ])
        #expect(try bench.state("s").slots.skipped == [.paused: 10])
    }

    @Test func T3_24_theSchedulerWritesNoWork() {
        let rules = Role.scheduler.rules(workspace: "main", principal: "scheduler")
        #expect(!rules.contains { $0.access == .write && $0.filter.contains("/work/") })
    }

    @Test func T3_26_theSameAgainAndAnOldRevision() {
        let bench = Bench()
        bench.put("s", "cron", daily)
        #expect(bench.put("s", "cron", daily)?.rev == 1)
        #expect(bench.told == ["SCHEDULE_CREATED"])
        #expect(bench.put("s", "cron", #"{"expr":"0 10 * * *"}"#, #","if_rev":1"#)?.rev == 2)
        let reply = bench.put("s", "cron", #"{"expr":"0 11 * * *"}"#, #","if_rev":1"#)
        #expect(reply?.code == .conflictRev && reply?.data?.text.contains("0 10 * * *") == true)
        #expect(bench.put("s", "cron", daily, #","if_rev":0"#)?.code == .conflictRev)
        #expect(bench.command("delete", "s", #"{"if_rev":1}"#)?.code == .conflictRev)
        #expect(bench.command("delete", "s", #"{"if_rev":2}"#)?.ok == true)
        #expect(bench.put("s", "cron", daily, #","if_rev":2"#)?.code == .conflictRev)
    }

    @Test func T3_27_G13_aClockThatMovesAnHour() {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "cron", #"{"expr":"0 * * * *"}"#)
        bench.until("2026-11-20T10:30:00Z")
        let runs = bench.runs
        bench.set(clockBy: -3_600_000)
        bench.pass(3_600_000)
        #expect(bench.runs == runs)
        bench.set(clockBy: 3_600_000)
        #expect(bench.runs.count == Set(bench.runs).count)
        bench.pass(3_600_000)
        #expect(bench.slotsTold.filter { $0 == "SCHEDULE_TRIGGERED" }.count == bench.runs.count)
    }
}
