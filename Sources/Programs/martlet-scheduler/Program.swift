import Contract
import SchedulerCore
import Shell
import Timing

/// Sends intents by time.
@main struct Program {
    nonisolated static func main() {
        var description = ServiceDescription(
            role: "scheduler", version: "0.1.0", summary: "Sends intents by time: cron, intervals, one-shots."
        ) { configuration, start in
            var settings = SchedulerSettings()
            settings.principal = configuration.text("scheduler.user") ?? "scheduler"
            settings.boot = start.boot
            settings.version = "0.1.0"
            settings.serve(configuration.list("scheduler.workspaces"), as: start.instance)
            settings.adopts = configuration.bool("scheduler.adopt")
            settings.apply(configuration.encoded)
            settings.zones = zones(configuration).catalog()
            return SchedulerCore(settings: settings)
        }
        description.keys = SchedulerKeys.all
        description.isMetrics = { Topic.word(of: $0) == "metrics" }
        description.reloaded = { configuration in
            let zones = zones(configuration)
            return SchedulerReload.encoded(
                configuration: configuration.encoded, version: zones.version, files: zones.files())
        }
        let watch = ZoneWatch()
        description.hasChanged = { watch.hasChanged(zones($0)) }
        description.examples = [
            ("martlet-scheduler --state-directory state", "Keeps its schedules in the directory state."),
            (
                "martlet-scheduler --adopt",
                "Begins from the retained views: after its journal was lost, or on another machine."
            ),
            ("martlet-scheduler --workspaces lab,shop", "Is one of several cells, and serves these two workspaces."),
        ]
        ServiceRunner(description).main()
    }

    nonisolated static func zones(_ configuration: Configuration) -> ZoneDirectory {
        ZoneDirectory(configuration.text("scheduler.tzdir") ?? ZoneDirectory.standardPath)
    }
}

/// Notices that the system's zone data was replaced.
final class ZoneWatch {
    private var fingerprint: UInt64?

    func hasChanged(_ directory: ZoneDirectory) -> Bool {
        let before = fingerprint
        fingerprint = directory.fingerprint
        return before != nil && before != fingerprint
    }
}
