import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing

@testable import Console

/// Every role on every topic, against a real broker with the shipped rights. What is expected stands here a second time,
/// by hand, as the page `topics/broker.md` has it.
@Suite(.serialized) struct RightsTests {
    /// A concrete topic, and what it is in the table of roles.
    struct Place: Hashable {
        /// The row.
        var row: String
        /// The topic.
        var topic: String
        /// Whether its workspace is the one of the accounts.
        var isHome: Bool
        /// Whether the identity in it is the account's own.
        var isOwn: Bool
    }

    /// A role's rows: written and read with one's own name, and with any name.
    struct Rows {
        var writesOwn: Set<String> = []
        var writesAny: Set<String> = []
        var readsOwn: Set<String> = []
        var readsAny: Set<String> = []
        /// Services see every workspace.
        var isService = false

        static func + (a: Rows, b: Rows) -> Rows {
            Rows(
                writesOwn: a.writesOwn.union(b.writesOwn), writesAny: a.writesAny.union(b.writesAny),
                readsOwn: a.readsOwn.union(b.readsOwn), readsAny: a.readsAny.union(b.readsAny),
                isService: a.isService || b.isService)
        }
    }

    private static let nouns = ["task", "capability", "circuit", "executor", "schedule", "check", "history"]
    private static let views: Set = [
        "card", "status", "offer", "capability", "circuit", "pair", "schedule", "check", "liveness", "alert", "notify",
        "summary",
    ]
    private static let services = ["dispatcher", "scheduler", "heartbeat", "monitor"]
    private static let systemRows = services.flatMap { ["_record.\($0)", "_metrics.\($0)"] }
    private static let everything = Set(places("main", "x", isHome: true, isOwn: true).map(\.row))
    private static let publisher = Rows(
        writesOwn: Set(["intent"] + nouns.map { "command.\($0)" }),
        readsOwn: Set(["update", "result"] + nouns.map { "reply.\($0)" }))
    private static let executor =
        publisher
        + Rows(
            writesOwn: ["card", "status", "report", "claim", "beat"], readsOwn: ["work", "grant"], readsAny: ["offer"])

    private static func service(_ name: String, _ nouns: String...) -> Rows {
        Rows(
            writesAny: Set(
                ["event", "alert", "notify", "_record.\(name)", "_metrics.\(name)"]
                    + nouns.flatMap { ["command.\($0)", "reply.\($0)"] }),
            readsAny: Set(
                ["alert"] + systemRows + nouns.map { "command.\($0)" }), isService: true)
    }

    /// The table by account of the fleet.
    private static let table: [String: Rows] = [
        "shop": publisher, "mallory": executor, "vera": Rows(readsAny: views),
        "olga": publisher
            + Rows(
                readsAny: views.union(["event", "log", "dead"]).union(systemRows)),
        "dispatcher": service("dispatcher", "task", "capability", "circuit", "executor")
            + Rows(
                writesAny: [
                    "update", "result", "work", "offer", "grant", "capability", "circuit", "pair", "log", "dead",
                    "intent", "claim", "report", "beat",
                ],
                readsAny: [
                    "intent", "card", "status", "claim", "report", "beat", "liveness", "capability", "circuit",
                    "pair", "offer",
                ]),
        "scheduler": service("scheduler", "schedule")
            + Rows(
                writesOwn: ["intent"], writesAny: ["schedule"], readsOwn: ["result", "update"],
                readsAny: ["schedule", "status", "liveness"]),
        "heartbeat": service("heartbeat", "check")
            + Rows(
                writesOwn: ["intent"], writesAny: ["check", "liveness"], readsOwn: ["result", "update"],
                readsAny: ["check", "liveness", "card", "status", "beat"]),
        "monitor": service("monitor", "history") + Rows(writesAny: ["summary"], readsAny: everything),
    ]

    /// Every kind of topic, for one workspace and one name.
    private static func places(_ workspace: String, _ name: String, isHome: Bool, isOwn: Bool) -> [Place] {
        let base = "\(workspace)/martlet1"
        var rows: [(String, String)] = [
            ("intent", "intent/\(name)/c/1"), ("update", "update/\(name)/c/1"), ("result", "result/\(name)/c/1"),
            ("card", "executor/\(name)/card"), ("status", "executor/\(name)/status"), ("work", "work/c/\(name)"),
            ("offer", "offer/c"), ("claim", "claim/\(name)/1"), ("grant", "grant/\(name)/1"),
            ("report", "report/\(name)/1"), ("beat", "beat/\(name)"), ("capability", "capability/c"),
            ("circuit", "circuit/c"), ("pair", "circuit/c/\(name)"), ("schedule", "schedule/s"), ("check", "check/k"),
            ("liveness", "liveness/\(name)"), ("alert", "alert/k"), ("event", "event/E/k"), ("log", "log/r/step"),
            ("dead", "dead/c/1"), ("notify", "notify/memory/k"), ("summary", "summary/capability/c"),
            ("unknown", "nothing/\(name)/1"),
        ]
        for noun in nouns {
            rows.append(("command.\(noun)", "command/\(name)/\(noun)/get/1"))
            rows.append(("reply.\(noun)", "reply/\(name)/\(noun)/get/1"))
        }
        return rows.map { Place(row: $0.0, topic: "\(base)/\($0.1)", isHome: isHome, isOwn: isOwn) }
    }

    /// What belongs to no workspace.
    private static let system: [Place] =
        services.flatMap { name in
            [
                Place(row: "_record.\(name)", topic: "_sys/martlet1/service/\(name)/i", isHome: true, isOwn: false),
                Place(row: "_metrics.\(name)", topic: "_sys/martlet1/metrics/\(name)", isHome: true, isOwn: false),
            ]
        } + [
            Place(row: "stray", topic: "main", isHome: true, isOwn: true),
            Place(row: "stray", topic: "main/martlet2/intent/shop/c/1", isHome: true, isOwn: true),
            Place(row: "stray", topic: "main/other/x", isHome: true, isOwn: true),
        ]

    private static func all(for account: String) -> [Place] {
        places("main", account, isHome: true, isOwn: true)
            + places("main", "label-1", isHome: true, isOwn: false)
            + places("other", account, isHome: false, isOwn: true)
            + places("other", "label-1", isHome: false, isOwn: false) + system
    }

    private static func expects(_ own: Set<String>, _ any: Set<String>, _ rows: Rows, _ place: Place) -> Bool {
        guard place.isHome || rows.isService else { return false }
        return any.contains(place.row) || (place.isOwn && own.contains(place.row))
    }

    @Test func g17EveryRoleWritesItsRowsAndNoOthers() async throws {
        try await SecureFleet.run { fleet in
            let spy = try fleet.client(SecureFleet.tester)
            try spy.subscribe("#")
            for (account, rows) in Self.table.sorted(by: { $0.key < $1.key }) {
                let client = try fleet.client(account)
                var expected: Set<String> = []
                for place in Self.all(for: account) {
                    let allowed = Self.expects(rows.writesOwn, rows.writesAny, rows, place)
                    if allowed { expected.insert(place.topic) }
                    #expect(try client.isRefused(place.topic) != allowed, "\(account) writes \(place.topic)")
                    #expect(
                        try client.isRefused(place.topic, "", retain: true) != allowed,
                        "\(account) clears \(place.topic)")
                }
                let mark = "main/martlet1/mark/\(account)"
                try fleet.client(SecureFleet.tester).publish(mark, "")
                #expect(Set(try spy.messages(upTo: mark).map(\.topic)) == expected, "\(account)")
                client.leave()
            }
        }
    }

    @Test func g17EveryRoleReadsItsRowsAndNoOthers() async throws {
        try await SecureFleet.run { fleet in
            let writer = try fleet.client(SecureFleet.tester)
            for (account, rows) in Self.table.sorted(by: { $0.key < $1.key }) {
                let client = try fleet.client(account)
                try client.subscribe("#")
                let places = Self.all(for: account)
                for place in places { try writer.publish(place.topic, account) }
                let expected = places.filter { Self.expects(rows.readsOwn, rows.readsAny, rows, $0) }.map(\.topic)
                let mark = try #require(expected.first)
                try writer.publish(mark, "end")
                var seen: Set<String> = []
                _ = try client.session.wait(timeoutMs: 10_000) { message in
                    seen.insert(message.topic)
                    return message.text == "end"
                }
                #expect(seen == Set(expected), "\(account)")
                client.leave()
            }
        }
    }

    /// Clients of 3.1.1 are told success and yet nothing is delivered.
    @Test func g17AnOldClientGetsNoFurther() async throws {
        try await SecureFleet.run { fleet in
            let spy = try fleet.client(SecureFleet.tester)
            try spy.subscribe("#")
            let base = "main/martlet1"
            for topic in [
                "intent/shop/c/1", "report/label-1/1", "beat/label-1", "executor/label-1/card", "result/shop/c/1",
                "work/c/label-1", "grant/label-1/1",
            ] {
                let outcome = try await fleet.mosquitto(
                    ["mosquitto_pub", "-V", "311", "-t", "\(base)/\(topic)", "-m", "{}"], as: "mallory")
                #expect(outcome.status == 0, "\(outcome.errors)")
            }
            let foreign = try await fleet.mosquitto(
                ["mosquitto_pub", "-V", "311", "-t", "other/martlet1/intent/mallory/c/1", "-m", "{}"], as: "mallory")
            #expect(foreign.status == 0)
            try fleet.client(SecureFleet.tester).publish("\(base)/mark", "")
            #expect(try spy.messages(upTo: "\(base)/mark").isEmpty)
        }
    }

    @Test func nobodyGetsInWithoutAnAccount() async throws {
        try await SecureFleet.run { fleet in
            let publish = ["mosquitto_pub", "-h", "127.0.0.1", "-p", String(fleet.port), "-t", "x", "-m", "x"]
            for account in [[], ["-u", "shop"], ["-u", "shop", "-P", "wrong"], ["-u", "../shop", "-P", "x"]] {
                let outcome = try await ChildCommand.run(publish + account)
                #expect(outcome.status != 0, "\(account)")
            }
        }
    }
}
