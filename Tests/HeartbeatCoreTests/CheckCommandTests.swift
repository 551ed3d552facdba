import Contract
import HeartbeatCore
import Machine
import Testing
import Wire

/// Commands that meet nothing, and work that nobody can do.
@Suite struct CheckCommandTests {
    @Test("T2-42: a check that is not there cannot be paused")
    func unknown() {
        let rig = Rig()
        for verb in ["pause", "resume", "delete", "get", "run"] {
            #expect(rig.command(verb, "ghost")?.code == .notFound, "\(verb)")
        }
    }

    @Test("T2-43: a capability that nobody knows is an error in the log, others run on")
    func unknownCapability() throws {
        let rig = Rig()
        rig.put("a")
        rig.put("b")
        rig.fail("a", .rejected, .unknownCapability)
        rig.finish("b", "{}")
        #expect(rig.check("a")?.health?.status == .error && rig.check("b")?.health?.status == .ok)
        let data = try #require(rig.command("get", "a", #"{"status":"error"}"#)?.data)
        guard case .array(let runs) = JSONValue(data)["history"] else { return #expect(Bool(false)) }
        #expect(runs.count == 1 && runs[0]["code"]?.stringValue == "unknown_capability")
        rig.pass(30_000)
        #expect(rig.runs("a").count == 2 && rig.runs("b").count == 2)
    }
}
