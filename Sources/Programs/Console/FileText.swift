import CPlatform
import Foundation
import Glibc
import Shell

/// Files of this program: read whole, replaced whole.
enum FileText {
    /// Reads a file.
    static func read(_ path: String, limit: Int = 16 << 20) throws(Failure) -> [UInt8] {
        do throws(SystemError) { return try Shell.readFile(path, limit: limit) } catch {
            throw Failure(error.code == ENOENT ? .notFound : .ownFault, "\(error)")
        }
    }

    /// Reads standard input to its end.
    static func readInput() -> [UInt8] { [UInt8](FileHandle.standardInput.readDataToEndOfFile()) }

    /// Puts a new content in the place of a file: a temporary file, then a rename.
    static func replace(_ path: String, _ bytes: [UInt8], mode: mode_t) throws(Failure) {
        try makeFolder((path as NSString).deletingLastPathComponent)
        let temporary = "\(path).\(getpid()).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw fault("write", temporary) }
        fchmod(descriptor, mode)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done) }
            guard count > 0 else {
                let failure = fault("write", temporary)
                close(descriptor)
                unlink(temporary)
                throw failure
            }
            done += count
        }
        fsync(descriptor)
        close(descriptor)
        guard rename(temporary, path) == 0 else { throw fault("rename", temporary) }
    }

    /// Makes a folder and those above it, readable by its owner alone.
    static func makeFolder(_ path: String, mode: Int = 0o700) throws(Failure) {
        if path.isEmpty { return }
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: mode])
        } catch {
            throw Failure(.ownFault, "the folder \(path) cannot be made")
        }
    }

    /// A failed system call as a failure.
    static func fault(_ call: String, _ path: String) -> Failure {
        let text = strerror(errno).map { String(cString: $0) } ?? "error \(errno)"
        return Failure(.ownFault, "cannot \(call) \(path): \(text)")
    }

    /// Whether there is something of this name.
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// A program of this name in `PATH`, or in one of the folders for administrators.
    static func program(_ name: String, environment: [String: String]) -> String? {
        let folders = (environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":").map(String.init)
        return (folders + ["/usr/sbin", "/usr/local/sbin", "/sbin"]).map { "\($0)/\(name)" }
            .first { access($0, X_OK) == 0 }
    }

    /// The folder of the program that runs now.
    static var ownFolder: String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return "/usr/bin" }
        let path = String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return (path as NSString).deletingLastPathComponent
    }
}

/// Random names and passwords.
enum RandomText {
    private static let letters = Array("abcdefghjkmnpqrstvwxyz23456789")

    /// An id of so many letters and digits, marked as a whole by a double click.
    static func id(_ count: Int = 14) -> String { String(characters(count)) }

    /// A password such as `7f3k-9qdw-m2xp-t6ha`.
    static var password: String { (0..<4).map { _ in String(characters(4)) }.joined(separator: "-") }

    private static func characters(_ count: Int) -> [Character] {
        var chosen: [Character] = []
        while chosen.count < count {
            var byte: UInt8 = 0
            guard platform_random(&byte, 1) == 0 else { continue }
            let limit = 256 / letters.count * letters.count
            if Int(byte) < limit { chosen.append(letters[Int(byte) % letters.count]) }
        }
        return chosen
    }
}
