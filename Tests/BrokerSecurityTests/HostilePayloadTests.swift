import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing

@testable import Console

/// Bytes that are meant to hurt, on every topic somebody may write; and text that is meant for other people's terminals.
@Suite(.serialized) struct HostilePayloadTests {
    /// Payloads that no message of the contract is, with the code an intent gets for them.
    private static let payloads: [(bytes: [UInt8], code: String)] = [
        (Array("{".utf8), "invalid_json"), (Array("[]".utf8), "invalid_field"), (Array("null".utf8), "invalid_field"),
        ([0xFF, 0xFE, 0x00], "invalid_json"), (Array("{\"input\":\"\u{0}\"}".utf8), "invalid_json"),
        (Array(#"{"input":"\ud800"}"#.utf8), "invalid_json"), ([0x22, 0xC0, 0x80, 0x22], "invalid_json"),
        (Array(#"{"input":NaN}"#.utf8), "invalid_json"), (Array(#"{"timeout_ms":1e300}"#.utf8), "invalid"),
        (Array(#"{"priority":"high","priority":"low"}"#.utf8), "invalid"),
        (Array(#"{"timeout_ms":"soon"}"#.utf8), "invalid_field"), (Array(#"{"retry":[]}"#.utf8), "invalid_field"),
        (Array(#"{"requires":{"a":1}}"#.utf8), "invalid_field"), (Array(#"{"delay_ms":-1}"#.utf8), "invalid_field"),
        (Array("{\"input\":".utf8) + [UInt8](repeating: 0x5B, count: 10_000), "invalid"),
        (
            Array("{\"input\":\"".utf8) + [UInt8](repeating: 0x41, count: 262_144) + Array("\"}".utf8),
            "payload_too_large"
        ),
        (Array(#"{"dedup_key":"\#(String(repeating: "k", count: 5000))"}"#.utf8), "invalid_field"),
    ]

    @Test func g18HostileIntentsGetACode() async throws {
        try await SecureFleet.withDispatcher { fleet, _ in
            let mallory = try fleet.client("mallory")
            try mallory.subscribe("main/martlet1/result/mallory/#")
            for (number, payload) in Self.payloads.enumerated() {
                try mallory.publish("main/martlet1/intent/mallory/print.label/h-\(number)", payload.bytes)
                let result = try mallory.wait("main/martlet1/result/mallory/print.label/h-\(number)").text
                #expect(result.contains("\"rejected\"") && result.contains(payload.code), "\(number): \(result)")
            }
        }
    }

    @Test func g18HostilePayloadsEndNobody() async throws {
        try await SecureFleet.withDispatcher { fleet, dispatcher in
            let scheduler = try fleet.start("scheduler")
            try fleet.waitUntilUp("scheduler", scheduler)
            let liar = try HandExecutor(fleet, "mallory", capability: "x")
            let base = "main/martlet1"
            try liar.client.subscribe("\(base)/reply/mallory/#")
            let topics = [
                "executor/mallory/card", "executor/mallory/status", "report/mallory/t", "beat/mallory",
                "claim/mallory/1",
            ]
            let commands = ["task/get", "task/cancel", "schedule/put", "schedule/preview", "capability/can_execute"]
            for (number, payload) in Self.payloads.enumerated() {
                for topic in topics {
                    try liar.client.publish("\(base)/\(topic)", payload.bytes, retain: topic.hasPrefix("exec"))
                }
                for command in commands {
                    try liar.client.publish("\(base)/command/mallory/\(command)/h-\(number)", payload.bytes)
                    let reply = try liar.client.wait("\(base)/reply/mallory/\(command)/h-\(number)").text
                    #expect(
                        reply.contains("\"ok\":false") && reply.contains("\"code\""), "\(command) \(number): \(reply)")
                }
            }
            #expect(dispatcher.isRunning && scheduler.isRunning)
            #expect(await scheduler.end() == 0)
        }
    }

    /// Names that are none: refused with a code where an answer is possible, passed over else.
    @Test func g18HostileNamesEndNobody() async throws {
        try await SecureFleet.withDispatcher { fleet, dispatcher in
            let mallory = try fleet.client("mallory")
            try mallory.subscribe("main/martlet1/result/mallory/#")
            let long = String(repeating: "n", count: 65)
            for (number, capability) in ["a b", "$SYS", "é", long, "..", "-x", "a\u{202E}b"].enumerated() {
                let rest = "mallory/\(capability)/n-\(number)"
                try mallory.publish("main/martlet1/intent/\(rest)", "{}")
                #expect(try mallory.wait("main/martlet1/result/\(rest)").text.contains("invalid_name"), "\(capability)")
            }
            let deep = "main/martlet1/intent/mallory/" + Array(repeating: "l", count: 190).joined(separator: "/")
            for topic in [
                deep, "main/martlet1/intent/mallory//x", "main/martlet1/intent/mallory/",
                "main/martlet1/command/mallory/task/get/",
            ] {
                try mallory.publish(topic, "{}")
            }
            for wildcard in ["main/martlet1/intent/mallory/+/1", "main/martlet1/intent/mallory/#"] {
                #expect(throws: (any Error).self) { try mallory.publish(wildcard, "{}") }
            }
            #expect(try fleet.client("shop").result(of: "nothing", id: "alive").contains("unknown_capability"))
            #expect(dispatcher.isRunning)
        }
    }

    /// More than the broker takes: the sender is put out, nobody else.
    @Test func anOversizePacketEndsItsSender() async throws {
        try await SecureFleet.withDispatcher { fleet, _ in
            let file = try fleet.folder.write("big", String(repeating: "x", count: 1_048_577))
            let words = ["mosquitto_pub", "-V", "311", "-t", "main/martlet1/intent/mallory/c/big", "-f", file]
            #expect(try await fleet.mosquitto(words, as: "mallory").status != 0)
            #expect(try fleet.client("shop").result(of: "nothing", id: "alive").contains("unknown_capability"))
        }
    }

    /// Terminal escapes, controls of the second half, and marks that turn the direction: shown, never obeyed.
    @Test func textFromTheBusIsInertOnATerminal() async throws {
        try await SecureFleet.withDispatcher(#"{"task_events":true}"#) { fleet, _ in
            let evil = #"\u001b]0;owned\u0007\u001b[2J\u009b31m\u202egnp.exe\u2028"#
            let raw = "\u{9B}31m\u{202E}gnp\u{2028}\u{85}"
            let liar = try HandExecutor(fleet, "mallory", capability: "evil.thing")
            try liar.client.publish(
                "main/martlet1/executor/mallory/card",
                "{\"boot\":\"b1\",\"rev\":2,\"type\":\"\(evil)\",\"version\":\"\(raw)\",\"labels\":[\"agent:\(evil)\"],"
                    + "\"capabilities\":[{\"name\":\"evil.thing\",\"version\":\"\(raw)\",\"actions\":[\"\(evil)\"]}]}",
                retain: true)
            let shop = try fleet.client("shop")
            try shop.subscribe("main/martlet1/update/shop/#", "main/martlet1/result/shop/#")
            try shop.publish("main/martlet1/intent/shop/evil.thing/e", #"{"retry":{"count":0}}"#)
            let work = try liar.assignment()
            let error = "{\"code\":\"custom_fault\",\"message\":\"\(evil)\(raw)\"}"
            try liar.report(
                work.task,
                "{\"epoch\":\(work.epoch),\"type\":\"outcome\",\"status\":\"failed\",\"error\":\(error),"
                    + "\"output\":[\"\(evil)\(raw)\"]}")
            _ = try shop.wait("main/martlet1/result/shop/evil.thing/e")
            var shown = 0
            for words in [
                ["run", "evil.thing", "--id", "e", "--retry", "0"], ["task", "get", "e"], ["task", "list"],
                ["task", "list", "--dead"], ["explain", "e"],
                ["executor", "get", "mallory"], ["executor", "list"], ["capability", "get", "evil.thing"],
                ["capability", "list"], ["top", "--once"], ["task", "get", "e", "--json"],
                ["executor", "get", "mallory", "--json"],
            ] {
                let outcome = try await fleet.console(words, as: words[0] == "run" ? "shop" : "olga")
                let text = outcome.output + outcome.errors
                shown += text.count
                let bad = text.unicodeScalars.filter { scalar in
                    scalar != "\n"
                        && (scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
                            || (0x202A...0x202E).contains(scalar.value) || scalar.value == 0x2028)
                }
                #expect(bad.isEmpty, "\(words): \(bad.map { String($0.value, radix: 16) })")
            }
            #expect(shown > 1000)
        }
    }
}
