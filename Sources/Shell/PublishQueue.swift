import Machine

/// What waits to be sent, first in first out, bounded in number and bytes. The bounds leave room for a service that
/// publishes everything it owns at once after a reconnect.
struct PublishQueue {
    /// At most so many entries.
    static let countLimit = 300_000
    /// At most so many payload bytes.
    static let byteLimit = 256 << 20

    private var entries: [Link.Queued?] = []
    private var head = 0
    private(set) var bytes = 0

    /// How many wait.
    var count: Int { entries.count - head }
    /// Whether none waits.
    var isEmpty: Bool { head == entries.count }

    /// Adds one at the end; false, and nothing added, when the queue is full.
    mutating func append(_ entry: Link.Queued) -> Bool {
        let size = PublishQueue.size(entry)
        guard count < PublishQueue.countLimit, bytes + size <= PublishQueue.byteLimit else { return false }
        entries.append(entry)
        bytes += size
        return true
    }

    /// Takes the first one.
    mutating func popFirst() -> Link.Queued? {
        guard head < entries.count, let entry = entries[head].take() else { return nil }
        head += 1
        bytes -= PublishQueue.size(entry)
        if head == entries.count {
            entries.removeAll(keepingCapacity: entries.capacity <= 1024)
            head = 0
        } else if head >= 1024, head * 2 >= entries.count {
            entries.removeFirst(head)
            head = 0
        }
        return entry
    }

    /// Drops the subscriptions: they belong to a connection that is gone.
    mutating func removeSubscriptions() {
        let rest = entries[head...].filter { entry in
            if case .publish = entry { return true }
            return false
        }
        entries = Array(rest)
        head = 0
    }

    private static func size(_ entry: Link.Queued) -> Int {
        if case .publish(let message) = entry { return message.payload.count + message.topic.utf8.count }
        return 0
    }
}
