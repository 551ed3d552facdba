import Contract
import Wire

/// The services as one workspace sees them: of several instances and cells, those that serve it; of these the one that
/// is up.
struct ServiceRecords {
    private let workspace: String
    private var instances: [String: [String: ServiceRecord]] = [:]

    init(workspace: String) { self.workspace = workspace }

    /// Takes a record in; one that cannot be read, or is empty, is none.
    mutating func take(_ name: String, _ instance: String, _ bytes: [UInt8]) {
        let record = try? ServiceRecord(decoding: bytes)
        instances[name, default: [:]][instance] = record.flatMap { $0.serves(workspace) ? $0 : nil }
    }

    /// Whether nothing is known of any service.
    var isEmpty: Bool { instances.values.allSatisfy(\.isEmpty) }

    /// The services that are known, in order.
    var names: [String] { instances.keys.sorted().filter { instances[$0]?.isEmpty == false } }

    /// Of several instances the one that is up counts.
    private func best(_ name: String) -> (key: String, value: ServiceRecord)? {
        let all = (instances[name] ?? [:]).sorted { $0.key < $1.key }
        return all.first { $0.value.state == .up } ?? all.max { $0.value.since < $1.value.since }
    }

    /// The record of a service.
    subscript(name: String) -> ServiceRecord? { best(name)?.value }

    /// The last level of a service's metrics.
    func metricsName(_ name: String) -> String {
        guard let (instance, record) = best(name), !record.workspaces.isEmpty else { return name }
        return instance
    }
}
