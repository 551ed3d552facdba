import Determinism
import TimeModel

/// One lane: which owner's turn it is, and which of its tasks is first (`topics/tasks.md`, order).
///
/// Tasks stand in groups, one per demand; a group holds its owners by their pass, an owner its tasks by age. An owner's
/// pass never falls: what it was charged too much is taken off its next charges. So an entry of a heap can only be too
/// low, and is put right when it comes to the top.
struct Lane: Sendable {
    /// Where an owner stands.
    struct Share: Hashable, Sendable {
        /// Grows by what its tasks take; least first.
        var pass: Int
        /// Charged too much so far.
        var credit = 0
        /// Tasks in this lane.
        var count = 0
    }

    /// What decides between groups.
    struct Rank: Hashable, Comparable, Sendable {
        /// Of the first owner.
        var pass: Int
        /// The first owner.
        var owner: Owner
        /// Since when its first task waits.
        var queued: MonotonicTime
        /// Its first task.
        var task: Int

        /// By pass, owner, age, number.
        static func < (a: Rank, b: Rank) -> Bool {
            if a.pass != b.pass { return a.pass < b.pass }
            if a.owner != b.owner { return a.owner < b.owner }
            return (a.queued, a.task) < (b.queued, b.task)
        }
    }

    /// An owner as the lanes of one workspace know it: one object for each. Names order, numbers find.
    final class Owner: Hashable, Comparable, Sendable {
        /// Given out by `Lanes`.
        let number: Int
        /// The owner's name.
        let name: String

        /// An owner.
        init(number: Int, name: String) {
            self.number = number
            self.name = name
        }

        static func == (a: Owner, b: Owner) -> Bool { a === b }
        static func < (a: Owner, b: Owner) -> Bool { a !== b && a.name < b.name }
        func hash(into hasher: inout Hasher) { hasher.combine(number) }
        func _rawHashValue(seed: Int) -> Int { Number.spread(number, seed) }
    }

    /// The tasks of one demand.
    private struct Group: Sendable {
        var owners = IndexedHeap<Owner, Int>()
        var tasks: [Owner: IndexedHeap<Int, MonotonicTime>] = [:]

        mutating func insert(_ task: Int, _ place: Lanes.Seat, pass: Int) {
            tasks[place.owner, default: IndexedHeap()].set(task, place.queued)
            owners.set(place.owner, pass)
        }

        /// Returns whether none is left.
        mutating func remove(_ task: Int, _ place: Lanes.Seat) -> Bool {
            tasks[place.owner]?.remove(task)
            if tasks[place.owner]?.isEmpty ?? true {
                tasks[place.owner] = nil
                owners.remove(place.owner)
            }
            return owners.isEmpty
        }
    }

    /// Owners without tasks whose pass is remembered, at most.
    static let idleOwners = 10_000
    /// How far an owner that could not run may lag behind, in largest charges.
    static let longestLag = 32

    /// The lane's own place among lanes.
    var pass = 0
    /// Tasks, parked ones included.
    private(set) var count = 0
    private(set) var shares: [Owner: Share] = [:]
    private var groups: [Int: Group] = [:]
    private var ready = IndexedHeap<Int, Rank>()
    private var active = IndexedHeap<Owner, Int>()
    private var idle = IndexedHeap<Owner, Int>()
    private var floor = 0
    private var lowest = 0
    private var largestCharge = 1

    /// Whether any group is not parked.
    var hasReady: Bool { !ready.isEmpty }

    /// Adds a task; `isParked` says whether its demand is.
    mutating func insert(_ task: Int, _ place: Lanes.Seat, isParked: Bool) {
        count += 1
        let demand = Int(place.demand)
        var share = shares[place.owner] ?? Share(pass: lowest)
        if share.count == 0 {
            share.pass = max(share.pass, active.first?.priority ?? share.pass)
            idle.remove(place.owner)
        }
        share.count += 1
        shares[place.owner] = share
        active.set(place.owner, share.pass)
        groups[demand, default: Group()].insert(task, place, pass: share.pass)
        if !isParked { makeReady(demand) }
    }

    /// Takes a task out.
    mutating func remove(_ task: Int, _ place: Lanes.Seat) {
        count -= 1
        let demand = Int(place.demand)
        if groups[demand]?.remove(task, place) ?? true {
            groups[demand] = nil
            ready.remove(demand)
        } else if ready.contains(demand) {
            makeReady(demand)
        }
        guard var share = shares[place.owner] else { return }
        share.count -= 1
        shares[place.owner] = share
        if share.count == 0 { rest(place.owner, share) }
    }

    /// Hides a demand.
    mutating func park(_ demand: Int) { ready.remove(demand) }

    /// Shows a demand again, if it has tasks here.
    mutating func makeReady(_ demand: Int) {
        if let rank = rank(demand) { ready.set(demand, rank) }
    }

    /// The task of a demand that waits longest here.
    func oldest(of demand: Int) -> (queued: MonotonicTime, task: Int)? {
        (groups[demand]?.tasks.values).flatMap { owners in
            owners.compactMap { $0.first.map { (queued: $0.priority, task: $0.key) } }.min { $0 < $1 }
        }
    }

    /// The task whose turn it is.
    mutating func head() -> Int? {
        while let top = ready.first {
            guard let rank = rank(top.key) else {
                ready.remove(top.key)
                continue
            }
            if rank == top.priority { return rank.task }
            ready.set(top.key, rank)
        }
        return nil
    }

    private mutating func rank(_ demand: Int) -> Rank? {
        while let top = groups[demand]?.owners.first {
            let pass = shares[top.key]?.pass ?? 0
            guard pass == top.priority else {
                groups[demand]?.owners.set(top.key, pass)
                continue
            }
            guard let first = groups[demand]?.tasks[top.key]?.first else { return nil }
            return Rank(pass: pass, owner: top.key, queued: first.priority, task: first.key)
        }
        return nil
    }

    /// Charges an owner for a grant; `amount` is in units of the pass.
    mutating func charge(_ owner: Owner, _ amount: Int) {
        guard var share = shares[owner] else { return }
        let used = min(share.credit, max(amount - 1, 0))
        share.credit -= used
        let start = max(share.pass, lowest)
        largestCharge = max(largestCharge, amount)
        floor = max(floor, start)
        lowest = max(lowest, floor - Lane.longestLag * largestCharge)
        move(owner, share, to: start + amount - used)
    }

    /// Puts an owner's charge right; `amount` is what was too little, or negative, too much.
    mutating func correct(_ owner: Owner, _ amount: Int) {
        guard var share = shares[owner] else { return }
        if amount < 0 { share.credit -= amount }
        move(owner, share, to: share.pass + max(amount, 0))
    }

    private mutating func move(_ owner: Owner, _ share: Share, to pass: Int) {
        var moved = share
        moved.pass = pass
        shares[owner] = moved
        if moved.count > 0 { active.set(owner, pass) } else { rest(owner, moved) }
    }

    /// Remembers the pass of an owner without tasks as long as it says something.
    private mutating func rest(_ owner: Owner, _ share: Share) {
        active.remove(owner)
        idle.set(owner, share.pass)
        while let first = idle.first, first.priority <= lowest || idle.count > Lane.idleOwners {
            idle.remove(first.key)
            shares[first.key] = nil
        }
    }
}

extension Lane: Equatable {
    /// Equal passes; the tasks are compared by `Lanes`.
    static func == (a: Lane, b: Lane) -> Bool {
        let shares = [a, b].map { lane in lane.shares.map { ($0.key.name, $0.value) }.sorted { $0.0 < $1.0 } }
        return a.pass == b.pass && a.count == b.count
            && shares[0].elementsEqual(shares[1]) { $0.0 == $1.0 && $0.1 == $1.1 } && a.floor == b.floor
            && a.lowest == b.lowest
            && a.largestCharge == b.largestCharge
    }
}
