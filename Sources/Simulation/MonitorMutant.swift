import Contract
import Determinism
import Machine
import MonitorCore
import TimeModel
import Wire

/// A bug of the monitor that is planted to see whether the checkers find it. Never on unless asked for by name.
public enum MonitorMutant: String, CaseIterable, Hashable, Sendable {
    /// One record in fifty is not written.
    case dropsRecord = "drops-record"
    /// One record in fifty is written twice.
    case writesTwice = "writes-twice"
    /// What was lost with a session is not stated.
    case forgetsGap = "forgets-gap"
    /// That the disk took nothing is not noticed.
    case forgetsLoss = "forgets-loss"
    /// A new process does not know what was recorded before.
    case forgetsDigests = "forgets-digests"
    /// The unfinished end of a segment stays, and what follows is written behind it.
    case keepsTornEnd = "keeps-torn-end"
    /// Acknowledges before the records are on the disk.
    case speaksBeforeSync = "speaks-before-sync"
    /// Sums of finished segments count twice.
    case sumsTwice = "sums-twice"
    /// Rolling numbers begin anew with each process.
    case forgetsWindow = "forgets-window"
    /// A page leaves its last record out.
    case cutsPages = "cuts-pages"
    /// That a session is in doubt is not remembered.
    case trustsSession = "trusts-session"

    /// Plants what is a bug of the core or its shell into a node.
    func plant<S: Service>(in node: ServiceNode<S>) {
        switch self {
        case .speaksBeforeSync: node.speaksBeforeSync = true
        case .trustsSession:
            node.tamper = { effects in
                effects.filter { effect in
                    if case .append(let record) = effect {
                        return !String(decoding: record, as: UTF8.self).contains("session")
                    }
                    return true
                }
            }
        default: break
        }
    }
}

/// A history with a planted bug.
final class TamperedArchive: Archive {
    private let store: HistoryStore
    private let mutant: MonitorMutant
    private var count = 0

    init(_ store: HistoryStore, _ mutant: MonitorMutant) {
        self.store = store
        self.mutant = mutant
    }

    func open(at now: Now) throws(ArchiveFault) { try store.open(at: now) }

    var opening: ArchiveEvent {
        guard case .opened(let state, let digests) = store.opening else { return store.opening }
        return .opened(state, digests: mutant == .forgetsDigests ? [] : digests)
    }

    func add(_ record: RawJSON) {
        count += 1
        if mutant == .dropsRecord, count % 50 == 0 { return }
        if mutant == .forgetsGap, let record = try? HistoryRecord(record), record.code == "session_lost" { return }
        store.add(record)
        if mutant == .writesTwice, count % 50 == 0 { store.add(record) }
    }

    func commit(at now: Now) -> ArchiveEvent? {
        let event = store.commit(at: now)
        if mutant == .forgetsLoss { return nil }
        return event
    }

    func answer(_ question: RawJSON, at now: Now) -> RawJSON {
        let answer = store.answer(question, at: now)
        let what = JSONValue(question)["what"]?.stringValue
        switch (mutant, what) {
        case (.forgetsWindow, "groups"): return RawJSON { $0.object { $0.field("items", [RawJSON]()) } }
        case (.sumsTwice, "stats"): return doubled(answer)
        case (.cutsPages, "query"): return doubled(answer, dropsLast: true)
        default: return answer
        }
    }

    /// The items, the first once more, or the last left out.
    private func doubled(_ answer: RawJSON, dropsLast: Bool = false) -> RawJSON {
        let value = JSONValue(answer)
        guard case .array(var items)? = value["items"], let first = items.first else { return answer }
        if dropsLast { items.removeLast() } else { items.append(first) }
        return RawJSON { writer in
            writer.object {
                $0.field("items", items.map(\.raw))
                $0.field("after", value["after"]?.stringValue)
            }
        }
    }

    func export(_ content: [UInt8], to path: String) throws(ArchiveFault) { try store.export(content, to: path) }

    func takeLog() -> [LogEvent] { store.takeLog() }
}

/// A disk on which nothing can be cut away.
final class UncutFiles: ArchiveFiles {
    private let files: FakeFiles

    init(_ files: FakeFiles) { self.files = files }

    func names() throws(ArchiveFault) -> [String] { try files.names() }
    func size(of name: String) throws(ArchiveFault) -> Int { try files.size(of: name) }
    func read(_ name: String, at offset: Int, count: Int) throws(ArchiveFault) -> [UInt8] {
        try files.read(name, at: offset, count: count)
    }
    func append(_ bytes: [UInt8], to name: String) throws(ArchiveFault) { try files.append(bytes, to: name) }
    func sync(_ name: String) throws(ArchiveFault) { try files.sync(name) }
    func cut(_ name: String, to length: Int) throws(ArchiveFault) {}
    func replace(_ name: String, with bytes: [UInt8]) throws(ArchiveFault) { try files.replace(name, with: bytes) }
    func remove(_ name: String) throws(ArchiveFault) { try files.remove(name) }
    func export(_ bytes: [UInt8], to path: String) throws(ArchiveFault) { try files.export(bytes, to: path) }
    var freeBytes: Int? { files.freeBytes }
}
