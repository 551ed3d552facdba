import Contract
import Testing
import Wire

@testable import DispatcherCore

/// What a refusal says about the executor's next claims.
@Suite struct RefusalTests {
    private func task(_ grant: Grant?) -> Assignment? {
        if case .task(let assignment)? = grant { return assignment }
        return nil
    }

    @Test(arguments: [true, false])
    func aBusyExecutorsOtherClaimWaits(_ beats: Bool) throws {
        var bench = try Harness()
        bench.online("e1", rest: #""modes":["pull"],"slots":4,"reserved":0"#)
        bench.intent("t1")
        let first = try #require(task(try bench.claim("e1", slot: "s1", #"{"wait_ms":60000}"#)))
        bench.refuse("e1", first, "busy")
        #expect(try bench.claim("e1", slot: "s2", #"{"wait_ms":60000}"#) == nil)
        let before = bench.messages.count
        bench.advance(4999)
        #expect(try bench.grant("e1", slot: "s2", since: before) == nil)
        if beats { bench.beat("e1", seq: 1) } else { bench.advance(1) }
        let second = try #require(task(try bench.grant("e1", slot: "s2", since: before)))
        #expect(second.task == "t1" && second.epoch > first.epoch)
    }

    @Test func aClaimThatDoesNotWaitIsToldWhenToComeAgain() throws {
        var bench = try Harness()
        bench.intent("known", to: "other")
        let claim = #"{"capabilities":["c"]}"#
        #expect(try bench.claim("sh", slot: "1", #"{"capabilities":["c"],"wait_ms":60000}"#) == nil)
        bench.intent("t1")
        let first = try #require(task(try bench.grant("sh", slot: "1")))
        bench.refuse("sh", first, "busy")
        guard case .none(let retry, _)? = try bench.claim("sh", slot: "1", claim) else { return #expect(Bool(false)) }
        #expect((1...5000).contains(retry))
        bench.advance(retry)
        #expect(task(try bench.claim("sh", slot: "1", claim))?.task == "t1")
    }

    @Test("a pause outlives the claim of an executor without a card")
    func pauseWithoutCard() throws {
        var bench = try Harness()
        #expect(try bench.claim("sh", slot: "1", #"{"capabilities":["c","d"],"wait_ms":60000}"#) == nil)
        bench.intent("t1")
        let first = try #require(task(try bench.grant("sh", slot: "1")))
        bench.refuse("sh", first, "rate_limited", rest: #""retry_after_ms":30000"#)
        bench.advance(1000)
        #expect(try bench.claim("sh", slot: "1", #"{"capabilities":["c","d"],"wait_ms":60000}"#) == nil)
        bench.intent("t2", to: "d")
        #expect(task(try bench.grant("sh", slot: "1"))?.task == "t2", "only the pair is paused")
        #expect(try bench.claim("sh", slot: "2", #"{"capabilities":["c"],"wait_ms":60000}"#) == nil)
        let before = bench.messages.count
        bench.advance(28_999)
        #expect(try bench.grant("sh", slot: "2", since: before) == nil)
        bench.advance(1)
        #expect(task(try bench.grant("sh", slot: "2", since: before))?.task == "t1")
    }

    @Test("without a card, a new claim takes back `unsupported`")
    func unsupportedWithoutCard() throws {
        var bench = try Harness()
        #expect(try bench.claim("sh", slot: "1", #"{"capabilities":["c"],"wait_ms":60000}"#) == nil)
        bench.intent("t1")
        let first = try #require(task(try bench.grant("sh", slot: "1")))
        bench.refuse("sh", first, "unsupported")
        #expect(bench.result("t1")?.error?.code == .skillNotLoaded)
        #expect(try bench.claim("sh", slot: "1", #"{"capabilities":["c"],"wait_ms":60000}"#) == nil)
        bench.intent("t2")
        #expect(task(try bench.grant("sh", slot: "1"))?.task == "t2")
    }

    @Test("what only forgotten executors offered is unknown, before a restart and after")
    func forgotten() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c"},{"name":"d"}"#)
        bench.online("e2", #"{"name":"d"}"#)
        for name in ["e1"] {
            bench.send("executor/\(name)/status", #"{"status":"offline","boot":"b1","conn":1}"#, retain: true)
            bench.send("executor/\(name)/card", "", retain: true)
        }
        bench.intent("t1")
        #expect(bench.result("t1")?.error?.code == .skillNotLoaded)
        bench.advance(3_620_000)
        for round in 0...1 {
            bench.intent("u\(round)")
            #expect(bench.result("u\(round)")?.error?.code == .unknownCapability)
            bench.intent("v\(round)", to: "d")
            #expect(bench.result("v\(round)", of: "d") == nil, "e2 still offers it")
            try bench.restart()
        }
    }
}
