/// A small dictionary that keeps its keys sorted, so that walking it is deterministic. Finding is O(log n), inserting
/// O(n): meant for up to a few thousand keys; larger tables use a plain dictionary that is never walked unsorted.
public struct SortedDictionary<Key: Comparable & Sendable, Value: Sendable>: Sendable {
    /// The keys in rising order.
    public private(set) var keys: [Key] = []
    private var storage: [Value] = []

    /// An empty dictionary.
    public init() {}

    /// How many entries there are.
    public var count: Int { keys.count }
    /// Whether there is no entry.
    public var isEmpty: Bool { keys.isEmpty }
    /// The values in the order of their keys.
    public var values: [Value] { storage }

    /// The value of a key; assigning `nil` removes it.
    public subscript(key: Key) -> Value? {
        get {
            let at = lowerBound(key)
            return at < keys.count && keys[at] == key ? storage[at] : nil
        }
        set {
            let at = lowerBound(key)
            let found = at < keys.count && keys[at] == key
            switch (found, newValue) {
            case (true, let value?): storage[at] = value
            case (true, nil):
                keys.remove(at: at)
                storage.remove(at: at)
            case (false, let value?):
                keys.insert(key, at: at)
                storage.insert(value, at: at)
            case (false, nil): break
            }
        }
    }

    /// Changes the value of a key in place, starting from `initial` when there is none.
    public mutating func update(_ key: Key, initial: @autoclosure () -> Value, _ change: (inout Value) -> Void) {
        let at = lowerBound(key)
        if !(at < keys.count && keys[at] == key) {
            keys.insert(key, at: at)
            storage.insert(initial(), at: at)
        }
        change(&storage[at])
    }

    /// Removes everything.
    public mutating func removeAll() {
        keys.removeAll()
        storage.removeAll()
    }

    private func lowerBound(_ key: Key) -> Int {
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension SortedDictionary: Equatable where Value: Equatable {}
extension SortedDictionary: Sequence {
    /// Walks the entries in the order of their keys.
    public func makeIterator() -> Zip2Sequence<[Key], [Value]>.Iterator { zip(keys, storage).makeIterator() }
}
