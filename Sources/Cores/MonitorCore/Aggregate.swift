import Contract
import TimeModel
import Wire

/// What is added up over results.
struct Aggregate: Hashable, Sendable {
    var statuses = [Int](repeating: 0, count: Status.allCases.count)
    var cost = 0
    var wastedCost = 0
    var tokens = 0
    var queued = LatencyHistogram()
    var run = LatencyHistogram()

    var count: Int { statuses.reduce(0, +) }
    var succeeded: Int { statuses[0] }
    /// Failed and timeout.
    var failed: Int { statuses[1] + statuses[2] }

    mutating func add(_ row: HistoryRow) {
        guard row.status >= 1, Int(row.status) <= statuses.count else { return }
        statuses[Int(row.status) - 1] += 1
        cost += Int(row.cost)
        wastedCost += Int(row.wastedCost)
        tokens += Int(row.tokens)
        guard row.hasRun else { return }
        queued.add(Int(row.queuedMs))
        run.add(Int(row.durationMs))
    }

    mutating func add(_ other: Aggregate) {
        for index in statuses.indices { statuses[index] += other.statuses[index] }
        cost += other.cost
        wastedCost += other.wastedCost
        tokens += other.tokens
        queued.add(other.queued)
        run.add(other.run)
    }

    /// The numbers that people and programs get.
    func summary(_ name: String?) -> HistorySummary {
        var summary = HistorySummary()
        summary.name = name
        summary.count = count
        summary.statuses = statuses
        let judged = succeeded + failed
        if judged > 0 { summary.successPermille = succeeded * 1000 / judged }
        summary.queued = Aggregate.percentiles(queued)
        summary.run = Aggregate.percentiles(run)
        summary.cost = cost
        summary.wastedCost = wastedCost
        summary.tokens = tokens
        return summary
    }

    private static func percentiles(_ histogram: LatencyHistogram) -> Percentiles {
        var percentiles = Percentiles()
        percentiles.p50 = histogram.quantile(500)
        percentiles.p95 = histogram.quantile(950)
        percentiles.p99 = histogram.quantile(990)
        percentiles.max = histogram.max
        return percentiles
    }
}

extension Aggregate: WireWritable, WireReadable {
    func write(to writer: inout JSONWriter) {
        writer.object { writeFields(to: &$0) }
    }

    func writeFields(to writer: inout JSONWriter) {
        writer.key("s")
        writer.beginArray()
        for number in statuses { writer.value(number) }
        writer.endArray()
        writer.field("c", cost)
        writer.field("w", wastedCost)
        writer.field("t", tokens)
        Aggregate.write(queued, "q", to: &writer)
        Aggregate.write(run, "r", to: &writer)
    }

    /// The greatest value, then pairs of class and count.
    private static func write(_ histogram: LatencyHistogram, _ name: StaticString, to writer: inout JSONWriter) {
        writer.key(name)
        writer.beginArray()
        writer.value(histogram.max)
        for (index, count) in histogram.counts.enumerated() where count > 0 {
            writer.value(index)
            writer.value(Int(count))
        }
        writer.endArray()
    }

    init(from reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() { try read(key, &reader) }
    }

    mutating func read(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "s":
            for (index, number) in try Aggregate.numbers(&reader).enumerated() where index < statuses.count {
                statuses[index] = number
            }
        case "c": cost = try reader.int()
        case "w": wastedCost = try reader.int()
        case "t": tokens = try reader.int()
        case "q": queued = Aggregate.histogram(try Aggregate.numbers(&reader))
        case "r": run = Aggregate.histogram(try Aggregate.numbers(&reader))
        default: reader.skip()
        }
    }

    private static func numbers(_ reader: inout JSONReader) throws(WireError) -> [Int] {
        var list: [Int] = []
        try reader.beginArray()
        while reader.nextElement() { list.append(try reader.int()) }
        return list
    }

    private static func histogram(_ numbers: [Int]) -> LatencyHistogram {
        var pairs: [(Int, Int)] = []
        var at = 1
        while at + 1 < numbers.count {
            pairs.append((numbers[at], numbers[at + 1]))
            at += 2
        }
        return LatencyHistogram(pairs: pairs, max: numbers.first ?? 0)
    }
}
