/// Escapes of JSON strings, both ways.
enum JSONText {
    /// The value of a hexadecimal digit, or `nil`.
    static func hexValue(_ byte: UInt8) -> Int? {
        switch byte {
        case 0x30...0x39: Int(byte) - 0x30
        case 0x41...0x46: Int(byte) - 0x37
        case 0x61...0x66: Int(byte) - 0x57
        default: nil
        }
    }

    /// The text between the quotes at `range`, which has been validated.
    static func unescape(_ bytes: [UInt8], _ range: Range<Int>) -> String {
        if bytes.endOfPlainText(from: range.lowerBound) >= range.upperBound {
            return unsafe bytes.withUnsafeBytes { bytes in
                unsafe String(decoding: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self)
            }
        }
        var text: [UInt8] = []
        text.reserveCapacity(range.count)
        var at = range.lowerBound
        while at < range.upperBound {
            guard bytes[at] == UInt8(ascii: "\\") else {
                text.append(bytes[at])
                at += 1
                continue
            }
            at += 2
            switch bytes[at - 1] {
            case UInt8(ascii: "b"): text.append(0x08)
            case UInt8(ascii: "f"): text.append(0x0C)
            case UInt8(ascii: "n"): text.append(0x0A)
            case UInt8(ascii: "r"): text.append(0x0D)
            case UInt8(ascii: "t"): text.append(0x09)
            case UInt8(ascii: "u"): appendScalar(bytes, &at, to: &text)
            default: text.append(bytes[at - 1])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func appendScalar(_ bytes: [UInt8], _ at: inout Int, to text: inout [UInt8]) {
        var value = unit(bytes, at)
        at += 4
        if (0xD800..<0xDC00).contains(value) {
            value = 0x10000 + (value - 0xD800) << 10 + (unit(bytes, at + 2) - 0xDC00)
            at += 6
        }
        if let scalar = Unicode.Scalar(UInt32(value)) { text.append(contentsOf: String(Character(scalar)).utf8) }
    }

    private static func unit(_ bytes: [UInt8], _ at: Int) -> Int {
        (0..<4).reduce(0) { $0 * 16 + (hexValue(bytes[at + $1]) ?? 0) }
    }

    /// Appends `text` with its quotes, and the comma before it; only what JSON demands is escaped.
    static func appendQuoted(_ text: String, to bytes: inout [UInt8], afterComma: Bool) {
        var text = text
        let isPlain = text.withUTF8 { utf8 in
            let raw = UnsafeRawBufferPointer(utf8)
            guard unsafe ByteScan.endOfPlainText(raw, from: 0) == raw.count else { return false }
            unsafe appendPlain(utf8, to: &bytes, afterComma: afterComma)
            return true
        }
        guard !isPlain else { return }
        if afterComma { bytes.append(UInt8(ascii: ",")) }
        bytes.append(UInt8(ascii: "\""))
        appendEscaped(text, to: &bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    /// Appends a key with its quotes, the comma before it and the colon behind it. It has nothing to escape.
    static func appendKey(_ name: StaticString, to bytes: inout [UInt8], afterComma: Bool) {
        name.withUTF8Buffer { utf8 in
            assert(
                unsafe ByteScan.endOfPlainText(UnsafeRawBufferPointer(utf8), from: 0) == utf8.count,
                "a key that is written here needs no escapes")
            unsafe appendPlain(utf8, to: &bytes, afterComma: afterComma, beforeColon: true)
        }
    }

    @inline(__always) private static func appendPlain(
        _ utf8: UnsafeBufferPointer<UInt8>, to bytes: inout [UInt8], afterComma: Bool, beforeColon: Bool = false
    ) {
        bytes.append(addingCapacity: utf8.count + 4) { span in
            unsafe span.withUnsafeMutableBufferPointer { buffer, count in
                guard let start = buffer.baseAddress else { return }
                var place = unsafe start
                if afterComma { unsafe JSONText.put(UInt8(ascii: ","), &place) }
                unsafe JSONText.put(UInt8(ascii: "\""), &place)
                if let text = utf8.baseAddress {
                    unsafe place.initialize(from: text, count: utf8.count)
                    unsafe place += utf8.count
                }
                unsafe JSONText.put(UInt8(ascii: "\""), &place)
                if beforeColon { unsafe JSONText.put(UInt8(ascii: ":"), &place) }
                count = unsafe place - start
            }
        }
    }

    @inline(__always) private static func put(_ byte: UInt8, _ place: inout UnsafeMutablePointer<UInt8>) {
        unsafe place.initialize(to: byte)
        unsafe place += 1
    }

    private static func appendEscaped(_ text: String, to bytes: inout [UInt8]) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0x0A: bytes.append(contentsOf: [0x5C, UInt8(ascii: "n")])
            case 0x0D: bytes.append(contentsOf: [0x5C, UInt8(ascii: "r")])
            case 0x09: bytes.append(contentsOf: [0x5C, UInt8(ascii: "t")])
            case 0..<0x20:
                let digits: [UInt8] = Array("0123456789abcdef".utf8)
                bytes.append(contentsOf: Array("\\u00".utf8))
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
    }
}
