import Contract
import Determinism
import Machine
import TimeModel

/// Executors that are gone for good: names that never come again take no room.
extension Dispatcher {
    /// Forgets the executors without card, work and claims of which nothing was seen for an hour. Their places are
    /// given to the next that come.
    mutating func forgetExecutors() {
        guard isSettled else { return }
        let gone = executors.indices.filter { isGone(executors[$0]) }
        for executor in gone {
            let name = executors[executor].name
            if seenCounts[name] != nil {
                unsee(name)
                journal(.unseen(name))
            }
            for key in circuits.keys.filter({ $0.executor == name.name }).sorted()
            where key.capability.workspace == name.workspace { removeCircuit(key) }
            alertLost(executor, isOnline: true)
            for kind in [TimerKey.Kind.claim, .identity] { timers.remove(TimerKey(kind, executor)) }
            for kind in [TimerKey.Kind.silence, .zombie] { heldTimers.remove(TimerKey(kind, executor)) }
            dirtyExecutors.remove(executor)
            executorIndex[name] = nil
            executors[executor] = ExecutorRecord(ScopedName("", ""))
            freeExecutors.append(executor)
        }
    }

    /// Forgets when an executor offered what. What no other one ever offered is unknown again, as it is to a dispatcher
    /// that starts on the compacted journal.
    mutating func unsee(_ executor: ScopedName) {
        let gone = firstSeen.keys.filter { $0.executor == executor }
        var left = Set(gone.map(\.capability))
        for key in gone { firstSeen[key] = nil }
        seenCounts[executor] = nil
        for key in firstSeen.keys where key.executor.workspace == executor.workspace { left.remove(key.capability) }
        for name in left {
            guard let index = capabilityIndex[ScopedName(executor.workspace, name)] else { continue }
            if capabilities[index].executors.isEmpty { capabilities[index].wasSeen = false }
        }
    }

    private func isGone(_ record: ExecutorRecord) -> Bool {
        record.card == nil && !record.isCardless && !record.isDraining && record.capabilities.isEmpty
            && record.tasks.isEmpty && record.zombies.isEmpty && record.claims.isEmpty && !record.name.name.isEmpty
            && now.monotonic - record.noticed >= Limits.executorMemoryMs
    }
}
