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

    /// The first three lines: services, counts, then rates and alerts; each fits 80 columns but for a long alert.
    func head(_ workspace: String, at now: WallTime, _ terminal: Terminal) -> [String] {
        let up = services.names.filter { services[$0]?.state == .up }
        let down = services.names.filter { services[$0]?.state == .down }
        var first = "\(workspace)   \(now.rfc3339.dropFirst(11).prefix(8)) UTC   up: "
        first += up.isEmpty ? "none" : up.joined(separator: " ")
        if !down.isEmpty { first += "   " + terminal.paint(.red, "down: \(down.joined(separator: " "))") }
        let views = capabilities.values
        let queued = views.reduce(0) { $0 + $1.queued }
        let running = views.reduce(0) { $0 + $1.running }
        var second = "queued \(queued)"
        if let delayed = metrics["delayed"] { second += "   delayed \(delayed)" }
        second += "   running \(running)"
        if let waiting = metrics["awaiting_approval"] { second += "   approval \(waiting)" }
        let online = executors.values.filter { $0.status == .online || $0.status == .sleeping }.count
        second += "   executors \(online) of \(executors.count)"
        return [first, second, third(terminal)].filter { !$0.isEmpty }
    }

    /// Rates, the oldest wait and the first alert, as far as known.
    private func third(_ terminal: Terminal) -> String {
        var words: [String] = []
        if let rates {
            words.append("\(rates.perSecondTenths / 10).\(rates.perSecondTenths % 10)/s")
            words.append("fail \(rates.failPercentTenths / 10).\(rates.failPercentTenths % 10) %")
        }
        if let oldest = metrics["oldest_queued_ms"], oldest > 0 { words.append("oldest \(Durations.text(oldest))") }
        if let alert = alerts.keys.sorted().first, let text = alerts[alert]?.text {
            words.append(terminal.paint(.yellow, "alerts \(alerts.count): \(Terminal.escape(text))"))
        }
        return words.joined(separator: "   ")
    }

    /// The table of capabilities, header first.
    func table(at now: WallTime, _ terminal: Terminal) -> [String] {
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
        return table.lines { text, column in
            column == 6 && text.contains("open") ? terminal.paint(.red, text) : text
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

    /// One frame of at most so many lines of at most so many columns; the chosen row is marked.
    func frame(_ workspace: String, at now: WallTime, chosen: Int?, _ terminal: Terminal) -> [String] {
        var lines = head(workspace, at: now, terminal)
        for (index, row) in table(at: now, terminal).enumerated() {
            lines.append(chosen.map { $0 + 1 == index ? "> \(row)" : "  \(row)" } ?? row)
        }
        return lines
    }

    /// The same as one object (`topics/command-line.md`).
    func json(_ workspace: String, at now: WallTime) -> [UInt8] {
        RawJSON { writer in
            writer.object {
                $0.field("workspace", workspace)
                $0.field("at", now)
                $0.field("services") {
                    for name in services.names { $0.field(name, services[name]?.state.rawValue) }
                }
                $0.field("queued", capabilities.values.reduce(0) { $0 + $1.queued })
                $0.field("running", capabilities.values.reduce(0) { $0 + $1.running })
                $0.field("oldest_waiting_ms", metrics["oldest_queued_ms"])
                $0.field("executors", executors.count)
                $0.field("alerts", alerts.keys.sorted())
                $0.field("capabilities") {
                    for name in names {
                        guard let view = capabilities[name] else { continue }
                        $0.field(name) {
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
