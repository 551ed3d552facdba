/// A word, a mark, or a text of a Swift file.
struct Token: Sendable {
    /// What it is.
    enum Kind: Sendable {
        /// An identifier, a keyword or a number.
        case word
        /// One character of punctuation.
        case symbol
        /// A whole string literal; its text is left out.
        case string
    }

    /// What it is.
    var kind: Kind
    /// Its text; a string literal has none.
    var text: String
    /// The line it begins on; the first is 1.
    var line: Int
    /// Whether it follows the one before without a gap.
    var adjacent: Bool
}

/// Takes a Swift file apart, leaving out comments and the contents of string literals.
struct Lexer {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var gap = true
    private var tokens: [Token] = []

    private init(_ text: String) { bytes = Array(text.utf8) }

    /// The file's tokens in order.
    static func tokens(of text: String) -> [Token] {
        var lexer = Lexer(text)
        while lexer.position < lexer.bytes.count { lexer.step() }
        return lexer.tokens
    }

    private func byte(_ ahead: Int) -> UInt8 {
        position + ahead < bytes.count ? bytes[position + ahead] : 0
    }

    private mutating func step() {
        let current = byte(0)
        switch current {
        case UInt8(ascii: "\n"), UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
            advance()
            gap = true
        case UInt8(ascii: "/") where byte(1) == UInt8(ascii: "/"):
            while position < bytes.count, byte(0) != UInt8(ascii: "\n") { position += 1 }
            gap = true
        case UInt8(ascii: "/") where byte(1) == UInt8(ascii: "*"):
            skipBlockComment()
            gap = true
        case UInt8(ascii: "\""),
            UInt8(ascii: "#") where opensString():
            add(.string, "", line)
            skipString()
        case _ where Lexer.isWord(current):
            let start = position
            while Lexer.isWord(byte(0)) { position += 1 }
            add(.word, String(decoding: bytes[start..<position], as: UTF8.self), line)
        default:
            add(.symbol, String(UnicodeScalar(current)), line)
            position += 1
        }
    }

    private mutating func add(_ kind: Token.Kind, _ text: String, _ line: Int) {
        tokens.append(Token(kind: kind, text: text, line: line, adjacent: !gap))
        gap = false
    }

    private mutating func advance() {
        if byte(0) == UInt8(ascii: "\n") { line += 1 }
        position += 1
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), UInt8(ascii: "`"), 128...:
            true
        default: false
        }
    }

    private mutating func skipBlockComment() {
        var depth = 0
        repeat {
            if byte(0) == UInt8(ascii: "/"), byte(1) == UInt8(ascii: "*") {
                depth += 1
                position += 2
            } else if byte(0) == UInt8(ascii: "*"), byte(1) == UInt8(ascii: "/") {
                depth -= 1
                position += 2
            } else {
                advance()
            }
        } while depth > 0 && position < bytes.count
    }

    /// Whether a string literal begins here: a quote, or hashes and a quote.
    private func opensString() -> Bool {
        var ahead = 0
        while byte(ahead) == UInt8(ascii: "#") { ahead += 1 }
        return byte(ahead) == UInt8(ascii: "\"")
    }

    /// Goes behind the string literal that begins here, interpolations and the literals within them included.
    private mutating func skipString() {
        var hashes = 0
        while byte(0) == UInt8(ascii: "#") {
            hashes += 1
            position += 1
        }
        let quotes = byte(1) == UInt8(ascii: "\"") && byte(2) == UInt8(ascii: "\"") ? 3 : 1
        position += quotes
        while position < bytes.count {
            if ends(quotes: quotes, hashes: hashes) {
                position += quotes + hashes
                return
            }
            if byte(0) == UInt8(ascii: "\\"), hasHashes(hashes, after: 1) {
                position += 1 + hashes
                if byte(0) == UInt8(ascii: "(") { skipInterpolation() } else { advance() }
            } else {
                advance()
            }
        }
    }

    private func hasHashes(_ count: Int, after start: Int) -> Bool {
        (0..<count).allSatisfy { byte(start + $0) == UInt8(ascii: "#") }
    }

    private func ends(quotes: Int, hashes: Int) -> Bool {
        (0..<quotes).allSatisfy { byte($0) == UInt8(ascii: "\"") } && hasHashes(hashes, after: quotes)
    }

    private mutating func skipInterpolation() {
        var depth = 0
        repeat {
            switch byte(0) {
            case UInt8(ascii: "("):
                depth += 1
                position += 1
            case UInt8(ascii: ")"):
                depth -= 1
                position += 1
            case UInt8(ascii: "\""): skipString()
            default: advance()
            }
        } while depth > 0 && position < bytes.count
    }
}
