public import TimeModel
public import Wire

/// Reads a schedule's document in any of its spellings and collects what is wrong with it, instead of stopping at the
/// first fault. What needs a clock, a zone or other schedules is judged elsewhere.
public struct ScheduleReader: Sendable {
    /// What was found wrong so far.
    public private(set) var problems: [ScheduleProblem] = []
    /// The document, as far as it could be read.
    public private(set) var document = ScheduleDocument()
    /// `if_rev`, which `put` takes beside the document.
    public private(set) var ifRevision: Int?
    /// `from`, which `preview` takes beside the document.
    public private(set) var from: WallTime?
    /// `count`, which `preview` takes beside the document.
    public private(set) var count: Int?
    /// Whether `schema_version` is one that is not supported.
    public private(set) var isUnsupported = false
    private let shortestIntervalMs: Int
    /// For checks: the interval of a document without rule.
    private let standardEveryMs: Int?

    /// Reads the fields of one JSON object: of a schedule, or, with `standardEveryMs`, of a check.
    public init(_ raw: RawJSON, shortestIntervalMs: Int = Limits.shortestIntervalMs, standardEveryMs: Int? = nil) {
        self.shortestIntervalMs = shortestIntervalMs
        self.standardEveryMs = standardEveryMs
        let top = fields(JSONValue(raw), at: "", aliases: [:])
        if let version = top["schema_version"], version.intValue != 1 { isUnsupported = true }
        ifRevision = integer(top, "if_rev", 0...JSONLimits.largestInteger)
        from = instant(top, "from", .invalidField)
        count = integer(top, "count", 1...100)
        for key in ["exclude", "overlap"] where top[key] != nil { fault(top, key, .invalidField, "is reserved") }
        readRule(top)
        readTarget(top)
        readPolicy(object(top, "policy"))
        readConditions(object(top, "conditions", aliases: ["custom_condition": "custom"]))
        readBounds(object(top, "bounds"))
        readWork(top)
        readNotifications(top)
        if standardEveryMs != nil { document.check = readCheck(top) }
        if let enabled = boolean(top, "enabled") { document.enabled = enabled }
        document.note = text(top, "note", limit: Limits.scheduleNote)
    }

    /// Adds a fault that was found elsewhere.
    public mutating func add(_ problem: ScheduleProblem) { problems.append(problem) }

    // Rule, target.

    private mutating func readRule(_ top: ScheduleFields) {
        if let standardEveryMs, top["type"] == nil, top["spec"] == nil, top["schedule"] == nil {
            document.type = .interval
            document.spec.everyMs = standardEveryMs
            return
        }
        let aliases = [
            "interval_ms": "every_ms", "expression": "expr", "cron": "expr", "tz": "timezone", "timestamp": "run_at",
            "at": "run_at",
        ]
        var spec: ScheduleFields
        var word = top["type"]
        if let combined = top["schedule"] {
            spec = fields(combined, at: "schedule", aliases: aliases)
            word = same(word, spec["type"], "type") ?? word
            if top["spec"] != nil { fault(top, "schedule", .invalidField, "stands for type and spec") }
        } else {
            spec = object(top, "spec", code: .invalidSpec, aliases: aliases)
        }
        guard let name = word?.stringValue, let type = ScheduleType(word: name) else {
            return problems.append(
                ScheduleProblem("type", .invalidSpec, "must be one of cron, interval, one-shot"))
        }
        document.type = type
        if spec["mode"] != nil { fault(spec, "mode", .invalidField, "is reserved") }
        let own: [String: [String]] = [
            "cron": ["expr", "dst_gap", "dst_overlap"], "interval": ["every_ms", "start_at"], "one-shot": ["run_at"],
        ]
        for (other, keys) in own.sorted(by: { $0.key < $1.key }) where other != type.rawValue {
            for key in keys where spec[key] != nil {
                fault(spec, key, .invalidSpec, "belongs to type \(other), not to \(type.rawValue)")
            }
        }
        document.spec.timezone = text(spec, "timezone", limit: Names.limit, code: .invalidSpec)
        switch type {
        case .cron: readCron(spec)
        case .interval: readInterval(spec)
        case .oneShot: readOneShot(spec)
        }
    }

    private mutating func readCron(_ spec: ScheduleFields) {
        guard let value = spec["expr"] else { return fault(spec, "expr", .invalidSpec, "is needed") }
        guard let expression = value.stringValue else { return fault(spec, "expr", .invalidSpec, "must be a text") }
        document.spec.expression = expression
        document.spec.gap = text(spec, "dst_gap", limit: 16, code: .invalidSpec)
        document.spec.overlap = text(spec, "dst_overlap", limit: 16, code: .invalidSpec)
    }

    private mutating func readInterval(_ spec: ScheduleFields) {
        guard spec["every_ms"] != nil else { return fault(spec, "every_ms", .invalidSpec, "is needed") }
        let range = shortestIntervalMs...Limits.longestIntervalMs
        document.spec.everyMs = integer(spec, "every_ms", range, code: .invalidSpec)
        document.spec.startAt = instant(spec, "start_at", .invalidSpec)
    }

    private mutating func readOneShot(_ spec: ScheduleFields) {
        guard let value = spec["run_at"] else { return fault(spec, "run_at", .invalidSpec, "is needed") }
        if let text = value.stringValue, let time = TimeText(text.utf8), time.offset == nil {
            document.spec.runAt = .local(time.local, millisecond: time.millisecond)
        } else if let time = instant(spec, "run_at", .invalidSpec) {
            document.spec.runAt = .instant(time)
        }
    }

    private mutating func readTarget(_ top: ScheduleFields) {
        let target = object(
            top, "target", code: .missingTarget,
            aliases: ["tenant_id": "workspace_id", "assistant_id": "agent_id"])
        if target["session_id"] != nil {
            fault(target, "session_id", .invalidSpec, "a session is no identity; it belongs into work.context")
        }
        document.workspace = identity(target, "workspace_id")
        document.agent = identity(target, "agent_id")
    }

    private mutating func identity(_ target: ScheduleFields, _ key: String) -> String {
        guard let text = target[key]?.stringValue, !text.isEmpty else {
            fault(target, key, .missingTarget, "is needed")
            return ""
        }
        if !Names.isName(text), key != "agent_id" || text != ScheduleDocument.anyAgent {
            fault(target, key, .invalidField, "is not a name")
        }
        return text
    }

    // Policy, bounds, conditions.

    private mutating func readPolicy(_ policy: ScheduleFields) {
        if policy["overlap"] != nil { fault(policy, "overlap", .invalidField, "is reserved") }
        let day = 86_400_000
        var found = SchedulePolicy()
        if let word = policy["misfire"] {
            if let misfire = word.stringValue.flatMap(MisfirePolicy.init(rawValue:)) {
                found.misfire = misfire
            } else {
                fault(policy, "misfire", .invalidMisfirePolicy, "must be one of skip, defer_once")
            }
        }
        if found.misfire == .deferOnce, document.type == .oneShot {
            fault(policy, "misfire", .invalidMisfirePolicy, "a one-shot is never deferred")
        }
        found.graceMs = integer(policy, "misfire_grace_ms", 1000...day) ?? found.graceMs
        found.deferMaxAgeMs = integer(policy, "defer_max_age_ms", 0...Limits.longestMs) ?? 0
        found.maxConcurrentRuns = integer(policy, "max_concurrent_runs", 1...1000) ?? 1
        found.cooldownMs = integer(policy, "cooldown_ms", 0...Limits.longestMs) ?? 0
        found.limitPerDay = integer(policy, "limit_per_day", 0...1_000_000) ?? 0
        found.disableAfter = integer(policy, "disable_after", 0...1_000_000) ?? 0
        found.jitterMs = integer(policy, "jitter_ms", 0...day) ?? 0
        found.keepMs = integer(policy, "keep_ms", 0...Limits.longestMs) ?? found.keepMs
        document.policy = found
    }

    private mutating func readBounds(_ bounds: ScheduleFields) {
        document.bounds.notBefore = instant(bounds, "not_before", .invalidSpec)
        document.bounds.notAfter = instant(bounds, "not_after", .invalidSpec)
        document.bounds.maxRuns = integer(bounds, "max_runs", 1...1_000_000_000, code: .invalidSpec)
        if let from = document.bounds.notBefore, let to = document.bounds.notAfter, from > to {
            fault(bounds, "not_after", .invalidSpec, "lies before not_before")
        }
    }

    private mutating func readConditions(_ conditions: ScheduleFields) {
        let code = Code.invalidCondition
        if conditions["days_of_week"] != nil {
            document.conditions.daysOfWeek = texts(conditions, "days_of_week", limit: 3, count: 7, code: code)
        }
        if let value = conditions["active_hours"] {
            let hours = fields(value, at: conditions.path("active_hours"), aliases: ["tz": "timezone"], code: code)
            if let start = hours["start"]?.stringValue, let end = hours["end"]?.stringValue {
                let timezone = text(hours, "timezone", limit: Names.limit, code: code)
                document.conditions.activeHours = ScheduleHours(start: start, end: end, timezone: timezone)
            } else {
                fault(conditions, "active_hours", code, "needs start and end")
            }
        }
        if conditions["environment"] != nil {
            let names = texts(conditions, "environment", limit: Names.limit, count: 16, code: code)
            document.conditions.environment = names
            if names?.isEmpty == true { fault(conditions, "environment", code, "is empty") }
        }
        document.conditions.sessionActive = boolean(conditions, "session_active", code: code)
        if document.conditions.sessionActive != nil, document.isForAny {
            fault(conditions, "session_active", code, "cannot be asked of @any")
        }
        document.conditions.custom = text(conditions, "custom", limit: 512, code: code)
    }

    // Work, notifications.

    private mutating func readWork(_ top: ScheduleFields) {
        var work = object(top, "work", aliases: ["skill_id": "capability", "action_id": "action"])
        var retry = fields(work["retry"] ?? .object([]), at: "work.retry", aliases: [:])
        let outer = [("skill_id", "capability"), ("action_id", "action"), ("timeout_ms", "timeout_ms")]
        for (key, name) in outer { work[name] = same(work[name], top[key], "work.\(name)") }
        for (key, name) in [("retry_count", "count"), ("retry_delay_ms", "delay_ms")] {
            retry[name] = same(retry[name], top[key], "work.retry.\(name)")
        }
        if let value = work["capability"] {
            if let name = value.stringValue, Names.isName(name) {
                document.work.capability = name
            } else {
                fault(work, "capability", .invalidField, "is not a name")
            }
        }
        var intent: [JSONValue.Field] = []
        for key in [
            "action", "priority", "timeout_ms", "deadline_ms", "requires", "mode", "max_cost", "delivery",
            "keep_ms",
        ] {
            if let value = work[key] { intent.append(.init(key, value)) }
        }
        for (key, inner) in [
            ("retry", retry), ("context", fields(work["context"] ?? .object([]), at: "work.context", aliases: [:])),
        ] {
            if !inner.isEmpty { intent.append(.init(key, inner.value)) }
        }
        do {
            document.work.intent = try Intent(RawJSON { JSONValue.object(intent).write(to: &$0) })
        } catch {
            problems.append(ScheduleProblem("work.\(error.path)", .invalidField, error.reason))
        }
        document.work.intent.input = work["input"].map { value in RawJSON { value.write(to: &$0) } }
    }

    private mutating func readNotifications(_ top: ScheduleFields) {
        let inner = object(top, "notifications")
        for key in ["on_success", "on_failure", "on_skip"] {
            guard let value = same(inner[key], top[key], "notifications.\(key)") else { continue }
            let path = "notifications.\(key)"
            let elements: [JSONValue]
            if case .array(let list) = value { elements = list } else { elements = [value] }
            if elements.count > Limits.notifications {
                problems.append(ScheduleProblem(path, .invalidField, "more than \(Limits.notifications)"))
            }
            let list = elements.prefix(Limits.notifications).map { notification($0, path) }
            switch key {
            case "on_success": document.notifications.onSuccess = list
            case "on_failure": document.notifications.onFailure = list
            default: document.notifications.onSkip = list
            }
        }
    }

    private mutating func notification(_ value: JSONValue, _ path: String) -> ScheduleNotification {
        let given = fields(value, at: path, aliases: ["type": "channel"])
        var notification = ScheduleNotification(channel: .memory, config: nil)
        if let word = given["channel"] {
            if let channel = word.stringValue.flatMap(NotificationChannel.init(rawValue:)) {
                notification.channel = channel
            } else {
                fault(given, "channel", .invalidField, "must be one of memory, log, webhook")
            }
        }
        if let config = given["config"] {
            if case .object = config {
                notification.config = RawJSON { config.write(to: &$0) }
            } else {
                fault(given, "config", .invalidField, "must be an object")
            }
        }
        return notification
    }
}

/// The fields of one object under their canonical names; null counts as absent.
struct ScheduleFields {
    var place: String
    var list: [JSONValue.Field] = []

    var isEmpty: Bool { list.isEmpty }
    var value: JSONValue { .object(list) }

    subscript(key: String) -> JSONValue? {
        get { list.first { $0.key == key }?.value }
        set {
            list.removeAll { $0.key == key }
            if let newValue { list.append(.init(key, newValue)) }
        }
    }

    func path(_ key: String) -> String { place.isEmpty ? key : "\(place).\(key)" }
}

extension ScheduleReader {
    mutating func fault(_ fields: ScheduleFields, _ key: String, _ code: Code, _ why: String) {
        problems.append(ScheduleProblem(fields.path(key), code, why))
    }

    /// Takes an object apart: camelCase becomes snake_case, other names become the canonical ones. A name that is given
    /// twice must have one value.
    mutating func fields(
        _ value: JSONValue, at place: String, aliases: [String: String], code: Code = .invalidField
    ) -> ScheduleFields {
        var found = ScheduleFields(place: place)
        guard case .object(let list) = value else {
            problems.append(ScheduleProblem(place, code, "must be an object"))
            return found
        }
        for field in list where field.value != .null {
            let snake = ScheduleReader.snakeCase(field.key)
            let name = aliases[snake] ?? snake
            if let other = found[name] {
                if other != field.value { fault(found, name, .invalidField, "is given twice with different values") }
            } else {
                found.list.append(.init(name, field.value))
            }
        }
        return found
    }

    mutating func object(
        _ outer: ScheduleFields, _ key: String, code: Code = .invalidField, aliases: [String: String] = [:]
    ) -> ScheduleFields {
        guard let value = outer[key] else { return ScheduleFields(place: outer.path(key)) }
        return fields(value, at: outer.path(key), aliases: aliases, code: code)
    }

    /// One value that may stand at two places.
    private mutating func same(_ one: JSONValue?, _ other: JSONValue?, _ path: String) -> JSONValue? {
        if let one, let other, one != other {
            problems.append(ScheduleProblem(path, .invalidField, "is given twice with different values"))
        }
        return one ?? other
    }

    mutating func integer(
        _ fields: ScheduleFields, _ key: String, _ range: ClosedRange<Int>, code: Code = .invalidField
    ) -> Int? {
        guard let value = fields[key] else { return nil }
        guard let number = value.intValue, range.contains(number) else {
            fault(fields, key, code, "must be an integer from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    mutating func boolean(_ fields: ScheduleFields, _ key: String, code: Code = .invalidField) -> Bool? {
        guard let value = fields[key] else { return nil }
        guard case .bool(let flag) = value else {
            fault(fields, key, code, "must be true or false")
            return nil
        }
        return flag
    }

    mutating func text(
        _ fields: ScheduleFields, _ key: String, limit: Int, code: Code = .invalidField
    ) -> String? {
        guard let value = fields[key] else { return nil }
        guard let text = value.stringValue, text.utf8.count <= limit else {
            fault(fields, key, code, "must be a text of at most \(limit) bytes")
            return nil
        }
        return text
    }

    private mutating func texts(
        _ fields: ScheduleFields, _ key: String, limit: Int, count: Int, code: Code
    ) -> [String]? {
        guard case .array(let list) = fields[key] else {
            fault(fields, key, code, "must be a list of texts")
            return nil
        }
        let texts = list.compactMap(\.stringValue).filter { $0.utf8.count <= limit }
        guard texts.count == list.count, list.count <= count else {
            fault(fields, key, code, "must be a list of at most \(count) texts of at most \(limit) bytes")
            return nil
        }
        return texts
    }

    /// RFC 3339 with an offset, or whole ms since 1970; smaller numbers are seconds by mistake.
    private mutating func instant(_ fields: ScheduleFields, _ key: String, _ code: Code) -> WallTime? {
        guard let value = fields[key] else { return nil }
        if let text = value.stringValue, let time = WallTime(rfc3339: text) { return time }
        if let number = value.intValue, number >= 100_000_000_000,
            number <= WallTime.latestText.milliseconds
        {
            return WallTime(milliseconds: number)
        }
        let isSeconds = value.intValue.map { $0 < 100_000_000_000 } ?? false
        fault(fields, key, code, isSeconds ? "is in seconds; milliseconds are needed" : "is not a time with an offset")
        return nil
    }

    private static func snakeCase(_ key: String) -> String {
        guard key.utf8.contains(where: { $0 >= 0x41 && $0 <= 0x5A }) else { return key }
        var bytes: [UInt8] = []
        for byte in key.utf8 {
            if byte >= 0x41, byte <= 0x5A {
                if !bytes.isEmpty { bytes.append(0x5F) }
                bytes.append(byte + 0x20)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
