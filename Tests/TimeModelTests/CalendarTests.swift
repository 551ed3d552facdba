import Testing
import TimeModel

@Suite struct CalendarTests {
    @Test func everyDayOfFourCenturiesFollowsTheOneBefore() {
        var date = CivilDate(year: 1800, month: 1, day: 1)
        var number = date.dayNumber
        #expect(number == -62_091)
        var weekday = 3
        while date.year < 2210 {
            let round = CivilDate(dayNumber: number)
            if round != date || date.dayNumber != number || date.weekday != weekday {
                Issue.record("\(date) differs from \(round)")
                return
            }
            date.day += 1
            if date.day > CivilDate.daysInMonth(year: date.year, month: date.month) {
                date.day = 1
                date.month += 1
            }
            if date.month > 12 {
                date.month = 1
                date.year += 1
            }
            number += 1
            weekday = (weekday + 1) % 7
        }
    }

    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("1970-01-01T01:00:00+01:00", 0), ("1969-12-31T23:59:59.999Z", -1),
        ("2026-11-20T09:00:00.000Z", 1_795_165_200_000), ("2026-11-20t10:30:00.12345+01:30", 1_795_165_200_123),
        ("2026-11-20T09:00:00.5-00:00", 1_795_165_200_500), ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000), ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ])
    func textWithAnyOffsetIsRead(text: String, milliseconds: Int) {
        #expect(WallTime(rfc3339: text)?.milliseconds == milliseconds)
        #expect(WallTime(rfc3339: Array(text.utf8))?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "2026-11-20", "2026-11-20T09:00:00", "2026-11-20 09:00:00Z", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+01:60",
        "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00Z ", " 2026-01-01T00:00:00Z", "2026-1-01T00:00:00Z",
        "+2026-01-01T00:00:00Z", "2026-01-01T00:00:00ZZ", "2026-01-01T00:00Z",
        "0000-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    ])
    func otherTextIsRefused(text: String) {
        #expect(WallTime(rfc3339: text) == nil)
    }

    @Test func aTextWithoutOffsetIsLocal() {
        let text = TimeText("2026-11-20T09:00:00.250".utf8)
        #expect(text?.local == CivilTime(CivilDate(year: 2026, month: 11, day: 20), hour: 9))
        #expect(text?.millisecond == 250)
        #expect(text?.offset == nil)
    }

    @Test func writingAndReadingAgree() {
        for step in 0..<19_900 {
            let instant = WallTime(milliseconds: -60_000_000_000_000 + step * 15_700_000_123)
            let text = instant.rfc3339
            if text.utf8.count != 24 || WallTime(rfc3339: text) != instant { Issue.record("\(instant) as \(text)") }
        }
        #expect(WallTime(milliseconds: 1_795_165_200_007).rfc3339 == "2026-11-20T09:00:00.007Z")
        #expect(WallTime(milliseconds: Int.max).rfc3339 == "9999-12-31T23:59:59.999Z")
        #expect(WallTime(milliseconds: Int.min).rfc3339 == "0000-01-01T00:00:00.000Z")
    }

    @Test func shortTextCarriesMillisecondsOnlyWhenThereAreSome() {
        #expect(WallTime(milliseconds: 1_795_165_200_000).basicText == "20261120T090000Z")
        #expect(WallTime(milliseconds: 1_795_165_200_007).basicText == "20261120T090000.007Z")
        #expect(CivilDate(year: 2026, month: 3, day: 9).text == "2026-03-09")
    }
}
