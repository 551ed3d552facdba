public import Timing
import TimeModel
import Wire

/// What a heartbeat is told from outside.
public struct HeartbeatSettings: Hashable, Sendable {
    /// What the engine of its checks is told.
    public var engine: EngineSettings
    /// Below this percentage a battery makes its executor `degraded`, 0 to 100.
    public var lowBattery = 10

    /// The defaults.
    public init() { engine = EngineSettings(role: .heartbeat) }

    /// Takes the values of the section `heartbeat` of a configuration that was checked before.
    public mutating func apply(_ configuration: [UInt8]) {
        guard let raw = try? RawJSON(validating: configuration) else { return }
        let value = JSONValue(raw)
        engine.apply(value["configuration"] ?? value)
        if let number = (value["configuration"] ?? value)["heartbeat"]?["low_battery"]?.intValue { lowBattery = number }
    }

    /// When checks rest.
    var rest: [RestHours] { engine.rest }

    /// Whether an executor's checks rest at an instant.
    func isAtRest(_ agent: String, at instant: WallTime) -> Bool { engine.isAtRest(agent, at: instant) }
}
