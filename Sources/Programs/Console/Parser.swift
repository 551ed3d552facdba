import Contract
import Shell

/// A command line that was understood.
struct Invocation: Sendable {
    /// The command.
    let command: Command
    /// Its positional arguments.
    var arguments: [String] = []
    /// The values of the flags given, by name; a flag without a value has an empty list.
    var flags: [String: [String]] = [:]

    /// The argument at a place, or `nil` when it was left out.
    func argument(_ index: Int) -> String? { index < arguments.count ? arguments[index] : nil }
    /// Whether a flag was given.
    func has(_ flag: String) -> Bool { flags[flag] != nil }
    /// The value of a flag.
    func text(_ flag: String) -> String? { flags[flag]?.last }
    /// All values of a flag.
    func texts(_ flag: String) -> [String] { flags[flag] ?? [] }
    /// The value of a flag that is an integer.
    func integer(_ flag: String) -> Int? { text(flag).flatMap { Int($0) } }
    /// The value of a flag that is a duration, in ms.
    func duration(_ flag: String) -> Int? { text(flag).flatMap(Durations.parse) }
    /// The value of a flag that is a word of a closed list.
    func word<Word: RawRepresentable>(_ flag: String, _ type: Word.Type = Word.self) -> Word?
    where Word.RawValue == String { text(flag).flatMap { Word(rawValue: $0) } }
}

/// What a command line asks for.
enum Request: Sendable {
    /// To do something.
    case run(Invocation)
    /// Help for the commands whose words begin like this.
    case help([String])
    /// The version.
    case version
}

/// Turns the words of a command line into a request, by the table.
struct Parser {
    let table: [Command]

    /// Parses what follows the program's name.
    func parse(_ words: [String]) throws(Failure) -> Request {
        guard let first = words.first else { return .help([]) }
        if first == "--version" { return .version }
        if first == "--help" { return .help([]) }
        if first.hasPrefix("-") {
            throw .usage(
                "\"\(first)\" stands before a command", tries: ["martlet help", "flags behind the command"])
        }
        let leading = words.prefix { !$0.hasPrefix("-") }
        guard let command = longestMatch(Array(leading)) else { return try group(Array(leading), words) }
        var invocation = Invocation(command: command)
        switch try fill(&invocation, words.dropFirst(command.path.count)) {
        case "help": return .help(command.path)
        case "version": return .version
        default: break
        }
        try checkCount(invocation)
        return .run(invocation)
    }

    private func longestMatch(_ words: [String]) -> Command? {
        table.filter { $0.path.count <= words.count && $0.path.elementsEqual(words.prefix($0.path.count)) }
            .max { $0.path.count < $1.path.count }
    }

    /// A noun without its verb: help if it stands alone, else the fault.
    private func group(_ leading: [String], _ words: [String]) throws(Failure) -> Request {
        var known: [String] = []
        for word in leading {
            let next = Array(
                Set(
                    table.filter { $0.path.starts(with: known) && $0.path.count > known.count }
                        .map { $0.path[known.count] })
            ).sorted()
            guard next.contains(word) else {
                let where_ = known.isEmpty ? "command" : "verb of \(known.joined(separator: " "))"
                throw .usage(
                    "\"\(Terminal.escape(word))\" is no \(where_)", meant: Nearest.name(to: word, in: next),
                    tries: [(["martlet help"] + known).joined(separator: " ")])
            }
            known.append(word)
        }
        if words.contains("--version") { return .version }
        if words.count == known.count || words.contains("--help") { return .help(known) }
        throw .usage("\(known.joined(separator: " ")) needs a verb", tries: ["martlet help \(known[0])"])
    }

    /// Takes flags and arguments; `help` or `version` when that was asked for instead.
    private func fill(_ invocation: inout Invocation, _ rest: ArraySlice<String>) throws(Failure) -> String? {
        var words = rest
        let flags = invocation.command.allFlags
        var flagsEnded = false
        while let word = words.popFirst() {
            if flagsEnded || word == "-" || !word.hasPrefix("-") {
                invocation.arguments.append(word)
            } else if word == "--" {
                flagsEnded = true
            } else {
                let (flag, value) = try take(word, of: flags, invocation.command, &words)
                if flag.name == "help" || flag.name == "version" { return flag.name }
                if let value {
                    invocation.flags[flag.name, default: []].append(value)
                } else {
                    invocation.flags[flag.name] = []
                }
                if !flag.repeats, invocation.texts(flag.name).count > 1 {
                    throw .usage("--\(flag.name) is given twice")
                }
            }
        }
        return nil
    }

    private func take(
        _ word: String, of flags: [Flag], _ command: Command, _ words: inout ArraySlice<String>
    ) throws(Failure) -> (Flag, String?) {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard let flag = flags.first(where: { "--\($0.name)" == name }) else {
            let names = flags.map { "--\($0.name)" }
            throw .usage(
                "\(command.name) has no flag \(Terminal.escape(name))", meant: Nearest.name(to: name, in: names),
                tries: ["martlet \(command.name) --help"])
        }
        if case .none = flag.value {
            if parts.count > 1 { throw .usage("--\(flag.name) takes no value") }
            return (flag, nil)
        }
        guard let value = parts.count > 1 ? String(parts[1]) : words.popFirst() else {
            throw .usage("--\(flag.name) needs a value: \(flag.usage)")
        }
        try check(value, of: flag)
        return (flag, value)
    }

    private func check(_ value: String, of flag: Flag) throws(Failure) {
        let shown = Terminal.escape(value)
        switch flag.value {
        case .none, .text: return
        case .duration:
            if Durations.parse(value) == nil {
                throw .usage(
                    "--\(flag.name) \(shown): not a duration, such as 500ms, 30s, 5m, 2h",
                    tries: Int(value).map { $0 > 0 ? ["--\(flag.name) \($0)s"] : [] } ?? [])
            }
        case .integer(let least):
            guard let number = Int(value), number >= least else {
                throw .usage("--\(flag.name) \(shown): not an integer from \(least) on")
            }
        case .word(let words):
            if !words.contains(value) {
                throw .usage(
                    "--\(flag.name) \(shown): must be one of \(words.joined(separator: ", "))",
                    meant: Nearest.name(to: value, in: words))
            }
        }
    }

    private func checkCount(_ invocation: Invocation) throws(Failure) {
        let arguments = invocation.command.arguments
        let given = invocation.arguments.count
        if let missing = arguments.dropFirst(given).first(where: { !$0.isOptional }) {
            throw .usage(
                "\(invocation.command.name) needs \(missing.name): \(missing.summary)",
                tries: [invocation.command.examples.first?.line ?? "martlet help"])
        }
        if given > arguments.count, arguments.last?.repeats != true {
            throw .usage(
                "\(invocation.command.name) takes no \"\(Terminal.escape(invocation.arguments[arguments.count]))\"",
                tries: ["martlet \(invocation.command.name) --help"])
        }
        for (argument, value) in zip(arguments, invocation.arguments)
        where !argument.words.isEmpty && !argument.words.contains(value) {
            throw .usage(
                "\"\(Terminal.escape(value))\": \(argument.name) must be one of \(argument.words.joined(separator: ", "))",
                meant: Nearest.name(to: value, in: argument.words))
        }
    }
}

/// Splits a line into words as a shell would: blanks, single and double quotes; no expansion.
enum CommandLineWords {
    /// The words of a line.
    static func split(_ line: String) -> [String] {
        var words: [String] = []
        var word = ""
        var quote: Character?
        var open = false
        for character in line {
            if let mark = quote {
                if character == mark { quote = nil } else { word.append(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                open = true
            } else if character == " " {
                if open { words.append(word) }
                word = ""
                open = false
            } else {
                word.append(character)
                open = true
            }
        }
        if open { words.append(word) }
        return words
    }
}

/// What was probably meant.
enum Nearest {
    /// The only name that begins like `text`, else the nearest by edits.
    static func name(to text: String, in names: [String]) -> String? {
        let longer = names.filter { $0.hasPrefix(text) }
        return longer.count == 1 ? longer.first : Suggestion.nearest(to: text, among: names.sorted())
    }
}
