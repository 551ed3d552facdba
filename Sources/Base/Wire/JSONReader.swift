/// Reads one JSON document from the front to the back, without building a tree.
///
/// The initializer validates the whole document once; the methods then only take values apart. A typed reader looks
/// like this:
/// ```swift
/// var reader = try JSONReader(bytes)
/// try reader.beginObject()
/// while let key = reader.nextKey() {
///     switch key {
///     case "seq": seq = try reader.int(in: 0...1_000_000)
///     default: reader.skip()
///     }
/// }
/// ```
/// Keys of up to 15 bytes and values that are not texts cost no allocation.
public struct JSONReader: Sendable {
    private let bytes: [UInt8]
    private var at = 0

    /// Validates `bytes` as one strict JSON document. Throws `syntax` with the offset of the first fault.
    public init(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(WireError) {
        var validator = JSONValidator(bytes, limits: limits)
        try validator.validate()
        self.bytes = bytes
        skipSpace()
    }

    /// Reads a value that was validated before.
    public init(_ raw: RawJSON) {
        bytes = raw.bytes
        skipSpace()
    }

    /// What kind of value comes next.
    public enum Kind: Hashable, Sendable {
        /// The kinds of JSON values.
        case null, bool, number, string, array, object
    }

    /// The kind of the next value.
    public var kind: Kind {
        guard at < bytes.count else { return .null }
        switch bytes[at] {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        default: return .number
        }
    }

    /// Enters an object. Throws `field` when the next value is none.
    public mutating func beginObject() throws(WireError) {
        guard kind == .object else { throw expected("an object") }
        at += 1
    }

    /// The next key of the object that was entered last, or `nil` after its end. Its value must be read or skipped.
    public mutating func nextKey() -> String? {
        guard nextItem(end: UInt8(ascii: "}")) else { return nil }
        let key = takeString()
        skipSpace()
        at += 1
        skipSpace()
        return key
    }

    /// Enters an array. Throws `field` when the next value is none.
    public mutating func beginArray() throws(WireError) {
        guard kind == .array else { throw expected("an array") }
        at += 1
    }

    /// Whether the array that was entered last has a further element, which must then be read or skipped.
    public mutating func nextElement() -> Bool { nextItem(end: UInt8(ascii: "]")) }

    /// A text of at most `limit` UTF-8 bytes.
    public mutating func string(limit: Int = 65_536) throws(WireError) -> String {
        guard kind == .string else { throw expected("a text") }
        let start = at
        let text = takeString()
        if text.utf8.count > limit { throw refused(at: start, "longer than \(limit) bytes") }
        return text
    }

    /// An integer within `range`.
    public mutating func int(in range: ClosedRange<Int> = -JSONLimits.largestInteger...JSONLimits.largestInteger)
        throws(WireError) -> Int
    {
        guard kind == .number else { throw expected("an integer") }
        let start = at
        let text = takeScalar()
        guard let value = JSONReader.integer(bytes[text]) else { throw refused(at: start, "expected an integer") }
        if !range.contains(value) {
            throw refused(at: start, "must be from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// True or false.
    public mutating func bool() throws(WireError) -> Bool {
        guard kind == .bool else { throw expected("true or false") }
        return takeScalar().count == 4
    }

    /// A word of a closed list; an unknown word is refused with the list.
    @inlinable public mutating func word<Word: RawRepresentable & CaseIterable>(_ type: Word.Type = Word.self)
        throws(WireError) -> Word where Word.RawValue == String
    {
        let before = self
        let text = try string()
        guard let word = Word(rawValue: text) else {
            throw before.refused("must be one of \(Word.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return word
    }

    /// A list of texts, at most `count` of them.
    public mutating func strings(limit: Int, count: Int) throws(WireError) -> [String] {
        var list: [String] = []
        let start = at
        try beginArray()
        while nextElement() {
            list.append(try string(limit: limit))
            if list.count > count { throw refused(at: start, "more than \(count) elements") }
        }
        return list
    }

    /// A list of values that read themselves, at most `count` of them.
    @inlinable public mutating func list<Element: WireReadable>(_ type: Element.Type = Element.self, count: Int)
        throws(WireError) -> [Element]
    {
        var list: [Element] = []
        let before = self
        try beginArray()
        while nextElement() {
            list.append(try Element(from: &self))
            if list.count > count { throw before.refused("more than \(count) elements") }
        }
        return list
    }

    /// The next value as it stands, unread.
    public mutating func raw() -> RawJSON {
        let start = at
        skip()
        return RawJSON(validated: Array(bytes[start..<at]))
    }

    /// Whether the next value is `null`, which is then consumed. A field that is `null` counts as absent.
    public mutating func takeNull() -> Bool {
        guard kind == .null, at < bytes.count else { return false }
        at += 4
        return true
    }

    /// Passes over the next value.
    public mutating func skip() {
        var depth = 0
        repeat {
            skipSpace()
            guard at < bytes.count else { return }
            switch bytes[at] {
            case UInt8(ascii: "\""): skipString()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                at += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                at += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"): at += 1
            default: _ = takeScalar()
            }
        } while depth > 0
    }

    /// A refusal of the field whose value begins at the present position; `reason` says what was expected.
    public func refused(_ reason: String) -> WireError { refused(at: at, reason) }

    private func refused(at offset: Int, _ reason: String) -> WireError {
        WireError(.field, path: JSONPath.of(offset: offset, in: bytes), offset: offset, reason: reason)
    }

    private func expected(_ what: String) -> WireError { refused(at: at, "expected \(what)") }

    private mutating func nextItem(end: UInt8) -> Bool {
        skipSpace()
        if at < bytes.count, bytes[at] == UInt8(ascii: ",") {
            at += 1
            skipSpace()
        }
        guard at < bytes.count, bytes[at] != end else {
            at += 1
            return false
        }
        return true
    }

    private mutating func skipSpace() {
        while at < bytes.count, bytes[at] <= 0x20 { at += 1 }
    }

    private mutating func skipString() {
        at = bytes.endOfPlainText(from: at + 1)
        while at < bytes.count, bytes[at] != UInt8(ascii: "\"") {
            at = bytes.endOfPlainText(from: at + (bytes[at] == UInt8(ascii: "\\") ? 2 : 1))
        }
        at += 1
    }

    private mutating func takeString() -> String {
        let start = at + 1
        skipString()
        return JSONText.unescape(bytes, start..<at - 1)
    }

    private mutating func takeScalar() -> Range<Int> {
        let start = at
        while at < bytes.count {
            switch bytes[at] {
            case 0...0x20, UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"): return start..<at
            default: at += 1
            }
        }
        return start..<at
    }

    /// The value of a plain integer text, or `nil` for a fraction or an exponent.
    static func integer(_ text: ArraySlice<UInt8>) -> Int? {
        var value = 0
        let negative = text.first == UInt8(ascii: "-")
        guard text.count <= 17 else { return nil }
        for byte in negative ? text.dropFirst() : text {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            value = value * 10 + Int(byte - 0x30)
        }
        return negative ? -value : value
    }
}

/// Finds the key path of a byte of a document; used only when something is refused.
enum JSONPath {
    /// The path of the value that contains `offset`, such as `steps[2].name`.
    static func of(offset: Int, in bytes: [UInt8]) -> String {
        var stack: [(key: String, index: Int?)] = []
        var at = 0
        var expectsKey = false
        while at < min(offset, bytes.count) {
            switch bytes[at] {
            case UInt8(ascii: "{"):
                stack.append(("", nil))
                expectsKey = true
            case UInt8(ascii: "["): stack.append(("", 0))
            case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = stack.popLast()
            case UInt8(ascii: ","):
                guard let top = stack.last else { break }
                if let index = top.index { stack[stack.count - 1].index = index + 1 } else { expectsKey = true }
            case UInt8(ascii: "\""):
                let start = at + 1
                at += 1
                while at < bytes.count, bytes[at] != UInt8(ascii: "\"") {
                    at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1
                }
                if expectsKey, !stack.isEmpty, at <= bytes.count {
                    stack[stack.count - 1].key = String(decoding: bytes[start..<min(at, bytes.count)], as: UTF8.self)
                    expectsKey = false
                }
            default: break
            }
            at += 1
        }
        var path = ""
        for level in stack {
            if let index = level.index {
                path += "[\(index)]"
            } else if !level.key.isEmpty {
                path += path.isEmpty ? level.key : ".\(level.key)"
            }
        }
        return path
    }
}
