/// What Swift files may not say.
enum LanguageRules {
    /// Floors 1 to 3 and the simulation decide by their inputs alone.
    static func purity(_ file: SourceFile) -> [Offence] {
        let pure = file.lies(
            in: "Sources/Base", "Sources/Contract", "Sources/Machines", "Sources/Cores", "Sources/Simulation")
        guard pure else { return [] }
        let banned: Set<String> = [
            "ContinuousClock", "SuspendingClock", "Date", "clock_gettime", "gettimeofday", "getenv", "fopen",
            "SystemRandomNumberGenerator", "print", "debugPrint", "readLine", "Task", "Thread", "async", "await",
            "hashValue",
        ]
        let inexact: Set<String> = file.lies(in: "Sources/Cores") ? ["Double", "Float"] : []
        let own = Set(file.outline.map(\.name))
        var offences: [Offence] = []
        for (index, token) in file.tokens.enumerated() where token.kind == .word {
            if banned.contains(token.text), !own.contains(token.text) {
                offences.append(file.offence(token.line, "`\(token.text)` in a part that is to be pure"))
            } else if inexact.contains(token.text) {
                offences.append(file.offence(token.line, "`\(token.text)` in a core; integers only"))
            } else if drawsUnseeded(file, index) {
                offences.append(file.offence(token.line, "`\(token.text)` without the seeded generator"))
            }
        }
        return offences
    }

    /// Whether a random choice is made here without naming a generator.
    private static func drawsUnseeded(_ file: SourceFile, _ index: Int) -> Bool {
        let draws: Set<String> = ["random", "shuffled", "shuffle", "randomElement"]
        let tokens = file.tokens
        guard draws.contains(tokens[index].text), index > 0, tokens[index - 1].text == ".",
            index + 1 < tokens.count, tokens[index + 1].text == "("
        else { return false }
        for token in tokens[(index + 1)...] {
            if token.text == "using" { return false }
            if token.text == ")" { return true }
        }
        return true
    }

    /// Names say what a thing is, and leave Swift's own names alone.
    static func names(_ file: SourceFile) -> [Offence] {
        let types: Set<String> = ["struct", "enum", "class", "actor", "protocol", "typealias"]
        let suffixes = ["Manager", "Helper", "Helpers", "Util", "Utils", "Info"]
        let taken: Set<String> = ["Task", "Executor", "Clock", "Result"]
        return file.outline.filter { types.contains($0.kind) }.compactMap { declaration in
            if let suffix = suffixes.first(where: { declaration.name.hasSuffix($0) }) {
                return file.offence(
                    declaration.line, "`\(declaration.name)`: a name that ends in \(suffix) says nothing")
            }
            guard taken.contains(declaration.name) else { return nil }
            return file.offence(declaration.line, "`\(declaration.name)` shadows a name of Swift's own")
        }
    }

    /// Nothing traps on a value that is absent or of another type.
    static func force(_ file: SourceFile) -> [Offence] {
        let tokens = file.tokens
        return tokens.indices.compactMap { index in
            guard index > 0, tokens[index].text == "!", tokens[index].adjacent else { return nil }
            let before = tokens[index - 1]
            if before.text == "try" || before.text == "as" {
                return file.offence(tokens[index].line, "`\(before.text)!`")
            }
            let isComparison = index + 1 < tokens.count && tokens[index + 1].text == "=" && tokens[index + 1].adjacent
            let endsValue = before.kind != .symbol || [")", "]", "}", ">", "?", "!"].contains(before.text)
            return endsValue && !isComparison ? file.offence(tokens[index].line, "a forced unwrap") : nil
        }
    }

    /// The compiler's checks of data races are set aside in the shell only.
    static func unchecked(_ file: SourceFile) -> [Offence] {
        guard !file.lies(in: "Sources/Shell") else { return [] }
        let tokens = file.tokens
        return tokens.indices.compactMap { index in
            let token = tokens[index]
            if token.text == "unchecked", index > 0, tokens[index - 1].text == "@" {
                return file.offence(token.line, "`@unchecked` outside of the shell")
            }
            let opens = index + 2 < tokens.count && tokens[index + 1].text == "(" && tokens[index + 2].text == "unsafe"
            guard token.text == "nonisolated", opens else { return nil }
            return file.offence(token.line, "`nonisolated(unsafe)` outside of the shell")
        }
    }

    /// Tests await a condition; they do not sleep.
    static func pauses(_ file: SourceFile) -> [Offence] {
        guard file.lies(in: "Tests") else { return [] }
        let words: Set<String> = ["sleep", "usleep", "nanosleep", "clock_nanosleep"]
        return file.tokens.indices.compactMap { index in
            let token = file.tokens[index]
            guard token.kind == .word, words.contains(token.text), index + 1 < file.tokens.count,
                file.tokens[index + 1].text == "("
            else { return nil }
            return file.offence(token.line, "`\(token.text)` in a test")
        }
    }

    /// A function of a suite is a test, or private: one that only looks like a test would never run.
    static func unmarkedTests(_ file: SourceFile) -> [Offence] {
        guard file.lies(in: "Tests") else { return [] }
        let outline = file.outline
        let suites = Set(outline.filter { $0.attributes.contains("Test") }.compactMap(\.owner))
        return outline.compactMap { declaration in
            guard declaration.kind == "func", !declaration.isLocal, !declaration.attributes.contains("Test") else {
                return nil
            }
            let rest = declaration.name.dropFirst(4).first
            let looksLikeTest = declaration.name.hasPrefix("test") && (rest?.isUppercase ?? false)
            let isHidden = !Set(declaration.modifiers).isDisjoint(with: ["private", "fileprivate", "static"])
            let couldBeTest =
                declaration.owner.map(suites.contains) ?? false && declaration.parameters == 0
                && !declaration.returnsValue && !isHidden
            guard looksLikeTest || couldBeTest else { return nil }
            return file.offence(declaration.line, "`\(declaration.name)` lacks `@Test` and never runs")
        }
    }
}
