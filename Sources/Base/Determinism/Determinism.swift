/// A generator whose sequence is given by its seed (SplitMix64). It is part of a core's state: the same seed and the
/// same inputs give the same decisions.
public struct SeededGenerator: RandomNumberGenerator, Hashable, Sendable {
    /// The whole state; kept in journals and replayed.
    public var state: UInt64

    /// A generator that begins at `seed`.
    @inlinable public init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    @inlinable public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A uniform integer in `range`.
    @inlinable public mutating func uniform(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    /// True in `part` of `whole` cases.
    @inlinable public mutating func chance(_ part: Int, of whole: Int) -> Bool { uniform(1...max(whole, 1)) <= part }
}

/// A running 64-bit FNV-1a hash, for comparing two runs of a simulation.
public struct TraceHash: Hashable, Sendable {
    /// The hash of all that was added.
    @inlinable public var value: UInt64 { hash }
    @usableFromInline var hash: UInt64 = 0xCBF2_9CE4_8422_2325

    /// The hash of nothing.
    @inlinable public init() {}

    /// Adds bytes.
    @inlinable public mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    }

    /// Adds a text and a separator.
    @inlinable public mutating func add(_ text: String) {
        add(text.utf8)
        add(CollectionOfOne(0x1F))
    }

    /// Adds a number.
    @inlinable public mutating func add(_ number: Int) {
        for shift in stride(from: 0, to: 64, by: 8) { add(CollectionOfOne(UInt8(truncatingIfNeeded: number >> shift))) }
    }
}
