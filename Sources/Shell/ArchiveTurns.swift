import Machine
import TimeModel

/// The archive's part in the turns of a loop: records before the sync of the journal, questions after it, and what the
/// core is to hear in the next turn.
final class ArchiveTurns {
    private let archive: (any Archive)?
    private let log: LogWriter
    private var events: [ArchiveEvent] = []

    init(_ archive: (any Archive)?, log: LogWriter) {
        self.archive = archive
        self.log = log
    }

    /// Whether the core has something to hear.
    var hasEvents: Bool { !events.isEmpty }

    /// What the core has to hear, in order.
    func takeEvents() -> [ArchiveEvent] {
        defer { events.removeAll() }
        return events
    }

    /// Opens it; its state is the first thing that the core hears after `started`.
    func open(at now: Now) throws(JournalFault) {
        guard let archive else { return }
        do throws(ArchiveFault) { try archive.open(at: now) } catch { throw .archive(error.description) }
        writeLog()
        events = [archive.opening]
    }

    /// The core begins again from its journal.
    func startAgain() {
        if let archive { events = [archive.opening] }
    }

    /// Makes the records of a turn durable.
    func commit(_ effects: [ServiceEffect], at now: Now) {
        guard let archive else { return }
        for case .archive(.record(let record)) in effects { archive.add(record) }
        if let event = archive.commit(at: now) { events.append(event) }
        writeLog()
    }

    /// Carries out a question or an export.
    func perform(_ request: ArchiveRequest, at now: Now) {
        guard let archive else { return }
        switch request {
        case .record: break
        case .ask(let id, let question): events.append(.answered(id: id, archive.answer(question, at: now)))
        case .export(let path, let content):
            do throws(ArchiveFault) { try archive.export(content, to: path) } catch {
                log.write(LogEvent(.warning, "not_exported", error.description))
            }
        }
        writeLog()
    }

    private func writeLog() {
        for event in archive?.takeLog() ?? [] { log.write(event) }
    }
}
