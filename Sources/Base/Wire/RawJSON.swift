/// One JSON value that is carried through unread: an input, an output, details. Its text stays as it was sent.
public struct RawJSON: Hashable, Sendable, WireWritable, WireReadable {
    /// The text of the value, strict JSON.
    public let bytes: [UInt8]

    /// Takes text that has passed a reader or was made by a writer.
    init(validated bytes: [UInt8]) { self.bytes = bytes }

    /// Validates `bytes` as one JSON value.
    public init(validating bytes: [UInt8]) throws(WireError) {
        _ = try JSONReader(bytes)
        self.bytes = bytes
    }

    /// Reads the next value as it stands.
    public init(from reader: inout JSONReader) throws(WireError) { self = reader.raw() }

    /// The value that `body` writes; it occupies no more than it needs.
    public init(_ body: (inout JSONWriter) -> Void) {
        var writer = JSONWriter(capacity: JSONWriter.usualSize)
        body(&writer)
        bytes = writer.bytes.exact
    }

    /// `{}`.
    public static let emptyObject = RawJSON(validated: [0x7B, 0x7D])
    /// `null`.
    public static let null = RawJSON(validated: [0x6E, 0x75, 0x6C, 0x6C])

    /// Writes the text as it stands.
    public func write(to writer: inout JSONWriter) { writer.value(self) }

    /// The text as a string.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The same value with sorted keys and without spaces: equal values have equal canonical text. Numbers keep their
    /// spelling.
    public var canonical: [UInt8] {
        var writer = JSONWriter(capacity: bytes.count)
        JSONValue(self).writeCanonical(to: &writer)
        return writer.bytes
    }
}

/// A JSON value as a tree, for the few places that must look inside a foreign value: schemas, references, settings.
public indirect enum JSONValue: Hashable, Sendable {
    /// `null`.
    case null
    /// True or false.
    case bool(Bool)
    /// A number as it is spelled.
    case number(String)
    /// A text.
    case string(String)
    /// A list.
    case array([JSONValue])
    /// Fields in the order in which they stand.
    case object([Field])

    /// One field of an object.
    public struct Field: Hashable, Sendable {
        /// Its key.
        public var key: String
        /// Its value.
        public var value: JSONValue

        /// A field.
        public init(_ key: String, _ value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// The tree of a validated value.
    public init(_ raw: RawJSON) {
        var reader = JSONReader(raw)
        self.init(from: &reader)
    }

    private init(from reader: inout JSONReader) {
        self = .null
        switch reader.kind {
        case .null: reader.skip()
        case .bool: self = .bool((try? reader.bool()) ?? false)
        case .number: self = .number(reader.raw().text)
        case .string: self = .string((try? reader.string(limit: .max)) ?? "")
        case .array:
            guard (try? reader.beginArray()) != nil else { return }
            var list: [JSONValue] = []
            while reader.nextElement() { list.append(JSONValue(from: &reader)) }
            self = .array(list)
        case .object:
            guard (try? reader.beginObject()) != nil else { return }
            var fields: [Field] = []
            while let key = reader.nextKey() { fields.append(Field(key, JSONValue(from: &reader))) }
            self = .object(fields)
        }
    }

    /// The value of a field of an object, or `nil`.
    public subscript(key: String) -> JSONValue? {
        guard case .object(let fields) = self else { return nil }
        return fields.first { $0.key == key }?.value
    }

    /// The integer it spells, or `nil`.
    public var intValue: Int? {
        guard case .number(let text) = self else { return nil }
        return JSONReader.integer(ArraySlice(text.utf8))
    }

    /// The number it spells, or `nil`; for comparison against a schema only.
    public var doubleValue: Double? {
        guard case .number(let text) = self else { return nil }
        return Double(text)
    }

    /// The text it holds, or `nil`.
    public var stringValue: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    /// The same value with keys sorted by their bytes.
    public func writeCanonical(to writer: inout JSONWriter) { write(to: &writer, sorted: true) }

    private func write(to writer: inout JSONWriter, sorted: Bool) {
        switch self {
        case .null: writer.null()
        case .bool(let flag): writer.value(flag)
        case .number(let text): writer.value(RawJSON(validated: Array(text.utf8)))
        case .string(let text): writer.value(text)
        case .array(let list):
            writer.beginArray()
            for element in list { element.write(to: &writer, sorted: sorted) }
            writer.endArray()
        case .object(let fields):
            writer.beginObject()
            let ordered = sorted ? fields.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } : fields
            for field in ordered {
                writer.key(named: field.key)
                field.value.write(to: &writer, sorted: sorted)
            }
            writer.endObject()
        }
    }

    /// The value at an RFC 6901 pointer, or `nil` when nothing is there; the empty pointer is the value itself.
    public func at(pointer: String) -> JSONValue? {
        guard !pointer.isEmpty else { return self }
        guard pointer.hasPrefix("/") else { return nil }
        var value = self
        for part in pointer.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            let name = JSONValue.unescape(pointer: part)
            switch value {
            case .object:
                guard let next = value[name] else { return nil }
                value = next
            case .array(let list):
                guard let index = Int(name), String(index) == name, list.indices.contains(index) else { return nil }
                value = list[index]
            default: return nil
            }
        }
        return value
    }

    /// `~1` is a slash, `~0` a tilde (RFC 6901 §4).
    private static func unescape(pointer part: Substring) -> String {
        var text = ""
        var tilde = false
        for character in part {
            if tilde {
                text.append(character == "1" ? "/" : character == "0" ? "~" : character)
                tilde = false
            } else if character == "~" {
                tilde = true
            } else {
                text.append(character)
            }
        }
        return text
    }
}

extension JSONValue: WireWritable {
    /// Writes the tree, fields in their order.
    public func write(to writer: inout JSONWriter) { write(to: &writer, sorted: false) }
}
