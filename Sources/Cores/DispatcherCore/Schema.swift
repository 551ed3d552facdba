import Wire

/// A JSON Schema as far as it is looked at (`topics/tasks.md`, schemas): `type, properties, required, items, enum,
/// minimum, maximum, minLength, maxLength, additionalProperties`. Other keywords are passed over.
struct Schema: Hashable, Sendable {
    private let root: JSONValue

    /// The schema a card gives.
    init(_ raw: RawJSON) { root = JSONValue(raw) }

    /// The first thing that does not fit, as `place: expectation`; `nil` when all fits.
    func violation(in value: RawJSON) -> String? { Schema.violation(in: JSONValue(value), by: root, at: "") }

    private static func violation(in value: JSONValue, by schema: JSONValue, at path: String) -> String? {
        if case .bool(let allowed) = schema { return allowed ? nil : refusal(path, "nothing is allowed here") }
        if let types = schema["type"], !hasType(value, types) {
            return refusal(path, "expected \(typeNames(types).joined(separator: " or "))")
        }
        if case .array(let words)? = schema["enum"], !words.contains(where: { equal($0, value) }) {
            return refusal(path, "is not one of the values allowed")
        }
        switch value {
        case .number: return numberViolation(value, schema, path)
        case .string(let text): return textViolation(text, schema, path)
        case .array(let list): return listViolation(list, schema, path)
        case .object(let fields): return objectViolation(fields, schema, path)
        case .null, .bool: return nil
        }
    }

    private static func refusal(_ path: String, _ text: String) -> String { path.isEmpty ? text : "\(path): \(text)" }

    private static func typeNames(_ types: JSONValue) -> [String] {
        guard case .array(let list) = types else { return [types.stringValue ?? ""] }
        return list.compactMap(\.stringValue)
    }

    private static func hasType(_ value: JSONValue, _ types: JSONValue) -> Bool {
        typeNames(types).contains { name in
            switch (name, value) {
            case ("null", .null), ("boolean", .bool), ("number", .number), ("string", .string), ("array", .array),
                ("object", .object):
                true
            case ("integer", .number):
                isWhole(spelling(value))
            default: false
            }
        }
    }

    private static func numberViolation(_ value: JSONValue, _ schema: JSONValue, _ path: String) -> String? {
        if let bound = schema["minimum"], isLess(value, bound) {
            return refusal(path, "must be at least \(spelling(bound))")
        }
        if let bound = schema["maximum"], isLess(bound, value) {
            return refusal(path, "must be at most \(spelling(bound))")
        }
        return nil
    }

    private static func textViolation(_ text: String, _ schema: JSONValue, _ path: String) -> String? {
        let length = text.unicodeScalars.count
        if let least = schema["minLength"]?.intValue, length < least {
            return refusal(path, "must have at least \(least) characters")
        }
        if let most = schema["maxLength"]?.intValue, length > most {
            return refusal(path, "must have at most \(most) characters")
        }
        return nil
    }

    private static func listViolation(_ list: [JSONValue], _ schema: JSONValue, _ path: String) -> String? {
        guard let items = schema["items"] else { return nil }
        for (index, element) in list.enumerated() {
            if let found = violation(in: element, by: items, at: "\(path)[\(index)]") { return found }
        }
        return nil
    }

    private static func objectViolation(_ fields: [JSONValue.Field], _ schema: JSONValue, _ path: String) -> String? {
        if case .array(let required)? = schema["required"] {
            for name in required.compactMap(\.stringValue) where !fields.contains(where: { $0.key == name }) {
                return refusal(path, "'\(name)' is missing")
            }
        }
        for field in fields {
            let place = path.isEmpty ? field.key : "\(path).\(field.key)"
            guard let own = schema["properties"]?[field.key] ?? schema["additionalProperties"] else { continue }
            if let found = violation(in: field.value, by: own, at: place) { return found }
        }
        return nil
    }

    /// Whether two values are the same; numbers by their value.
    static func equal(_ a: JSONValue, _ b: JSONValue) -> Bool {
        switch (a, b) {
        case (.number, .number): return !isLess(a, b) && !isLess(b, a)
        case (.array(let x), .array(let y)): return x.count == y.count && zip(x, y).allSatisfy(equal)
        case (.object(let x), .object(let y)):
            return x.count == y.count && x.allSatisfy { field in b[field.key].map { equal(field.value, $0) } ?? false }
        default: return a == b
        }
    }

    /// Whether one number is less than another; false for other values.
    static func isLess(_ a: JSONValue, _ b: JSONValue) -> Bool {
        if let x = a.intValue, let y = b.intValue { return x < y }
        guard let x = a.doubleValue, let y = b.doubleValue else { return false }
        return x < y
    }

    /// Whether a number is whole, however it is spelled: `2`, `2.0`, `2e3`, `20e-1`.
    private static func isWhole(_ text: String) -> Bool {
        let halves = text.split(whereSeparator: { $0 == "e" || $0 == "E" })
        let exponent = halves.count > 1 ? Int(halves[1]) ?? 0 : 0
        let parts = (halves.first ?? "").split(separator: ".", omittingEmptySubsequences: false)
        let fraction = parts.count > 1 ? parts[1] : ""
        let digits = (parts.first ?? "").drop { $0 == "-" } + fraction
        let zeros = digits.reversed().prefix { $0 == "0" }.count
        return zeros == digits.count || fraction.count - exponent <= zeros
    }

    private static func spelling(_ value: JSONValue) -> String {
        guard case .number(let text) = value else { return "" }
        return text
    }
}
