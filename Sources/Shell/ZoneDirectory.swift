import Determinism
import Glibc
public import TimeModel

/// The system's zone data: a directory of TZif files (`topics/schedules.md`, zones).
public struct ZoneDirectory {
    /// Where systems keep it.
    public static let standardPath = "/usr/share/zoneinfo"

    /// The directory.
    public var path: String

    /// The data below a directory.
    public init(_ path: String = ZoneDirectory.standardPath) { self.path = path }

    /// The zones whose files can be read; each other file below the directory is passed over.
    public func catalog() -> ZoneCatalog {
        var catalog = ZoneCatalog(version: version)
        for (name, bytes) in files() { try? catalog.add(name, tzif: bytes) }
        return catalog
    }

    /// The release of the data, `unknown` when it says nothing.
    public var version: String {
        ZoneCatalog.version(
            versionFile: try? readFile(path + "/+VERSION", limit: 4096),
            source: firstBytes(path + "/tzdata.zi"))
    }

    /// Every zone file with its name, in the order of the names.
    public func files() -> [(name: String, bytes: [UInt8])] {
        names().compactMap { name in
            guard let bytes = try? readFile("\(path)/\(name)", limit: Zone.largestFile),
                bytes.starts(with: Array("TZif".utf8))
            else { return nil }
            return (name, bytes)
        }
    }

    /// Changes when a file below the directory is replaced, comes or goes.
    public var fingerprint: UInt64 {
        var hash = TraceHash()
        for name in ["+VERSION", "tzdata.zi"] + names() {
            var status = stat()
            guard stat("\(path)/\(name)", &status) == 0 else { continue }
            hash.add(name)
            for number in [Int(status.st_mtim.tv_sec), status.st_mtim.tv_nsec, Int(status.st_size)] { hash.add(number) }
        }
        return hash.value
    }

    /// All names below the directory that a zone could have.
    private func names() -> [String] {
        var found: [String] = []
        collect("", depth: 0, into: &found)
        return found.sorted()
    }

    private func collect(_ prefix: String, depth: Int, into found: inout [String]) {
        guard depth < 4, let directory = opendir(prefix.isEmpty ? path : "\(path)/\(prefix)") else { return }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let own = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            let name = prefix.isEmpty ? own : "\(prefix)/\(own)"
            var status = stat()
            guard Zone.isName(name), stat("\(path)/\(name)", &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR {
                if name != "right", name != "posix" { collect(name, depth: depth + 1, into: &found) }
            } else if status.st_mode & S_IFMT == S_IFREG {
                found.append(name)
            }
        }
    }

    private func firstBytes(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = read(descriptor, &bytes, bytes.count)
        return count > 0 ? Array(bytes[..<count]) : nil
    }
}
