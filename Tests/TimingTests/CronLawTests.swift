import Determinism
import Foundation
import Testing
import TimeModel
import Timing

/// The law of slots: `next` and `previous` agree with each other and with every other start (`topics/schedules.md`).
@Suite struct CronLawTests {
    private static let first = WallTime(milliseconds: 631_152_000_000)
    private static let last = WallTime(milliseconds: 4_133_980_800_000)

    /// Twelve expressions of six moments for each zone, or as many as MARTLET_LAW_CASES asks for in all.
    private static let expressionsPerZone: Int = {
        let asked = ProcessInfo.processInfo.environment["MARTLET_LAW_CASES"].flatMap { Int($0) } ?? 0
        return max(12, asked / (6 * max(1, SystemZones.catalog.count)) + 1)
    }()

    /// Expressions of every form, most of them frequent around the hours of transitions.
    private static func expression(_ random: inout SeededGenerator) -> String {
        let minutes = ["0", "30", "*", "*/15", "*/7", "H", "0-10/5", "59", "50-5", "15,45"]
        let hours = ["0", "2", "*", "1-3", "*/2", "22-2", "H(0-5)", "23", "3", "1,2,3"]
        let days = ["*", "1", "L", "15W", "LW", "?", "*/2", "31", "L-3", "28-3", "29", "1W"]
        let months = ["*", "3", "10", "*/3", "2", "MAR-APR", "OCT-MAR", "H", "JAN,DEC"]
        let weekdays = ["*", "0", "7", "MON-FRI", "+1-5", "5L", "1#1", "FRI-MON", "?", "0#5", "+6"]
        func pick(_ words: [String]) -> String { words[random.uniform(0...words.count - 1)] }
        let fields = [pick(minutes), pick(hours), pick(days), pick(months), pick(weekdays)]
        let second = random.chance(1, of: 8) ? pick(["0", "30", "*/20", "H", "59"]) + " " : ""
        return second + fields.joined(separator: " ")
    }

    private static func check(_ timeline: Timeline, at time: WallTime, offset: Int) -> String? {
        let next = timeline.next(after: time)
        if let next {
            if next <= time { return "next is not after" }
            if timeline.previous(atOrBefore: next) != next { return "previous(next) differs" }
            if timeline.next(after: next - 1) != next { return "next(next - 1) differs" }
            let later = time + offset
            if let other = timeline.next(after: later) {
                if other < next { return "next falls" }
                if later < next, other != next { return "another start gives another slot" }
            }
        }
        guard let previous = timeline.previous(atOrBefore: time) else { return nil }
        if previous > time { return "previous is after" }
        if timeline.next(after: previous - 1) != previous { return "next(previous - 1) differs" }
        if let next, timeline.next(after: previous) != next { return "next(previous) skips or repeats" }
        return nil
    }

    @Test(arguments: 0..<4)
    func nextAndPreviousObeyTheLawInAllZones(share: Int) {
        var random = SeededGenerator(seed: UInt64(share))
        let names = SystemZones.catalog.names
        #expect(names.count > 300)
        for (index, name) in names.enumerated() where index % 4 == share {
            guard let zone = SystemZones.catalog.zone(named: name) else { continue }
            for _ in 0..<CronLawTests.expressionsPerZone {
                let text = CronLawTests.expression(&random)
                guard let expression = try? CronExpression(text, seed: name) else {
                    Issue.record("\(text) is refused")
                    continue
                }
                let gap = GapRule.allCases[random.uniform(0...2)]
                let overlap = OverlapRule.allCases[random.uniform(0...3)]
                let timeline = Timeline(.cron(CronTimeline(expression, zone: zone, gap: gap, overlap: overlap)))
                for _ in 0..<6 {
                    let time = CronLawTests.moment(zone, &random)
                    let offset = random.uniform(0...200_000_000)
                    if let fault = CronLawTests.check(timeline, at: time, offset: offset) {
                        Issue.record("\(fault): \(text) in \(name), \(gap), \(overlap), at \(time.rfc3339)")
                    }
                }
            }
        }
    }

    /// Half of the moments lie within two days of a transition.
    private static func moment(_ zone: Zone, _ random: inout SeededGenerator) -> WallTime {
        let time = random.uniform(first.milliseconds...last.milliseconds)
        guard random.chance(1, of: 2) else { return WallTime(milliseconds: time) }
        let span = zone.span(at: time / 1000)
        let edge = span.end == Int.max ? (span.start == Int.min ? time / 1000 : span.start) : span.end
        guard edge * 1000 >= first.milliseconds, edge * 1000 <= last.milliseconds else {
            return WallTime(milliseconds: time)
        }
        return WallTime(milliseconds: edge * 1000 + random.uniform(-172_800_000...172_800_000))
    }

    /// Compares with a walk over every second of local time as the rules describe it.
    @Test func slotsAroundTransitionsEqualASlowWalk() throws {
        var random = SeededGenerator(seed: 7)
        let zones = [
            "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Europe/Dublin",
            "Pacific/Apia", "America/St_Johns", "Asia/Gaza", "Antarctica/Troll",
        ]
        for name in zones {
            let zone = try #require(SystemZones.catalog.zone(named: name))
            for _ in 0..<3 {
                var edge = 0
                while true {
                    edge = zone.span(at: random.uniform(1_000_000_000...2_400_000_000)).end
                    if edge != Int.max { break }
                }
                let text = CronLawTests.expression(&random)
                let expression = try CronExpression(text)
                let gap = GapRule.allCases[random.uniform(1...2)]
                let overlap = OverlapRule.allCases[random.uniform(1...3)]
                let cron = CronTimeline(expression, zone: zone, gap: gap, overlap: overlap)
                let plain = CronTimeline(expression, zone: .utc)
                let from = edge - 12_000
                let to = edge + 12_000
                let found = CronLawTests.walk(cron, plain, from..<to)
                var slots: [Int] = []
                var time = WallTime(milliseconds: from * 1000 - 1)
                while let next = cron.next(after: time), next.milliseconds < to * 1000 {
                    slots.append(next.milliseconds / 1000)
                    time = next
                }
                if slots != found {
                    Issue.record("\(text) in \(name) \(gap) \(overlap) around \(edge): \(slots) but \(found)")
                }
            }
        }
    }

    /// Every second in turn: which local second does the wall show, was or will it be shown elsewhere, what was left
    /// out just before.
    private static func walk(_ cron: CronTimeline, _ plain: CronTimeline, _ range: Range<Int>) -> [Int] {
        let zone = cron.zone
        let offsets = Set([-90_000, -1, 0, 90_000].map { zone.offset(at: range.lowerBound + 12_000 + $0).seconds })
        let shown = { (local: Int) -> [Int] in
            offsets.map { local - $0 }.filter { $0 + zone.offset(at: $0).seconds == local }.sorted()
        }
        let isMatch = { (local: Int) -> Bool in
            let time = WallTime(milliseconds: local * 1000)
            return plain.previous(atOrBefore: time) == time
        }
        var slots: [Int] = []
        for second in range {
            let local = second + zone.offset(at: second).seconds
            let before = second - 1 + zone.offset(at: second - 1).seconds
            var fires = false
            if isMatch(local) {
                let seen = shown(local)
                fires = cron.overlap == .both || second == (cron.overlap == .first ? seen.first : seen.last)
            }
            if cron.gap == .after, local > before + 1, !fires {
                fires = (before + 1..<local).contains { isMatch($0) && shown($0).isEmpty }
            }
            if fires { slots.append(second) }
        }
        return slots
    }
}
