import Contract
import Determinism
public import Machine
import TimeModel
import Wire

extension ExecutorMachine {
    /// Takes one record of an earlier run, or of this one's compaction.
    public mutating func replay(_ record: [UInt8]) throws(JournalError) {
        switch try JournalRecord(record) {
        case .run: open.removeAll()
        case .term(let term): highestTerm = max(highestTerm, term)
        case .begun(let key):
            seen.note(key)
            open[key] = true
        case .dropped(let key): open[key] = nil
        case .outcome(let key, let report):
            seen.note(key)
            open[key] = nil
            if let old = outcomes[key] { outcomeBytes -= old.payload.count }
            outcomes[key] = KeptOutcome(payload: report.bytes, isInherited: true)
            outcomeBytes += report.bytes.count
        case .settled(let key):
            if let old = outcomes[key] { outcomeBytes -= old.payload.count }
            outcomes[key] = nil
        case .epochs(let keys): for key in keys { seen.note(key) }
        case .loaded(let name, let flag): loading[name] = flag
        }
    }

    /// Writes the state as records: first the run, so that what follows stays open in a replay.
    public func snapshot(_ emit: ([UInt8]) -> Void) {
        emit(JournalRecord.run(boot: boot).bytes)
        if highestTerm > 0 { emit(JournalRecord.term(highestTerm).bytes) }
        for (name, flag) in loading { emit(JournalRecord.loaded(name, flag).bytes) }
        let epochs = seen.all
        for from in stride(from: 0, to: epochs.count, by: 500) {
            emit(JournalRecord.epochs(Array(epochs[from..<min(from + 500, epochs.count)])).bytes)
        }
        for key in open.keys { emit(JournalRecord.begun(key).bytes) }
        for (key, kept) in outcomes {
            guard let report = try? RawJSON(validating: kept.payload) else { continue }
            emit(JournalRecord.outcome(key, report).bytes)
        }
    }

    /// What must hold after every input.
    public func checkInvariants() -> [String] {
        var faults: [String] = []
        func check(_ holds: Bool, _ text: @autoclosure () -> String) { if !holds { faults.append(text()) } }
        var running: [TaskKey] = []
        for (key, attempt) in attempts {
            let name = "\(key.task.task) epoch \(key.epoch)"
            check(outcomes[key] == nil, "\(name) runs and has an outcome")
            check(seen[key.task] ?? key.epoch >= key.epoch, "\(name) is above the highest epoch seen")
            check(attempt.deadline ?? now.monotonic + 1 > now.monotonic, "\(name) runs past its deadline")
            if attempt.phase != .waiting { running.append(key.task) }
            check((attempt.phase == .waiting) == waiting.contains(key), "\(name) waits, or does not, against the list")
            if case .child(let id) = attempt.phase { check(children[id] == key, "\(name) has lost its program") }
        }
        check(Set(running).count == running.count, "two attempts of one task run")
        check(outcomeBytes == outcomes.values.reduce(0) { $0 + $1.payload.count }, "bytes of outcomes are miscounted")
        check(outcomes.count <= Limits.executorOutcomes, "too many outcomes are kept")
        check(effects.isEmpty, "effects were left behind")
        return faults
    }
}
