import Foundation
import TestSupport
import Testing

/// What a client may rely on, from outside: `topics/promises.md`.
@Suite(.serialized) struct EndToEndTests {
    @Test(.enabled(if: hasPythonClient)) func g01AcceptedTaskOutlivesTheDispatcher() async throws {
        try await Fleet.run { fleet, first in
            let executor = try fleet.startPython("executor.py", as: "desk-1")
            try await fleet.waitForSupply(of: "text.upper")
            executor.signal(SIGSTOP)
            let update = try await fleet.update(of: "text.upper", #"{"input":{"text":"kept"}}"#, id: "k-1")
            #expect(update.contains(#""type":"accepted""#), "\(update)")
            await first.end(SIGKILL)
            executor.signal(SIGCONT)
            await executor.end(SIGKILL)

            let second = try await fleet.startDispatcher()
            let other = try fleet.startPython("executor.py", as: "desk-1")
            let result = try await fleet.result(of: "text.upper", #"{"input":{"text":"kept"}}"#, id: "k-1")
            #expect(result.contains(#""output":{"text": "KEPT"}"#), "\(result)")
            await other.end()
            #expect(await second.end() == 0)
        }
    }

    @Test func g04RepeatedIntentIsOneTask() async throws {
        try await Fleet.run { fleet, _ in
            let executor = try fleet.startScript("executor.sh", "shell-1", "1")
            try await fleet.waitForSupply(of: "host.uptime")
            let first = try await fleet.result(of: "host.uptime", "{}", id: "same")
            #expect(await executor.ended() == 0)
            let again = try await fleet.result(of: "host.uptime", "", id: "same")
            #expect(again == first)
            let other = try await fleet.result(of: "host.uptime", #"{"input":1}"#, id: "same")
            #expect(other.contains("id_reused"), "\(other)")
        }
    }

    @Test func g05RefusalHasACode() async throws {
        try await Fleet.run { fleet, _ in
            for (payload, code) in [
                ("{}", "unknown_capability"), ("{", "invalid_json"), (#"{"units":0.5}"#, "invalid_field"),
            ] {
                let result = try await fleet.result(of: "nobody.has.this", payload, id: code)
                #expect(result.contains(#""status":"rejected""#) && result.contains(code), "\(result)")
            }
        }
    }

    @Test func g28TerminatedDispatcherSaysSo() async throws {
        try await Fleet.run { fleet, dispatcher in
            #expect(await dispatcher.end() == 0)
            let record = try await fleet.broker.read("_sys/martlet1/service/dispatcher/+")
            #expect(record.first?.contains(#""state":"down""#) == true, "\(record)")
        }
    }
}
