/// Reads a custom condition by recursive descent; each step returns the node with its type.
struct ConditionParser {
    /// A node with its type and the height of its tree.
    struct Typed {
        var node: ConditionNode
        var type: ConditionType
        var height = 1
        var offset = 0
    }

    private let bytes: [UInt8]
    private var position = 0
    private var nodes = 0
    private var nesting = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func whole() throws(ConditionError) -> Typed {
        let result = try or()
        space()
        guard position == bytes.count else { throw fault("unexpected text") }
        return result
    }

    private func fault(_ reason: String, at offset: Int? = nil) -> ConditionError {
        ConditionError(offset: offset ?? position, reason: reason)
    }

    private mutating func space() {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
    }

    /// Takes an operator, unless a longer one begins with it.
    private mutating func take(_ text: StaticString, unless next: UInt8? = nil) -> Bool {
        space()
        let length = text.utf8CodeUnitCount
        guard position + length <= bytes.count,
            bytes[position..<position + length].elementsEqual(text.description.utf8)
        else { return false }
        if let next, position + length < bytes.count, bytes[position + length] == next { return false }
        position += length
        return true
    }

    private mutating func make(_ node: ConditionNode, _ type: ConditionType, _ parts: [Typed]) throws(ConditionError)
        -> Typed
    {
        nodes += 1
        if nodes > CustomCondition.mostNodes { throw fault("more than 64 parts") }
        let height = 1 + (parts.map(\.height).max() ?? 0)
        if height > CustomCondition.deepestNesting { throw fault("nested deeper than 16") }
        return Typed(node: node, type: type, height: height, offset: parts.first?.offset ?? position)
    }

    private mutating func deeper<T>(_ body: (inout ConditionParser) throws(ConditionError) -> T) throws(ConditionError)
        -> T
    {
        nesting += 1
        if nesting > CustomCondition.deepestNesting { throw fault("nested deeper than 16") }
        let result = try body(&self)
        nesting -= 1
        return result
    }

    private func expect(_ part: Typed, _ base: ConditionType.Base) throws(ConditionError) {
        guard part.type.base == base else {
            throw fault("expected \(base), found \(part.type.base)", at: part.offset)
        }
    }

    private mutating func or() throws(ConditionError) -> Typed {
        var left = try and()
        while take("||") {
            let right = try and()
            try expect(left, .bool)
            try expect(right, .bool)
            left = try make(.or(left.node, right.node), .bool, [left, right])
        }
        return left
    }

    private mutating func and() throws(ConditionError) -> Typed {
        var left = try not()
        while take("&&") {
            let right = try not()
            try expect(left, .bool)
            try expect(right, .bool)
            left = try make(.and(left.node, right.node), .bool, [left, right])
        }
        return left
    }

    private mutating func not() throws(ConditionError) -> Typed {
        guard take("!", unless: 0x3D) else { return try comparison() }
        let operand = try deeper { parser throws(ConditionError) in try parser.not() }
        try expect(operand, .bool)
        return try make(.not(operand.node), .bool, [operand])
    }

    private mutating func comparison() throws(ConditionError) -> Typed {
        let left = try sum()
        let comparison: ConditionNode.Comparison
        if take("==") {
            comparison = .equal
        } else if take("!=") {
            comparison = .notEqual
        } else if take("<=") {
            comparison = .lessOrEqual
        } else if take(">=") {
            comparison = .greaterOrEqual
        } else if take("<") {
            comparison = .less
        } else if take(">") {
            comparison = .greater
        } else if takeWord("in") {
            return try member(left)
        } else {
            return left
        }
        let right = try sum()
        let hasNull = left.type.base == .null || right.type.base == .null
        if comparison == .equal || comparison == .notEqual {
            guard hasNull || left.type.base == right.type.base else {
                throw fault("\(left.type.base) is never equal to \(right.type.base)", at: right.offset)
            }
        } else {
            guard left.type.base == right.type.base, left.type.base == .int || left.type.base == .string else {
                throw fault("only two integers or two texts have an order", at: right.offset)
            }
        }
        return try make(.compare(comparison, left.node, right.node), .bool, [left, right])
    }

    private mutating func member(_ left: Typed) throws(ConditionError) -> Typed {
        guard take("[") else { throw fault("expected [") }
        var list: [ConditionValue] = []
        var parts = [left]
        repeat {
            space()
            guard let item = try literal() else { throw fault("expected a literal") }
            guard item.type.base == .null || left.type.base == .null || item.type.base == left.type.base else {
                throw fault("\(left.type.base) is never equal to \(item.type.base)", at: item.offset)
            }
            guard case .literal(let value) = item.node else { throw fault("expected a literal") }
            list.append(value)
            parts.append(item)
        } while take(",")
        guard take("]") else { throw fault("expected ]") }
        return try make(.member(left.node, list), .bool, parts)
    }

    private mutating func sum() throws(ConditionError) -> Typed {
        var left = try product()
        while true {
            let operation: ConditionNode.Arithmetic
            if take("+") { operation = .add } else if take("-") { operation = .subtract } else { return left }
            left = try arithmetic(operation, left, product())
        }
    }

    private mutating func product() throws(ConditionError) -> Typed {
        var left = try negation()
        while true {
            let operation: ConditionNode.Arithmetic
            if take("*") {
                operation = .multiply
            } else if take("/") {
                operation = .divide
            } else if take("%") {
                operation = .remainder
            } else {
                return left
            }
            left = try arithmetic(operation, left, negation())
        }
    }

    private mutating func arithmetic(
        _ operation: ConditionNode.Arithmetic, _ left: Typed, _ right: Typed
    ) throws(ConditionError) -> Typed {
        try expect(left, .int)
        try expect(right, .int)
        return try make(.arithmetic(operation, left.node, right.node), .int, [left, right])
    }

    private mutating func negation() throws(ConditionError) -> Typed {
        guard take("-") else { return try primary() }
        let operand = try deeper { parser throws(ConditionError) in try parser.negation() }
        try expect(operand, .int)
        return try make(.negate(operand.node), .int, [operand])
    }

    private mutating func primary() throws(ConditionError) -> Typed {
        space()
        if take("(") {
            let inner = try deeper { parser throws(ConditionError) in try parser.or() }
            guard take(")") else { throw fault("expected )") }
            return inner
        }
        if let literal = try literal() { return literal }
        let start = position
        guard let word = word() else { throw fault("expected a value") }
        var result: Typed
        if let function = ConditionNode.Function(rawValue: word) {
            result = try call(function, at: start)
        } else if let variable = ConditionVariable(rawValue: word) {
            result = try make(.variable(variable), variable.type, [])
        } else {
            throw fault("unknown name \(word)", at: start)
        }
        result.offset = start
        return result
    }

    private mutating func call(_ function: ConditionNode.Function, at start: Int) throws(ConditionError) -> Typed {
        guard take("(") else { throw fault("expected (") }
        let first = try deeper { parser throws(ConditionError) in try parser.or() }
        guard take(",") else { throw fault("expected ,") }
        let second = try deeper { parser throws(ConditionError) in try parser.or() }
        guard take(")") else { throw fault("expected )") }
        let isNumeric = function == .min || function == .max
        try expect(first, isNumeric ? .int : .string)
        try expect(second, isNumeric ? .int : .string)
        return try make(.call(function, first.node, second.node), isNumeric ? .int : .bool, [first, second])
    }

    /// Digits, a text in quotes, `true`, `false` or `null`.
    private mutating func literal() throws(ConditionError) -> Typed? {
        guard position < bytes.count else { return nil }
        let start = position
        var found: (ConditionValue, ConditionType)?
        let byte = bytes[position]
        if byte >= 0x30, byte <= 0x39 {
            found = (.int(try digits()), .int)
        } else if byte == 0x27 || byte == 0x22 {
            found = (.string(try quoted(byte)), .string)
        } else if takeWord("true") {
            found = (.bool(true), .bool)
        } else if takeWord("false") {
            found = (.bool(false), .bool)
        } else if takeWord("null") {
            found = (.null, .null)
        }
        guard let found else { return nil }
        var result = try make(.literal(found.0), found.1, [])
        result.offset = start
        return result
    }

    private mutating func digits() throws(ConditionError) -> Int {
        let start = position
        var value = 0
        while position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int(bytes[position]) - 0x30)
            if overflow || carry { throw fault("a number beyond 64 bits", at: start) }
            value = sum
            position += 1
        }
        return value
    }

    private mutating func quoted(_ quote: UInt8) throws(ConditionError) -> String {
        let start = position
        position += 1
        var text: [UInt8] = []
        while position < bytes.count, bytes[position] != quote {
            if bytes[position] == 0x5C {
                position += 1
                guard position < bytes.count, [0x5C, 0x27, 0x22].contains(bytes[position]) else {
                    throw fault("only \\\\, \\' and \\\" are escapes")
                }
            }
            text.append(bytes[position])
            position += 1
        }
        guard position < bytes.count else { throw fault("the text does not end", at: start) }
        position += 1
        return String(decoding: text, as: UTF8.self)
    }

    private func wordEnd() -> Int {
        var end = position
        while end < bytes.count, ConditionParser.isWordByte(bytes[end]) { end += 1 }
        return end
    }

    private mutating func word() -> String? {
        let end = wordEnd()
        guard end > position else { return nil }
        defer { position = end }
        return String(decoding: bytes[position..<end], as: UTF8.self)
    }

    private mutating func takeWord(_ word: StaticString) -> Bool {
        space()
        let end = wordEnd()
        guard bytes[position..<end].elementsEqual(word.description.utf8) else { return false }
        position = end
        return true
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        byte >= 0x61 && byte <= 0x7A || byte >= 0x41 && byte <= 0x5A || byte >= 0x30 && byte <= 0x39 || byte == 0x5F
    }
}
