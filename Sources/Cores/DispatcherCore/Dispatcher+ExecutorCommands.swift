import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// A `load` or `unload` that waits for the executor's new card.
struct PendingLoad: Sendable {
    /// What was asked, for the reply.
    var call: CommandCall
    /// Index of the executor.
    var executor: Int
    /// The capability.
    var capability: String
    /// Until when.
    var until: MonotonicTime
}

/// Commands about executors (`topics/commands.md`, executor).
extension Dispatcher {
    /// How long an executor may take to show a new card, in ms.
    static let loadMs = 30_000

    mutating func executorCommand(_ call: CommandCall) throws(CommandRefusal) -> Reply? {
        try permit(call, capability: nil)
        switch call.verb {
        case "list": return listExecutors(call)
        case "get": return .done(data: executorObject(try knownExecutor(call), withCard: true))
        case "drain": return try drain(call)
        case "resume":
            let executor = try knownExecutor(call)
            if executors[executor].isDraining { setDraining(executor, false) }
            return .done(data: executorObject(executor))
        default: return try load(call)
        }
    }

    /// One that has a card, claims without one, or was drained; after a start also one whose card is still to come.
    private func knownExecutor(_ call: CommandCall) throws(CommandRefusal) -> Int {
        if let index = executorIndex[call.object],
            executors[index].card != nil || executors[index].isCardless || executors[index].isDraining || !isSettled
        {
            return index
        }
        throw CommandRefusal(.notFound, "no executor \(call.id)")
    }

    // MARK: - Views

    private func executorObject(_ index: Int, withCard: Bool = false) -> RawJSON {
        let executor = executors[index]
        return RawJSON {
            $0.object {
                $0.field("executor", executor.name.name)
                $0.field("state", executorState(index))
                if withCard { $0.field("card", executor.card?.raw) }
                $0.field("status", executor.status)
                $0.field("slots", executor.slots)
                $0.field("free_slots", max(0, executor.slots - executor.used))
                $0.key("leases")
                $0.beginArray()
                for number in executor.tasks { writeLease(number, to: &$0) }
                $0.endArray()
            }
        }
    }

    private func writeLease(_ number: Int, to writer: inout JSONWriter) {
        guard let task = tasks[number], let lease = leases[number] else { return }
        writer.object {
            $0.field("task", task.spec.key.id)
            $0.field("principal", task.spec.key.principal)
            $0.field("capability", task.spec.capability)
            $0.field("epoch", lease.epoch)
            $0.field("state", task.state)
        }
    }

    /// Why it gets nothing at all, else its status.
    private func executorState(_ index: Int) -> String {
        let mode: Mode = takes(.push, executors[index]) ? .push : .pull
        if let obstacle = livenessObstacle(index, mode, isCheck: false) { return obstacle.code.rawValue }
        return (executors[index].status ?? .online).rawValue
    }

    private func listExecutors(_ call: CommandCall) -> Reply {
        let after = call.fields.after ?? ""
        let names = executors.filter {
            $0.name.workspace == call.workspace && ($0.card != nil || $0.isCardless) && $0.name.name > after
        }.map(\.name.name)
        return page(call, names.sorted()) { name in
            executorIndex[ScopedName(call.workspace, name)].map { executorObject($0) }
        }
    }

    // MARK: - Drain

    /// No new work; with `now` its tasks go back to the queue.
    private mutating func drain(_ call: CommandCall) throws(CommandRefusal) -> Reply {
        let executor = try knownExecutor(call)
        let takesAway = call.fields.now ?? false
        if takesAway, executors[executor].tasks.contains(where: { tasks[$0]?.spec.delivery == .atMostOnce }) {
            throw CommandRefusal(
                .notAssignable, "it has a task that may not run twice", data: executorObject(executor))
        }
        if !executors[executor].isDraining { setDraining(executor, true) }
        if takesAway {
            for number in executors[executor].tasks {
                guard let state = tasks[number]?.state, state == .offered || state == .running else { continue }
                fenceHolder(number, code: .staleEpoch, cancels: false)
                transition(number, to: .queued)
            }
        }
        return .done(data: executorObject(executor))
    }

    private mutating func setDraining(_ executor: Int, _ flag: Bool) {
        executors[executor].isDraining = flag
        journal(.drain(executors[executor].name, flag))
        tellOnline(executor)
        touch(executor: executor)
    }

    // MARK: - Load and unload

    /// Passes a `load` or `unload` on; the reply comes with the new card.
    private mutating func load(_ call: CommandCall) throws(CommandRefusal) -> Reply? {
        let executor = try knownExecutor(call)
        let payload = JSONValue(call.fields.raw)
        guard let name = payload["name"]?.stringValue else {
            throw CommandRefusal(.invalidField, "name is missing")
        }
        if !Names.isName(name) { throw CommandRefusal(.invalidName, "'\(name)' is not a name") }
        let entry = loadedEntry(executor, name)
        if call.verb == "load" {
            do throws(WireError) {
                _ = try CapabilityEntry(call.fields.raw)
            } catch {
                throw CommandRefusal(.invalidField, error.message)
            }
            if let entry {
                if Dispatcher.isSame(payload, as: entry) { return .done(data: entry.raw) }
                throw CommandRefusal(.conflictRev, "\(name) is loaded with other content", data: entry.raw)
            }
        } else if entry == nil {
            throw CommandRefusal(.notFound, "\(call.id) does not offer \(name)")
        }
        expectCard(call, executor, name)
        return nil
    }

    /// What the card says of a capability.
    private func loadedEntry(_ executor: Int, _ name: String) -> JSONValue? {
        guard let raw = executors[executor].card?.raw, case .array(let list)? = JSONValue(raw)["capabilities"] else {
            return nil
        }
        return list.first { $0["name"]?.stringValue == name }
    }

    /// Whether all fields of the payload that the card shows too are the same there.
    private static func isSame(_ payload: JSONValue, as entry: JSONValue) -> Bool {
        guard case .object(let fields) = payload else { return false }
        return fields.allSatisfy { field in entry[field.key].map { Schema.equal($0, field.value) } ?? true }
    }

    private mutating func expectCard(_ call: CommandCall, _ executor: Int, _ name: String) {
        let message: WorkMessage = call.verb == "load" ? .load(call.fields.raw) : .unload(call.fields.raw)
        send(message, name, executor)
        if let known = pendingLoads.first(where: { $0.value.call.reply == call.reply && $0.value.executor == executor })
        {
            pendingLoads[known.key]?.call = call
            return
        }
        lastLoad += 1
        let until = now.monotonic + Dispatcher.loadMs
        pendingLoads[lastLoad] = PendingLoad(call: call, executor: executor, capability: name, until: until)
        timers.set(TimerKey(.load, lastLoad), until)
    }

    /// The card of an executor is another one: commands that waited for it are answered.
    mutating func answerLoads(_ executor: Int) {
        for key in pendingLoads.keys.sorted() {
            guard let pending = pendingLoads[key], pending.executor == executor else { continue }
            let entry = loadedEntry(executor, pending.capability)
            guard (entry != nil) == (pending.call.verb == "load") else { continue }
            send(.done(rev: executors[executor].card?.rev, data: entry?.raw), to: pending.call)
            endLoad(key)
        }
    }

    /// The time of a `load` or `unload` is over.
    mutating func loadDue(_ key: Int) {
        guard let pending = pendingLoads[key] else { return }
        let text = "\(pending.call.id) showed no new card within \(Dispatcher.loadMs) ms"
        send(.refused(.executionTimeout, text), to: pending.call)
        endLoad(key)
    }

    private mutating func endLoad(_ key: Int) {
        pendingLoads[key] = nil
        timers.remove(TimerKey(.load, key))
    }
}
