import Glibc
public import Machine

/// The files of an archive in a folder of this computer.
public final class DirectoryFiles: ArchiveFiles {
    private let directory: String
    /// Descriptors that were used last, each with the number of its use.
    private var open: [String: (descriptor: Int32, use: Int)] = [:]
    private var uses = 0
    /// Files whose names may not be on the disk yet.
    private var unsyncedNames = false

    /// Descriptors that are kept open.
    private static let kept = 256

    /// A folder, which is made if there is none.
    public init(_ directory: String) throws(SystemError) {
        self.directory = directory
        try makeDirectories(directory)
    }

    deinit { for name in open.keys.sorted() { forget(name) } }

    private func path(_ name: String) -> String { "\(directory)/\(name)" }

    private func descriptor(_ name: String, make: Bool = false) throws(ArchiveFault) -> Int32 {
        uses += 1
        if let known = open[name] {
            open[name] = (known.descriptor, uses)
            return known.descriptor
        }
        let flags = O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0)
        if open.count >= DirectoryFiles.kept { forgetOldest() }
        var opened = Glibc.open(path(name), flags, 0o600)
        while opened < 0, errno == EMFILE || errno == ENFILE, !open.isEmpty {
            // The process may have fewer descriptors than are kept here.
            forgetOldest()
            opened = Glibc.open(path(name), flags, 0o600)
        }
        guard opened >= 0 else { throw fault("open", name) }
        if make { unsyncedNames = true }
        open[name] = (opened, uses)
        return opened
    }

    private func forget(_ name: String) {
        if let known = open.removeValue(forKey: name) { close(known.descriptor) }
    }

    private func forgetOldest() {
        if let oldest = open.min(by: { $0.value.use < $1.value.use }) { forget(oldest.key) }
    }

    private func fault(_ call: String, _ name: String) -> ArchiveFault {
        ArchiveFault(SystemError(call, path(name)).description)
    }

    /// The names in the folder, sorted.
    public func names() throws(ArchiveFault) -> [String] {
        guard let handle = opendir(directory) else { throw fault("list", "") }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    /// Bytes of a file.
    public func size(of name: String) throws(ArchiveFault) -> Int {
        var status = stat()
        guard stat(path(name), &status) == 0 else { throw fault("look at", name) }
        return Int(status.st_size)
    }

    /// Bytes of a file from an offset on.
    public func read(_ name: String, at offset: Int, count: Int) throws(ArchiveFault) -> [UInt8] {
        guard count > 0 else { return [] }
        let descriptor = try descriptor(name)
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, done in
            done = 0
            while done < count {
                let got = pread(descriptor, buffer.baseAddress.map { $0 + done }, count - done, off_t(offset + done))
                if got < 0, errno == EINTR { continue }
                failed = got < 0
                if got <= 0 { return }
                done += got
            }
        }
        if failed { throw fault("read", name) }
        return bytes
    }

    /// Adds bytes to the end of a file.
    public func append(_ bytes: [UInt8], to name: String) throws(ArchiveFault) {
        let descriptor = try descriptor(name, make: true)
        guard lseek(descriptor, 0, SEEK_END) >= 0 else { throw fault("seek in", name) }
        do throws(SystemError) { try writeAll(descriptor, bytes, named: path(name)) } catch {
            throw ArchiveFault(error.description)
        }
    }

    /// Waits until a file, and its name, are on the disk.
    public func sync(_ name: String) throws(ArchiveFault) {
        guard fdatasync(try descriptor(name)) == 0 else { throw fault("sync", name) }
        guard unsyncedNames else { return }
        do throws(SystemError) { try synchronizeDirectory(directory) } catch { throw ArchiveFault(error.description) }
        unsyncedNames = false
    }

    /// Cuts a file to a length.
    public func cut(_ name: String, to length: Int) throws(ArchiveFault) {
        let descriptor = try descriptor(name)
        guard ftruncate(descriptor, off_t(length)) == 0 else { throw fault("cut", name) }
        guard fsync(descriptor) == 0 else { throw fault("sync", name) }
    }

    /// Puts a whole file in the place of what was there.
    public func replace(_ name: String, with bytes: [UInt8]) throws(ArchiveFault) {
        forget(name)
        try place(bytes, at: path(name), mode: 0o600, synced: true)
    }

    /// Removes a file.
    public func remove(_ name: String) throws(ArchiveFault) {
        forget(name)
        guard unlink(path(name)) == 0 || errno == ENOENT else { throw fault("remove", name) }
    }

    /// Puts a whole file somewhere else; everybody may read it.
    public func export(_ bytes: [UInt8], to path: String) throws(ArchiveFault) {
        try place(bytes, at: path, mode: 0o644, synced: false)
    }

    private func place(_ bytes: [UInt8], at target: String, mode: mode_t, synced: Bool) throws(ArchiveFault) {
        let temporary = "\(target).new"
        do throws(SystemError) {
            let file = Glibc.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
            guard file >= 0 else { throw SystemError("open", temporary) }
            defer { close(file) }
            try writeAll(file, bytes, named: temporary)
            if synced, fsync(file) != 0 { throw SystemError("sync", temporary) }
            guard rename(temporary, target) == 0 else { throw SystemError("rename", temporary) }
            if synced { try synchronizeDirectory(directory) }
        } catch {
            unlink(temporary)
            throw ArchiveFault(error.description)
        }
    }

    /// Free bytes on the disk.
    public var freeBytes: Int? {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { return nil }
        let (bytes, overflow) = Int(status.f_bavail).multipliedReportingOverflow(by: Int(status.f_frsize))
        return overflow ? nil : bytes
    }
}
