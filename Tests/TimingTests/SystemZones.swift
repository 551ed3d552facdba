import Foundation
import TimeModel

/// The zone data of the machine, read once.
enum SystemZones {
    static let catalog: ZoneCatalog = {
        let root = "/usr/share/zoneinfo"
        var catalog = ZoneCatalog(
            version: ZoneCatalog.version(versionFile: bytes(root + "/+VERSION"), source: bytes(root + "/tzdata.zi")))
        for case let name as String in FileManager.default.enumerator(atPath: root) ?? .init() {
            guard Zone.isName(name), let data = bytes(root + "/" + name), data.starts(with: Array("TZif".utf8))
            else { continue }
            do { try catalog.add(name, tzif: data) } catch { fatalError("\(name): \(error)") }
        }
        return catalog
    }()

    static func bytes(_ path: String) -> [UInt8]? {
        FileManager.default.contents(atPath: path).map { [UInt8]($0) }
    }
}
