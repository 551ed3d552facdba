import Contract
import Determinism
import TimeModel
import Wire

/// What stands behind a candidate's code (`topics/tasks.md`, why a task waits): numbers, names and moments.
extension Dispatcher {
    /// Tasks named at most as the holders of slots or of a key.
    private static let holdersNamed = 4

    /// The fields that a candidate has because of its code.
    func writeFacts(_ candidate: Shown, _ task: TaskRecord, to writer: inout JSONWriter) {
        guard let code = candidate.code else { return }
        let executor = executors[candidate.executor]
        switch code {
        case WaitCode.noSlot, WaitCode.reserved:
            writer.field("used", executor.used)
            writer.field("slots", executor.slots)
            if code == WaitCode.reserved { writer.field("reserved", executor.reserve) }
            writer.field("tasks", held(by: candidate.executor, task) { _ in true })
        case WaitCode.maxConcurrent:
            writer.field("used", registration(candidate, task)?.running)
            writer.field("slots", registration(candidate, task)?.entry.maxConcurrent ?? executor.slots)
            writer.field("tasks", held(by: candidate.executor, task) { $0.capability == task.spec.capability })
        case .circuitOpen, WaitCode.circuitProbe: writeCircuit(candidate, task, to: &writer)
        case WaitCode.lost, WaitCode.silent, WaitCode.offline, WaitCode.sleeping:
            writer.field("heard_at", executor.heard.map(now.calendar))
        case WaitCode.labelMissing:
            let labels = executor.card?.labels ?? []
            let wanted = task.spec.extras?.intent.requires ?? []
            writer.field("missing", wanted.filter { $0.hasPrefix("agent:") && !labels.contains($0) })
        case WaitCode.notAssigned: writer.field("assigned_to", task.assignedTo)
        default: return
        }
    }

    private func registration(_ candidate: Shown, _ task: TaskRecord) -> Registration? {
        guard let index = capabilityIndex[ScopedName(task.spec.key.workspace, task.spec.capability)] else { return nil }
        return registrations[Pair(candidate.executor, index)]
    }

    /// Tasks of the same principal that an executor holds; of others only the number is told, by `used`.
    private func held(by executor: Int, _ task: TaskRecord, _ fits: (TaskSpec) -> Bool) -> [String] {
        let specs = executors[executor].tasks.compactMap { tasks[$0]?.spec }
        let own = specs.filter { $0.key.principal == task.spec.key.principal && fits($0) }
        return own.prefix(Dispatcher.holdersNamed).map(\.key.id)
    }

    /// The circuit that holds back: the executor's own, else the capability's.
    private func writeCircuit(_ candidate: Shown, _ task: TaskRecord, to writer: inout JSONWriter) {
        guard let index = capabilityIndex[ScopedName(task.spec.key.workspace, task.spec.capability)] else { return }
        let own = circuits[circuitKey(Pair(candidate.executor, index))]
        let isOwn = own.map { $0.state != .closed } ?? false
        guard let circuit = isOwn ? own : circuits[capabilityCircuitKey(index)] else { return }
        let view = circuit.view(at: now)
        writer.field("circuit") {
            $0.field("of", isOwn ? "executor" : "capability")
            $0.field("state", view.state.rawValue)
            $0.field("since", view.since)
            $0.field("failures", view.failures)
            $0.field("why", view.why)
            $0.field("forced_by", view.forcedBy)
        }
    }
}
