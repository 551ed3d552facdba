import Wire

/// What is read is written again as something that reads equal, and written alike the second time.
enum JSONFuzz {
    static func run(_ bytes: [UInt8]) -> String? {
        guard let raw = try? RawJSON(validating: bytes) else { return nil }
        let value = JSONValue(raw)
        let written = text(value)
        guard let again = try? RawJSON(validating: written) else { return "what was written cannot be read" }
        guard JSONValue(again) == value else { return "what was written reads otherwise" }
        guard text(JSONValue(again)) == written else { return "it is written otherwise the second time" }
        return ContentDigest(raw) == ContentDigest(again) ? nil : "the same content has two digests"
    }

    private static func text(_ value: JSONValue) -> [UInt8] {
        var writer = JSONWriter()
        write(value, to: &writer)
        return writer.bytes
    }

    private static func write(_ value: JSONValue, to writer: inout JSONWriter) {
        switch value {
        case .null: writer.value(RawJSON { $0.null() })
        case .bool(let flag): writer.value(flag)
        case .number(let spelled): if let raw = try? RawJSON(validating: Array(spelled.utf8)) { writer.value(raw) }
        case .string(let text): writer.value(text)
        case .array(let list):
            writer.beginArray()
            for element in list { write(element, to: &writer) }
            writer.endArray()
        case .object(let fields):
            writer.object { object in
                for field in fields {
                    object.key(named: field.key)
                    write(field.value, to: &object)
                }
            }
        }
    }
}
