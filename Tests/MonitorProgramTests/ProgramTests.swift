import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing
import TimeModel
import Wire

/// The real monitor at a real broker: what publishers saw is what the history holds.
@Suite(.serialized) struct MonitorProgramTests {
    private func start(_ broker: TestBroker, _ folder: TemporaryFolder) throws -> ProgramFixture {
        let settings = try folder.write("martlet.json", #"{"monitor":{"operators":["ops"],"segment_records":100}}"#)
        return try ProgramFixture(
            "martlet-monitor",
            [
                "--broker", broker.address.description, "--state-directory", folder.path + "/state", "--config",
                settings, "--prometheus-file", folder.path + "/martlet.prom",
            ])
    }

    private func result(_ id: String, at ms: Int) -> OutboundMessage {
        var result = TaskResult(task: id, status: .success, finishedAt: WallTime(milliseconds: 1_795_132_800_000 + ms))
        result.executor = "e1"
        (result.queuedMs, result.durationMs, result.cost) = (1, 5, 2)
        let topic = Topic("main", .result(principal: "alice", capability: "c", id: id))
        return OutboundMessage(topic: topic.name, payload: result.encoded)
    }

    /// Asks until there is an answer, for the monitor may be away just then.
    private func ask(_ session: ClientSession, _ verb: String, _ payload: String, id: String) throws -> JSONValue {
        let end = SystemClock.monotonic + 30_000
        while SystemClock.monotonic < end {
            let command = Topic("main", .command(principal: "ops", noun: "history", verb: verb, id: id))
            try session.publish(OutboundMessage(topic: command.name, payload: Array(payload.utf8)), timeoutMs: 5000)
            let soon = SystemClock.monotonic + 2000
            while let message = session.nextMessage(timeoutMs: max(1, soon - SystemClock.monotonic)) {
                guard message.topic == "main/martlet1/reply/ops/history/\(verb)/\(id)" else { continue }
                let reply = try Reply(decoding: message.payload)
                if let data = reply.data { return JSONValue(data) }
            }
        }
        throw NoAnswer()
    }

    private struct NoAnswer: Error {}

    private func subjects(_ session: ClientSession, _ tag: String) throws -> [String] {
        var found: [String] = []
        var after: String?
        repeat {
            let cursor = after.map { #","after":"\#($0)""# } ?? ""
            let data = try ask(
                session, "query", #"{"record":"result","limit":1000\#(cursor)}"#, id: "q\(tag)\(found.count)")
            if case .array(let items)? = data["items"] { found += items.compactMap { $0["subject"]?.stringValue } }
            after = data["after"]?.stringValue
        } while after != nil
        return found
    }

    private func awaitUp(_ session: ClientSession, boot: String?) throws -> String {
        let end = SystemClock.monotonic + 20_000
        while let message = session.nextMessage(timeoutMs: max(1, end - SystemClock.monotonic)) {
            guard message.topic == "_sys/martlet1/service/monitor/monitor",
                let record = try? ServiceRecord(decoding: message.payload), record.state == .up, record.boot != boot
            else { continue }
            return record.boot
        }
        throw NoAnswer()
    }

    @Test func killedAgainAndAgainUnderLoadItHoldsWhatPublishersSawEachOnce() async throws {
        let broker = try TestBroker([
            "allow_anonymous true", "max_queued_messages 100000", "max_inflight_messages 100", "persistence false",
        ])
        let folder = try TemporaryFolder()
        let session = try broker.session("ops")
        try session.subscribe(
            [
                Subscription(filter: "_sys/martlet1/service/monitor/+", wantsRetained: true),
                Subscription(filter: "main/martlet1/reply/ops/#", wantsRetained: false),
            ], timeoutMs: 5000)
        var program = try start(broker, folder)
        var boot = try awaitUp(session, boot: nil)
        let publisher = try broker.session("dispatcher")
        var sent: [String] = []
        for round in 0..<5 {
            // Who answers has its subscriptions: what is sent from now on waits in its session.
            _ = try ask(session, "stats", "{}", id: "ready\(round)")
            for index in 0..<150 {
                let id = "t\(round)-\(index)"
                try publisher.publish(result(id, at: round * 1000 + index), timeoutMs: 5000)
                sent.append(id)
                if index == 40 + round * 20 { await program.end(SIGKILL) }
            }
            program = try start(broker, folder)
            boot = try awaitUp(session, boot: boot)
        }
        // The order in which they arrive is the publisher's, so the last one tells that all are there.
        #expect(
            try await Await.condition { try subjects(session, "w\(UInt32.random(in: 0...9999))").first == sent.last })
        let found = try subjects(session, "end")
        #expect(found.count == sent.count)
        #expect(found == sent.reversed())
        let gaps = try ask(session, "query", #"{"record":"gap"}"#, id: "gaps")
        #expect(gaps["items"] == .array([]))
        let total = try ask(session, "stats", "{}", id: "s")["total"]
        #expect(total?["count"]?.intValue == sent.count)
        #expect(total?["cost"]?.intValue == sent.count * 2)
        #expect(await program.end() == 0)
        try checkFiles(folder.path + "/state/history", sent)
    }

    /// Every line of the data files is JSON that stands by itself.
    private func checkFiles(_ path: String, _ sent: [String]) throws {
        var subjects: [String] = []
        for name in try FileManager.default.contentsOfDirectory(atPath: path).sorted() where name.hasSuffix(".jsonl") {
            for line in try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8).split(separator: "\n") {
                let value = JSONValue(try RawJSON(validating: Array(line.utf8)))
                #expect(value["crc"]?.stringValue?.utf8.count == 8)
                if value["record"]?.stringValue == "result" { subjects.append(value["subject"]?.stringValue ?? "") }
            }
        }
        #expect(subjects == sent)
    }

    @Test func aBrokerThatForgetsItsSessionIsAGapAndItGoesOn() async throws {
        let broker = try TestBroker(["allow_anonymous true", "persistence false"])
        let folder = try TemporaryFolder()
        var session = try broker.session("ops")
        let filters = [
            Subscription(filter: "_sys/martlet1/service/monitor/+", wantsRetained: true),
            Subscription(filter: "main/martlet1/reply/ops/#", wantsRetained: false),
        ]
        try session.subscribe(filters, timeoutMs: 5000)
        let program = try start(broker, folder)
        _ = try awaitUp(session, boot: nil)
        try session.publish(result("t1", at: 0), timeoutMs: 5000)
        #expect(try await Await.condition { try subjects(session, "a\(UInt32.random(in: 0...9999))") == ["t1"] })
        broker.kill(SIGKILL)
        try broker.start()
        session = try broker.session("ops")
        try session.subscribe(filters, timeoutMs: 5000)
        _ = try awaitUp(session, boot: nil)
        try session.publish(result("t2", at: 1), timeoutMs: 5000)
        #expect(try await Await.condition { try subjects(session, "b\(UInt32.random(in: 0...9999))") == ["t2", "t1"] })
        let gaps = try ask(session, "query", #"{"record":"gap"}"#, id: "gaps")
        guard case .array(let items)? = gaps["items"] else {
            Issue.record("no items")
            return
        }
        #expect(items.map { $0["code"]?.stringValue } == ["session_lost"])
        #expect(try await Await.condition { FileManager.default.fileExists(atPath: folder.path + "/martlet.prom") })
        #expect(await program.end() == 0)
    }
}
