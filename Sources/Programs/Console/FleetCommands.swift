import Contract
import Shell
import TimeModel
import Wire

/// `martlet capability`, `martlet circuit` and `martlet executor`.
enum FleetCommands {
    // MARK: Capabilities

    /// `capability list`.
    static func capabilities(_ session: Session) throws(Failure) -> ExitStatus {
        let items = try session.items(.capability, session.invocation.integer("limit") ?? Defaults.page) { _ in }
        if session.wantsJSON { return session.printJSON(items) }
        var table = TextTable(
            ["CAPABILITY", "WAITING", "RUNNING", "FREE", "EXECUTORS", "COST", "CIRCUIT"], rightAligned: [1, 2, 3])
        for item in items {
            let field = { TaskText.field(item, $0) }
            let executors = list(item, "executors")
            let free = executors.compactMap { $0["free_slots"]?.intValue }.reduce(0, +)
            let cost = [field("cost_min"), field("cost_max")].filter { !$0.isEmpty }
            let range = cost.count == 2 && cost[0] != cost[1] ? "\(cost[0])-\(cost[1])" : cost.first ?? ""
            let names = executors.map { TaskText.field($0, "executor") }.prefix(4).joined(separator: " ")
            let more = executors.count > 4 ? " and \(executors.count - 4) more" : ""
            table.add([
                field("name"), field("queued"), field("running"), String(free), names + more, range, field("circuit"),
            ])
        }
        session.printTable(table, items.count, stateColumn: 6, dispensable: [5, 4])
        return .done
    }

    /// `capability get C`.
    static func capability(_ session: Session) throws(Failure) -> ExitStatus {
        let name = try session.nameArgument(0)
        let answer = try session.ask(CommandRequest(.capability, "get", name))
        if session.wantsJSON {
            session.terminal.print(answer.bytes)
            return .done
        }
        let data = answer.reply.data.map { JSONValue($0) } ?? .null
        let field = { TaskText.field(data, $0) }
        let counts = "\(field("queued")) waiting, \(field("running")) running"
        session.terminal.print("\(name)   \(counts)   circuit \(session.terminal.paintState(field("circuit")))")
        var table = TextTable()
        for entry in list(data, "executors") {
            let own = { TaskText.field(entry, $0) }
            let modes = list(entry, "modes").compactMap(\.stringValue).joined(separator: ",")
            let why = own("code").isEmpty ? "" : "\(own("code")): \(CodeBook.meaning(own("code")))"
            table.add([
                "  " + own("executor"), own("state"), modes, "\(own("free_slots")) free", "cost \(own("cost"))", why,
            ])
        }
        for line in table.lines() { session.terminal.print(line) }
        for conflict in list(data, "conflicts") {
            let names = list(conflict, "executors").compactMap(\.stringValue).map(Terminal.escape)
            session.terminal.print(
                "  conflict \(TaskText.field(conflict, "class")): \(names.joined(separator: ", ")); "
                    + TaskText.field(conflict, "resolution"))
        }
        return .done
    }

    /// `capability can_execute C`: who could take such a task now.
    static func canExecute(_ session: Session) throws(Failure) -> ExitStatus {
        try canExecute(session, intent: RunCommands.intent(session))
    }

    /// The same for an intent that is not sent.
    static func canExecute(_ session: Session, intent: Intent) throws(Failure) -> ExitStatus {
        let name = try session.nameArgument(0)
        let request = CommandRequest(.capability, "can_execute", name, payload: intent.encoded)
        let answer = try session.ask(request)
        let data = answer.reply.data.map { JSONValue($0) } ?? .null
        if session.wantsJSON {
            session.terminal.print(answer.bytes)
        } else {
            let code = TaskText.field(data, "code")
            let candidates = ExplainText.candidates(data)
            session.terminal.print(FleetCommands.verdict(name, code, candidates.count, can: data["can"] == .bool(true)))
            if code == Code.unknownCapability.rawValue,
                let meant = LiveObjects.nearest(.capability, to: name, try session.client())
            {
                session.terminal.say("Did you mean \"\(Terminal.escape(meant))\"?")
            }
            if let line = policyLine(data) { session.terminal.print(line) }
            let text = ExplainText(session.terminal, SystemClock.wall)
            for line in text.candidateLines(candidates, data) { session.terminal.print(line) }
        }
        return data["can"] == .bool(true) ? .done : .refused
    }

    /// Whether a task could start now. A code of executors is told in the line of each.
    static func verdict(_ name: String, _ code: String, _ candidates: Int, can: Bool) -> String {
        if can { return "\(name) could start now." }
        guard candidates > 0, !ExplainText.ownCodes.contains(code) else {
            return "\(name) could not start now: \(CodeBook.meaning(code)) (\(code))."
        }
        let who = candidates == 1 ? "the only executor cannot" : "none of \(candidates) executors can"
        return "\(name) could not start now: \(who) take it."
    }

    /// Which rule of the policy decided, and what it is about; `nil` where there are no rules.
    static func policyLine(_ data: JSONValue) -> String? {
        guard let policy = data["policy"], let effect = policy["effect"]?.stringValue else { return nil }
        let why = Terminal.escape(policy["why"]?.stringValue ?? "")
        guard let rule = policy["rule"]?.stringValue else {
            return effect == "allow" ? nil : "Policy: denied, since \(why)."
        }
        let does =
            ["deny": "denies it", "require_approval": "asks for an approval", "allow": "allows it"][effect] ?? effect
        let priority = policy["priority"]?.intValue.map { ", priority \($0)" } ?? ""
        return "Policy: rule \(Terminal.escape(rule))\(priority) \(Terminal.escape(does)). It is about: \(why)."
    }

    private static func list(_ value: JSONValue, _ key: String) -> [JSONValue] {
        guard case .array(let list)? = value[key] else { return [] }
        return list
    }

    // MARK: Circuits

    /// `circuit list`.
    static func circuits(_ session: Session) throws(Failure) -> ExitStatus {
        let items = try session.items(.circuit, session.invocation.integer("limit") ?? Defaults.page) { _ in }
        if session.wantsJSON { return session.printJSON(items) }
        var table = TextTable(["CAPABILITY", "EXECUTOR", "STATE", "SINCE", "UNTIL", "FAILURES", "WHY", "HELD BY"])
        for item in items { table.add(circuitRow(item, session)) }
        session.printTable(table, items.count, stateColumn: 2, dispensable: [3, 5])
        return .done
    }

    private static func circuitRow(_ item: JSONValue, _ session: Session) -> [String] {
        let field = { TaskText.field(item, $0) }
        let text = TaskText(session.terminal, SystemClock.wall)
        return [
            field("capability"), field("executor").isEmpty ? "all" : field("executor"), field("state"),
            text.age(item, "since"), text.age(item, "until"), field("failures"), field("why"),
            field("forced_by"),
        ]
    }

    /// `circuit get C`.
    static func circuit(_ session: Session) throws(Failure) -> ExitStatus {
        let name = try session.nameArgument(0)
        let answer = try session.ask(CommandRequest(.circuit, "get", name, payload: pair(session)))
        if session.wantsJSON {
            session.terminal.print(answer.bytes)
            return .done
        }
        var table = TextTable(["CAPABILITY", "EXECUTOR", "STATE", "SINCE", "UNTIL", "FAILURES", "WHY", "HELD BY"])
        table.add(circuitRow(answer.reply.data.map { JSONValue($0) } ?? .null, session))
        session.printTable(table, 1, stateColumn: 2)
        return .done
    }

    private static func pair(_ session: Session) -> [UInt8] {
        var command = DispatcherCommand()
        command.executor = session.invocation.text("executor")
        command.forMs = session.invocation.duration("for")
        return command.encoded
    }

    /// `circuit reset C`.
    static func reset(_ session: Session) throws(Failure) -> ExitStatus {
        try act(session, .circuit, "reset", pair(session)) { "the circuit of \($0) is reset" }
    }

    /// `circuit open C`.
    static func open(_ session: Session) throws(Failure) -> ExitStatus {
        try session.confirm("Open the circuit of \(Terminal.escape(session.argument(0))): nothing is given out. Do it?")
        return try act(session, .circuit, "open", pair(session)) { "the circuit of \($0) is held open" }
    }

    /// `circuit close C`.
    static func close(_ session: Session) throws(Failure) -> ExitStatus {
        try session.confirm(
            "Hold the circuit of \(Terminal.escape(session.argument(0))) closed, whatever fails. Do it?")
        return try act(session, .circuit, "close", pair(session)) { "the circuit of \($0) is held closed" }
    }

    // MARK: Verbs that change something

    /// `capability pause C`.
    static func pauseCapability(_ session: Session) throws(Failure) -> ExitStatus {
        try act(session, .capability, "pause", pair(session)) { "\($0) is paused" }
    }

    /// `capability resume C`.
    static func resumeCapability(_ session: Session) throws(Failure) -> ExitStatus {
        try act(session, .capability, "resume", pair(session)) { "\($0) goes on" }
    }

    /// `executor drain E`.
    static func drain(_ session: Session) throws(Failure) -> ExitStatus {
        var command = DispatcherCommand()
        command.now = session.invocation.has("now") ? true : nil
        return try act(session, .executor, "drain", command.encoded) { "\($0) takes nothing new" }
    }

    /// `executor resume E`.
    static func resumeExecutor(_ session: Session) throws(Failure) -> ExitStatus {
        try act(session, .executor, "resume", []) { "\($0) takes work again" }
    }

    /// `executor load E NAME [INPUT]`.
    static func load(_ session: Session) throws(Failure) -> ExitStatus {
        try act(session, .executor, "load", try passedOn(session)) { "\($0) has loaded it" }
    }

    /// `executor unload E NAME`.
    static func unload(_ session: Session) throws(Failure) -> ExitStatus {
        try act(session, .executor, "unload", try passedOn(session)) { "\($0) has unloaded it" }
    }

    /// The capability's name, and what the executor asks for besides.
    private static func passedOn(_ session: Session) throws(Failure) -> [UInt8] {
        let name = try session.nameArgument(1)
        var fields: [JSONValue.Field] = [JSONValue.Field("name", .string(name))]
        if let text = session.invocation.argument(2) {
            guard case .object(let more) = JSONValue(try session.json(text, what: "input")) else {
                throw .usage("what the executor gets is an object")
            }
            fields += more.filter { $0.key != "name" }
        }
        return JSONValue.object(fields).encoded
    }

    private static func act(
        _ session: Session, _ noun: Noun, _ verb: String, _ payload: [UInt8], _ line: (String) -> String
    ) throws(Failure) -> ExitStatus {
        let name = try session.nameArgument(0)
        let answer = try session.ask(CommandRequest(noun, verb, name, payload: payload))
        if session.wantsJSON { session.terminal.print(answer.bytes) } else { session.terminal.print(line(name)) }
        return .done
    }

    // MARK: Executors

    /// `executor list`.
    static func executors(_ session: Session) throws(Failure) -> ExitStatus {
        let items = try session.items(.executor, session.invocation.integer("limit") ?? Defaults.page) { _ in }
        if session.wantsJSON { return session.printJSON(items) }
        var table = TextTable(["EXECUTOR", "STATE", "FREE", "LEASES"], rightAligned: [2])
        for item in items {
            let leases = list(item, "leases").map(lease)
            let shown =
                leases.prefix(3).joined(separator: " ") + (leases.count > 3 ? " and \(leases.count - 3) more" : "")
            table.add([
                TaskText.field(item, "executor"), TaskText.field(item, "state"), TaskText.field(item, "free_slots"),
                shown,
            ])
        }
        session.printTable(table, items.count, stateColumn: 1)
        return .done
    }

    private static func lease(_ value: JSONValue) -> String {
        if let text = value.stringValue { return Terminal.escape(text) }
        if case .array(let pair) = value { return pair.first?.stringValue.map(Terminal.escape) ?? "" }
        return TaskText.field(value, "task")
    }

    /// `executor get E`.
    static func executor(_ session: Session) throws(Failure) -> ExitStatus {
        let name = try session.nameArgument(0)
        let answer = try session.ask(CommandRequest(.executor, "get", name))
        if session.wantsJSON {
            session.terminal.print(answer.bytes)
            return .done
        }
        let data = answer.reply.data.map { JSONValue($0) } ?? .null
        let card = data["card"] ?? .null
        let state = session.terminal.paintState(TaskText.field(data, "state"))
        session.terminal.print("\(name)   \(state)   \(TaskText.field(data, "free_slots")) slots free")
        let facts = ["type", "version", "slots", "boot", "rev"].compactMap { key in
            TaskText.field(card, key).isEmpty ? nil : "\(key) \(TaskText.field(card, key))"
        }
        if !facts.isEmpty { session.terminal.print("  " + facts.joined(separator: ", ")) }
        var table = TextTable()
        for entry in list(card, "capabilities") {
            let own = { TaskText.field(entry, $0) }
            let limit = entry["timeout_ms"]?.intValue.map { "time limit \(Durations.text($0))" } ?? ""
            let delivery = own("delivery").isEmpty ? "" : own("delivery")
            table.add(["  " + own("name"), own("kind").isEmpty ? "skill" : own("kind"), limit, delivery])
        }
        for line in table.lines() { session.terminal.print(line) }
        for entry in list(data, "leases") { session.terminal.print("  works on \(lease(entry))") }
        return .done
    }
}

extension RunCommands {
    /// `--dry-run`: who could take it, and why the others not.
    static func dryRun(_ session: Session) throws(Failure) -> ExitStatus {
        try FleetCommands.canExecute(session, intent: intent(session))
    }
}
