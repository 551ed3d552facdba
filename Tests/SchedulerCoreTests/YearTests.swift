import Contract
import Foundation
import Machine
import SchedulerCore
import Testing
import TimeModel
import Timing

/// A scheduler lives through a year in zones whose clocks change; each run is compared with a calendar that was walked
/// through minute by minute, knowing nothing of how slots are found.
@Suite struct YearTests {
    private static let names = [
        "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/St_Johns",
        "Asia/Gaza",
        "Antarctica/Troll", "America/Santiago", "Pacific/Chatham", "Europe/Dublin",
    ]

    /// Daily at 02:30 as the wall shows it: a missing time is the first moment after the gap, a repeated one its first.
    private static func calendar(_ zone: Zone, from begin: Int, to end: Int) -> [Int] {
        var slots: [Int] = []
        var daysDone: Set<Int> = []
        var before = zone.local(at: begin)
        for second in stride(from: begin + 60, through: end, by: 60) {
            let local = zone.local(at: second)
            defer { before = local }
            let target = local.dayNumber * 86_400 + 9000
            let isThere = local.seconds == target
            let wasJumped = before.seconds < target && local.seconds > target && before.dayNumber == local.dayNumber
            guard isThere || wasJumped, daysDone.insert(local.dayNumber).inserted else { continue }
            slots.append(second)
        }
        return slots
    }

    @Test func everyRunIsOneOfTheCalendar() throws {
        var zones = ZoneCatalog(version: "test")
        for name in YearTests.names {
            let data = try #require(FileManager.default.contents(atPath: "/usr/share/zoneinfo/\(name)"))
            try zones.add(name, tzif: [UInt8](data))
        }
        let catalog = zones
        let bench = Bench("2026-01-01T12:00:00.000Z") { $0.zones = catalog }
        bench.dispatcher = .completes
        let begin = bench.wall.milliseconds / 1000
        for (index, name) in YearTests.names.enumerated() {
            bench.put("z\(index)", "cron", #"{"expr":"30 2 * * *","timezone":"\#(name)"}"#)
        }
        let end = begin + 365 * 86_400
        while bench.wall.milliseconds < end * 1000 {
            bench.jump(900_000)
            bench.give(.wake)
        }
        for (index, name) in YearTests.names.enumerated() {
            let zone = try #require(zones.zone(named: name))
            let expected = YearTests.calendar(zone, from: begin, to: end).map {
                "z\(index)~\(WallTime(milliseconds: $0 * 1000).basicText)"
            }
            let runs = bench.runs.filter { $0.hasPrefix("z\(index)~") }
            #expect(runs == expected, "\(name): \(Set(runs).symmetricDifference(expected).sorted())")
            let slots = try bench.state("z\(index)").slots
            #expect(slots.triggered == expected.count && slots.decided == expected.count)
        }
    }
}
