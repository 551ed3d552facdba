import Contract
public import TimeModel
import Wire

/// Hours in which the checks of executors run; outside they rest (`topics/checks.md`, rest).
public struct RestHours: Hashable, Sendable {
    /// The executor, or `*` for those that have no hours of their own.
    public var agent: String
    /// Hours of the day; `nil`: all.
    public var hours: ActiveHours?
    /// Days of the week; `nil`: all.
    public var weekdays: WeekdaySet?
    /// The zone of both.
    public var timezone = "UTC"

    /// Reads one element of the configuration's list; `nil` when it is none.
    init?(_ value: JSONValue) {
        guard let agent = value["agent_id"]?.stringValue, agent == "*" || Names.isName(agent) else { return nil }
        self.agent = agent
        if let given = value["active_hours"] {
            guard let start = given["start"]?.stringValue, let end = given["end"]?.stringValue,
                let hours = ActiveHours(start: start, end: end)
            else { return nil }
            self.hours = hours
            timezone = given["timezone"]?.stringValue ?? timezone
        }
        if case .array(let days) = value["days_of_week"] {
            guard let weekdays = WeekdaySet(days.compactMap(\.stringValue)) else { return nil }
            self.weekdays = weekdays
        }
    }

    func contains(_ instant: WallTime, _ zones: ZoneCatalog) -> Bool {
        let window = LocalWindow(hours: hours, weekdays: weekdays, zone: zones.zone(named: timezone) ?? .utc)
        return window.hasWeekday(at: instant) && window.hasHour(at: instant)
    }
}

extension EngineSettings {
    /// Whether the checks of an executor rest at an instant: it has hours, its own or those of all, and none is now.
    public func isAtRest(_ agent: String, at instant: WallTime) -> Bool {
        let own = rest.filter { $0.agent == agent }
        let rules = own.isEmpty ? rest.filter { $0.agent == "*" } : own
        return !rules.isEmpty && !rules.contains { $0.contains(instant, zones) }
    }
}
