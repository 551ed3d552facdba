import Foundation
import Testing

/// Every acceptance case of schedules, checks and triggers is a test that carries its id.
@Suite struct AcceptanceTests {
    private static let cases =
        (1...46).map { ("T2", $0) } + (1...27).map { ("T3", $0) }

    @Test func everyCaseOfSchedulesHasATest() {
        let tests = Repository.files.filter { $0.path.hasPrefix("Tests/") && $0.path.hasSuffix(".swift") }
        for (family, number) in AcceptanceTests.cases {
            let id = "\(family)-\(number < 10 ? "0" : "")\(number)"
            let asName = id.replacingOccurrences(of: "-", with: "_")
            let isThere = tests.contains { file in
                guard file.text.contains(id) || file.text.contains(asName) else { return false }
                return file.lines.contains { line in
                    (line.contains("func ") || line.contains("@Test")) && (line.contains(id) || line.contains(asName))
                }
            }
            #expect(isThere, "no test carries \(id)")
        }
    }
}
