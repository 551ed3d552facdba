import Determinism
import Foundation
import FuzzTargets
import Testing

/// The kept corpora, with every crash ever found in them, and seeded changes of them (`.ci/fuzz` searches for longer).
@Suite struct FuzzTests {
    private static func corpus(_ target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Corpora/\(target.rawValue)")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return try files.sorted { $0.path < $1.path }.map { ($0.lastPathComponent, Array(try Data(contentsOf: $0))) }
    }

    @Test("G-18 no input ends a program or breaks a round trip", arguments: FuzzTarget.allCases)
    func corpora(_ target: FuzzTarget) throws {
        let corpus = try FuzzTests.corpus(target)
        #expect(corpus.count >= 3, "no corpus")
        for input in corpus { #expect(target.run(input.bytes) == nil, "\(target.rawValue)/\(input.name)") }
    }

    @Test("G-18 nor does any of these changes of the corpora", arguments: FuzzTarget.allCases)
    func changes(_ target: FuzzTarget) throws {
        let corpus = try FuzzTests.corpus(target).map(\.bytes)
        var chance = SeededGenerator(seed: 7)
        let rounds = target == .journal ? 100 : 200
        for round in 0..<rounds {
            let input = FuzzTests.change(corpus, &chance)
            let flaw = target.run(input)
            #expect(flaw == nil, "round \(round): \(String(decoding: input, as: UTF8.self))")
            if flaw != nil { break }
        }
    }

    /// One input, changed in one to four places, or spliced with another.
    private static func change(_ corpus: [[UInt8]], _ chance: inout SeededGenerator) -> [UInt8] {
        func below(_ limit: Int, _ chance: inout SeededGenerator) -> Int { Int(chance.next() % UInt64(max(1, limit))) }
        var input = corpus[below(corpus.count, &chance)]
        for _ in 0...below(4, &chance) {
            let place = below(input.count, &chance)
            switch below(6, &chance) {
            case 0: if !input.isEmpty { input[place] ^= UInt8(1 << below(8, &chance)) }
            case 1: if !input.isEmpty { input[place] = UInt8(below(256, &chance)) }
            case 2: if !input.isEmpty { input.remove(at: place) }
            case 3: input.insert(contentsOf: [0x30, 0x39, 0x7B, 0x22, 0xFF, 0x2D].shuffled(using: &chance), at: place)
            case 4:
                let other = corpus[below(corpus.count, &chance)]
                input = Array(input.prefix(place) + other.suffix(below(other.count, &chance)))
            default:
                let end = min(input.count, place + below(16, &chance))
                if place <= end { input.insert(contentsOf: input[place..<end], at: place) }
            }
        }
        return input
    }
}
