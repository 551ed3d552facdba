import Determinism
import TimeModel

/// Who holds a concurrency key, and who waits for it.
struct ConcurrencyState: Sendable {
    /// Leases with the key.
    var holders = 0
    /// Tasks that were called back into their lanes for it, and have got no decision yet.
    var called = 0
    /// Queued tasks that wait for the key, most urgent and oldest first.
    var waiting = IndexedHeap<Int, WaitingPlace>()
}

/// Place among those that wait for a key.
struct WaitingPlace: Comparable, Sendable {
    /// Less for more urgent lanes.
    var rank: Int
    /// Since when it is queued.
    var queued: MonotonicTime

    static func < (a: WaitingPlace, b: WaitingPlace) -> Bool { (a.rank, a.queued) < (b.rank, b.queued) }
}
