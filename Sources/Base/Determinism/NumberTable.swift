/// A number as a key of a dictionary, hashed by a multiplication: for numbers that we give out ourselves, which nobody
/// can choose so that they collide.
public struct Number: Hashable, Comparable, Sendable {
    /// The number.
    public var value: Int

    /// A key.
    @inlinable public init(_ value: Int) { self.value = value }

    /// By value.
    @inlinable public static func < (a: Number, b: Number) -> Bool { a.value < b.value }

    /// A number spread over all bits.
    @inlinable public static func spread(_ value: Int, _ seed: Int) -> Int {
        let product = UInt64(truncatingIfNeeded: value ^ seed) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: product ^ (product >> 32))
    }

    /// The standard library's dictionaries ask for this instead of feeding a hasher.
    @inlinable public func _rawHashValue(seed: Int) -> Int { Number.spread(value, seed) }
}

/// A dictionary from numbers that we give out ourselves.
public struct NumberTable<Value: Sendable>: Sendable {
    @usableFromInline var table: [Number: Value] = [:]

    /// An empty table.
    @inlinable public init() {}

    /// How many numbers it has.
    @inlinable public var count: Int { table.count }
    /// Whether it has none.
    @inlinable public var isEmpty: Bool { table.isEmpty }
    /// The numbers, in no order.
    @inlinable public var keys: [Int] { table.keys.map(\.value) }
    /// The values, in no order.
    @inlinable public var values: Dictionary<Number, Value>.Values { table.values }

    /// The value of a number.
    @inlinable public subscript(number: Int) -> Value? {
        get { table[Number(number)] }
        _modify { yield &table[Number(number)] }
    }

    /// The value of a number, or what it begins with.
    @inlinable public subscript(number: Int, default initial: @autoclosure () -> Value) -> Value {
        get { table[Number(number)] ?? initial() }
        _modify { yield &table[Number(number), default: initial()] }
    }

    /// Takes a number out.
    @inlinable @discardableResult public mutating func removeValue(forKey number: Int) -> Value? {
        table.removeValue(forKey: Number(number))
    }

    /// Takes all out.
    @inlinable public mutating func removeAll() { table.removeAll() }

    /// Changes the value of a number where it stands; `nil` when there is none. Assigning through the subscript moves
    /// the value out and in again, which counts for large values on a hot path.
    @inlinable @inline(__always)
    public mutating func change<Outcome>(_ number: Int, _ body: (inout Value) -> Outcome) -> Outcome? {
        guard let index = table.index(forKey: Number(number)) else { return nil }
        return body(&table.values[index])
    }
}

extension NumberTable: Equatable where Value: Equatable {}
