/// Gives equal names as one object.
struct NamePool: Sendable {
    private var last: TaskNames?
    private var known: Set<TaskNames> = []

    /// How many different names are remembered before the pool begins anew; what is in use stays where it is used.
    static let limit = 10_000

    /// The object that stands for these names.
    mutating func names(of key: TaskKey, capability: String, owner: String) -> TaskNames {
        if let last, last.principal == key.principal, last.capability == capability, last.owner == owner,
            last.workspace == key.workspace
        {
            return last
        }
        return remember(
            TaskNames(workspace: key.workspace, principal: key.principal, capability: capability, owner: owner))
    }

    /// The same task with shared names.
    mutating func shared(_ spec: TaskSpec) -> TaskSpec {
        if let last, last == spec.names { return spec.with(names: last) }
        return spec.with(names: remember(spec.names))
    }

    private mutating func remember(_ names: TaskNames) -> TaskNames {
        if known.count >= NamePool.limit { known.removeAll() }
        let found = known.insert(names).memberAfterInsert
        last = found
        return found
    }
}

/// Finds a task's number by what names it. A key is remembered by 128 bits that depend on a secret of the process,
/// and not by its three texts: nobody can find two keys of one digest.
struct TaskIndex: Sendable {
    private struct KeyDigest: Hashable, Sendable {
        let high: Int
        let low: Int

        init(_ key: TaskKey) {
            var hasher = Hasher()
            hasher.combine(key)
            var second = hasher
            second.combine(UInt8(1))
            high = hasher.finalize()
            low = second.finalize()
        }

        static func == (a: KeyDigest, b: KeyDigest) -> Bool { a.high == b.high && a.low == b.low }
        func hash(into hasher: inout Hasher) { hasher.combine(high) }
        func _rawHashValue(seed: Int) -> Int { high ^ seed }
    }

    private var numbers: [KeyDigest: Int] = [:]

    /// How many keys there are.
    var count: Int { numbers.count }

    /// The number of the task of a key.
    subscript(key: TaskKey) -> Int? {
        get { numbers[KeyDigest(key)] }
        set { numbers[KeyDigest(key)] = newValue }
    }
}
