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
/// hashed: half of a dictionary's slots are empty on average, and a value may be large.
public struct NumberTable<Value: Sendable>: Sendable {
    @usableFromInline var places: [Number: Int32] = [:]
    @usableFromInline var slots: [Slot?] = []
    @usableFromInline var free: [Int32] = []

    /// A value, which can be changed where it stands.
    @usableFromInline struct Slot: Sendable {
        @usableFromInline var value: Value

        @inlinable init(_ value: Value) { self.value = value }

        @inlinable @inline(__always) mutating func change<Outcome>(_ body: (inout Value) -> Outcome) -> Outcome {
            body(&value)
        }
    }

    /// So many slots are kept when the table has become empty.
    @usableFromInline static var keptSlots: Int { 256 }

    /// An empty table.
    @inlinable public init() {}

    /// How many numbers it has.
    @inlinable public var count: Int { places.count }
    /// Whether it has none.
    @inlinable public var isEmpty: Bool { places.isEmpty }
    /// The numbers, in no order.
    @inlinable public var keys: [Int] { places.keys.map(\.value) }
    /// The values, in no order.
    @inlinable public var values: Values { Values(slots) }

    /// The value of a number.
    @inlinable public subscript(number: Int) -> Value? {
        get { places[Number(number)].flatMap { slots[Int($0)]?.value } }
        _modify {
            if let place = places[Number(number)] {
                var value = slots[Int(place)].take()?.value
                defer { if let value { slots[Int(place)] = Slot(value) } else { vacate(number, place) } }
                yield &value
            } else {
                var value: Value?
                defer { if let value { insert(number, value) } }
                yield &value
            }
        }
    }

    /// The value of a number, or what it begins with.
    @inlinable public subscript(number: Int, default initial: @autoclosure () -> Value) -> Value {
        get { self[number] ?? initial() }
        _modify {
            let place = Int(places[Number(number)] ?? insert(number, initial()))
            var value = slots[place].take()?.value ?? initial()
            defer { slots[place] = Slot(value) }
            yield &value
        }
    }

    /// Takes a number out.
    @inlinable @discardableResult public mutating func removeValue(forKey number: Int) -> Value? {
        guard let place = places[Number(number)] else { return nil }
        let value = slots[Int(place)].take()?.value
        vacate(number, place)
        return value
    }

    /// Takes all out.
    @inlinable public mutating func removeAll() { self = NumberTable() }

    /// Changes the value of a number where it stands; `nil` when there is none. Assigning through the subscript moves
    /// the value out and in again, which counts for large values on a hot path.
    @inlinable @inline(__always)
    public mutating func change<Outcome>(_ number: Int, _ body: (inout Value) -> Outcome) -> Outcome? {
        guard let place = places[Number(number)] else { return nil }
        return slots[Int(place)]?.change(body)
    }

    @inlinable @discardableResult mutating func insert(_ number: Int, _ value: Value) -> Int32 {
        let place = free.popLast() ?? Int32(slots.count)
        if Int(place) == slots.count { slots.append(Slot(value)) } else { slots[Int(place)] = Slot(value) }
        places[Number(number)] = place
        return place
    }

    /// The slot of a number is empty. A table that has become empty gives back what it had grown to.
    @inlinable mutating func vacate(_ number: Int, _ place: Int32) {
        places[Number(number)] = nil
        free.append(place)
        if places.isEmpty, slots.count > NumberTable.keptSlots { self = NumberTable() }
    }

    /// The values of a table.
    public struct Values: Sequence, IteratorProtocol, Sendable {
        @usableFromInline let slots: [Slot?]
        @usableFromInline var position = 0

        @inlinable init(_ slots: [Slot?]) { self.slots = slots }

        /// The next value.
        @inlinable public mutating func next() -> Value? {
            while position < slots.count {
                defer { position += 1 }
                if let slot = slots[position] { return slot.value }
            }
            return nil
        }

        /// Any of them.
        @inlinable public var first: Value? { first { _ in true } }
    }
}

extension NumberTable: Equatable where Value: Equatable {
    /// Equal values of equal numbers.
    @inlinable public static func == (a: NumberTable, b: NumberTable) -> Bool {
        a.count == b.count && a.places.keys.allSatisfy { a[$0.value] == b[$0.value] }
    }
}
