import Contract
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Sentences of the pages that no acceptance case stands for.
@Suite struct SentenceTests {
    private func plan(_ names: [String], _ rest: String = "") -> String {
        let steps = names.map { #"{"name":"\#($0)","type":"skill"}"# }.joined(separator: ",")
        return #"{\#(rest.isEmpty ? "" : rest + ",")"input":{"steps":[\#(steps)]}}"#
    }

    private let once = #"{"name":"a","delivery":"at_most_once"}"#

    // MARK: - At most once

    @Test("G-08: a step of a capability whose card says at_most_once is not started twice")
    func aStepRunsAtMostOnceByItsCard() throws {
        var bench = try Harness()
        try bench.comparesReplay()
        bench.online("e1", once)
        bench.intent("p", to: "plan", plan(["a"]))
        let own = try bench.assignment("e1")
        #expect(own.delivery == .atMostOnce)
        bench.accept("e1", own)
        try bench.restart()
        bench.online("e1", once)
        bench.advance(30_000)
        #expect(bench.assignments("e1").isEmpty)
        #expect(bench.result("p", of: "plan")?.error?.code == .leaseExpired)
    }

    @Test("G-08: what is accepted before the card was read is not started twice either")
    func aTaskRunsAtMostOnceByALaterCard() throws {
        var bench = try Harness()
        try bench.comparesReplay()
        bench.online("e2", #"{"name":"a"}"#)
        try bench.restart(connects: false)
        bench.echoes = false
        bench.connect()
        bench.intent("t1", to: "a")
        bench.online("e1", once)
        bench.advance(2000)
        let own = try bench.assignment("e1")
        #expect(own.delivery == .atMostOnce)
        bench.accept("e1", own)
        bench.advance(30_000)
        #expect(bench.result("t1", of: "a")?.error?.code == .leaseExpired)
    }

    // MARK: - Acceptance

    @Test("An intent for an executor whose card has not been read yet is accepted while settling")
    func anIntentForAnExecutorBeforeItsCard() throws {
        var bench = try Harness()
        bench.online("e1")
        try bench.restart(connects: false)
        bench.echoes = false
        bench.connect()
        bench.intent("t1", #"{"executor":"e1"}"#)
        #expect(bench.result("t1") == nil)
        bench.online("e1")
        bench.advance(2000)
        #expect(try bench.assignment("e1").task == "t1")
        bench.intent("t2", #"{"executor":"e9"}"#)
        #expect(bench.result("t2")?.error?.code == .notFound)
    }
}
