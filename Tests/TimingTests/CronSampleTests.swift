import Foundation
import Testing
import TimeModel
import Timing

/// One line of `Fixtures/cron_sample.jsonl`: expected fire times that an independent evaluator computed.
private struct SampleCase {
    var id: Int
    var expression: String
    var zone: String
    var start: Int
    var seed: String
    /// `nil`: the expression is refused.
    var expected: [Int]?
    /// What other releases of the zone data give.
    var alternative: [Int]?

    init?(_ line: Substring) throws {
        guard let fields = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
            let id = fields["id"] as? Int, let expression = fields["expr"] as? String,
            let zone = fields["tz"] as? String, let start = fields["start"] as? Int
        else { return nil }
        self.id = id
        self.expression = expression
        self.zone = zone
        self.start = start
        seed = fields["seed"] as? String ?? ""
        expected = fields["expect"] as? [Int]
        alternative = fields["expect_alt"] as? [Int]
    }
}

@Suite struct CronSampleTests {
    @Test func everySampledExpressionFiresAsExpected() throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/cron_sample.jsonl")
        let lines = try String(contentsOf: path, encoding: .utf8).split(separator: "\n")
        var checked = 0
        for line in lines {
            let sample = try #require(try SampleCase(line))
            let found = slots(sample)
            checked += 1
            if found != sample.expected, sample.alternative == nil || found != sample.alternative {
                let expected = sample.expected.map { "\($0)" } ?? "a refusal"
                Issue.record(
                    "\(sample.id) \(sample.expression) \(sample.zone) after \(sample.start): \(found ?? []), \(expected)"
                )
            }
        }
        #expect(checked == 1715)
    }

    private func slots(_ sample: SampleCase) -> [Int]? {
        guard let zone = SystemZones.catalog.zone(named: sample.zone),
            let expression = try? CronExpression(sample.expression, seed: sample.seed)
        else { return nil }
        guard expression.everFires else { return [] }
        let timeline = Timeline(.cron(CronTimeline(expression, zone: zone)))
        return timeline.next(5, after: WallTime(milliseconds: sample.start * 1000)).map { $0.milliseconds / 1000 }
    }
}
