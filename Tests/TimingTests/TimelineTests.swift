import Testing
import TimeModel
import Timing

@Suite struct TimelineTests {
    private let start = WallTime(milliseconds: 1_795_165_200_000)

    @Test func intervalSlotsKeepTheGridOver1000LateRuns() {
        let timeline = Timeline(.interval(every: 60_000, anchor: start, first: 1))
        #expect(timeline.next(after: start - 1_000_000) == start + 60_000)
        #expect(timeline.previous(atOrBefore: start) == nil)
        var time = start
        for n in 1...1000 {
            let slot = timeline.next(after: time)
            #expect(slot == start + n * 60_000)
            time = (slot ?? time) + 59_999
        }
        #expect(timeline.previous(atOrBefore: start + 119_999) == start + 60_000)
    }

    @Test func aStartAheadIsTheFirstSlot() {
        let timeline = Timeline(.interval(every: 60_000, anchor: start + 5000, first: 0))
        #expect(timeline.next(after: start) == start + 5000)
        #expect(timeline.next(after: start + 5000) == start + 65_000)
    }

    @Test func hugeIntervalsDoNotOverflow() {
        let timeline = Timeline(.interval(every: 3_155_760_000_000, anchor: start, first: 1))
        #expect(timeline.next(3, after: start).count == 3)
        let edge = Timeline(.interval(every: Int.max / 2, anchor: WallTime(milliseconds: 0), first: 3))
        #expect(edge.next(after: start) == nil)
    }

    @Test func aOneShotHasOneSlot() {
        let timeline = Timeline(.once(start))
        #expect(timeline.next(after: start - 1) == start)
        #expect(timeline.next(after: start) == nil)
        #expect(timeline.previous(atOrBefore: start - 1) == nil)
        #expect(timeline.previous(atOrBefore: start + 5) == start)
    }

    @Test func boundsCut() {
        let timeline = Timeline(
            .interval(every: 60_000, anchor: start, first: 0), notBefore: start + 60_000, notAfter: start + 180_000)
        #expect(timeline.next(10, after: start - 1).map { $0 - start } == [60_000, 120_000, 180_000])
        #expect(timeline.previous(atOrBefore: start + 999_999) == start + 180_000)
        #expect(timeline.previous(atOrBefore: start + 59_999) == nil)
    }

    @Test func slotsBetweenAreCountedToALimit() {
        let timeline = Timeline(.interval(every: 1000, anchor: start, first: 0))
        let few = timeline.slots(after: start, before: start + 4000, limit: 1000)
        #expect(few == SlotRange(count: 3, first: start + 1000, last: start + 3000, more: false))
        let exact = timeline.slots(after: start, before: start + 1_001_000, limit: 1000)
        #expect(exact?.count == 1000 && exact?.more == false)
        let many = timeline.slots(after: start, before: start + 31_536_000_000, limit: 1000)
        #expect(many?.count == 1000 && many?.more == true && many?.last == start + 31_535_999_000)
        #expect(timeline.slots(after: start, before: start + 1000, limit: 1000) == nil)
    }

    @Test func jitterStaysBeforeTheFollowingSlotAndRepeats() {
        var seen: Set<Int> = []
        for n in 0..<500 {
            let slot = start + n * 1000
            let delay = Jitter.delay(id: "backup", slot: slot, following: slot + 1000, limit: 5000)
            #expect(delay >= 0 && delay <= 999)
            #expect(delay == Jitter.delay(id: "backup", slot: slot, following: slot + 1000, limit: 5000))
            seen.insert(delay)
        }
        #expect(seen.count > 200)
        #expect(Jitter.delay(id: "backup", slot: start, following: nil, limit: 0) == 0)
        #expect(Jitter.delay(id: "backup", slot: start, following: start + 1, limit: 100) == 0)
    }

    @Test func activeHoursIncludeTheStartAndExcludeTheEnd() throws {
        let night = try #require(ActiveHours(start: "22:00", end: "06:00"))
        let day = try #require(ActiveHours(start: "09:00", end: "17:00"))
        func at(_ hour: Int, _ minute: Int) -> Int { hour * 3600 + minute * 60 }
        #expect([at(10, 0), at(23, 30), at(5, 59), at(6, 0)].map(night.contains) == [false, true, true, false])
        #expect([at(8, 59), at(9, 0), at(16, 59), at(17, 0)].map(day.contains) == [false, true, true, false])
        #expect(try #require(ActiveHours(start: "12:00", end: "24:00")).contains(secondOfDay: 86_399))
        #expect(night.startText == "22:00" && night.endText == "06:00")
    }

    @Test(arguments: [
        ("09:00", "09:00"), ("24:00", "06:00"), ("9:00", "17:00"), ("09:60", "17:00"), ("09:00", "24:01"), ("", ""),
        ("09:00", "25:00"),
    ])
    func badHoursAreRefused(start: String, end: String) {
        #expect(ActiveHours(start: start, end: end) == nil)
    }

    @Test func aWindowJudgesTheLocalDate() throws {
        let tokyo = try #require(SystemZones.catalog.zone(named: "Asia/Tokyo"))
        let sunday = try #require(WallTime(rfc3339: "2026-11-22T08:00:00+09:00"))
        let window = LocalWindow(
            hours: ActiveHours(start: "08:00", end: "09:00"), weekdays: WeekdaySet(["mon", "sat"]), zone: tokyo)
        #expect(window.hasHour(at: sunday) && !window.hasWeekday(at: sunday))
        #expect(window.hasWeekday(at: sunday - 9 * 3_600_000) && !window.hasHour(at: sunday - 1))
        #expect(WeekdaySet(["mon", "funday"]) == nil && WeekdaySet([]) == nil)
        #expect(WeekdaySet(["sun", "mon"])?.texts == ["mon", "sun"])
    }
}
