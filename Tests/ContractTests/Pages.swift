import Foundation
import Testing
import Wire

/// The folder `topics/` of this repository.
enum Pages {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("topics")

    /// The ending of a page's file name.
    static let suffix = ".md"

    static func bytes(_ path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: folder.appendingPathComponent(path)))
    }

    static func text(_ path: String) throws -> String { String(decoding: try bytes(path), as: UTF8.self) }

    static func json(_ path: String) throws -> JSONValue { JSONValue(try RawJSON(validating: try bytes(path))) }

    /// The names in a folder, sorted.
    static func names(in path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent(path).path)
            .filter { !$0.hasPrefix(".") }.sorted()
    }

    /// The first cells of a page's table rows that hold one word in backticks, below a heading.
    static func firstCells(of page: String, below heading: String) throws -> [String] {
        var cells: [String] = []
        var inside = false
        for line in try text(page + suffix).split(separator: "\n") {
            if line.hasPrefix("#") { inside = line.hasSuffix(" \(heading)") }
            if inside, line.hasPrefix("| ") { cells.append(String(line.dropFirst(2).prefix { $0 != "|" })) }
        }
        return cells.flatMap { $0.split(separator: ",") }.compactMap { cell in
            let parts = cell.split(separator: "`", omittingEmptySubsequences: false)
            return parts.count == 3 ? String(parts[1]) : nil
        }
    }
}

extension JSONValue {
    var elements: [JSONValue] {
        if case .array(let list) = self { list } else { [] }
    }

    var fields: [Field] {
        if case .object(let fields) = self { fields } else { [] }
    }

    var keys: [String] { fields.map(\.key) }

    /// Its elements as texts.
    var texts: [String] { elements.compactMap(\.stringValue) }
}

/// One file below `topics/examples`.
struct Example: CustomTestStringConvertible, Sendable {
    var message: String
    var file: String
    /// What is sent.
    var payload: [UInt8]
    /// For an invalid one: how it is refused.
    var code: String?
    /// For an invalid one: whether only a program can tell, and no schema.
    var beyondSchema = false

    var testDescription: String { "\(message)/\(file)" }

    static let all: [Example] = {
        do {
            return try Pages.names(in: "examples").flatMap { message in
                try Pages.names(in: "examples/\(message)").map { try Example(message, $0) }
            }
        } catch { preconditionFailure("topics/examples cannot be read: \(error)") }
    }()

    static let valid = all.filter { $0.code == nil }
    static let invalid = all.filter { $0.code != nil }

    init(_ message: String, _ file: String) throws {
        self.message = message
        self.file = file
        let path = "examples/\(message)/\(file)"
        var bytes = try Pages.bytes(path)
        precondition(bytes.popLast() == UInt8(ascii: "\n"), "\(path) does not end its line")
        payload = bytes
        if file.hasPrefix("valid-") { return }
        precondition(file.hasPrefix("invalid-"), "\(path) is neither valid nor invalid")
        let value = try Pages.json(path)
        code = value["code"]?.stringValue ?? "missing"
        beyondSchema = value["beyond_schema"] != nil
        payload = (value["payload_text"]?.stringValue).map { Array($0.utf8) } ?? value["payload"]?.encoded ?? []
    }
}
