import Contract
import Wire

/// What a monitor is told from outside.
public struct MonitorSettings: Hashable, Sendable {
    /// The last level of its service record, and its name in events and alerts.
    public var instance = "monitor"
    /// Random per process start.
    public var boot = ""
    /// The release.
    public var version = ""
    /// Principals that may read everything in their workspace; `*` is everybody. Others read what is their own.
    public var operators: [String] = []
    /// Between two records of one service's numbers, in ms; 0: none.
    public var metricsEveryMs = 60_000
    /// The span of rolling numbers, in ms.
    public var windowMs = 3_600_000
    /// Fewer thousandths of success of a capability within the window raise an alert; 0: never.
    public var successFloorPermille = 0
    /// So many results are needed before a capability is judged.
    public var successFloorCount = 20
    /// A longer p99 of a capability's runs within the window raises an alert, in ms; 0: never.
    public var runCeilingMs = 0
    /// A higher cost of a workspace within the window, wasted cost included, raises an alert; 0: never.
    public var costCeiling = 0
    /// Where the Prometheus text file is written; empty: nowhere.
    public var prometheusFile = ""
    /// Whether the Prometheus text file has a line for each executor.
    public var prometheusExecutors = false

    /// The defaults.
    public init() {}

    /// Takes the values of the section `monitor` of a configuration that was checked before.
    public mutating func apply(_ configuration: [UInt8]) {
        guard let raw = try? RawJSON(validating: configuration), let section = JSONValue(raw)["monitor"] else { return }
        if case .array(let list) = section["operators"] { operators = list.compactMap(\.stringValue) }
        if let number = section["metrics_every_ms"]?.intValue { metricsEveryMs = number }
        if let number = section["window_ms"]?.intValue { windowMs = number }
        if let number = section["success_floor_permille"]?.intValue { successFloorPermille = number }
        if let number = section["success_floor_count"]?.intValue { successFloorCount = number }
        if let number = section["run_ceiling_ms"]?.intValue { runCeilingMs = number }
        if let number = section["cost_ceiling"]?.intValue { costCeiling = number }
        if let text = section["prometheus_file"]?.stringValue { prometheusFile = text }
        if case .bool(let flag) = section["prometheus_executors"] { prometheusExecutors = flag }
    }

    /// Whether a principal may read everything in its workspace.
    func isOperator(_ principal: String) -> Bool { operators.contains(principal) || operators.contains("*") }
}
