import Contract
import Machine
import MonitorCore
import Shell
import Wire

/// Keeps the history and prices it.
@main struct Program {
    nonisolated static func main() {
        var description = ServiceDescription(
            role: "monitor", version: "0.1.0",
            summary: "Keeps the history of results, events, checks, logs and numbers, and adds it up."
        ) { configuration, start in
            var settings = MonitorSettings()
            settings.boot = start.boot
            settings.version = "0.1.0"
            settings.apply(configuration.encoded)
            return MonitorCore(settings: settings)
        }
        description.keys = MonitorKeys.all
        description.isMetrics = { Topic.word(of: $0) == "metrics" }
        description.sessionSeconds = 7 * 86_400
        description.check = { configuration in
            let path = configuration.text("monitor.prometheus_file") ?? ""
            guard !path.isEmpty, !path.hasPrefix("/") else { return [] }
            return [
                ConfigurationProblem(
                    origin: configuration.entry("monitor.prometheus_file").origin.description,
                    key: "monitor.prometheus_file", text: "expected a path from the root, found \"\(path)\"")
            ]
        }
        description.makeArchive = { configuration, start in
            do throws(SystemError) {
                let files = try DirectoryFiles("\(start.stateDirectory)/history")
                return HistoryStore(files: files, limits: MonitorKeys.limits(configuration))
            } catch {
                return UnusableArchive(error.description)
            }
        }
        description.examples = [
            ("martlet-monitor --state-directory state", "Keeps its history in the directory state/history."),
            (
                "martlet-monitor --prometheus-file /var/lib/prometheus/node-exporter/martlet.prom",
                "Writes its numbers for Prometheus, too."
            ),
        ]
        ServiceRunner(description).main()
    }
}

/// Stands for a history whose folder cannot be made: says so when it is opened.
final class UnusableArchive: Archive {
    private let reason: String

    init(_ reason: String) { self.reason = reason }

    func open(at now: Now) throws(ArchiveFault) { throw ArchiveFault(reason) }
    var opening: ArchiveEvent { .recovered }
    func add(_ record: RawJSON) {}
    func commit(at now: Now) -> ArchiveEvent? { nil }
    func answer(_ question: RawJSON, at now: Now) -> RawJSON { .emptyObject }
    func export(_ content: [UInt8], to path: String) throws(ArchiveFault) { throw ArchiveFault(reason) }
    func takeLog() -> [LogEvent] { [] }
}
