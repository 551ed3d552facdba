import Contract

/// Completions for the shells, made from the table. Names of what lives on the bus come from the program itself, within
/// its patience or not at all.
struct Completion {
    let table: [Command]

    /// Completions of a table.
    init(_ table: [Command]) { self.table = table }

    /// The shells.
    static let shells = ["bash", "zsh", "fish"]

    /// `completion SHELL`: the script; `completion names KIND`: what it asks for.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        let completion = Completion(CommandTable.commands)
        switch session.argument(0) {
        case "bash": Terminal.write(1, Array(completion.bash.utf8))
        case "zsh": Terminal.write(1, Array(completion.zsh.utf8))
        case "fish": Terminal.write(1, Array(completion.fish.utf8))
        default:
            guard let kind = session.invocation.argument(1).flatMap(LiveNames.init(rawValue:)) else {
                throw .usage(
                    "completion names needs one of \(LiveNames.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            for name in names(kind, session) { session.terminal.print(name) }
        }
        return .done
    }

    /// Whatever cannot be had in time is no completion; nothing is complained about.
    private static func names(_ kind: LiveNames, _ session: Session) -> [String] {
        if kind == .context { return (try? ContextFile.read(session.environment))?.contexts.keys.sorted() ?? [] }
        guard let settings = try? ConnectionSettings(session.invocation, environment: session.environment),
            let client = try? BusClient(settings, interrupts: session.interrupts, withinMs: LiveObjects.patienceMs)
        else { return [] }
        defer { client.close() }
        return (try? LiveObjects.names(kind, client)) ?? []
    }

    /// What may follow each beginning of a command: words of commands, else flags and what the argument is.
    private func words(after path: [String]) -> [String] {
        var seen: Set<String> = []
        return table.filter { $0.path.count > path.count && $0.path.starts(with: path) }.map { $0.path[path.count] }
            .filter { seen.insert($0).inserted }
    }

    private var groups: [[String]] {
        var seen: Set<String> = []
        return table.flatMap { command in (0..<command.path.count).map { Array(command.path.prefix($0)) } }
            .filter { seen.insert($0.joined(separator: " ")).inserted }
    }

    /// What may follow each path, as cases of a shell: the words in a variable, and the kind of live names in `names`.
    private func cases(_ variable: String) -> [String] {
        var lines = groups.map { group in
            "    '\(group.joined(separator: " "))') \(variable)='\(words(after: group).joined(separator: " "))' ;;"
        }
        for command in table {
            let flags = command.allFlags.map { "--\($0.name)" }.joined(separator: " ")
            let choices = command.arguments.first?.words.joined(separator: " ") ?? ""
            let live = command.arguments.first?.live.map { " names=\($0.rawValue)" } ?? ""
            let all = choices.isEmpty ? flags : choices + " " + flags
            lines.append("    '\(command.name)') \(variable)='\(all)'\(live) ;;")
            lines.append("    '\(command.name) '*) \(variable)='\(flags)' ;;")
        }
        return lines
    }

    /// For bash.
    var bash: String {
        let lines =
            [
                "# bash completion for martlet; load it with: source <(martlet completion bash)", "_martlet() {",
                "    local current=${COMP_WORDS[COMP_CWORD]} place='' word words='' names=''",
                "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do",
                "        case $word in -*) ;; *) place=\"$place $word\" ;; esac", "    done", "    place=${place# }",
                "    case $place in",
            ] + cases("words") + [
                "    esac",
                "    if [ -n \"$names\" ]; then case $current in -*) ;; *)",
                "        words=\"$words $(martlet completion names \"$names\" 2>/dev/null)\" ;; esac; fi",
                "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")", "}",
                "complete -o default -F _martlet martlet", "",
            ]
        return lines.joined(separator: "\n")
    }

    /// For zsh: as a file `_martlet` in a folder of `fpath`, or read by a running shell.
    var zsh: String {
        let lines =
            [
                "#compdef martlet", "# zsh completion for martlet; load it with: source <(martlet completion zsh)",
                "_martlet() {", "    local place='' word offers='' names=''", "    local -a all",
                "    for word in \"${(@)words[2,CURRENT-1]}\"; do",
                "        case $word in -*) ;; *) place=\"$place $word\" ;; esac", "    done", "    place=${place# }",
                "    case $place in",
            ] + cases("offers") + [
                "    esac", "    all=(${=offers})",
                "    if [[ -n $names && ${words[CURRENT]} != -* ]]; then",
                "        all+=(${(f)\"$(martlet completion names $names 2>/dev/null)\"})", "    fi",
                "    compadd -- $all || _files", "}",
                "if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then _martlet \"$@\"; else compdef _martlet martlet; fi",
                "",
            ]
        return lines.joined(separator: "\n")
    }

    /// For fish.
    var fish: String {
        var lines = [
            "# fish completion for martlet; load it with: martlet completion fish | source",
            "function __martlet_path", "    set -l path",
            "    for word in (commandline -opc)[2..-1]", "        string match -q -- '-*' $word; or set -a path $word",
            "    end", "    string join ' ' -- $path", "end",
            "function __martlet_at", "    set -l place (__martlet_path)", "    test \"$place\" = \"$argv\"", "end",
            "complete -c martlet -f",
        ]
        for group in groups {
            let at = group.joined(separator: " ")
            for word in words(after: group) {
                let own = table.first { $0.path == group + [word] }?.summary ?? ""
                lines.append("complete -c martlet -n \"__martlet_at '\(at)'\" -a \(word) -d \(Completion.quoted(own))")
            }
        }
        for command in table {
            let condition = "string match -q -- '\(command.name)*' (__martlet_path)"
            if let live = command.arguments.first?.live {
                lines.append(
                    "complete -c martlet -n \"__martlet_at '\(command.name)'\" -a '(martlet completion names \(live.rawValue) 2>/dev/null)'"
                )
            }
            if let choices = command.arguments.first?.words, !choices.isEmpty {
                lines.append(
                    "complete -c martlet -n \"__martlet_at '\(command.name)'\" -a '\(choices.joined(separator: " "))'")
            }
            for flag in command.allFlags {
                var line =
                    "complete -c martlet -n \"\(condition)\" -l \(flag.name) -d \(Completion.quoted(flag.summary))"
                if case .word(let words) = flag.value {
                    line += " -xa '\(words.joined(separator: " "))'"
                } else if flag.value != .none {
                    line += " -r"
                }
                lines.append(line)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "\\'") + "'" }
}
