/// Who may import whom. A target imports only lower floors, and never one of its own floor unless it is listed here.
enum ImportRules {
    private static let base: Set<String> = ["TimeModel", "Wire", "Determinism"]
    private static let contract = base.union(["Contract"])
    private static let machine = contract.union(["Machine"])
    private static let shell = machine.union(["Shell", "CPlatform", "Glibc", "Dispatch", "Foundation"])

    /// The folders and what their targets may import; the first that fits counts.
    private static let table: [(folder: String, allowed: Set<String>)] = [
        ("Sources/Platform", []),
        ("Sources/Base", []),
        ("Sources/Contract", base),
        ("Sources/Machines", contract),
        ("Sources/Cores/Timing", machine),
        ("Sources/Cores/DispatcherCore", machine),
        ("Sources/Cores/SchedulerCore", machine.union(["Timing"])),
        ("Sources/Cores/HeartbeatCore", machine.union(["Timing"])),
        ("Sources/Cores/MonitorCore", machine),
        ("Sources/Cores/ExecutorCore", machine),
        (
            "Sources/Simulation",
            machine.union(["Timing", "DispatcherCore", "SchedulerCore", "HeartbeatCore", "MonitorCore", "ExecutorCore"])
        ),
        ("Sources/Shell", machine.union(["CMosquitto", "CPlatform", "Glibc"])),
        ("Sources/Programs/martlet-dispatcher", shell.union(["DispatcherCore"])),
        ("Sources/Programs/martlet-scheduler", shell.union(["SchedulerCore", "Timing"])),
        ("Sources/Programs/martlet-heartbeat", shell.union(["HeartbeatCore", "Timing"])),
        ("Sources/Programs/martlet-monitor", shell.union(["MonitorCore"])),
        ("Sources/Programs/martlet-executor", shell.union(["ExecutorCore"])),
        ("Sources/Programs/Martlet", shell.union(["ExecutorCore", "Synchronization"])),
        ("Sources/Programs/martlet-simulate", shell.subtracting(["Shell"]).union(["Simulation"])),
        ("Sources/Programs/Console", shell.union(["Timing"])),
        ("Sources/Programs/martlet", shell.union(["Timing", "Console"])),
    ]

    /// The modules a file imports, with their lines.
    static func imports(_ file: SourceFile) -> [(module: String, line: Int)] {
        var found: [(module: String, line: Int)] = []
        for (index, token) in file.tokens.enumerated() where token.text == "import" && token.kind == .word {
            var next = index + 1
            let kinds = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
            if next < file.tokens.count, kinds.contains(file.tokens[next].text) { next += 1 }
            guard next < file.tokens.count, file.tokens[next].kind == .word else { continue }
            found.append((file.tokens[next].text, token.line))
        }
        return found
    }

    /// A file of `Sources` imports only what the table allows its target.
    static func floors(_ file: SourceFile) -> [Offence] {
        guard file.lies(in: "Sources"), file.path.hasSuffix(".swift") else { return [] }
        guard let row = table.first(where: { file.path.hasPrefix($0.folder + "/") }) else {
            return [file.offence(1, "the target is not in the table of floors")]
        }
        return imports(file).filter { !row.allowed.contains($0.module) }.map {
            file.offence($0.line, "\(row.folder) may not import \($0.module)")
        }
    }

    /// Tests are written with Swift Testing.
    static func testing(_ file: SourceFile) -> [Offence] {
        guard file.lies(in: "Tests") else { return [] }
        return imports(file).filter { $0.module == "XCTest" }.map {
            file.offence($0.line, "tests are written with Swift Testing")
        }
    }
}
