import Contract
import Wire

/// One fault of a manifest.
public struct ManifestProblem: Hashable, Sendable {
    /// Where: key names joined by `.`, positions in brackets; empty for the whole file.
    public var path: String
    /// What was expected.
    public var expectation: String
    /// The nearest known key, for an unknown one.
    public var suggestion: String?

    /// A fault.
    public init(_ path: String, _ expectation: String, suggestion: String? = nil) {
        self.path = path
        self.expectation = expectation
        self.suggestion = suggestion
    }

    /// One line for people.
    public var text: String {
        let place = path.isEmpty ? "" : "\(path): "
        return place + expectation + (suggestion.map { "; did you mean \"\($0)\"?" } ?? "")
    }
}

/// A manifest that cannot be used, with all its faults.
public struct ManifestError: Error, Hashable, Sendable {
    /// The faults in the order of the file.
    public var problems: [ManifestProblem]
}

extension Manifest {
    /// Reads a manifest: JSON, in which lines that begin with `//` are comments. `folder` is where relative paths of
    /// directories and programs begin. Throws all faults at once.
    public init(reading bytes: [UInt8], folder: String) throws(ManifestError) {
        let text = Manifest.withoutComments(bytes)
        let document: RawJSON
        do {
            document = try RawJSON(validating: text)
        } catch {
            let line = text.prefix(error.offset).count { $0 == 0x0A } + 1
            throw ManifestError(problems: [ManifestProblem("", "not JSON at line \(line): \(error.reason)")])
        }
        var reader = ManifestReader(folder: folder)
        let manifest = reader.manifest(JSONValue(document))
        if !reader.problems.isEmpty { throw ManifestError(problems: reader.problems) }
        self = manifest
    }

    /// The same bytes with blanks in place of comment lines, so that offsets and line numbers stay.
    private static func withoutComments(_ bytes: [UInt8]) -> [UInt8] {
        var text = bytes
        var start = 0
        while start < text.count {
            let end = text[start...].firstIndex(of: 0x0A) ?? text.count
            let line = text[start..<end].drop { $0 == 0x20 || $0 == 0x09 }
            if line.starts(with: [0x2F, 0x2F]) { for index in start..<end { text[index] = 0x20 } }
            start = end + 1
        }
        return text
    }
}

/// Reads a manifest field by field and notes every fault on its way.
struct ManifestReader {
    let folder: String
    var problems: [ManifestProblem] = []

    /// What stands beside the card's own fields for all commands, or for one.
    static let commandKeys = ["directory", "environment", "memory_limit_mb", "output_limit", "stop_grace_ms"]
    private static let cardKeys = [
        "type", "version", "modes", "slots", "labels", "beat_ms", "accept_ms", "will_grace_ms", "reserved",
    ]
    private static let ownKeys = ["capabilities", "wait_ms", "drain_ms"]
    static let entryKeys = [
        "name", "version", "kind", "cost", "timeout_ms", "priority", "slot_cost", "max_concurrent", "exclusive",
        "delivery", "input_schema", "output_schema", "actions", "expected_ms", "lease_ms",
    ]

    init(folder: String) { self.folder = folder }

    mutating func manifest(_ document: JSONValue) -> Manifest {
        var manifest = Manifest(capabilities: [])
        guard case .object(let fields) = document else {
            problems.append(ManifestProblem("", "expected an object"))
            return manifest
        }
        var common = Command([])
        common.directory = folder.isEmpty ? nil : folder
        var list: JSONValue?
        for field in fields {
            switch field.key {
            case "capabilities": list = field.value
            case "wait_ms": manifest.waitMs = integer(field, field.key, 0...Limits.claimMs) ?? manifest.waitMs
            case "drain_ms": manifest.drainMs = integer(field, field.key, 0...86_400_000) ?? manifest.drainMs
            case let key where Self.cardKeys.contains(key): readCard(field, into: &manifest.card)
            case let key where Self.commandKeys.contains(key): readCommand(field, field.key, into: &common)
            default: unknown(field.key, at: field.key, known: Self.cardKeys + Self.ownKeys + Self.commandKeys)
            }
        }
        guard let list else {
            problems.append(ManifestProblem("capabilities", "missing: a list of what the executor offers"))
            return manifest
        }
        manifest.capabilities = capabilities(list, common)
        judge(manifest)
        return manifest
    }

    private mutating func readCard(_ field: JSONValue.Field, into card: inout Card) {
        var part = Card(boot: "", rev: 0, capabilities: [])
        let text = RawJSON { writer in
            writer.object {
                $0.field("boot", "x")
                $0.field("capabilities", [String]())
                $0.field(named: field.key) { $0.value(field.value) }
            }
        }
        do {
            part = try Card(text)
        } catch {
            problems.append(ManifestProblem(error.path, error.reason))
            return
        }
        switch field.key {
        case "type": card.type = part.type
        case "version": card.version = part.version
        case "modes": card.modes = part.modes
        case "slots": card.slots = part.slots
        case "labels": card.labels = part.labels
        case "beat_ms": card.beatMs = part.beatMs
        case "accept_ms": card.acceptMs = part.acceptMs
        case "will_grace_ms": card.willGraceMs = part.willGraceMs
        default: card.reserved = part.reserved
        }
    }

    /// Reads one of the fields that say how a program is run.
    mutating func readCommand(_ field: JSONValue.Field, _ path: String, into command: inout Command) {
        switch field.key {
        case "directory": command.directory = text(field, path).map(resolved) ?? command.directory
        case "environment":
            guard let names = texts(field, path, limit: Limits.environmentNames) else { return }
            for name in names where !ManifestReader.isVariable(name) {
                problems.append(ManifestProblem(path, "\"\(name)\" is neither a name nor NAME=value"))
            }
            command.environment = names
        case "memory_limit_mb":
            command.memoryLimitMB = integer(field, path, 1...1_048_576) ?? command.memoryLimitMB
        case "output_limit": command.outputLimit = integer(field, path, 1...Limits.payload) ?? command.outputLimit
        default: command.stopGraceMs = integer(field, path, 0...600_000) ?? command.stopGraceMs
        }
    }

    private static func isVariable(_ text: String) -> Bool {
        let name = text.utf8.prefix { $0 != UInt8(ascii: "=") }
        guard let first = name.first, !(0x30...0x39).contains(first) else { return false }
        return name.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x5F
        }
    }

    /// A path below the manifest's folder, unless it is absolute.
    func resolved(_ path: String) -> String {
        if path.hasPrefix("/") || folder.isEmpty { return path }
        return path == "." ? folder : folder + "/" + path
    }

    private mutating func judge(_ manifest: Manifest) {
        let slots = manifest.slots
        if let reserved = manifest.card.reserved, reserved > slots {
            problems.append(ManifestProblem("reserved", "\(reserved) of \(slots) slots cannot be reserved"))
        }
        for (index, capability) in manifest.capabilities.enumerated() {
            let path = "capabilities[\(index)]"
            if capability.slotCost > slots {
                problems.append(ManifestProblem("\(path).slot_cost", "more than the \(slots) slots of this executor"))
            }
            let lease = capability.entry.leaseMs ?? Defaults.leaseMs
            if lease < 2 * manifest.beatMs {
                let text = "\(lease) is less than two beats of \(manifest.beatMs) ms: every lease would run out"
                problems.append(ManifestProblem("\(path).lease_ms", text))
            }
            if manifest.capabilities[..<index].contains(where: { $0.entry.name == capability.entry.name }) {
                problems.append(ManifestProblem("\(path).name", "\"\(capability.entry.name)\" is there twice"))
            }
        }
        var card = manifest.card
        card.capabilities = manifest.capabilities.map(\.entry)
        if problems.isEmpty, card.encoded.count > Limits.payload {
            problems.append(ManifestProblem("", "the card would be larger than \(Limits.payload) bytes"))
        }
    }
}

extension ManifestReader {
    mutating func unknown(_ key: String, at path: String, known: [String]) {
        problems.append(ManifestProblem(path, "unknown key", suggestion: Names.nearest(to: key, in: known)))
    }

    mutating func integer(_ field: JSONValue.Field, _ path: String, _ range: ClosedRange<Int>) -> Int? {
        guard let value = field.value.intValue, range.contains(value) else {
            let text = "expected an integer from \(range.lowerBound) to \(range.upperBound)"
            problems.append(ManifestProblem(path, text))
            return nil
        }
        return value
    }

    mutating func text(_ field: JSONValue.Field, _ path: String) -> String? {
        guard let value = field.value.stringValue, !value.isEmpty, !value.utf8.contains(0) else {
            problems.append(ManifestProblem(path, "expected a text that is not empty"))
            return nil
        }
        return value
    }

    mutating func word<Word: RawRepresentable & CaseIterable>(_ field: JSONValue.Field, _ path: String) -> Word?
    where Word.RawValue == String {
        if let word = field.value.stringValue.flatMap(Word.init(rawValue:)) { return word }
        let words = Word.allCases.map(\.rawValue)
        let nearest = field.value.stringValue.flatMap { Names.nearest(to: $0, in: words) }
        let text = "expected one of \(words.joined(separator: ", "))"
        problems.append(ManifestProblem(path, text, suggestion: nearest))
        return nil
    }

    mutating func texts(_ field: JSONValue.Field, _ path: String, limit: Int) -> [String]? {
        guard case .array(let list) = field.value, list.count <= limit else {
            problems.append(ManifestProblem(path, "expected a list of at most \(limit) texts"))
            return nil
        }
        let texts = list.compactMap(\.stringValue)
        guard texts.count == list.count, texts.allSatisfy({ !$0.utf8.contains(0) }) else {
            problems.append(ManifestProblem(path, "expected texts only"))
            return nil
        }
        return texts
    }
}
