import Contract
import Foundation
import TimeModel

/// The folder of the system's zone files, read as zones are named.
struct ZoneFolder {
    /// Its path.
    let path: String
    private(set) var catalog: ZoneCatalog
    private var tried: Set<String> = ["UTC"]

    /// Where Debian keeps zone data.
    static let standard = "/usr/share/zoneinfo"

    /// A folder; no zone is read yet.
    init(_ path: String?) throws(Failure) {
        self.path = path ?? ZoneFolder.standard
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: self.path, isDirectory: &isFolder), isFolder.boolValue else {
            throw .usage("--tzdir \(Terminal.escape(self.path)) is no folder")
        }
        let version = try? FileText.read("\(self.path)/+VERSION", limit: 4096)
        let source = (FileHandle(forReadingAtPath: "\(self.path)/tzdata.zi")?.readData(ofLength: 64)).map {
            [UInt8]($0)
        }
        catalog = ZoneCatalog(version: ZoneCatalog.version(versionFile: version, source: source))
        if FileText.exists("\(self.path)/UTC") { load("UTC", again: true) }
    }

    /// Reads a zone's file at its first mention; a name that is none, or a broken file, stays unknown.
    mutating func load(_ name: String, again: Bool = false) {
        guard tried.insert(name).inserted || again, Zone.isName(name),
            let bytes = try? FileText.read("\(path)/\(name)", limit: Zone.largestFile)
        else { return }
        try? catalog.add(name, tzif: bytes)
    }

    /// A zone by its name.
    mutating func zone(_ name: String) throws(Failure) -> Zone {
        load(name)
        if let zone = catalog.zone(named: name) { return zone }
        let names = (try? FileManager.default.subpathsOfDirectory(atPath: path)) ?? []
        throw Failure(
            .refused, "there is no zone \"\(Terminal.escape(name))\" in \(path)", code: .invalidSpec,
            meant: Nearest.name(to: name, in: names.filter { Zone.isName($0) && !$0.hasSuffix(".tab") }))
    }
}
