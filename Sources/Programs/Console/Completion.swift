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

    /// The flags that take a value, of all commands.
    private var valueFlags: [String] {
        Set(table.flatMap(\.allFlags).filter { $0.value != .none }.map { "--\($0.name)" }).sorted()
    }

    /// What may stand at each place, as cases of a shell over `PLACE@FLAG`, FLAG empty unless its value is next: words, or
    /// the kind of live names in `names`.
    private func cases(_ variable: String) -> [String] {
        var lines = groups.map { group in
            "    '\(group.joined(separator: " "))@') \(variable)='\(words(after: group).joined(separator: " "))' ;;"
        }
        for (place, offers, live) in arguments {
            let kind = live.map { " names=\($0.rawValue)" } ?? ""
            lines.append("    '\(place)@') \(variable)='\(offers.joined(separator: " "))'\(kind) ;;")
        }
        for (flag, commands) in wordFlags {
            for (words, names) in commands {
                let place = names.map { "'\($0)'*@--\(flag)" }.joined(separator: "|")
                let pattern = commands.count == 1 ? "*@--\(flag)" : place
                lines.append("    \(pattern)) \(variable)='\(words)' ;;")
            }
        }
        for flag in Set(table.flatMap(\.allFlags).filter { $0.live != nil }).sorted(by: { $0.name < $1.name }) {
            lines.append("    *@--\(flag.name)) names=\(flag.live?.rawValue ?? "") ;;")
        }
        return lines
    }

    /// What the first argument of each command may be; of `health` and `help`, what stands behind it, too.
    private var arguments: [(place: String, offers: [String], live: LiveNames?)] {
        var list: [(String, [String], LiveNames?)] = []
        for command in table {
            guard let first = command.arguments.first, first.live != nil || !first.offers.isEmpty else { continue }
            list.append((command.name, first.offers, first.live))
        }
        list += [LiveNames.executor, .capability].map { ("health \($0.rawValue)", [], $0) }
        list.append(("help", words(after: []) + ["examples"], nil))
        list += groups.filter { !$0.isEmpty }.map { ("help \($0.joined(separator: " "))", words(after: $0), nil) }
        return list
    }

    /// The flags that take one of a few words: these, and the commands that have them so.
    private var wordFlags: [(flag: String, commands: [(words: String, names: [String])])] {
        var found: [String: [String: [String]]] = [:]
        for command in table {
            for flag in command.allFlags {
                guard case .word(let words) = flag.value else { continue }
                found[flag.name, default: [:]][words.joined(separator: " "), default: []].append(command.name)
            }
        }
        return found.sorted { $0.key < $1.key }.map { flag in
            (flag.key, flag.value.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        }
    }

    /// The flags of each command, as cases over the place.
    private var flagCases: [String] {
        table.map { command in
            let flags = command.allFlags.map { "--\($0.name)" }.joined(separator: " ")
            return "    '\(command.name)'|'\(command.name) '*) flags='\(flags)' ;;"
        }
    }

    /// For bash, which makes words of their own of `=`.
    var bash: String {
        let lines =
            [
                "# bash completion for martlet; load it with: source <(martlet completion bash)", "_martlet() {",
                "    local current=${COMP_WORDS[COMP_CWORD]} place='' value='' word flags='' words='' names=''",
                "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do", "        [ \"$word\" = = ] && continue",
                "        [ -n \"$value\" ] && value='' && continue", "        case $word in", "        --*=*) ;;",
                "        \(valueFlags.joined(separator: "|"))) value=$word ;;", "        -*) ;;",
                "        *) place=\"$place $word\" ;;", "        esac", "    done", "    place=${place# }",
                "    [ \"$current\" = = ] && current=''", "    case $place@$value in",
            ] + cases("words") + ["    esac", "    case $place in"] + flagCases + [
                "    esac",
                "    if [ -z \"$value\" ] && [ \"${current#-}\" != \"$current\" ]; then words=$flags; fi",
                "    if [ -n \"$names\" ] && [ \"${current#-}\" = \"$current\" ]; then",
                "        words=\"$words $(martlet completion names \"$names\" 2>/dev/null)\"", "    fi",
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
                "_martlet() {", "    local place='' value='' word flags='' offers='' names=''", "    local -a all",
                "    for word in \"${(@)words[2,CURRENT-1]}\"; do",
                "        if [[ -n $value ]]; then value=''; continue; fi", "        case $word in",
                "        (--*=*) ;;", "        (\(valueFlags.joined(separator: "|"))) value=$word ;;",
                "        (-*) ;;", "        (*) place=\"$place $word\" ;;", "        esac", "    done",
                "    place=${place# }", "    case $place@$value in",
            ] + cases("offers") + ["    esac", "    case $place in"] + flagCases + [
                "    esac", "    [[ -z $value && ${words[CURRENT]} == -* ]] && offers=$flags",
                "    all=(${=offers})", "    if [[ -n $names && ${words[CURRENT]} != -* ]]; then",
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
            "function __martlet_path", "    set -l path", "    set -l value ''",
            "    for word in (commandline -opc)[2..-1]", "        if test -n \"$value\"", "            set value ''",
            "            continue", "        end", "        switch $word", "            case '--*=*'",
            "            case \(valueFlags.joined(separator: " "))", "                set value $word",
            "            case '-*'", "            case '*'", "                set -a path $word", "        end",
            "    end", "    string join ' ' -- $path", "end",
            "function __martlet_at", "    set -l place (__martlet_path)", "    test \"$place\" = \"$argv\"", "end",
            "complete -c martlet -f",
        ]
        func at(_ place: String, _ offers: String, _ summary: String? = nil) {
            let told = summary.map { " -d \(Completion.quoted($0))" } ?? ""
            lines.append("complete -c martlet -n \"__martlet_at '\(place)'\" -a \(offers)\(told)")
        }
        for group in groups {
            for word in words(after: group) {
                let below = words(after: group + [word])
                let own = table.first { $0.path == group + [word] }?.summary ?? below.joined(separator: ", ")
                at(group.joined(separator: " "), word, own)
            }
        }
        for (place, offers, live) in arguments {
            if let live { at(place, "'\(Completion.names(live))'") }
            if !offers.isEmpty { at(place, "'\(offers.joined(separator: " "))'") }
        }
        for command in table {
            let condition = "string match -q -- '\(command.name)*' (__martlet_path)"
            for flag in command.allFlags {
                var line =
                    "complete -c martlet -n \"\(condition)\" -l \(flag.name) -d \(Completion.quoted(flag.summary))"
                if case .word(let words) = flag.value {
                    line += " -xa '\(words.joined(separator: " "))'"
                } else if let live = flag.live {
                    line += " -xa '\(Completion.names(live))'"
                } else if flag.value != .none {
                    line += " -r"
                }
                lines.append(line)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func names(_ kind: LiveNames) -> String {
        "(martlet completion names \(kind.rawValue) 2>/dev/null)"
    }

    private static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "\\'") + "'" }
}
