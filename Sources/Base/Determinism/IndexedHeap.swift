/// A priority queue whose elements can be moved and removed by their key: push, update, remove and pop in O(log n).
/// Ties are broken by the key, so that the order never depends on hashing.
public struct IndexedHeap<Key: Hashable & Comparable & Sendable, Priority: Comparable & Sendable>: Sendable {
    @usableFromInline var entries: [(priority: Priority, key: Key)] = []
    @usableFromInline var positions: [Place: Int32] = [:]

    /// A key of `positions`; a number is hashed as `Number` is.
    @usableFromInline struct Place: Hashable, Sendable {
        @usableFromInline var key: Key

        @inlinable init(_ key: Key) { self.key = key }

        @inlinable func _rawHashValue(seed: Int) -> Int {
            // The first half is known when the code is made; the cast alone would be done for each key.
            if Key.self == Int.self, let number = key as? Int { return Number.spread(number, seed) }
            return key._rawHashValue(seed: seed)
        }
    }

    /// An empty queue.
    @inlinable public init() {}

    /// How many keys are queued.
    @inlinable public var count: Int { entries.count }
    /// Whether nothing is queued.
    @inlinable public var isEmpty: Bool { entries.isEmpty }
    /// The least entry.
    @inlinable public var first: (key: Key, priority: Priority)? { entries.first.map { ($0.key, $0.priority) } }

    /// The priority under which `key` is queued.
    @inlinable public func priority(of key: Key) -> Priority? {
        positions[Place(key)].map { entries[Int($0)].priority }
    }

    /// Whether `key` is queued.
    @inlinable public func contains(_ key: Key) -> Bool { positions[Place(key)] != nil }

    /// Queues `key`, or moves it if it is queued already.
    @inlinable public mutating func set(_ key: Key, _ priority: Priority) {
        if let at = positions[Place(key)].map(Int.init) {
            let old = entries[at].priority
            entries[at].priority = priority
            if priority < old { siftUp(at) } else { siftDown(at) }
        } else {
            entries.append((priority, key))
            positions[Place(key)] = Int32(entries.count - 1)
            siftUp(entries.count - 1)
        }
    }

    /// Removes `key`; returns whether it was queued.
    @inlinable @discardableResult public mutating func remove(_ key: Key) -> Bool {
        guard let at = positions.removeValue(forKey: Place(key)).map(Int.init) else { return false }
        let last = entries.removeLast()
        if at < entries.count {
            entries[at] = last
            positions[Place(last.key)] = Int32(at)
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

    @inlinable mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0, precedes(child, (child - 1) / 2) {
            let parent = (child - 1) / 2
            entries.swapAt(child, parent)
            positions[Place(entries[child].key)] = Int32(child)
            child = parent
        }
        if child != start { positions[Place(entries[child].key)] = Int32(child) }
    }

    @inlinable mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            let left = 2 * parent + 1
            guard left < entries.count else { break }
            let right = left + 1
            let child = right < entries.count && precedes(right, left) ? right : left
            guard precedes(child, parent) else { break }
            entries.swapAt(parent, child)
            positions[Place(entries[parent].key)] = Int32(parent)
            parent = child
        }
        if parent != start { positions[Place(entries[parent].key)] = Int32(parent) }
    }
}
