import Contract
import Machine
import TimeModel
import Wire

/// What `martlet top` knows: the retained views, as they come.
struct TopState {
    private var capabilities: [String: CapabilityView] = [:]
    private var circuits: [String: CircuitView] = [:]
    private var executors: [String: ExecutorStatus] = [:]
    private var alerts: [String: Alert] = [:]
    private var services: ServiceRecords
    private var metrics: [String: Int] = [:]
    private var summaries: [String: HistorySummary] = [:]
    private var earlier: (ended: Int, failed: Int, at: WallTime)?
    private var rates: (perSecondTenths: Int, failPercentTenths: Int)?

    /// What one workspace sees.
    init(workspace: String) { services = ServiceRecords(workspace: workspace) }

    /// The filters of everything it looks at.
    static func filters(_ workspace: String) -> [String] {
        [
            Topic.filter(workspace, "capability", "+"), Topic.filter(workspace, "circuit", "#"),
            Topic.filter(workspace, "executor", "+", "status"), Topic.filter(workspace, "alert", "+"),
            Topic.filter(workspace, "summary", "capability", "+"),
            Topic.filter(Names.systemWorkspace, "service", "+", "+"),
            Topic.filter(Names.systemWorkspace, "metrics", "dispatcher", "#"),
        ]
    }

    /// Takes a view in; an empty payload clears it.
    mutating func take(_ message: InboundMessage, at now: WallTime) {
        guard let topic = Topic(message.topic) else { return }
        let bytes = message.payload
        switch topic.place {
        case .capability(let name): capabilities[name] = try? CapabilityView(decoding: bytes)
        case .circuit(let capability, let executor):
            circuits[executor.map { "\(capability) \($0)" } ?? capability] = try? CircuitView(decoding: bytes)
        case .status(let executor): executors[executor] = try? ExecutorStatus(decoding: bytes)
        case .alert(let key): alerts[key] = try? Alert(decoding: bytes)
        case .service(let name, let instance): services.take(name, instance, bytes)
        case .summary(HistoryDimension.capability.rawValue, let name):
            summaries[name] = try? HistorySummary(decoding: bytes)
        case .metrics(let name, let instance) where instance ?? name == services.metricsName("dispatcher"):
            takeMetrics(bytes, at: now)
        default: return
        }
    }

    private mutating func takeMetrics(_ bytes: [UInt8], at now: WallTime) {
        guard let raw = try? RawJSON(validating: bytes), case .object(let fields) = JSONValue(raw) else { return }
        metrics = [:]
        for field in fields { metrics[field.key] = field.value.intValue }
        let ended = metrics["ended_total"] ?? 0
        let failed = ended - (metrics["succeeded_total"] ?? ended)
        if let earlier, now > earlier.at, ended >= earlier.ended {
            let count = ended - earlier.ended
            rates = (count * 10_000 / (now - earlier.at), count == 0 ? 0 : (failed - earlier.failed) * 1000 / count)
        }
        earlier = (ended, failed, now)
    }

    /// The capabilities in the order of the rows.
    var names: [String] { capabilities.keys.sorted() }

    /// The first lines: services, counts, rates and alerts; three of them, two where there is room for that.
    func head(_ workspace: String, at now: WallTime, columns: Int = 80, _ terminal: Terminal) -> [String] {
        let first = "\(workspace)   \(now.rfc3339.dropFirst(11).prefix(8)) UTC   " + serviceWords(terminal)
        let rates = rateWords.joined(separator: "   ")
        let alert = alertWords(terminal)
        guard columns < TopState.wide else {
            return [TopState.beside(first, rates), TopState.beside(counts, alert)]
        }
        return [first, counts, [rates, alert].filter { !$0.isEmpty }.joined(separator: "   ")].filter { !$0.isEmpty }
    }

    /// From so many columns on two lines do for the head.
    static let wide = 120
    private static let secondColumn = 72

    private static func beside(_ left: String, _ right: String) -> String {
        if right.isEmpty { return left }
        return left + String(repeating: " ", count: max(3, secondColumn - Terminal.visibleWidth(left))) + right
    }

    private func serviceWords(_ terminal: Terminal) -> String {
        if services.isEmpty { return "services: not to be read by this account" }
        let order = HealthPart.services.map(\.rawValue)
        let names = order.filter(services.names.contains) + services.names.filter { !order.contains($0) }
        let up = names.filter { services[$0]?.state == .up }
        let down = names.filter { services[$0]?.state == .down }
        let words = "up: " + (up.isEmpty ? "none" : up.joined(separator: " "))
        return down.isEmpty ? words : words + "   " + terminal.paint(.red, "down: \(down.joined(separator: " "))")
    }

    private var counts: String {
        let views = capabilities.values
        var words = ["queued \(views.reduce(0) { $0 + $1.queued })"]
        if let delayed = metrics["delayed"] { words.append("delayed \(delayed)") }
        words.append("running \(views.reduce(0) { $0 + $1.running })")
        if let waiting = metrics["awaiting_approval"] { words.append("approval \(waiting)") }
        let online = executors.values.filter { $0.status == .online || $0.status == .sleeping }.count
        return (words + ["executors \(online) of \(executors.count)"]).joined(separator: "   ")
    }

    /// Rates and the oldest wait, as far as known.
    private var rateWords: [String] {
        var words: [String] = []
        if let rates {
            words.append("\(rates.perSecondTenths / 10).\(rates.perSecondTenths % 10)/s")
            words.append("fail \(rates.failPercentTenths / 10).\(rates.failPercentTenths % 10) %")
        }
        if let oldest = metrics["oldest_queued_ms"], oldest > 0 { words.append("oldest \(Durations.short(oldest))") }
        return words
    }

    /// How many alerts stand, and the gravest of them.
    private func alertWords(_ terminal: Terminal) -> String {
        let grave = alerts.sorted {
            ($0.value.severity == .critical ? 0 : 1, $0.key) < ($1.value.severity == .critical ? 0 : 1, $1.key)
        }
        guard let first = grave.first else { return "" }
        let color: Terminal.Color = first.value.severity == .critical ? .red : .yellow
        return terminal.paint(color, Terminal.escape("alerts \(alerts.count): \(first.key): \(first.value.text)"))
    }

    /// The table of capabilities, header first; on a narrow screen without what matters least.
    func table(at now: WallTime, columns: Int? = nil, _ terminal: Terminal) -> [String] {
        var table = TextTable(
            ["CAPABILITY", "WAITING", "RUNNING", "FREE", "EXECUTORS", "p99", "CIRCUIT"], rightAligned: [1, 2, 3, 4, 5])
        for name in names {
            guard let view = capabilities[name] else { continue }
            table.add([
                Terminal.escape(name), String(view.queued), String(view.running), String(free(view)),
                String(view.executors.count), summaries[name].map { Durations.text($0.run.p99) } ?? "",
                circuit(name, at: now),
            ])
        }
        let (fitting, kept) = table.fitting(columns, dispensable: [4, 5])
        return fitting.lines { text, column in
            kept[column] == 6 && text.contains("open") ? terminal.paint(.red, text) : text
        }
    }

    /// The worst circuit of a capability in words.
    private func circuit(_ capability: String, at now: WallTime) -> String {
        let keys = circuits.keys.filter { $0 == capability || $0.hasPrefix(capability + " ") }.sorted()
        for key in keys {
            guard let view = circuits[key], view.state != .closed else { continue }
            let who = key == capability ? "" : Terminal.escape(String(key.dropFirst(capability.count + 1))) + " "
            var words = who + (view.state == .open ? "open" : "half open")
            if let forced = view.forcedBy { words += ", held by \(Terminal.escape(forced))" }
            if let until = view.until, until > now { words += ", probe in \(Durations.text(until - now))" }
            return words + (keys.count > 1 ? " and others" : "")
        }
        return ""
    }

    /// One frame; the chosen row is marked. With a size it has at most so many lines and columns, and shows the part of
    /// the table in which the chosen row is.
    func frame(
        _ workspace: String, at now: WallTime, chosen: Int?, size: (columns: Int, rows: Int)? = nil,
        _ terminal: Terminal
    ) -> [String] {
        let head = head(workspace, at: now, columns: size?.columns ?? 80, terminal)
        var rows = table(at: now, columns: size.map { $0.columns - 2 }, terminal).enumerated().map { index, row in
            chosen.map { $0 + 1 == index ? "> \(row)" : "  \(row)" } ?? row
        }
        guard let size else { return head + rows }
        let room = max(1, size.rows - head.count - 1)
        if rows.count - 1 > room, let title = rows.first {
            let start = min(max(0, (chosen ?? 0) - room + 1), rows.count - 1 - room)
            rows = [title] + rows.dropFirst(1 + start).prefix(room)
        }
        return (head + rows).map { Terminal.cut($0, size.columns) }
    }

    /// The same as one object (`topics/command-line.md`).
    func json(_ workspace: String, at now: WallTime) -> [UInt8] {
        RawJSON { writer in
            writer.object {
                $0.field("workspace", workspace)
                $0.field("at", now)
                $0.field("services") {
                    for name in services.names {
                        guard let state = services[name]?.state else { continue }
                        $0.field(named: name) { $0.value(state.rawValue) }
                    }
                }
                $0.field("queued", capabilities.values.reduce(0) { $0 + $1.queued })
                $0.field("running", capabilities.values.reduce(0) { $0 + $1.running })
                $0.field("oldest_waiting_ms", metrics["oldest_queued_ms"])
                $0.field("executors", executors.count)
                $0.field("alerts", alerts.keys.sorted())
                $0.field("capabilities") {
                    for name in names {
                        guard let view = capabilities[name] else { continue }
                        $0.key(named: name)
                        $0.object {
                            $0.field("waiting", view.queued)
                            $0.field("running", view.running)
                            $0.field("free", free(view))
                            $0.field("p99_ms", summaries[name]?.run.p99)
                            $0.field("circuit", view.circuit.rawValue)
                        }
                    }
                }
            }
        }.bytes
    }

    private func free(_ view: CapabilityView) -> Int {
        view.executors.filter { $0.code == nil }.reduce(0) { $0 + $1.freeSlots }
    }
}
