import Contract
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Several dispatchers on one broker, each with workspaces of its own (`topics/broker.md`, cells).
@Suite struct CellTests {
    private func record(
        _ state: String = "up", term: Int, boot: String = "other", since: String = "2026-01-01T00:00:00.000Z",
        workspaces: String = "[]"
    ) -> String {
        #"{"state":"\#(state)","version":"1","term":\#(term),"boot":"\#(boot)","since":"\#(since)","#
            + #""workspaces":\#(workspaces)}"#
    }

    private func own(_ harness: Harness) throws -> ServiceRecord {
        let topic = "_sys/martlet1/service/dispatcher/\(harness.core.configuration.instance)"
        return try ServiceRecord(decoding: try #require(harness.retained[topic]))
    }

    private let cell = #"{"workspaces":["lab","shop"],"instance":"dispatcher-1"}"#

    @Test("G-27 of two that serve one workspace the lower term stops, says why, and answers nothing more")
    func overlap() throws {
        var harness = try Harness(cell)
        harness.allowsErrors = true
        harness.sendSystem("service/dispatcher/dispatcher-2", record(term: 2, workspaces: #"["office","shop"]"#))
        guard case .quit(78, let reason)? = harness.quit else {
            Issue.record("it goes on")
            return
        }
        for word in ["dispatcher-2", "shop", "term 2", "dispatcher.workspaces"] { #expect(reason.contains(word)) }
        #expect(harness.logs.contains { $0.level == .error && $0.name == "superseded" })
        #expect(try own(harness).state == .down)
        let before = harness.messages.count
        harness.workspace = "shop"
        harness.intent("late")
        #expect(harness.messages.count == before, "the other one answers")
    }

    @Test("Disjoint cells live side by side, whatever their terms")
    func disjoint() throws {
        var harness = try Harness(cell)
        harness.sendSystem("service/dispatcher/dispatcher-2", record(term: 9, workspaces: #"["office"]"#))
        #expect(harness.quit == nil)
        #expect(try own(harness).workspaces == ["lab", "shop"])
        harness.workspace = "shop"
        harness.online("e")
        harness.intent("a")
        #expect(harness.updates("a").first?.type == .accepted)
        harness.workspace = "office"
        harness.intent("b")
        #expect(harness.all("update/+/+/+").isEmpty && harness.all("result/+/+/+").isEmpty, "none of its business")
    }

    @Test("One that serves all is in conflict with every cell")
    func allAndSome() throws {
        var harness = try Harness("{}")
        harness.allowsErrors = true
        harness.sendSystem("service/dispatcher/dispatcher-2", record(term: 2, workspaces: #"["office"]"#))
        #expect(harness.quit != nil)
        var other = try Harness(cell)
        other.allowsErrors = true
        other.sendSystem("service/dispatcher/dispatcher-2", record(term: 2))
        #expect(other.quit != nil)
    }

    @Test("Of equal terms who was there first stays", arguments: [(true, "2026-01-01"), (false, "2099-01-01")])
    func equalTerms(quits: Bool, day: String) throws {
        var harness = try Harness(cell)
        harness.allowsErrors = true
        let since = "\(day)T00:00:00.000Z"
        harness.sendSystem(
            "service/dispatcher/dispatcher-2", record(term: 1, since: since, workspaces: #"["shop"]"#))
        #expect((harness.quit != nil) == quits)
    }

    @Test("Whoever takes workspaces over goes on above the term of the one before, over restarts too")
    func handedOver() throws {
        var harness = try Harness(cell)
        harness.sendSystem("service/dispatcher/dispatcher-2", record("down", term: 41, workspaces: #"["shop"]"#))
        #expect(try own(harness).term == 42)
        harness.workspace = "shop"
        harness.online("e")
        harness.intent("a")
        #expect(try harness.assignment("e").term == 42, "executors refuse a lower one")
        try harness.restart()
        #expect(try own(harness).term == 43)
        harness.sendSystem("service/dispatcher/dispatcher-3", record("down", term: 90, workspaces: #"["office"]"#))
        #expect(try own(harness).term == 43)
    }

    @Test("A term that somebody left behind does not help a newcomer against whoever is up")
    func leftBehind() throws {
        var harness = try Harness(cell, settled: false)
        harness.allowsErrors = true
        harness.leaves("service/dispatcher/dispatcher-2", record("down", term: 41, workspaces: #"["office","shop"]"#))
        harness.leaves("service/dispatcher/dispatcher-3", record(term: 1, workspaces: #"["lab"]"#))
        harness.connect()
        #expect(harness.quit != nil)
        #expect(try own(harness).term == 1)
    }

    @Test("A copy of the state directory that was put out leaves the record of the other one right")
    func sameInstance() throws {
        var harness = try Harness(cell)
        harness.sendSystem("service/dispatcher/dispatcher-1", record("down", term: 0, workspaces: #"["shop"]"#))
        #expect(try own(harness).state == .up)
    }

    @Test("Open tasks of a workspace that is left out keep it from starting")
    func leftOut() throws {
        var harness = try Harness("{}")
        harness.workspace = "office"
        harness.online("e")
        harness.intent("a")
        let records = harness.records
        var core = Dispatcher(configuration: try DispatcherConfiguration(decoding: Array(cell.utf8)), seed: 1)
        for record in records { try core.replay(record) }
        var effects: [ServiceEffect] = []
        core.handle(.started, at: harness.now, emitting: &effects)
        let reasons = effects.compactMap { effect -> String? in
            if case .quit(78, let reason) = effect { reason } else { nil }
        }
        #expect(reasons.count == 1 && reasons[0].contains("office"))
    }

    @Test("Cells tell their numbers and events under names of their own")
    func names() throws {
        var harness = try Harness(cell)
        harness.workspace = "lab"
        harness.online("e")
        harness.advance(11_000)
        #expect(harness.retained["_sys/martlet1/metrics/dispatcher/dispatcher-1"] != nil)
        #expect(harness.retained["_sys/martlet1/metrics/dispatcher"] == nil)
        #expect(harness.events(.executorRegistered).first?.eventID.hasPrefix("dispatcher-1.1.") == true)
    }
}
