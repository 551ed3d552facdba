import Contract
import Foundation
import TestSupport
import Testing
import Wire

@testable import Console

/// What Home Assistant is told, and what its orders become.
@Suite struct HomeAssistantTests {
    private let target = HomeAssistant(prefix: "homeassistant", workspace: "main")

    private func json(_ bytes: [UInt8]) throws -> JSONValue { JSONValue(try RawJSON(validating: bytes)) }

    @Test func statesComeFromTheRetainedViews() throws {
        let documents = target.documents(of: .executor("label.1"))
        #expect(
            documents.map(\.topic) == [
                "homeassistant/binary_sensor/martlet_main/executor_label-2e1/config",
                "homeassistant/sensor/martlet_main/executor_label-2e1_verdict/config",
            ])
        let first = try json(documents[0].payload)
        #expect(first["state_topic"]?.stringValue == "main/martlet1/executor/label.1/status")
        #expect(first["device"]?["name"]?.stringValue == "label.1")
        let schedule = target.documents(of: .schedule("tick"))
        #expect(schedule.count == 3)
        #expect(
            try json(schedule[0].payload)["command_topic"]?.stringValue
                == "homeassistant/martlet/main/schedule/tick/set")
        let circuit = target.documents(of: .circuit("print.label", "label-2"))
        #expect(try json(circuit[0].payload)["state_topic"]?.stringValue == "main/martlet1/circuit/print.label/label-2")
    }

    @Test func namesStayApart() {
        let ids = ["a.b", "a-b", "a_b", "a~b", "ab"].map(HomeAssistant.word)
        #expect(Set(ids).count == ids.count)
    }

    @Test(
        arguments: [
            ("homeassistant/martlet/main/schedule/tick/set", "ON", "resume"),
            ("homeassistant/martlet/main/schedule/tick/set", "OFF", "pause"),
            ("homeassistant/martlet/main/schedule/tick/trigger", "PRESS", "trigger"),
            ("homeassistant/martlet/main/schedule/tick/set", "off", nil),
            ("homeassistant/martlet/other/schedule/tick/set", "ON", nil),
            ("homeassistant/martlet/main/schedule/a b/set", "ON", nil),
            ("homeassistant/martlet/main/schedule/tick/set/more", "ON", nil),
        ] as [(String, String, String?)])
    func ordersAreCommands(_ topic: String, _ payload: String, _ verb: String?) {
        let order = target.order(topic, Array(payload.utf8))
        #expect(order?.verb == verb)
        #expect(order == nil || order?.schedule == "tick")
    }

    @Test func theBridgeShowsObeysAndCleans() async throws {
        let broker = try await BrokerFixture()
        let home = try TemporaryFolder()
        let left = "homeassistant/switch/martlet_main/schedule_gone/config"
        try await broker.publish(left, "{}", as: "ha", options: ["-r"])
        try await broker.publish(
            "main/martlet1/executor/e1/status", #"{"status":"online"}"#, as: "e1", options: ["-r"])
        let bridge = try ProgramFixture(
            "martlet", ["bridge", "home-assistant", "--clean", "--broker", broker.address, "--user", "ha"],
            environment: surroundings(home))
        #expect(try await Await.condition { bridge.output.contains("are shown to Home Assistant") })
        let shown = try await retained(broker, "homeassistant/#")
        #expect(shown.contains("homeassistant/binary_sensor/martlet_main/executor_e1/config"))
        #expect(!shown.contains(left), "what an earlier run left is cleared")
        let command = try await broker.ask(
            "homeassistant/martlet/main/schedule/tick/set",
            answer: "main/martlet1/command/ha/schedule/pause/tick", "OFF", as: "ha")
        #expect(command == "{}")
        #expect(await bridge.end(SIGINT) == 0)
        #expect(try await retained(broker, "homeassistant/#").isEmpty)
        await broker.end()
    }

    /// The retained topics below a filter.
    private func retained(_ broker: BrokerFixture, _ filter: String) async throws -> [String] {
        let words = ["mosquitto_sub"] + broker.options(as: "look") + ["--retained-only", "-W", "1"]
        let outcome = try await ChildCommand.run(words + ["-t", filter, "-F", "%t"])
        return outcome.output.split(separator: "\n").map(String.init)
    }
}
