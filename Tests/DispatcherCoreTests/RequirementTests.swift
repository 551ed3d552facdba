import Contract
import Determinism
import Machine
import Testing
import Wire

@testable import DispatcherCore

/// Requirements that no acceptance case stands for.
@Suite struct RequirementTests {
    @Test func s0_18_thePriorityOfTheCard() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","priority":"low"}"#)
        bench.online("e2", #"{"name":"c","priority":"high"}"#)
        bench.intent("t1")
        bench.intent("t2", #"{"priority":"low"}"#)
        #expect(bench.core.tasks[1]?.spec.priority == .high)
        #expect(bench.core.tasks[2]?.spec.priority == .low)
    }

    @Test func s0_19_theListShowsWhatTheCallerMayUse() throws {
        var bench = try Harness(
            #"{"policy":{"main":[{"id":"a","priority":2,"effect":"deny","principals":["bob"],"verbs":["execute"],"capabilities":["d"]},{"id":"b","priority":1,"effect":"allow"}]}}"#
        )
        bench.online("e1", #"{"name":"c"},{"name":"d"}"#)
        for (who, names) in [("alice", ["c", "d"]), ("bob", ["c"])] {
            let reply = try bench.command("capability/list/all", by: who)
            guard let data = reply.data, case .array(let list)? = JSONValue(data)["items"] else {
                Issue.record("no items")
                continue
            }
            #expect(list.compactMap { $0.text("/name") } == names)
        }
    }

    @Test func s4_10_whoMayNotAssign() throws {
        var bench = try Harness(
            #"{"policy":{"main":[{"id":"a","priority":2,"effect":"deny","principals":["bob"],"verbs":["task.assign"]},{"id":"b","priority":1,"effect":"allow"}]}}"#
        )
        bench.online("e1", #"{"name":"c"}"#, rest: #""slots":1"#)
        for id in ["t1", "t2"] { bench.intent(id) }
        let assign = #"{"principal":"alice","executor":"e1"}"#
        #expect(try bench.command("task/assign/t2", assign, by: "bob").code == .permissionDenied)
        #expect(bench.core.tasks[2]?.assignedTo == nil)
        #expect(try bench.command("task/assign/t2", assign, by: "carol").ok)
    }
}
