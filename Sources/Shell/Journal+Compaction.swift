import Glibc
import Machine

/// Replacing the history by a snapshot.
extension Journal {
    /// Whether the file has grown enough for a snapshot.
    public var wantsCompaction: Bool {
        size > limits.compactionFloor && size > limits.compactionFactor * max(sizeAtSnapshot, 1)
            && size > retryCompactionAt
    }

    /// Writes what `snapshot` emits into a new file and puts it, once it is on the disk, in the place of the old one.
    /// When this throws, the old file goes on as if nothing had been tried.
    public func compact(_ snapshot: ((_ record: [UInt8]) -> Void) -> Void) throws(SystemError) {
        precondition(!hasPending, "a snapshot must not overtake records that wait for a commit")
        retryCompactionAt = size + size / 4
        let temporary = "\(path).new"
        let file = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError("open", temporary) }
        var writer = SnapshotWriter(descriptor: file, path: temporary)
        snapshot { writer.add($0) }
        do throws(SystemError) {
            try writer.finish()
            guard fsync(file) == 0 else { throw SystemError("sync", temporary) }
            guard rename(temporary, path) == 0 else { throw SystemError("rename", temporary) }
        } catch {
            close(file)
            unlink(temporary)
            throw error
        }
        closeFile()
        descriptor = file
        setEnd(writer.length, sequence: writer.sequence)
        sizeAtSnapshot = writer.length
        retryCompactionAt = 0
        directoryUnsynced = true
    }
}

/// Collects records into frames and writes them; keeps the first error until `finish`.
private struct SnapshotWriter {
    let descriptor: Int32
    let path: String
    var length = 0
    var sequence: UInt64 = 0
    private var buffer: [UInt8]
    private var failure: SystemError?

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
        buffer = []
        put(Journal.header())
        begin()
    }

    mutating func add(_ record: [UInt8]) {
        guard failure == nil else { return }
        buffer.appendLittleEndian(UInt32(record.count))
        buffer.append(contentsOf: record)
        if buffer.count > Journal.snapshotFrame { close(.snapshot) }
    }

    mutating func finish() throws(SystemError) {
        close(.snapshotEnd)
        if let failure { throw failure }
    }

    private mutating func begin() { buffer = [UInt8](repeating: 0, count: Journal.frameOverhead) }

    private mutating func close(_ kind: Journal.Kind) {
        sequence += 1
        Journal.seal(&buffer, kind: kind, sequence: sequence)
        put(buffer)
        begin()
    }

    private mutating func put(_ bytes: [UInt8]) {
        guard failure == nil else { return }
        do {
            try writeAll(descriptor, bytes, named: path)
            length += bytes.count
        } catch {
            failure = error
        }
    }
}
