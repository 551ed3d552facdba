import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing
import TimeModel

@testable import Console

/// Attacks that rights alone must stop, or that the services must refuse although the rights let them through.
@Suite(.serialized) struct AttackTests {
    /// Every retained class, poisoned and cleared by everybody who is no owner: nothing changes.
    @Test func g16RetainedViewsCannotBePoisoned() async throws {
        try await SecureFleet.withDispatcher { fleet, _ in
            let label = try HandExecutor(fleet, "label-1", capability: "print.label")
            let shop = try fleet.client("shop")
            try shop.publish("main/martlet1/intent/shop/print.label/kept", #"{"keep_ms":600000}"#)
            try shop.subscribe("main/martlet1/result/shop/#")
            try label.succeed(label.assignment())
            _ = try shop.wait("main/martlet1/result/shop/print.label/kept")
            let spy = try fleet.client(SecureFleet.tester)
            try spy.subscribe("main/martlet1/capability/+", retained: true)
            _ = try spy.wait("main/martlet1/capability/print.label")
            let filters = ("main/martlet1/#", "_sys/martlet1/service/#")
            let before = try fleet.client(SecureFleet.tester).retained(filters.0, filters.1)
            let topics = [
                "executor/label-1/card", "executor/label-1/status", "capability/print.label", "circuit/print.label",
                "circuit/print.label/label-1", "schedule/s", "check/k", "liveness/label-1", "alert/k",
                "offer/print.label", "notify/memory/k", "summary/capability/print.label",
                "result/shop/print.label/kept",
            ].map { "main/martlet1/\($0)" }
            let records = before.keys.filter { $0.hasPrefix("_sys/") }
            #expect(records.count == 1)
            for account in ["mallory", "label-2", "olga", "vera", "eve", "shop"] {
                let attacker = try fleet.client(account)
                for topic in topics + records + ["_sys/martlet1/metrics/dispatcher"] {
                    #expect(try attacker.isRefused(topic, "{\"poison\":1}", retain: true), "\(account) \(topic)")
                    #expect(try attacker.isRefused(topic, "", retain: true), "\(account) clears \(topic)")
                }
            }
            let after = try fleet.client(SecureFleet.tester).retained(filters.0, filters.1)
            let volatile: (String) -> Bool = { $0.hasPrefix("main/martlet1/capability/") }
            #expect(after.filter { !volatile($0.key) } == before.filter { !volatile($0.key) })
            #expect(Set(after.keys) == Set(before.keys))
            #expect(!after.values.contains { $0.contains("poison") })
        }
    }

    /// Where rights are missing the owner puts its view right again.
    @Test func g16TheOwnerRestoresAPoisonedView() async throws {
        try await SecureFleet.withDispatcher { fleet, _ in
            let label = try HandExecutor(fleet, "label-1", capability: "print.label")
            defer { label.leave() }
            let stranger = try fleet.client(SecureFleet.tester)
            try stranger.subscribe("main/martlet1/capability/+", retained: true)
            let view = "main/martlet1/capability/print.label"
            let original = try stranger.wait(view, containing: "\"label-1\"").text.prefix(40)
            try stranger.publish(view, #"{"name":"print.label","poison":true}"#, retain: true)
            _ = try stranger.wait(view, seconds: 5, containing: "poison")
            let restored = try stranger.wait(view, seconds: 5)
            #expect(!restored.text.contains("poison") && restored.text.hasPrefix(original), "\(restored.text)")
            try stranger.publish(view, "", retain: true)
            #expect(try stranger.wait(view, seconds: 5).payload.isEmpty)
            #expect(try stranger.wait(view, seconds: 5).text.hasPrefix(original))
            try stranger.publish("main/martlet1/capability/invented", "{}", retain: true)
            _ = try stranger.wait("main/martlet1/capability/invented", seconds: 5)
            #expect(try stranger.wait("main/martlet1/capability/invented", seconds: 5).payload.isEmpty)
        }
    }

    @Test func retainedRequestsAreRefusedAndCleared() async throws {
        try await SecureFleet.withDispatcher { fleet, _ in
            let label = try HandExecutor(fleet, "label-1", capability: "print.label")
            let shop = try fleet.client("shop")
            try shop.subscribe("main/martlet1/result/shop/#", "main/martlet1/reply/shop/#")
            try shop.publish("main/martlet1/intent/shop/print.label/r-1", "{}", retain: true)
            #expect(try shop.wait("main/martlet1/result/").text.contains("retained_request"))
            try shop.publish("main/martlet1/command/shop/capability/pause/print.label", "{}", retain: true)
            #expect(try shop.wait("main/martlet1/reply/").text.contains("retained_request"))
            for topic in ["report/label-1/t", "beat/label-1", "claim/label-1/1"] {
                try label.client.publish("main/martlet1/\(topic)", #"{"seq":1}"#, retain: true)
                _ = try label.client.wait(
                    topic.hasPrefix("claim") ? "main/martlet1/" : "main/martlet1/work/_/",
                    containing: "retained_request")
            }
            #expect(try shop.reply("task/get/r-1").contains("not_found"))
            let left = try fleet.client(SecureFleet.tester).retained(
                "main/martlet1/intent/#", "main/martlet1/command/#", "main/martlet1/report/#", "main/martlet1/beat/#",
                "main/martlet1/claim/#")
            #expect(left.isEmpty, "\(left)")
        }
    }

    /// A Will may say what its account may say, and no more.
    @Test func aWillIsNoWeapon() async throws {
        try await SecureFleet.withDispatcher { fleet, dispatcher in
            let label = try HandExecutor(fleet, "label-1", capability: "print.label")
            defer { label.leave() }
            let spy = try fleet.client(SecureFleet.tester)
            try spy.subscribe("_sys/martlet1/service/dispatcher/+", retained: true)
            let record = try spy.wait("_sys/").topic
            try spy.subscribe("#")
            let base = "main/martlet1"
            for topic in [
                "\(base)/intent/shop/print.label/w", "\(base)/result/shop/print.label/w", "\(base)/work/c/label-1",
                "\(base)/executor/label-1/status", "\(base)/command/olga/task/cancel/w", "\(base)/report/label-1/w",
                "other/martlet1/intent/mallory/c/w", record,
            ] {
                let will = OutboundMessage(
                    topic: topic, payload: Array(#"{"status":"lost","weapon":1}"#.utf8), retain: true)
                let attacker = try fleet.client("mallory", will: will)
                attacker.session.abort()
            }
            let own = OutboundMessage(
                topic: "\(base)/intent/mallory/print.label/w", payload: Array(#"{"weapon":1}"#.utf8), retain: true)
            try fleet.client("mallory", will: own).session.abort()
            let refusal = try spy.messages(upTo: "\(base)/result/mallory/print.label/w")
            #expect(refusal.filter { $0.text.contains("weapon") }.map(\.topic) == [own.topic])
            let mallory = try fleet.client("mallory")
            #expect(try mallory.reply("task/get/w").contains("not_found"))
            #expect(dispatcher.isRunning)
        }
    }

    /// Client ids of services: not told to anybody, not guessable; who has stolen one gains nothing, and no task is lost.
    @Test func aClientIdIsNoKey() async throws {
        try await SecureFleet.withDispatcher { fleet, dispatcher in
            let label = try HandExecutor(fleet, "label-1", capability: "print.label")
            let identity = try String(contentsOfFile: fleet.folder.path + "/state-dispatcher/identity", encoding: .utf8)
                .trimmingCharacters(in: .newlines)
            #expect(identity.count >= "dispatcher-".count + 32)
            let told = try fleet.client(SecureFleet.tester).retained("#")
            #expect(!told.contains { $0.key.contains(identity) || $0.value.contains(identity) }, "the id is told")
            for guess in ["dispatcher", "martlet-dispatcher", "dispatcher-0"] {
                _ = try fleet.client("mallory", id: guess)
            }
            let spy = try fleet.client(SecureFleet.tester)
            try spy.subscribe("_sys/martlet1/service/dispatcher/+")
            let thief = try fleet.client("mallory", id: identity)
            let shop = try fleet.client("shop")
            try shop.subscribe("main/martlet1/update/shop/#", "main/martlet1/result/shop/#")
            for number in 1...20 { try shop.publish("main/martlet1/intent/shop/print.label/t-\(number)", "{}") }
            _ = try spy.wait("_sys/", containing: "\"state\":\"up\"")
            var answered: Set<String> = []
            let deadline = SystemClock.monotonic + 30_000
            while answered.count < 20, SystemClock.monotonic < deadline {
                for number in 1...20 where !answered.contains("t-\(number)") {
                    try shop.publish("main/martlet1/intent/shop/print.label/t-\(number)", "{}")
                }
                for message in try drain(shop, until: "t-20") { answered.insert(message) }
            }
            #expect(answered.count == 20)
            thief.session.pump()
            #expect(thief.session.nextMessage(timeoutMs: 0) == nil, "the thief got what was not his")
            for _ in 1...20 { try label.succeed(label.assignment()) }
            #expect(dispatcher.isRunning)
        }
    }

    private func drain(_ client: Client, until last: String) throws -> [String] {
        var names: [String] = []
        while let message = client.session.nextMessage(timeoutMs: 500) {
            let name = String(message.topic.split(separator: "/").last ?? "")
            names.append(name)
            if name == last { break }
        }
        return names
    }

    /// MQTT 5: a Response Topic that is not the sender's own is ignored, on intents, commands and claims.
    @Test func aResponseTopicElsewhereIsIgnored() async throws {
        try await SecureFleet.withDispatcher { fleet, _ in
            let spy = try fleet.client(SecureFleet.tester)
            try spy.subscribe("#")
            let base = "main/martlet1"
            let targets = [
                "\(base)/result/shop/x/1", "\(base)/work/c/label-1", "other/martlet1/result/mallory/c/1",
                "\(base)/executor/label-1/card", "\(base)/result/mallory2/c/1", "\(base)/grant/label-1/1",
                "\(base)/reply/olga/task/list/1", "_sys/martlet1/service/dispatcher/x",
            ]
            for (index, target) in targets.enumerated() {
                let requests = [
                    ("intent/mallory/nothing/\(index)", "result/mallory/nothing/\(index)"),
                    ("command/mallory/task/list/\(index)", "reply/mallory/task/list/\(index)"),
                    ("claim/mallory/\(index)", "grant/mallory/\(index)"),
                ]
                for (request, answer) in requests {
                    let words = [
                        "mosquitto_pub", "-V", "5", "-t", "\(base)/\(request)", "-m", "{}", "-D", "publish",
                        "response-topic", target,
                    ]
                    #expect(try await fleet.mosquitto(words, as: "mallory").status == 0)
                    let seen = try spy.messages(upTo: "\(base)/\(answer)")
                    #expect(!seen.contains { $0.topic == target }, "\(request) to \(target)")
                }
            }
        }
    }

    @Test func identityInAPayloadIsNotBelieved() async throws {
        let rules =
            #"{"main":[{"id":"ask","effect":"require_approval","capabilities":["pay.*"]},{"id":"rest","effect":"allow"}]}"#
        try await SecureFleet.withDispatcher(#"{"policy":\#(rules)}"#) { fleet, _ in
            let label = try HandExecutor(fleet, "label-1", capability: "pay.out")
            let mallory = try fleet.client("mallory")
            for (number, intent) in [
                #"{"origin":{"kind":"schedule","owner":"shop"}}"#, #"{"listeners":["shop"]}"#,
                #"{"origin":{"kind":"check","name":"x"}}"#,
            ].enumerated() {
                #expect(try mallory.result(of: "pay.out", intent, id: "o-\(number)").contains("permission_denied"))
            }
            try mallory.subscribe("main/martlet1/update/mallory/#")
            try mallory.publish("main/martlet1/intent/mallory/pay.out/own", "{}")
            _ = try mallory.wait("main/martlet1/update/mallory/pay.out/own")
            #expect(try mallory.reply("task/approve/own").contains("permission_denied"))
            #expect(try mallory.reply("task/approve/own", #"{"principal":"mallory"}"#).contains("permission_denied"))
            let eve = try fleet.client("eve")
            #expect(try eve.isRefused("main/martlet1/command/eve/task/approve/own"))
            let olga = try fleet.client("olga")
            #expect(try olga.reply("task/approve/own", #"{"principal":"mallory"}"#).contains("\"ok\":true"))
            try label.succeed(label.assignment())
        }
    }

    /// Names that are none become no accounts: they would be other topics, or wildcards, in the access list.
    @Test(arguments: ["a/b", "a+b", "#", "$SYS", "", "..", "-x", "a b", "a\nb", String(repeating: "n", count: 65)])
    func noAccountHasANameThatIsNone(_ name: String) async throws {
        let folder = try TemporaryFolder()
        let broker = BrokerFolder(path: folder.path + "/broker", environment: ProcessInfo.processInfo.environment)
        try broker.write(BrokerListeners(port: 1883))
        try broker.write(AccountFile())
        let program = try BuildFolder.program("martlet").path(percentEncoded: false)
        let words = [program, "broker", "account", "add", "--role", "executor", "--dir", broker.path, "--", name]
        let outcome = try await ChildCommand.run(words, environment: ["HOME": folder.path])
        #expect(outcome.status == 64, "\(outcome.output) \(outcome.errors)")
        #expect(try broker.accounts().accounts.isEmpty)
        let list = AccountFile(accounts: [BrokerAccount(name: name, workspace: "main", roles: ["executor"])]).accessList
        #expect(AccountFile.problem(inAccessList: list) != nil, "\(list)")
    }

    /// The page names a test for each attack, and each of them is there.
    @Test func everyAttackOfThePageHasItsTest() throws {
        let page = try String(contentsOfFile: BuildFolder.repositoryFile("topics/broker.md"), encoding: .utf8)
        let section = page.split(separator: "## Attacks\n").last?.split(separator: "\n## ").first ?? ""
        let names = section.split(separator: "\n").filter { $0.hasPrefix("| ") }.dropFirst(2)
            .flatMap { $0.split(separator: "|").last?.split(separator: "`").filter { !$0.contains(" ") } ?? [] }
        #expect(names.count > 30)
        var sources = ""
        for folder in ["BrokerSecurityTests", "DispatcherCoreTests", "SchedulerCoreTests"] {
            let path = BuildFolder.repositoryFile("Tests/\(folder)")
            for file in try FileManager.default.contentsOfDirectory(atPath: path) where file.hasSuffix(".swift") {
                sources += try String(contentsOfFile: "\(path)/\(file)", encoding: .utf8)
            }
        }
        for name in names { #expect(sources.contains("func \(name)("), "\(name)") }
    }

    /// A name of a service is believed; so nobody else can have it.
    @Test func aServicesNameIsNoPersonsName() async throws {
        try await SecureFleet.run { fleet in
            let words = [
                "broker", "account", "add", "scheduler", "--role", "publisher", "--dir", fleet.brokerFolder.path,
            ]
            let outcome = try await fleet.martlet(words)
            #expect(outcome.status == 64, "\(outcome.errors)")
            #expect(outcome.errors.contains("scheduler"))
        }
    }
}
