import Contract
import ExecutorCore
import Testing
import Wire

/// What a manifest may say, and what it is told when it says something else.
@Suite struct ManifestTests {
    private func problems(_ text: String) -> [ManifestProblem] {
        do throws(ManifestError) {
            _ = try Manifest(reading: Array(text.utf8), folder: "/m")
            return []
        } catch {
            return error.problems
        }
    }

    @Test func commentsPathsAndDefaultsAreRead() throws {
        let text = """
            // An executor.
            {
              "type": "label", "modes": ["push", "pull"], "slots": 3, "directory": "bin", "output_limit": 100,
              // "slots": 9,
              "capabilities": [
                {"name": "a", "command": ["./a"], "directory": "/tmp", "output": "text"},
                {"name": "b", "command": ["b"], "kind": "skill", "environment": ["HOME", "X=1"], "stop_grace_ms": 9}
              ]
            }
            """
        let manifest = try Manifest(reading: Array(text.utf8), folder: "/m")
        #expect(manifest.slots == 3)
        #expect(manifest.pulls)
        #expect(manifest.card.type == "label")
        guard case .command(let a) = manifest.capabilities[0].work, case .command(let b) = manifest.capabilities[1].work
        else {
            Issue.record("two commands expected")
            return
        }
        #expect(a.arguments == ["/m/./a"])
        #expect(a.directory == "/tmp")
        #expect(a.output == .text)
        #expect(a.outputLimit == 100)
        #expect(b.arguments == ["b"])
        #expect(b.directory == "/m/bin")
        #expect(b.environment == ["HOME", "X=1"])
        #expect(b.stopGraceMs == 9)
        #expect(manifest.capabilities[0].entry.kind == "adapter")
        #expect(manifest.capabilities[1].entry.kind == "skill")
    }

    @Test func allFaultsAreNamedAtOnceWithPathsAndSuggestions() {
        let found = problems(
            """
            {"slots": 0, "modes": ["pul"], "capabilties": 1, "wait_ms": -1, "capabilities": [
              {"name": "a b", "command": [], "timout_ms": 3, "environment": ["1X"]},
              {"name": "x", "builtin": "ech", "output": "text"},
              {"name": "y"}, 5, {"command": ["a"], "lease_ms": "long"}
            ]}
            """)
        let paths = found.map(\.path)
        for path in [
            "slots", "modes[0]", "capabilties", "wait_ms", "capabilities[0].name", "capabilities[0].command",
            "capabilities[0].timout_ms", "capabilities[0].environment", "capabilities[1].builtin",
            "capabilities[1].output", "capabilities[2]", "capabilities[3]", "capabilities[4].name",
        ] {
            #expect(paths.contains(path), "\(path) in \(paths)")
        }
        let suggestions = Dictionary(found.map { ($0.path, $0.suggestion) }) { first, _ in first }
        #expect(suggestions["capabilties"] == "capabilities")
        #expect(suggestions["capabilities[0].timout_ms"] == "timeout_ms")
        #expect(suggestions["capabilities[1].builtin"] == "echo")
        #expect(
            found.first { $0.path == "capabilties" }?.text == #"capabilties: unknown key; did you mean "capabilities"?"#
        )
    }

    @Test func whatDoesNotGoTogetherIsRefused() {
        let entries: [(String, String)] = [
            (#"{"name":"a","builtin":"echo","slot_cost":2}"#, "capabilities[0].slot_cost"),
            (#"{"name":"a","builtin":"echo","command":["x"]}"#, "capabilities[0].builtin"),
            (#"{"name":"plan","builtin":"echo"}"#, "capabilities[0].name"),
            (#"{"name":"a","builtin":"echo","lease_ms":19999}"#, "capabilities[0].lease_ms"),
            (#"{"name":"a","builtin":"echo"},{"name":"a","builtin":"fail"}"#, "capabilities[1].name"),
            (#"{"name":"a","builtin":"echo","loaded":1}"#, "capabilities[0].loaded"),
        ]
        for (entry, path) in entries {
            #expect(problems("{\"capabilities\":[\(entry)]}").map(\.path) == [path], "\(entry)")
        }
        #expect(problems(#"{"reserved":2,"capabilities":[{"name":"a","builtin":"echo"}]}"#).map(\.path) == ["reserved"])
        #expect(problems("{}").map(\.path) == ["capabilities"])
        #expect(problems("[]").map(\.path) == [""])
    }

    @Test func brokenJSONIsToldByLine() {
        let found = problems("{\n// note\n\"slots\": 1,\n}")
        #expect(found.count == 1)
        #expect(found[0].text.hasPrefix("not JSON at line 4:"), "\(found)")
    }
}
