/// What no file may say, and what every public declaration must.
enum TextRules {
    private static let marks: [String] = ["FIX" + "ME", "TO" + "DO", "X" + "XX"]
    private static let paths: [String] = [
        "/work/" + "main", "/work/" + "shared", "/tmp/" + "w/", "/ro" + "ot/", "/ho" + "me/",
    ]

    /// Nothing is left for later.
    static func unfinished(_ file: SourceFile) -> [Offence] {
        occurrences(of: marks, in: file) { line, mark in
            line.split { !($0.isLetter || $0.isNumber || $0 == "_") }.contains { $0 == mark }
        }
    }

    /// No path of one machine.
    static func machinePaths(_ file: SourceFile) -> [Offence] {
        occurrences(of: paths, in: file) { line, path in line.contains(path) }
    }

    /// An offence for each line that holds one of the texts.
    private static func occurrences(
        of texts: [String], in file: SourceFile, holds: (Substring, String) -> Bool
    ) -> [Offence] {
        let present = texts.filter { file.text.contains($0) }
        guard !present.isEmpty else { return [] }
        var offences: [Offence] = []
        for (index, line) in file.lines.enumerated() {
            for text in present where holds(line, text) { offences.append(file.offence(index + 1, "`\(text)`")) }
        }
        return offences
    }

    /// A page that is cited exists. `pages` are the paths of all files that end in `.md`.
    static func citations(_ file: SourceFile, pages: Set<String>) -> [Offence] {
        guard file.text.contains(".md") else { return [] }
        let isMarkdown = file.path.hasSuffix(".md")
        let known = isMarkdown ? Set(pages.compactMap { $0.split(separator: "/").last.map(String.init) }) : pages
        return file.lines.enumerated().flatMap { index, line in
            cited(line).compactMap { page in
                let name = isMarkdown ? String(page.split(separator: "/").last ?? "") : page
                return known.contains(name) || name.hasSuffix("README.md")
                    ? nil : file.offence(index + 1, "cites `\(page)`, which is not a page of this repository")
            }
        }
    }

    /// The paths in a line that end in `.md`.
    private static func cited(_ line: Substring) -> [String] {
        let words = line.split { !($0.isLetter || $0.isNumber || "_/.-".contains($0)) }
        return words.compactMap { word in
            let path = word.hasSuffix(".") ? word.dropLast() : word
            return path.hasSuffix(".md") && path.count > 3 ? String(path) : nil
        }
    }

    /// Whatever a target offers says what it is.
    static func documentation(_ file: SourceFile) -> [Offence] {
        guard file.lies(in: "Sources"), file.path.hasSuffix(".swift") else { return [] }
        return file.outline.compactMap { declaration in
            guard !declaration.isLocal, declaration.kind != "extension" else { return nil }
            let owner = declaration.owner.map { file.outline[$0] }
            let isCase = declaration.kind == "case" && (owner?.isPublic ?? false)
            let isRequirement = owner?.kind == "protocol" && owner?.isPublic ?? false
            guard declaration.isPublic || isCase || isRequirement else { return nil }
            guard !hasComment(file, above: declaration.line, grouped: isCase) else { return nil }
            return file.offence(declaration.line, "`\(declaration.kind) \(declaration.name)` is not documented")
        }
    }

    /// Whether the line above is a doc comment; the cases of a group share the one above the first.
    private static func hasComment(_ file: SourceFile, above line: Int, grouped: Bool) -> Bool {
        var index = line - 2
        while index >= 0 {
            let text = file.lines[index].drop { $0 == " " }
            if text.hasPrefix("///") { return true }
            let continues = grouped && (text.hasPrefix("case ") || text.hasPrefix("indirect case "))
            guard continues else { return false }
            index -= 1
        }
        return false
    }

    /// The top of the repository holds what its layout names, and nothing else.
    static func layout(_ names: [String]) -> [Offence] {
        let allowed: Set<String> = ["Package.swift", "Sources", "Tests", "topics", "deploy", "README.md", "LICENSE"]
        return names.filter { !$0.hasPrefix(".") && !allowed.contains($0) }.map {
            Offence(path: $0, line: 0, text: "does not belong at the top of the repository")
        }
    }
}
