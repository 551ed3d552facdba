import Foundation

/// A command of a page and the output the page shows for it.
struct PageCommand: Hashable, Sendable {
    /// What is typed.
    var command: String
    /// The lines below it.
    var output: [String]
    /// The line of the page it stands on.
    var line: Int
}

/// The commands of a page: the lines that begin with `$ ` in its `console` blocks, and the lines up to the next one.
enum PageCommands {
    static func read(_ text: String) -> [PageCommand] {
        var found: [PageCommand] = []
        var isInside = false
        var continues = false
        for (index, line) in text.components(separatedBy: "\n").enumerated() {
            if line.hasPrefix("```") {
                isInside = line == "```console"
                continues = false
            } else if isInside, continues, let last = found.indices.last {
                found[last].command += "\n" + line
                continues = line.hasSuffix("\\")
            } else if isInside, line.hasPrefix("$ ") {
                found.append(PageCommand(command: String(line.dropFirst(2)), output: [], line: index + 1))
                continues = line.hasSuffix("\\")
            } else if isInside, let last = found.indices.last {
                found[last].output.append(line)
            }
        }
        return found
    }
}

/// What differs from run to run is masked on both sides of a comparison: times, durations, random names, ports.
enum Mask {
    private static let rules: [(pattern: String, mask: String)] = [
        (#"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?"#, "TIME"),
        (#"\d\d:\d\d(:\d\d(\.\d+)?)?"#, "TIME"),
        (#"\b\d+(\.\d+)? (ms|s|min|h|d)\b( \d+ (ms|s|min|h)\b)*"#, "DURATION"),
        (#"127\.0\.0\.1:\d+"#, "ADDRESS"),
        (#"mosquitto \d+\.\d+\.\d+"#, "mosquitto VERSION"),
        (#"\b[a-z0-9]{4}(-[a-z0-9]{4}){2,3}\b"#, "PASSWORD"),
        (#" {2,}"#, "  "),
    ]

    static func apply(_ line: String) -> String {
        var text = line
        for rule in rules {
            text = text.replacingOccurrences(of: rule.pattern, with: rule.mask, options: .regularExpression)
        }
        return text.trimmingCharacters(in: .whitespaces)
    }
}
