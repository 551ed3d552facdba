import Contract
import Determinism
import TimeModel

/// The queued tasks of one workspace, in the order in which they get their decisions (`topics/tasks.md`, order).
///
/// Four lanes by priority; in a lane the owners take turns by what their work takes; of one owner first come, first
/// served. Tasks that any executor would judge alike share a demand: a demand nobody can serve is parked as a whole,
/// and woken as a whole, so that no decision walks its tasks. All operations are O(log n).
struct Lanes: Sendable {
    /// Where a task stands.
    struct Place: Hashable, Sendable {
        /// Its lane.
        var lane: Priority
        /// Whose turn it takes.
        var owner: String
        /// Its group of equal tasks.
        var demand: Int
        /// Since when it waits; a retry keeps it.
        var queued: MonotonicTime
    }

    /// A place, with the owner as its number.
    struct Seat: Hashable, Sendable {
        /// Since when it waits.
        var queued: MonotonicTime
        /// Whose turn it takes.
        var owner: Lane.Owner
        /// Its group of equal tasks.
        var demand: Int32
        /// Its lane.
        var lane: Priority
    }

    /// Critical decisions in a row before another lane gets one.
    static let criticalBurst = 16
    /// What a lane of weight 1 is charged for a decision.
    static let stride = 1 << 20
    /// Waiting so long, the first task of a lane has the next lane's weight.
    static let ageMs = 60_000

    /// Shares of owners; absent: 1.
    var weights: [String: Int]
    private var seats = NumberTable<Seat>()
    private var parked: Set<Number> = []
    private var counts = NumberTable<Int>()
    private var owners: [String: Lane.Owner] = [:]
    private var lastOwner = 0
    private var mostOwners = 4 * Lane.idleOwners
    private var lanes = [Lane](repeating: Lane(), count: Priority.allCases.count)
    private var criticalRun = 0
    private var floor = 0
    private var lowest = 0
    private var shed = ShedOrder<Lane.Owner>()

    /// No tasks; `weights` are the owners' shares.
    init(weights: [String: Int] = [:]) { self.weights = weights }

    /// How many tasks there are.
    var count: Int { seats.count }
    /// How many tasks a lane has.
    func count(in lane: Priority) -> Int { lanes[lane.rank].count }
    /// How many tasks a demand has.
    func count(_ demand: Int) -> Int { counts[demand] ?? 0 }
    /// Whether a task is here.
    func contains(_ task: Int) -> Bool { seats[task] != nil }
    /// Since when the task waits that waits longest; walks all tasks.
    var oldest: MonotonicTime? { seats.values.lazy.map(\.queued).min() }
    /// The task of a demand that waits longest.
    func oldest(of demand: Int) -> Int? {
        lanes.compactMap { $0.oldest(of: demand) }.min { ($0.queued, $0.task) < ($1.queued, $1.task) }?.task
    }
    /// Whether nobody could serve the demand when it was looked at last.
    func isParked(_ demand: Int) -> Bool { parked.contains(Number(demand)) }

    /// Adds a task, or moves it.
    mutating func insert(_ task: Int, _ place: Place) {
        remove(task)
        let rank = place.lane.rank
        if lanes[rank].count == 0, place.lane != .critical { start(rank) }
        let seat = Seat(
            queued: place.queued, owner: owner(place.owner), demand: Int32(clamping: place.demand), lane: place.lane)
        seats[task] = seat
        counts[place.demand, default: 0] += 1
        lanes[rank].insert(task, seat, isParked: isParked(place.demand))
        shed.insert(task, of: seat.owner, isLow: seat.lane == .low)
    }

    /// The number of an owner. Names that no task and no lane knows any more are forgotten once there are many.
    private mutating func owner(_ name: String) -> Lane.Owner {
        if let known = owners[name] { return known }
        if owners.count >= mostOwners {
            owners = owners.filter { entry in lanes.contains { $0.shares[entry.value] != nil } }
            mostOwners = max(4 * Lane.idleOwners, 2 * owners.count)
        }
        lastOwner += 1
        let owner = Lane.Owner(number: lastOwner, name: name)
        owners[name] = owner
        return owner
    }

    /// Takes a task out, wherever it is; nothing happens when it is not here.
    mutating func remove(_ task: Int) {
        guard let place = seats.removeValue(forKey: task) else { return }
        lanes[place.lane.rank].remove(task, place)
        shed.remove(task, of: place.owner, isLow: place.lane == .low)
        let demand = Int(place.demand)
        let left = count(demand) - 1
        counts[demand] = left > 0 ? left : nil
        if left <= 0 { parked.remove(Number(demand)) }
    }

    /// The task whose turn it is among the demands that are not parked; it stays in its place.
    mutating func next(at now: MonotonicTime) -> Int? {
        let critical = Priority.critical.rank
        if criticalRun < Lanes.criticalBurst, let head = lanes[critical].head() { return head }
        if let rank = nextLane() { return lanes[rank].head() }
        return lanes[critical].head()
    }

    /// Among the lanes below `critical` that have something to look at, the one of the least pass, then the higher.
    private func nextLane() -> Int? {
        var best: Int?
        for rank in (0..<Priority.critical.rank).reversed() where lanes[rank].hasReady {
            if let found = best, lanes[found].pass <= lanes[rank].pass { continue }
            best = rank
        }
        return best
    }

    /// Nobody can serve the demand now: none of its tasks comes up until `wake`.
    mutating func park(_ demand: Int) {
        guard counts[demand] != nil else { return }
        parked.insert(Number(demand))
        for rank in lanes.indices { lanes[rank].park(demand) }
    }

    /// Something has changed for the demand: its tasks come up again.
    mutating func wake(_ demand: Int) {
        guard parked.remove(Number(demand)) != nil else { return }
        for rank in lanes.indices { lanes[rank].makeReady(demand) }
    }

    /// The task has got its decision: it leaves, its owner is charged `charge` ms of slots, the turn passes on.
    mutating func granted(_ task: Int, charge: Int, at now: MonotonicTime) {
        guard let place = seats[task] else { return }
        remove(task)
        let rank = place.lane.rank
        lanes[rank].charge(place.owner, units(max(1, charge), place.owner.name))
        if place.lane == .critical {
            if nextLane() != nil { criticalRun = min(criticalRun + 1, Lanes.criticalBurst) }
            return
        }
        criticalRun = 0
        let start = max(lanes[rank].pass, lowest)
        floor = max(floor, start)
        lowest = max(lowest, floor - 2 * Lanes.stride)
        lanes[rank].pass = start + Lanes.stride / Lanes.weight(place.lane, waited: now - place.queued)
    }

    /// A task is left out for a reason of its own; `insert` brings it back.
    mutating func passedOver(_ task: Int) { remove(task) }

    /// An attempt took `difference` ms of slots more, or less, than its owner was charged for.
    mutating func correct(owner: String, lane: Priority, by difference: Int) {
        guard difference != 0, let known = owners[owner] else { return }
        lanes[lane.rank].correct(known, units(difference, owner))
    }

    /// How many tasks get their decision before this one, if all take equally long; parked tasks apart. Walks all
    /// tasks: for people only.
    func position(of task: Int) -> Int? {
        guard let own = seats[task] else { return nil }
        let shares = lanes[own.lane.rank].shares
        var ahead = 0
        var others: [Lane.Owner: Int] = [:]
        for number in seats.keys {
            guard let place = seats[number], place.lane == own.lane, !isParked(Int(place.demand)) else { continue }
            if place.owner != own.owner {
                others[place.owner, default: 0] += 1
            } else if (place.queued, number) < (own.queued, task) {
                ahead += 1
            }
        }
        let pass = shares[own.owner]?.pass ?? 0
        return others.reduce(ahead) { sum, other in
            let isFirst = (shares[other.key]?.pass ?? 0, other.key) < (pass, own.owner)
            return sum + min(other.value, ahead + (isFirst ? 1 : 0))
        }
    }

    /// What gives way to a `critical` intent when all is full: the newest `low` task of the owner with most tasks.
    var newestLow: Int? { shed.first }

    /// A sentence for each thing that is not as it should be.
    func checkInvariants() -> [String] {
        var faults: [String] = []
        if lanes.reduce(0, { $0 + $1.count }) != seats.count { faults.append("I11: lanes and places differ") }
        if counts.values.reduce(0, +) != seats.count { faults.append("I11: demands and places differ") }
        if !parked.allSatisfy({ counts[$0.value] != nil }) { faults.append("I11: an empty demand is parked") }
        return faults
    }

    private mutating func start(_ rank: Int) {
        let others = lanes.indices.filter { $0 != rank && $0 != Priority.critical.rank && lanes[$0].count > 0 }
        guard let least = others.map({ lanes[$0].pass }).min() else { return }
        lanes[rank].pass = max(lanes[rank].pass, least)
    }

    private func units(_ charge: Int, _ owner: String) -> Int {
        charge * Lanes.stride / (max(1, weights[owner] ?? 1) * 1000)
    }

    /// A lane's share of the decisions; more when its first task has waited long.
    static func weight(_ lane: Priority, waited: Int) -> Int {
        let steps = waited > 2 * ageMs ? 2 : waited > ageMs ? 1 : 0
        switch min(lane.rank + steps, Priority.high.rank) {
        case 0: return 1
        case 1: return 4
        default: return 16
        }
    }
}

extension Lanes: Equatable {
    /// The tasks with their places.
    private var named: [Int: Place] {
        var places: [Int: Place] = [:]
        for number in seats.keys {
            guard let seat = seats[number] else { continue }
            places[number] = Place(
                lane: seat.lane, owner: seat.owner.name, demand: Int(seat.demand), queued: seat.queued)
        }
        return places
    }

    /// Equal tasks at equal places, with equal turns to come.
    static func == (a: Lanes, b: Lanes) -> Bool {
        a.weights == b.weights && a.named == b.named && a.parked == b.parked && a.lanes == b.lanes
            && a.criticalRun == b.criticalRun && a.floor == b.floor && a.lowest == b.lowest
    }
}
