import Testing
import Wire

@testable import DispatcherCore

@Suite struct ConfigurationTests {
    @Test func readsEveryKey() throws {
        let text = """
            {"workspaces":["main"],"rates":[{"owner":"*","per_s":5,"burst":10}],"weights":{"shop":3},
            "budgets":[{"workspace":"main","period_ms":60000,"amount":5}],"key_limits":[{"key":"gpu*","limit":2}],
            "circuits":[{"capability":"c","failures":3}],"push_wait_ms":{"c":100},"routing":"cost_first",
            "task_events":true,"limits":{"tasks":10}}
            """
        let configuration = try DispatcherConfiguration(decoding: Array(text.utf8))
        #expect(configuration.routing == .costFirst)
        #expect(configuration.limit(ofKey: "gpu-1") == 2)
        #expect(configuration.limit(ofKey: "cpu") == 1)
        #expect(configuration.tasks == 10)
        #expect(configuration.weights["shop"] == 3)
    }

    @Test func refusesRateOfNothing() {
        #expect(throws: WireError.self) {
            try DispatcherConfiguration(decoding: Array(#"{"rates":[{"per_s":5,"burst":10}]}"#.utf8))
        }
    }
}
