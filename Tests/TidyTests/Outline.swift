/// A declaration of a Swift file.
struct Declaration: Sendable {
    /// Its keyword: `func`, `init`, `struct`, `case` …
    var kind: String
    /// Its name; that of an operator or an initialiser is empty.
    var name: String
    /// The line of its first attribute or modifier.
    var line: Int
    /// The line of the brace that ends its body; its own without one.
    var lastLine: Int
    /// The words in front of its keyword.
    var modifiers: [String]
    /// The names of its attributes.
    var attributes: [String]
    /// How many parameters a function takes.
    var parameters = 0
    /// Whether a function says what it returns.
    var returnsValue = false
    /// The position, in the outline, of the type or extension it is a member of; `nil` at the file's top.
    var owner: Int?
    /// Whether it is inside a function's body.
    var isLocal: Bool

    /// Whether it is public by its own word.
    var isPublic: Bool { modifiers.contains("public") || modifiers.contains("open") }
}

/// Finds the declarations in the tokens of a Swift file.
struct Outline {
    private enum Scope {
        case type(Int)
        case code(Int?)
    }

    private static let types: Set<String> = ["struct", "enum", "class", "actor", "protocol", "extension"]
    private static let callables: Set<String> = ["func", "init", "subscript", "deinit"]
    private static let others: Set<String> = ["var", "let", "case", "typealias", "associatedtype"]
    private static let modifiers: Set<String> = [
        "public", "private", "fileprivate", "internal", "package", "open", "static", "final", "mutating",
        "nonmutating", "override", "indirect", "lazy", "weak", "unowned", "nonisolated", "convenience", "required",
        "borrowing", "consuming", "prefix", "postfix", "infix",
    ]

    private let tokens: [Token]
    private var position = 0
    private var scopes: [Scope] = []
    private var awaitingBody: Int?
    private var pendingModifiers: [String] = []
    private var pendingAttributes: [String] = []
    private var pendingLine: Int?
    private var found: [Declaration] = []

    private init(_ tokens: [Token]) { self.tokens = tokens }

    /// The declarations in the order of their keywords.
    static func declarations(of tokens: [Token]) -> [Declaration] {
        var outline = Outline(tokens)
        while outline.position < tokens.count { outline.step() }
        return outline.found
    }

    private func text(_ at: Int) -> String {
        tokens.indices.contains(at) ? tokens[at].text : ""
    }

    private mutating func step() {
        let token = tokens[position]
        switch token.text {
        case "@" where token.kind == .symbol: takeAttribute(token.line)
        case "{":
            openScope()
            position += 1
        case "}":
            closeScope(token.line)
            position += 1
        case _ where token.kind == .word && isModifier(): takeModifier(token)
        case _ where token.kind == .word && isDeclaration(token.text): takeDeclaration(token)
        default:
            forgetPending()
            position += 1
        }
    }

    private mutating func forgetPending() {
        pendingModifiers = []
        pendingAttributes = []
        pendingLine = nil
    }

    private mutating func takeAttribute(_ line: Int) {
        pendingLine = pendingLine ?? line
        pendingAttributes.append(text(position + 1))
        position += 2
        if text(position) == "(", tokens[position].adjacent { position = behindGroup(position) }
    }

    private func isModifier() -> Bool {
        let word = text(position)
        if word == "class" { return ["func", "var", "let", "subscript"].contains(text(position + 1)) }
        guard Outline.modifiers.contains(word), text(position - 1) != "." else { return false }
        let next = text(position + 1)
        return next != "("
            ? !["=", ":", ",", ".", ")"].contains(next) : ["set", "unsafe"].contains(text(position + 2))
    }

    private mutating func takeModifier(_ token: Token) {
        pendingLine = pendingLine ?? token.line
        pendingModifiers.append(token.text)
        position += 1
        if text(position) == "(" { position = behindGroup(position) }
    }

    private var isInCode: Bool {
        if case .code = scopes.last { true } else { false }
    }

    private var owner: Int? {
        if case .type(let index) = scopes.last { index } else { nil }
    }

    private func isDeclaration(_ word: String) -> Bool {
        guard text(position - 1) != "." else { return false }
        switch word {
        case "func": return true
        case "actor", "extension", "struct", "enum", "class", "protocol":
            return position + 1 < tokens.count && tokens[position + 1].kind == .word
        case "init", "subscript", "deinit": return !isInCode && owner != nil
        case "case": return owner.map { found[$0].kind == "enum" } ?? false
        default: return Outline.others.contains(word) && !isInCode
        }
    }

    private mutating func takeDeclaration(_ token: Token) {
        var declaration = Declaration(
            kind: token.text, name: "", line: pendingLine ?? token.line, lastLine: token.line,
            modifiers: pendingModifiers, attributes: pendingAttributes, owner: owner, isLocal: isInCode)
        forgetPending()
        awaitingBody = nil
        position += 1
        if position < tokens.count, tokens[position].kind == .word, !["init", "deinit"].contains(declaration.kind) {
            declaration.name = text(position)
            position += 1
        }
        if Outline.callables.contains(declaration.kind), declaration.kind != "deinit" { takeSignature(&declaration) }
        found.append(declaration)
        if Outline.types.contains(declaration.kind) || Outline.callables.contains(declaration.kind) {
            awaitingBody = found.count - 1
        }
    }

    private mutating func takeSignature(_ declaration: inout Declaration) {
        while position < tokens.count, text(position) != "(" { position += 1 }
        let end = behindGroup(position)
        declaration.parameters = parameters(from: position + 1, to: end - 1)
        var next = end
        while ["async", "throws", "rethrows"].contains(text(next)) {
            next += 1
            if text(next) == "(" { next = behindGroup(next) }
        }
        declaration.returnsValue = text(next) == "-" && text(next + 1) == ">"
        position = end
    }

    /// Counts the commas outside of inner brackets.
    private func parameters(from start: Int, to end: Int) -> Int {
        guard start < end else { return 0 }
        var depth = 0
        var count = 1
        for index in start..<end {
            switch text(index) {
            case "(", "[", "{": depth += 1
            case ")", "]", "}": depth -= 1
            case "<" where tokens[index].adjacent: depth += 1
            case ">" where depth > 0 && text(index - 1) != "-": depth -= 1
            case "," where depth == 0 && index + 1 < end: count += 1
            default: break
            }
        }
        return count
    }

    /// The position behind the bracket that closes the one here.
    private func behindGroup(_ start: Int) -> Int {
        var depth = 0
        for index in start..<max(start, tokens.count) {
            switch text(index) {
            case "(", "[", "{": depth += 1
            case ")", "]", "}":
                depth -= 1
                if depth == 0 { return index + 1 }
            default: break
            }
        }
        return tokens.count
    }

    private mutating func openScope() {
        forgetPending()
        if let index = awaitingBody, Outline.types.contains(found[index].kind) {
            scopes.append(.type(index))
        } else {
            scopes.append(.code(awaitingBody))
        }
        awaitingBody = nil
    }

    private mutating func closeScope(_ line: Int) {
        forgetPending()
        awaitingBody = nil
        switch scopes.popLast() {
        case .type(let index), .code(.some(let index)): found[index].lastLine = line
        default: break
        }
    }
}
