import Foundation
import TestSupport
import Testing

/// The examples of `deploy/examples`, against a real broker and the real dispatcher.
@Suite(.serialized) struct ExampleTests {
    @Test func shellExecutorAndShellIntent() async throws {
        try await Fleet.run { fleet, _ in
            let executor = try fleet.startScript("executor.sh", "shell-1", "2")
            try await fleet.waitForSupply(of: "host.uptime")
            let first = try await fleet.runScript("intent.sh", "shop", "host.uptime")
            #expect(first.status == 0)
            #expect(first.output.contains(#""status":"success""#), "\(first)")
            #expect(first.output.contains(#""output":{"up_s":"#))
            let second = try await fleet.runScript("intent.sh", "shop", "host.uptime", "{}", "order-2")
            #expect(second.output.contains(#""task":"order-2""#), "\(second)")
            #expect(await executor.ended() == 0)
        }
    }

    @Test(.enabled(if: hasPythonClient)) func pythonExecutor() async throws {
        try await Fleet.run { fleet, _ in
            let executor = try fleet.startPython("executor.py", as: "desk-1")
            try await fleet.waitForSupply(of: "text.upper")
            let good = try await fleet.result(of: "text.upper", #"{"input":{"text":"fragile"}}"#, id: "a-1")
            #expect(good.contains(#""status":"success","output":{"text": "FRAGILE"}"#), "\(good)")
            let bad = try await fleet.result(of: "text.upper", #"{"input":{"words":1}}"#, id: "a-2")
            #expect(bad.contains(#""status":"failed""#) && bad.contains("invalid_field"), "\(bad)")
            await executor.end()
            #expect(executor.output == "")
        }
    }

    @Test(.enabled(if: hasPythonClient)) func g25_deviceOfOneKibibyte() async throws {
        try await Fleet.run { fleet, _ in
            let device = try fleet.startPython("device.py", as: "lamp-1")
            try await fleet.waitForSupply(of: "led.set")
            for (id, on) in [("l-1", true), ("l-2", false)] {
                let result = try await fleet.result(of: "led.set", #"{"input":{"on":\#(on)}}"#, id: id)
                #expect(result.contains(#""output":{"on":\#(on)}"#), "\(result)")
            }
            await device.end()
            #expect(device.output == "")
        }
    }

    @Test func g25_publisherOfTheOlderProtocol() async throws {
        try await Fleet.run { fleet, _ in
            let executor = try fleet.startScript("executor.sh", "shell-1", "1")
            try await fleet.waitForSupply(of: "host.uptime")
            let rest = "shop/host.uptime/old-1"
            let outcome = try await ChildCommand.run(
                ["mosquitto_rr", "-V", "311"] + fleet.broker.options(as: "shop") + [
                    "-q", "0", "-W", "30", "-t", "main/martlet1/intent/\(rest)", "-e", "main/martlet1/result/\(rest)",
                    "-n",
                ])
            #expect(outcome.output.contains(#""status":"success""#), "\(outcome)")
            #expect(await executor.ended() == 0)
        }
    }
}
