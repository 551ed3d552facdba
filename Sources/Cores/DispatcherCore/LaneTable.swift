/// The lanes of all workspaces. There are few, and a short name is compared faster than it is hashed.
struct LaneTable: Sendable {
    /// Up to so many names are compared one by one.
    private static let walkLimit = 8

    private var names: [String] = []
    private var lanes: [Lanes] = []
    private var index: [String: Int] = [:]

    /// The lanes in the order in which the workspaces came.
    var values: [Lanes] { lanes }

    /// Adds a workspace that is not there yet.
    mutating func add(_ workspace: String, _ new: Lanes) {
        index[workspace] = names.count
        names.append(workspace)
        lanes.append(new)
    }

    /// The lanes of a workspace.
    subscript(workspace: String) -> Lanes? { place(of: workspace).map { lanes[$0] } }

    /// Whether a workspace has lanes.
    func contains(_ workspace: String) -> Bool { place(of: workspace) != nil }

    /// How many tasks a demand has.
    func count(_ demand: Int, in workspace: String) -> Int { place(of: workspace).map { lanes[$0].count(demand) } ?? 0 }

    /// Whether nobody could serve a demand when it was looked at last.
    func isParked(_ demand: Int, in workspace: String) -> Bool {
        place(of: workspace).map { lanes[$0].isParked(demand) } ?? false
    }

    /// Changes the lanes of a workspace where they stand; `nil` when it has none.
    mutating func change<Outcome>(_ workspace: String, _ body: (inout Lanes) -> Outcome) -> Outcome? {
        guard let place = place(of: workspace) else { return nil }
        return body(&lanes[place])
    }

    private func place(of workspace: String) -> Int? {
        names.count <= LaneTable.walkLimit ? names.firstIndex(of: workspace) : index[workspace]
    }
}
