/// What a JSON document may be at the most (`topics/README.md`, sizes).
public struct JSONLimits: Hashable, Sendable {
    /// Nested arrays and objects; a document deeper than this is refused.
    public var depth: Int

    /// Limits; 64 levels unless said otherwise.
    public init(depth: Int = 64) { self.depth = depth }

    /// The greatest magnitude of a number: 2^53, beyond which other languages lose digits.
    public static let largestInteger = 9_007_199_254_740_992
}
