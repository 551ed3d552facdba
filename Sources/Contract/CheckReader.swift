public import Wire

/// The fields that a check's document has beyond a schedule's.
extension ScheduleReader {
    mutating func readCheck(_ top: ScheduleFields) -> CheckRules {
        var rules = CheckRules()
        let results = 1...Limits.checkResults
        rules.failAfter = integer(top, "fail_after", results) ?? 1
        rules.recoverAfter = integer(top, "recover_after", results) ?? 1
        rules.speaksForTarget = boolean(top, "liveness") ?? false
        if rules.speaksForTarget, document.isForAny { fault(top, "liveness", .invalidField, "cannot be told of @any") }
        rules.thresholds = list(top, "thresholds", Limits.checkThresholds).compactMap { threshold($0.value, $0.path) }
        rules.actions = list(top, "actions", Limits.checkActions).compactMap { action($0.value, $0.path) }
        return rules
    }

    /// The actions of a configuration, read as those of a document.
    public static func actions(_ value: JSONValue) -> [CheckAction] {
        var reader = ScheduleReader(.emptyObject)
        let fields = ScheduleFields(place: "", list: [.init("actions", value)])
        return reader.list(fields, "actions", Limits.checkActions).compactMap { reader.action($0.value, $0.path) }
    }

    private mutating func list(
        _ top: ScheduleFields, _ key: String, _ limit: Int
    ) -> [(value: JSONValue, path: String)] {
        guard let value = top[key] else { return [] }
        guard case .array(let list) = value, list.count <= limit else {
            fault(top, key, .invalidField, "must be a list of at most \(limit)")
            return []
        }
        return list.enumerated().map { ($0.element, "\(key).\($0.offset)") }
    }

    private mutating func threshold(_ value: JSONValue, _ place: String) -> CheckThreshold? {
        let given = fields(value, at: place, aliases: [:])
        guard let path = text(given, "path", limit: Limits.key), !path.isEmpty else {
            if given["path"] == nil { fault(given, "path", .invalidField, "is needed") }
            return nil
        }
        guard (given["above"] == nil) != (given["below"] == nil) else {
            fault(given, "above", .invalidField, "needs one of above, below")
            return nil
        }
        let isAbove = given["above"] != nil
        let limits = object(given, isAbove ? "above" : "below")
        var threshold = CheckThreshold(path: path, isAbove: isAbove)
        threshold.warning = number(limits, "warning")
        threshold.error = number(limits, "error")
        threshold.clearBy = number(given, "clear_by")
        if limits["warning"] == nil, limits["error"] == nil {
            fault(limits, "error", .invalidField, "needs one of warning, error")
        }
        if let clear = threshold.clearBy?.doubleValue, clear < 0 {
            fault(given, "clear_by", .invalidField, "must not be negative")
        }
        return threshold
    }

    private mutating func number(_ fields: ScheduleFields, _ key: String) -> JSONValue? {
        guard let value = fields[key] else { return nil }
        guard let number = value.doubleValue, number.isFinite else {
            fault(fields, key, .invalidField, "must be a number")
            return nil
        }
        return value
    }

    private mutating func word<Word: CaseIterable & RawRepresentable>(
        _ fields: ScheduleFields, _ key: String, _ type: Word.Type
    ) -> Word? where Word.RawValue == String {
        guard let value = fields[key] else { return nil }
        if let word = value.stringValue.flatMap(Word.init(rawValue:)) { return word }
        let words = type.allCases.map(\.rawValue).joined(separator: ", ")
        fault(fields, key, .invalidField, "must be one of \(words)")
        return nil
    }

    private mutating func action(_ value: JSONValue, _ place: String) -> CheckAction? {
        let given = fields(value, at: place, aliases: ["condition": "when", "action": "kind"])
        for key in ["when", "kind"] where given[key] == nil { fault(given, key, .invalidField, "is needed") }
        guard let when = word(given, "when", CheckActionWhen.self), let kind = word(given, "kind", CheckActionKind.self)
        else { return nil }
        var action = CheckAction(when, kind)
        action.repetition = word(given, "repeat", CheckActionRepeat.self) ?? .each
        let config = object(given, "config")
        judge(config, of: kind)
        if !config.isEmpty { action.config = RawJSON { config.value.write(to: &$0) } }
        return action
    }

    private mutating func judge(_ config: ScheduleFields, of kind: CheckActionKind) {
        switch kind {
        case .notify:
            _ = word(config, "channel", NotificationChannel.self)
            _ = text(config, "message", limit: Limits.checkMessage)
        case .remember:
            _ = integer(config, "importance", 0...100)
            _ = text(config, "category", limit: Names.limit)
            _ = text(config, "message", limit: Limits.checkMessage)
        case .execute:
            if config["capability"]?.stringValue.map(Names.isName) != true {
                fault(config, "capability", .invalidField, "must be a name")
            }
            _ = text(config, "action", limit: Limits.key)
        case .webhook: break
        }
    }
}
