import Determinism
public import Machine
import TimeModel
import Wire

/// What survives a crash, to be compared: a dispatcher and one made from its journal keep the same (I18).
extension Dispatcher {
    /// All that the journal keeps, as records in an order of their own: tasks, leases, results, duplicates by key,
    /// what the broker has not taken, first sights, references, pauses, drains, zombies, budgets of the present
    /// periods and circuits. Leases' ends, beats, parked claims, statuses, cards and rates are not kept.
    ///
    /// `now` is the moment of the comparison, the same for both. `clockWasSet` leaves out the times of circuits and
    /// what follows from them, since the journal tells them by a calendar that has been set in between.
    public func kept(at now: Now, clockWasSet: Bool = false) -> [[UInt8]] {
        var own = self
        own.now = now
        var lines: [[UInt8]] = []
        own.snapshotState { record in
            if clockWasSet, case .pause = record { return }
            lines.append(record.encoded)
        }
        for key in Set(circuits.keys).union(replayedCircuits.keys).sorted() {
            guard let record = replayedCircuits[key] ?? circuits[key]?.record(at: now) else { continue }
            let shown = record.compared(at: now.wall, clockWasSet: clockWasSet)
            lines.append(JournalRecord.circuit(key.capability, executor: key.executor, shown).encoded)
        }
        for (place, number) in dedupKeys.sorted(by: { $0.key < $1.key }) where own.standing(place) != nil {
            lines.append(Array("\(place.workspace)/\(place.capability)/\(place.key): \(number)".utf8))
        }
        return lines
    }

    /// A hash of `kept`.
    public func stateHash(at now: Now, clockWasSet: Bool = false) -> UInt64 {
        var hash = TraceHash()
        for line in kept(at: now, clockWasSet: clockWasSet) { hash.add(line) }
        return hash.value
    }
}

extension CircuitRecord {
    /// What must be equal after a replay.
    fileprivate func compared(at now: WallTime, clockWasSet: Bool) -> CircuitRecord {
        var shown = self
        shown.window.removeAll { now - $0.at >= Circuit.windowMs }
        guard clockWasSet else { return shown }
        (shown.since, shown.until, shown.forcedUntil) = (WallTime(milliseconds: 0), nil, nil)
        (shown.trips, shown.window) = (0, [])
        return shown
    }
}
