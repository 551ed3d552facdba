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

/// What is known of the services themselves: their records, and their metrics as signs of life.
struct ServiceWatch: Hashable, Sendable {
    private var records: [ServiceKey: ServiceRecord] = [:]
    /// Own time of the last metrics of each name.
    private var heard: [String: Int] = [:]
    /// Own times at which each name came up in another process.
    private var starts: [String: [Int]] = [:]
    /// Services that are not up, or do not stay up, as told.
    private(set) var alerts: [String: Alert] = [:]

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

    mutating func take(_ name: String, _ instance: String, _ payload: [UInt8], own: Int, now: WallTime) {
        let key = ServiceKey(name: name, instance: instance)
        guard let record = payload.isEmpty ? nil : try? ServiceRecord(decoding: payload) else {
            records[key] = nil
            return
        }
        guard records[key] != nil || records.count < ServiceWatch.limit else { return }
        if let before = records[key], before.boot != record.boot {
            if heard[name] != nil { heard[name] = own }
            starts[name, default: []].append(own)
            if starts[name, default: []].count > ServiceWatch.restarts.count { starts[name]?.removeFirst() }
        }
        records[key] = record
    }

    /// Whether a service was started anew too often; `true` until the first of these starts is long enough ago.
    private func isRestless(_ name: String, own: Int) -> Bool {
        guard let times = starts[name], times.count == ServiceWatch.restarts.count, let first = times.first else {
            return false
        }
        return own - first <= ServiceWatch.restarts.withinMs
    }

    /// Only who has sent metrics is missed when they stop.
    mutating func takeMetrics(_ name: String, isReplay: Bool, own: Int) {
        guard heard[name] != nil || heard.count < ServiceWatch.limit else { return }
        if isReplay, heard[name] != nil { return }
        heard[name] = own
    }

    /// The own time at which the next service becomes stale.
    func nextLook(except own: String, widenedMs: Int, after now: Int) -> Int? {
        var looks: [Int] = []
        for name in names where name != own && isUp(name) {
            if alerts[name] == nil, let heard = heard[name] {
                looks.append(heard + ServiceWatch.staleMs + widenedMs + 1)
            }
            if alerts[name] != nil, let first = starts[name]?.first {
                looks.append(first + ServiceWatch.restarts.withinMs + 1)
            }
        }
        return looks.filter { $0 > now }.min()
    }

    private func isUp(_ name: String) -> Bool { records.contains { $0.key.name == name && $0.value.state == .up } }

    /// What is wrong with a service; `nil`: it is up.
    func trouble(_ name: String, silentUntil: Int, widenedMs: Int) -> (Severity, String)? {
        if isUp(name) {
            if let heard = heard[name], silentUntil - heard > ServiceWatch.staleMs + widenedMs {
                return (.critical, "\(name) sends no metrics any more")
            }
            guard isRestless(name, own: silentUntil) else { return nil }
            return (.warning, "\(name) was started \(ServiceWatch.restarts.count) times in 10 min")
        }
        let down = records.keys.sorted().filter { $0.name == name }.compactMap { records[$0] }
        let isStopped = down.contains { $0.reason == "stopped" }
        return isStopped ? (.warning, "\(name) was stopped") : (.critical, "\(name) is down")
    }

    /// Judges a service; `true` when there is something new to tell.
    mutating func judge(_ name: String, silentUntil: Int, widenedMs: Int, now: WallTime) -> Bool {
        let before = alerts[name]
        if names.contains(name), let (severity, text) = trouble(name, silentUntil: silentUntil, widenedMs: widenedMs) {
            alerts[name] = Alert(severity: severity, since: before?.since ?? now, text: text)
        } else {
            alerts[name] = nil
        }
        return alerts[name] != before
    }
}
