/// Durations as people write and read them.
enum Durations {
    private static let units: [(suffix: String, ms: Int)] = [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// Reads `500ms`, `30s`, `1.5s`, `5m`, `2h`, `7d` as ms; `nil` for any other form. `0` alone needs no unit.
    static func parse(_ text: String) -> Int? {
        if text == "0" { return 0 }
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let unit = units.first(where: { $0.suffix == text.dropFirst(digits.count) }), !digits.isEmpty else {
            return nil
        }
        let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, let whole = Int(parts[0]), whole <= 1_000_000_000 else { return nil }
        guard parts.count == 2 else { return whole * unit.ms }
        guard !parts[1].isEmpty, parts[1].count <= 3, let fraction = Int(parts[1]) else { return nil }
        let scale = [1, 10, 100, 1000][parts[1].count]
        return whole * unit.ms + fraction * unit.ms / scale
    }

    /// `3 ms`, `1.2 s`, `42 s`, `4 min 12 s`, `2 h 5 min`, `3 d 4 h`.
    static func text(_ ms: Int) -> String {
        if ms < 0 { return "-" + text(-ms) }
        if ms < 1000 { return "\(ms) ms" }
        if ms < 10_000 {
            let tenths = ms / 100
            return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
        }
        let seconds = ms / 1000
        if seconds < 60 { return "\(seconds) s" }
        if seconds < 3600 { return pair(seconds / 60, "min", seconds % 60, "s") }
        if seconds < 86_400 { return pair(seconds / 3600, "h", seconds / 60 % 60, "min") }
        return pair(seconds / 86_400, "d", seconds / 3600 % 24, "h")
    }

    /// The same in the greatest unit alone, or in two where that one is a single one: `4 min`, `1 min 12 s`, `3 d`.
    static func short(_ ms: Int) -> String {
        let words = text(ms).split(separator: " ")
        return words.count > 2 && words[0] != "1" ? words.prefix(2).joined(separator: " ") : text(ms)
    }

    private static func pair(_ first: Int, _ unit: String, _ second: Int, _ smaller: String) -> String {
        second == 0 ? "\(first) \(unit)" : "\(first) \(unit) \(second) \(smaller)"
    }
}
