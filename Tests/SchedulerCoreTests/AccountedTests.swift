import Contract
import Foundation
import Machine
import SchedulerCore
import Testing
import TimeModel
import Timing
import Wire

/// No slot is forgotten: not while jitter holds it back, not while a schedule is disabled, not when much comes at once.
@Suite struct AccountedTests {
    private static let minute = #"{"every_ms":60000}"#

    /// A schedule whose first slot has come and is not due yet.
    private func held() throws -> (Bench, String) {
        for index in 0..<50 {
            let bench = Bench()
            let name = "s\(index)"
            bench.put(name, "interval", Self.minute, #","policy":{"jitter_ms":59000}"#)
            bench.forgetAll()
            bench.pass(60_001)
            if bench.runs.isEmpty { return (bench, name) }
        }
        throw CancellationError()
    }

    @Test func aSlotThatJitterHoldsBackEndsWithItsRule() throws {
        let (bench, name) = try held()
        bench.put(name, "cron", #"{"expr":"0 10 * * *"}"#)
        #expect(bench.slotsTold == ["SCHEDULE_SKIPPED updated"])
        #expect(try bench.state(name).slots.decided == 1)
    }

    @Test func aSlotThatJitterHoldsBackSurvivesNewZoneData() throws {
        for index in 0..<50 {
            let bench = Bench("2026-11-20T07:59:00.000Z")
            let name = "s\(index)"
            let spec = #"{"expr":"0 9 * * *","timezone":"Europe/Berlin"}"#
            bench.put(name, "cron", spec, #","policy":{"jitter_ms":86000000}"#)
            bench.until("2026-11-20T08:00:01Z")
            guard bench.runs.isEmpty else { continue }
            bench.give(.reload(try reload(["Europe/Berlin": "America/New_York"])))
            #expect(bench.told.last == "SCHEDULE_UPDATED tzdb")
            bench.until("2026-11-21T13:00:00Z")
            #expect(
                bench.runs.first == "\(name)~20261120T080000Z" || bench.slotsTold.first == "MISFIRED_SKIPPED absorbed")
            #expect(try bench.state(name).slots.decided >= 1)
            return
        }
        Issue.record("no jitter held a slot back")
    }

    @Test func slotsOfADisabledScheduleAreToldWhenItIsEnabled() throws {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "interval", Self.minute, #","bounds":{"max_runs":2}"#)
        bench.pass(120_000)
        #expect(bench.told.last == "SCHEDULE_DISABLED max_runs")
        bench.pass(10 * 60_000)
        bench.forgetAll()
        bench.command("enable", "s")
        #expect(bench.told == ["SCHEDULE_SKIPPED paused 10", "SCHEDULE_RESUMED enabled"])
        bench.pass(120_000)
        let state = try bench.state("s")
        #expect(state.slots.triggered == 4 && state.slots.decided == 14)
    }

    @Test func aRevisionHoldsUntilTheDefinitionChanges() throws {
        let bench = Bench()
        bench.dispatcher = .completes
        bench.put("s", "interval", Self.minute)
        bench.pass(300_000)
        let seen = try #require(bench.view("s")).rev
        #expect(seen > 1)
        let changed = bench.put("s", "interval", #"{"every_ms":120000}"#, #","if_rev":\#(seen)"#)
        #expect(changed?.ok == true)
        let view = try #require(bench.view("s"))
        #expect(view.definitionRev > seen && view.definitionRev == changed?.rev)
        #expect(bench.put("s", "interval", Self.minute, #","if_rev":\#(seen)"#)?.code == .conflictRev)
        #expect(bench.put("s", "interval", Self.minute, #","if_rev":0"#)?.code == .conflictRev)
        #expect(bench.put("t", "interval", Self.minute, #","if_rev":3"#)?.code == .conflictRev)
        #expect(bench.command("delete", "s", #"{"if_rev":\#(seen)}"#)?.code == .conflictRev)
        #expect(bench.command("delete", "s", #"{"if_rev":\#(view.rev)}"#)?.ok == true)
    }

    @Test(arguments: [
        (
            #"cron"#, #"{"expr":"0 9 1 1 *"}"#,
            #"{"not_before":"2026-02-01T00:00:00Z","not_after":"2026-03-01T00:00:00Z"}"#
        ),
        (
            #"interval"#, #"{"every_ms":60000,"start_at":"2027-01-01T00:00:00Z"}"#,
            #"{"not_after":"2026-12-01T00:00:00Z"}"#
        ),
        (#"one-shot"#, #"{"run_at":"2027-01-01T00:00:00Z"}"#, #"{"not_after":"2026-12-01T00:00:00Z"}"#),
    ])
    func boundsWithoutASlotAreRefused(type: String, spec: String, bounds: String) {
        let bench = Bench()
        #expect(bench.put("s", type, spec, #","bounds":\#(bounds)"#)?.code == .invalidSpec)
        #expect(bench.told.isEmpty)
    }

    @Test func beyondTheLimitOfUnconfirmedRunsSlotsWaitInOrder() throws {
        let bench = Bench { $0.schedulesPerAgent = 0 }
        bench.dispatcher = .away
        bench.checksInvariants = false
        let count = Limits.unconfirmedRuns + 3
        for index in 0..<count {
            bench.put(
                "s\(index)", "one-shot", #"{"run_at":"2026-11-20T08:01:00.\#(String(1000 + index % 4).dropFirst())Z"}"#)
        }
        bench.forgetAll()
        bench.until("2026-11-20T08:01:01Z")
        #expect(bench.runs.count == Limits.unconfirmedRuns)
        let sent = Set(bench.runs.map { String($0.prefix { $0 != "~" }) })
        let waiting = (0..<count).filter { !sent.contains("s\($0)") }
        #expect(waiting.count == 3 && waiting.allSatisfy { $0 % 4 == 3 })
        bench.forgetAll()
        for name in sent.sorted().prefix(3) {
            let slot = try #require(bench.view(name)?.state.cursor)
            bench.finish("\(name)~\(slot.basicText)")
        }
        #expect(Set(bench.runs.map { String($0.prefix { $0 != "~" }) }) == Set(waiting.map { "s\($0)" }))
    }

    @Test func logNotificationsOfAnOutageComeAfterIt() {
        let bench = Bench()
        bench.put("s", "cron", #"{"expr":"0 9 * * *"}"#, #","notifications":{"on_skip":[{"channel":"log"}]}"#)
        bench.disconnect()
        bench.until("2026-11-20T09:10:00Z")
        #expect(bench.notes.isEmpty)
        bench.connect()
        #expect(bench.notes.filter { $0.topic == "main/martlet1/notify/log/scheduler.s" }.count == 1)
    }

    // Zone data.

    private func reload(_ files: [String: String], version: String = "2030a") throws -> [UInt8] {
        let read = try files.sorted { $0.key < $1.key }.map { name, source in
            let data = try #require(FileManager.default.contents(atPath: "/usr/share/zoneinfo/\(source)"))
            return (name: name, bytes: [UInt8](data))
        }
        return SchedulerReload.encoded(configuration: Array("{}".utf8), version: version, files: read)
    }

    @Test func newZoneDataMovesSlotsFromNowOn() throws {
        let bench = Bench("2026-11-20T07:00:00.000Z")
        bench.dispatcher = .completes
        bench.put("s", "cron", #"{"expr":"0 9 * * *","timezone":"Europe/Berlin"}"#)
        bench.put("t", "cron", #"{"expr":"0 9 * * *","timezone":"Asia/Tokyo"}"#)
        bench.until("2026-11-20T08:30:00Z")
        #expect(bench.runs == ["s~20261120T080000Z"])
        bench.forgetAll()
        bench.give(.reload(try reload(["Europe/Berlin": "America/New_York", "Asia/Tokyo": "Asia/Tokyo"])))
        #expect(bench.told == ["SCHEDULE_UPDATED tzdb"])
        #expect(bench.events.map(\.subject) == ["s"])
        #expect(try bench.state("s").next.first?.rfc3339 == "2026-11-20T14:00:00.000Z")
        let record = try #require(bench.retained["_sys/martlet1/service/scheduler/scheduler"])
        #expect(try ServiceRecord(decoding: record).tzdb == "2030a")
        bench.pass(2000)
        #expect(bench.view("t")?.timeZoneData == "2030a")
        bench.until("2026-11-20T14:00:00Z")
        #expect(bench.runs == ["s~20261120T140000Z"])
        #expect(try bench.state("s").slots.decided == 2)
    }

    @Test func aZoneThatVanishesKeepsItsDataUntilTheNextStart() throws {
        let bench = Bench("2026-11-20T07:00:00.000Z")
        bench.dispatcher = .completes
        bench.put("s", "cron", #"{"expr":"0 9 * * *","timezone":"Europe/Berlin"}"#)
        bench.give(.reload(try reload(["Asia/Tokyo": "Asia/Tokyo"])))
        bench.until("2026-11-20T08:00:00Z")
        #expect(bench.runs == ["s~20261120T080000Z"])
        bench.forgetAll()
        bench.settings.zones = ZoneCatalog(version: "2030a")
        bench.restart()
        #expect(bench.told == ["SCHEDULE_DISABLED zone_unknown"])
        #expect(bench.put("u", "cron", #"{"expr":"0 9 * * *","timezone":"Europe/Berlin"}"#)?.code == .invalidSpec)
        bench.settings.zones = SystemZones.catalog
        bench.restart(after: 86_400_000 / 2)
        #expect(bench.command("enable", "s")?.ok == true)
        #expect(try bench.state("s").next.first?.rfc3339 == "2026-11-21T08:00:00.000Z")
    }

    @Test func allZonesOfTheMachineAreReadAgain() throws {
        let root = "/usr/share/zoneinfo"
        var files: [(name: String, bytes: [UInt8])] = []
        for case let name as String in FileManager.default.enumerator(atPath: root) ?? .init() {
            guard Zone.isName(name), let data = FileManager.default.contents(atPath: "\(root)/\(name)"),
                data.starts(with: Array("TZif".utf8))
            else { continue }
            files.append((name, [UInt8](data)))
        }
        let bench = Bench("2026-11-20T07:00:00.000Z")
        bench.give(
            .reload(SchedulerReload.encoded(configuration: Array("{}".utf8), version: "2030a", files: files)))
        #expect(bench.put("s", "cron", #"{"expr":"0 9 * * *","timezone":"Pacific/Chatham"}"#)?.ok == true)
    }
}
