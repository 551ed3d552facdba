import Contract
import Machine
import Shell
import TimeModel
import Wire

/// `martlet check`.
enum CheckCommands {
    // MARK: put

    /// `check put K [DOCUMENT]`.
    static func put(_ session: Session) throws(Failure) -> ExitStatus {
        let name = try session.nameArgument(0)
        let given = try ScheduleCommands.given(session, "check", ownFlags)
        var fields = if let given { given } else { try document(session) }
        if let rev = session.invocation.integer("if-rev") { fields.append(.init("if_rev", .number(String(rev)))) }
        let answer = try session.ask(CommandRequest(.check, "put", name, payload: JSONValue.object(fields).encoded))
        if session.wantsJSON {
            session.terminal.print(answer.bytes)
            return .done
        }
        let data = answer.reply.data.map { JSONValue($0) } ?? .null
        session.terminal.print("\(name) is \(ScheduleCommands.line(data, session))")
        ScheduleCommands.sayWarnings(data, session)
        ScheduleCommands.sayUnknown(data, session)
        return .done
    }

    private static let ownFlags = ["above", "below", "fail-after", "recover-after", "liveness"]

    /// The document that the flags describe.
    private static func document(_ session: Session) throws(Failure) -> [JSONValue.Field] {
        let invocation = session.invocation
        guard invocation.has("capability") else {
            throw .usage(
                "check put needs --capability, or a document",
                tries: ["martlet check put load --capability check.load --agent desk"])
        }
        var fields = try ScheduleCommands.fields(session)
        var thresholds: [JSONValue] = []
        for side in ["above", "below"] {
            for text in invocation.texts(side) { thresholds.append(try threshold(text, side)) }
        }
        if !thresholds.isEmpty { fields.append(.init("thresholds", .array(thresholds))) }
        for (flag, key) in [("fail-after", "fail_after"), ("recover-after", "recover_after")] {
            if let number = invocation.integer(flag) { fields.append(.init(key, .number(String(number)))) }
        }
        if invocation.has("liveness") { fields.append(.init("liveness", .bool(true))) }
        return fields
    }

    /// `FIELD=W,E`, `FIELD=W` or `FIELD=,E`.
    private static func threshold(_ text: String, _ side: String) throws(Failure) -> JSONValue {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let numbers =
            parts.count == 2
            ? parts[1].split(separator: ",", omittingEmptySubsequences: false).map(String.init) : []
        var limits: [JSONValue.Field] = []
        for (key, number) in zip(["warning", "error"], numbers) where !number.isEmpty {
            guard let raw = try? RawJSON(validating: Array(number.utf8)), case .number = JSONValue(raw) else {
                throw .usage("--\(side) \(Terminal.escape(text)): \(Terminal.escape(number)) is no number")
            }
            limits.append(.init(key, JSONValue(raw)))
        }
        guard let path = parts.first, !path.isEmpty, !limits.isEmpty, numbers.count <= 2 else {
            throw .usage(
                "--\(side) \(Terminal.escape(text)) is no limit", tries: ["--\(side) used_percent=80,90"])
        }
        return .object([.init("path", .string(path)), .init(side, .object(limits))])
    }

    // MARK: list and get

    /// `check list`.
    static func list(_ session: Session) throws(Failure) -> ExitStatus {
        let items = try session.items(.check, session.invocation.integer("limit") ?? Defaults.page) { _ in }
        if session.wantsJSON { return session.printJSON(items) }
        var table = TextTable(["CHECK", "STATUS", "SINCE", "LAST", "NEXT", "RULE", "WORK", "TARGET", "MESSAGE"])
        for item in items { table.add(row(item, session)) }
        session.printTable(table, items.count, stateColumn: 1, dispensable: [5, 6, 4, 7])
        return .done
    }

    private static func row(_ view: JSONValue, _ session: Session) -> [String] {
        let definition = view["definition"] ?? .null
        let state = view["state"] ?? .null
        let text = TaskText(session.terminal, SystemClock.wall)
        let last = view["last"] ?? .null
        return [
            TaskText.field(view, "check"), status(view), text.age(view, "since"),
            text.age(last, "ran_at"), text.age(state, "next_run_at"), ScheduleCommands.rule(definition),
            TaskText.field(definition["work"] ?? .null, "capability"),
            TaskText.field(definition["target"] ?? .null, "agent_id"),
            status(view) == CheckStatus.ok.rawValue ? "" : TaskText.field(last, "message"),
        ]
    }

    /// What a check says; for one that does not run, why.
    private static func status(_ view: JSONValue) -> String {
        let own = TaskText.field(view["state"] ?? .null, "status")
        if own != ScheduleStatus.active.rawValue { return own }
        return TaskText.field(view, "status").isEmpty ? "unknown" : TaskText.field(view, "status")
    }

    /// `check get K`.
    static func get(_ session: Session) throws(Failure) -> ExitStatus {
        let name = try session.nameArgument(0)
        let answer = try session.ask(
            CommandRequest(
                .check, "get", name,
                payload: ScheduleCommands.object {
                    $0.field("history", session.invocation.integer("history"))
                    $0.field("status", session.invocation.text("status"))
                }))
        if session.wantsJSON {
            session.terminal.print(answer.bytes)
            return .done
        }
        let view = answer.reply.data.map { JSONValue($0) } ?? .null
        session.terminal.print("\(name)   \(session.terminal.paintState(status(view)))\(since(view, session))")
        for line in ScheduleCommands.facts(view, session) + judging(view["definition"] ?? .null) {
            session.terminal.print(line)
        }
        guard case .array(let history)? = view["history"], !history.isEmpty else { return .done }
        var table = TextTable(["RAN AT", "STATUS", "TOOK", "MESSAGE"])
        let text = TaskText(session.terminal, SystemClock.wall)
        for run in history {
            table.add([
                text.age(run, "ran_at"), TaskText.field(run, "status"),
                run["duration_ms"]?.intValue.map(Durations.text) ?? "", TaskText.field(run, "message"),
            ])
        }
        for line in table.lines(
            width: session.terminal.columns, paint: { $1 == 1 ? session.terminal.paintState($0) : $0 })
        {
            session.terminal.print(line)
        }
        return .done
    }

    /// By what a check judges, and what it then does, a line each.
    static func judging(_ definition: JSONValue) -> [String] {
        var lines: [String] = []
        func add(_ key: String, _ text: String) { lines.append("  " + key.padded(to: 11) + text) }
        let turns = [("fail_after", "bad"), ("recover_after", "ok")].compactMap { key, word in
            definition[key]?.intValue.flatMap { $0 > 1 ? "\(word) after \($0) in a row" : nil }
        }
        if !turns.isEmpty { add("turns", turns.joined(separator: ", ")) }
        if case .array(let thresholds)? = definition["thresholds"] {
            for threshold in thresholds {
                var words = [TaskText.field(threshold, "path")]
                for side in ["above", "below"] {
                    guard case .object(let limits)? = threshold[side] else { continue }
                    words += [side] + [limits.map { "\($0.value.raw.text) \($0.key)" }.joined(separator: ", ")]
                }
                if let slack = threshold["clear_by"] { words.append("(cleared by \(slack.raw.text))") }
                add("limit", Terminal.escape(words.joined(separator: " ")))
            }
        }
        if case .array(let actions)? = definition["actions"] {
            for action in actions {
                let words = ["when", "kind", "repeat"].map { TaskText.field(action, $0) }.filter { !$0.isEmpty }
                add("action", words.joined(separator: " "))
            }
        }
        if definition["liveness"] == .bool(true) { add("liveness", "an error makes the target degraded") }
        return lines
    }

    private static func since(_ view: JSONValue, _ session: Session) -> String {
        let text = TaskText(session.terminal, SystemClock.wall)
        var words = ""
        if let since = text.time(view, "since") { words += " since \(since)" }
        if let bad = view["consecutive_failures"]?.intValue, bad > 0 { words += "   \(bad) in a row not ok" }
        return words + "   from \(TaskText.field(view, "owner"))"
    }

    // MARK: Verbs that change something

    /// `check delete K`.
    static func delete(_ session: Session) throws(Failure) -> ExitStatus {
        try session.confirm("Delete the check \(Terminal.escape(session.argument(0)))?")
        let body = ScheduleCommands.object { $0.field("if_rev", session.invocation.integer("if-rev")) }
        return try ScheduleCommands.act(session, .check, "delete", body) { name, _ in "\(name) is deleted" }
    }

    /// `check pause K`.
    static func pause(_ session: Session) throws(Failure) -> ExitStatus {
        try ScheduleCommands.act(session, .check, "pause", ScheduleCommands.pauseBody(session)) { name, _ in
            "\(name) is paused"
        }
    }

    /// `check resume K`.
    static func resume(_ session: Session) throws(Failure) -> ExitStatus {
        try ScheduleCommands.act(session, .check, "resume", ScheduleCommands.resumeBody(session)) { name, _ in
            "\(name) goes on"
        }
    }

    /// `check run K`: the run's result comes to the caller too; what heartbeat makes of it stands in the log.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        let name = try session.nameArgument(0)
        let request = session.invocation.text("request-id") ?? RandomText.id()
        let client = try session.client()
        let settings = client.settings
        try client.subscribe(
            [Topic.filter(settings.workspace, "result", settings.principal, "+", "\(name)~m.\(request)")],
            retained: false)
        let body = ScheduleCommands.object { $0.field("request_id", request) }
        let answer = try session.ask(CommandRequest(.check, "run", name, payload: body))
        let task = answer.reply.data.flatMap { JSONValue($0)["task"]?.stringValue } ?? "\(name)~m.\(request)"
        let deadline = SystemClock.monotonic + session.answerMs
        while SystemClock.monotonic < deadline {
            if let entry = try logged(task, name, session) { return show(entry, name, session) }
            // The result ends the wait; what heartbeat makes of it is in the log at once.
            let wake = min(deadline, SystemClock.monotonic + CheckCommands.lookEveryMs)
            while SystemClock.monotonic < wake {
                guard let message = try client.next(until: wake), message.topic.hasSuffix("/\(task)") else { continue }
                break
            }
        }
        throw Failure(
            .noAnswer, "\(task) has no result within \(Durations.text(session.answerMs)); it goes on",
            tries: ["martlet check get \(name)", "martlet task explain \(task) --principal heartbeat"])
    }

    /// How often the log is looked at while a run is waited for, in ms.
    private static let lookEveryMs = 500

    private static func logged(_ task: String, _ name: String, _ session: Session) throws(Failure) -> JSONValue? {
        let reply = try session.ask(CommandRequest(.check, "get", name)).reply
        guard let data = reply.data, case .array(let history)? = JSONValue(data)["history"] else { return nil }
        return history.first { $0["run"]?.stringValue == task }
    }

    private static func show(_ entry: JSONValue, _ name: String, _ session: Session) -> ExitStatus {
        let status = TaskText.field(entry, "status")
        if session.wantsJSON {
            session.terminal.print(entry.encoded)
        } else {
            let message = TaskText.field(entry, "message")
            let took = entry["duration_ms"]?.intValue.map { "  \(Durations.text($0))" } ?? ""
            session.terminal.print(
                "\(name) \(session.terminal.paintState(status))\(message.isEmpty ? "" : ": \(message)")\(took)")
        }
        return status == CheckStatus.ok.rawValue ? .done : .failed
    }
}
