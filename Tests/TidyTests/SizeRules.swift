/// How long a thing may be.
enum SizeRules {
    /// Lines of a file of code.
    static let fileLines = 500
    /// Lines of a function, signature and braces included.
    static let functionLines = 70
    /// Parameters of a function.
    static let parameters = 5
    /// Lines of the README.
    static let readmeLines = 300
    /// Words of the README before its first command.
    static let wordsBeforeCommand = 100

    /// A file fits on a few screens.
    static func file(_ file: SourceFile) -> [Offence] {
        let isCode = ["swift", "sh", "py", "c", "h", "ino"].contains { file.path.hasSuffix("." + $0) }
        let limit = file.path == "README.md" ? readmeLines : isCode ? fileLines : Int.max
        let count = file.lines.last == "" ? file.lines.count - 1 : file.lines.count
        return count > limit ? [file.offence(count, "\(count) lines; the limit is \(limit)")] : []
    }

    /// A function fits on a screen and takes few parameters.
    static func functions(_ file: SourceFile) -> [Offence] {
        file.outline.flatMap { declaration -> [Offence] in
            guard ["func", "init", "subscript", "deinit"].contains(declaration.kind) else { return [] }
            var offences: [Offence] = []
            let lines = declaration.lastLine - declaration.line + 1
            if lines > functionLines {
                let text = "`\(declaration.name)` has \(lines) lines; the limit is \(functionLines)"
                offences.append(file.offence(declaration.line, text))
            }
            // What C calls has the parameters that C gives.
            let isCallback = declaration.name.hasSuffix("Callback") && file.lies(in: "Sources/Shell")
            if declaration.kind == "func", !isCallback, declaration.parameters > parameters {
                let text =
                    "`\(declaration.name)` takes \(declaration.parameters) parameters; the limit is \(parameters)"
                offences.append(file.offence(declaration.line, text))
            }
            return offences
        }
    }

    /// The README comes to its first command soon.
    static func readme(_ file: SourceFile) -> [Offence] {
        guard file.path == "README.md" else { return [] }
        guard let first = file.lines.firstIndex(where: { $0.hasPrefix("```") }) else {
            return [file.offence(1, "no command")]
        }
        let words = file.lines[..<first].flatMap { $0.split(separator: " ") }.count
        guard words > wordsBeforeCommand else { return [] }
        return [file.offence(first + 1, "\(words) words before the first command; the limit is \(wordsBeforeCommand)")]
    }
}
