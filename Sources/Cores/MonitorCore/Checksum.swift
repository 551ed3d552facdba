/// CRC-32C (Castagnoli) of the lines of the history, eight bytes at a time.
enum Checksum {
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var value = UInt32(index)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
            tables[index] = value
        }
        for index in 256..<tables.count {
            let before = tables[index - 256]
            tables[index] = before >> 8 ^ tables[Int(before & 0xFF)]
        }
        return tables
    }()

    /// The checksum of a range of bytes.
    static func of(_ bytes: [UInt8], _ range: Range<Int>) -> UInt32 {
        let tables = tables
        var value: UInt32 = 0xFFFF_FFFF
        var at = range.lowerBound
        while at + 8 <= range.upperBound {
            let low = value ^ Packed.number(bytes, at)
            let high: UInt32 = Packed.number(bytes, at + 4)
            value = tables[7 * 256 + Int(low & 0xFF)] ^ tables[6 * 256 + Int(low >> 8 & 0xFF)]
            value ^= tables[5 * 256 + Int(low >> 16 & 0xFF)] ^ tables[4 * 256 + Int(low >> 24)]
            value ^= tables[3 * 256 + Int(high & 0xFF)] ^ tables[2 * 256 + Int(high >> 8 & 0xFF)]
            value ^= tables[256 + Int(high >> 16 & 0xFF)] ^ tables[Int(high >> 24)]
            at += 8
        }
        while at < range.upperBound {
            value = value >> 8 ^ tables[Int((value ^ UInt32(bytes[at])) & 0xFF)]
            at += 1
        }
        return value ^ 0xFFFF_FFFF
    }

    /// Eight hexadecimal digits.
    static func text(_ value: UInt32) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        return stride(from: 28, through: 0, by: -4).map { digits[Int(value >> UInt32($0) & 15)] }
    }
}

/// Numbers as little-endian bytes.
enum Packed {
    static func number(_ bytes: [UInt8], _ at: Int) -> UInt32 {
        UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
    }

    static func number(_ bytes: [UInt8], _ at: Int) -> UInt64 {
        let low: UInt32 = number(bytes, at)
        let high: UInt32 = number(bytes, at + 4)
        return UInt64(low) | UInt64(high) << 32
    }

    static func append<Number: FixedWidthInteger>(_ value: Number, to bytes: inout [UInt8]) {
        for shift in stride(from: 0, to: Number.bitWidth, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> Number(shift)))
        }
    }
}

/// Hashes that stand in index files: the same in every process and release.
enum StableHash {
    /// Of bytes, eight at a time.
    static func of(_ bytes: [UInt8], seed: UInt64 = 0x9E37_79B9_7F4A_7C15) -> UInt64 {
        var hash = seed ^ UInt64(bytes.count) &* 0xFF51_AFD7_ED55_8CCD
        var at = 0
        while at + 8 <= bytes.count {
            let word: UInt64 = Packed.number(bytes, at)
            hash = mix(hash ^ word)
            at += 8
        }
        var rest: UInt64 = 0
        while at < bytes.count {
            rest = rest << 8 | UInt64(bytes[at])
            at += 1
        }
        return mix(hash ^ rest)
    }

    /// Of a text.
    static func of(_ text: String, seed: UInt64 = 0x9E37_79B9_7F4A_7C15) -> UInt64 { of(Array(text.utf8), seed: seed) }

    /// 32 bits of a text, never 0: 0 stands for nothing.
    static func short(_ text: String?) -> UInt32 {
        guard let text else { return 0 }
        return max(1, UInt32(truncatingIfNeeded: of(text)))
    }

    static func mix(_ value: UInt64) -> UInt64 {
        var z = value &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 32) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 29
    }
}
