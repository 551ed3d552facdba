import Contract
import TimeModel
import Timing
import Wire

/// Short texts and small files.
enum TextFuzz {
    static func topic(_ bytes: [UInt8]) -> String? {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let topic = Topic(text) else { return nil }
        guard topic.name == text else { return "the name of \(text) is \(topic.name)" }
        return Topic(topic.name) == topic ? nil : "\(text) is taken apart otherwise the second time"
    }

    static func cron(_ bytes: [UInt8]) -> String? {
        guard let expression = try? CronExpression(String(decoding: bytes, as: UTF8.self)) else { return nil }
        let timeline = CronTimeline(expression, zone: .utc)
        var time = WallTime(milliseconds: 1_772_000_000_000)
        for _ in 0..<3 {
            guard let next = timeline.next(after: time) else { return nil }
            guard next > time else { return "a slot does not follow" }
            guard timeline.previous(atOrBefore: next) == next else { return "a slot is none seen from behind" }
            time = next
        }
        return nil
    }

    static func zone(_ bytes: [UInt8]) -> String? {
        guard let zone = try? Zone(name: "Test/Zone", tzif: bytes) else { return nil }
        for second in [Int(-4_000_000_000), 0, 951_782_400, 1_772_000_000, 4_102_444_800, 32_503_680_000] {
            let span = zone.span(at: second)
            guard span.start <= second, second < span.end else { return "a span does not hold its second" }
            guard span.offset == zone.seconds(at: second) else { return "two offsets for one second" }
            _ = zone.resolve(zone.local(at: second))
        }
        return nil
    }

    static func condition(_ bytes: [UInt8]) -> String? {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let condition = try? CustomCondition(text) else { return nil }
        guard let again = try? CustomCondition(condition.text), again == condition else { return "it reads otherwise" }
        for number in [0, 1, Int.max, Int.min] { _ = try? condition.holds { _ in .int(number) } }
        return nil
    }

    static func time(_ bytes: [UInt8]) -> String? {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let time = WallTime(rfc3339: text) else { return nil }
        return WallTime(rfc3339: time.rfc3339) == time ? nil : "\(text) becomes \(time.rfc3339)"
    }
}
