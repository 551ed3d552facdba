import Contract
import Foundation
import Testing
import TimeModel
import Wire

@testable import DispatcherCore
@testable import Timing

@Suite("Examples that a service reads itself") struct ServiceTests {
    @Test("Plans are taken and refused as the examples say")
    func plans() throws {
        for example in Example.all where example.message == "plan" {
            let raw = try RawJSON(validating: example.payload)
            do throws(PlanRefusal) {
                let plan = try Plan(raw, id: "plan-7")
                #expect(example.code == nil && !plan.steps.isEmpty, "\(example.testDescription)")
            } catch {
                #expect(error.code.rawValue == example.code, "\(example.testDescription): \(error.message)")
            }
        }
    }

    @Test("Schedules are compiled and refused as the examples say")
    func schedules() throws {
        let root = URL(fileURLWithPath: "/usr/share/zoneinfo")
        var zones = ZoneCatalog(version: "test")
        try zones.add("Europe/Berlin", tzif: Array(Data(contentsOf: root.appendingPathComponent("Europe/Berlin"))))
        // Whose workspace it is, the topic tells.
        for example in Example.all where example.message == "schedule" && example.code != Code.permissionDenied.rawValue
        {
            guard let raw = try? RawJSON(validating: example.payload) else { continue }
            let reader = ScheduleReader(raw)
            var compiler = DefinitionCompiler(id: "backup", zones: zones)
            if reader.problems.isEmpty, !reader.isUnsupported {
                let anchor = try #require(WallTime(rfc3339: "2026-11-20T09:00:00.000Z"))
                let definition = compiler.compile(reader.document, anchor: anchor)
                #expect((definition != nil) == (example.code == nil), "\(example.testDescription)")
            }
            let found = (reader.problems + compiler.problems).map(\.code.rawValue)
            #expect(example.code == nil ? found.isEmpty : found.contains(example.code ?? "") || reader.isUnsupported)
        }
    }

    @Test("Other accepted spellings of a schedule's commands")
    func commands() throws {
        let resume = try ScheduleCommand(decoding: Array(#"{"catchUp":true}"#.utf8))
        #expect(resume.catchUp)
        let pause = try ScheduleCommand(decoding: Array(#"{"until":1795251600000}"#.utf8))
        #expect(String(decoding: pause.encoded, as: UTF8.self) == #"{"until":"2026-11-21T09:00:00.000Z"}"#)
        #expect(throws: WireError.self) { try ScheduleCommand(decoding: Array(#"{"request_id":"a~b"}"#.utf8)) }
    }

    @Test("A notification is written as its example shows")
    func notification() throws {
        var note = ScheduleNote(schedule: "backup")
        note.run = "backup~20261120T090000Z"
        note.status = .failed
        note.code = .attemptsExhausted
        note.message = "3 attempts failed"
        note.scheduledAt = WallTime(rfc3339: "2026-11-20T09:00:00.000Z")
        note.durationMs = 170
        #expect(note.encoded == (try Example("notify_log", "valid-failure.json").payload))
    }
}
