import Contract
import Wire

/// `martlet help` and `martlet version`.
enum HelpCommands {
    /// `help [TOPIC...]`.
    static func help(_ session: Session) throws(Failure) -> ExitStatus {
        let help = Help(CommandTable.commands, width: session.terminal.columns)
        if session.invocation.has("man") {
            Terminal.write(1, Array(ManualPage(CommandTable.commands).text.utf8))
            return .done
        }
        let topic = session.invocation.arguments
        if topic == ["examples"] {
            session.terminal.print(help.allExamples)
            return .done
        }
        guard CommandTable.commands.contains(where: { $0.path.starts(with: topic) }) else {
            let names = Array(Set(CommandTable.commands.flatMap { [$0.path[0], $0.name] }))
            let words = topic.joined(separator: " ")
            throw .usage(
                "there is no help on \"\(Terminal.escape(words))\"", meant: Nearest.name(to: words, in: names),
                tries: ["martlet help"])
        }
        session.terminal.print(help.text(topic))
        return .done
    }

    /// `version`.
    static func version(_ session: Session) -> ExitStatus {
        if session.wantsJSON {
            session.terminal.print(RawJSON { $0.object { $0.field("version", Console.version) } }.bytes)
        } else {
            session.terminal.print("martlet \(Console.version)")
        }
        return .done
    }
}
