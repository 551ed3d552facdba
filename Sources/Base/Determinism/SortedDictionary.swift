/// A small dictionary that keeps its keys sorted, so that walking it is deterministic. Finding is O(log n), inserting
/// O(n): meant for up to a few thousand keys; larger tables use a plain dictionary that is never walked unsorted.
public struct SortedDictionary<Key: Comparable & Sendable, Value: Sendable>: Sendable {
    /// The keys in rising order.
    @inlinable public var keys: [Key] { order }
    @usableFromInline var order: [Key] = []
    @usableFromInline var storage: [Value] = []

    /// An empty dictionary.
    @inlinable public init() {}

    /// How many entries there are.
    @inlinable public var count: Int { order.count }
    /// Whether there is no entry.
    @inlinable public var isEmpty: Bool { order.isEmpty }
    /// The values in the order of their keys.
    @inlinable public var values: [Value] { storage }

    /// The value of a key; assigning `nil` removes it.
    @inlinable public subscript(key: Key) -> Value? {
        get {
            let at = lowerBound(key)
            return at < order.count && order[at] == key ? storage[at] : nil
        }
        set {
            let at = lowerBound(key)
            let found = at < order.count && order[at] == key
            switch (found, newValue) {
            case (true, let value?): storage[at] = value
            case (true, nil):
                order.remove(at: at)
                storage.remove(at: at)
            case (false, let value?):
                order.insert(key, at: at)
                storage.insert(value, at: at)
            case (false, nil): break
            }
        }
    }

    /// Changes the value of a key in place, starting from `initial` when there is none.
    @inlinable public mutating func update(
        _ key: Key, initial: @autoclosure () -> Value, _ change: (inout Value) -> Void
    ) {
        let at = lowerBound(key)
        if !(at < order.count && order[at] == key) {
            order.insert(key, at: at)
            storage.insert(initial(), at: at)
        }
        change(&storage[at])
    }

    /// Removes everything.
    @inlinable public mutating func removeAll() {
        order.removeAll()
        storage.removeAll()
    }

    @inlinable func lowerBound(_ key: Key) -> Int {
        var (low, high) = (0, order.count)
        while low < high {
            let middle = (low + high) / 2
            if order[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension SortedDictionary: Equatable where Value: Equatable {}
extension SortedDictionary: Sequence {
    /// Walks the entries in the order of their keys.
    @inlinable public func makeIterator() -> Zip2Sequence<[Key], [Value]>.Iterator {
        zip(order, storage).makeIterator()
    }
}
