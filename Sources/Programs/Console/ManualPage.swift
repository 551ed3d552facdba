/// The manual page `martlet(1)`, made from the table.
struct ManualPage {
    let table: [Command]

    /// A page of a table.
    init(_ table: [Command]) { self.table = table }

    /// The page as roff.
    var text: String {
        var lines = [
            ".TH MARTLET 1 \"\" \"martlet \(Console.version)\" \"User Commands\"",
            ".SH NAME", "martlet \\- run tasks on a fleet of executors that share an MQTT broker",
            ".SH SYNOPSIS", ".B martlet", ManualPage.escape("COMMAND [ID] [flags]"),
            ".SH DESCRIPTION",
            "Data goes to standard output, messages to standard error. With",
            ".B \\-\\-json",
            "one JSON value is printed per line, with the fields of the wire. Durations are written 500ms, 30s, 5m, 2h.",
            "Requests are sent again with the same id until they are answered.",
            ".SH COMMANDS",
        ]
        for command in table { lines += section(command) }
        lines += [".SH FLAGS OF MANY COMMANDS"]
        let shared = SharedFlags([.bus, .answer, .json, .time, .yes]).flags
        for flag in shared { lines += ManualPage.item(flag) }
        lines.append(".SH EXIT STATUS")
        for status in ExitStatus.all { lines += [".TP", ".B \(status.rawValue)", ManualPage.escape(status.meaning)] }
        lines += [".SH FILES"]
        for (file, meaning) in ManualPage.files { lines += [".TP", ".I \(ManualPage.escape(file))", meaning] }
        return lines.joined(separator: "\n") + "\n"
    }

    private static let files = [
        ("~/.config/martlet/contexts.json", "Named connections."),
        ("~/.config/martlet/martlet.json", "Configuration of the user."),
        ("/etc/martlet/martlet.json", "Configuration of the machine."),
        ("~/.local/state/martlet/up", "What martlet up keeps."),
    ]

    private func section(_ command: Command) -> [String] {
        let words = (["martlet"] + command.path + command.arguments.map(\.usage)).joined(separator: " ")
        var lines = [".SS \(ManualPage.escape(words))", ManualPage.escape(Help.sentence(command.summary))]
        for paragraph in command.details { lines += [".PP", ManualPage.escape(paragraph)] }
        for flag in command.flags { lines += ManualPage.item(flag) }
        for example in command.examples {
            lines += [".PP", ".EX", ManualPage.escape(example.line), ".EE", ManualPage.escape(example.summary)]
        }
        return lines
    }

    private static func item(_ flag: Flag) -> [String] {
        [".TP", ".B \(escape(flag.usage))", escape(Help.sentence(flag.summary))]
    }

    /// Text that roff shows as it is.
    static func escape(_ text: String) -> String {
        var shown = ""
        for character in text {
            switch character {
            case "\\": shown += "\\e"
            case "-": shown += "\\-"
            case "'": shown += "\\(aq"
            default: shown.append(character)
            }
        }
        return shown.hasPrefix(".") ? "\\&" + shown : shown
    }
}

extension Help {
    /// A clause as a sentence.
    static func sentence(_ clause: String) -> String {
        clause.prefix(1).uppercased() + clause.dropFirst() + (clause.hasSuffix(".") ? "" : ".")
    }
}
