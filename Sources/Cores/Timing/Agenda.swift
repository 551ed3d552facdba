public import Determinism
public import TimeModel

/// When what is decided next: one moment for each key, earliest first, equal moments in the order of the keys. It also
/// counts how many keys share a moment.
public struct Agenda<Key: Hashable & Comparable & Sendable>: Sendable {
    @usableFromInline var queue = IndexedHeap<Key, WallTime>()
    @usableFromInline var crowds: [WallTime: Int] = [:]

    /// An empty agenda.
    @inlinable public init() {}

    /// How many keys have a moment.
    @inlinable public var count: Int { queue.count }

    /// The earliest moment and its first key.
    @inlinable public var first: (key: Key, moment: WallTime)? { queue.first.map { ($0.key, $0.priority) } }

    /// How many keys have this moment.
    @inlinable public func crowd(at moment: WallTime) -> Int { crowds[moment] ?? 0 }

    /// Gives a key its moment, or none.
    @inlinable public mutating func set(_ key: Key, _ moment: WallTime?) {
        let before = queue.priority(of: key)
        guard before != moment else { return }
        if let before {
            let number = (crowds[before] ?? 0) - 1
            crowds[before] = number > 0 ? number : nil
        }
        guard let moment else {
            queue.remove(key)
            return
        }
        crowds[moment, default: 0] += 1
        queue.set(key, moment)
    }
}
