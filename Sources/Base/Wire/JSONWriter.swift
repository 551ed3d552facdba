/// Writes one JSON document into bytes, compact, keys in the order of the calls: the same values give the same bytes.
public struct JSONWriter: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8] = []
    private var needsComma = false

    /// An empty document; `capacity` is a guess of its size.
    public init(capacity: Int = 256) { bytes.reserveCapacity(capacity) }

    /// Room for most documents of the contract, so that they are written without growing.
    public static let usualSize = 768

    /// What has been written, without much room behind it: it may be kept for long.
    public var fitted: [UInt8] { bytes.capacity > 2 * bytes.count ? bytes.exact : bytes }

    /// Opens an object.
    public mutating func beginObject() { open(UInt8(ascii: "{")) }
    /// Closes it.
    public mutating func endObject() { close(UInt8(ascii: "}")) }
    /// Opens an array.
    public mutating func beginArray() { open(UInt8(ascii: "[")) }
    /// Closes it.
    public mutating func endArray() { close(UInt8(ascii: "]")) }

    /// Writes an object whose fields `body` writes.
    @inlinable public mutating func object(_ body: (inout JSONWriter) -> Void) {
        beginObject()
        body(&self)
        endObject()
    }

    /// Writes a key; its value must follow. Keys are mostly words of the contract, which have nothing to escape.
    public mutating func key(_ name: StaticString) {
        JSONText.appendKey(name, to: &bytes, afterComma: needsComma)
        needsComma = false
    }

    /// Writes a key that is known only when the program runs; its value must follow.
    public mutating func key(named name: String) {
        JSONText.appendQuoted(name, to: &bytes, afterComma: needsComma)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    /// Writes a text.
    public mutating func value(_ text: String) {
        JSONText.appendQuoted(text, to: &bytes, afterComma: needsComma)
        needsComma = true
    }

    /// Writes a text that `body` appends; it must be UTF-8 without anything to escape.
    public mutating func plainText(_ body: (inout [UInt8]) -> Void) {
        comma()
        bytes.append(UInt8(ascii: "\""))
        body(&bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    /// Writes an integer.
    public mutating func value(_ number: Int) {
        comma()
        appendInteger(number)
    }

    /// Writes true or false.
    public mutating func value(_ flag: Bool) {
        comma()
        bytes.append(contentsOf: flag ? [0x74, 0x72, 0x75, 0x65] : [0x66, 0x61, 0x6C, 0x73, 0x65])
    }

    /// Writes a value as it stands.
    public mutating func value(_ raw: RawJSON) {
        comma()
        bytes.append(contentsOf: raw.bytes)
    }

    /// Writes `null`.
    public mutating func null() {
        comma()
        bytes.append(contentsOf: [0x6E, 0x75, 0x6C, 0x6C])
    }

    /// Writes a value that writes itself.
    @inlinable public mutating func value(_ value: some WireWritable) { value.write(to: &self) }

    /// Writes a field; a value of `nil` writes nothing.
    public mutating func field(_ name: StaticString, _ text: String?) {
        guard let text else { return }
        key(name)
        value(text)
    }

    /// Writes a field; a value of `nil` writes nothing.
    public mutating func field(_ name: StaticString, _ number: Int?) {
        guard let number else { return }
        key(name)
        value(number)
    }

    /// Writes a field; a value of `nil` writes nothing.
    public mutating func field(_ name: StaticString, _ flag: Bool?) {
        guard let flag else { return }
        key(name)
        value(flag)
    }

    /// Writes a field; a value of `nil` writes nothing.
    public mutating func field(_ name: StaticString, _ raw: RawJSON?) {
        guard let raw else { return }
        key(name)
        value(raw)
    }

    /// Writes a field that holds a word of a closed list; a value of `nil` writes nothing.
    @inlinable public mutating func field<Word: RawRepresentable>(_ name: StaticString, _ word: Word?)
    where Word.RawValue == String {
        field(name, word?.rawValue)
    }

    /// Writes a field that writes itself; a value of `nil` writes nothing.
    @inlinable public mutating func field<Value: WireWritable>(_ name: StaticString, _ value: Value?) {
        guard let value else { return }
        key(name)
        value.write(to: &self)
    }

    /// Writes a field whose key is known only when the program runs; `body` writes its value.
    @inlinable public mutating func field(named name: String, _ body: (inout JSONWriter) -> Void) {
        key(named: name)
        body(&self)
    }

    /// Writes a list of texts.
    public mutating func field(_ name: StaticString, _ list: [String]) {
        key(name)
        beginArray()
        for text in list { value(text) }
        endArray()
    }

    /// Writes a list of values that write themselves.
    @inlinable public mutating func field(_ name: StaticString, _ list: [some WireWritable]) {
        key(name)
        beginArray()
        for element in list { element.write(to: &self) }
        endArray()
    }

    /// Writes a field whose value is an object with the fields that `body` writes.
    @inlinable public mutating func field(_ name: StaticString, _ body: (inout JSONWriter) -> Void) {
        key(name)
        object(body)
    }

    private mutating func comma() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func open(_ byte: UInt8) {
        comma()
        bytes.append(byte)
        needsComma = false
    }

    private mutating func close(_ byte: UInt8) {
        bytes.append(byte)
        needsComma = true
    }

    private mutating func appendInteger(_ number: Int) {
        var length = number < 0 ? 2 : 1
        var rest = number.magnitude
        var bound: UInt = 10
        while rest >= bound {
            length += 1
            bound *= 10
        }
        bytes.append(addingCapacity: length) { span in
            unsafe span.withUnsafeMutableBufferPointer { buffer, count in
                guard let start = buffer.baseAddress else { return }
                var place = unsafe start + length
                repeat {
                    let next = rest / 10
                    unsafe place -= 1
                    unsafe place.initialize(to: 0x30 + UInt8(truncatingIfNeeded: rest &- next &* 10))
                    rest = next
                } while rest > 0
                if number < 0 { unsafe start.initialize(to: UInt8(ascii: "-")) }
                count = length
            }
        }
    }
}

/// A value that writes itself as one JSON value.
public protocol WireWritable {
    /// Appends this value to the document.
    func write(to writer: inout JSONWriter)
}

extension WireWritable {
    /// This value as a document of its own.
    @inlinable public var encoded: [UInt8] {
        var writer = JSONWriter(capacity: JSONWriter.usualSize)
        write(to: &writer)
        return writer.fitted
    }

    /// This value, ready to stand inside another document, or to be kept: it occupies no more than it needs.
    public var raw: RawJSON { RawJSON(validated: encoded.exact) }
}

/// A value that reads itself from one JSON value.
public protocol WireReadable {
    /// Reads the next value of the document. Throws `field` when it is none of this type.
    init(from reader: inout JSONReader) throws(WireError)
}

extension WireReadable {
    /// Reads a whole document. Throws `syntax` or `field`.
    @inlinable public init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = try JSONReader(bytes)
        try self.init(from: &reader)
    }

    /// Reads a value that was validated before. Throws `field`.
    @inlinable public init(_ raw: RawJSON) throws(WireError) {
        var reader = JSONReader(raw)
        try self.init(from: &reader)
    }
}

extension Array where Element == UInt8 {
    /// The same bytes, in no more room than they need.
    var exact: [UInt8] { unsafe withUnsafeBufferPointer { unsafe [UInt8]($0) } }
}
