public import Wire

/// The effective configuration of a program: every declared key with its value and where it comes from.
public struct Configuration: Sendable {
    /// One key's value.
    public struct Entry: Sendable {
        /// The key.
        public var key: ConfigurationKey
        /// Its value; `nil`: not set, and without default.
        public var value: ConfigurationValue?
        /// Where the value comes from.
        public var origin: ConfigurationOrigin
    }

    /// All keys, in the order of their declaration.
    public private(set) var entries: [Entry]
    /// What the command line has besides flags.
    public var arguments: [String] = []
    private var positions: [String: Int] = [:]

    /// The defaults of a table of keys. A default that its own key refuses is a fault of the program.
    public init(keys: [ConfigurationKey]) {
        entries = keys.map { key in
            let value = key.standard.map { text in
                guard let value = key.read(text) else {
                    preconditionFailure("the default of \(key.path) is not \(key.expectation)")
                }
                return value
            }
            return Entry(key: key, value: value, origin: .standard)
        }
        for (index, entry) in entries.enumerated() { positions[entry.key.path] = index }
        precondition(positions.count == entries.count, "a configuration key is declared twice")
    }

    /// Sets a value; a later origin goes before an earlier one.
    mutating func set(_ path: String, _ value: ConfigurationValue, _ origin: ConfigurationOrigin) {
        guard let position = positions[path] else { return }
        entries[position].value = value
        entries[position].origin = origin
    }

    /// The entry of a declared key.
    public func entry(_ path: String) -> Entry {
        guard let position = positions[path] else { preconditionFailure("\(path) is not a declared configuration key") }
        return entries[position]
    }

    /// A text, or `nil` when it is not set.
    public func text(_ path: String) -> String? {
        guard case .text(let text) = entry(path).value else { return nil }
        return text
    }

    /// An integer or a duration in ms, or `nil` when it is not set.
    public func optionalInteger(_ path: String) -> Int? {
        guard case .integer(let number) = entry(path).value else { return nil }
        return number
    }

    /// An integer or a duration in ms of a key that has a default.
    public func integer(_ path: String) -> Int {
        guard let number = optionalInteger(path) else { preconditionFailure("\(path) has no default") }
        return number
    }

    /// True or false; false when it is not set.
    public func bool(_ path: String) -> Bool { entry(path).value == .bool(true) }

    /// Texts; none when it is not set.
    public func list(_ path: String) -> [String] {
        guard case .list(let list) = entry(path).value else { return [] }
        return list
    }

    /// A JSON value, or `nil` when it is not set.
    public func json(_ path: String) -> RawJSON? {
        guard case .json(let raw) = entry(path).value else { return nil }
        return raw
    }

    /// One line a key: path, value, unit, origin; what a secret file holds is never shown.
    public var listing: String {
        var lines = ""
        for entry in entries {
            let shown = entry.value.map { entry.key.isSecretFile ? "***" : $0.text } ?? "-"
            let unit = entry.key.unit.isEmpty ? "" : " \(entry.key.unit)"
            lines += "\(entry.key.path) \(shown)\(unit)  \(entry.origin)\n"
        }
        return lines
    }

    /// The effective values as one JSON object, sections nested, keys in the order of their declaration: what a core gets
    /// when the configuration was read again.
    public var encoded: [UInt8] {
        var writer = JSONWriter()
        writer.object { object in
            var sections: [String] = []
            for entry in entries where entry.value != nil {
                let section = Self.section(entry.key.path)
                if !sections.contains(section) { sections.append(section) }
            }
            for section in sections {
                if section.isEmpty {
                    encodeSection(section, into: &object)
                } else {
                    object.field(named: section) { $0.object { encodeSection(section, into: &$0) } }
                }
            }
        }
        return writer.bytes
    }

    private func encodeSection(_ section: String, into object: inout JSONWriter) {
        for entry in entries where Self.section(entry.key.path) == section {
            let name = section.isEmpty ? entry.key.path : String(entry.key.path.dropFirst(section.count + 1))
            guard let value = entry.value else { continue }
            object.key(named: name)
            switch value {
            case .text(let text): object.value(text)
            case .integer(let number): object.value(number)
            case .bool(let flag): object.value(flag)
            case .list(let list):
                object.beginArray()
                for text in list { object.value(text) }
                object.endArray()
            case .json(let raw): object.value(raw)
            }
        }
    }

    /// The part of a path before its first dot; empty when it has none.
    static func section(_ path: String) -> String {
        path.firstIndex(of: ".").map { String(path[..<$0]) } ?? ""
    }

    /// Names the keys that differ from another configuration and take effect only after a restart.
    public func restartKeys(changedFrom other: Configuration) -> [String] {
        entries.filter { $0.key.needsRestart && $0.value != other.entry($0.key.path).value }.map(\.key.path)
    }
}
