/// The help text of a program, made from its table of keys: examples first.
public struct HelpText: Sendable {
    /// The program's name.
    public var program: String
    /// What it is, in one sentence.
    public var summary: String
    /// Command lines that work, each with a word on what it does.
    public var examples: [(command: String, purpose: String)]
    /// The parser whose keys are shown.
    public var parser: ConfigurationParser

    /// A help text.
    public init(
        program: String, summary: String, examples: [(command: String, purpose: String)], parser: ConfigurationParser
    ) {
        self.program = program
        self.summary = summary
        self.examples = examples
        self.parser = parser
    }

    /// The whole text.
    public var text: String {
        var text = "\(program): \(summary)\n\nExamples\n"
        for example in examples { text += "  \(example.command)\n      \(example.purpose)\n" }
        text += "\nUsage\n  \(program) [flags]\n\nFlags\n"
        for key in parser.keys {
            if case .json = key.kind { continue }
            text += flagLine(key)
        }
        text += "  --config FILE\n      Read this file in place of the user's own.\n"
        text += "  --check\n      Check the configuration, say what is wrong with it, and exit.\n"
        text += "  --show-config\n      Print every key with its value, its unit and where it comes from, and exit.\n"
        text += "  --help, --version\n"
        let files = parser.keys.filter { if case .json = $0.kind { true } else { false } }
        if !files.isEmpty {
            text += "\nIn configuration files only\n"
            for key in files { text += "  \(key.path)\n      \(key.help)\n" }
        }
        text +=
            "\nValues come from flags, then from the environment (MARTLET_ and the key's path in capitals, such as\n"
        text +=
            "\(parser.keys.first?.environmentName ?? "MARTLET_KEY")), then from --config or ~/.config/martlet/martlet.json,\n"
        text += "then from \(parser.sharedFile). In these JSON files lines that begin with // are comments.\n"
        return text
    }

    private func flagLine(_ key: ConfigurationKey) -> String {
        var value = ""
        switch key.kind {
        case .text: value = key.isSecretFile || key.path.hasSuffix("_file") ? " FILE" : " TEXT"
        case .word(let words): value = " \(words.joined(separator: "|"))"
        case .integer: value = " N"
        case .duration: value = " DURATION"
        case .bool, .json: value = ""
        case .list: value = " A,B"
        }
        var line = "  --\(parser.flagName(key))\(value)\n      \(key.help)"
        if let standard = key.standard { line += " Default: \(standard)." }
        if key.needsRestart { line += " A change needs a restart." }
        return line + "\n"
    }
}
