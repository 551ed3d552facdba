import Foundation
import TestSupport
import Testing
import Wire

/// What `--json` prints, as the page on the command line says.
@Suite struct CommandLineTests {
    /// A row of the page's last table.
    private struct Row {
        var words: [String]
        var keys: [String]
    }

    private func rows() throws -> [Row] {
        let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("topics/command-line.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        let table = text.split(separator: "## What `--json` prints").last ?? ""
        return table.split(separator: "\n").compactMap { line in
            guard line.hasPrefix("| `") else { return nil }
            let cells = line.replacing("\\|", with: "\u{1}").split(separator: "|").map {
                $0.filter { $0 != "`" }.trimmingCharacters(in: .whitespaces)
            }
            let words = cells[0].split(separator: " ").map { $0.replacing("\u{1}", with: " ") }
            return Row(words: words.map(String.init), keys: cells[2].split(separator: " ").map(String.init))
        }
    }

    @Test func jsonIsAsThePageSays() async throws {
        let home = try TemporaryFolder()
        let up = try await RunningUp(home)
        let rows = try rows()
        #expect(rows.count > 30)
        for row in rows {
            // A folder of the page is one in this test's own.
            let words = row.words.map { $0 == "json-b" ? "\(home.path)/\($0)" : $0 }
            let outcome = try await martlet(words + ["--json"], home)
            let lines = outcome.output.split(separator: "\n")
            #expect(!lines.isEmpty, "\(row.words): \(outcome.errors)")
            for line in lines {
                let value = JSONValue(try RawJSON(validating: Array(line.utf8)))
                let missing = row.keys.filter { value[$0] == nil }
                #expect(missing.isEmpty, "\(row.words): \(line)")
            }
        }
        #expect(await up.program.end(SIGINT) == 0)
    }
}
