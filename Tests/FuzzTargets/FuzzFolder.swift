import Glibc
import Shell

/// A directory for one file, in memory where the system has such a place; gone with the object.
final class FuzzFolder {
    let path: String
    let file: String

    init?(holding name: String) {
        let base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        var template = Array("\(base)/martlet-fuzz-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { return nil }
        path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
        file = "\(path)/\(name)"
    }

    deinit {
        unlink(file)
        rmdir(path)
    }

    func write(_ bytes: [UInt8]) {
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        _ = Glibc.write(descriptor, bytes, bytes.count)
    }

    func read() -> [UInt8] { (try? readFile(file, limit: 1 << 24)) ?? [] }
}
