import TimeModel
import Wire

/// Records as a table: columns that would be empty are left out, and on a narrow terminal those that matter least.
struct HistoryTable {
    private struct Column {
        var title: String
        var cells: [String]
        var isRight = false
        /// The higher, the sooner it is left out; 0: never.
        var rank = 0

        var width: Int { max(title.count, cells.map(\.count).max() ?? 0) }
        var isEmpty: Bool { cells.allSatisfy { $0.isEmpty || $0 == "0" } }
    }

    private let terminal: Terminal
    private let columns: [Column]
    private let count: Int

    /// Records of a reply, in its order.
    init(_ items: [JSONValue], _ terminal: Terminal, now: WallTime) {
        self.terminal = terminal
        count = items.count
        let text = TaskText(terminal, now)
        func cells(_ key: String) -> [String] { items.map { TaskText.field($0, key) } }
        columns = [
            Column(title: "AT", cells: items.map { text.age($0, "at") }),
            Column(title: "RECORD", cells: cells("record")),
            Column(title: "SUBJECT", cells: cells("subject")),
            Column(title: "CAPABILITY", cells: cells("capability"), rank: 2),
            Column(title: "EXECUTOR", cells: cells("executor"), rank: 4),
            Column(
                title: "TOOK", cells: items.map { $0["duration_ms"]?.intValue.map(Durations.text) ?? "" },
                isRight: true,
                rank: 1),
            Column(title: "COST", cells: cells("cost"), isRight: true, rank: 3),
            Column(title: "WHAT", cells: items.map(HistoryTable.what)),
        ]
    }

    /// How it ended, or which event it is, and why.
    private static func what(_ item: JSONValue) -> String {
        let words = [TaskText.field(item, "status"), TaskText.field(item, "code")].filter { !$0.isEmpty }
        let isEvent = ["event", "check"].contains(item["record"]?.stringValue ?? "")
        return (isEvent ? words.reversed() : words).joined(separator: " ")
    }

    /// The lines, none longer than so many columns as far as that can be had.
    func lines(width: Int) -> [String] {
        guard count > 0 else { return [] }
        var shown = columns.filter { !$0.isEmpty || $0.rank == 0 }
        func total() -> Int { shown.reduce(0) { $0 + $1.width + 2 } - 2 }
        while total() > width, let at = shown.indices.max(by: { shown[$0].rank < shown[$1].rank }), shown[at].rank > 0 {
            shown.remove(at: at)
        }
        let right = shown.indices.filter { shown[$0].isRight }
        var table = TextTable(shown.map(\.title), rightAligned: Set(right))
        for row in 0..<count { table.add(shown.map { $0.cells[row] }) }
        let last = shown.count - 1
        return table.lines { cell, column in column == last ? paint(cell) : cell }
    }

    private func paint(_ cell: String) -> String {
        cell.split(separator: " ").map { terminal.paintState(String($0)) }.joined(separator: " ")
    }
}
