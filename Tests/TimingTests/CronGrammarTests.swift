import Testing
import TimeModel

@testable import Timing

/// Every rule of the cron grammar (`topics/schedules.md`).
@Suite struct CronGrammarTests {
    private func bits(_ values: [Int]) -> UInt64 { values.reduce(0) { $0 | 1 << UInt64($1) } }

    private func days(_ text: String, _ year: Int, _ month: Int) throws -> [Int] {
        let mask = try CronExpression(text).days.mask(year: year, month: month)
        return (1...31).filter { mask & 1 << UInt32($0) != 0 }
    }

    @Test(arguments: [
        ("5 * * * *", [5]), ("5,10 * * * *", [5, 10]), ("*/15 * * * *", [0, 15, 30, 45]),
        ("7/20 * * * *", [7, 27, 47]),
        ("10-12 * * * *", [10, 11, 12]), ("10-20/5 * * * *", [10, 15, 20]), ("58-1 * * * *", [58, 59, 0, 1]),
        ("55-10/5 * * * *", [55, 0, 5, 10]), ("7-7 * * * *", [7]), ("5/100 * * * *", [5]), ("*/9999 * * * *", [0]),
        ("05 * * * *", [5]), ("3-5/0009 * * * *", [3]),
    ])
    func minutes(text: String, values: [Int]) throws {
        #expect(try CronExpression(text).minutes == bits(values))
    }

    @Test(arguments: [
        ("0 0 * * 0", [0]), ("0 0 * * 7", [0]), ("0 0 * * sun", [0]), ("0 0 * * Mon-fri", [1, 2, 3, 4, 5]),
        ("0 0 * * FRI-MON", [5, 6, 0, 1]), ("0 0 * * 5-7", [5, 6, 0]), ("0 0 * * 7-2", [0, 1, 2]),
        ("0 0 * * 0-7", [0, 1, 2, 3, 4, 5, 6]), ("0 0 * * 2/2", [2, 4, 6]), ("0 0 * * 1-7/2", [1, 3, 5, 0]),
        ("0 0 * * +1-5", [1, 2, 3, 4, 5]),
    ])
    func weekdays(text: String, values: [Int]) throws {
        #expect(UInt64(try CronExpression(text).days.weekdays) == bits(values))
    }

    @Test(arguments: [
        ("0 0 1 JAN *", [1]), ("0 0 1 oct-Feb *", [10, 11, 12, 1, 2]), ("0 0 1 7/4 *", [7, 11]),
        ("0 0 1 */5 *", [1, 6, 11]), ("0 0 1 11-4/2 *", [11, 1, 3]),
    ])
    func months(text: String, values: [Int]) throws {
        #expect(try CronExpression(text).months == bits(values))
    }

    @Test(arguments: [
        ("0 0 L * *", 2026, 2, [28]), ("0 0 L * *", 2028, 2, [29]), ("0 0 L-1 * *", 2026, 4, [29]),
        ("0 0 l-30 * *", 2026, 4, []), ("0 0 L-30 * *", 2026, 5, [1]), ("0 0 LW * *", 2026, 1, [30]),
        ("0 0 LW * *", 2026, 5, [29]), ("0 0 15W * *", 2026, 8, [14]), ("0 0 15W * *", 2026, 11, [16]),
        ("0 0 1W * *", 2026, 8, [3]), ("0 0 31W * *", 2026, 5, [29]), ("0 0 31W * *", 2026, 4, []),
        ("0 0 31w * *", 2026, 1, [30]), ("0 0 30-2 * *", 2026, 4, [1, 2, 30]), ("0 0 1,L * *", 2026, 2, [1, 28]),
        ("0 0 * * 5#1", 2026, 5, [1]), ("0 0 * * FRI#5", 2026, 5, [29]), ("0 0 * * 7#5", 2026, 4, []),
        ("0 0 * * 5L", 2026, 5, [29]), ("0 0 * * SUNL", 2026, 5, [31]), ("0 0 * * 7L", 2026, 4, [26]),
        ("0 0 13 * 5", 2026, 2, [6, 13, 20, 27]), ("0 0 13 * +5", 2026, 2, [13]), ("0 0 13 * +5", 2026, 3, [13]),
        ("0 0 14 * +5", 2026, 2, []), ("0 0 */10 * 1", 2026, 6, [1]), ("0 0 1 * */2", 2026, 2, [1]),
        ("0 0 ? * 1", 2026, 2, [2, 9, 16, 23]), ("0 0 2 * ?", 2026, 2, [2]),
        ("0 0 1,*/10 * 1", 2026, 6, [1, 8, 11, 15, 21, 22, 29, 31].filter { $0 < 31 }),
    ])
    func daysOfMonths(text: String, year: Int, month: Int, values: [Int]) throws {
        #expect(try days(text, year, month) == values)
    }

    @Test(arguments: [
        ("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@midnight", "0 0 * * *"), ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"), ("@yearly", "0 0 1 1 *"), ("@annually", "0 0 1 1 *"),
        ("  5\t4  * * *\t", "5 4 * * *"), ("0 5 4 * * *", "5 4 * * *"),
    ])
    func otherSpellings(text: String, same: String) throws {
        #expect(try CronExpression(text) == CronExpression(same))
    }

    @Test(arguments: [
        ("", 0), ("   ", 0), ("* * * *", 7), ("60 * * * *", 0), ("* 24 * * *", 2), ("* * 0 * *", 4), ("* * 32 * *", 4),
        ("* * * 13 *", 6), ("* * * 0 *", 6), ("* * * * 8", 8), ("*/0 * * * *", 2), ("*/10000 * * * *", 2),
        ("5/ * * * *", 2), ("5- * * * *", 2), ("5, * * * *", 2), (",5 * * * *", 0), ("5,,6 * * * *", 2),
        ("100 * * * *", 0), ("-1 * * * *", 0), ("1.5 * * * *", 1), ("? * * * *", 0), ("* ? * * *", 2), ("* * * ? *", 6),
        ("L * * * *", 0), ("* * * * L", 8), ("* * 5L * *", 5), ("* * W * *", 4), ("* * L-31 * *", 6),
        ("* * LW-1 * *", 6), ("* * * * 1#0", 10), ("* * * * 1#6", 10), ("* * * * 1#1#2", 11), ("* * 15W/2 * *", 7),
        ("+5 * * * *", 0), ("* * +5 * *", 4), ("* * * FOO *", 6), ("* * * JANUARY *", 9), ("* * * * MONDAY", 11),
        ("MON * * * *", 0), ("*-5 * * * *", 1), ("5-10-15 * * * *", 4), ("H(5-70) * * * *", 2), ("H(9-5) * * * *", 2),
        ("H(5) * * * *", 3), ("@every 5m", 0), ("@every5m", 0), ("@reboot", 0), ("@Daily", 0), ("@daily 5", 0),
        ("TZ=UTC 0 0 * * *", 0), ("CRON_TZ=UTC 0 0 * * *", 0), ("0 0 0 1 1 * 2027", 12), ("~ * * * *", 0),
        ("0~30 * * * *", 1), ("* * * *\n*", 7), ("１ * * * *", 0), ("* * * * *é", 9),
        (String(repeating: " ", count: 248) + "* * * * *", 256),
    ])
    func refused(text: String, offset: Int) {
        do {
            let expression = try CronExpression(text)
            Issue.record("\(text) is taken as \(expression)")
        } catch { #expect(error.offset == offset, "\(error)") }
    }

    @Test(arguments: [
        "@every 5m", "@reboot", "TZ=UTC 0 0 * * *", "0 0 0 1 1 * 2027", "0~30 * * * *", "* * * *", "@Daily",
    ])
    func knownForeignFormsGetAHint(text: String) {
        #expect(throws: CronError.self) { try CronExpression(text) }
        do { _ = try CronExpression(text) } catch { #expect(error.hint != nil) }
    }

    @Test(arguments: [
        ("0 0 30 2 *", false), ("0 0 31 4,6,9,11 *", false), ("0 0 29 2 *", true), ("0 0 29 2 +1", true),
        ("0 0 L-30 2 *", false), ("0 0 L-28 2 *", true), ("0 0 30 2 1", true), ("0 0 1-7 * +1#5", false),
        ("0 0 29-31 2 +1#5", true), ("0 0 31W 4 *", false),
    ])
    func neverFiringIsDecided(text: String, fires: Bool) throws {
        #expect(try CronExpression(text).everFires == fires)
    }

    @Test func everyKindOfMonthComesAboutWithin400Years() {
        var kinds: Set<[Int]> = []
        for year in 2000..<2400 {
            for month in 1...12 {
                let date = CivilDate(year: year, month: month, day: 1)
                kinds.insert([month, CivilDate.daysInMonth(year: year, month: month), date.weekday])
            }
        }
        #expect(kinds.count == 13 * 7)
    }

    @Test func hashedValuesDependOnIdAndFieldOnly() throws {
        let one = try CronExpression("H H H H H", seed: "backup")
        #expect(try one == CronExpression("h h h h h", seed: "backup"))
        #expect(try one != CronExpression("H H H H H", seed: "report"))
        #expect(one.minutes.nonzeroBitCount == 1 && one.hours.nonzeroBitCount == 1)
        for id in 0..<200 {
            let days = try CronExpression("0 0 H * *", seed: "s\(id)").days.numbers
            #expect(days & ~0x1FFF_FFFE == 0)
            let spread = try CronExpression("H/20 H(9-17)/4 * * *", seed: "s\(id)")
            #expect(spread.minutes.nonzeroBitCount == 3 && spread.hours & ~bits(Array(9...17)) == 0)
        }
    }

    @Test func warningsNameWhatMaySurprise() throws {
        let now = WallTime(milliseconds: 1_795_165_200_000)
        let berlin = try #require(SystemZones.catalog.zone(named: "Europe/Berlin"))
        func codes(_ text: String, _ zone: Zone) throws -> [ScheduleWarning.Code] {
            CronTimeline(try CronExpression(text), zone: zone).warnings(now: now).map(\.code)
        }
        #expect(try codes("0 9 * * 1-5", .utc) == [])
        #expect(try codes("0 0 */2 * 1", .utc) == [.starStepDay])
        #expect(try codes("0 0 13 * 5", .utc) == [.eitherDay])
        #expect(try codes("*/7 9 * * *", .utc) == [.unevenStep])
        #expect(try codes("* * * * * *", .utc) == [.everySecond])
        #expect(try codes("30 2 * * *", berlin) == [.clockChange])
        #expect(try codes("30 2 * * 1", berlin) == [])
        #expect(try codes("30 * * * *", berlin) == [])
        #expect(try codes("*/15 2 * * *", berlin) == [.clockChange])
        #expect(try codes("*/15 * * * *", berlin) == [])
    }

    @Test func notesMarkShiftedAndRepeatedSlots() throws {
        let berlin = try #require(SystemZones.catalog.zone(named: "Europe/Berlin"))
        let cron = CronTimeline(try CronExpression("30 2 * * *"), zone: berlin)
        func note(_ text: String) throws -> SlotNote? {
            let slot = try #require(WallTime(rfc3339: text))
            #expect(cron.next(after: slot - 1) == slot)
            return cron.note(at: slot)
        }
        #expect(try note("2026-03-29T03:00:00+02:00") == .gapShifted)
        #expect(try note("2026-10-25T02:30:00+02:00") == .repeatedFirst)
        #expect(try note("2026-10-26T02:30:00+01:00") == nil)
    }
}
