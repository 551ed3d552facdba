import Foundation
import Testing

/// No requirement and no promise gets lost: tests, or where nothing is to be run pages, stand for each.
@Suite struct TraceTests {
    /// The last number of each series of requirements.
    private let last = [0: 33, 1: 41, 2: 51, 3: 33, 4: 25]

    /// What stands for each requirement: `Suite/function`, or a page.
    private func table() throws -> [String: [String]] {
        let file = try #require(Repository.files.first { $0.path == "Tests/TidyTests/Requirements.json" })
        return try JSONDecoder().decode([String: [String]].self, from: Data(file.text.utf8))
    }

    private static func id(_ number: Int) -> String { (number < 10 ? "0" : "") + String(number) }

    @Test func everyRequirementHasATestOrAPage() throws {
        let table = try table()
        let ids = last.flatMap { series, last in (1...last).map { "S\(series)-\(TraceTests.id($0))" } }
        let missing = ids.filter { table[$0]?.isEmpty ?? true }.sorted()
        #expect(missing.isEmpty, "\(missing)")
        #expect(Set(table.keys).subtracting(ids).isEmpty)
    }

    @Test func whatTheTableNamesIsThere() throws {
        let tests = Repository.files.filter { $0.lies(in: "Tests") && $0.path.hasSuffix(".swift") }
        let pages = Set(Repository.files.map(\.path).filter { $0.hasSuffix(".md") })
        for (id, names) in try table().sorted(by: { $0.key < $1.key }) {
            for name in names where !pages.contains(name) {
                let parts = name.split(separator: "/")
                let isThere =
                    parts.count == 2
                    && tests.contains { file in
                        file.text.contains("func \(parts[1])(")
                            && ["struct", "class", "enum"].contains { file.text.contains("\($0) \(parts[0]) ") }
                    }
                #expect(isThere, "\(id): no test or page '\(name)'")
            }
        }
    }

    /// The promises of `topics/promises.md`, in the names of tests: `g07_…`, `G-07`.
    @Test func everyPromiseHasATest() {
        var found: Set<String> = []
        for file in Repository.files where file.lies(in: "Tests") && file.path.hasSuffix(".swift") {
            for (index, line) in file.lines.enumerated() {
                let isWords = index > 0 && file.lines[index - 1].hasSuffix("@Test(")
                guard line.contains("func ") || line.contains("@Test") || isWords else { continue }
                for match in String(line).matches(of: /[^A-Za-z0-9][gG][-_]?(\d\d)/) {
                    found.insert(String(match.output.1))
                }
            }
        }
        let missing = (1...28).map(TraceTests.id).filter { !found.contains($0) }.map { "G-" + $0 }
        #expect(missing.isEmpty, "\(missing)")
    }
}
