import Contract
import Machine
import Testing
import Wire

/// Loading and unloading what the manifest holds, and a new manifest.
@Suite struct LoadingTests {
    private func load(_ rig: Rig, _ text: String, unload: Bool = false) throws {
        let payload = try RawJSON(validating: Array(text.utf8))
        rig.work(unload ? .unload(payload) : .load(payload), capability: "later")
    }

    @Test func T1_01_loadingPutsTheCapabilityOnTheCardAndUnloadingTakesItOff() throws {
        let rig = try Rig()
        rig.assign("t0", epoch: 1, capability: "later")
        #expect(rig.reports.last?.reason == .unsupported)
        try load(rig, #"{"name":"later"}"#)
        #expect(rig.cards.last?.rev == 2)
        #expect(rig.cards.last?.capabilities.contains { $0.name == "later" } == true)
        rig.assign("t1", epoch: 2, capability: "later")
        #expect(rig.outcome?.status == .success)
        try load(rig, #"{"name":"later"}"#, unload: true)
        #expect(rig.cards.last?.rev == 3)
        rig.assign("t2", epoch: 3, capability: "later")
        #expect(rig.reports.last?.reason == .unsupported)
        try load(rig, #"{"name":"later","version":"2"}"#)
        rig.assign("t3", epoch: 4, capability: "later")
        #expect(rig.outcome?.epoch == 4)
    }

    @Test(arguments: [
        "{}", #"{"name":"nothing"}"#, #"{"name":7}"#, #"{"name":"later","version":"3"}"#, #"{"name":"demo.echo"}"#,
        #"{"name":"a b"}"#,
    ])
    func T1_02_whatCannotBeLoadedLeavesTheCardAsItWasAndAnswersWithIt(_ text: String) throws {
        let rig = try Rig()
        let before = rig.cards.last
        rig.forget()
        try load(rig, text)
        #expect(rig.cards == [before])
    }

    @Test func whatWasLoadedIsLoadedAfterARestart() throws {
        let rig = try Rig()
        try load(rig, #"{"name":"later"}"#)
        try load(rig, #"{"name":"run"}"#, unload: true)
        rig.restart()
        let names = rig.cards.last?.capabilities.map(\.name) ?? []
        #expect(names.contains("later"))
        #expect(!names.contains("run"))
    }

    @Test func aNewManifestRaisesTheRevisionAndABadOneChangesNothing() throws {
        let rig = try Rig()
        rig.assign("t1", epoch: 1)
        rig.give(.reload(Array(#"{"capabilities":[{"name":"other","builtin":"echo"}]}"#.utf8)))
        #expect(rig.cards.last?.rev == 2)
        #expect(rig.cards.last?.capabilities.map(\.name) == ["other"])
        rig.end(.exited(0), output: "1")
        #expect(rig.outcome?.status == .success)
        rig.give(.reload(Array(#"{"capabilities":[{"name":"other"}]}"#.utf8)))
        #expect(rig.cards.last?.rev == 2)
        #expect(rig.events.contains { $0.name == "reload_refused" })
    }
}
