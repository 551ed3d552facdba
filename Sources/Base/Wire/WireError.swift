/// Why bytes from the network, a file or a journal were refused.
public struct WireError: Error, Hashable, Sendable {
    /// The kinds of refusal; each has one stable code in the contract.
    public enum Kind: Hashable, Sendable {
        /// Not JSON, or outside the JSON limits (`invalid_json`).
        case syntax
        /// A known field with an illegal value, or a required one missing (`invalid_field`).
        case field
    }

    /// Which kind of refusal.
    public var kind: Kind
    /// Where: key names joined by `.`, array positions in brackets; empty for the whole document.
    public var path: String
    /// The byte at which reading stopped, from 0.
    public var offset: Int
    /// One clause that says what was expected.
    public var reason: String

    /// A refusal.
    public init(_ kind: Kind, path: String = "", offset: Int = 0, reason: String) {
        self.kind = kind
        self.path = path
        self.offset = offset
        self.reason = reason
    }

    /// A sentence for people: place and reason.
    public var message: String {
        switch kind {
        case .syntax: "invalid JSON at byte \(offset): \(reason)"
        case .field: path.isEmpty ? reason : "\(path): \(reason)"
        }
    }
}
