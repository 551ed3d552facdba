import Contract
import TimeModel
import Wire

/// Names one instance of a service.
struct ServiceKey: Hashable, Comparable, Sendable {
    var name: String
    var instance: String

    static func < (a: ServiceKey, b: ServiceKey) -> Bool {
        a.name == b.name ? a.instance < b.instance : a.name < b.name
    }
}

/// Names a service as one workspace sees it; with cells that is not the same in all of them.
struct ServiceView: Hashable, Comparable, Sendable {
    var name: String
    var workspace: String

    static func < (a: ServiceView, b: ServiceView) -> Bool {
        a.name == b.name ? a.workspace < b.workspace : a.name < b.name
    }
}

/// What is known of the services themselves: their records, and their metrics as signs of life.
struct ServiceWatch: Hashable, Sendable {
    private var records: [ServiceKey: ServiceRecord] = [:]
    /// Own time of the last metrics, by the name under which they came: the service's, or a cell's instance.
    private var heard: [String: Int] = [:]
    /// Own times at which each came up in another process.
    private var starts: [String: [Int]] = [:]
    /// Services that are not up, or do not stay up, as told.
    private(set) var alerts: [ServiceView: Alert] = [:]

    /// Metrics are due every 10 s; after this they are stale.
    static let staleMs = 30_000
    /// So many new processes within this time deserve an alert.
    static let restarts = (count: 3, withinMs: 600_000)
    /// Services with metrics at one time.
    static let limit = 1000

    /// Instances that are known.
    var count: Int { records.count }
    /// Names of all services, in order.
    var names: [String] { Set(records.keys.map(\.name)).sorted() }

    /// The name under which an instance publishes its metrics.
    private static func publicName(_ key: ServiceKey, _ record: ServiceRecord) -> String {
        record.workspaces.isEmpty ? key.name : key.instance
    }

    mutating func take(_ name: String, _ instance: String, _ payload: [UInt8], own: Int, now: WallTime) {
        let key = ServiceKey(name: name, instance: instance)
        guard let record = payload.isEmpty ? nil : try? ServiceRecord(decoding: payload) else {
            records[key] = nil
            return
        }
        guard records[key] != nil || records.count < ServiceWatch.limit else { return }
        if let before = records[key], before.boot != record.boot {
            let told = ServiceWatch.publicName(key, record)
            if heard[told] != nil { heard[told] = own }
            starts[told, default: []].append(own)
            if starts[told, default: []].count > ServiceWatch.restarts.count { starts[told]?.removeFirst() }
        }
        records[key] = record
    }

    /// Whether a service was started anew too often; `true` until the first of these starts is long enough ago.
    private func isRestless(_ told: String, own: Int) -> Bool {
        guard let times = starts[told], times.count == ServiceWatch.restarts.count, let first = times.first else {
            return false
        }
        return own - first <= ServiceWatch.restarts.withinMs
    }

    /// Only who has sent metrics is missed when they stop.
    mutating func takeMetrics(_ told: String, isReplay: Bool, own: Int) {
        guard heard[told] != nil || heard.count < ServiceWatch.limit else { return }
        if isReplay, heard[told] != nil { return }
        heard[told] = own
    }

    /// The link is back: metrics that were sent meanwhile are lost, so a silence counts for half its limit at most. Who was
    /// silent before stays it.
    mutating func excuse(own: Int, silentUntil: Int, widenedMs: Int) {
        for (told, at) in heard where silentUntil - at <= ServiceWatch.staleMs + widenedMs {
            heard[told] = max(at, own - ServiceWatch.staleMs / 2)
        }
    }

    /// The own time at which the next service becomes stale.
    func nextLook(except own: String, widenedMs: Int, after now: Int) -> Int? {
        let alerting = Set(alerts.keys.map(\.name))
        var looks: [Int] = []
        for (key, record) in records where key.name != own && record.state == .up {
            let told = ServiceWatch.publicName(key, record)
            if let heard = heard[told] { looks.append(heard + ServiceWatch.staleMs + widenedMs + 1) }
            if alerting.contains(key.name), let first = starts[told]?.first {
                looks.append(first + ServiceWatch.restarts.withinMs + 1)
            }
        }
        return looks.filter { $0 > now }.min()
    }

    /// Whether what is thought of a service depends on the workspace.
    private func hasCells(_ name: String) -> Bool {
        records.contains { $0.key.name == name && !$0.value.workspaces.isEmpty }
    }

    /// What is wrong with a service in a workspace; `nil`: one instance that serves it is well, or none ever did.
    private func trouble(_ view: ServiceView, silentUntil: Int, widenedMs: Int) -> (Severity, String)? {
        let name = view.name
        let serving = records.filter { $0.key.name == name && $0.value.serves(view.workspace) }
        guard !serving.isEmpty else { return nil }
        let up = serving.filter { $0.value.state == .up }.sorted { $0.key < $1.key }
        guard !up.isEmpty else {
            let isStopped = serving.values.contains { $0.reason == "stopped" }
            return isStopped ? (.warning, "\(name) was stopped") : (.critical, "\(name) is down")
        }
        let told = up.map { ServiceWatch.publicName($0.key, $0.value) }
        let silent = told.filter { heard[$0].map { silentUntil - $0 > ServiceWatch.staleMs + widenedMs } ?? false }
        if silent.count == told.count { return (.critical, "\(name) sends no metrics any more") }
        guard told.contains(where: { isRestless($0, own: silentUntil) }) else { return nil }
        return (.warning, "\(name) was started \(ServiceWatch.restarts.count) times in 10 min")
    }

    /// Judges a service in all workspaces; returns those in which there is something new to tell.
    mutating func judge(
        _ name: String, in workspaces: [String], silentUntil: Int, widenedMs: Int, now: WallTime
    ) -> [String] {
        let differs = hasCells(name)
        var common: (Severity, String)?
        if !differs, let first = workspaces.first {
            common = trouble(ServiceView(name: name, workspace: first), silentUntil: silentUntil, widenedMs: widenedMs)
        }
        return workspaces.filter { workspace in
            let view = ServiceView(name: name, workspace: workspace)
            let before = alerts[view]
            let found = differs ? trouble(view, silentUntil: silentUntil, widenedMs: widenedMs) : common
            if found == nil, before == nil { return false }
            alerts[view] = found.map { Alert(severity: $0.0, since: before?.since ?? now, text: $0.1) }
            return alerts[view] != before
        }
    }
}
