import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing
import TimeModel

@testable import Console

/// What a lying executor can say under its own name, and accounts that are taken away.
@Suite(.serialized) struct ExecutorAttackTests {
    @Test func g06StaleAndForgedOutcomesChangeNothing() async throws {
        try await SecureFleet.withDispatcher { fleet, _ in
            let owner = try HandExecutor(fleet, "label-1", capability: "print.label")
            let spy = try fleet.client(SecureFleet.tester)
            try spy.subscribe("main/martlet1/event/#", "main/martlet1/result/#")
            let shop = try fleet.client("shop")
            try shop.subscribe("main/martlet1/result/shop/#")
            try shop.publish("main/martlet1/intent/shop/print.label/j", "{}")
            let work = try owner.assignment()
            let liar = try HandExecutor(fleet, "mallory", capability: "other.thing")
            let forged = #""type":"outcome","status":"success","output":"forged""#
            for (task, epoch) in [
                ("j", work.epoch), ("j", work.epoch - 1), ("j", work.epoch + 1), ("j", 9_000_000), ("unknown", 1),
            ] {
                try liar.report(task, "{\"epoch\":\(epoch),\(forged)}")
                _ = try spy.wait("main/martlet1/event/TASK_STALE_RESULT/")
            }
            try owner.report("j", "{\"epoch\":\(work.epoch + 1),\(forged)}")
            _ = try spy.wait("main/martlet1/event/TASK_STALE_RESULT/")
            try owner.report("j", "{\"epoch\":\(work.epoch),\"type\":\"accept\"}")
            try owner.succeed(work)
            let result = try shop.wait("main/martlet1/result/shop/print.label/j").text
            #expect(result.contains("\"success\"") && !result.contains("forged"))
            try owner.report("j", "{\"epoch\":\(work.epoch - 1),\(forged)}")
            try liar.report("j", "{\"epoch\":\(work.epoch),\(forged)}")
            _ = try spy.wait("main/martlet1/event/TASK_STALE_RESULT/")
            let state = try fleet.client("olga").reply("task/get/j", #"{"principal":"shop"}"#)
            #expect(!state.contains("forged"))
        }
    }

    @Test func liesOnCardsAndInReportsAreRefused() async throws {
        try await SecureFleet.withDispatcher { fleet, _ in
            let liar = try HandExecutor(fleet, "mallory", capability: "honest.work")
            let base = "main/martlet1"
            let many = (0..<257).map { "{\"name\":\"c\($0)\"}" }.joined(separator: ",")
            for (rev, card) in [
                #""capabilities":[{"name":"a","cost":{"fixed":-1}}]"#, "\"capabilities\":[\(many)]",
                #""capabilities":[{"name":"plan"}]"#, #""capabilities":[{"name":"a/b"}]"#,
                #""slots":1000000000,"capabilities":[]"#,
            ].enumerated() {
                try liar.client.publish(
                    "\(base)/executor/mallory/card", "{\"boot\":\"b1\",\"rev\":\(rev + 2),\(card)}", retain: true)
                _ = try liar.client.wait("\(base)/work/_/mallory", containing: "\"error\"")
            }
            let shop = try fleet.client("shop")
            try shop.subscribe("\(base)/result/shop/#")
            try shop.publish("\(base)/intent/shop/honest.work/k", #"{"retry":{"count":0}}"#)
            let work = try liar.assignment()
            try liar.report("k", "{\"epoch\":\(work.epoch),\"type\":\"outcome\",\"status\":\"success\",\"cost\":-1}")
            _ = try liar.client.wait("\(base)/work/_/mallory", containing: "invalid_field")
            try liar.report("k", "{\"epoch\":\(work.epoch),\"type\":\"outcome\",\"status\":\"partial\"}")
            _ = try liar.client.wait("\(base)/work/_/mallory", containing: "invalid_field")
            try liar.succeed(work)
            #expect(try shop.wait("\(base)/result/shop/honest.work/k").text.contains("\"success\""))
            #expect(try shop.result(of: "c0", id: "none").contains("unknown_capability"))
        }
    }

    /// A capability that is not on its card: neither a claim nor a report gets such a task.
    @Test func workThatIsNotOnTheCardIsNotGivenOut() async throws {
        try await SecureFleet.withDispatcher { fleet, _ in
            let owner = try HandExecutor(fleet, "label-1", capability: "secret.work")
            let liar = try HandExecutor(fleet, "mallory", capability: "other.thing")
            let shop = try fleet.client("shop")
            try shop.subscribe("main/martlet1/result/shop/#")
            try liar.client.subscribe("main/martlet1/grant/mallory/#")
            for slot in 1...3 {
                try liar.client.publish(
                    "main/martlet1/claim/mallory/\(slot)",
                    "{\"boot\":\"b1\",\"capabilities\":[\"secret.work\"],\"wait_ms\":\(slot == 1 ? 0 : 500)}")
            }
            try shop.publish("main/martlet1/intent/shop/secret.work/s", "{}")
            let work = try owner.assignment()
            for _ in 1...3 {
                let grant = try liar.client.wait("main/martlet1/grant/mallory/").text
                #expect(grant.contains("\"none\":true") && !grant.contains("secret.work"), "\(grant)")
            }
            try liar.report("s", "{\"epoch\":\(work.epoch),\"type\":\"accept\"}")
            _ = try liar.client.wait("main/martlet1/work/", containing: "revoke")
            try owner.succeed(work)
            #expect(try shop.wait("main/martlet1/result/shop/secret.work/s").text.contains("\"label-1\""))
        }
    }

    /// Beats that claim the leases of others, and a storm of progress, neither take a lease nor grow the dispatcher.
    @Test func g18AStormOfReportsStaysWithinBounds() async throws {
        try await SecureFleet.withDispatcher { fleet, dispatcher in
            let owner = try HandExecutor(fleet, "label-1", capability: "print.label")
            let shop = try fleet.client("shop")
            try shop.subscribe("main/martlet1/result/shop/#")
            try shop.publish("main/martlet1/intent/shop/print.label/s", "{}")
            let work = try owner.assignment()
            try owner.report("s", "{\"epoch\":\(work.epoch),\"type\":\"accept\"}")
            let liar = try HandExecutor(fleet, "mallory", capability: "other.thing")
            let before = try residentKilobytes(dispatcher)
            let text = String(repeating: "x", count: 4000)
            let progress = "{\"epoch\":\(work.epoch),\"type\":\"progress\",\"percent\":1,\"message\":\"\(text)\"}"
            for number in 0..<10_000 {
                try flood(liar.client, "main/martlet1/report/mallory/s", progress)
                try flood(owner.client, "main/martlet1/report/label-1/s", progress)
                if number % 100 == 0 {
                    try flood(
                        liar.client, "main/martlet1/beat/mallory",
                        "{\"boot\":\"b1\",\"seq\":\(number + 2),\"leases\":[[\"s\",\(work.epoch)]]}")
                }
            }
            // What overflows the dispatcher's queue in the broker is dropped: an outcome is repeated until it counts.
            var result: InboundMessage?
            let deadline = SystemClock.monotonic + 60_000
            while result == nil, SystemClock.monotonic < deadline {
                try owner.succeed(work)
                result = try? shop.wait("main/martlet1/result/shop/print.label/s", seconds: 1)
            }
            #expect(result?.text.contains("\"label-1\"") == true)
            let after = try residentKilobytes(dispatcher)
            #expect(after < before + 100_000, "\(before) KB became \(after) KB")
        }
    }

    @Test func g24AFloodOfOnePrincipalLeavesRoomForOthers() async throws {
        let section = #"{"limits":{"tasks_per_owner":500},"rates":[{"owner":"mallory","per_s":200,"burst":200}]}"#
        try await SecureFleet.withDispatcher(section) { fleet, dispatcher in
            let label = try HandExecutor(fleet, "label-1", capability: "print.label")
            let mallory = try fleet.client("mallory")
            try mallory.subscribe("main/martlet1/result/mallory/#")
            for number in 0..<10_000 {
                try flood(mallory, "main/martlet1/intent/mallory/other.thing/f-\(number)", "{}")
                if number % 2 == 0 { try flood(mallory, "main/martlet1/intent/mallory/print.label/g-\(number)", "{}") }
            }
            let shop = try fleet.client("shop")
            try shop.subscribe("main/martlet1/result/shop/#")
            try shop.publish("main/martlet1/intent/shop/print.label/urgent", #"{"priority":"high"}"#)
            var done = 0
            var work = try label.assignment()
            while work.task != "urgent", done < 1000 {
                try label.succeed(work)
                done += 1
                work = try label.assignment()
            }
            try label.succeed(work)
            #expect(try shop.wait("main/martlet1/result/shop/print.label/urgent").text.contains("\"success\""))
            let codes = Set(
                drain(mallory).compactMap { text in
                    ["rate_limited", "busy", "unknown_capability", "limit_reached"].first { text.contains($0) }
                })
            #expect(codes.contains("rate_limited") || codes.contains("busy"), "\(codes)")
            #expect(try residentKilobytes(dispatcher) < 300_000)
        }
    }

    /// The same by a whole workspace that has a quota: others do not notice.
    @Test func g24AFloodOfOneWorkspaceLeavesRoomForOthers() async throws {
        let section = #"{"quotas":{"*":{"tasks":300}},"rates":[{"workspace":"*","per_s":400,"burst":400}]}"#
        try await SecureFleet.withDispatcher(section) { fleet, dispatcher in
            let eve = try fleet.client("eve")
            let base = "other/martlet1"
            try eve.publish(
                "\(base)/executor/eve/card",
                #"{"boot":"b1","rev":1,"slots":1,"modes":["pull"],"capabilities":[{"name":"evil.work"}]}"#, retain: true
            )
            try eve.subscribe("\(base)/result/eve/#")
            for number in 0..<10_000 { try flood(eve, "\(base)/intent/eve/evil.work/f-\(number)", "{}") }
            let label = try HandExecutor(fleet, "label-1", capability: "print.label")
            let shop = try fleet.client("shop")
            try shop.subscribe("main/martlet1/result/shop/#")
            try shop.publish("main/martlet1/intent/shop/print.label/urgent", "{}")
            try label.succeed(label.assignment())
            #expect(try shop.wait("main/martlet1/result/shop/print.label/urgent").text.contains("\"success\""))
            let codes = Set(
                drain(eve).compactMap { text in ["rate_limited", "busy"].first { text.contains($0) } })
            #expect(codes == ["rate_limited", "busy"] || codes == ["rate_limited"], "\(codes)")
            #expect(try residentKilobytes(dispatcher) < 300_000)
        }
    }

    @Test func aRemovedAccountIsCutOffAndItsLeasesGo() async throws {
        try await SecureFleet.withDispatcher { fleet, _ in
            let first = try HandExecutor(fleet, "label-1", capability: "print.label", leaseMs: 2000)
            let shop = try fleet.client("shop")
            try shop.subscribe("main/martlet1/result/shop/#")
            try shop.publish("main/martlet1/intent/shop/print.label/v", "{}")
            let work = try first.assignment()
            try first.report("v", "{\"epoch\":\(work.epoch),\"type\":\"accept\"}")
            let second = try HandExecutor(fleet, "label-2", capability: "print.label")
            let spy = try fleet.client("olga")
            try spy.subscribe("main/martlet1/event/#")
            let folder = ["--dir", fleet.brokerFolder.path]
            let removed = try await fleet.martlet(["broker", "account", "remove", "label-1"] + folder)
            #expect(removed.status == 0 && removed.errors.contains("reads its accounts again"), "\(removed.errors)")
            let again = try second.assignment()
            #expect(again.task == "v" && again.epoch > work.epoch)
            try second.succeed(again)
            #expect(try shop.wait("main/martlet1/result/shop/print.label/v").text.contains("\"label-2\""))
            #expect(throws: ClientError.self) { try first.client.publish("main/martlet1/beat/label-1", "{}") }
            #expect(throws: (any Error).self) { try fleet.client("label-1") }
            #expect(shop.session.isConnected, "others keep their sessions")
        }
    }

    private func flood(_ client: Client, _ topic: String, _ payload: String) throws {
        let message = OutboundMessage(topic: topic, payload: Array(payload.utf8))
        while (try? client.session.post(message)) == nil { client.session.pump() }
        if client.session.unacknowledged > 500 { client.session.pump() }
    }

    private func drain(_ client: Client) -> [String] {
        var texts: [String] = []
        while let message = client.session.nextMessage(timeoutMs: 1000) { texts.append(message.text) }
        return texts
    }

    private func residentKilobytes(_ program: ProgramFixture) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(program.processID)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(Int(line.filter(\.isNumber)))
    }
}
