/// The help, made from the table: examples first.
struct Help {
    let table: [Command]
    private let width: Int

    /// Help over a table, for a terminal of so many columns.
    init(_ table: [Command], width: Int? = nil) {
        self.table = table
        self.width = min(width ?? Help.widest, Help.widest)
    }

    /// The help for the commands whose words begin like `path`; for none of them, the overview.
    func text(_ path: [String]) -> String {
        if path.isEmpty { return overview }
        let matching = table.filter { $0.path.starts(with: path) }
        if let exact = matching.first(where: { $0.path == path }) {
            return matching.count == 1 ? command(exact) : command(exact) + "\n" + group(path, matching)
        }
        return group(path, matching)
    }

    private var overview: String {
        let firsts = ["up", "run", "explain", "schedule put", "tail"].compactMap { name in
            table.first { $0.name == name }?.examples.first
        }
        var lines = ["martlet runs tasks on a fleet of executors that share an MQTT broker.", ""]
        lines += examples(firsts)
        lines += ["", "martlet COMMAND [ID] [flags]", ""]
        var seen: Set<String> = []
        var rows = TextTable()
        for command in table where seen.insert(command.path[0]).inserted {
            let verbs = table.filter { $0.path[0] == command.path[0] && $0.path.count > 1 }
            if verbs.isEmpty {
                rows.add(["  " + command.path[0], command.summary])
            } else {
                var names: [String] = []
                for verb in verbs where !names.contains(verb.path[1]) { names.append(verb.path[1]) }
                rows.add(["  " + command.path[0], names.joined(separator: ", ")])
            }
        }
        lines += rows.lines(width: width)
        lines.append("")
        lines += Help.wrap(
            "martlet COMMAND --help shows one command; martlet help examples shows every example.", indent: 0,
            width: width)
        return lines.joined(separator: "\n")
    }

    private func group(_ path: [String], _ commands: [Command]) -> String {
        var lines = examples(commands.prefix(4).compactMap(\.examples.first)) + [""]
        var rows = TextTable()
        for command in commands {
            let words = command.path + command.arguments.map(\.usage)
            rows.add(["  martlet " + words.joined(separator: " "), command.summary])
        }
        lines += rows.lines(width: width)
        lines += ["", "martlet \(path.joined(separator: " ")) VERB --help shows one of them."]
        return lines.joined(separator: "\n")
    }

    private func command(_ command: Command) -> String {
        var lines = examples(command.examples)
        lines += ["", command.usage] + Help.wrap(command.summary, indent: 4, width: width)
        for paragraph in command.details { lines += [""] + Help.wrap(paragraph, indent: 0, width: width) }
        if !command.arguments.isEmpty {
            var rows = TextTable()
            for argument in command.arguments { rows.add(["  " + argument.usage, argument.summary]) }
            lines += [""] + rows.lines(width: width)
        }
        lines += [""] + flagLines(command.flags)
        if !command.flags.isEmpty { lines.append("") }
        let own = Set(command.flags.map(\.name))
        lines += flagLines(command.shared.flags.filter { !own.contains($0.name) })
        return lines.joined(separator: "\n")
    }

    private func flagLines(_ flags: [Flag]) -> [String] {
        var rows = TextTable()
        for flag in flags {
            var summary = flag.summary + (flag.repeats ? "; may be repeated" : "")
            if flag.hidesWords, case .word(let words) = flag.value { summary += ": " + words.joined(separator: ", ") }
            rows.add(["  " + flag.usage, summary])
        }
        return rows.lines(width: width)
    }

    /// Examples, each with what it does below it.
    private func examples(_ examples: some Sequence<Example>) -> [String] {
        examples.flatMap { ["  \($0.line)"] + Help.wrap($0.summary, indent: 6, width: width) }
    }

    /// Every example of the table.
    var allExamples: String {
        table.flatMap { examples($0.examples) }.joined(separator: "\n")
    }

    /// Breaks a paragraph into lines of at most so many characters; a number stays with its unit.
    static func wrap(_ text: String, indent: Int, width: Int = Help.widest) -> [String] {
        var words: [String] = []
        for word in text.split(separator: " ") {
            let isUnit = ["ms", "s", "min", "h", "d"].contains(word.prefix { $0.isLetter })
            if isUnit, let last = words.last, last.allSatisfy({ $0.isNumber || $0 == "." }) {
                words[words.count - 1] += " \(word)"
            } else {
                words.append(String(word))
            }
        }
        let margin = String(repeating: " ", count: indent)
        var lines: [String] = []
        var line = ""
        for word in words {
            if !line.isEmpty, indent + line.count + word.count + 1 > width {
                lines.append(margin + line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return lines + [margin + line]
    }

    /// Text for people is at most so wide, also where there is more room.
    static let widest = 100
}
