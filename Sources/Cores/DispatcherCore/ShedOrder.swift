import Determinism

/// Which `low` task gives way first when all is full (`topics/tasks.md`, under load): the newest of the owner with most
/// tasks here.
struct ShedOrder<Owner: Hashable & Comparable & Sendable>: Sendable {
    private var totals: [Owner: Int] = [:]
    private var newest: [Owner: IndexedHeap<Int, Int>] = [:]
    private var owners = IndexedHeap<Owner, Int>()

    /// Whether no task is here.
    var isEmpty: Bool { totals.isEmpty }
    /// How many tasks there are; walks all owners.
    var count: Int { totals.values.reduce(0, +) }

    /// The task that gives way first.
    var first: Int? {
        guard let owner = owners.first?.key else { return nil }
        return newest[owner]?.first?.key
    }

    /// Adds a task; those that are not `low` count for their owner only.
    mutating func insert(_ task: Int, of owner: Owner, isLow: Bool) {
        totals[owner, default: 0] += 1
        if isLow { newest[owner, default: IndexedHeap()].set(task, -task) }
        settle(owner)
    }

    /// Takes a task out that was added.
    mutating func remove(_ task: Int, of owner: Owner, isLow: Bool) {
        totals[owner, default: 0] -= 1
        if isLow { newest[owner]?.remove(task) }
        settle(owner)
    }

    private mutating func settle(_ owner: Owner) {
        if totals[owner] == 0 { totals[owner] = nil }
        if newest[owner]?.isEmpty ?? true {
            newest[owner] = nil
            owners.remove(owner)
        } else {
            owners.set(owner, -(totals[owner] ?? 0))
        }
    }
}
