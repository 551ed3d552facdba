import Contract
import Machine
import TimeModel
import Wire

/// The text file for Prometheus' node exporter (`topics/history.md`, Prometheus).
extension MonitorCore {
    mutating func export(_ now: Now) {
        guard !settings.prometheusFile.isEmpty else { return }
        var text = PrometheusText()
        writeResults(&text)
        writeWindow(&text)
        writeServices(&text)
        text.family("martlet_textfile_time_seconds", "gauge", "When this file was written.")
        text.sample(
            "martlet_textfile_time_seconds", [], PrometheusText.seconds(now.wall.milliseconds))
        effects.append(.archive(.export(path: settings.prometheusFile, text.bytes)))
    }

    /// Counters since the start, by capability.
    private func writeResults(_ text: inout PrometheusText) {
        let groups = sinceStart.keys.sorted()
        text.family("martlet_results_total", "counter", "Tasks that ended, by status.")
        for group in groups {
            for (status, number) in zip(Status.allCases, sinceStart[group]?.statuses ?? []) {
                text.sample("martlet_results_total", labels(group) + [("status", status.rawValue)], String(number))
            }
        }
        text.family("martlet_cost_micros_total", "counter", "What deciding attempts cost, in millionths.")
        for group in groups {
            text.sample("martlet_cost_micros_total", labels(group), String(sinceStart[group]?.cost ?? 0))
        }
        text.family("martlet_wasted_cost_micros_total", "counter", "What other attempts cost, in millionths.")
        for group in groups {
            text.sample("martlet_wasted_cost_micros_total", labels(group), String(sinceStart[group]?.wastedCost ?? 0))
        }
        text.family("martlet_tokens_total", "counter", "Tokens used.")
        for group in groups {
            text.sample("martlet_tokens_total", labels(group), String(sinceStart[group]?.tokens ?? 0))
        }
    }

    private func labels(_ group: SummaryGroup) -> [(String, String)] {
        [("workspace", group.workspace), (group.by.rawValue, group.name)]
    }

    /// Percentiles and success within the window.
    private func writeWindow(_ text: inout PrometheusText) {
        let groups = window.sorted.filter {
            $0.by == .capability || $0.by == .executor && settings.prometheusExecutors
        }
        let sums = groups.map { window.sum($0) ?? Aggregate() }
        for (name, help, part) in [
            ("martlet_window_queued_seconds", "From acceptance to the first start, within the window.", 0),
            ("martlet_window_run_seconds", "What deciding attempts took, within the window.", 1),
        ] {
            text.family(name, "gauge", help)
            for (group, sum) in zip(groups, sums) {
                let histogram = part == 0 ? sum.queued : sum.run
                for (quantile, permille) in [("0.5", 500), ("0.95", 950), ("0.99", 990)] {
                    text.sample(
                        name, labels(group) + [("quantile", quantile)],
                        PrometheusText.seconds(histogram.quantile(permille)))
                }
            }
        }
        text.family("martlet_window_success_ratio", "gauge", "Success among success, failed and timeout.")
        for (group, sum) in zip(groups, sums) where sum.succeeded + sum.failed > 0 {
            let permille = sum.succeeded * 1000 / (sum.succeeded + sum.failed)
            text.sample("martlet_window_success_ratio", labels(group), PrometheusText.seconds(permille))
        }
    }

    /// Whether each service is up, and the numbers that it publishes.
    private func writeServices(_ text: inout PrometheusText) {
        text.family("martlet_service_up", "gauge", "Whether the service's record says up.")
        for (labels, isUp) in upSamples { text.sample("martlet_service_up", labels, isUp ? "1" : "0") }
        for (service, names) in publishers {
            let keys = Set(names.flatMap { (numbers[$0] ?? [:]).keys })
            for key in keys.sorted() {
                let isTime = key.hasSuffix("_ms")
                let base = isTime ? key.dropLast(3) + "_seconds" : key[...]
                let family = PrometheusText.name("martlet_\(service)_\(base)")
                text.family(family, key.hasSuffix("_total") ? "counter" : "gauge", "Published by \(service) as \(key).")
                for name in names {
                    guard let number = numbers[name]?[key] else { continue }
                    let labels = name == service ? [] : [("instance", name)]
                    text.sample(family, labels, isTime ? PrometheusText.seconds(number) : String(number))
                }
            }
        }
    }

    /// A service is up when one of its instances is; cells are told one by one.
    private var upSamples: [(labels: [(String, String)], isUp: Bool)] {
        var whole: [String: Bool] = [:]
        var cells: [(labels: [(String, String)], isUp: Bool)] = []
        for key in services.keys.sorted() {
            guard let record = services[key] else { continue }
            if record.workspaces.isEmpty {
                whole[key.name] = whole[key.name] == true || record.state == .up
            } else {
                cells.append(([("service", key.name), ("instance", key.instance)], record.state == .up))
            }
        }
        return whole.keys.sorted().map { ([("service", $0)], whole[$0] == true) } + cells
    }

    /// Services with the names under which they, or their cells, publish numbers.
    private var publishers: [(service: String, names: [String])] {
        let known = Dictionary(services.keys.map { ($0.instance, $0.name) }, uniquingKeysWith: { $1 })
        let names = Dictionary(grouping: numbers.keys.sorted()) { known[$0] ?? $0 }
        return names.sorted { $0.key < $1.key }.map { (service: $0.key, names: $0.value) }
    }
}

/// Lines of the exposition format.
struct PrometheusText {
    private(set) var bytes: [UInt8] = []

    mutating func family(_ name: String, _ type: String, _ help: String) {
        add("# HELP \(name) \(PrometheusText.escape(help, quotes: false))\n# TYPE \(name) \(type)\n")
    }

    mutating func sample(_ name: String, _ labels: [(String, String)], _ value: String) {
        let list = labels.map { "\($0.0)=\"\(PrometheusText.escape($0.1, quotes: true))\"" }.joined(separator: ",")
        add(list.isEmpty ? "\(name) \(value)\n" : "\(name){\(list)} \(value)\n")
    }

    private mutating func add(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// Thousandths as a decimal.
    static func seconds(_ thousandths: Int) -> String {
        let rest = String(abs(thousandths) % 1000)
        let sign = thousandths < 0 ? "-" : ""
        return "\(sign)\(abs(thousandths) / 1000).\(String(repeating: "0", count: 3 - rest.utf8.count))\(rest)"
    }

    /// A legal metric name.
    static func name(_ text: String) -> String {
        String(
            decoding: text.utf8.map { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"): byte
                default: UInt8(ascii: "_")
                }
            }, as: UTF8.self)
    }

    private static func escape(_ text: String, quotes: Bool) -> String {
        var out = ""
        for character in text {
            switch character {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.append(character)
            }
        }
        return out
    }
}
