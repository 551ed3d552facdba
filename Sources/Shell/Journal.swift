import CPlatform
import Glibc
import Machine
import TimeModel

/// Why a journal cannot be used.
public enum JournalFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// A system call failed; the state may recover by itself.
    case system(SystemError)
    /// Bytes before the end are not what was written. Nothing is cut; somebody must look.
    case damaged(path: String, offset: Int, reason: String)
    /// The archive beside it cannot be used.
    case archive(String)
    /// A newer release has written it.
    case newerFormat(path: String, found: Int, known: Int)
    /// A record has a form that the program does not know.
    case unreadable(path: String, offset: Int, reason: String)

    /// One sentence.
    public var description: String {
        switch self {
        case .system(let error): return error.description
        case .archive(let reason): return reason
        case .damaged(let path, let offset, let reason):
            return "the journal \(path) is damaged at byte \(offset): \(reason); restore it from a copy"
        case .newerFormat(let path, let found, let known):
            return "the journal \(path) has format \(found), this release knows up to \(known); use the newer release"
        case .unreadable(let path, let offset, let reason):
            return "the journal \(path) has a record at byte \(offset) that cannot be read: \(reason)"
        }
    }
}

/// An append-only file of records.
///
/// ```
/// file   = header frame*
/// header = "MARTLETJ" version:u32 crc:u32          (of the 12 bytes before)
/// frame  = length:u32 crc:u32 sequence:u64 kind:u8 record*
/// record = length:u32 bytes
/// ```
/// Numbers are little endian. A frame is what one turn appends and syncs: it counts as a whole or not at all, so that
/// every prefix of the file gives the state after some turn. `length` counts what follows `crc`; `crc` is the CRC-32C of
/// `length` and of what it counts; `sequence` rises by one. Since a frame is only begun when the one before it is on the
/// disk, a bad frame with nothing valid behind it is a torn tail, and one with a later valid frame behind it is damage.
///
/// The file is made longer in steps, by zeros ahead of what is written: an append over bytes that are there costs the
/// disk one write, one that lengthens the file costs the file system a transaction besides, and so does one into space
/// that is set aside without being written (`fallocate`). So zeros may follow the last frame.
public final class Journal {
    /// The format that this release writes; it reads this one and all earlier ones.
    static let formatVersion = 1
    static let magic = Array("MARTLETJ".utf8)
    static let headerLength = 16
    static let frameOverhead = 17
    /// A frame of more bytes is refused as damage.
    static let frameLimit = 1 << 30
    /// Bytes of records that one frame of a snapshot holds, the last record apart.
    static let snapshotFrame = 1 << 20
    /// Bytes by which the file is made longer.
    static let roomStep = 1 << 20

    /// What a frame is for.
    enum Kind: UInt8 {
        /// The records of one turn.
        case turn = 1
        /// A part of a snapshot.
        case snapshot = 2
        /// The end of a snapshot: without it the file is damaged, since a snapshot is in place only when complete.
        case snapshotEnd = 3
    }

    /// When to compact, and how much of the disk to leave free.
    public struct Limits: Hashable, Sendable {
        /// No compaction below so many bytes.
        public var compactionFloor = 8 << 20
        /// Compaction when the file has grown to so many times its size after the last one.
        public var compactionFactor = 4
        /// Below so many bytes free on the disk the service accepts nothing new; default 64 MiB.
        public var freeSpace = 64 << 20

        /// The defaults.
        public init() {}
    }

    /// What recovery found.
    public struct Recovery: Hashable, Sendable {
        /// Records handed to the core.
        public var records = 0
        /// Bytes of the file that count.
        public var bytes = 0
        /// Bytes of a torn tail that were cut.
        public var cut = 0
    }

    let path: String
    let directory: String
    let limits: Limits
    var descriptor: Int32 = -1
    /// Bytes that are on the disk for sure.
    private(set) var syncedLength = 0
    /// Where the room for further frames ends.
    private var roomEnd = 0
    /// False once the file system has refused to make room.
    private var makesRoom = true
    var sizeAtSnapshot = 0
    var sequence: UInt64 = 0
    /// Records that the last recovery replayed.
    var recordsReplayed = 0
    /// Whether the name of a new file is not yet on the disk; nothing is committed before it is.
    var directoryUnsynced = false
    /// After a compaction that failed: the size at which to try again.
    var retryCompactionAt = 0
    private var frame: [UInt8] = []
    private var frameRecords = 0
    /// How long the slowest sync took, in ms.
    private(set) var slowestSync = 0
    /// The slowest syncs of the present and of the last five minutes, in ms.
    private var syncWindow = (begin: SystemClock.monotonic, slowest: 0, before: 0)

    /// The journal of a state directory, which must be locked; nothing is read yet.
    public init(directory: String, limits: Limits = Limits()) {
        self.directory = directory
        self.limits = limits
        path = "\(directory)/journal"
    }

    deinit { closeFile() }

    /// Whether records wait for `commit`.
    var hasPending: Bool { frameRecords > 0 }

    /// The bytes of the file that count; zeros may follow.
    public var size: Int { syncedLength }

    /// Adds a record to the frame of this turn; nothing is written before `commit`.
    public func append(_ record: [UInt8]) {
        if frame.isEmpty { frame.append(contentsOf: repeatElement(0, count: Journal.frameOverhead)) }
        frame.appendLittleEndian(UInt32(record.count))
        frame.append(contentsOf: record)
        frameRecords += 1
    }

    /// Writes the pending records and waits until they are on the disk; `meanwhile` runs while the disk writes. When this
    /// throws, nothing of the turn may leave: the file's end is unknown until `recover`.
    public func commit(meanwhile: () -> Void = {}) throws(SystemError) {
        guard frameRecords > 0 else { return meanwhile() }
        try write(kind: .turn, meanwhile)
    }

    /// Appends an empty frame, to see whether the disk takes it.
    public func probe() throws(SystemError) {
        frame = [UInt8](repeating: 0, count: Journal.frameOverhead)
        try write(kind: .turn) {}
    }

    private func write(kind: Kind, _ meanwhile: () -> Void) throws(SystemError) {
        if directoryUnsynced {
            try synchronizeDirectory(directory)
            directoryUnsynced = false
        }
        Journal.seal(&frame, kind: kind, sequence: sequence + 1)
        let started = SystemClock.monotonic
        makeRoom(for: frame.count)
        try writeAll(descriptor, frame, named: path)
        platform_begin_writing(descriptor, Int64(syncedLength), Int64(frame.count))
        meanwhile()
        guard fdatasync(descriptor) == 0 else { throw SystemError("sync", path) }
        let now = SystemClock.monotonic
        slowestSync = max(slowestSync, now - started)
        turnWindow(at: now)
        syncWindow.slowest = max(syncWindow.slowest, now - started)
        sequence += 1
        syncedLength += frame.count
        forgetPending()
    }

    /// Writes zeros where the next frame goes and on. When the disk has only a little left, the frame finds its place
    /// there. A refusal costs only time: the frame itself then lengthens the file, or finds the disk full.
    private func makeRoom(for count: Int) {
        let end = syncedLength + count
        guard makesRoom, end > roomEnd else { return }
        let zeros = [UInt8](repeating: 0, count: 64 << 10)
        while makesRoom, roomEnd < end + Journal.roomStep {
            let written = pwrite(descriptor, zeros, zeros.count, off_t(roomEnd))
            makesRoom = written > 0
            roomEnd += max(0, written)
        }
    }

    /// Forgets the records of this turn.
    public func forgetPending() {
        frame.removeAll(keepingCapacity: frame.capacity <= 1 << 20)
        frameRecords = 0
    }

    /// How long the slowest sync of the last five to ten minutes took, in ms.
    var slowestLately: Int {
        turnWindow(at: SystemClock.monotonic)
        return max(syncWindow.slowest, syncWindow.before)
    }

    private func turnWindow(at now: MonotonicTime) {
        let length = 300_000
        guard now >= syncWindow.begin + length else { return }
        syncWindow = (now, 0, now < syncWindow.begin + 2 * length ? syncWindow.slowest : 0)
    }

    /// Whether the disk has the configured free space. An unknown size counts as enough.
    public var hasFreeSpace: Bool { space.map { $0.free >= limits.freeSpace } ?? true }

    /// Whether the disk has somewhat more than that, so that the answer does not flutter at the limit.
    public var hasAmpleSpace: Bool { space.map { $0.free >= limits.freeSpace + limits.freeSpace / 8 } ?? true }

    /// Bytes of the disk that this account may use, and those of them that are free.
    var space: (all: Int, free: Int)? {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { return nil }
        func bytes(_ blocks: fsblkcnt_t) -> Int? {
            let (bytes, overflow) = Int(blocks).multipliedReportingOverflow(by: Int(status.f_frsize))
            return overflow ? nil : bytes
        }
        guard let free = bytes(status.f_bavail), status.f_blocks >= status.f_bfree,
            let used = bytes(status.f_blocks - status.f_bfree)
        else { return nil }
        return (used + free, free)
    }

    /// Notes that the file now ends, durably, after so many bytes.
    func setEnd(_ length: Int, sequence: UInt64) {
        syncedLength = length
        self.sequence = sequence
        roomEnd = length
        makesRoom = true
    }

    func closeFile() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    /// Fills in length, checksum, sequence and kind of a frame whose records are in place.
    static func seal(_ frame: inout [UInt8], kind: Kind, sequence: UInt64) {
        frame.setLittleEndian(UInt32(frame.count - 8), at: 0)
        frame.setLittleEndian(sequence, at: 8)
        frame[16] = kind.rawValue
        frame.setLittleEndian(frame.withUnsafeBytes { checksum($0) }, at: 4)
    }

    /// The checksum that a whole frame must have: of its length and of all behind the checksum.
    static func checksum(_ frame: UnsafeRawBufferPointer) -> UInt32 {
        let length = platform_crc32c(0, frame.baseAddress, 4)
        return platform_crc32c(length, frame.baseAddress.map { $0 + 8 }, frame.count - 8)
    }

    static func header() -> [UInt8] {
        var header = magic
        header.appendLittleEndian(UInt32(formatVersion))
        header.appendLittleEndian(header.withUnsafeBytes { platform_crc32c(0, $0.baseAddress, $0.count) })
        return header
    }
}

extension Array where Element == UInt8 {
    mutating func appendLittleEndian(_ value: UInt32) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func setLittleEndian<Number: FixedWidthInteger>(_ value: Number, at offset: Int) {
        for index in 0..<Number.bitWidth / 8 { self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }
}
