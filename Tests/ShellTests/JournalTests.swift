import Determinism
import Glibc
import Machine
import TestSupport
import Testing

@testable import Shell

/// A directory that goes with the test.
final class Scratch {
    let path: String
    init() throws { path = try TestBroker.temporaryDirectory() }
    deinit { removeTree(path) }
}

@Suite struct JournalTests {
    private func records(in directory: String) throws -> [[UInt8]] {
        var found: [[UInt8]] = []
        _ = try Journal(directory: directory).recover { (record) throws(JournalError) in found.append(record) }
        return found
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(file) }
        try writeAll(file, bytes, named: path)
    }

    /// A journal of some turns with several records each; returns the file and its length after each turn.
    private func sample(_ directory: String) throws -> (bytes: [UInt8], ends: [Int], turns: [[[UInt8]]]) {
        let journal = Journal(directory: directory)
        _ = try journal.recover { _ in }
        var generator = SeededGenerator(seed: 7)
        var ends = [journal.size]
        var turns: [[[UInt8]]] = []
        for _ in 0..<5 {
            let turn = (0..<generator.uniform(1...3)).map { _ in
                (0..<generator.uniform(1...12)).map { _ in UInt8(truncatingIfNeeded: generator.uniform(0...255)) }
            }
            turn.forEach { journal.append($0) }
            try journal.commit()
            turns.append(turn)
            ends.append(journal.size)
        }
        return (Array(try readFile("\(directory)/journal")[..<journal.size]), ends, turns)
    }

    @Test("G-20 every prefix recovers to the state after some turn, and goes on from there")
    func everyPrefixRecovers() throws {
        let origin = try Scratch()
        let (bytes, ends, turns) = try sample(origin.path)
        let scratch = try Scratch()
        for length in 0...bytes.count {
            try write(Array(bytes[..<length]), to: "\(scratch.path)/journal")
            let complete = ends.filter { $0 <= length }.count - 1
            let expected = complete < 0 ? [] : turns[..<complete].flatMap { $0 }
            var found: [[UInt8]] = []
            let journal = Journal(directory: scratch.path)
            let recovery = try journal.recover { (record) throws(JournalError) in found.append(record) }
            #expect(found == expected, "after \(length) bytes")
            let torn = bytes[(complete < 0 ? 0 : ends[complete])..<length]
            // Without a header nothing is known of the zeros.
            #expect(recovery.cut == (complete < 0 ? length : torn.count - torn.reversed().prefix { $0 == 0 }.count))
            journal.append([1, 2])
            try journal.commit()
            #expect(try records(in: scratch.path) == expected + [[1, 2]])
        }
    }

    @Test("G-20 a flipped bit before the end stops the start and names the offset")
    func flippedBits() throws {
        let origin = try Scratch()
        let (bytes, ends, turns) = try sample(origin.path)
        let scratch = try Scratch()
        var generator = SeededGenerator(seed: 11)
        for at in bytes.indices {
            var damaged = bytes
            damaged[at] ^= 1 << UInt8(generator.uniform(0...7))
            try write(damaged, to: "\(scratch.path)/journal")
            let frame = ends.lastIndex { $0 <= at } ?? -1
            do {
                let found = try records(in: scratch.path)
                // Only the last turn can be taken for one that was never finished.
                #expect(frame == ends.count - 2, "a flip at \(at) went unseen")
                #expect(found == turns.dropLast().flatMap { $0 })
            } catch JournalFault.damaged(_, let offset, _) {
                #expect(offset == (frame < 0 ? 0 : ends[frame]))
            } catch JournalFault.newerFormat {
                Issue.record("a damaged header was taken for a newer format")
            }
        }
    }

    @Test("G-20 zeros or garbage behind the last turn are cut") func tornTails() throws {
        let scratch = try Scratch()
        let (bytes, _, turns) = try sample(scratch.path)
        var generator = SeededGenerator(seed: 3)
        let garbage = (0..<5000).map { _ in UInt8(truncatingIfNeeded: generator.uniform(0...255)) }
        for tail in [[UInt8](repeating: 0, count: 4096), garbage, [0x20], [0xFF, 0xFF, 0xFF, 0xFF]] {
            try write(bytes + tail, to: "\(scratch.path)/journal")
            #expect(try records(in: scratch.path) == turns.flatMap { $0 })
            #expect(try readFile("\(scratch.path)/journal") == bytes)
        }
    }

    @Test("Appends go into room that was made ahead, and a restart takes it for the end, not for a torn tail")
    func room() throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/journal"
        let journal = Journal(directory: scratch.path)
        _ = try journal.recover { _ in }
        let record = [UInt8](repeating: 7, count: 1000)
        var lengths: Set<Int> = []
        var written = 0
        while journal.size < 2 * Journal.roomStep {
            journal.append(record)
            try journal.commit()
            written += 1
            var status = stat()
            #expect(stat(path, &status) == 0)
            #expect(Int(status.st_size) >= journal.size)
            lengths.insert(Int(status.st_size))
        }
        #expect(lengths.count <= 3)
        var found = 0
        let recovery = try Journal(directory: scratch.path).recover { _ in found += 1 }
        #expect(found == written)
        #expect(recovery == Journal.Recovery(records: written, bytes: journal.size, cut: 0))
        #expect(try readFile(path).count == journal.size)
    }

    @Test("A file system that makes no room is written to all the same") func noRoom() throws {
        let scratch = try Scratch()
        let journal = Journal(directory: scratch.path)
        _ = try journal.recover { _ in }
        // A pipe has no room to make and takes what is written; it cannot be synced.
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let kept = dup(journal.descriptor)
        dup2(ends[1], journal.descriptor)
        journal.append([1])
        do {
            try journal.commit()
            Issue.record("a pipe was synced")
        } catch { #expect(error.description.contains("sync")) }
        dup2(kept, journal.descriptor)
        for descriptor in ends + [kept] { close(descriptor) }
        var found: [[UInt8]] = []
        _ = try journal.recover { (record) throws(JournalError) in found.append(record) }
        journal.append([2])
        try journal.commit()
        #expect(found.isEmpty)
        #expect(try records(in: scratch.path) == [[2]])
    }

    @Test("G-22 a newer format is refused") func newerFormat() throws {
        let scratch = try Scratch()
        var header = Journal.magic
        header.appendLittleEndian(UInt32(2))
        header.appendLittleEndian(crc(header))
        try write(header, to: "\(scratch.path)/journal")
        #expect(throws: JournalFault.newerFormat(path: "\(scratch.path)/journal", found: 2, known: 1)) {
            try records(in: scratch.path)
        }
        #expect(try readFile("\(scratch.path)/journal") == header)
    }

    private func crc(_ bytes: [UInt8]) -> UInt32 {
        let wrapped = Array(bytes[..<4]) + [0, 0, 0, 0] + Array(bytes[4...])
        return wrapped.withUnsafeBytes { Journal.checksum($0) }
    }

    @Test func anUnreadableRecordStopsTheStart() throws {
        let scratch = try Scratch()
        let journal = Journal(directory: scratch.path)
        _ = try journal.recover { _ in }
        journal.append([7])
        try journal.commit()
        #expect(throws: JournalFault.self) {
            _ = try Journal(directory: scratch.path).recover { (_) throws(JournalError) in throw JournalError("unknown")
            }
        }
    }

    @Test func compactionKeepsTheStateAndItsEnd() throws {
        let scratch = try Scratch()
        var limits = Journal.Limits()
        limits.compactionFloor = 20_000
        let journal = Journal(directory: scratch.path, limits: limits)
        _ = try journal.recover { _ in }
        let large = [UInt8](repeating: 5, count: 1000)
        while !journal.wantsCompaction {
            journal.append(large)
            try journal.commit()
        }
        try journal.compact { emit in for number in 0..<3000 { emit(Array("record \(number)".utf8) + large) } }
        journal.append([9])
        try journal.commit()
        let found = try records(in: scratch.path)
        #expect(found.count == 3001)
        #expect(found.last == [9])
        #expect(found.first?.starts(with: "record 0".utf8) == true)
        #expect(!journal.wantsCompaction)
    }

    @Test func aSnapshotMustBeWhole() throws {
        let scratch = try Scratch()
        let journal = Journal(directory: scratch.path)
        _ = try journal.recover { _ in }
        let large = [UInt8](repeating: 5, count: 100_000)
        try journal.compact { emit in for _ in 0..<30 { emit(large) } }
        let bytes = try readFile("\(scratch.path)/journal")
        try write(Array(bytes.dropLast(100)), to: "\(scratch.path)/journal")
        #expect(throws: JournalFault.self) { try records(in: scratch.path) }
    }

    @Test func aFailedWriteLeavesNothingBehind() throws {
        let scratch = try Scratch()
        let journal = Journal(directory: scratch.path)
        _ = try journal.recover { _ in }
        journal.append([1])
        try journal.commit()
        let full = open("/dev/full", O_WRONLY)
        let kept = dup(journal.descriptor)
        dup2(full, journal.descriptor)
        journal.append([2])
        #expect(throws: SystemError.self) { try journal.commit() }
        dup2(kept, journal.descriptor)
        close(kept)
        close(full)
        // Half a frame that reached the disk before the error.
        let file = open("\(scratch.path)/journal", O_WRONLY | O_APPEND)
        try writeAll(file, [40, 0, 0, 0, 1, 2, 3], named: "journal")
        close(file)
        var found: [[UInt8]] = []
        _ = try journal.recover { (record) throws(JournalError) in found.append(record) }
        try journal.probe()
        journal.append([3])
        try journal.commit()
        #expect(found == [[1]])
        #expect(try records(in: scratch.path) == [[1], [3]])
    }

    @Test("G-27 a second instance is told who runs") func secondInstance() throws {
        let scratch = try Scratch()
        let first = try StateDirectory("\(scratch.path)/state")
        let identity = try first.identity(role: "relay")
        #expect(identity.hasPrefix("relay-"))
        #expect(identity.count == "relay-".count + 32)
        #expect(try first.identity(role: "relay") == identity)
        #expect(throws: StateDirectory.Fault.taken(path: first.path, process: "\(getpid())")) {
            _ = try StateDirectory(first.path)
        }
    }
}
