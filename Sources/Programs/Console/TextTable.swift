/// Rows of text in columns as wide as their widest cell.
struct TextTable {
    /// Which columns are right-aligned.
    var rightAligned: Set<Int> = []
    private var rows: [[String]] = []

    /// A last column narrower than this is not broken into lines.
    private static let narrowest = 24

    /// A table with its header, or without one.
    init(_ header: [String]? = nil, rightAligned: Set<Int> = []) {
        self.rightAligned = rightAligned
        if let header { rows.append(header) }
    }

    /// Adds a row.
    mutating func add(_ row: [String]) { rows.append(row) }

    private var widths: [Int] {
        (0..<(rows.map(\.count).max() ?? 0)).map { column in
            rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0
        }
    }

    /// The same table, without some columns as far as it would not fit into so many columns of a terminal with them; the
    /// first of them goes first.
    func fitting(_ width: Int?, dispensable: [Int]) -> (table: TextTable, columns: [Int]) {
        let widths = widths
        var kept = Array(widths.indices)
        var left = dispensable[...]
        func isTooWide() -> Bool {
            guard let width, let last = kept.last else { return false }
            let before = kept.dropLast().reduce(0) { $0 + widths[$1] + 2 }
            return before + min(widths[last], TextTable.narrowest) > width
        }
        while isTooWide(), let next = left.popFirst() { kept.removeAll { $0 == next } }
        var table = TextTable(rightAligned: Set(kept.indices.filter { rightAligned.contains(kept[$0]) }))
        for row in rows { table.add(kept.filter { row.indices.contains($0) }.map { row[$0] }) }
        return (table, kept)
    }

    /// The lines, without trailing blanks. `paint` may colour a cell after its width was taken. With a width the last
    /// column is broken into lines where it is too long.
    func lines(width: Int? = nil, paint: (String, _ column: Int) -> String = { text, _ in text }) -> [String] {
        let widths = widths
        let before = widths.dropLast().reduce(0) { $0 + $1 + 2 }
        let room = width.map { $0 - before }.flatMap { $0 >= TextTable.narrowest ? $0 : nil }
        return rows.flatMap { row in
            var line = ""
            var more: [String] = []
            for (column, cell) in row.enumerated() {
                var parts = [cell]
                if column == widths.count - 1, let room, cell.count > room {
                    parts = Help.wrap(cell, indent: 0, width: room)
                }
                let first = parts[0]
                let pad = String(repeating: " ", count: max(0, widths[column] - first.count))
                let shown = paint(first, column)
                let isLast = column == row.count - 1
                if rightAligned.contains(column) {
                    line += pad + shown
                } else {
                    line += isLast ? shown : shown + pad
                }
                if !isLast { line += "  " }
                more += parts.dropFirst().map { String(repeating: " ", count: before) + paint($0, column) }
            }
            while line.last == " " { line.removeLast() }
            return [line] + more
        }
    }
}
