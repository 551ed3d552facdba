import Contract
import Wire

/// How `martlet health` writes.
enum HealthFormat: String, Hashable, Sendable, CaseIterable {
    /// For people, for programs, for Nagios, for Prometheus' textfile collector.
    case text, json, nagios, prometheus

    /// The lines about some parts.
    func lines(_ report: [HealthLine], _ terminal: Terminal) -> [String] {
        switch self {
        case .text: text(report, terminal)
        case .json: report.map { json($0) }
        case .nagios: [nagios(report)]
        case .prometheus: prometheus(report)
        }
    }

    private func text(_ report: [HealthLine], _ terminal: Terminal) -> [String] {
        let width = report.map(\.level.word.count).max() ?? 0
        return report.flatMap { line in
            let color: Terminal.Color =
                switch line.level {
                case .ok: .green
                case .warning, .unknown: .yellow
                case .critical: .red
                }
            let gap = String(repeating: " ", count: width - line.level.word.count + 2)
            let head = "\(terminal.paint(color, line.level.word))\(gap)"
            guard let columns = terminal.columns, columns > 60 else { return ["\(head)\(line.part) \(line.text)"] }
            let parts = Help.wrap("\(line.part) \(line.text)", indent: 0, width: columns - width - 4)
            let margin = String(repeating: " ", count: width + 4)
            return [head + parts[0]] + parts.dropFirst().flatMap { [margin + $0] }
        }
    }

    private func json(_ line: HealthLine) -> String {
        RawJSON { writer in
            writer.object {
                $0.field("level", line.level.word.lowercased())
                $0.field("part", line.part)
                $0.field("text", line.text)
                $0.field("figures") {
                    for figure in line.figures { $0.field(named: figure.name) { $0.value(figure.number) } }
                }
            }
        }.text
    }

    /// One line: the worst things in words, all figures behind a bar.
    private func nagios(_ report: [HealthLine]) -> String {
        let worst = HealthLevel.worst(report.map(\.level))
        let told = worst == .ok && report.count > 1 ? [] : report.filter { $0.level == worst }
        let text = told.isEmpty ? "all well" : told.map { "\($0.part) \($0.text)" }.joined(separator: "; ")
        let figures = report.flatMap { line in line.figures.map { nagios($0, report.count > 1 ? line.part : nil) } }
        let shown = "MARTLET \(worst.word) - \(text.replacing("|", with: "/"))"
        return figures.isEmpty ? shown : "\(shown) | \(figures.joined(separator: " "))"
    }

    private func nagios(_ figure: HealthFigure, _ part: String?) -> String {
        let isTime = figure.name.hasSuffix("_ms")
        let isShare = figure.name.hasSuffix("_percent")
        let base = isTime ? String(figure.name.dropLast(3)) : isShare ? String(figure.name.dropLast(8)) : figure.name
        let name = part.map { base == $0 || base.hasPrefix("\($0)_") ? base : "\($0)_\(base)" } ?? base
        func shown(_ number: Int) -> String { isTime ? HealthFormat.seconds(number) : String(number) }
        let limits = figure.limits.map { ";\(shown($0.warning));\($0.critical.map(shown) ?? "")" } ?? ""
        let unit = isTime ? "s" : isShare ? "%" : figure.name.hasSuffix("_bytes") ? "B" : ""
        return "\(name.replacing(" ", with: "_"))=\(shown(figure.number))\(unit)\(limits)"
    }

    /// One family for the levels and one for each kind of figure, so that each has one unit.
    private func prometheus(_ report: [HealthLine]) -> [String] {
        var lines = [
            "# HELP martlet_health 0 well, 1 warning, 2 critical, 3 unknown.", "# TYPE martlet_health gauge",
        ]
        for line in report { lines.append("martlet_health{\(label(line))} \(line.level.rawValue)") }
        var families: [String: [String]] = [:]
        for line in report {
            for figure in line.figures {
                let (name, number) = HealthFormat.inBaseUnits(figure)
                families[name, default: []].append("martlet_health_\(name){\(label(line))} \(number)")
            }
        }
        for (name, samples) in families.sorted(by: { $0.key < $1.key }) {
            lines += [
                "# HELP martlet_health_\(name) What martlet health judged by.", "# TYPE martlet_health_\(name) gauge",
            ]
            lines += samples
        }
        return lines
    }

    private static func inBaseUnits(_ figure: HealthFigure) -> (name: String, number: String) {
        if figure.name.hasSuffix("_ms") { return (figure.name.dropLast(3) + "_seconds", seconds(figure.number)) }
        guard figure.name.hasSuffix("_percent") else { return (figure.name, String(figure.number)) }
        return (figure.name.dropLast(8) + "_ratio", seconds(figure.number * 10))
    }

    private func label(_ line: HealthLine) -> String {
        let isService = HealthPart.services.contains { $0.rawValue == line.part }
        return "\(isService ? "service" : "part")=\"\(line.part.replacing("\"", with: "'"))\""
    }

    /// `0.4`, `60`.
    static func seconds(_ ms: Int) -> String {
        let whole = ms / 1000
        let rest = String(1000 + ms % 1000).dropFirst()
        var fraction = String(rest)
        while fraction.last == "0" { fraction.removeLast() }
        return fraction.isEmpty ? String(whole) : "\(whole).\(fraction)"
    }
}
