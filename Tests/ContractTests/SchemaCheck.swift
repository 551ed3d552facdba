import Wire

/// Holds values to the schemas of `topics/schemas`: the words of JSON Schema that these use, and no others.
struct SchemaCheck {
    /// The schema files, by name.
    let files: [String: JSONValue]
    /// Each property that was met, as `file#/pointer`.
    private(set) var met: Set<String> = []

    init() throws {
        var files: [String: JSONValue] = [:]
        for name in try Pages.names(in: "schemas") { files[name] = try Pages.json("schemas/\(name)") }
        self.files = files
    }

    /// A schema and where it stands.
    struct Place {
        var file: String
        var pointer: String
        var schema: JSONValue

        func child(_ step: String, _ schema: JSONValue) -> Place {
            Place(file: file, pointer: pointer + "/" + step, schema: schema)
        }
    }

    func root(_ file: String) -> Place? { files[file].map { Place(file: file, pointer: "", schema: $0) } }

    /// What a `$ref` that stands in `file` points to.
    func resolve(_ reference: String, from file: String) -> Place? {
        let parts = reference.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let target = parts[0].isEmpty ? file : parts[0]
        let pointer = parts.count > 1 ? parts[1] : ""
        guard let schema = files[target]?.at(pointer: pointer) else { return nil }
        return Place(file: target, pointer: pointer, schema: schema)
    }

    /// The first way in which `value` breaks the schema, or `nil`.
    mutating func fault(of value: JSONValue, in place: Place) -> String? {
        if case .bool(let allowed) = place.schema { return allowed ? nil : "nothing is allowed at \(place.pointer)" }
        for field in place.schema.fields {
            if let fault = fault(of: value, word: field.key, argument: field.value, in: place) {
                return "\(place.file)#\(place.pointer)/\(field.key): \(fault)"
            }
        }
        return nil
    }

    private mutating func fault(of value: JSONValue, word: String, argument: JSONValue, in place: Place) -> String? {
        switch word {
        case "$schema", "$defs", "title", "description", "default", "then": return nil
        case "$ref":
            guard let text = argument.stringValue, let target = resolve(text, from: place.file) else {
                return "dangling"
            }
            return fault(of: value, in: target)
        case "allOf", "anyOf", "not", "if": return combinationFault(of: value, word, argument, place)
        case "type": return value.isOf(type: argument.stringValue ?? "") ? nil : "not of this type"
        case "enum": return argument.elements.contains(value) ? nil : "not in the list"
        case "const": return argument == value ? nil : "another value"
        default:
            switch value {
            case .number: return numberFault(value.intValue, word, argument)
            case .string(let text): return SchemaCheck.textFault(text, word, argument)
            case .array(let list): return listFault(list, word, argument, place)
            case .object: return objectFault(value, word, argument, place)
            case .null, .bool: return SchemaCheck.isKnown(word) ? nil : "unknown word \(word)"
            }
        }
    }

    private mutating func combinationFault(
        of value: JSONValue, _ word: String, _ argument: JSONValue, _ place: Place
    ) -> String? {
        var faults: [String] = []
        for (index, schema) in argument.elements.enumerated() {
            if let fault = fault(of: value, in: place.child("\(word)/\(index)", schema)) { faults.append(fault) }
        }
        switch word {
        case "allOf": return faults.first
        case "anyOf": return faults.count < argument.elements.count ? nil : faults.joined(separator: "; ")
        case "not": return fault(of: value, in: place.child(word, argument)) == nil ? "is what it must not be" : nil
        default:
            guard let then = place.schema["then"] else { return "if without then" }
            if fault(of: value, in: place.child(word, argument)) != nil { return nil }
            return fault(of: value, in: place.child("then", then))
        }
    }

    private func numberFault(_ number: Int?, _ word: String, _ argument: JSONValue) -> String? {
        guard let number, let bound = argument.intValue else {
            return SchemaCheck.isKnown(word) ? nil : "unknown \(word)"
        }
        switch word {
        case "minimum": return number < bound ? "too small" : nil
        case "maximum": return number > bound ? "too large" : nil
        default: return SchemaCheck.isKnown(word) ? nil : "unknown word \(word)"
        }
    }

    private static func textFault(_ text: String, _ word: String, _ argument: JSONValue) -> String? {
        switch word {
        case "minLength": return text.unicodeScalars.count < argument.intValue ?? 0 ? "too short" : nil
        case "maxLength": return text.unicodeScalars.count > argument.intValue ?? 0 ? "too long" : nil
        case "pattern":
            guard let expression = try? Regex(argument.stringValue ?? "(") else { return "no expression" }
            return text.contains(expression) ? nil : "does not match"
        default: return isKnown(word) ? nil : "unknown word \(word)"
        }
    }

    private mutating func listFault(
        _ list: [JSONValue], _ word: String, _ argument: JSONValue, _ place: Place
    ) -> String? {
        switch word {
        case "minItems": return list.count < argument.intValue ?? 0 ? "too few" : nil
        case "maxItems": return list.count > argument.intValue ?? 0 ? "too many" : nil
        case "uniqueItems": return Set(list).count < list.count ? "twice the same" : nil
        case "prefixItems":
            for (index, pair) in zip(list, argument.elements).enumerated() {
                if let fault = fault(of: pair.0, in: place.child("\(word)/\(index)", pair.1)) { return fault }
            }
            return nil
        case "items":
            for item in list.dropFirst(place.schema["prefixItems"]?.elements.count ?? 0) {
                if let fault = fault(of: item, in: place.child(word, argument)) { return fault }
            }
            return nil
        default: return SchemaCheck.isKnown(word) ? nil : "unknown word \(word)"
        }
    }

    private mutating func objectFault(
        _ value: JSONValue, _ word: String, _ argument: JSONValue, _ place: Place
    ) -> String? {
        switch word {
        case "required":
            let missing = argument.texts.first { value[$0] == nil }
            return missing.map { "\($0) is missing" }
        case "properties":
            for field in value.fields {
                guard let schema = argument[field.key] else { continue }
                let child = place.child("\(word)/\(field.key)", schema)
                met.insert("\(child.file)#\(child.pointer)")
                if let fault = fault(of: field.value, in: child) { return fault }
            }
            return nil
        case "additionalProperties":
            let known = place.schema["properties"]?.keys ?? []
            for field in value.fields where !known.contains(field.key) {
                if let fault = fault(of: field.value, in: place.child(word, argument)) { return fault }
            }
            return nil
        default: return SchemaCheck.isKnown(word) ? nil : "unknown word \(word)"
        }
    }

    private static func isKnown(_ word: String) -> Bool {
        [
            "minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems",
            "prefixItems", "items", "required", "properties", "additionalProperties",
        ].contains(word)
    }

    /// Every property that the schemas name, as `file#/pointer`.
    var properties: Set<String> {
        var found: Set<String> = []
        for (file, schema) in files { SchemaCheck.collect(schema, file, "", into: &found) }
        return found
    }

    private static func collect(_ value: JSONValue, _ file: String, _ pointer: String, into found: inout Set<String>) {
        for field in value.fields {
            if field.key == "properties" {
                for property in field.value.fields {
                    found.insert("\(file)#\(pointer)/properties/\(property.key)")
                    collect(property.value, file, "\(pointer)/properties/\(property.key)", into: &found)
                }
            } else {
                collect(field.value, file, "\(pointer)/\(field.key)", into: &found)
            }
        }
        for (index, element) in value.elements.enumerated() {
            collect(element, file, "\(pointer)/\(index)", into: &found)
        }
    }

    /// Every `$ref` of a document.
    static func references(in value: JSONValue) -> [String] {
        var found: [String] = []
        for field in value.fields {
            if field.key == "$ref", let text = field.value.stringValue { found.append(text) }
            found += references(in: field.value)
        }
        for element in value.elements { found += references(in: element) }
        return found
    }
}

extension JSONValue {
    /// Whether it is of a type as JSON Schema names them.
    fileprivate func isOf(type: String) -> Bool {
        switch self {
        case .null: type == "null"
        case .bool: type == "boolean"
        case .number: type == "number" || type == "integer" && intValue != nil
        case .string: type == "string"
        case .array: type == "array"
        case .object: type == "object"
        }
    }
}
