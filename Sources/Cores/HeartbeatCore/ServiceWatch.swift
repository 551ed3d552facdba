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
    /// Services that are not up, as told.
    private(set) var alerts: [String: Alert] = [:]

    /// Metrics are due every 10 s; after this they are stale.
    static let staleMs = 30_000
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
        if records[key]?.boot != record.boot, heard[name] != nil { heard[name] = own }
        records[key] = record
    }

    /// Only who has sent metrics is missed when they stop.
    mutating func takeMetrics(_ name: String, isReplay: Bool, own: Int) {
        guard heard[name] != nil || heard.count < ServiceWatch.limit else { return }
        if isReplay, heard[name] != nil { return }
        heard[name] = own
    }

    /// The own time at which the next service becomes stale.
    func nextLook(except own: String, widenedMs: Int) -> Int? {
        let looks = names.filter { $0 != own && isUp($0) && alerts[$0] == nil }.compactMap { heard[$0] }
        return looks.min().map { $0 + ServiceWatch.staleMs + widenedMs + 1 }
    }

    private func isUp(_ name: String) -> Bool { records.contains { $0.key.name == name && $0.value.state == .up } }

    /// What is wrong with a service; `nil`: it is up.
    func trouble(_ name: String, silentUntil: Int, widenedMs: Int) -> (Severity, String)? {
        if isUp(name) {
            guard let heard = heard[name], silentUntil - heard > ServiceWatch.staleMs + widenedMs else { return nil }
            return (.critical, "\(name) sends no metrics any more")
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
