import Shell

/// The journal's file. The first byte chooses: the rest is a file as it is, or a recipe by which a good journal is
/// written and then damaged in one place; whatever was whole before that place must come back.
enum JournalFuzz {
    static func run(_ bytes: [UInt8]) -> String? {
        guard let first = bytes.first, let folder = FuzzFolder(holding: "journal") else { return nil }
        if first & 1 == 0 {
            folder.write(Array(bytes.dropFirst()))
            _ = recover(folder)
            return recoversAlike(folder)
        }
        return damaged(Array(bytes.dropFirst()), folder)
    }

    /// The records, and whether the file was refused.
    private static func recover(_ folder: FuzzFolder) -> (records: [[UInt8]], isRefused: Bool, cut: Int) {
        var limits = Journal.Limits()
        limits.freeSpace = 0
        let journal = Journal(directory: folder.path, limits: limits)
        var records: [[UInt8]] = []
        do throws(JournalFault) {
            let recovery = try journal.recover { records.append($0) }
            return (records, false, recovery.cut)
        } catch {
            return (records, true, 0)
        }
    }

    /// A file that was recovered once has no torn tail any more.
    private static func recoversAlike(_ folder: FuzzFolder) -> String? {
        let once = recover(folder)
        let twice = recover(folder)
        guard once.records == twice.records, once.isRefused == twice.isRefused else { return "recovered otherwise" }
        return once.isRefused || twice.cut == 0 ? nil : "a tail is cut again and again"
    }

    /// Frames of a few records, each given by one byte; then a place, a value and whether the rest is cut off there.
    private static func damaged(_ recipe: [UInt8], _ folder: FuzzFolder) -> String? {
        guard recipe.count >= 5 else { return nil }
        var limits = Journal.Limits()
        limits.freeSpace = 0
        let journal = Journal(directory: folder.path, limits: limits)
        var ends: [(length: Int, records: Int)] = []
        var written: [[UInt8]] = []
        do {
            _ = try journal.recover { _ in }
            ends.append((journal.size, 0))
            for (index, byte) in recipe.dropFirst(4).prefix(24).enumerated() {
                for part in 0...Int(byte % 3) {
                    let record =
                        Array("{\"n\":\(index),\"p\":\(part),\"x\":\"".utf8)
                        + [UInt8](repeating: 0x61, count: Int(byte)) + Array("\"}".utf8)
                    journal.append(record)
                    written.append(record)
                }
                try journal.commit()
                ends.append((journal.size, written.count))
            }
        } catch {
            return nil
        }
        var file = folder.read()
        let place = (Int(recipe[0]) << 8 | Int(recipe[1])) % file.count
        if recipe[3] & 1 == 0 { file.removeSubrange(place...) } else { file[place] ^= max(1, recipe[2]) }
        folder.write(file)
        let whole = ends.last { $0.length <= place }?.records ?? 0
        let found = recover(folder)
        guard written.starts(with: found.records) else { return "records came back that were not written" }
        guard found.records.count >= whole || place < (ends.first?.length ?? 0) else {
            return "of \(whole) records before byte \(place) only \(found.records.count) came back"
        }
        return nil
    }
}
