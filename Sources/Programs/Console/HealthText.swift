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
        return report.map { line in
            let color: Terminal.Color =
                switch line.level {
                case .ok: .green
                case .warning, .unknown: .yellow
                case .critical: .red
                }
            let gap = String(repeating: " ", count: width - line.level.word.count + 2)
            return "\(terminal.paint(color, line.level.word))\(gap)\(line.part) \(line.text)"
        }
    }

    private func json(_ line: HealthLine) -> String {
        RawJSON { writer in
            writer.object {
                $0.field("level", line.level.word.lowercased())
                $0.field("part", line.part)
                $0.field("text", line.text)
                $0.field("figures") { for figure in line.figures { $0.field(figure.name, figure.number) } }
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
        let base = isTime ? String(figure.name.dropLast(3)) : figure.name
        let name = part.map { "\($0)_\(base)" } ?? base
        func shown(_ number: Int) -> String { isTime ? HealthFormat.seconds(number) : String(number) }
        let limits = figure.limits.map { ";\(shown($0.warning));\(shown($0.critical))" } ?? ""
        return "\(name.replacing(" ", with: "_"))=\(shown(figure.number))\(isTime ? "s" : "")\(limits)"
    }

    private func prometheus(_ report: [HealthLine]) -> [String] {
        var lines = [
            "# HELP martlet_health 0 well, 1 warning, 2 critical, 3 unknown.", "# TYPE martlet_health gauge",
        ]
        for line in report { lines.append("martlet_health{\(label(line))} \(line.level.rawValue)") }
        lines += ["# HELP martlet_health_figure What the level was judged by.", "# TYPE martlet_health_figure gauge"]
        for line in report {
            for figure in line.figures {
                let isTime = figure.name.hasSuffix("_ms")
                let name = isTime ? figure.name.dropLast(3) + "_seconds" : figure.name
                let number = isTime ? HealthFormat.seconds(figure.number) : String(figure.number)
                lines.append("martlet_health_figure{\(label(line)),figure=\"\(name)\"} \(number)")
            }
        }
        return lines
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
