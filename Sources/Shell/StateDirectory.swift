import Glibc

/// The directory in which a service keeps its journal and its identity. One process at a time: a lock says so.
public final class StateDirectory {
    /// The directory's path.
    public let path: String
    private let lock: Int32

    /// Why a state directory cannot be had.
    public enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
        /// Another process has it; its process id, if it is known.
        case taken(path: String, process: String?)
        /// A system call failed.
        case system(SystemError)

        /// One sentence.
        public var description: String {
            switch self {
            case .taken(let path, let process):
                let who = process.map { "process \($0)" } ?? "another process"
                return "\(who) already runs on the state directory \(path); a role runs once per state directory"
            case .system(let error): return error.description
            }
        }
    }

    /// Makes the directory if there is none and locks it for the life of this object.
    public init(_ path: String) throws(Fault) {
        self.path = path
        let file = "\(path)/lock"
        do throws(SystemError) { try makeDirectories(path) } catch { throw .system(error) }
        lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw .system(SystemError("open", file)) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            let content = (try? readFile(file, limit: 64)) ?? []
            let process = String(decoding: content.prefix { $0 != 0x0A }, as: UTF8.self)
            if code == EWOULDBLOCK { throw .taken(path: path, process: process.isEmpty ? nil : process) }
            throw .system(SystemError("lock", file, code: code))
        }
        _ = ftruncate(lock, 0)
        try? writeAll(lock, Array("\(getpid())\n".utf8), named: file)
    }

    deinit { if lock >= 0 { close(lock) } }

    /// The client id of this directory: the role's name and 128 random bits, made once and kept in the file `identity`.
    /// Nobody can guess it, so nobody can take the session over; so it is never told to anybody but the broker.
    public func identity(role: String) throws(SystemError) -> String {
        try kept("identity", role: role, randomBytes: 16)
    }

    /// The name of this directory's instance in the service's record: the role's name and 64 random bits, kept in the
    /// file `instance`. Everybody may know it; it says nothing about the client id.
    public func instance(role: String) throws(SystemError) -> String {
        try kept("instance", role: role, randomBytes: 8)
    }

    /// A random name that is made once and kept in a file.
    private func kept(_ name: String, role: String, randomBytes: Int) throws(SystemError) -> String {
        let file = "\(path)/\(name)"
        if let content = try? readFile(file, limit: 256) {
            let text = String(decoding: content.prefix { $0 != 0x0A }, as: UTF8.self)
            if text.utf8.count > 2 * randomBytes, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) { return text }
        }
        let made = "\(role)-\(RandomSource.hexadecimal(bytes: randomBytes))"
        let temporary = "\(file).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemError("open", temporary) }
        defer { close(descriptor) }
        try writeAll(descriptor, Array("\(made)\n".utf8), named: temporary)
        guard fsync(descriptor) == 0 else { throw SystemError("sync", temporary) }
        guard rename(temporary, file) == 0 else { throw SystemError("rename", temporary) }
        try synchronizeDirectory(path)
        return made
    }
}
