public import Wire

/// One thing that can be configured. The table of a program's keys gives its flags, its environment variables, its help
/// text, and the check of its files.
public struct ConfigurationKey: Sendable {
    /// What values a key takes.
    public enum Kind: Sendable {
        /// Any text.
        case text
        /// A text of a closed list.
        case word([String])
        /// An integer of a range.
        case integer(ClosedRange<Int>)
        /// A duration in ms; people may write `30s`.
        case duration(ClosedRange<Int>)
        /// True or false.
        case bool
        /// Texts; separated by commas in flags and the environment.
        case list
        /// Any JSON value, in files only.
        case json
    }

    /// Dotted path, such as `dispatcher.lease_ms`; its first part is the section.
    public var path: String
    /// What it takes.
    public var kind: Kind
    /// The value where nobody says otherwise, written as in the environment; `nil`: none.
    public var standard: String?
    /// What it means, in one sentence for people.
    public var help: String
    /// Flag without the dashes, when it differs from the path.
    public var flag: String?
    /// Whether it names a file with a secret; its content is never shown.
    public var isSecretFile = false
    /// Whether a change takes effect only after a restart.
    public var needsRestart = false

    /// A key. `flag` is by default the path without the program's own section, with dashes.
    public init(
        _ path: String, _ kind: Kind, standard: String? = nil, help: String, flag: String? = nil,
        isSecretFile: Bool = false, needsRestart: Bool = false
    ) {
        self.path = path
        self.kind = kind
        self.standard = standard
        self.help = help
        self.flag = flag
        self.isSecretFile = isSecretFile
        self.needsRestart = needsRestart
    }

    /// The environment variable: `MARTLET_DISPATCHER_LEASE_MS`.
    public var environmentName: String {
        "MARTLET_" + path.uppercased().withCharacters([".", "-"], replacedBy: "_")
    }

    /// The unit, as the output of `config show` has it.
    public var unit: String {
        if case .duration = kind { return "ms" }
        return path.hasSuffix("_bytes") ? "bytes" : ""
    }

    /// What a value must look like, for messages.
    public var expectation: String {
        switch kind {
        case .text: return "a text"
        case .word(let words): return "one of \(words.joined(separator: ", "))"
        case .integer(let range): return "an integer from \(range.lowerBound) to \(range.upperBound)"
        case .duration(let range):
            return "a duration from \(DurationText.text(range.lowerBound)) to \(DurationText.text(range.upperBound))"
        case .bool: return "true or false"
        case .list: return "a list of texts"
        case .json: return "a JSON value in a configuration file"
        }
    }

    /// Reads a value as flags and the environment write it; `nil` when it is not of the kind.
    func read(_ text: String) -> ConfigurationValue? {
        switch kind {
        case .text: return .text(text)
        case .word(let words): return words.contains(text) ? .text(text) : nil
        case .integer(let range): return Int(text).flatMap { range.contains($0) ? .integer($0) : nil }
        case .duration(let range):
            return DurationText.milliseconds(text).flatMap { range.contains($0) ? .integer($0) : nil }
        case .bool: return text == "true" ? .bool(true) : text == "false" ? .bool(false) : nil
        case .list: return .list(text.split(separator: ",").map { String($0).trimmingSpaces })
        case .json: return nil
        }
    }

    /// Reads a value from a file; `nil` when it is not of the kind. The value is consumed in any case.
    func read(_ reader: inout JSONReader) -> ConfigurationValue? {
        let raw = reader.raw()
        var value = JSONReader(raw)
        switch (kind, value.kind) {
        case (.json, _): return .json(raw)
        case (.text, .string), (.word, .string), (.duration, .string): return (try? value.string()).flatMap { read($0) }
        case (.integer(let range), .number), (.duration(let range), .number):
            return (try? value.int(in: range)).map { .integer($0) }
        case (.bool, .bool): return (try? value.bool()).map { .bool($0) }
        case (.list, .array): return (try? value.strings(limit: 65_536, count: 10_000)).map { .list($0) }
        default: return nil
        }
    }
}

/// A configured value.
public enum ConfigurationValue: Hashable, Sendable {
    /// A text or a word.
    case text(String)
    /// An integer, or a duration in ms.
    case integer(Int)
    /// True or false.
    case bool(Bool)
    /// Texts.
    case list([String])
    /// Any JSON value.
    case json(RawJSON)

    /// The value as it is shown.
    public var text: String {
        switch self {
        case .text(let text): return text
        case .integer(let number): return String(number)
        case .bool(let flag): return flag ? "true" : "false"
        case .list(let list): return list.joined(separator: ",")
        case .json(let raw): return raw.text
        }
    }
}

/// Where a value comes from.
public enum ConfigurationOrigin: Hashable, Sendable, CustomStringConvertible {
    /// The key's own default.
    case standard
    /// A file and the line in it, from 1.
    case file(path: String, line: Int)
    /// An environment variable.
    case environment(String)
    /// A flag, with its dashes.
    case flag(String)

    /// `default`, `/etc/martlet/martlet.json:12`, `env MARTLET_X`, `flag --x`.
    public var description: String {
        switch self {
        case .standard: return "default"
        case .file(let path, let line): return "\(path):\(line)"
        case .environment(let name): return "env \(name)"
        case .flag(let name): return "flag \(name)"
        }
    }
}

/// Something wrong with a configuration.
public struct ConfigurationProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// Where: a file with line, a variable, a flag.
    public var origin: String
    /// The key's path; empty when no key is concerned.
    public var key: String
    /// What is wrong and what is expected, with a suggestion if there is one.
    public var text: String
    /// Whether the command line is at fault (exit 64) and not the configuration (exit 78).
    public var isUsage: Bool

    /// A problem.
    public init(origin: String, key: String, text: String, isUsage: Bool = false) {
        self.origin = origin
        self.key = key
        self.text = text
        self.isUsage = isUsage
    }

    /// One line.
    public var description: String {
        [origin, key, text].filter { !$0.isEmpty }.joined(separator: ": ")
    }
}

extension String {
    func withCharacters(_ unwanted: [Character], replacedBy other: Character) -> String {
        String(map { unwanted.contains($0) ? other : $0 })
    }

    var trimmingSpaces: String {
        let start = drop { $0 == " " || $0 == "\t" }
        return String(start.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
    }
}

/// Finds what somebody may have meant.
public enum Suggestion {
    /// The nearest of the known words, if it is near enough: at most a third of the letters differ.
    public static func nearest(to word: String, among known: [String]) -> String? {
        let limit = max(1, word.count / 3)
        let ranked = known.map { (distance(word, $0), $0) }.min { $0 < $1 }
        guard let ranked, ranked.0 <= limit else { return nil }
        return ranked.1
    }

    /// How many letters must be inserted, deleted, replaced or swapped.
    static func distance(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a.utf8.prefix(128)), Array(b.utf8.prefix(128)))
        var before: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var cost = min(last[j] + (a[i] == b[j] ? 0 : 1), min(last[j + 1], row[j]) + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, before[j - 1] + 1) }
                row.append(cost)
            }
            before = last
            last = row
        }
        return last[b.count]
    }
}
