public import Contract
public import TimeModel
public import Wire

/// What a scheduler, or a heartbeat of its checks, is told from outside.
public struct EngineSettings: Hashable, Sendable {
    /// For whom the engine decides.
    public let role: EngineRole
    /// Its account: the principal of its intents.
    public var principal: String
    /// The last level of its service record.
    public var instance: String
    /// Workspaces that are served; empty: all.
    public var workspaces: [String] = []
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
    public var schedulesPerAgent: Int
    /// Schedules, or checks, of one workspace; 0: no limit.
    public var schedulesPerWorkspace: Int
    /// The interval of a check that gives no rule, in ms.
    public var standardEveryMs = Limits.checkEveryMs
    /// When checks run; outside they rest.
    public var rest: [RestHours] = []
    /// Actions of every check, before its own.
    public var defaultActions: [CheckAction] = []
    /// With an empty journal: take over the retained views.
    public var adopts = false
    /// The zones that schedules may name.
    public var zones = ZoneCatalog()

    /// The defaults.
    public init(role: EngineRole = .scheduler) {
        self.role = role
        principal = role.service
        instance = role.service
        schedulesPerAgent = role == .scheduler ? Limits.schedulesPerAgent : 0
        schedulesPerWorkspace = role == .scheduler ? Limits.schedulesPerWorkspace : Limits.checksPerWorkspace
    }

    /// Takes the values of the service's section of a configuration that was checked before.
    public mutating func apply(_ configuration: [UInt8]) {
        if let raw = try? RawJSON(validating: configuration) { apply(JSONValue(raw)) }
    }

    /// Takes the values of a configuration that was read before.
    public mutating func apply(_ configuration: JSONValue) {
        guard let section = configuration[role.service] else { return }
        if let word = section["environment"]?.stringValue { environment = word }
        if case .array(let list) = section["operators"] { operators = list.compactMap(\.stringValue) }
        if case .bool(let flag) = section["enabled"] { isEnabled = flag }
        if let number = section["shortest_interval_ms"]?.intValue { shortestIntervalMs = number }
        if let number = section["schedules_per_agent"]?.intValue { schedulesPerAgent = number }
        if let number = section["schedules_per_workspace"]?.intValue { schedulesPerWorkspace = number }
        if role == .heartbeat { applyCheckKeys(section) }
    }

    private mutating func applyCheckKeys(_ section: JSONValue) {
        if let number = section["checks_per_workspace"]?.intValue { schedulesPerWorkspace = number }
        if let number = section["default_every_ms"]?.intValue { standardEveryMs = number }
        if case .array(let list) = section["rest"] { rest = list.compactMap(RestHours.init) }
        if let list = section["default_actions"] { defaultActions = ScheduleReader.actions(list) }
    }

    /// Reads a document of the role's kind.
    func reader(_ raw: RawJSON, shortestIntervalMs: Int) -> ScheduleReader {
        ScheduleReader(
            raw, shortestIntervalMs: shortestIntervalMs, standardEveryMs: role == .heartbeat ? standardEveryMs : nil)
    }

    /// Works out definitions of the role's kind.
    func compiler(_ id: String) -> DefinitionCompiler {
        DefinitionCompiler(id: id, zones: zones, firstSlot: role.firstSlot)
    }

    /// Its name among the cells of the service; `nil` where it is the only one.
    public var cell: String? { workspaces.isEmpty ? nil : instance }

    /// Makes it a cell that serves these workspaces alone, under a name that no other instance has.
    public mutating func serve(_ list: [String], as name: String) {
        workspaces = list
        if !list.isEmpty { instance = name }
    }

    /// Whether a principal may change every schedule.
    func isOperator(_ principal: String) -> Bool { operators.contains(principal) || operators.contains("*") }
}

/// What a service gets when everything is read again: its configuration and the zone data of now.
public struct EngineReload: Sendable {
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
                $0.field("files") {
                    for file in files { $0.field(named: file.name) { $0.value(hexadecimal(file.bytes)) } }
                }
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
        for file in files { try? catalog.add(file.key, tzif: EngineReload.bytes(file.value.stringValue ?? "")) }
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
