import Contract
import Machine
import Simulation
import Testing
import TimeModel
import Wire

@testable import MonitorCore

/// What was missed is stated, what came twice is recorded once.
@Suite struct LossTests {
    private func event(_ bench: Bench, _ seq: Int, term: Int = 1) {
        bench.message(
            "event/LEASE_REVOKED/dispatcher.t\(seq)",
            #"{"event_id":"dispatcher.\#(term).\#(seq)","event":"LEASE_REVOKED","seq":\#(seq),"#
                + #""at":"2026-11-20T09:00:00.000Z","actor":"dispatcher","workspace":"main","subject":"t\#(seq)"}"#)
    }

    private func gaps(_ bench: Bench) throws -> [HistoryGap] {
        try bench.items("query", #"{"record":"gap","bodies":true}"#).reversed().map {
            try HistoryGap(try #require($0["body"]).raw)
        }
    }

    @Test("G-26: numbers of events that are left out are stated; a new start of the service is none")
    func missingEvents() throws {
        let bench = try Bench()
        for seq in [4, 5, 6, 9, 10] { event(bench, seq) }
        var expected = HistoryGap(.eventsMissing)
        (expected.first, expected.last, expected.count) = (7, 8, 2)
        #expect(try gaps(bench) == [expected])
        event(bench, 1, term: 2)
        event(bench, 2, term: 2)
        #expect(try gaps(bench).count == 1)
    }

    @Test("Numbers of events are followed over a restart; what comes again is recorded once")
    func restart() throws {
        let bench = try Bench()
        for seq in [1, 2, 3] { event(bench, seq) }
        bench.result("t1")
        try bench.restart()
        event(bench, 3)
        bench.result("t1")
        #expect(bench.core.totals.duplicates == 2)
        event(bench, 5)
        #expect(try gaps(bench).map(\.first) == [4])
        #expect(try bench.items("query").count == 6)
    }

    @Test("A session that the broker lost is a gap from the last message on; the first start misses nothing")
    func sessionLost() throws {
        let bench = try Bench()
        #expect(try gaps(bench).isEmpty)
        bench.result("t1")
        bench.wait(60_000)
        bench.disconnect()
        bench.wait(30_000)
        bench.loseSession()
        bench.connect()
        let gap = try #require(try gaps(bench).first)
        #expect(gap.reason == .sessionLost)
        #expect(gap.to == bench.wall)
        try bench.restart(sessionLost: true)
        #expect(try gaps(bench).count == 2)
    }

    @Test("Who was up, and died before it recorded anything, misses what came since")
    func firstUp() throws {
        let bench = try Bench()
        let since = bench.wall
        bench.wait(5000)
        try bench.restart(sessionLost: true)
        let gap = try #require(try gaps(bench).first)
        #expect(gap.reason == .sessionLost && gap.from == since && gap.to == bench.wall)
    }

    @Test("A session that is there but never had its subscriptions is a gap, also when another process finds it")
    func doubtfulSession() throws {
        let bench = try Bench()
        bench.result("t1")
        bench.wait(60_000)
        bench.disconnect()
        // The broker begins a session anew; the connection breaks before the subscriptions are there.
        bench.isSubscribed = false
        bench.dropsSubscriptions = true
        bench.give(.sessionLost)
        bench.connect()
        bench.disconnect()
        bench.dropsSubscriptions = false
        bench.wait(5000)
        try bench.restart()
        let found = try gaps(bench)
        #expect(found.map(\.reason) == [.sessionLost])
        #expect(found[0].to == bench.wall)
        #expect(bench.wall - (try #require(found[0].from)) >= 65_000)
        // Once stated it is over.
        bench.wait(20_000)
        try bench.restart()
        #expect(try gaps(bench).count == 1)
    }

    @Test("That a session was lost is stated after a full disk, and after the death of the process that knew it")
    func lateStatement() throws {
        let bench = try Bench()
        bench.result("t1")
        bench.wait(10_000)
        bench.disconnect()
        bench.files.room = 0
        bench.loseSession()
        bench.connect()
        #expect(try gaps(bench).allSatisfy { $0.reason == .notWritten })
        bench.files.room = nil
        bench.wait(30_000)
        #expect(try gaps(bench).filter { $0.reason == .sessionLost }.count == 1)
    }

    @Test("A lost session is not forgotten before the turn is over in which it was stated")
    func statedWithinATurn() throws {
        let bench = try Bench()
        bench.result("t1")
        bench.wait(10_000)
        bench.disconnect()
        bench.loseSession()
        bench.dropsSubscriptions = true
        bench.connect()
        bench.dropsSubscriptions = false
        let numbers = try #require(bench.published.last { $0.topic == "_sys/martlet1/metrics/monitor" })
        var effects: [ServiceEffect] = []
        let own = InboundMessage(topic: numbers.topic, payload: numbers.payload, retained: true)
        bench.core.handle(.message(own), at: bench.now, emitting: &effects)
        bench.core.handle(.wake, at: bench.now, emitting: &effects)
        let stated = effects.filter { if case .archive(.record) = $0 { true } else { false } }
        #expect(!stated.isEmpty)
        #expect(!effects.contains { if case .append = $0 { true } else { false } })
        bench.wait(1000)
        #expect(bench.core.session.since == nil)
    }

    @Test("What a full disk did not take is stated by the next process, when this one dies before it could")
    func unwrittenByTheDead() throws {
        let bench = try Bench()
        bench.result("t1")
        bench.wait(10_000)
        // Not even the reserve is left.
        try bench.files.remove("reserve")
        bench.files.room = 0
        let since = bench.wall
        bench.result("t2")
        bench.wait(5000)
        try bench.restart()
        bench.files.room = nil
        bench.wait(30_000)
        let found = try gaps(bench).filter { $0.reason == .notWritten }
        #expect(found.contains { $0.from == since && ($0.to ?? since) >= since + 5000 })
        try bench.restart()
        #expect(try gaps(bench).filter { $0.reason == .notWritten }.count == found.count)
    }

    @Test("Rolling numbers survive a restart: they are made again from the history")
    func window() throws {
        let bench = try Bench()
        for index in 1...20 {
            bench.result("t\(index)", index % 4 == 0 ? .failed : .success) { $0.cost = 10 }
            bench.wait(60_000)
        }
        let group = SummaryGroup(workspace: "main", by: .capability, name: "c")
        let before = try #require(bench.core.window.sum(group))
        #expect(before.count == 20)
        try bench.restart()
        #expect(bench.core.window.sum(group) == before)
        bench.wait(3_600_000)
        #expect(bench.core.window.sum(group) == nil)
        #expect(bench.retained["main/martlet1/summary/capability/c"] == nil)
    }

    @Test("Summaries of an earlier run about which nothing is known are cleared, and so are its alerts")
    func orphans() throws {
        let bench = try Bench()
        bench.retained["main/martlet1/summary/capability/gone"] = Array("{}".utf8)
        bench.retained["main/martlet1/alert/monitor.disk"] = Array("{}".utf8)
        bench.retained["main/martlet1/alert/scheduler.clock"] = Array("{}".utf8)
        bench.disconnect()
        bench.connect()
        #expect(bench.retained["main/martlet1/summary/capability/gone"] == nil)
        #expect(bench.retained["main/martlet1/alert/monitor.disk"] == nil)
        #expect(bench.retained["main/martlet1/alert/scheduler.clock"] != nil)
    }

    @Test("Thresholds raise alerts, with hysteresis, and clear them")
    func alerts() throws {
        let bench = try Bench {
            $0.successFloorPermille = 900
            $0.successFloorCount = 10
            $0.runCeilingMs = 1000
            $0.costCeiling = 500
        }
        for index in 1...10 { bench.result("t\(index)", index > 8 ? .failed : .success) { $0.cost = 60 } }
        bench.result("slow") {
            $0.capability = "d"
            $0.durationMs = 5000
        }
        bench.wait(11_000)
        func alert(_ key: String) throws -> Alert? {
            try bench.retained["main/martlet1/alert/\(key)"].map { try Alert(decoding: $0) }
        }
        #expect(try alert("monitor.success.c")?.count == 2)
        #expect(try alert("monitor.run.d") != nil)
        #expect(try alert("monitor.cost") != nil)
        for index in 11...19 { bench.result("t\(index)") }
        bench.wait(11_000)
        #expect(try alert("monitor.success.c") != nil)
        for index in 20...60 { bench.result("t\(index)") }
        bench.wait(11_000)
        #expect(try alert("monitor.success.c") == nil)
        bench.wait(3_700_000)
        #expect(bench.core.alerts.isEmpty)
        #expect(!bench.retained.keys.contains { $0.contains("/alert/") })
    }

    @Test("The Prometheus file has base units, counters by their suffix, and escaped labels")
    func prometheus() throws {
        let bench = try Bench { $0.prometheusFile = "/run/martlet.prom" }
        bench.result("t1") {
            $0.durationMs = 1500
            $0.cost = 7
        }
        bench.give(
            .message(
                InboundMessage(
                    topic: "_sys/martlet1/metrics/dispatcher",
                    payload: Array(#"{"oldest_queued_ms":2500,"grants_total":4}"#.utf8), retained: true)))
        bench.wait(11_000)
        let text = String(decoding: try #require(bench.files.exports["/run/martlet.prom"]), as: UTF8.self)
        for line in [
            #"martlet_results_total{workspace="main",capability="c",status="success"} 1"#,
            #"martlet_cost_micros_total{workspace="main",capability="c"} 7"#,
            #"martlet_window_run_seconds{workspace="main",capability="c",quantile="0.99"} 1.500"#,
            "martlet_dispatcher_oldest_queued_seconds 2.500", "martlet_dispatcher_grants_total 4",
            "# TYPE martlet_dispatcher_grants_total counter",
        ] { #expect(text.contains(line + "\n"), "\(line)") }
        #expect(text.hasSuffix("\n"))
    }

    @Test("A newer instance takes over; a stranger's word about the own record is put right")
    func instances() throws {
        let bench = try Bench()
        var record = ServiceRecord(state: .up, version: "1", term: 9, boot: "b9", since: bench.wall)
        let topic = "_sys/martlet1/service/monitor/monitor"
        record.state = .down
        bench.give(.message(InboundMessage(topic: topic, payload: record.encoded, retained: true)))
        #expect(bench.quits == 0)
        #expect(try ServiceRecord(decoding: try #require(bench.retained[topic])).boot == "b1")
        record.state = .up
        bench.give(.message(InboundMessage(topic: topic, payload: record.encoded, retained: true)))
        #expect(bench.quits == 1)
    }
}
