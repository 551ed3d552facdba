import Foundation

/// One file of the repository, or one planted in a test.
struct SourceFile: Sendable {
    /// Where it lies, from the repository's top, with slashes.
    var path: String
    /// What it holds.
    var text: String
    /// The text without line ends; line 1 is at index 0.
    var lines: [Substring]
    /// The words and marks of a Swift file; empty for others.
    var tokens: [Token]
    /// The declarations of a Swift file; empty for others.
    var outline: [Declaration]

    init(_ path: String, _ text: String) {
        self.path = path
        self.text = text
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        tokens = path.hasSuffix(".swift") ? Lexer.tokens(of: text) : []
        outline = Outline.declarations(of: tokens)
    }

    /// An offence in this file.
    func offence(_ line: Int, _ text: String) -> Offence {
        Offence(path: path, line: line, text: text)
    }

    /// Whether the file lies in one of these folders.
    func lies(in folders: String...) -> Bool {
        folders.contains { path.hasPrefix($0 + "/") }
    }
}

/// A rule that a file breaks.
struct Offence: Hashable, Sendable, CustomStringConvertible {
    /// The file.
    var path: String
    /// The line; the first is 1.
    var line: Int
    /// What is wrong.
    var text: String

    var description: String { "\(path):\(line): \(text)" }
}

/// The repository these tests belong to, found by the place of this file.
enum Repository {
    /// Its top folder.
    static let top = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Every text file that belongs to the project.
    static let files: [SourceFile] = load()

    /// The names at the top, sorted.
    static func topLevel() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: top.path(percentEncoded: false)).sorted()
    }

    private static func load() -> [SourceFile] {
        var files: [SourceFile] = []
        for folder in ["Sources", "Tests", "topics", "deploy", ".ci"] {
            let names = FileManager.default.enumerator(atPath: top.appending(path: folder).path(percentEncoded: false))
            for case let name as String in names ?? NSEnumerator() where !name.contains("__pycache__") {
                if let file = read("\(folder)/\(name)") { files.append(file) }
            }
        }
        for name in ["README.md", "Package.swift", ".swift-format", ".gitignore"] {
            if let file = read(name) { files.append(file) }
        }
        return files.sorted { $0.path < $1.path }
    }

    /// The file's text; nothing for folders and for what is no text.
    private static func read(_ path: String) -> SourceFile? {
        guard let data = FileManager.default.contents(atPath: top.appending(path: path).path(percentEncoded: false)),
            let text = String(data: data, encoding: .utf8)
        else { return nil }
        return SourceFile(path, text)
    }
}
