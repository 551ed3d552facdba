import Contract
public import TimeModel
import Wire

/// What a scheduler is told from outside.
public struct SchedulerSettings: Hashable, Sendable {
    /// Its account: the principal of its intents.
    public var principal = "scheduler"
    /// The last level of its service record.
    public var instance = "scheduler"
    /// Random per process start.
    public var boot = ""
    /// The release.
    public var version = ""
    /// The word that `conditions.environment` is compared with.
    public var environment = "production"
    /// Principals that may change every schedule; `*` is everybody.
    public var operators: [String] = []
    /// False: nothing is triggered by time.
    public var isEnabled = true
    /// Shortest interval in ms.
    public var shortestIntervalMs = Limits.shortestIntervalMs
    /// Schedules of one named agent; 0: no limit.
    public var schedulesPerAgent = Limits.schedulesPerAgent
    /// Schedules of one workspace; 0: no limit.
    public var schedulesPerWorkspace = Limits.schedulesPerWorkspace
    /// With an empty journal: take over the retained views.
    public var adopts = false
    /// The zones that schedules may name.
    public var zones = ZoneCatalog()

    /// The defaults.
    public init() {}

    /// Takes the values of the section `scheduler` of a configuration that was checked before.
    public mutating func apply(_ configuration: [UInt8]) {
        guard let raw = try? RawJSON(validating: configuration), let section = JSONValue(raw)["scheduler"] else {
            return
        }
        if let word = section["environment"]?.stringValue { environment = word }
        if case .array(let list) = section["operators"] { operators = list.compactMap(\.stringValue) }
        if case .bool(let flag) = section["enabled"] { isEnabled = flag }
        if let number = section["shortest_interval_ms"]?.intValue { shortestIntervalMs = number }
        if let number = section["schedules_per_agent"]?.intValue { schedulesPerAgent = number }
        if let number = section["schedules_per_workspace"]?.intValue { schedulesPerWorkspace = number }
    }

    /// Whether a principal may change every schedule.
    func isOperator(_ principal: String) -> Bool { operators.contains(principal) || operators.contains("*") }
}
