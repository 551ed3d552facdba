import Contract
import Shell
import TimeModel
import Wire

/// `martlet task` and `martlet explain`.
enum TaskCommands {
    private static func payload(_ session: Session, _ more: (inout JSONWriter) -> Void = { _ in }) -> [UInt8] {
        RawJSON {
            $0.object { writer in
                writer.field("principal", session.invocation.text("principal"))
                more(&writer)
            }
        }.bytes
    }

    /// Asks for one task; a unique beginning of its id is enough.
    private static func read(_ verb: String, _ session: Session) throws(Failure) -> (String, RawJSON, [UInt8]) {
        let given = try session.nameArgument(0, long: true)
        let request = CommandRequest(.task, verb, given, payload: payload(session))
        var answer = try request.reply(try session.client(), withinMs: session.answerMs)
        var id = given
        if answer.reply.code == .notFound, let whole = try complete(given, session) {
            id = whole
            let again = CommandRequest(.task, verb, whole, payload: payload(session))
            answer = try again.reply(try session.client(), withinMs: session.answerMs)
        }
        guard answer.reply.ok, let data = answer.reply.data else {
            if session.wantsJSON { session.terminal.print(answer.bytes) }
            throw session.refusal(answer.reply, of: request)
        }
        return (id, data, answer.bytes)
    }

    /// The one task whose id begins like this.
    private static func complete(_ prefix: String, _ session: Session) throws(Failure) -> String? {
        let items = try session.items(.task, 5000) { $0.field("principal", session.invocation.text("principal")) }
        let names = items.compactMap { $0["task"]?.stringValue }.filter { $0.hasPrefix(prefix) }
        guard names.count <= 1 else {
            throw .usage("\(names.count) tasks begin with \(prefix): \(names.prefix(5).joined(separator: ", "))")
        }
        return names.first
    }

    /// `task get`.
    static func get(_ session: Session) throws(Failure) -> ExitStatus {
        let (_, data, bytes) = try read("get", session)
        if session.wantsJSON {
            session.terminal.print(bytes)
        } else {
            for line in TaskText(session.terminal, SystemClock.wall).whole(JSONValue(data)) {
                session.terminal.print(line)
            }
        }
        return .done
    }

    /// `task list`.
    static func list(_ session: Session) throws(Failure) -> ExitStatus {
        let invocation = session.invocation
        let items = try session.items(.task, invocation.integer("limit") ?? Defaults.page) {
            $0.field("state", invocation.text("state"))
            $0.field("capability", invocation.text("capability"))
            $0.field("principal", invocation.text("principal"))
            if invocation.has("dead") { $0.field("dead", true) }
        }
        if session.wantsJSON { return session.printJSON(items) }
        let text = TaskText(session.terminal, SystemClock.wall)
        var table = TextTable(["TASK", "CAPABILITY", "STATE", "EXECUTOR", "ACCEPTED", "WHY"])
        for item in items { table.add(text.row(item)) }
        session.printTable(table, items.count, stateColumn: 2, dispensable: [3, 4])
        return .done
    }

    /// `task explain`, and `explain`.
    static func explain(_ session: Session) throws(Failure) -> ExitStatus {
        let (id, data, bytes) = try read("explain", session)
        if session.wantsJSON {
            session.terminal.print(bytes)
            return .done
        }
        let task = try session.ask(CommandRequest(.task, "get", id, payload: payload(session))).reply.data
        let value = task.map { JSONValue($0) } ?? .null
        let text = ExplainText(session.terminal, SystemClock.wall)
        for line in text.lines(task: value, why: JSONValue(data)) { session.terminal.print(line) }
        return .done
    }

    /// `task cancel`: a running task is canceled only after a question.
    static func cancel(_ session: Session) throws(Failure) -> ExitStatus {
        let id = try session.nameArgument(0, long: true)
        if !session.invocation.has("yes") {
            let task = try session.ask(CommandRequest(.task, "get", id, payload: payload(session))).reply.data
            let state = task.flatMap { JSONValue($0)["state"]?.stringValue }
            if state == "running" || state == "offered" {
                try session.confirm("The task \(id) is \(state ?? ""). Cancel it?")
            }
        }
        let body = payload(session) {
            $0.field("reason", session.invocation.text("reason"))
            $0.field("grace_ms", session.invocation.duration("grace"))
        }
        return try act(session, "cancel", id, body) { data in
            "\(id) \(data?["state"]?.stringValue ?? "canceled")"
        }
    }

    /// `task assign`.
    static func assign(_ session: Session) throws(Failure) -> ExitStatus {
        let invocation = session.invocation
        let id = try session.nameArgument(0, long: true)
        guard invocation.has("executor") != invocation.has("undo") else {
            throw .usage("task assign needs either --executor NAME or --undo")
        }
        var command = DispatcherCommand()
        command.principal = invocation.text("principal")
        command.executor = invocation.text("executor")
        command.executorIsNull = invocation.has("undo")
        command.mode = invocation.text("mode").flatMap(Mode.init(word:))
        command.ifRev = invocation.integer("if-rev")
        command.force = invocation.has("force") ? true : nil
        command.steal = invocation.has("steal") ? true : nil
        return try act(session, "assign", id, command.encoded) { _ in
            command.executor.map { "\(id) is assigned to \($0)" } ?? "\(id) is assigned to nobody any more"
        }
    }

    /// `task redrive`.
    static func redrive(_ session: Session) throws(Failure) -> ExitStatus {
        let id = try session.nameArgument(0, long: true)
        var command = DispatcherCommand()
        command.principal = session.invocation.text("principal")
        command.executor = session.invocation.text("executor")
        command.priority = session.invocation.word("priority")
        command.retry = session.invocation.integer("retry").map { RetryRule(count: $0) }
        return try act(session, "redrive", id, command.encoded) { data in
            data?["task"]?.stringValue ?? "\(id) is sent again"
        }
    }

    /// `task approve`.
    static func approve(_ session: Session) throws(Failure) -> ExitStatus {
        let id = try session.nameArgument(0, long: true)
        return try act(session, "approve", id, payload(session)) { _ in "\(id) is approved" }
    }

    /// `task deny`.
    static func deny(_ session: Session) throws(Failure) -> ExitStatus {
        let id = try session.nameArgument(0, long: true)
        let body = payload(session) { $0.field("reason", session.invocation.text("reason")) }
        return try act(session, "deny", id, body) { _ in "\(id) is denied" }
    }

    private static func act(
        _ session: Session, _ verb: String, _ id: String, _ body: [UInt8], _ line: (JSONValue?) -> String
    ) throws(Failure) -> ExitStatus {
        let answer = try session.ask(CommandRequest(.task, verb, id, payload: body))
        if session.wantsJSON {
            session.terminal.print(answer.bytes)
        } else {
            session.terminal.print(Terminal.escape(line(answer.reply.data.map { JSONValue($0) })))
        }
        return .done
    }
}

extension Session {
    /// Prints values, one a line.
    func printJSON(_ items: [JSONValue]) -> ExitStatus {
        for item in items { terminal.print(item.encoded) }
        return .done
    }

    /// Prints a table, or that there is nothing. States of `stateColumn` get their colour; on a narrow terminal the
    /// dispensable columns go first.
    func printTable(_ table: TextTable, _ count: Int, stateColumn: Int? = nil, dispensable: [Int] = []) {
        guard count > 0 else { return terminal.say("none") }
        let (fitting, columns) = table.fitting(terminal.columns, dispensable: dispensable)
        let lines = fitting.lines(width: terminal.columns) { text, column in
            columns[column] == stateColumn ? terminal.paintState(text) : text
        }
        for line in lines { terminal.print(line) }
    }
}

/// Tasks as text.
struct TaskText {
    let terminal: Terminal
    let now: WallTime

    /// Texts for a terminal at a moment.
    init(_ terminal: Terminal, _ now: WallTime) {
        self.terminal = terminal
        self.now = now
    }

    /// A field as text, made harmless; empty when it is not there.
    static func field(_ value: JSONValue, _ key: String) -> String {
        switch value[key] {
        case .string(let text)?: Terminal.escape(text)
        case .number(let text)?: text
        case .bool(let flag)?: flag ? "true" : "false"
        default: ""
        }
    }

    /// A field that is a point in time.
    func time(_ value: JSONValue, _ key: String) -> String? {
        value[key]?.stringValue.flatMap { WallTime(rfc3339: $0) }.map { terminal.time($0, now: now) }
    }

    /// The same for a column.
    func age(_ value: JSONValue, _ key: String) -> String {
        value[key]?.stringValue.flatMap { WallTime(rfc3339: $0) }.map { terminal.age($0, now: now) } ?? ""
    }

    /// One row of the list.
    func row(_ task: JSONValue) -> [String] {
        let field = { TaskText.field(task, $0) }
        let who = field("executor").isEmpty ? field("assigned_to") : field("executor")
        let state = field("state").isEmpty ? field("status") : field("state")
        return [field("task"), field("capability"), state, who, age(task, "accepted_at"), field("code")]
    }

    /// A task with input, attempts and result.
    func whole(_ task: JSONValue) -> [String] {
        let field = { TaskText.field(task, $0) }
        var head = [field("task"), field("capability"), terminal.paintState(field("state"))]
        if !field("code").isEmpty { head.append("(\(field("code")))") }
        head.append("from \(field("principal"))")
        var lines = [head.joined(separator: "   ")]
        func add(_ name: String, _ text: String?) {
            guard let text, !text.isEmpty else { return }
            lines.append("  " + name.padded(to: 11) + text)
        }
        add(
            "lane",
            [field("priority"), field("mode"), field("delivery")].filter { !$0.isEmpty }.joined(separator: ", "))
        add("executor", field("executor"))
        add("assigned", field("assigned_to"))
        add("accepted", time(task, "accepted_at"))
        add("ready", time(task, "ready_at"))
        let finished = task["result"].flatMap { time($0, "finished_at") }
        add("finished", finished)
        if finished == nil { add("deadline", time(task, "deadline_at")) }
        add("input", task["input"].map { Terminal.escape($0.raw.text) })
        if let result = task["result"] { lines += resultLines(result) }
        return lines
    }

    private func resultLines(_ result: JSONValue) -> [String] {
        var lines: [String] = []
        if let output = result["output"] {
            lines.append("  " + "output".padded(to: 11) + Terminal.escape(output.raw.text))
        }
        if let error = result["error"] {
            let text = "\(TaskText.field(error, "message")) (\(TaskText.field(error, "code")))"
            lines.append("  " + "error".padded(to: 11) + text)
        }
        guard case .array(let attempts)? = result["attempts"], !attempts.isEmpty else { return lines }
        var table = TextTable()
        for attempt in attempts {
            let duration = attempt["duration_ms"]?.intValue.map { Durations.text($0) } ?? ""
            let error = attempt["error"].map { TaskText.field($0, "code") } ?? ""
            table.add([
                "  attempt \(TaskText.field(attempt, "number"))", TaskText.field(attempt, "executor"),
                TaskText.field(attempt, "outcome"), duration, error,
            ])
        }
        return lines + table.lines(width: terminal.columns)
    }
}

extension String {
    /// This text with blanks behind it up to a width, and at least one.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
