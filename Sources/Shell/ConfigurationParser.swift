import Glibc
import Wire

/// Reads the configuration of one program: flags before environment before files before defaults, all faults at once.
public struct ConfigurationParser: Sendable {
    /// The sections of the programs that share one file. A program skips those of the others.
    public static let programSections = ["dispatcher", "scheduler", "heartbeat", "monitor", "executor", "client"]
    /// The file that all users of a machine share.
    public static let systemFile = "/etc/martlet/martlet.json"

    /// The program's own section, such as `dispatcher`; its keys have flags without this prefix.
    public var section: String
    /// All declared keys.
    public var keys: [ConfigurationKey]
    /// Flags that take no value and are no keys, such as `help`.
    public var switches: [String] = ["help", "version", "check", "show-config"]
    /// Whether words that are no flags are welcome.
    public var takesArguments = false
    /// Reads an environment variable.
    public var environment: @Sendable (String) -> String? = { environmentValue($0) }
    /// The shared file.
    public var sharedFile = ConfigurationParser.systemFile

    /// A parser for a section and its keys.
    public init(section: String, keys: [ConfigurationKey]) {
        self.section = section
        self.keys = keys
    }

    /// What was read.
    public struct Outcome: Sendable {
        /// The effective configuration, as far as it could be read.
        public var configuration: Configuration
        /// Switches that were given, such as `help`.
        public var switches: [String] = []
        /// All faults, in the order of the places that were read.
        public var problems: [ConfigurationProblem] = []

        /// 64 when the command line is at fault, 78 when the configuration is, `nil` when all is well.
        public var exitStatus: Int? {
            problems.isEmpty ? nil : problems.contains { $0.isUsage } ? 64 : 78
        }
    }

    /// Reads everything. `arguments` are those of the process without its name.
    public func parse(_ arguments: [String]) -> Outcome {
        var outcome = Outcome(configuration: Configuration(keys: keys))
        var flags = FlagReader(parser: self, arguments: arguments)
        flags.read()
        outcome.problems += flags.problems
        outcome.switches = flags.switches
        outcome.configuration.arguments = flags.words
        readFiles(named: flags.file, into: &outcome)
        readEnvironment(into: &outcome)
        for given in flags.values {
            outcome.configuration.set(given.key.path, given.value, .flag(given.flag))
        }
        return outcome
    }

    /// The flag of a key, without dashes.
    public func flagName(_ key: ConfigurationKey) -> String {
        if let flag = key.flag { return flag }
        let prefix = section + "."
        let path = key.path.hasPrefix(prefix) ? String(key.path.dropFirst(prefix.count)) : key.path
        return path.withCharacters([".", "_"], replacedBy: "-")
    }

    /// The user's own file, or `nil` without a home directory.
    public var userFile: String? {
        if let base = environment("XDG_CONFIG_HOME") { return "\(base)/martlet/martlet.json" }
        return environment("HOME").map { "\($0)/.config/martlet/martlet.json" }
    }

    /// The shared file first, then the one that was named, or else the user's; later ones go before.
    private func readFiles(named: String?, into outcome: inout Outcome) {
        if access(sharedFile, F_OK) == 0 { readFile(sharedFile, into: &outcome) }
        if let named {
            readFile(named, into: &outcome)
        } else if let userFile, access(userFile, F_OK) == 0 {
            readFile(userFile, into: &outcome)
        }
    }

    private func readFile(_ path: String, into outcome: inout Outcome) {
        do throws(SystemError) {
            let content = try Shell.readFile(path, limit: 1 << 20)
            ConfigurationFile(path: path, content: content, parser: self).read(into: &outcome)
        } catch {
            outcome.problems.append(ConfigurationProblem(origin: path, key: "", text: "\(error)"))
        }
    }

    private func readEnvironment(into outcome: inout Outcome) {
        for key in keys {
            let name = key.environmentName
            guard let text = environment(name) else { continue }
            if let value = key.read(text) {
                outcome.configuration.set(key.path, value, .environment(name))
            } else {
                outcome.problems.append(
                    ConfigurationProblem(
                        origin: name, key: key.path, text: "expected \(key.expectation), found \"\(text)\""))
            }
        }
    }
}

/// Takes a command line apart.
private struct FlagReader {
    let parser: ConfigurationParser
    let arguments: [String]
    var values: [(key: ConfigurationKey, value: ConfigurationValue, flag: String)] = []
    var switches: [String] = []
    var words: [String] = []
    var file: String?
    var problems: [ConfigurationProblem] = []
    private var at = 0

    init(parser: ConfigurationParser, arguments: [String]) {
        self.parser = parser
        self.arguments = arguments
    }

    mutating func read() {
        while at < arguments.count {
            let argument = arguments[at]
            at += 1
            if argument == "--" {
                words += arguments[at...]
                at = arguments.count
            } else if argument.hasPrefix("--") {
                readFlag(argument)
            } else if argument == "-h" {
                switches.append("help")
            } else {
                words.append(argument)
            }
        }
        if !parser.takesArguments, let word = words.first {
            problems.append(usage(word, "", "unexpected word"))
        }
    }

    private mutating func readFlag(_ argument: String) {
        let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts.first ?? "")
        let attached = parts.count > 1 ? String(parts[1]) : nil
        if parser.switches.contains(name), attached == nil {
            switches.append(name)
        } else if name == "config" {
            file = value(attached, of: argument, expecting: "a file")
        } else if let key = parser.keys.first(where: { parser.flagName($0) == name }) {
            readValue(of: key, attached, argument: "--\(name)")
        } else {
            let known = parser.keys.map { parser.flagName($0) } + parser.switches + ["config"]
            let hint = Suggestion.nearest(to: name, among: known).map { "; did you mean --\($0)?" } ?? ""
            problems.append(usage("--\(name)", "", "unknown flag\(hint)"))
        }
    }

    private mutating func readValue(of key: ConfigurationKey, _ attached: String?, argument: String) {
        var text: String?
        if case .bool = key.kind, attached == nil {
            text = "true"
        } else {
            text = value(attached, of: argument, expecting: key.expectation)
        }
        guard let text else { return }
        if let value = key.read(text) {
            values.append((key, value, argument))
        } else {
            problems.append(usage(argument, key.path, "expected \(key.expectation), found \"\(text)\""))
        }
    }

    private mutating func value(_ attached: String?, of argument: String, expecting what: String) -> String? {
        if let attached { return attached }
        guard at < arguments.count else {
            problems.append(usage(argument, "", "expected \(what) behind it"))
            return nil
        }
        at += 1
        return arguments[at - 1]
    }

    private func usage(_ origin: String, _ key: String, _ text: String) -> ConfigurationProblem {
        ConfigurationProblem(origin: origin, key: key, text: text, isUsage: true)
    }
}

/// One configuration file: JSON in which lines that begin with `//` are comments.
private struct ConfigurationFile {
    let path: String
    let content: [UInt8]
    let parser: ConfigurationParser

    init(path: String, content: [UInt8], parser: ConfigurationParser) {
        self.path = path
        self.content = ConfigurationFile.blankingComments(content)
        self.parser = parser
    }

    func read(into outcome: inout ConfigurationParser.Outcome) {
        do throws(WireError) {
            var reader = try JSONReader(content)
            try readObject(&reader, prefix: "", into: &outcome)
        } catch {
            let origin = "\(path):\(line(of: error.offset))"
            outcome.problems.append(ConfigurationProblem(origin: origin, key: error.path, text: error.reason))
        }
    }

    private func readObject(
        _ reader: inout JSONReader, prefix: String, into outcome: inout ConfigurationParser.Outcome
    ) throws(WireError) {
        try reader.beginObject()
        while let name = reader.nextKey() {
            let full = prefix.isEmpty ? name : "\(prefix).\(name)"
            let line = line(of: reader.refused("").offset)
            if let key = parser.keys.first(where: { $0.path == full }) {
                readValue(of: key, &reader, line: line, into: &outcome)
            } else if reader.kind == .object, parser.keys.contains(where: { $0.path.hasPrefix(full + ".") }) {
                try readObject(&reader, prefix: full, into: &outcome)
            } else {
                reader.skip()
                guard !isForeign(full) else { continue }
                outcome.problems.append(problem(line, full, unknown(full)))
            }
        }
    }

    private func readValue(
        of key: ConfigurationKey, _ reader: inout JSONReader, line: Int,
        into outcome: inout ConfigurationParser.Outcome
    ) {
        if let value = key.read(&reader) {
            outcome.configuration.set(key.path, value, .file(path: path, line: line))
        } else {
            outcome.problems.append(problem(line, key.path, "expected \(key.expectation)"))
        }
    }

    /// Sections of other programs are theirs to check.
    private func isForeign(_ full: String) -> Bool {
        full != parser.section && ConfigurationParser.programSections.contains(full)
    }

    /// Only the last word is compared: what stands before it was right.
    private func unknown(_ full: String) -> String {
        let words = full.split(separator: ".").map(String.init)
        let before = words.dropLast().map { $0 + "." }.joined()
        let paths = parser.keys.map(\.path) + ConfigurationParser.programSections
        let known = paths.filter { $0.hasPrefix(before) }.map {
            String($0.dropFirst(before.count).prefix { $0 != "." })
        }
        let meant = Suggestion.nearest(to: words.last ?? "", among: Set(known).sorted())
        return "unknown key" + (meant.map { "; did you mean \(before)\($0)?" } ?? "")
    }

    private func problem(_ line: Int, _ key: String, _ text: String) -> ConfigurationProblem {
        ConfigurationProblem(origin: "\(path):\(line)", key: key, text: text)
    }

    private func line(of offset: Int) -> Int { 1 + content.prefix(offset).count { $0 == 0x0A } }

    /// Comment lines become blanks, so that offsets and lines stay what they are.
    private static func blankingComments(_ content: [UInt8]) -> [UInt8] {
        var result = content
        var start = 0
        while start < result.count {
            let end = result[start...].firstIndex(of: 0x0A) ?? result.count
            let text = result[start..<end].drop { $0 == 0x20 || $0 == 0x09 }
            if text.starts(with: [0x2F, 0x2F]) { for index in start..<end { result[index] = 0x20 } }
            start = end + 1
        }
        return result
    }
}
