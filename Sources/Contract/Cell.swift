/// Cells (`topics/broker.md`): several instances of one service, each serving workspaces of its own.
extension ServiceRecord {
    /// Whether it serves a workspace.
    public func serves(_ workspace: String) -> Bool { workspaces.isEmpty || workspaces.contains(workspace) }

    /// A workspace that both serve, in words; `nil` when there is none.
    public func common(with other: ServiceRecord) -> String? {
        if workspaces.isEmpty, other.workspaces.isEmpty { return "every workspace" }
        let (named, all) = workspaces.isEmpty ? (other, self) : (self, other)
        return named.workspaces.sorted().first { all.serves($0) }.map { "the workspace \($0)" }
    }

    /// Whether this one stays when both serve a workspace: the greater term does, then who was there first, then the
    /// lesser boot. Both sides read the same two records, so that they agree.
    public func outranks(_ other: ServiceRecord) -> Bool {
        if term != other.term { return term > other.term }
        return since == other.since ? boot < other.boot : since < other.since
    }

    /// Why this instance has to stop now that it knows of `other`, up under `instance`; `nil`: it need not.
    public func verdict(on other: ServiceRecord, instance: String, service: String) -> String? {
        guard other.state == .up, other.boot != boot, other.outranks(self), let place = common(with: other) else {
            return nil
        }
        let met = "\(instance) (term \(other.term)) serves \(place) and goes before this \(service) (term \(term))"
        if service == "monitor" { return "\(met); run one of them" }
        return "\(met); give each workspace to one of them (\(service).workspaces)"
    }
}
