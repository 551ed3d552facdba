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
        if let raw = try? RawJSON(validating: configuration) { apply(JSONValue(raw)) }
    }

    mutating func apply(_ configuration: JSONValue) {
        guard let section = configuration["scheduler"] else { return }
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

/// What a scheduler gets when everything is read again: its configuration and the zone data of now.
public struct SchedulerReload: Sendable {
    let configuration: JSONValue
    let zones: ZoneCatalog?

    /// Puts a configuration and zone files together for `ServiceInput.reload`.
    public static func encoded(
        configuration: [UInt8], version: String, files: [(name: String, bytes: [UInt8])]
    ) -> [UInt8] {
        var writer = JSONWriter(capacity: 1 << 20)
        writer.object {
            $0.field("configuration", try? RawJSON(validating: configuration))
            $0.field("tzdb") {
                $0.field("version", version)
                $0.field("files") { for file in files { $0.field(file.name, hexadecimal(file.bytes)) } }
            }
        }
        return writer.bytes
    }

    init?(_ text: [UInt8]) {
        guard let raw = try? RawJSON(validating: text) else { return nil }
        let value = JSONValue(raw)
        configuration = value["configuration"] ?? value
        guard let data = value["tzdb"], case .object(let files) = data["files"] else {
            zones = nil
            return
        }
        var catalog = ZoneCatalog(version: data["version"]?.stringValue ?? "unknown")
        for file in files { try? catalog.add(file.key, tzif: SchedulerReload.bytes(file.value.stringValue ?? "")) }
        zones = catalog
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func bytes(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count / 2)
        var high: UInt8?
        for byte in text.utf8 {
            let digit = byte >= 0x61 ? byte - 0x57 : byte &- 0x30
            if let first = high {
                bytes.append(first << 4 | digit & 15)
                high = nil
            } else {
                high = digit
            }
        }
        return bytes
    }
}
