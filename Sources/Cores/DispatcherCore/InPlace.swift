extension Dictionary {
    /// Changes the value of a key where it stands; `nil` when the key is absent. Assigning through the subscript moves
    /// the value out and in again, which counts for large values on a hot path.
    @inline(__always) mutating func change<Outcome>(_ key: Key, _ body: (inout Value) -> Outcome) -> Outcome? {
        guard let index = index(forKey: key) else { return nil }
        return body(&values[index])
    }
}
