/// A priority queue whose elements can be moved and removed by their key: push, update, remove and pop in O(log n).
/// Ties are broken by the key, so that the order never depends on hashing.
public struct IndexedHeap<Key: Hashable & Comparable & Sendable, Priority: Comparable & Sendable>: Sendable {
    @usableFromInline var entries: [(priority: Priority, key: Key)] = []
    @usableFromInline var positions: [Key: Int] = [:]

    /// An empty queue.
    @inlinable public init() {}

    /// How many keys are queued.
    @inlinable public var count: Int { entries.count }
    /// Whether nothing is queued.
    @inlinable public var isEmpty: Bool { entries.isEmpty }
    /// The least entry.
    @inlinable public var first: (key: Key, priority: Priority)? { entries.first.map { ($0.key, $0.priority) } }

    /// The priority under which `key` is queued.
    @inlinable public func priority(of key: Key) -> Priority? { positions[key].map { entries[$0].priority } }

    /// Whether `key` is queued.
    @inlinable public func contains(_ key: Key) -> Bool { positions[key] != nil }

    /// Queues `key`, or moves it if it is queued already.
    @inlinable public mutating func set(_ key: Key, _ priority: Priority) {
        if let at = positions[key] {
            let old = entries[at].priority
            entries[at].priority = priority
            if priority < old { siftUp(at) } else { siftDown(at) }
        } else {
            entries.append((priority, key))
            positions[key] = entries.count - 1
            siftUp(entries.count - 1)
        }
    }

    /// Removes `key`; returns whether it was queued.
    @inlinable @discardableResult public mutating func remove(_ key: Key) -> Bool {
        guard let at = positions.removeValue(forKey: key) else { return false }
        let last = entries.removeLast()
        if at < entries.count {
            entries[at] = last
            positions[last.key] = at
            siftDown(at)
            siftUp(at)
        }
        return true
    }

    /// Removes and returns the least entry.
    @inlinable public mutating func popFirst() -> (key: Key, priority: Priority)? {
        guard let top = first else { return nil }
        remove(top.key)
        return top
    }

    @inlinable func precedes(_ a: Int, _ b: Int) -> Bool {
        let (x, y) = (entries[a], entries[b])
        return x.priority < y.priority || (x.priority == y.priority && x.key < y.key)
    }

    @inlinable mutating func swap(_ a: Int, _ b: Int) {
        entries.swapAt(a, b)
        positions[entries[a].key] = a
        positions[entries[b].key] = b
    }

    @inlinable mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0, precedes(child, (child - 1) / 2) {
            swap(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    @inlinable mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count && precedes(child, least) {
                least = child
            }
            if least == parent { return }
            swap(parent, least)
            parent = least
        }
    }
}
