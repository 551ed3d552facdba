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

/// A dictionary from numbers that we give out ourselves. The values stand side by side, and only their places are
/// hashed: half of a dictionary's slots are empty on average, and a value may be large. The last value fills a gap.
public struct NumberTable<Value: Sendable>: Sendable {
    @usableFromInline var places: [Number: Int32] = [:]
    /// The number of the value at each place.
    @usableFromInline var numbers: [Int] = []
    @usableFromInline var slots: [Value] = []

    /// So many slots are kept when the table has become empty.
    @usableFromInline static var keptSlots: Int { 256 }

    /// An empty table.
    @inlinable public init() {}

    /// How many numbers it has.
    @inlinable public var count: Int { slots.count }
    /// Whether it has none.
    @inlinable public var isEmpty: Bool { slots.isEmpty }
    /// The numbers, in no order.
    @inlinable public var keys: [Int] { numbers }
    /// The values, in no order.
    @inlinable public var values: [Value] { slots }

    /// The value of a number.
    @inlinable public subscript(number: Int) -> Value? {
        get {
            guard let place = places[Number(number)] else { return nil }
            return slots[Int(place)]
        }
        set {
            guard let value = newValue else {
                removeValue(forKey: number)
                return
            }
            if let place = places[Number(number)] { slots[Int(place)] = value } else { insert(number, value) }
        }
        _modify {
            var value = lift(number)
            let wasThere = value != nil
            defer { settle(number, value, wasThere) }
            yield &value
        }
    }

    /// The value of a number, or what it begins with.
    @inlinable public subscript(number: Int, default initial: @autoclosure () -> Value) -> Value {
        get { self[number] ?? initial() }
        _modify {
            let place = places[Number(number)] ?? insert(number, initial())
            yield &slots[Int(place)]
        }
    }

    /// Takes a number out.
    @inlinable @discardableResult public mutating func removeValue(forKey number: Int) -> Value? {
        guard let value = lift(number) else { return nil }
        settle(number, nil, true)
        return value
    }

    /// Takes all out.
    @inlinable public mutating func removeAll() { self = NumberTable() }

    /// Changes the value of a number where it stands; `nil` when there is none. Assigning through the subscript moves
    /// the value out and in again, which counts for large values on a hot path.
    @inlinable @inline(__always)
    public mutating func change<Outcome>(_ number: Int, _ body: (inout Value) -> Outcome) -> Outcome? {
        guard let place = places[Number(number)] else { return nil }
        return body(&slots[Int(place)])
    }

    @inlinable @discardableResult mutating func insert(_ number: Int, _ value: Value) -> Int32 {
        let place = Int32(slots.count)
        slots.append(value)
        numbers.append(number)
        places[Number(number)] = place
        return place
    }

    /// Moves the value of a number out; the last one stands in its place until `settle`.
    @inlinable mutating func lift(_ number: Int) -> Value? {
        guard let place = places[Number(number)].map(Int.init) else { return nil }
        slots.swapAt(place, slots.count - 1)
        return slots.removeLast()
    }

    /// Puts a value where it was lifted out, or where none was; without one the place is given up.
    @inlinable mutating func settle(_ number: Int, _ value: Value?, _ wasThere: Bool) {
        guard wasThere else {
            if let value { insert(number, value) }
            return
        }
        guard let place = places[Number(number)].map(Int.init) else { return }
        if let value {
            slots.append(value)
            return slots.swapAt(place, slots.count - 1)
        }
        places[Number(number)] = nil
        let last = numbers.removeLast()
        if last != number {
            numbers[place] = last
            places[Number(last)] = Int32(place)
        }
        // A table that has become empty gives back what it had grown to.
        if slots.isEmpty, slots.capacity > NumberTable.keptSlots { self = NumberTable() }
    }
}

extension NumberTable: Equatable where Value: Equatable {
    /// Equal values of equal numbers.
    @inlinable public static func == (a: NumberTable, b: NumberTable) -> Bool {
        a.count == b.count && a.places.keys.allSatisfy { a[$0.value] == b[$0.value] }
    }
}
