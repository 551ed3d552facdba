import Testing

@testable import TimeModel

/// Builds TZif bytes by hand, so that each part of the reader is met.
private struct ZoneFile {
    var version: UInt8 = 0x32
    var times: [Int] = []
    var kinds: [UInt8] = []
    var types: [(Int, UInt8, UInt8)] = [(0, 0, 0)]
    var names = "UTC\0"
    var leaps = 0
    var footer = ""

    private func number(_ value: Int, _ size: Int) -> [UInt8] {
        (0..<size).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    private func header(_ counts: [Int]) -> [UInt8] {
        Array("TZif".utf8) + [version] + [UInt8](repeating: 0, count: 15) + counts.flatMap { number($0, 4) }
    }

    var bytes: [UInt8] {
        // The 32-bit block holds something else, which must not be read.
        var bytes = header([0, 0, 0, 1, 1, 4]) + number(5, 4) + [0] + number(7200, 4) + [1, 0] + Array("OLD\0".utf8)
        bytes += header([0, 0, leaps, times.count, types.count, names.utf8.count])
        bytes += times.flatMap { number($0, 8) } + kinds
        bytes += types.flatMap { number($0.0, 4) + [$0.1, $0.2] } + Array(names.utf8)
        bytes += [UInt8](repeating: 0, count: leaps * 12)
        return bytes + [0x0A] + Array(footer.utf8) + [0x0A]
    }

    func zone() throws(ZoneError) -> Zone { try Zone(name: "Test/Zone", tzif: bytes) }
}

@Suite struct ZoneTests {
    private let central = "CET-1CEST,M3.5.0,M10.5.0/3"

    private func second(_ text: String) throws -> Int { try #require(WallTime(rfc3339: text)).milliseconds / 1000 }

    @Test func aRuleHoldsForEver() throws {
        let zone = try ZoneFile(footer: central).zone()
        #expect(zone.seconds(at: try second("2026-03-29T00:59:59Z")) == 3600)
        #expect(
            zone.offset(at: try second("2026-03-29T01:00:00Z"))
                == ZoneOffset(seconds: 7200, isDaylight: true, abbreviation: "CEST"))
        #expect(zone.offset(at: try second("2026-10-25T01:00:00Z")).abbreviation == "CET")
        for year in [2026, 2399, 2400, 2826, 9999, 123_456] {
            let march = RuleDate(day: .ofMonth(3, week: 5, weekday: 0), time: 7200).second(inYear: year) - 3600
            #expect(zone.seconds(at: march - 1) == 3600 && zone.seconds(at: march) == 7200, "\(year)")
            let span = zone.span(at: march)
            #expect(span.start == march && span.seenUntil == march + 3600)
        }
    }

    @Test func gapsAndRepetitionsAreResolved() throws {
        let zone = try ZoneFile(footer: central).zone()
        func local(_ day: CivilDate, _ hour: Int, _ minute: Int) -> CivilTime {
            CivilTime(day, hour: hour, minute: minute)
        }
        let spring = CivilDate(year: 2026, month: 3, day: 29)
        let autumn = CivilDate(year: 2026, month: 10, day: 25)
        #expect(zone.resolve(local(spring, 1, 59)) == .once(try second("2026-03-29T00:59:00Z")))
        #expect(zone.resolve(local(spring, 2, 0)) == .missing(after: try second("2026-03-29T01:00:00Z")))
        #expect(zone.resolve(local(spring, 2, 59)) == .missing(after: try second("2026-03-29T01:00:00Z")))
        #expect(zone.resolve(local(spring, 3, 0)) == .once(try second("2026-03-29T01:00:00Z")))
        #expect(
            zone.resolve(local(autumn, 2, 30))
                == .repeated(first: try second("2026-10-25T00:30:00Z"), last: try second("2026-10-25T01:30:00Z")))
        #expect(zone.resolve(local(autumn, 3, 0)) == .once(try second("2026-10-25T02:00:00Z")))
    }

    @Test(arguments: [
        ("IST-1GMT0,M10.5.0,M3.5.0/1", "2026-07-01T00:00:00Z", 3600, false),
        ("IST-1GMT0,M10.5.0,M3.5.0/1", "2026-01-01T00:00:00Z", 0, true),
        ("XXX3EDT4,0/0,J365/23", "2026-01-01T03:00:00Z", -14_400, true),
        ("XXX3EDT4,0/0,J365/23", "2026-12-31T23:00:00Z", -14_400, true),
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T00:59:59Z", -7200, false),
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z", -3600, true),
        ("EET-2EEST,M3.4.4/50,M10.4.4/50", "2026-03-27T23:59:59Z", 7200, false),
        ("EET-2EEST,M3.4.4/50,M10.4.4/50", "2026-03-28T00:00:00Z", 10_800, true),
        ("<+0330>-3:30<+0430>,J79/24,J263/24", "2024-03-20T20:29:59Z", 12_600, false),
        ("<+0330>-3:30<+0430>,J79/24,J263/24", "2024-03-20T20:30:00Z", 16_200, true),
        ("AAA0BBB,59/0,300/0", "2024-02-29T00:00:00Z", 3600, true),
        ("AAA0BBB,59/167:30,300/-167", "2023-03-07T23:30:00Z", 3600, true),
        ("<-05>5", "2026-06-01T00:00:00Z", -18_000, false),
    ])
    func footerRules(footer: String, time: String, offset: Int, daylight: Bool) throws {
        let found = try ZoneFile(footer: footer).zone().offset(at: try second(time))
        #expect(found.seconds == offset && found.isDaylight == daylight)
    }

    @Test func transitionsAndTheFirstTypeBeforeThem() throws {
        let file = ZoneFile(
            times: [1000, 2000], kinds: [1, 2], types: [(60, 0, 0), (3600, 1, 4), (-60, 0, 8)],
            names: "LMT\0DST\0STD\0")
        let zone = try file.zone()
        #expect(
            [-5, 999, 1000, 1999, 2000, 9_999_999_999].map { zone.seconds(at: $0) } == [60, 60, 3600, 3600, -60, -60])
        #expect(
            zone.span(at: 1500)
                == ZoneSpan(
                    start: 1000, end: 2000, offset: 3600, seenUntil: 1060, comesAgainFrom: 1940))
        #expect(zone.span(at: 0).start == Int.min && zone.span(at: 2000).end == Int.max)
        // Clocks jump over this time first, and come back to it later.
        #expect(zone.resolve(CivilTime(seconds: 2100)) == .once(2160))
        #expect(zone.resolve(CivilTime(seconds: 4700)) == .repeated(first: 1100, last: 4760))
    }

    @Test func leapRecordsAreIgnored() throws {
        #expect(try ZoneFile(leaps: 27, footer: "UTC0").zone().seconds(at: 1_795_165_200) == 0)
    }

    @Test(arguments: [
        ("XX0", ZoneError.badRule), ("CET", .badRule), ("CET-1CEST", .badRule), ("CET-1CEST,M3.5.0", .badRule),
        ("CET-25", .badRule), ("CET-1CEST,M13.5.0,M10.5.0", .badRule), ("CET-1CEST,M3.6.0,M10.5.0", .badRule),
        ("CET-1CEST,M3.5.7,M10.5.0", .badRule), ("CET-1CEST,J0,J5", .badRule), ("CET-1CEST,366,5", .badRule),
        ("CET-1CEST,M3.5.0/168,M10.5.0", .badRule), ("CET-1 ", .badRule), ("<CET-1", .badRule),
    ])
    func badFooters(footer: String, error: ZoneError) {
        #expect(throws: error) { try ZoneFile(footer: footer).zone() }
    }

    @Test func contradictionsAreRefused() {
        var file = ZoneFile(times: [5, 5], kinds: [0, 0])
        #expect(throws: ZoneError.inconsistent) { try file.zone() }
        file = ZoneFile(times: [5], kinds: [1])
        #expect(throws: ZoneError.inconsistent) { try file.zone() }
        file = ZoneFile(types: [(0, 0, 4)])
        #expect(throws: ZoneError.inconsistent) { try file.zone() }
        file = ZoneFile(types: [(100_000, 0, 0)])
        #expect(throws: ZoneError.inconsistent) { try file.zone() }
        file = ZoneFile(types: [])
        #expect(throws: ZoneError.inconsistent) { try file.zone() }
        file = ZoneFile(names: "UTC")
        #expect(throws: ZoneError.inconsistent) { try file.zone() }
        file = ZoneFile(version: 0)
        #expect(throws: ZoneError.noWideBlock) { try file.zone() }
        #expect(throws: ZoneError.tooLarge) {
            try Zone(name: "A", tzif: [UInt8](repeating: 0, count: Zone.largestFile + 1))
        }
    }

    @Test func everyCutAndEveryFlippedByteIsSurvived() throws {
        let file = ZoneFile(
            times: [1000, 2000], kinds: [1, 0], types: [(3600, 0, 0), (7200, 1, 4)], names: "CET\0CEST\0",
            footer: central)
        let bytes = file.bytes
        for length in 0..<bytes.count - 1 {
            #expect(throws: ZoneError.self) { try Zone(name: "A", tzif: Array(bytes[..<length])) }
        }
        for index in bytes.indices {
            for flip: UInt8 in [0x01, 0x80, 0xFF] {
                var damaged = bytes
                damaged[index] ^= flip
                if let zone = try? Zone(name: "A", tzif: damaged) { _ = zone.span(at: 1_795_165_200) }
            }
        }
    }

    @Test(arguments: ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT", "GMT-0"])
    func names(name: String) { #expect(Zone.isName(name)) }

    @Test(arguments: [
        "", "/etc/passwd", "../x", "Europe/../UTC", "Europe//Berlin", "Europe/", "right/UTC", "posix/UTC", "localtime",
        "posixrules", "Europe/Ber lin", "Zürich", ".", "Europe/.", "a\0b",
    ])
    func otherNames(name: String) {
        #expect(!Zone.isName(name))
        #expect(throws: ZoneError.badName) { try Zone(name: name, tzif: ZoneFile(footer: "UTC0").bytes) }
    }

    @Test func aCatalogKeepsWhatVanished() throws {
        var old = ZoneCatalog(version: "2025a")
        try old.add("Test/Zone", tzif: ZoneFile(footer: central).bytes)
        var new = ZoneCatalog(version: "2025b")
        #expect(new.zone(named: "Test/Zone") == nil && new.zone(named: "UTC") == .utc)
        new.keepMissing(from: old)
        #expect(new.zone(named: "Test/Zone") == old.zone(named: "Test/Zone"))
        #expect(new.names == ["Test/Zone", "UTC"] && new.version == "2025b")
        #expect(throws: ZoneError.notTZif) { try new.add("Test/Zone", tzif: []) }
        #expect(new.count == 2)
    }

    @Test func theReleaseComesFromTheVersionFileFirst() {
        let source = Array("# version 2025b\n# This zic input file".utf8)
        #expect(ZoneCatalog.version(versionFile: Array("2026a\n".utf8), source: source) == "2026a")
        #expect(ZoneCatalog.version(versionFile: nil, source: source) == "2025b")
        #expect(ZoneCatalog.version(versionFile: [], source: Array("R A 1".utf8)) == "unknown")
        #expect(ZoneCatalog.version(versionFile: nil, source: nil) == "unknown")
    }
}
