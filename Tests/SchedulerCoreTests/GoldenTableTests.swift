import Contract
import Machine
import Testing
import TimeModel

/// The table of missed slots (`topics/schedules.md`, decision): grace 60 s, `0 9 * * *` in UTC unless said.
@Suite struct GoldenTableTests {
    static let nine = #"{"expr":"0 9 * * *"}"#
    static let deferring = #","policy":{"misfire":"defer_once"}"#
    static let policies = ["", deferring]

    private func bench(_ rest: String, _ start: String = "2026-11-20T08:00:00.000Z") -> Bench {
        let bench = Bench(start)
        bench.dispatcher = .completes
        bench.put("s", "cron", Self.nine, rest)
        bench.forgetAll()
        return bench
    }

    private func every(_ ms: Int, _ rest: String) -> Bench {
        let bench = Bench("2026-11-20T08:00:00.000Z")
        bench.dispatcher = .completes
        bench.put("s", "interval", #"{"every_ms":\#(ms)}"#, rest)
        bench.forgetAll()
        return bench
    }

    @Test(arguments: policies)
    func lateBy59999IsTriggered(rest: String) {
        let bench = bench(rest)
        bench.jump(3_600_000 + 59_999)
        bench.give(.wake)
        #expect(bench.slotsTold == ["SCHEDULE_TRIGGERED"])
    }

    @Test func lateBy60001() {
        let skipping = bench("")
        skipping.jump(3_600_000 + 60_001)
        skipping.give(.wake)
        #expect(skipping.slotsTold == ["MISFIRED_SKIPPED late"])
        let deferring = bench(Self.deferring)
        deferring.jump(3_600_000 + 60_001)
        deferring.give(.wake)
        #expect(deferring.slotsTold == ["MISFIRED_DEFERRED late", "SCHEDULE_TRIGGERED"])
        #expect(deferring.runs == ["s~20261120T090000Z"])
    }

    @Test func downFrom0859To0905() throws {
        let skipping = bench("")
        skipping.until("2026-11-20T08:59:00Z")
        skipping.restart(after: 360_000)
        #expect(skipping.slotsTold == ["MISFIRED_SKIPPED late"])
        let deferring = bench(Self.deferring)
        deferring.until("2026-11-20T08:59:00Z")
        deferring.restart(after: 360_000)
        #expect(deferring.slotsTold == ["MISFIRED_DEFERRED late", "SCHEDULE_TRIGGERED"])
        #expect(deferring.intents.first?.at.rfc3339 == "2026-11-20T09:05:00.000Z")
        #expect(try deferring.state("s").slots.deferred == 1)
    }

    @Test func downThreeDaysBackAt10() {
        let skipping = bench("", "2026-11-20T09:30:00.000Z")
        skipping.restart(after: 3 * 86_400_000 + 1_800_000)
        #expect(skipping.slotsTold == ["MISFIRED_SKIPPED superseded 2", "MISFIRED_SKIPPED late"])
        let deferring = bench(Self.deferring, "2026-11-20T09:30:00.000Z")
        deferring.restart(after: 3 * 86_400_000 + 1_800_000)
        #expect(
            deferring.slotsTold
                == ["MISFIRED_SKIPPED superseded 2", "MISFIRED_DEFERRED late", "SCHEDULE_TRIGGERED"])
        #expect(deferring.runs == ["s~20261123T090000Z"])
    }

    @Test(arguments: policies)
    func every10SecondsAStallOf35(rest: String) {
        let bench = every(10_000, rest)
        bench.jump(35_000)
        bench.give(.wake)
        #expect(bench.slotsTold == ["MISFIRED_SKIPPED superseded 2", "SCHEDULE_TRIGGERED"])
    }

    @Test(arguments: policies)
    func everyMinuteDownFor101(rest: String) {
        let bench = every(60_000, rest)
        bench.restart(after: 101 * 60_000)
        #expect(bench.slotsTold == ["MISFIRED_SKIPPED superseded 100", "SCHEDULE_TRIGGERED"])
    }

    @Test(arguments: policies)
    func everySecondDownAYear(rest: String) throws {
        let bench = every(1000, rest)
        bench.restart(after: 365 * 86_400_000)
        #expect(bench.slotsTold == ["MISFIRED_SKIPPED superseded 1000 more", "SCHEDULE_TRIGGERED"])
        let slots = try bench.state("s").slots
        #expect(slots.decided == 1001 && slots.triggered == 1 && slots.skipped == [.superseded: 1000])
    }

    @Test(arguments: policies)
    func restartFiveSecondsLater(rest: String) {
        let bench = bench(rest)
        bench.until("2026-11-20T09:00:05Z")
        #expect(bench.slotsTold == ["SCHEDULE_TRIGGERED"])
        bench.forgetAll()
        bench.restart()
        #expect(bench.slotsTold == [] && bench.runs == [])
    }

    @Test(arguments: policies)
    func restartFiveSecondsLaterWithALostCursor(rest: String) throws {
        let bench = bench(rest)
        bench.until("2026-11-20T08:59:59Z")
        let before = bench.journal
        bench.until("2026-11-20T09:00:05Z")
        bench.forgetAll()
        bench.journal = before
        bench.restart()
        #expect(bench.runs == ["s~20261120T090000Z"])
        #expect(try bench.state("s").slots.triggered == 1)
    }

    @Test(arguments: policies)
    func clockBackOneHourAt0930(rest: String) throws {
        let bench = bench(rest)
        bench.until("2026-11-20T09:30:00Z")
        bench.forgetAll()
        bench.set(clockBy: -3_600_000)
        bench.pass(2 * 3_600_000)
        #expect(bench.slotsTold == [] && bench.runs == [])
        #expect(try bench.state("s").slots.decided == 1)
    }

    @Test(arguments: policies)
    func clockBackFiveHoursAt12(rest: String) throws {
        let bench = bench(rest)
        bench.until("2026-11-20T12:00:00Z")
        bench.forgetAll()
        bench.set(clockBy: -5 * 3_600_000)
        bench.pass(3 * 3_600_000)
        #expect(bench.runs == ["s~20261120T090000Z"])
        let state = try bench.state("s")
        #expect(state.slots.decided == 1 && state.runCount == 1)
    }

    @Test func clockForward12HoursAt8() {
        let skipping = bench("")
        skipping.set(clockBy: 12 * 3_600_000)
        #expect(skipping.slotsTold == ["MISFIRED_SKIPPED late"])
        #expect(skipping.retained["main/martlet1/alert/scheduler.clock"] != nil)
        skipping.pass(600_000)
        #expect(skipping.retained["main/martlet1/alert/scheduler.clock"] == nil)
        let deferring = bench(Self.deferring)
        deferring.set(clockBy: 12 * 3_600_000)
        #expect(deferring.slotsTold == ["MISFIRED_DEFERRED late", "SCHEDULE_TRIGGERED"])
    }

    @Test func suspendedFrom8To11() {
        let skipping = bench("")
        skipping.jump(3 * 3_600_000)
        skipping.give(.wake)
        #expect(skipping.slotsTold == ["MISFIRED_SKIPPED late"])
        let deferring = bench(Self.deferring)
        deferring.jump(3 * 3_600_000)
        deferring.give(.wake)
        #expect(deferring.slotsTold == ["MISFIRED_DEFERRED late", "SCHEDULE_TRIGGERED"])
    }

    @Test func brokerAwayFrom0859To0910() {
        let skipping = bench("")
        skipping.until("2026-11-20T08:59:00Z")
        skipping.disconnect()
        skipping.until("2026-11-20T09:10:00Z")
        #expect(skipping.events.isEmpty)
        skipping.connect()
        #expect(skipping.slotsTold == ["MISFIRED_SKIPPED late"])
        let deferring = bench(Self.deferring)
        deferring.until("2026-11-20T08:59:00Z")
        deferring.disconnect()
        deferring.until("2026-11-20T09:10:00Z")
        #expect(deferring.intents.isEmpty)
        deferring.connect()
        #expect(deferring.slotsTold == ["MISFIRED_DEFERRED late", "SCHEDULE_TRIGGERED"])
        #expect(deferring.intents.first?.at.rfc3339 == "2026-11-20T09:10:00.000Z")
    }

    @Test func dispatcherAwayFrom0859To0910() throws {
        let skipping = bench("")
        skipping.dispatcher = .away
        skipping.until("2026-11-20T09:10:00Z")
        #expect(skipping.slotsTold == [] && skipping.runs == ["s~20261120T090000Z"])
        #expect(skipping.intents.count > 5)
        #expect(try skipping.state("s").slots.pending == 1)
        skipping.finish("s~20261120T090000Z", .rejected, code: .expired)
        #expect(skipping.slotsTold == ["MISFIRED_SKIPPED expired"])
        let deferring = bench(Self.deferring)
        deferring.dispatcher = .away
        deferring.until("2026-11-20T09:10:00Z")
        deferring.dispatcher = .completes
        deferring.pass(60_000)
        #expect(deferring.slotsTold == ["SCHEDULE_TRIGGERED"])
    }

    @Test func targetAway() {
        for rest in Self.policies {
            let bench = bench(rest)
            bench.status("desk", .lost)
            bench.until("2026-11-20T09:00:30Z")
            bench.status("desk", .online)
            #expect(bench.slotsTold == ["SCHEDULE_TRIGGERED"])
            #expect(bench.intents.first?.at.rfc3339 == "2026-11-20T09:00:30.000Z")
        }
        let skipping = bench("")
        skipping.status("desk", .lost)
        skipping.until("2026-11-20T09:10:00Z")
        #expect(skipping.slotsTold == ["MISFIRED_SKIPPED target"])
        let deferring = bench(Self.deferring)
        deferring.status("desk", .lost)
        deferring.until("2026-11-20T09:10:00Z")
        deferring.status("desk", .online)
        #expect(deferring.slotsTold == ["MISFIRED_DEFERRED target", "SCHEDULE_TRIGGERED"])
        #expect(deferring.intents.first?.at.rfc3339 == "2026-11-20T09:10:00.000Z")
    }

    @Test func allRunsLive() {
        let skipping = every(60_000, "")
        skipping.dispatcher = .accepts
        skipping.pass(120_000)
        #expect(skipping.slotsTold == ["SCHEDULE_TRIGGERED", "MISFIRED_SKIPPED overlap"])
        let deferring = every(60_000, Self.deferring)
        deferring.dispatcher = .accepts
        deferring.pass(130_000)
        #expect(deferring.slotsTold == ["SCHEDULE_TRIGGERED", "MISFIRED_DEFERRED overlap"])
        deferring.finish(deferring.runs[0])
        #expect(deferring.slotsTold.last == "SCHEDULE_TRIGGERED" && deferring.runs.count == 2)
    }

    @Test func deferredAndTheNextSlotComes() throws {
        let bench = bench(Self.deferring)
        bench.status("desk", .lost)
        bench.until("2026-11-21T09:00:00Z")
        #expect(bench.slotsTold == ["MISFIRED_DEFERRED target", "MISFIRED_SKIPPED absorbed"])
        bench.status("desk", .online)
        #expect(bench.runs == ["s~20261121T090000Z"])
        #expect(try bench.state("s").slots.decided == 2)
    }

    @Test func pausedFrom8To10() throws {
        for rest in Self.policies {
            let bench = bench(rest)
            bench.command("pause", "s")
            bench.until("2026-11-20T10:00:00Z")
            bench.command("resume", "s")
            #expect(bench.slotsTold == ["SCHEDULE_SKIPPED paused"])
        }
        let bench = bench(Self.deferring)
        bench.command("pause", "s")
        bench.until("2026-11-20T10:00:00Z")
        bench.command("resume", "s", #"{"catch_up":true}"#)
        #expect(bench.slotsTold == ["MISFIRED_DEFERRED paused", "SCHEDULE_TRIGGERED"])
        #expect(bench.runs == ["s~20261120T090000Z"])
        #expect(try bench.state("s").slots.decided == 1)
    }

    @Test(arguments: policies)
    func changedAt090030(rest: String) {
        let bench = bench(rest)
        bench.status("desk", .lost)
        bench.until("2026-11-20T09:00:30Z")
        bench.put("s", "cron", #"{"expr":"0 10 * * *"}"#, rest)
        #expect(bench.slotsTold == ["SCHEDULE_SKIPPED updated"])
    }
}
