import Testing

/// No acceptance case gets lost: each stands in the name of a test.
@Suite struct AcceptanceTests {
    /// The last number of each series: framework, execution and plans, schedules and checks, triggers, execution mode.
    private let last = [0: 17, 1: 104, 2: 46, 3: 27, 4: 28]

    /// The ids in the names of all tests: `t1_42_43_…`, or `T2-07` in the words of a test.
    private func ids() -> Set<String> {
        var found: Set<String> = []
        for file in Repository.files where file.lies(in: "Tests") && file.path.hasSuffix(".swift") {
            for line in file.lines where line.contains("func ") || line.contains("@Test") {
                for match in String(line).matches(of: /[tT](\d)((?:[_-]\d+)+)/) {
                    for number in match.output.2.split(whereSeparator: { $0 == "_" || $0 == "-" }) {
                        found.insert(AcceptanceTests.id(Int(match.output.1) ?? -1, Int(number) ?? -1))
                    }
                }
            }
        }
        return found
    }

    private static func id(_ series: Int, _ number: Int) -> String {
        "T\(series)-" + (number < 10 ? "0" : "") + String(number)
    }

    @Test func everyCaseHasATest() {
        let known = ids()
        var missing: [String] = []
        for (series, last) in last.sorted(by: { $0.key < $1.key }) {
            for number in 1...last {
                let id = AcceptanceTests.id(series, number)
                if !known.contains(id) { missing.append(id) }
            }
        }
        #expect(missing.isEmpty, "\(missing)")
    }

    @Test func everyReasonIsProvoked() throws {
        let file = try #require(Repository.files.first { $0.path == "Sources/Cores/DispatcherCore/Demand.swift" })
        let tests = try #require(
            Repository.files.first { $0.path == "Tests/DispatcherCoreTests/ExplainTests.swift" })
        let words = file.text.matches(of: /Code\(rawValue: "([a-z_]+)"\)/).map { String($0.output.1) }
        #expect(words.count > 20)
        let shared = [
            "circuit_open", "rate_limited", "budget_exceeded", "wrong_mode", "awaiting_approval", "offered", "running",
            "canceling",
        ]
        let missing = (words + shared).filter { !tests.text.contains("\"\($0)\"") }
        #expect(missing.isEmpty, "no test of task/explain provokes \(missing)")
    }
}
