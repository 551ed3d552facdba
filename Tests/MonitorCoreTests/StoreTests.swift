import Contract
import Determinism
import Machine
import Simulation
import Testing
import TimeModel
import Wire

@testable import MonitorCore

/// The files of the history: segments, index, torn ends, damage, retention, a full disk.
@Suite struct StoreTests {
    private static var small: HistoryLimits {
        var limits = HistoryLimits()
        limits.segmentRecords = 50
        return limits
    }

    @Test("The checksum is CRC-32C")
    func checksum() {
        let bytes = Array("123456789".utf8)
        #expect(Checksum.of(bytes, 0..<9) == 0xE306_9283)
        #expect(Checksum.text(0x0012_34AB) == Array("001234ab".utf8))
    }

    @Test("Classes of a histogram are a sixteenth wide at the most, and percentiles bound the values")
    func histogram() {
        var random = SeededGenerator(seed: 7)
        for value in (0...2000).map({ $0 }) + (0..<2000).map({ _ in random.uniform(0...1 << 40) }) {
            let top = LatencyHistogram.top(LatencyHistogram.index(value))
            #expect(top >= value && top - value <= max(0, value / 16), "\(value) \(top)")
            if value > 0 { #expect(LatencyHistogram.index(value) >= LatencyHistogram.index(value - 1)) }
        }
        for _ in 0..<50 {
            var histogram = LatencyHistogram()
            var values: [Int] = []
            for _ in 0..<random.uniform(1...300) {
                values.append(random.uniform(0...random.uniform(1...100_000)))
                histogram.add(values[values.count - 1])
            }
            values.sort()
            for permille in [500, 950, 990, 1000] {
                let exact = values[(values.count * permille + 999) / 1000 - 1]
                let found = histogram.quantile(permille)
                #expect(found >= exact && found <= exact + exact / 16, "\(permille) \(exact) \(found)")
            }
            let copy = LatencyHistogram(
                pairs: histogram.counts.enumerated().map { ($0.offset, Int($0.element)) }, max: histogram.max)
            #expect(copy == histogram)
        }
    }

    @Test("Every question over many segments gives what a plain walk over the records gives", arguments: 1...6)
    func questions(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let bench = try Bench(limits: Self.small)
        var written: [ResultSketch] = []
        for index in 0..<400 {
            bench.wall = bench.wall + random.uniform(0...900_000)
            bench.monotonic = bench.monotonic + 1000
            bench.result("t\(random.uniform(0...300))", Status.allCases[random.uniform(0...4)]) {
                $0.principal = ["alice", "bob"][random.uniform(0...1)]
                $0.capability = "c\(random.uniform(0...3))"
                $0.executor = random.chance(1, of: 5) ? nil : "e\(random.uniform(0...3))"
                $0.user = random.chance(1, of: 2) ? "u\(random.uniform(0...5))" : nil
                $0.cost = random.uniform(0...100)
                $0.durationMs = random.uniform(1...1000) + index * 0
                written.append($0)
            }
            if random.chance(1, of: 100) { try bench.restart() }
        }
        #expect(bench.store.sealed.count >= 7)
        for _ in 0..<200 {
            var command = HistoryCommand()
            command.record = .result
            if random.chance(1, of: 2) { command.capability = "c\(random.uniform(0...4))" }
            if random.chance(1, of: 3) { command.executor = "e\(random.uniform(0...4))" }
            if random.chance(1, of: 3) { command.principal = "alice" }
            if random.chance(1, of: 3) { command.status = Status.allCases[random.uniform(0...4)].rawValue }
            if random.chance(1, of: 4) { command.user = "u\(random.uniform(0...6))" }
            if random.chance(1, of: 4) { command.subject = "t\(random.uniform(0...300))" }
            if random.chance(1, of: 4) { command.from = written[random.uniform(0...399)].at }
            if random.chance(1, of: 4) { command.to = written[random.uniform(0...399)].at }
            let wanted = written.filter { command.fits($0) }
            command.limit = random.uniform(1...60)
            var found: [String] = []
            var pages = 0
            repeat {
                let reply = try bench.ask("query", String(decoding: command.encoded, as: UTF8.self))
                guard reply.code != .invalidField else { break }
                let data = JSONValue(try #require(reply.data))
                guard case .array(let items)? = data["items"] else { break }
                found += items.compactMap { $0["subject"]?.stringValue }
                command.after = data["after"]?.stringValue
                pages += 1
            } while command.after != nil && pages < 1000
            if let from = command.from, let to = command.to, from > to { continue }
            #expect(found == wanted.reversed().map(\.id), "\(String(decoding: command.encoded, as: UTF8.self))")
            try compareSums(bench, command, written)
        }
    }

    private func compareSums(_ bench: Bench, _ command: HistoryCommand, _ written: [ResultSketch]) throws {
        var sums = HistoryCommand()
        (sums.capability, sums.executor, sums.principal) = (command.capability, command.executor, command.principal)
        (sums.from, sums.to) = (command.from, command.to)
        sums.by = .executor
        let wanted = written.filter { sums.fits($0) }
        let reply = try bench.ask("stats", String(decoding: sums.encoded, as: UTF8.self))
        let total = try HistorySummary(try #require(reply.data.flatMap { JSONValue($0)["total"] }).raw)
        #expect(total.count == wanted.count)
        #expect(total.cost == wanted.reduce(0) { $0 + $1.cost })
        #expect(total.run.max == wanted.filter { $0.executor != nil }.map(\.durationMs).max() ?? 0)
    }

    @Test("A crash at any byte of the unsynced loses nothing that was synced, and what comes again is recorded once")
    func crashes() throws {
        for seed in 1...40 {
            var random = SeededGenerator(seed: UInt64(seed))
            let bench = try Bench(limits: Self.small)
            var ids: [String] = []
            for index in 0..<random.uniform(1...140) {
                bench.result("t\(index)") { $0.output = "\"\(String(repeating: "x", count: random.uniform(0...50)))\"" }
                ids.append("t\(index)")
            }
            // A turn that dies between write and sync.
            var line = HistoryLine.encode(HistoryRecord(.result, at: bench.wall, workspace: "main", subject: "lost"))
            line = Array(line.prefix(random.uniform(0...line.count)))
            if let active = bench.store.active { try bench.files.append(line, to: active.name.data) }
            bench.files.crash(&random)
            try bench.restart()
            for id in ids.suffix(10) {
                bench.result(id) { $0.output = "again" }
            }
            let found = try bench.subjects(#"{"limit":1000}"#)
            #expect(Set(found).isSuperset(of: ids), "seed \(seed)")
        }
    }

    @Test("A torn last line is cut and reported; numbers go on")
    func tornTail() throws {
        let bench = try Bench()
        for index in 1...3 { bench.result("t\(index)") }
        let name = try #require(bench.store.active?.name.data)
        let whole = try #require(bench.files.content(name)).count
        for cut in stride(from: 1, to: 200, by: 13) {
            let other = FakeFiles()
            try other.append(Array(try #require(bench.files.content(name)).prefix(whole - cut)), to: name)
            let store = HistoryStore(files: other)
            try store.open(at: bench.now)
            #expect(store.nextNumber == 3)
            #expect(store.takeLog().map(\.name) == ["history_tail_cut"])
            #expect(try other.size(of: name) == store.active?.bytes)
        }
    }

    @Test("A damaged line in the middle is passed over and reported, the others stay")
    func damage() throws {
        let bench = try Bench(limits: Self.small)
        for index in 1...120 { bench.result("t\(index)") }
        let active = try #require(bench.store.active?.name.data)
        let sealed = try #require(bench.store.sealed.first?.name.data)
        for name in [active, sealed] {
            bench.files.damage(name) { bytes in
                let start = (bytes.firstIndex(of: 0x0A) ?? 0) + 60
                bytes[start] ^= 1
            }
        }
        try bench.restart()
        #expect(bench.logs.contains { $0.name == "history_damaged" })
        let found = try bench.subjects(#"{"limit":1000}"#)
        #expect(found.count == 118)
        #expect(bench.logs.contains { $0.name == "history_line_damaged" })
        bench.result("new")
        #expect(try bench.subjects(#"{"limit":1}"#) == ["new"])
    }

    @Test("An index that is missing or damaged is made again from the lines")
    func lostIndex() throws {
        let bench = try Bench(limits: Self.small)
        for index in 1...170 { bench.result("t\(index)") { $0.cost = 1 } }
        let names = bench.store.sealed.map(\.name.index)
        try #require(names.count == 3)
        let before = try #require(bench.files.content(names[1]))
        try bench.files.remove(names[1])
        bench.files.damage(names[0]) { $0[10] ^= 1 }
        bench.files.damage(names[2]) { $0.removeLast(7) }
        try bench.restart()
        #expect(bench.files.content(names[1]) == before)
        #expect(try bench.subjects(#"{"limit":1000}"#).count == 170)
        #expect(try bench.items("stats").first?["cost"]?.intValue == 170)
    }

    @Test("Segments that are too old, or too many, go as a whole; a day begins a new one")
    func retention() throws {
        var limits = Self.small
        limits.keepMs = 86_400_000
        let bench = try Bench(limits: limits)
        for index in 1...60 { bench.result("old\(index)") }
        bench.wall = bench.wall + 86_400_000
        bench.result("next-day")
        #expect(bench.store.active?.name.day == "2026-11-21")
        bench.wall = bench.wall + 3_600_000
        bench.monotonic = bench.monotonic + 3_600_000
        bench.wait(61_000)
        #expect(try bench.subjects(#"{"limit":1000}"#) == ["next-day"])
        #expect(bench.logs.contains { $0.name == "history_removed" })
        try bench.restart()
        bench.result("later")
        #expect(try bench.items("query").first?["n"]?.intValue == 62)
        limits = Self.small
        limits.keepBytes = 60_000
        let second = try Bench(limits: limits)
        for index in 1...400 { second.result("t\(index)") }
        second.wait(61_000)
        let held = try second.files.names().filter { $0 != "reserve" }.reduce(0) {
            $0 + (try second.files.size(of: $1))
        }
        #expect(held <= 60_000)
        #expect(try second.subjects(#"{"limit":1}"#) == ["t400"])
    }

    @Test("G-19: with a full disk it goes on answering, says what is lost, and states it as a gap afterwards")
    func fullDisk() throws {
        var limits = Self.small
        limits.freeBytes = 1000
        let bench = try Bench(limits: limits)
        for index in 1...20 { bench.result("t\(index)") }
        bench.files.room = 1300
        bench.wait(2000)
        bench.result("t21")
        for index in 22...30 { bench.result("t\(index)") }
        #expect(bench.retained["main/martlet1/alert/monitor.disk"] != nil)
        let found = try bench.subjects(#"{"record":"result","limit":1000}"#)
        #expect(found.count >= 20 && found.count < 30)
        #expect(bench.core.totals.lost == 30 - found.count)
        bench.files.room = nil
        bench.wait(3000)
        #expect(bench.retained["main/martlet1/alert/monitor.disk"] == nil)
        let gap = try #require(try bench.items("query", #"{"record":"gap","bodies":true}"#).first?["body"])
        #expect(gap["reason"]?.stringValue == "not_written")
        #expect(gap["count"]?.intValue == 30 - found.count)
        bench.result("after")
        try bench.restart()
        #expect(try bench.subjects(#"{"record":"result","limit":1000}"#).count == found.count + 1)
    }

    @Test("Messages themselves come only when asked for, and a page stays within the size of a payload")
    func pages() throws {
        let bench = try Bench()
        for index in 1...30 {
            bench.result("t\(index)") { $0.output = "\"\(String(repeating: "x", count: 20_000))\"" }
        }
        #expect(try bench.items("query").allSatisfy { $0["body"] == nil })
        var after: String?
        var count = 0
        repeat {
            let cursor = after.map { #","after":"\#($0)""# } ?? ""
            let reply = try bench.ask("query", #"{"bodies":true\#(cursor)}"#)
            #expect(reply.encoded.count <= Limits.payload)
            let data = JSONValue(try #require(reply.data))
            if case .array(let items)? = data["items"] { count += items.count }
            after = data["after"]?.stringValue
        } while after != nil && count < 100
        #expect(count == 30)
    }
}

extension HistoryCommand {
    /// Whether a result fulfils the conditions, by the plainest of ways.
    func fits(_ sketch: ResultSketch) -> Bool {
        (capability == nil || capability == sketch.capability) && (executor == nil || executor == sketch.executor)
            && (principal == nil || principal == sketch.principal)
            && (status == nil || status == sketch.status.rawValue)
            && (user == nil || user == sketch.user) && (subject == nil || subject == sketch.id)
            && from.map { sketch.at >= $0 } ?? true && to.map { sketch.at <= $0 } ?? true
    }
}
