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
        (nested(200), "invalid"), (nested(10_000), "invalid"), ([0], "invalid_json"),
        (Array("{}\u{0}".utf8), "invalid_json"),
        (Array(#"{"input":1e400,"deadline_ms":1e300}"#.utf8), "invalid"),
        (Array(#"{"cost":-1,"epoch":-1,"delay_ms":-1}"#.utf8), "invalid_field"),
        (
            Array("{\"input\":\"".utf8) + [UInt8](repeating: 0x41, count: 262_144) + Array("\"}".utf8),
            "payload_too_large"
        ),
        (Array(#"{"dedup_key":"\#(String(repeating: "k", count: 5000))"}"#.utf8), "invalid_field"),
    ]

    /// Objects in objects.
    private static func nested(_ depth: Int) -> [UInt8] {
        Array(String(repeating: #"{"input":"#, count: depth).utf8) + [0x31] + [UInt8](repeating: 0x7D, count: depth)
    }

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

    /// Every topic that an executor or a publisher may write, every noun and verb among them, for all four services.
    @Test func g18HostilePayloadsEndNobody() async throws {
        try await SecureFleet.withServices { fleet, _ in
            let liar = try HandExecutor(fleet, "mallory", capability: "x")
            let base = "main/martlet1"
            try liar.client.subscribe("\(base)/reply/mallory/#")
            let topics = [
                "executor/mallory/card", "executor/mallory/status", "report/mallory/t", "beat/mallory",
                "claim/mallory/1",
            ]
            for (number, payload) in Self.payloads.enumerated() {
                for topic in topics {
                    try liar.client.publish("\(base)/\(topic)", payload.bytes, retain: topic.hasPrefix("exec"))
                }
                for noun in Noun.allCases {
                    for verb in noun.verbs {
                        let rest = "mallory/\(noun.rawValue)/\(verb)/h-\(number)"
                        try liar.client.publish("\(base)/command/\(rest)", payload.bytes)
                        let reply = try liar.client.wait("\(base)/reply/\(rest)").text
                        // What is JSON may be no mistake for a verb that does not know the field.
                        let mayBeFine = payload.code == "invalid_field"
                        #expect(
                            reply.contains("\"ok\":false") && reply.contains("\"code\"")
                                || mayBeFine && reply.contains("\"ok\":true"), "\(noun) \(verb) \(number): \(reply)")
                    }
                }
            }
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

}
