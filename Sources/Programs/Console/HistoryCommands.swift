import Contract
import Shell
import TimeModel
import Wire

/// `martlet history`.
enum HistoryCommands {
    /// What was typed as the fields of the command.
    private static func command(_ session: Session) throws(Failure) -> HistoryCommand {
        let typed = session.invocation
        var command = HistoryCommand()
        command.record = typed.word("record")
        command.subject = typed.text("subject")
        command.capability = typed.text("capability")
        command.executor = typed.text("executor")
        command.type = typed.text("type")
        command.principal = typed.text("principal")
        command.status = typed.text("status")
        command.code = typed.text("code")
        command.user = typed.text("for-user")
        command.request = typed.text("request")
        command.by = typed.word("by")
        command.from = try time(session, "from")
        command.to = try time(session, "to")
        if let ms = typed.duration("since") { command.from = SystemClock.wall - ms }
        if typed.has("bodies") { command.bodies = true }
        return command
    }

    private static func time(_ session: Session, _ flag: String) throws(Failure) -> WallTime? {
        guard let text = session.invocation.text(flag) else { return nil }
        let whole = text.utf8.count == 10 ? text + (flag == "to" ? "T23:59:59.999Z" : "T00:00:00Z") : text
        guard let time = WallTime(rfc3339: whole) else {
            throw .usage(
                "--\(flag) \(Terminal.escape(text)): expected a date or an RFC 3339 time",
                tries: ["--\(flag) 2026-11-20", "--\(flag) 2026-11-20T09:00:00Z", "--since 2h"])
        }
        return time
    }

    /// `history query`: page by page, up to the limit.
    static func query(_ session: Session) throws(Failure) -> ExitStatus {
        try show(session, "query", nil, try command(session))
    }

    /// `history get ID`: the messages too.
    static func get(_ session: Session) throws(Failure) -> ExitStatus {
        try show(session, "get", session.argument(0), try command(session))
    }

    private static func show(
        _ session: Session, _ verb: String, _ id: String?, _ asked: HistoryCommand
    ) throws(Failure) -> ExitStatus {
        var command = asked
        let limit = session.invocation.integer("limit") ?? Defaults.page
        command.after = session.invocation.text("after")
        var items: [JSONValue] = []
        repeat {
            command.limit = min(Limits.page, limit - items.count)
            let data = try session.ask(CommandRequest(.history, verb, id, payload: command.encoded)).reply.data
            let value = data.map { JSONValue($0) } ?? .null
            if case .array(let page)? = value["items"] { items += page }
            command.after = value["after"]?.stringValue
        } while command.after != nil && items.count < limit
        if session.wantsJSON { return session.printJSON(items) }
        if verb == "get" { return whole(items, session) }
        if items.isEmpty { session.terminal.say("none") }
        let width = session.terminal.isTerminal ? Terminal.width : Int.max
        for line in HistoryTable(items, session.terminal, now: SystemClock.wall).lines(width: width) {
            session.terminal.print(line)
        }
        if let after = command.after { session.terminal.say("More: the same with --after \(after)") }
        return .done
    }

    /// Records with their messages, the oldest first.
    private static func whole(_ items: [JSONValue], _ session: Session) -> ExitStatus {
        let text = TaskText(session.terminal, SystemClock.wall)
        for item in items.reversed() {
            let field = { TaskText.field(item, $0) }
            var words = [text.time(item, "at") ?? "", field("record"), field("subject")]
            words.append(session.terminal.paintState(field("status")))
            for (key, name) in [("capability", ""), ("executor", "by "), ("code", ""), ("principal", "for ")]
            where !field(key).isEmpty { words.append(name + field(key)) }
            if let ms = item["duration_ms"]?.intValue { words.append(Durations.text(ms)) }
            if let cost = item["cost"]?.intValue { words.append("cost \(cost)") }
            session.terminal.print(words.filter { !$0.isEmpty }.joined(separator: "   "))
            if let body = item["body"] {
                session.terminal.print("  " + Terminal.escape(String(decoding: body.encoded, as: UTF8.self)))
            }
        }
        return .done
    }

    /// `history stats`.
    static func stats(_ session: Session) throws(Failure) -> ExitStatus {
        let data = try sums(session, "stats")
        if session.wantsJSON { return .done }
        var table = TextTable(
            [
                (data["by"]?.stringValue ?? "").uppercased(), "RESULTS", "SUCCESS", "QUEUED p50", "p99", "RUN p50",
                "p99",
                "COST", "WASTED", "TOKENS",
            ], rightAligned: [1, 2, 3, 4, 5, 6, 7, 8, 9])
        let groups = rows(data)
        for (name, value) in groups {
            guard let sum = try? HistorySummary(value.raw) else { continue }
            let permille = sum.successPermille.map { "\($0 / 10).\($0 % 10) %" } ?? ""
            table.add([
                name, String(sum.count), permille, Durations.text(sum.queued.p50), Durations.text(sum.queued.p99),
                Durations.text(sum.run.p50), Durations.text(sum.run.p99), String(sum.cost), String(sum.wastedCost),
                String(sum.tokens),
            ])
        }
        session.printTable(table, groups.count)
        return .done
    }

    /// `history cost`.
    static func cost(_ session: Session) throws(Failure) -> ExitStatus {
        let data = try sums(session, "cost")
        if session.wantsJSON { return .done }
        var table = TextTable(
            [(data["by"]?.stringValue ?? "").uppercased(), "RESULTS", "COST", "WASTED", "SHARE", "TOKENS"],
            rightAligned: [1, 2, 3, 4, 5])
        func spent(_ value: JSONValue?) -> Int {
            (value?["cost"]?.intValue ?? 0) + (value?["wasted_cost"]?.intValue ?? 0)
        }
        let all = spent(data["total"])
        let groups = rows(data)
        for (name, value) in groups {
            let field = { TaskText.field(value, $0) }
            let share = all > 0 ? "\(spent(value) / max(1, all / 100)) %" : ""
            table.add([name, field("count"), field("cost"), field("wasted_cost"), share, field("tokens")])
        }
        session.printTable(table, groups.count)
        return .done
    }

    private static func sums(_ session: Session, _ verb: String) throws(Failure) -> JSONValue {
        var command = try command(session)
        command.limit = session.invocation.integer("limit")
        let answer = try session.ask(CommandRequest(.history, verb, payload: command.encoded))
        let data = answer.reply.data.map { JSONValue($0) } ?? .null
        if session.wantsJSON, case .array(let items)? = data["items"] { _ = session.printJSON(items) }
        return data
    }

    /// The groups, and all of them together below if there are several.
    private static func rows(_ data: JSONValue) -> [(String, JSONValue)] {
        guard case .array(let items)? = data["items"] else { return [] }
        var rows = items.map { item in
            let name = TaskText.field(item, "name")
            return (name.isEmpty ? "(none)" : name, item)
        }
        if rows.count > 1, let total = data["total"] { rows.append(("all", total)) }
        return rows
    }
}
