import Testing

/// Each rule sees an offence, and lets pass what only looks like one.
@Suite struct PlantedTests {
    private let core = "Sources/Cores/DispatcherCore/Planted.swift"
    private let test = "Tests/WireTests/Planted.swift"

    private func lines(_ path: String, _ text: String, _ rule: (SourceFile) -> [Offence]) -> [Int] {
        rule(SourceFile(path, text)).map(\.line)
    }

    @Test func imports() {
        #expect(lines(core, "import Wire\nimport Foundation\n", ImportRules.floors) == [2])
        #expect(lines(core, "public import SchedulerCore\n", ImportRules.floors) == [1])
        #expect(lines("Sources/Base/Wire/A.swift", "import struct TimeModel.WallTime\n", ImportRules.floors) == [1])
        #expect(lines("Sources/Shell/A.swift", "import Foundation\n", ImportRules.floors) == [1])
        #expect(lines("Sources/Other/A.swift", "let a = 1\n", ImportRules.floors) == [1])
        #expect(lines(core, "// import Foundation\nlet a = \"import Foundation\"\n", ImportRules.floors) == [])
        #expect(lines(test, "import XCTest\n", ImportRules.testing) == [1])
    }

    @Test func purity() {
        #expect(lines(core, "let a = 1\nlet b = ContinuousClock.now\n", LanguageRules.purity) == [2])
        #expect(lines(core, "let a = Int.random(in: 0..<2)\n", LanguageRules.purity) == [1])
        #expect(lines(core, "let a = Int.random(in: 0..<2, using: &generator)\n", LanguageRules.purity) == [])
        #expect(lines(core, "var cost: Double\n", LanguageRules.purity) == [1])
        #expect(lines("Sources/Shell/A.swift", "let b = ContinuousClock.now\n", LanguageRules.purity) == [])
        #expect(lines(core, "/* Date() */ let a = \"\\(b) Date()\"\n", LanguageRules.purity) == [])
    }

    @Test func names() {
        #expect(lines(core, "struct LeaseManager {}\n", LanguageRules.names) == [1])
        #expect(lines(core, "enum A {\n    struct Task {}\n}\n", LanguageRules.names) == [2])
        #expect(lines(core, "struct TaskRecord {}\nlet info = 1\n", LanguageRules.names) == [])
    }

    @Test func force() {
        #expect(lines(core, "let a = b!\nlet c = try! d()\nlet e = f as! G\n", LanguageRules.force) == [1, 2, 3])
        #expect(lines(core, "var a: Int!\nlet b = c[0]!.d\n", LanguageRules.force) == [1, 2])
        #expect(lines(core, "let a = !b\nlet c = d != e\nif !f(!g), [!h] == i {}\n", LanguageRules.force) == [])
        #expect(lines(core, "let a = \"b!\" // c!\n", LanguageRules.force) == [])
    }

    @Test func unchecked() {
        #expect(lines(core, "final class A: @unchecked Sendable {}\n", LanguageRules.unchecked) == [1])
        #expect(lines(core, "nonisolated(unsafe) var a = 1\n", LanguageRules.unchecked) == [1])
        #expect(lines("Sources/Shell/A.swift", "nonisolated(unsafe) var a = 1\n", LanguageRules.unchecked) == [])
    }

    @Test func pauses() {
        #expect(lines(test, "usleep(10)\ntry await Task.sleep(for: .seconds(1))\n", LanguageRules.pauses) == [1, 2])
        #expect(lines(core, "usleep(10)\n", LanguageRules.pauses) == [])
        #expect(lines(test, "let capability = \"demo.sleep(1)\"\n", LanguageRules.pauses) == [])
    }

    @Test func unmarkedTests() {
        let suite = """
            @Suite struct LeaseTests {
                @Test(arguments: [1, 2]) func ends(count: Int) {}
                func forgotten() async throws {}
                private func prepare() {}
                func number() -> Int { 1 }
                @Test(.enabled(if: true))
                func marked() { func inner() {} }
            }
            """
        #expect(lines(test, suite, LanguageRules.unmarkedTests) == [3])
        #expect(lines(test, "func testLease() {}\nfunc tester() {}\n", LanguageRules.unmarkedTests) == [1])
    }

    @Test func fileSize() {
        let long = String(repeating: "\n", count: SizeRules.fileLines)
        #expect(lines(core, long, SizeRules.file) == [])
        #expect(lines(core, long + "\n", SizeRules.file) == [SizeRules.fileLines + 1])
        #expect(lines("README.md", long, SizeRules.file) == [SizeRules.fileLines])
    }

    @Test func functionSize() {
        let body = String(repeating: "    let a = \"{\"\n", count: SizeRules.functionLines - 2)
        #expect(lines(core, "func a() {\n\(body)}\n", SizeRules.functions) == [])
        #expect(lines(core, "\nfunc a() {\n    let a = \"}\"\n\(body)}\n", SizeRules.functions) == [2])
    }

    @Test func parameterCount() {
        let five =
            "func a(b: Int, c: (Int, Int), d: [Int: Int], e: Dictionary<Int, Int>, f: (Int, Int) -> Int = { $1 })"
        #expect(lines(core, five + " {}\n", SizeRules.functions) == [])
        #expect(lines(core, five.dropLast() + ", g: Int) {}\n", SizeRules.functions) == [1])
        #expect(lines(core, "struct A { init(b: B, c: B, d: B, e: B, f: B, g: B) {} }\n", SizeRules.functions) == [])
    }

    @Test func readme() {
        let words = String(repeating: "word ", count: SizeRules.wordsBeforeCommand)
        #expect(lines("README.md", "\(words)\n```\nrun\n```\n", SizeRules.readme) == [])
        #expect(lines("README.md", "\(words)word\n```\nrun\n```\n", SizeRules.readme) == [2])
        #expect(lines("README.md", "words\n", SizeRules.readme) == [1])
    }

    @Test func unfinished() {
        let mark = "TO" + "DO"
        #expect(lines(core, "let a = 1\n// \(mark): more\n", TextRules.unfinished) == [2])
        #expect(lines("deploy/run", "# \(mark)\nmktemp /tmp/aXXXXXX\n", TextRules.unfinished) == [1])
    }

    @Test func machinePaths() {
        #expect(lines("topics/a.md", "See \("/work/" + "main")/topics.\n", TextRules.machinePaths) == [1])
        #expect(lines("topics/a.md", "`main/martlet1/work/C/E`\n", TextRules.machinePaths) == [])
    }

    @Test func citations() {
        let rule = { (file: SourceFile) in TextRules.citations(file, pages: ["topics/tasks.md"]) }
        #expect(lines(core, "/// See `topics/tasks.md`.\n/// See topics/task.md.\n/// tasks.md\n", rule) == [2, 3])
        #expect(lines("topics/a.md", "[tasks](tasks.md#states), [b](b.md)\n", rule) == [1])
    }

    @Test func documentation() {
        let text = """
            /// A thing.
            public struct Thing: Sendable {
                public var undocumented: Int
                /// Documented.
                @inlinable
                public func documented() { let local = 1 }
                private var hidden = 1
            }
            /// Words.
            public enum Word {
                /// Two.
                case one
                case two

                case three
            }
            /// A duty.
            public protocol Duty {
                func undocumented()
                /// Documented.
                var documented: Int { get }
            }
            public extension Thing {}
            """
        #expect(lines(core, text, TextRules.documentation) == [3, 15, 19])
    }

    @Test func layout() {
        #expect(TextRules.layout([".ci", "LICENSE", "Sources", "notes.txt"]).map(\.path) == ["notes.txt"])
    }
}
