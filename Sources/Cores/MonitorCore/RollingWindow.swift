import Contract
import TimeModel

/// What rolling numbers are about.
struct SummaryGroup: Hashable, Comparable, Sendable {
    var workspace: String
    var by: HistoryDimension
    var name: String

    /// The dimensions of rolling numbers.
    static let dimensions: [HistoryDimension] = [.workspace, .capability, .executor, .type]

    static func < (a: SummaryGroup, b: SummaryGroup) -> Bool {
        (a.workspace, a.by.rawValue, a.name) < (b.workspace, b.by.rawValue, b.name)
    }

    /// Whether it can stand in a topic.
    var isPublic: Bool { Names.isName(name) && Names.isName(workspace) }
}

/// Sums over the last hour, or whatever the span is, in six slots; the oldest slot goes as a whole.
struct RollingWindow: Hashable, Sendable {
    static let slotCount = 6

    let slotMs: Int
    private var slots: [(index: Int, sums: [SummaryGroup: Aggregate])] = []
    /// Groups whose numbers have changed since they were taken.
    private(set) var changed: Set<SummaryGroup> = []
    private var groups: [SummaryGroup: Int] = [:]
    /// Results that were not counted, since there are too many groups.
    private(set) var dropped = 0

    init(windowMs: Int) { slotMs = max(1, windowMs / RollingWindow.slotCount) }

    static func == (a: RollingWindow, b: RollingWindow) -> Bool {
        a.slotMs == b.slotMs && a.slots.map(\.index) == b.slots.map(\.index)
            && zip(a.slots, b.slots).allSatisfy { $0.sums == $1.sums }
    }

    func hash(into hasher: inout Hasher) { hasher.combine(slotMs) }

    /// The span of each slot up to now, the newest last.
    func spans(_ now: WallTime) -> [(from: WallTime, to: WallTime)] {
        let newest = floorDivide(now.milliseconds, slotMs)
        return (newest - RollingWindow.slotCount + 1...newest).map {
            (WallTime(milliseconds: $0 * slotMs), WallTime(milliseconds: ($0 + 1) * slotMs - 1))
        }
    }

    /// Adds sums to the slot of a moment; what is too old, or ahead, is left out.
    mutating func add(_ sum: Aggregate, to names: [(HistoryDimension, String)], _ workspace: String, at: WallTime) {
        let index = floorDivide(at.milliseconds, slotMs)
        var place = slots.firstIndex { $0.index >= index } ?? slots.count
        if place == slots.count || slots[place].index != index {
            if slots.count >= RollingWindow.slotCount, index < slots[0].index { return }
            slots.insert((index, [:]), at: place)
            if slots.count > RollingWindow.slotCount {
                drop(slots.removeFirst().sums)
                place -= 1
            }
        }
        for (dimension, name) in names where !name.isEmpty {
            let group = SummaryGroup(workspace: workspace, by: dimension, name: name)
            if slots[place].sums[group] == nil {
                if groups[group] == nil, groups.count >= Limits.summaryGroups {
                    dropped += 1
                    continue
                }
                groups[group, default: 0] += 1
            }
            slots[place].sums[group, default: Aggregate()].add(sum)
            changed.insert(group)
        }
    }

    /// Lets slots go that are out of the window.
    mutating func advance(_ now: WallTime) {
        let oldest = floorDivide(now.milliseconds, slotMs) - RollingWindow.slotCount + 1
        while let first = slots.first, first.index < oldest { drop(slots.removeFirst().sums) }
    }

    private mutating func drop(_ sums: [SummaryGroup: Aggregate]) {
        for group in sums.keys.sorted() {
            changed.insert(group)
            let left = (groups[group] ?? 0) - 1
            groups[group] = left > 0 ? left : nil
        }
    }

    /// The sums of a group; nothing when it has none.
    func sum(_ group: SummaryGroup) -> Aggregate? {
        guard groups[group] != nil else { return nil }
        return slots.reduce(into: Aggregate()) { if let sum = $1.sums[group] { $0.add(sum) } }
    }

    /// All groups, in order.
    var sorted: [SummaryGroup] { groups.keys.sorted() }

    /// Takes up to so many changed groups that fulfil a condition, in order.
    mutating func takeChanged(_ limit: Int, _ isDue: (SummaryGroup) -> Bool) -> [SummaryGroup] {
        let taken = Array(changed.sorted().lazy.filter(isDue).prefix(limit))
        changed.subtract(taken)
        return taken
    }

    /// Marks every group as changed.
    mutating func touchAll() { changed.formUnion(groups.keys) }
}
