/// Seeds that once found a bug; they are played first.
public enum KnownBadSeeds {
    /// One of them.
    public struct Entry: Hashable, Sendable {
        /// Whose run.
        public var service: String
        /// The seed.
        public var seed: UInt64
        /// What it found.
        public var found: String
    }

    /// All, oldest first. A run whose draws have changed since plays something else under the same seed.
    public static let all: [Entry] = [
        Entry(
            service: "dispatcher", seed: 96, found: "a task that could not run kept a concurrency key's turn for ever"),
        Entry(
            service: "dispatcher", seed: 57, found: "a delay grew by as much as the calendar was set back in a restart"),
        Entry(service: "dispatcher", seed: 152, found: "a lease that ended by its deadline kept the place of a probe"),
        Entry(
            service: "dispatcher", seed: 72, found: "a budget forgot in a restart what running attempts had set aside"),
        Entry(
            service: "dispatcher", seed: 528,
            found: "a retry waited for push executors as long as a task that came later"),
        Entry(
            service: "dispatcher", seed: 5612,
            found: "a task waited for push executors though one was free, and others waited with it"),
        Entry(
            service: "dispatcher", seed: 381, found: "a task kept a key's turn when another one like it could not run"),
        Entry(service: "dispatcher", seed: 774, found: "a task waited for a budget that could never pay it"),
        Entry(
            service: "dispatcher", seed: 1744,
            found: "an executor that beat counted as lost for ever, since its status had come to a full queue"),
        Entry(
            service: "dispatcher", seed: 2652,
            found: "a circuit stayed open by as much as the calendar was set back in a restart"),
        Entry(service: "scheduler", seed: 36, found: "a slot had two ends"),
        Entry(
            service: "scheduler", seed: 740, found: "one that stood still decided before it read that it was taken over"
        ),
        Entry(
            service: "scheduler", seed: 1271, found: "an own record of an earlier connection was taken for this one's"),
        Entry(
            service: "heartbeat", seed: 1251,
            found: "who was stale before a reconnect was offline before it could be heard"),
        Entry(service: "monitor", seed: 155, found: "who died before it recorded anything stated no gap"),
        Entry(service: "monitor", seed: 265, found: "a lost session was forgotten before the gap was written"),
    ]
}
