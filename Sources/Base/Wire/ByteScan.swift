/// Looks through bytes eight at a time: nearly all bytes of a document stand inside texts.
extension Array where Element == UInt8 {
    /// The first byte from `start` on that ends a JSON text, begins an escape or is a control character; the count when
    /// there is none.
    func endOfPlainText(from start: Int) -> Int {
        unsafe withUnsafeBytes { unsafe ByteScan.endOfPlainText($0, from: start) }
    }

    /// The first byte that is not ASCII; the count when there is none.
    var endOfASCII: Int {
        unsafe withUnsafeBytes { bytes in
            var at = 0
            while at + 8 <= bytes.count {
                let word = UInt64(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                let found = word & ByteScan.highBits
                if found != 0 { return at + found.trailingZeroBitCount >> 3 }
                at += 8
            }
            while at < bytes.count {
                let byte = unsafe bytes[at]
                if byte >= 0x80 { break }
                at += 1
            }
            return at
        }
    }
}

/// Searches in eight bytes at a time. A borrow may mark a byte above the first true hit, never one below it, and only
/// the first counts.
enum ByteScan {
    static let highBits: UInt64 = 0x8080_8080_8080_8080
    private static let ones: UInt64 = 0x0101_0101_0101_0101

    /// As `[UInt8].endOfPlainText`.
    static func endOfPlainText(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var at = start
        while at + 8 <= bytes.count {
            let word = UInt64(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            let found = special(word)
            if found != 0 { return at + found.trailingZeroBitCount >> 3 }
            at += 8
        }
        while at < bytes.count {
            let byte = unsafe bytes[at]
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { break }
            at += 1
        }
        return at
    }

    /// The high bit of each byte that is a quote, a backslash or a control character.
    private static func special(_ word: UInt64) -> UInt64 {
        let quote = word ^ (ones &* 0x22)
        let backslash = word ^ (ones &* 0x5C)
        let hits =
            ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | ((word &- (ones &* 0x20)) & ~word)
        return hits & highBits
    }
}
