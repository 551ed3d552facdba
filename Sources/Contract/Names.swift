/// The grammar of names (`topics/README.md`, names).
public enum Names {
    /// The longest name in bytes.
    public static let limit = 64
    /// The longest task id, event key and notification key in bytes: a schedule's run and a plan's step are composed.
    public static let idLimit = 128
    /// The workspace that is used when none is named.
    public static let defaultWorkspace = "main"
    /// The first topic level of what belongs to the services themselves; no workspace can have it.
    public static let systemWorkspace = "_sys"
    /// Name and major version of the protocol, the second topic level.
    public static let protocolLevel = "martlet1"
    /// The capability that runs a plan; no executor can offer it.
    public static let planCapability = "plan"
    /// The capability level of messages to an executor that concern no capability.
    public static let noCapability = "_"

    /// Whether `text` is a name: a letter or digit, then letters, digits, `.`, `_`, `~`, `-`, at most 64 bytes.
    public static func isName(_ text: String) -> Bool { matches(text, limit: limit) }

    /// Whether `text` is a task id: as a name, at most 128 bytes.
    public static func isID(_ text: String) -> Bool { matches(text, limit: idLimit) }

    private static func matches(_ text: String, limit: Int) -> Bool {
        var count = 0
        for byte in text.utf8 {
            count += 1
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: continue
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "-"):
                if count == 1 { return false }
            default: return false
            }
        }
        return count > 0 && count <= limit
    }

    /// The nearest of `candidates` to `text` by edits, if it is near enough to suggest; ties by the order of the names.
    public static func nearest(to text: String, in candidates: [String]) -> String? {
        var best: (distance: Int, name: String)?
        for name in candidates.sorted() {
            let distance = editDistance(Array(text.utf8), Array(name.utf8))
            if distance <= max(1, text.utf8.count / 3), distance < best?.distance ?? .max { best = (distance, name) }
        }
        return best?.name
    }

    private static func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let next = min(row[j] + 1, row[j + 1] + 1, diagonal + (x == y ? 0 : 1))
                diagonal = row[j + 1]
                row[j + 1] = next
            }
        }
        return row[b.count]
    }
}
