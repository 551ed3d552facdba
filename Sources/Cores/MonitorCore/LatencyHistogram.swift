/// Counts of durations in classes whose width grows with the value: below 32 ms every ms has its own, above it each
/// doubling has 16 (`topics/history.md`, statistics). Whole numbers only; two histograms add up exactly.
public struct LatencyHistogram: Hashable, Sendable {
    /// Counts by class, as far as the greatest class that was met.
    var counts: [UInt32] = []
    /// The greatest value.
    public private(set) var max = 0

    /// Nothing counted.
    public init() {}

    /// The class of a value.
    static func index(_ value: Int) -> Int {
        let clamped = Swift.min(Swift.max(value, 0), 1 << 40)
        if clamped < 32 { return clamped }
        let exponent = Int.bitWidth - 1 - clamped.leadingZeroBitCount
        return (exponent - 4) << 4 + clamped >> (exponent - 4)
    }

    /// The greatest value of a class.
    static func top(_ index: Int) -> Int {
        if index < 32 { return index }
        let exponent = index >> 4 + 3
        return (index & 15 + 17) << (exponent - 4) - 1
    }

    /// Counts a value.
    public mutating func add(_ value: Int) {
        add(LatencyHistogram.index(value), 1)
        max = Swift.max(max, value)
    }

    /// Adds another histogram.
    public mutating func add(_ other: LatencyHistogram) {
        for (index, count) in other.counts.enumerated() where count > 0 { add(index, count) }
        max = Swift.max(max, other.max)
    }

    private mutating func add(_ index: Int, _ count: UInt32) {
        while counts.count <= index { counts.append(0) }
        counts[index] = counts[index].addingReportingOverflow(count).overflow ? .max : counts[index] + count
    }

    /// Restores a histogram from what was written.
    init(pairs: [(Int, Int)], max: Int) {
        self.max = max
        for (index, count) in pairs where index >= 0 && index < 600 { add(index, UInt32(clamping: count)) }
    }

    /// How many values were counted.
    public var count: Int { counts.reduce(0) { $0 + Int($1) } }

    /// At most this took `permille` of 1000 values: the top of their class, or the greatest value.
    public func quantile(_ permille: Int) -> Int {
        let total = count
        guard total > 0 else { return 0 }
        let wanted = (total * permille + 999) / 1000
        var seen = 0
        for (index, number) in counts.enumerated() {
            seen += Int(number)
            if seen >= wanted { return Swift.min(LatencyHistogram.top(index), max) }
        }
        return max
    }
}
