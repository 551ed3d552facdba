/// The zones that a program knows, by exact name. It is fed with the bytes of zone files and reads none itself.
public struct ZoneCatalog: Hashable, Sendable {
    /// The release of the data, such as `2025b`; `unknown` when it says nothing.
    public var version: String
    private var zones: [String: Zone] = ["UTC": .utc]

    /// A catalog that knows `UTC` alone.
    public init(version: String = "unknown") { self.version = version }

    /// How many zones it knows.
    public var count: Int { zones.count }

    /// All names, in order.
    public var names: [String] { zones.keys.sorted() }

    /// The zone of that exact name; `nil` when it is unknown.
    public func zone(named name: String) -> Zone? { zones[name] }

    /// Adds or replaces a zone by the bytes of its TZif file. On an error the catalog stays as it was.
    public mutating func add(_ name: String, tzif bytes: [UInt8]) throws(ZoneError) {
        zones[name] = try Zone(name: name, tzif: bytes)
    }

    /// Takes over zones that this catalog lacks: a zone that vanished from newer data keeps what it had.
    public mutating func keepMissing(from older: ZoneCatalog) {
        zones.merge(older.zones) { newer, _ in newer }
    }

    /// The release of zone data: `+VERSION` if there is one, else the first line of `tzdata.zi` (`# version 2025b`),
    /// else `unknown` (`topics/schedules.md`).
    public static func version(versionFile: [UInt8]?, source: [UInt8]?) -> String {
        if let versionFile, let word = firstWord(of: versionFile.prefix(64)) { return word }
        let mark = Array("# version ".utf8)
        if let source, source.starts(with: mark), let word = firstWord(of: source.dropFirst(mark.count).prefix(64)) {
            return word
        }
        return "unknown"
    }

    private static func firstWord(of bytes: ArraySlice<UInt8>) -> String? {
        let word = bytes.prefix { $0 > 0x20 && $0 < 0x7F }
        return word.isEmpty ? nil : String(decoding: word, as: UTF8.self)
    }
}
