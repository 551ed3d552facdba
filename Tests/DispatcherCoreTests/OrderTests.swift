import Contract
import Determinism
import Machine
import Testing
import TimeModel
import Wire

@testable import DispatcherCore

/// Choosing among many: the same choice as a walk over all, at a cost that does not grow.
@Suite struct OrderTests {
    /// `executors` push executors of `c`, each with `slots` slots.
    private func fleet(_ executors: Int, slots: Int = 4) throws -> Harness {
        var bench = try Harness()
        bench.checks = false
        for index in 0..<executors {
            bench.online(
                "e\(index)", #"{"name":"c","cost":{"fixed":\#(1 + index % 7)}}"#,
                rest: #""slots":\#(slots),"reserved":0"#
            )
        }
        return bench
    }

    /// How much work one decision takes while tasks come and go.
    private func work(executors: Int, queued: Int) throws -> Int {
        var bench = try fleet(executors, slots: 1)
        var running: [(String, Assignment)] = []
        func collect(_ bench: inout Harness) {
            for message in bench.takeAll("work/c/+") {
                guard case .assign(let own)? = try? WorkMessage(decoding: message.payload) else { continue }
                running.append((String(message.topic.split(separator: "/").last ?? ""), own))
            }
        }
        for task in 0..<(executors + queued) { bench.intent("t\(task)") }
        collect(&bench)
        let (before, decided) = (bench.core.judgements, bench.core.metrics.decisions)
        for _ in 0..<200 {
            try #require(
                !running.isEmpty,
                "\(bench.core.tasks.count) live, \(bench.core.metrics.decisions) decisions, \(bench.core.metrics.refused) refused"
            )
            let (name, own) = running.removeFirst()
            bench.succeed(name, own)
            collect(&bench)
        }
        let decisions = bench.core.metrics.decisions - decided
        #expect(decisions >= 200)
        return (bench.core.judgements - before) / decisions
    }

    @Test func oneDecisionCostsTheSameWithManyExecutors() throws {
        let few = try work(executors: 20, queued: 300)
        let many = try work(executors: 400, queued: 300)
        #expect(many <= few + 2 && many <= 6, "\(few) judgements with 20 executors, \(many) with 400")
    }

    @Test func oneDecisionCostsTheSameWithALongQueue() throws {
        let short = try work(executors: 20, queued: 250)
        let long = try work(executors: 20, queued: 4000)
        #expect(long <= short + 1, "\(short) judgements with 250 queued, \(long) with 4000")
    }

    @Test func aLoneTaskJudgesOne() throws {
        var bench = try fleet(300)
        bench.intent("t0")
        let before = bench.core.judgements
        for task in 1...100 { bench.intent("t\(task)") }
        #expect((bench.core.judgements - before) / 100 <= 5)
    }

    /// Random life with every choice compared with a walk.
    @Test(arguments: 1...6 as ClosedRange<UInt64>) func theChoiceOfAWalk(seed: UInt64) throws {
        var storm = try Storm(seed: seed)
        storm.bench.walks(upTo: 0)
        for _ in 0..<200 {
            try storm.step()
            for number in storm.bench.core.tasks.keys.sorted() {
                guard let task = storm.bench.core.tasks[number], task.state == .queued, !task.spec.isPlan,
                    storm.bench.core.isSettled
                else { continue }
                var core = storm.bench.core
                let (chosen, walked) = (core.choose(for: task), core.match(task))
                #expect(OrderTests.who(chosen) == OrderTests.who(walked), "\(task.spec.key.id): \(chosen) \(walked)")
            }
        }
        try storm.calm()
    }

    private static func who(_ match: Match) -> String {
        switch match {
        case .push(let executor, let judgement): "push \(executor) \(judgement.score)"
        case .pull(let executor, let slot, let judgement): "pull \(executor) \(slot) \(judgement.score)"
        case .wait: "wait"
        }
    }

    @Test("I11: a task that its deadline keeps waiting, and that is then assigned, stands in one place")
    func aTaskSetAsideAndAssignedStandsInOnePlace() throws {
        var bench = try Harness()
        bench.online("e1", #"{"name":"c","expected_ms":5000}"#)
        bench.intent("t1", #"{"deadline_ms":3000}"#)
        #expect(try bench.explain("t1").text("/code") == "too_slow")
        let reply = try bench.command("task/assign/t1", #"{"principal":"alice","executor":"e1"}"#)
        #expect(reply.ok)
        #expect(bench.core.checkInvariants() == [])
    }
}
