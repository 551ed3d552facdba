/// What a workspace takes up at the moment (`topics/tasks.md`, quotas).
struct WorkspaceUse: Hashable, Sendable {
    /// Live tasks.
    private(set) var tasks = 0
    /// Their bytes.
    private(set) var bytes = 0

    /// A task of `size` bytes has come.
    mutating func add(_ size: Int) {
        tasks += 1
        bytes += size
    }

    /// A task has become so much larger.
    mutating func change(by size: Int) { bytes += size }

    /// A task of `size` bytes has ended.
    mutating func remove(_ size: Int) {
        tasks -= 1
        bytes -= size
    }
}
