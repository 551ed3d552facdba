/// Checks once, over the bytes alone, that a document is strict JSON: UTF-8, no duplicate keys, no number beyond 2^53,
/// bounded depth. What passed here the reader may trust.
struct JSONValidator {
    /// Up to so many keys of an object are compared with each other; of more a set is made.
    private static let fewKeys = 32

    private let bytes: [UInt8]
    private let limits: JSONLimits
    private var at = 0
    /// Key ranges of the objects that are open, innermost last.
    private var keys: [Range<Int>] = []

    init(_ bytes: [UInt8], limits: JSONLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    mutating func validate() throws(WireError) {
        try checkUTF8()
        skipSpace()
        try value(depth: 0)
        skipSpace()
        if at != bytes.count { throw syntax("text after the document") }
    }

    private func syntax(_ reason: String) -> WireError { WireError(.syntax, offset: at, reason: reason) }

    private func checkUTF8() throws(WireError) {
        // Pure ASCII is the common case and needs no decoding.
        let index = bytes.endOfASCII
        if index < bytes.count, let bad = UTF8Check.firstInvalid(in: bytes, from: index) {
            throw WireError(.syntax, offset: bad, reason: "not UTF-8")
        }
    }

    private mutating func skipSpace() {
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 {
            at += 1
        }
    }

    private mutating func value(depth: Int) throws(WireError) {
        guard at < bytes.count else { throw syntax("the document ends too early") }
        switch bytes[at] {
        case UInt8(ascii: "{"): try object(depth: depth + 1)
        case UInt8(ascii: "["): try array(depth: depth + 1)
        case UInt8(ascii: "\""): try string()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
        default: throw syntax("no value begins here")
        }
    }

    private mutating func literal(_ word: StaticString) throws(WireError) {
        let text = word.description.utf8
        for expected in text {
            guard at < bytes.count, bytes[at] == expected else { throw syntax("expected \(word)") }
            at += 1
        }
    }

    private mutating func object(depth: Int) throws(WireError) {
        if depth > limits.depth { throw syntax("nested deeper than \(limits.depth) levels") }
        let firstKey = keys.count
        at += 1
        skipSpace()
        if at < bytes.count, bytes[at] == UInt8(ascii: "}") {
            at += 1
            return
        }
        while true {
            guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw syntax("expected a key") }
            let start = at
            try string()
            keys.append(start + 1..<at - 1)
            skipSpace()
            guard at < bytes.count, bytes[at] == UInt8(ascii: ":") else { throw syntax("expected ':'") }
            at += 1
            skipSpace()
            try value(depth: depth)
            if try endsContainer(with: UInt8(ascii: "}")) { break }
        }
        try checkKeys(from: firstKey)
        keys.removeSubrange(firstKey...)
    }

    private mutating func array(depth: Int) throws(WireError) {
        if depth > limits.depth { throw syntax("nested deeper than \(limits.depth) levels") }
        at += 1
        skipSpace()
        if at < bytes.count, bytes[at] == UInt8(ascii: "]") {
            at += 1
            return
        }
        while true {
            try value(depth: depth)
            if try endsContainer(with: UInt8(ascii: "]")) { break }
        }
    }

    private mutating func endsContainer(with end: UInt8) throws(WireError) -> Bool {
        skipSpace()
        guard at < bytes.count else { throw syntax("the document ends too early") }
        if bytes[at] == end {
            at += 1
            return true
        }
        guard bytes[at] == UInt8(ascii: ",") else { throw syntax("expected ',' or an end") }
        at += 1
        skipSpace()
        return false
    }

    /// Few keys are compared pair by pair, many through a set, so that the work stays linear.
    private func checkKeys(from first: Int) throws(WireError) {
        let count = keys.count - first
        if count > JSONValidator.fewKeys || keys[first...].contains(where: { bytes[$0].contains(UInt8(ascii: "\\")) }) {
            var seen: Set<String> = []
            for range in keys[first...] where !seen.insert(JSONText.unescape(bytes, range)).inserted {
                throw WireError(.syntax, offset: range.lowerBound, reason: "duplicate key")
            }
            return
        }
        for i in first..<keys.count {
            for j in (i + 1)..<max(keys.count, i + 1) where same(keys[i], keys[j]) {
                throw WireError(.syntax, offset: keys[j].lowerBound, reason: "duplicate key")
            }
        }
    }

    private func same(_ a: Range<Int>, _ b: Range<Int>) -> Bool {
        guard a.count == b.count else { return false }
        for k in 0..<a.count where bytes[a.lowerBound + k] != bytes[b.lowerBound + k] { return false }
        return true
    }

    private mutating func string() throws(WireError) {
        at += 1
        while true {
            at = bytes.endOfPlainText(from: at)
            guard at < bytes.count else { throw syntax("the string does not end") }
            switch bytes[at] {
            case UInt8(ascii: "\""):
                at += 1
                return
            case UInt8(ascii: "\\"):
                at += 1
                try escape()
            default: throw syntax("control character in a string")
            }
        }
    }

    private mutating func escape() throws(WireError) {
        guard at < bytes.count else { throw syntax("the string does not end") }
        switch bytes[at] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            at += 1
        case UInt8(ascii: "u"):
            at += 1
            let unit = try hex4()
            if (0xDC00..<0xE000).contains(unit) { throw syntax("half of a surrogate pair") }
            if (0xD800..<0xDC00).contains(unit) {
                guard at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else {
                    throw syntax("half of a surrogate pair")
                }
                at += 2
                guard (0xDC00..<0xE000).contains(try hex4()) else { throw syntax("half of a surrogate pair") }
            }
        default:
            throw syntax("unknown escape")
        }
    }

    private mutating func hex4() throws(WireError) -> Int {
        guard at + 4 <= bytes.count else { throw syntax("expected four hexadecimal digits") }
        var unit = 0
        for _ in 0..<4 {
            guard let digit = JSONText.hexValue(bytes[at]) else { throw syntax("expected four hexadecimal digits") }
            unit = unit * 16 + digit
            at += 1
        }
        return unit
    }

    private mutating func number() throws(WireError) {
        let start = at
        if bytes[at] == UInt8(ascii: "-") { at += 1 }
        guard at < bytes.count, isDigit(bytes[at]) else { throw syntax("expected a digit") }
        if bytes[at] == UInt8(ascii: "0"), at + 1 < bytes.count, isDigit(bytes[at + 1]) {
            throw syntax("a number with a leading zero")
        }
        digits()
        var plainInteger = true
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            plainInteger = false
            at += 1
            guard at < bytes.count, isDigit(bytes[at]) else { throw syntax("expected a digit") }
            digits()
        }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
            plainInteger = false
            at += 1
            if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
            guard at < bytes.count, isDigit(bytes[at]) else { throw syntax("expected a digit") }
            digits()
        }
        if plainInteger && at - start <= 15 { return }
        try checkMagnitude(start..<at)
    }

    private func checkMagnitude(_ range: Range<Int>) throws(WireError) {
        if let integer = JSONReader.integer(bytes[range]) {
            if integer.magnitude <= JSONLimits.largestInteger.magnitude { return }
            throw WireError(.syntax, offset: range.lowerBound, reason: "a number beyond 2^53")
        }
        let value = range.count <= 400 ? Double(String(decoding: bytes[range], as: UTF8.self)) : nil
        guard let value, value.magnitude <= Double(JSONLimits.largestInteger) else {
            throw WireError(.syntax, offset: range.lowerBound, reason: "a number beyond 2^53")
        }
    }

    private mutating func digits() {
        while at < bytes.count, isDigit(bytes[at]) { at += 1 }
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
}

/// UTF-8 well-formedness (Unicode, table 3-7).
enum UTF8Check {
    /// The first byte that cannot be part of UTF-8, from `start` on, or `nil`.
    static func firstInvalid(in bytes: [UInt8], from start: Int) -> Int? {
        var at = start
        while at < bytes.count {
            let lead = bytes[at]
            guard let (length, low, high) = shape(lead) else { return at }
            if length == 1 {
                at += 1
                continue
            }
            guard at + length <= bytes.count, bytes[at + 1] >= low, bytes[at + 1] <= high else { return at }
            for k in 2..<max(length, 2) where bytes[at + k] & 0xC0 != 0x80 { return at }
            at += length
        }
        return nil
    }

    /// Length of the sequence a lead byte begins, and the range of its second byte.
    private static func shape(_ lead: UInt8) -> (Int, UInt8, UInt8)? {
        switch lead {
        case 0x00...0x7F: (1, 0, 0)
        case 0xC2...0xDF: (2, 0x80, 0xBF)
        case 0xE0: (3, 0xA0, 0xBF)
        case 0xED: (3, 0x80, 0x9F)
        case 0xE1...0xEF: (3, 0x80, 0xBF)
        case 0xF0: (4, 0x90, 0xBF)
        case 0xF4: (4, 0x80, 0x8F)
        case 0xF1...0xF3: (4, 0x80, 0xBF)
        default: nil
        }
    }
}
