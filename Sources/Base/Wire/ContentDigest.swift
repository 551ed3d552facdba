/// A 128-bit digest of a JSON value that does not depend on the order of keys, on spaces or on how a text is escaped:
/// equal for two requests of the same content. Computed in one pass without building a tree. It tells honest repeats
/// apart from changed requests; it is no protection against somebody who makes up two texts of one digest.
public struct ContentDigest: Hashable, Sendable {
    /// The first half.
    public var high: UInt64
    /// The second half.
    public var low: UInt64

    /// A digest from its halves.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The digest of a document that a reader has accepted.
    public init(validated bytes: [UInt8]) {
        var walker = DigestWalker(bytes)
        self = walker.value()
    }

    /// The digest of a value.
    public init(_ raw: RawJSON) { self.init(validated: raw.bytes) }

    /// 32 hexadecimal digits.
    public var text: String {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends `text` as bytes.
    public func append(to bytes: inout [UInt8]) {
        bytes.append(addingCapacity: 32) { span in
            ContentDigest.append(high, to: &span)
            ContentDigest.append(low, to: &span)
        }
    }

    private static func append(_ half: UInt64, to span: inout OutputSpan<UInt8>) {
        var rest = half
        for _ in 0..<16 {
            rest = rest << 4 | rest >> 60
            let digit = UInt8(truncatingIfNeeded: rest & 15)
            span.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
    }

    /// Reads 32 hexadecimal digits.
    public init?(text: String) {
        var halves: (UInt64, UInt64) = (0, 0)
        var count = 0
        for byte in text.utf8 {
            guard let digit = JSONText.hexValue(byte) else { return nil }
            if count < 16 { halves.0 = halves.0 << 4 | UInt64(digit) } else { halves.1 = halves.1 << 4 | UInt64(digit) }
            count += 1
        }
        guard count == 32 else { return nil }
        self.init(high: halves.0, low: halves.1)
    }
}

/// Walks a validated document; objects add up the digests of their fields, so that their order does not matter.
private struct DigestWalker {
    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private mutating func skipSpace() {
        while at < bytes.count, bytes[at] <= 0x20 { at += 1 }
    }

    mutating func value() -> ContentDigest {
        skipSpace()
        guard at < bytes.count else { return Lanes64(tag: 0).digest }
        switch bytes[at] {
        case UInt8(ascii: "{"): return object()
        case UInt8(ascii: "["): return array()
        case UInt8(ascii: "\""): return string(tag: 3)
        default: return scalar()
        }
    }

    private mutating func object() -> ContentDigest {
        var sum = ContentDigest(high: 0, low: 0)
        at += 1
        while hasMore(UInt8(ascii: "}")) {
            let key = string(tag: 4)
            skipSpace()
            at += 1
            var field = Lanes64(tag: 5)
            field.add(key)
            field.add(value())
            let digest = field.digest
            sum.high &+= digest.high
            sum.low &+= digest.low
        }
        var lanes = Lanes64(tag: 1)
        lanes.add(sum)
        return lanes.digest
    }

    private mutating func array() -> ContentDigest {
        var lanes = Lanes64(tag: 2)
        at += 1
        while hasMore(UInt8(ascii: "]")) { lanes.add(value()) }
        return lanes.digest
    }

    private mutating func hasMore(_ end: UInt8) -> Bool {
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

    private mutating func string(tag: UInt64) -> ContentDigest {
        var lanes = Lanes64(tag: tag)
        let start = at + 1
        var escaped = false
        at = bytes.endOfPlainText(from: start)
        while at < bytes.count, bytes[at] != UInt8(ascii: "\"") {
            if bytes[at] == UInt8(ascii: "\\") {
                escaped = true
                at += 1
            }
            at = bytes.endOfPlainText(from: at + 1)
        }
        at += 1
        if escaped {
            for byte in JSONText.unescape(bytes, start..<at - 1).utf8 { lanes.add(byte) }
        } else {
            let end = max(start, at - 1)
            unsafe bytes.withUnsafeBufferPointer { bytes in
                var index = start
                while index < end {
                    lanes.add(unsafe bytes[index])
                    index += 1
                }
            }
        }
        return lanes.digest
    }

    private mutating func scalar() -> ContentDigest {
        var lanes = Lanes64(tag: 6)
        while at < bytes.count {
            switch bytes[at] {
            case 0...0x20, UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"): return lanes.digest
            default:
                lanes.add(bytes[at])
                at += 1
            }
        }
        return lanes.digest
    }
}

/// Two FNV-like lanes with a strong finish.
private struct Lanes64 {
    private var a: UInt64
    private var b: UInt64

    init(tag: UInt64) {
        a = 0xCBF2_9CE4_8422_2325 ^ tag
        b = 0x8422_2325_CBF2_9CE4 &+ tag &* 0x9E37_79B9_7F4A_7C15
    }

    mutating func add(_ byte: UInt8) {
        a = (a ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
        b = (b ^ UInt64(byte)) &* 0x9E37_79B9_7F4A_7C15
        b ^= b >> 29
    }

    mutating func add(_ digest: ContentDigest) {
        a = Lanes64.mix(a ^ digest.high) &* 0x0000_0100_0000_01B3
        b = Lanes64.mix(b &+ digest.low) &* 0x9E37_79B9_7F4A_7C15
    }

    var digest: ContentDigest { ContentDigest(high: Lanes64.mix(a &+ b), low: Lanes64.mix(b ^ a >> 7)) }

    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
