public import Determinism
public import Machine

/// The files of an archive on a disk that forgets what was not synced, that can be full, and that can tear a write.
public final class FakeFiles: ArchiveFiles {
    private struct File {
        var content: [UInt8] = []
        var synced = 0
    }

    private var files: [String: File] = [:]
    /// What was exported, by path.
    public private(set) var exports: [String: [UInt8]] = [:]
    /// Bytes that can still be written; `nil`: as many as one likes.
    public var room: Int?
    /// What `freeBytes` says when nothing is limited.
    public var shownFree = 1 << 40
    /// Bytes read since the start.
    public private(set) var bytesRead = 0

    /// An empty disk.
    public init() {}

    /// A crash: of each file that has unsynced bytes any number of them may survive.
    public func crash(_ random: inout SeededGenerator) {
        for name in files.keys.sorted() {
            guard var file = files[name], file.content.count > file.synced else { continue }
            file.content = Array(file.content.prefix(random.uniform(file.synced...file.content.count)))
            file.synced = file.content.count
            files[name] = file
        }
    }

    /// Changes a file's bytes as a fault of the disk would.
    public func damage(_ name: String, _ change: (inout [UInt8]) -> Void) {
        guard var file = files[name] else { return }
        change(&file.content)
        file.synced = file.content.count
        files[name] = file
    }

    /// A file's content.
    public func content(_ name: String) -> [UInt8]? { files[name]?.content }

    private func file(_ name: String) throws(ArchiveFault) -> File {
        guard let file = files[name] else { throw ArchiveFault("cannot open \(name): No such file or directory") }
        return file
    }

    /// The names, sorted.
    public func names() throws(ArchiveFault) -> [String] { files.keys.sorted() }

    /// Bytes of a file.
    public func size(of name: String) throws(ArchiveFault) -> Int { try file(name).content.count }

    /// Bytes of a file from an offset on.
    public func read(_ name: String, at offset: Int, count: Int) throws(ArchiveFault) -> [UInt8] {
        let content = try file(name).content
        guard offset < content.count else { return [] }
        bytesRead += min(count, content.count - offset)
        return Array(content[offset..<min(content.count, offset + count)])
    }

    /// Adds bytes to a file; a full disk takes a part of them.
    public func append(_ bytes: [UInt8], to name: String) throws(ArchiveFault) {
        let taken = min(bytes.count, room ?? .max)
        files[name, default: File()].content.append(contentsOf: bytes.prefix(taken))
        room = room.map { $0 - taken }
        if taken < bytes.count { throw ArchiveFault("cannot write \(name): No space left on device") }
    }

    /// Makes a file durable.
    public func sync(_ name: String) throws(ArchiveFault) {
        let count = try file(name).content.count
        files[name]?.synced = count
    }

    /// Cuts a file.
    public func cut(_ name: String, to length: Int) throws(ArchiveFault) {
        var file = try file(name)
        room = room.map { $0 + max(0, file.content.count - length) }
        file.content = Array(file.content.prefix(length))
        file.synced = file.content.count
        files[name] = file
    }

    /// Replaces a file.
    public func replace(_ name: String, with bytes: [UInt8]) throws(ArchiveFault) {
        if let room, room < bytes.count { throw ArchiveFault("cannot write \(name): No space left on device") }
        room = room.map { $0 - bytes.count }
        files[name] = File(content: bytes, synced: bytes.count)
    }

    /// Removes a file.
    public func remove(_ name: String) throws(ArchiveFault) {
        let file = files.removeValue(forKey: name)
        room = room.map { $0 + (file?.content.count ?? 0) }
    }

    /// Notes an export.
    public func export(_ bytes: [UInt8], to path: String) throws(ArchiveFault) { exports[path] = bytes }

    /// Free bytes.
    public var freeBytes: Int? { room ?? shownFree }
}
