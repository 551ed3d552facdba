import Contract
import Machine
import Shell
import TimeModel
import Wire

/// Waits for services by their own records: one is ready when it has said `up` with a later term than before.
struct ServiceReadiness {
    private let client: BusClient
    private var terms: [String: Int] = [:]

    /// Reads the records of earlier runs; to be made before the services start.
    init(_ client: BusClient) throws(Failure) {
        self.client = client
        try client.subscribe([Topic.filter(Names.systemWorkspace, "service", "+", "+")], retained: true)
        let deadline = SystemClock.monotonic + 100
        while let message = try client.next(until: deadline) {
            guard let (name, record) = ServiceReadiness.record(message) else { continue }
            terms[name] = max(record.term, terms[name] ?? 0)
        }
    }

    private static func record(_ message: InboundMessage) -> (String, ServiceRecord)? {
        guard let topic = Topic(message.topic), case .service(let name, _) = topic.place,
            let record = try? ServiceRecord(decoding: message.payload)
        else { return nil }
        return (name, record)
    }

    /// Waits until all services are ready; fails when one of `processes` ends meanwhile.
    func await(
        _ services: [ManagedProcess], withinMs: Int, checking processes: [ManagedProcess]
    ) throws(Failure) {
        let deadline = SystemClock.monotonic + withinMs
        var waiting = Set(services.map(\.name))
        while !waiting.isEmpty {
            for process in processes where process.reap() { throw process.endedEarly }
            let now = SystemClock.monotonic
            guard now < deadline else {
                throw Failure.notReady(services.filter { waiting.contains($0.name) }, withinMs: withinMs)
            }
            guard let message = try client.next(until: min(deadline, now + 50)),
                let (name, record) = ServiceReadiness.record(message)
            else { continue }
            if record.state == .up, record.term > terms[name] ?? -1 { waiting.remove(name) }
        }
    }
}
