import Contract
import Machine
import TimeModel
import Timing
import Wire

/// Alerts about services, in each workspace.
extension HeartbeatCore {
    static let alertPrefix = "heartbeat."
    static let serviceAlertPrefix = "heartbeat.service."

    /// Workspaces that have executors or checks, and the usual one.
    var workspaces: [String] {
        let all = places.union(engine.workspaces).sorted()
        let served = settings.engine.workspaces
        return served.isEmpty ? all : all.filter(served.contains)
    }

    /// Judges all services and publishes what changed since; everything after a reconnect.
    mutating func flushServices(_ now: Now) {
        let own = settings.engine.role.service
        let all = workspaces
        let isAll = toldPlaces != all
        toldPlaces = all
        for name in Set(services.names).union(services.alerts.keys.map(\.name)).sorted() where name != own {
            let changed = services.judge(
                name, in: all, silentUntil: judgedUntil, widenedMs: clock.widenedMs, now: now.wall)
            for workspace in isAll ? all : changed {
                let payload = services.alerts[ServiceView(name: name, workspace: workspace)]?.encoded ?? []
                publish(Topic(workspace, .alert(key: HeartbeatCore.serviceAlertPrefix + name)).name, payload)
            }
        }
    }

    /// An alert of ours that does not stand any more is cleared: it is of an earlier life, or a stranger's.
    mutating func takeAlert(_ workspace: String, _ key: String, _ payload: [UInt8]) {
        guard !payload.isEmpty, key.hasPrefix(HeartbeatCore.alertPrefix) else { return }
        let alert = ExecutorKey(workspace: workspace, name: key)
        if engine.isReady {
            clearIfOver(alert)
        } else if foundAlerts.count < Limits.executors {
            foundAlerts.insert(alert)
        }
    }

    /// Clears an alert, named by workspace and key, unless it stands.
    mutating func clearIfOver(_ alert: ExecutorKey) {
        if alert.name.hasPrefix(HeartbeatCore.serviceAlertPrefix) {
            let name = String(alert.name.dropFirst(HeartbeatCore.serviceAlertPrefix.count))
            if services.alerts[ServiceView(name: name, workspace: alert.workspace)] != nil { return }
        } else if engine.isAlerting(alert.workspace, alert.name) {
            return
        }
        publish(Topic(alert.workspace, .alert(key: alert.name)).name, [])
    }
}
