/// Digests of the newest messages, so that a copy is recognised: at least the last `limit`, at most twice as many.
struct RecentDigests: Hashable, Sendable {
    private let limit: Int
    private var newer: Set<UInt64> = []
    private var older: Set<UInt64> = []

    init(limit: Int) { self.limit = limit }

    /// Whether a digest is among them.
    func contains(_ digest: UInt64) -> Bool { newer.contains(digest) || older.contains(digest) }

    /// Adds a digest; false when it is there already.
    mutating func insert(_ digest: UInt64) -> Bool {
        if contains(digest) { return false }
        if newer.count >= limit {
            older = newer
            newer = []
        }
        newer.insert(digest)
        return true
    }

    var count: Int { newer.count + older.count }
}
