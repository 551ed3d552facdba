import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing

@testable import Console

/// Text that is meant for other people's terminals: escapes, controls of the second half, marks that turn the
/// direction. Every command that prints something from the bus shows it, and none obeys it.
@Suite(.serialized) struct TerminalTests {
    private static let escaped = #"\u001b]0;owned\u0007\u001b[2J\u009b31m\u202egnp.exe\u2028\u2066x\u2069\u200f\u061c"#
    private static let raw = "\u{9B}31m\u{202E}gnp\u{2028}\u{85}\u{2067}\u{200E}\u{FEFF}"

    /// Everything in which an executor, a publisher and an operator can put text of their own.
    private func sow(_ fleet: SecureFleet) async throws {
        let evil = Self.escaped
        let raw = Self.raw
        let base = "main/martlet1"
        let liar = try HandExecutor(fleet, "mallory", capability: "evil.thing")
        try liar.client.publish(
            "\(base)/executor/mallory/card",
            "{\"boot\":\"b1\",\"rev\":2,\"type\":\"\(evil)\",\"version\":\"\(raw)\",\"labels\":[\"agent:\(evil)\"],"
                + "\"capabilities\":[{\"name\":\"evil.thing\",\"version\":\"\(raw)\",\"actions\":[\"\(evil)\"]}]}",
            retain: true)
        let shop = try fleet.client("shop")
        try shop.subscribe("\(base)/update/shop/#", "\(base)/result/shop/#")
        for id in ["e", "e2"] {
            try shop.publish("\(base)/intent/shop/evil.thing/\(id)", #"{"retry":{"count":0}}"#)
            let work = try liar.assignment()
            try liar.report(
                work.task,
                "{\"epoch\":\(work.epoch),\"type\":\"progress\",\"percent\":1,\"message\":\"\(evil)\(raw)\"}")
            let error = "{\"code\":\"custom_fault\",\"message\":\"\(evil)\(raw)\"}"
            try liar.report(
                work.task,
                "{\"epoch\":\(work.epoch),\"type\":\"outcome\",\"status\":\"failed\",\"error\":\(error),"
                    + "\"output\":[\"\(evil)\(raw)\"]}")
            _ = try shop.wait("\(base)/result/shop/evil.thing/\(id)")
        }
        try shop.publish(
            "\(base)/intent/shop/evil.thing/waits", "{\"delay_ms\":600000,\"action\":\"\(evil)\",\"input\":\"\(evil)\"}"
        )
        let olga = try fleet.client("olga")
        let note =
            "\"note\":\"\(evil)\(raw)\",\"work\":{\"capability\":\"evil.thing\",\"input\":{\"\(evil)\":\"\(raw)\"}}"
        _ = try olga.reply(
            "schedule/put/s",
            "{\"type\":\"interval\",\"spec\":{\"every_ms\":600000},\"target\":{\"workspace_id\":\"main\",\"agent_id\":\"@any\"},\(note)}"
        )
        _ = try olga.reply(
            "check/put/k",
            "{\"type\":\"interval\",\"spec\":{\"every_ms\":600000},\"target\":{\"workspace_id\":\"main\",\"agent_id\":\"@any\"},\(note)}"
        )
        _ = try olga.reply("circuit/open/evil.thing", "{\"reason\":\"\(evil)\"}")
        _ = try olga.reply("capability/pause/evil.thing", "{\"reason\":\"\(evil)\"}")
        let stranger = try fleet.client(SecureFleet.tester)
        for topic in ["alert/evil", "notify/memory/evil", "event/ALERT/evil", "check/evil", "schedule/evil"] {
            try stranger.publish(
                "\(base)/\(topic)", "{\"severity\":\"warning\",\"text\":\"\(evil)\(raw)\",\"event\":\"\(evil)\"}",
                retain: true)
        }
    }

    /// The commands, as whom; the JSON form is text from the network too.
    private static let commands: [[String]] = [
        ["run", "evil.thing", "--id", "e", "--retry", "0"],
        ["publish", "evil.thing", "--id", "e2", "--retry", "0", "--wait"],
        ["task", "get", "e"], ["task", "list"], ["task", "list", "--dead"], ["explain", "e"], ["explain", "waits"],
        ["executor", "get", "mallory"], ["executor", "list"], ["capability", "get", "evil.thing"],
        ["capability", "list"],
        ["capability", "can_execute", "evil.thing"], ["circuit", "list"], ["circuit", "get", "evil.thing"],
        ["schedule", "list"], ["schedule", "get", "s"], ["schedule", "preview", "s"],
        ["schedule", "preview", evilArgument],
        ["check", "list"], ["check", "get", "k"], ["history", "query"], ["history", "get", "e"], ["history", "stats"],
        ["history", "cost"], ["health"], ["health", "--format", "nagios"], ["health", "executor", "mallory"],
        ["doctor"],
        ["top", "--once"], ["code", evilArgument], ["help", evilArgument], [evilArgument],
        ["task", "get", evilArgument],
        ["run", evilArgument], ["run", "evil.thing", "--dry-run"],
        ["context", "use", evilArgument], ["config", "check", evilArgument],
    ]
    private static let evilArgument = "e\u{1B}[2J\u{9B}31m\u{202E}x\u{2066}"

    @Test func textFromTheBusIsInertOnATerminal() async throws {
        try await SecureFleet.withServices(#"{"task_events":true}"#) { fleet, _ in
            try await sow(fleet)
            var shown = 0
            for words in Self.commands + Self.commands.map({ $0 + ["--json"] }) {
                let account = ["run", "publish"].contains(words[0]) ? "shop" : "olga"
                let outcome = try await fleet.console(words, as: account)
                let text = outcome.output + outcome.errors
                #expect(outcome.status != 124, "\(words)")
                shown += text.count
                let bad = text.unicodeScalars.filter { $0 != "\n" && Self.isActive($0) }
                #expect(bad.isEmpty, "\(words): \(bad.map { String($0.value, radix: 16) })")
            }
            #expect(shown > 10_000)
        }
    }

    /// What a terminal acts upon, or what turns or hides text.
    private static func isActive(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00..<0x20, 0x7F..<0xA0, 0x61C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF: true
        default: false
        }
    }
}
