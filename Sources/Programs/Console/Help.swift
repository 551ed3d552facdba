/// The help, made from the table: examples first.
struct Help {
    let table: [Command]

    /// Help over a table.
    init(_ table: [Command]) { self.table = table }

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
        lines += Help.examples(firsts)
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
        lines += rows.lines()
        lines += ["", "martlet COMMAND --help shows one command; martlet help examples shows every example."]
        return lines.joined(separator: "\n")
    }

    private func group(_ path: [String], _ commands: [Command]) -> String {
        var lines = Help.examples(commands.prefix(4).compactMap(\.examples.first)) + [""]
        var rows = TextTable()
        for command in commands {
            let words = command.path + command.arguments.map(\.usage)
            rows.add(["  martlet " + words.joined(separator: " "), command.summary])
        }
        lines += rows.lines()
        lines += ["", "martlet \(path.joined(separator: " ")) VERB --help shows one of them."]
        return lines.joined(separator: "\n")
    }

    private func command(_ command: Command) -> String {
        var lines = Help.examples(command.examples)
        lines += ["", command.usage, "    \(command.summary)"]
        for paragraph in command.details { lines += [""] + Help.wrap(paragraph, indent: 0) }
        if !command.arguments.isEmpty {
            var rows = TextTable()
            for argument in command.arguments { rows.add(["  " + argument.usage, argument.summary]) }
            lines += [""] + rows.lines()
        }
        lines += [""] + Help.flagLines(command.flags)
        if !command.flags.isEmpty { lines.append("") }
        let own = Set(command.flags.map(\.name))
        lines += Help.flagLines(command.shared.flags.filter { !own.contains($0.name) })
        return lines.joined(separator: "\n")
    }

    private static func flagLines(_ flags: [Flag]) -> [String] {
        var rows = TextTable()
        for flag in flags { rows.add(["  " + flag.usage, flag.summary + (flag.repeats ? "; may be repeated" : "")]) }
        return rows.lines()
    }

    /// Examples, each with what it does below it.
    static func examples(_ examples: some Sequence<Example>) -> [String] {
        examples.flatMap { ["  \($0.line)", "      \($0.summary)"] }
    }

    /// Every example of the table.
    var allExamples: String {
        table.flatMap { Help.examples($0.examples) }.joined(separator: "\n")
    }

    /// Breaks a paragraph into lines of at most 100 characters.
    static func wrap(_ text: String, indent: Int) -> [String] {
        var lines: [String] = []
        var line = String(repeating: " ", count: indent)
        for word in text.split(separator: " ") {
            if line.count + word.count + 1 > 100, line.contains(where: { $0 != " " }) {
                lines.append(line)
                line = String(repeating: " ", count: indent)
            }
            line += (line.contains { $0 != " " } ? " " : "") + word
        }
        return lines + [line]
    }
}
