import Contract
import Shell
import TimeModel
import Timing
import Wire

/// `martlet schedule`, but for `preview` and `zone`.
enum ScheduleCommands {
    // MARK: put

    /// `schedule put S [DOCUMENT]`.
    static func put(_ session: Session) throws(Failure) -> ExitStatus {
        let name = try session.nameArgument(0)
        let given = try given(session, "schedule", ["misfire"])
        var fields = if let given { given } else { try document(session) }
        if let rev = session.invocation.integer("if-rev") { fields.append(.init("if_rev", .number(String(rev)))) }
        let body = JSONValue.object(fields).encoded
        let answer = try session.ask(CommandRequest(.schedule, "put", name, payload: body))
        if session.wantsJSON {
            session.terminal.print(answer.bytes)
            return .done
        }
        let data = answer.reply.data.map { JSONValue($0) } ?? .null
        session.terminal.print("\(name) is \(line(data, session))")
        switch TaskText.field(data["state"] ?? .null, "status") {
        case ScheduleStatus.active.rawValue: showNext(name, session)
        case ScheduleStatus.paused.rawValue: session.terminal.print("  martlet schedule resume \(name)")
        default: session.terminal.print("  martlet schedule enable \(name)")
        }
        sayWarnings(data, session)
        sayUnknown(data, session)
        return .done
    }

    /// A capability that nobody offers yet is allowed, and more often a slip.
    static func sayUnknown(_ data: JSONValue, _ session: Session) {
        let capability = TaskText.field(data["definition"]?["work"] ?? .null, "capability")
        guard !capability.isEmpty, capability != "plan", let client = try? session.client(),
            let names = try? LiveObjects.names(.capability, client), !names.contains(capability)
        else { return }
        let meant = Nearest.name(to: capability, in: names).map { " Did you mean \"\(Terminal.escape($0))\"?" } ?? ""
        session.terminal.say("note: no executor offers \(capability) yet.\(meant)")
    }

    /// The next times of a schedule that was just put, as its zone shows them and in UTC.
    private static func showNext(_ name: String, _ session: Session) {
        let count = RawJSON { $0.object { $0.field("count", 3) } }.bytes
        guard let answer = try? session.ask(CommandRequest(.schedule, "preview", name, payload: count)),
            case .array(let next)? = answer.reply.data.flatMap({ JSONValue($0)["next"] })
        else { return }
        for line in slotLines(next) { session.terminal.print("  " + line) }
    }

    /// One line for each slot of a preview: local time with its distance from UTC, the instant, what is odd about it.
    private static func slotLines(_ slots: [JSONValue]) -> [String] {
        var table = TextTable()
        let isLocal = slots.contains { !TaskText.field($0, "local").hasSuffix("+00:00") }
        for slot in slots {
            let notes = note(TaskText.field(slot, "note"))
            let instant = TaskText.field(slot, "slot").replacing(".000", with: "")
            let local = isLocal ? clock(TaskText.field(slot, "local")) : ""
            table.add([local, instant, notes].filter { !$0.isEmpty })
        }
        return table.lines()
    }

    /// What is odd about a slot, in words.
    private static func note(_ word: String) -> String {
        switch SlotNote(rawValue: word) {
        case .gapShifted?: "clocks jump over its time"
        case .repeatedFirst?: "comes twice; this is the first"
        case .outsideHours?: "outside active_hours: will be skipped"
        case .outsideDays?: "not one of days_of_week: will be skipped"
        case nil: word
        }
    }

    /// A local time for people: `2026-11-23 09:00:00 +01:00`.
    private static func clock(_ local: String) -> String {
        let time = local.dropLast(6).replacing("T", with: " ").replacing(".000", with: "")
        return "\(time) \(local.suffix(6))"
    }

    private static let ruleFlags = [
        "cron", "every", "at", "tz", "start-at", "capability", "action", "input", "agent", "timeout", "priority",
        "note", "disabled",
    ]

    /// The document of a schedule or check as it was typed; `nil` when flags describe it, which exclude a document.
    static func given(
        _ session: Session, _ noun: String, _ moreFlags: [String]
    ) throws(Failure) -> [JSONValue.Field]? {
        guard let text = session.invocation.argument(1) else { return nil }
        for flag in ruleFlags + moreFlags where session.invocation.has(flag) {
            throw .usage("--\(flag) and a document exclude each other")
        }
        guard case .object(let given) = JSONValue(try session.json(text, what: "document")) else {
            throw .usage("a \(noun)'s document is an object", tries: ["martlet help \(noun) put"])
        }
        return given
    }

    /// The document that the flags describe.
    private static func document(_ session: Session) throws(Failure) -> [JSONValue.Field] {
        var fields = try fields(session)
        guard fields.contains(where: { $0.key == "type" }) else {
            throw .usage(
                "schedule put needs one of --cron, --every, --at, or a document",
                tries: ["martlet schedule put tick --every 10s --capability demo.echo"])
        }
        if let misfire = session.invocation.text("misfire") {
            fields.append(.init("policy", .object([.init("misfire", .string(misfire))])))
        }
        return fields
    }

    /// Rule, target, work and note as flags describe them, for schedules and checks; no `type` without a rule.
    static func fields(_ session: Session) throws(Failure) -> [JSONValue.Field] {
        let invocation = session.invocation
        let settings = try ConnectionSettings(invocation, environment: session.environment)
        var fields = try rule(invocation)
        let target = JSONValue.object([
            .init("workspace_id", .string(settings.workspace)),
            .init("agent_id", .string(invocation.text("agent") ?? ScheduleDocument.anyAgent)),
        ])
        fields.append(.init("target", target))
        let work = try work(session)
        if !work.isEmpty { fields.append(.init("work", .object(work))) }
        if let note = invocation.text("note") { fields.append(.init("note", .string(note))) }
        if invocation.has("disabled") { fields.append(.init("enabled", .bool(false))) }
        return fields
    }

    private static func rule(_ invocation: Invocation) throws(Failure) -> [JSONValue.Field] {
        var spec: [JSONValue.Field] = []
        var type = ""
        if let cron = invocation.text("cron") {
            type = "cron"
            spec.append(.init("expr", .string(cron)))
        }
        if let every = invocation.duration("every") {
            type += "interval"
            spec.append(.init("every_ms", .number(String(every))))
            if let start = invocation.text("start-at") { spec.append(.init("start_at", .string(start))) }
        }
        if let at = invocation.text("at") {
            type += "one-shot"
            spec.append(.init("run_at", .string(at)))
        }
        guard !type.isEmpty else {
            if invocation.has("tz") { throw .usage("--tz needs --cron, --every or --at") }
            return []
        }
        guard ["cron", "interval", "one-shot"].contains(type) else {
            throw .usage("--cron, --every and --at exclude each other")
        }
        if let zone = invocation.text("tz") { spec.append(.init("timezone", .string(zone))) }
        return [.init("type", .string(type)), .init("spec", .object(spec))]
    }

    private static func work(_ session: Session) throws(Failure) -> [JSONValue.Field] {
        let invocation = session.invocation
        var work: [JSONValue.Field] = []
        for key in ["capability", "action", "priority"] {
            if let text = invocation.text(key) { work.append(.init(key, .string(text))) }
        }
        if let text = invocation.text("input") {
            work.append(.init("input", JSONValue(try session.json(text, what: "input"))))
        }
        if let ms = invocation.duration("timeout") { work.append(.init("timeout_ms", .number(String(ms)))) }
        return work
    }

    /// What the service warns of in a document that it took.
    static func sayWarnings(_ data: JSONValue, _ session: Session) {
        guard case .array(let warnings)? = data["warnings"] else { return }
        for warning in warnings {
            let text = warning["why"]?.stringValue ?? warning["code"]?.stringValue ?? ""
            if !text.isEmpty { session.terminal.say("warning: \(Terminal.escape(text))") }
        }
    }

    /// `active, next in 10 s`.
    static func line(_ view: JSONValue, _ session: Session) -> String {
        let state = view["state"] ?? .null
        let text = TaskText(session.terminal, SystemClock.wall)
        var words = session.terminal.paintState(TaskText.field(state, "status"))
        if !TaskText.field(state, "reason").isEmpty { words += " (\(TaskText.field(state, "reason")))" }
        if let next = text.time(state, "next_run_at") { words += ", next \(next)" }
        return words
    }

    // MARK: list and get

    /// `schedule list`.
    static func list(_ session: Session) throws(Failure) -> ExitStatus {
        let items = try session.items(.schedule, session.invocation.integer("limit") ?? Defaults.page) { _ in }
        if session.wantsJSON { return session.printJSON(items) }
        var table = TextTable(["SCHEDULE", "STATUS", "NEXT", "LAST", "RUNS", "MISSED", "RULE", "WORK", "TARGET"])
        for item in items { table.add(row(item, session)) }
        session.printTable(table, items.count, stateColumn: 1, dispensable: [8, 6, 5, 4])
        return .done
    }

    private static func row(_ view: JSONValue, _ session: Session) -> [String] {
        let state = view["state"] ?? .null
        let definition = view["definition"] ?? .null
        let text = TaskText(session.terminal, SystemClock.wall)
        let last = state["last"].map { TaskText.field($0, "status") } ?? ""
        return [
            TaskText.field(view, "schedule"), TaskText.field(state, "status"), text.age(state, "next_run_at"),
            [last, text.age(state, "last_run_at")].filter { !$0.isEmpty }.joined(separator: " "),
            TaskText.field(state, "run_count"), TaskText.field(state, "missed"), rule(definition),
            TaskText.field(definition["work"] ?? .null, "capability"),
            TaskText.field(definition["target"] ?? .null, "agent_id"),
        ]
    }

    /// The rule of a definition in a few words.
    static func rule(_ definition: JSONValue) -> String {
        let spec = definition["spec"] ?? .null
        let zone = TaskText.field(spec, "timezone")
        let place = zone.isEmpty || zone == "UTC" ? "" : " \(zone)"
        if let every = spec["every_ms"]?.intValue { return "every \(Durations.text(every))" }
        if spec["run_at"] != nil { return "at \(TaskText.field(spec, "run_at"))\(place)" }
        return TaskText.field(spec, "expr") + place
    }

    /// `schedule get S`.
    static func get(_ session: Session) throws(Failure) -> ExitStatus {
        let name = try session.nameArgument(0)
        let answer = try session.ask(CommandRequest(.schedule, "get", name))
        if session.wantsJSON {
            session.terminal.print(answer.bytes)
            return .done
        }
        let view = answer.reply.data.map { JSONValue($0) } ?? .null
        for line in details(name, view, session) { session.terminal.print(line) }
        return .done
    }

    private static func details(_ name: String, _ view: JSONValue, _ session: Session) -> [String] {
        ["\(name)   \(line(view, session))   from \(TaskText.field(view, "owner"))"] + facts(view, session)
    }

    /// What a view tells besides its status, line by line.
    static func facts(_ view: JSONValue, _ session: Session) -> [String] {
        let state = view["state"] ?? .null
        let definition = view["definition"] ?? .null
        let text = TaskText(session.terminal, SystemClock.wall)
        var lines: [String] = []
        func add(_ key: String, _ value: String) {
            if !value.isEmpty { lines.append("  " + key.padded(to: 11) + value) }
        }
        add("rule", rule(definition))
        add("work", definition["work"].map { Terminal.escape($0.raw.text) } ?? "")
        add("target", TaskText.field(definition["target"] ?? .null, "agent_id"))
        if case .array(let next)? = state["next"] {
            let times = next.compactMap { $0.stringValue.flatMap { WallTime(rfc3339: $0) } }
            add("next", times.map { text.terminal.time($0, now: text.now) }.joined(separator: ", "))
        }
        if let last = state["last"] {
            let words = [TaskText.field(last, "run"), TaskText.field(last, "status"), TaskText.field(last, "code")]
            add("last", words.filter { !$0.isEmpty }.joined(separator: " "))
        }
        add("runs", "\(TaskText.field(state, "run_count")), by hand \(TaskText.field(state, "manual"))")
        if let slots = state["slots"] {
            let counts = ["decided", "triggered", "deferred", "pending"].map { "\($0) \(TaskText.field(slots, $0))" }
            add("slots", counts.joined(separator: ", "))
            if case .object(let skipped)? = slots["skipped"], !skipped.isEmpty {
                add(
                    "skipped",
                    skipped.map { "\(Terminal.escape($0.key)) \($0.value.intValue ?? 0)" }.joined(separator: ", "))
            }
        }
        if let pending = state["pending_deferred"], pending != .null {
            add("deferred", "\(TaskText.field(pending, "run")) (\(TaskText.field(pending, "reason")))")
        }
        add("note", TaskText.field(state, "note"))
        return lines
    }

    // MARK: Verbs that change something

    /// `schedule delete S`.
    static func delete(_ session: Session) throws(Failure) -> ExitStatus {
        try session.confirm("Delete the schedule \(Terminal.escape(session.argument(0)))?")
        let body = object { $0.field("if_rev", session.invocation.integer("if-rev")) }
        return try act(session, .schedule, "delete", body) { name, _ in "\(name) is deleted" }
    }

    /// `schedule pause S`.
    static func pause(_ session: Session) throws(Failure) -> ExitStatus {
        try act(session, .schedule, "pause", pauseBody(session)) { name, _ in "\(name) is paused" }
    }

    /// Why, and until when.
    static func pauseBody(_ session: Session) -> [UInt8] {
        object {
            $0.field("note", session.invocation.text("note"))
            $0.field("until", session.invocation.text("until"))
        }
    }

    /// `schedule resume S`.
    static func resume(_ session: Session) throws(Failure) -> ExitStatus {
        try act(session, .schedule, "resume", resumeBody(session)) { name, _ in "\(name) goes on" }
    }

    /// Whether what was missed is made up for.
    static func resumeBody(_ session: Session) -> [UInt8] {
        object { if session.invocation.has("catch-up") { $0.field("catch_up", true) } }
    }

    /// `schedule enable S`.
    static func enable(_ session: Session) throws(Failure) -> ExitStatus {
        try act(session, .schedule, "enable", []) { name, _ in "\(name) is active again" }
    }

    /// `schedule trigger S`.
    static func trigger(_ session: Session) throws(Failure) -> ExitStatus {
        let body = object { $0.field("request_id", session.invocation.text("request-id") ?? RandomText.id()) }
        return try act(session, .schedule, "trigger", body) { _, data in
            let task = TaskText.field(data, "task")
            return data["confirmed"] == .bool(false) ? "\(task) (not confirmed yet)" : task
        }
    }

    /// An object as a payload.
    static func object(_ fields: (inout JSONWriter) -> Void) -> [UInt8] {
        RawJSON { $0.object(fields) }.bytes
    }

    /// Sends a verb about an object, and prints the reply, or the line for it.
    static func act(
        _ session: Session, _ noun: Noun, _ verb: String, _ payload: [UInt8], _ line: (String, JSONValue) -> String
    ) throws(Failure) -> ExitStatus {
        let name = try session.nameArgument(0)
        let answer = try session.ask(CommandRequest(noun, verb, name, payload: payload))
        if session.wantsJSON {
            session.terminal.print(answer.bytes)
        } else {
            session.terminal.print(line(name, answer.reply.data.map { JSONValue($0) } ?? .null))
        }
        return .done
    }

    // MARK: preview

    /// The preview of a document or of a schedule, which the scheduler gives.
    static func previewByScheduler(_ session: Session, _ what: String) throws(Failure) -> ExitStatus {
        for flag in ["tz", "seed", "dst-gap", "dst-overlap", "tzdir"] where session.invocation.has(flag) {
            throw .usage("--\(flag) belongs to an expression; a document and a schedule have their own")
        }
        var fields: [JSONValue.Field] = []
        var name: String?
        if what.hasPrefix("@") || what == "-" || what.hasPrefix("{") {
            guard case .object(let given) = JSONValue(try session.json(what, what: "document")) else {
                throw .usage("a schedule's document is an object")
            }
            fields = given
        } else {
            name = try session.nameArgument(0)
        }
        if let from = session.invocation.text("from") { fields.append(.init("from", .string(from))) }
        if let count = session.invocation.integer("count") { fields.append(.init("count", .number(String(count)))) }
        let request = CommandRequest(.schedule, "preview", name, payload: JSONValue.object(fields).encoded)
        let answer = try session.ask(request)
        let data = answer.reply.data.map { JSONValue($0) } ?? .null
        guard case .array(let next)? = data["next"] else { return .done }
        if session.wantsJSON { return session.printJSON(next) }
        for line in slotLines(next) { session.terminal.print(line) }
        sayWarnings(data, session)
        return .done
    }
}
