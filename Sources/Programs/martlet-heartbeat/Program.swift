import Contract
import HeartbeatCore
import Shell
import Timing

/// Runs health checks by time and judges who is alive.
@main struct Program {
    nonisolated static func main() {
        var description = ServiceDescription(
            role: "heartbeat", version: "0.1.0",
            summary: "Runs health checks by time, and tells which executors and services are alive."
        ) { configuration, start in
            var settings = HeartbeatSettings()
            settings.engine.principal = configuration.text("heartbeat.user") ?? "heartbeat"
            settings.engine.boot = start.boot
            settings.engine.version = "0.1.0"
            settings.engine.serve(configuration.list("heartbeat.workspaces"), as: start.instance)
            settings.engine.zones = zones(configuration).catalog()
            settings.apply(configuration.encoded)
            return HeartbeatCore(settings: settings)
        }
        description.keys = HeartbeatKeys.all
        description.isMetrics = { Topic.word(of: $0) == "metrics" }
        description.reloaded = { configuration in
            let zones = zones(configuration)
            return EngineReload.encoded(
                configuration: configuration.encoded, version: zones.version, files: zones.files())
        }
        let watch = ZoneWatch()
        description.hasChanged = { watch.hasChanged(zones($0)) }
        description.examples = [
            ("martlet-heartbeat --state-directory state", "Keeps its checks in the directory state."),
            ("martlet-heartbeat --low-battery 20", "Calls executors with less than 20 % of battery degraded."),
            ("martlet-heartbeat --workspaces lab,shop", "Is one of several cells, and serves these two workspaces."),
        ]
        ServiceRunner(description).main()
    }

    nonisolated static func zones(_ configuration: Configuration) -> ZoneDirectory {
        ZoneDirectory(configuration.text("heartbeat.tzdir") ?? ZoneDirectory.standardPath)
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
