public import TimeModel
public import Wire

/// A store beside the journal, for what is too much to be a core's state: records that are only added, and questions
/// about them. The shell, or the simulator, holds it; the core reaches it by effects and hears of it by inputs.
public protocol Archive: AnyObject {
    /// Reads what is there and cuts an unfinished end. Throws when the store cannot be used at all.
    func open(at now: Now) throws(ArchiveFault)

    /// What the core is told once the store is open: the answer to what it must know of its past.
    var opening: ArchiveEvent { get }

    /// Adds a record, an object, to those of this turn; nothing is written before `commit`.
    func add(_ record: RawJSON)

    /// Writes the records of this turn and waits until they are on the disk. Returns an event when something of it has
    /// to be told: records were lost, or the store can be written again.
    func commit(at now: Now) -> ArchiveEvent?

    /// Answers a question of the core; the time it takes is bounded.
    func answer(_ question: RawJSON, at now: Now) -> RawJSON

    /// Replaces a file outside of the store, such as one that another program reads, by new content as a whole.
    func export(_ content: [UInt8], to path: String) throws(ArchiveFault)

    /// What has happened since the last call that belongs into the log.
    func takeLog() -> [LogEvent]
}

/// What a core asks of its archive.
public enum ArchiveRequest: Equatable, Sendable {
    /// Add a record. Carried out with the appends of the turn, before anything leaves.
    case record(RawJSON)
    /// Answer a question; an `ArchiveEvent.answered` with this number follows.
    case ask(id: Int, RawJSON)
    /// Replace a file outside of the store by this content as a whole.
    case export(path: String, [UInt8])
}

/// What a core hears of its archive.
public enum ArchiveEvent: Equatable, Sendable {
    /// It is open: what it holds, and the digests of the newest records, the oldest first.
    case opened(RawJSON, digests: [UInt64])
    /// The answer to a question.
    case answered(id: Int, RawJSON)
    /// So many records could not be written, for this reason; they are gone. The oldest tells of the moment `since`.
    case lost(count: Int, since: WallTime, reason: String)
    /// It can be written again.
    case recovered
}

/// Why an archive cannot be used.
public struct ArchiveFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// One sentence.
    public var description: String

    /// A fault with its sentence.
    public init(_ description: String) { self.description = description }
}

/// The files of an archive, all in one folder: what its shell, or the simulator's disk, does for it.
public protocol ArchiveFiles: AnyObject {
    /// The names in the folder, sorted.
    func names() throws(ArchiveFault) -> [String]
    /// Bytes of a file.
    func size(of name: String) throws(ArchiveFault) -> Int
    /// Bytes of a file from an offset on; fewer at its end.
    func read(_ name: String, at offset: Int, count: Int) throws(ArchiveFault) -> [UInt8]
    /// Adds bytes to the end of a file, which is made if there is none; on the disk only after `sync`.
    func append(_ bytes: [UInt8], to name: String) throws(ArchiveFault)
    /// Waits until a file, and its name, are on the disk.
    func sync(_ name: String) throws(ArchiveFault)
    /// Cuts a file to a length, durably.
    func cut(_ name: String, to length: Int) throws(ArchiveFault)
    /// Puts a whole file in the place of what was there, durably: after a crash it is the old or the new one.
    func replace(_ name: String, with bytes: [UInt8]) throws(ArchiveFault)
    /// Removes a file.
    func remove(_ name: String) throws(ArchiveFault)
    /// Puts a whole file somewhere else on this computer; who reads it sees the old or the new one.
    func export(_ bytes: [UInt8], to path: String) throws(ArchiveFault)
    /// Free bytes on the disk, as far as they are known.
    var freeBytes: Int? { get }
}
