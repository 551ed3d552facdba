import CPlatform
import Glibc
public import Machine

/// Reading a journal back.
extension Journal {
    /// Opens the file, makes it if there is none, hands every record to `replay` in order and cuts a torn tail. After a
    /// failed write it first takes away what that write may have left.
    public func recover(_ replay: ([UInt8]) throws(JournalError) -> Void) throws(JournalFault) -> Recovery {
        forgetPending()
        let failedAt = descriptor >= 0 ? size : nil
        closeFile()
        unlink("\(path).new")
        do throws(SystemError) {
            try openFile()
            if let failedAt { try cut(to: failedAt) }
            try synchronizeDirectory(directory)
            directoryUnsynced = false
        } catch {
            throw .system(error)
        }
        let content: MappedFile
        do throws(SystemError) { content = try MappedFile(descriptor, path) } catch { throw .system(error) }
        defer { withExtendedLifetime(content) {} }
        return try recover(from: content.bytes, replay)
    }

    private func recover(
        from content: UnsafeRawBufferPointer, _ replay: ([UInt8]) throws(JournalError) -> Void
    ) throws(JournalFault) -> Recovery {
        if content.isEmpty || Journal.isTornHeader(content) { return try start(cut: content.count) }
        try checkHeader(content)
        let end = try replayFrames(content, replay)
        let torn = max(0, Journal.endOfBytes(in: content) - end)
        if end < content.count {
            do throws(SystemError) { try cut(to: end) } catch { throw .system(error) }
        }
        guard lseek(descriptor, off_t(end), SEEK_SET) == off_t(end) else { throw .system(SystemError("seek in", path)) }
        return Recovery(records: recordsReplayed, bytes: end, cut: torn)
    }

    private func openFile() throws(SystemError) {
        let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard opened >= 0 else { throw SystemError("open", path) }
        descriptor = opened
    }

    private func cut(to length: Int) throws(SystemError) {
        guard ftruncate(descriptor, off_t(length)) == 0 else { throw SystemError("cut", path) }
        guard fsync(descriptor) == 0 else { throw SystemError("sync", path) }
    }

    /// Begins a new file.
    private func start(cut torn: Int) throws(JournalFault) -> Recovery {
        do throws(SystemError) {
            try cut(to: 0)
            guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw SystemError("seek in", path) }
            let header = Journal.header()
            try writeAll(descriptor, header, named: path)
            guard fsync(descriptor) == 0 else { throw SystemError("sync", path) }
        } catch {
            throw .system(error)
        }
        setEnd(Journal.headerLength, sequence: 0)
        sizeAtSnapshot = 0
        recordsReplayed = 0
        return Recovery(records: 0, bytes: Journal.headerLength, cut: torn)
    }

    /// A file that is shorter than its header was never complete; it holds no record.
    private static func isTornHeader(_ content: UnsafeRawBufferPointer) -> Bool {
        content.count < headerLength && (header().starts(with: content) || content.allSatisfy { $0 == 0 })
    }

    private func checkHeader(_ content: UnsafeRawBufferPointer) throws(JournalFault) {
        guard content.count >= Journal.headerLength, content.starts(with: Journal.magic) else {
            throw .damaged(path: path, offset: 0, reason: "it is not a journal")
        }
        let expected = platform_crc32c(0, content.baseAddress, 12)
        guard content.littleEndian(at: 12, as: UInt32.self) == expected else {
            throw .damaged(path: path, offset: 0, reason: "the header's checksum is wrong")
        }
        let version = Int(content.littleEndian(at: 8, as: UInt32.self))
        guard version <= Journal.formatVersion else {
            throw .newerFormat(path: path, found: version, known: Journal.formatVersion)
        }
    }

    /// Replays all valid frames and returns where they end.
    private func replayFrames(
        _ content: UnsafeRawBufferPointer, _ replay: ([UInt8]) throws(JournalError) -> Void
    ) throws(JournalFault) -> Int {
        var at = Journal.headerLength
        var last: UInt64 = 0
        var inSnapshot = false
        recordsReplayed = 0
        sizeAtSnapshot = 0
        while let found = Journal.frame(in: content, at: at, after: last) {
            try replayRecords(content, found, replay)
            at = found.end
            last = found.sequence
            inSnapshot = found.kind == .snapshot
            if found.kind == .snapshotEnd { sizeAtSnapshot = at }
        }
        if inSnapshot { throw .damaged(path: path, offset: at, reason: "the snapshot is not complete") }
        if let later = Journal.firstFrame(in: content, behind: at, after: last) {
            throw .damaged(path: path, offset: at, reason: "a valid part follows at byte \(later)")
        }
        setEnd(at, sequence: last)
        return at
    }

    /// Where the zeros begin that the file ends with: nothing was written there, or zeros.
    private static func endOfBytes(in content: UnsafeRawBufferPointer) -> Int {
        var end = content.count
        while end >= 8, content.loadUnaligned(fromByteOffset: end - 8, as: UInt64.self) == 0 { end -= 8 }
        while end > 0, content[end - 1] == 0 { end -= 1 }
        return end
    }

    /// A frame whose checksum holds.
    struct Frame {
        var start: Int
        var end: Int
        var sequence: UInt64
        var kind: Kind
    }

    /// The frame at an offset, if it is whole and follows number `last`.
    static func frame(in content: UnsafeRawBufferPointer, at: Int, after last: UInt64) -> Frame? {
        guard let found = anyFrame(in: content, at: at), found.sequence == last + 1 else { return nil }
        return found
    }

    private static func anyFrame(in content: UnsafeRawBufferPointer, at: Int) -> Frame? {
        guard at + frameOverhead <= content.count else { return nil }
        let length = Int(content.littleEndian(at: at, as: UInt32.self))
        let end = at + 8 + length
        guard length >= frameOverhead - 8, length <= frameLimit, end <= content.count,
            let kind = Kind(rawValue: content[at + 16]),
            content.littleEndian(at: at + 4, as: UInt32.self)
                == checksum(UnsafeRawBufferPointer(rebasing: content[at..<end]))
        else { return nil }
        return Frame(start: at, end: end, sequence: content.littleEndian(at: at + 8), kind: kind)
    }

    /// Where a later valid frame begins behind a bad one, if there is any. The sequence number is looked at before the
    /// checksum, so that a long torn tail is searched in one pass.
    private static func firstFrame(in content: UnsafeRawBufferPointer, behind at: Int, after last: UInt64) -> Int? {
        guard at < content.count else { return nil }
        let furthest = last + UInt64(content.count)
        // A frame begins with its length, which is not zero.
        let end = endOfBytes(in: content)
        for offset in (at + 1)..<max(at + 2, end) where offset + frameOverhead <= content.count {
            guard content[offset + 16] <= Kind.snapshotEnd.rawValue else { continue }
            let sequence: UInt64 = content.littleEndian(at: offset + 8)
            guard sequence > last, sequence <= furthest, anyFrame(in: content, at: offset) != nil else { continue }
            return offset
        }
        return nil
    }

    private func replayRecords(
        _ content: UnsafeRawBufferPointer, _ frame: Frame, _ replay: ([UInt8]) throws(JournalError) -> Void
    ) throws(JournalFault) {
        var at = frame.start + Journal.frameOverhead
        while at < frame.end {
            guard at + 4 <= frame.end else {
                throw .damaged(path: path, offset: at, reason: "a record's length is cut")
            }
            let length = Int(content.littleEndian(at: at, as: UInt32.self))
            guard at + 4 + length <= frame.end else {
                throw .damaged(path: path, offset: at, reason: "a record is longer than its frame")
            }
            do throws(JournalError) {
                try replay(Array(content[at + 4..<at + 4 + length]))
            } catch {
                throw .unreadable(path: path, offset: at, reason: error.reason)
            }
            recordsReplayed += 1
            at += 4 + length
        }
    }
}

/// A file's content as the system has it in memory: a journal may be larger than what a program should allocate.
private final class MappedFile {
    let bytes: UnsafeRawBufferPointer

    init(_ descriptor: Int32, _ path: String) throws(SystemError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw SystemError("look at", path) }
        let size = Int(status.st_size)
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard start != MAP_FAILED else { throw SystemError("map", path) }
        bytes = UnsafeRawBufferPointer(start: start, count: size)
    }

    deinit {
        if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) }
    }
}

extension UnsafeRawBufferPointer {
    func littleEndian<Number: FixedWidthInteger>(at offset: Int, as type: Number.Type = Number.self) -> Number {
        Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
    }
}
