import Contract
import Foundation
import Shell
import TestSupport
import Testing
import Wire

/// Programs as work: their endings, limits and leftovers; the adapters that ship.
@Suite(.serialized) struct AdapterTests {
    private func details(_ report: Report) -> JSONValue { report.error?.details.map { JSONValue($0) } ?? .null }

    @Test func T0_13_anAdapterThatExits3WithAMebibyteOfErrorsFailsWithStatusAndTail() async throws {
        let script = "#!/bin/sh\nhead -c 1048576 /dev/zero | tr '\\0' x >&2\necho the end >&2\nexit 3\n"
        let bench = try Bench(#"{"name": "noisy", "command": ["./noisy"]}"#, scripts: ["noisy": script])
        let report = try bench.run("noisy")
        #expect(report.status == .failed)
        #expect(report.error?.code.rawValue == "program_failed")
        #expect(details(report)["exit_code"]?.intValue == 3)
        let tail = try #require(details(report)["stderr"]?.stringValue)
        #expect(tail.hasSuffix("xxxthe end\n"))
        #expect(tail.utf8.count <= 4096)
        await bench.end()
    }

    @Test func T1_100_anAdapterOverItsMemoryIsOutOfResources() async throws {
        let script = "#!/usr/bin/env python3\nimport sys\nx = bytearray(512 << 20)\nprint(len(x))\n"
        let bench = try Bench(
            #"{"name": "hungry", "command": ["./hungry"], "memory_limit_mb": 128}"#, scripts: ["hungry": script])
        #expect(try bench.run("hungry").error?.code == .resourceExhausted)
        await bench.end()
    }

    @Test func T1_100_anAdapterOverItsTimeLeavesNoProcessOfItsGroup() async throws {
        let script = "#!/bin/sh\ntrap '' TERM\nsleep 987 &\necho $! > child\necho $$ > parent\nwait\nsleep 987\n"
        let bench = try Bench(
            #"{"name": "slow", "command": ["./slow"], "stop_grace_ms": 200}"#, scripts: ["slow": script])
        let report = try bench.run("slow", timeoutMs: 300)
        #expect(report.error?.code == .executionTimeout)
        #expect(report.error?.errorClass == .timeout)
        for name in ["child", "parent"] {
            let text = try String(contentsOfFile: bench.folder.path + "/" + name, encoding: .utf8)
            let process = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
            let gone = try await Await.condition { kill(process, 0) != 0 || Self.isZombie(process) }
            #expect(gone, "\(name) is left")
        }
        await bench.end()
    }

    /// Whether a process has ended and only waits for its parent to notice.
    private static func isZombie(_ process: pid_t) -> Bool {
        let text = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
        return text.contains(") Z ")
    }

    @Test func T1_23_aMissingProgramIsNamedAndPermanent() async throws {
        let bench = try Bench(#"{"name": "gone", "command": ["./no-such-program"]}"#)
        let report = try bench.run("gone")
        #expect(report.status == .failed)
        #expect(report.error?.errorClass == .permanent)
        #expect(report.error?.message?.contains("no-such-program") == true)
        await bench.end()
    }

    @Test func moreOutputThanItsLimitEndsAnAdapter() async throws {
        let bench = try Bench(#"{"name": "loud", "command": ["yes"], "output_limit": 1000}"#)
        #expect(try bench.run("loud").error?.code == .resourceExhausted)
        await bench.end()
    }

    @Test func theInputReachesNoShellAndTheEnvironmentIsShort() async throws {
        let script = "#!/bin/sh\nenv | sort | cut -d= -f1 | tr '\\n' ' '\ncat\n"
        let bench = try Bench(
            #"{"name": "show", "command": ["./show"], "environment": ["PATH"], "output": "text"}"#,
            scripts: ["show": script])
        let input = #"{"x":"$(touch hacked); `touch hacked` ' \" \\"}"#
        let output = try #require(try bench.run("show", input).output.map { JSONValue($0).stringValue ?? "" })
        #expect(output.hasSuffix(input))
        #expect(!FileManager.default.fileExists(atPath: bench.folder.path + "/hacked"))
        #expect(!output.contains("HOME"))
        #expect(output.contains("MARTLET_TASK"))
        await bench.end()
    }

    @Test func S0_05_theShippedChecksLookAtTheMachine() async throws {
        let shipped = BuildFolder.repositoryFile("deploy/executors/adapters")
        func capability(_ name: String) -> String {
            let program = "check-" + name.replacing("_", with: "-")
            return #"{"name":"check.\#(name)","command":["\#(shipped)/\#(program)"],"environment":["PATH","CHECKS=."]}"#
        }
        let names = ["load", "memory", "disk", "file_age", "process", "tcp", "http", "command"]
        let bench = try Bench(
            names.map(capability).joined(separator: ","), scripts: ["probe": "#!/bin/sh\necho warm\nexit 1\n"])
        func output(_ name: String, _ input: String = "{}") throws -> JSONValue {
            try bench.run("check.\(name)", input).output.map { JSONValue($0) } ?? .null
        }
        #expect(try output("load")["processors"]?.intValue ?? 0 > 0)
        #expect(try output("memory")["total_mib"]?.intValue ?? 0 > 0)
        #expect(try output("disk", #"{"path":"/"}"#)["used_percent"]?.intValue != nil)
        #expect(try output("file_age", #"{"path":"/etc/passwd"}"#)["age_ms"]?.intValue ?? 0 > 0)
        #expect(try output("file_age", #"{"path":"/no/such/file"}"#)["status"]?.stringValue == "error")
        #expect(try output("process", #"{"name":"martlet-executor"}"#)["count"]?.intValue ?? 0 > 0)
        #expect(try output("process", #"{"name":"no such program"}"#)["status"]?.stringValue == "error")
        let listening = try await BrokerFixture()
        let port = listening.port
        #expect(try output("tcp", #"{"host":"127.0.0.1","port":\#(port)}"#)["connect_ms"]?.intValue != nil)
        #expect(try output("tcp", #"{"host":"127.0.0.1","port":1}"#)["status"]?.stringValue == "error")
        #expect(try output("http", #"{"url":"http://127.0.0.1:1/"}"#)["status"]?.stringValue == "error")
        let probe = try output("command", #"{"name":"probe"}"#)
        #expect(probe["status"]?.stringValue == "warning")
        #expect(probe["message"]?.stringValue == "warm")
        await listening.end()
        await bench.end()
    }

    @Test("the tool of an agent reports its tokens and what they cost")
    func theToolOfAnAgent() async throws {
        let shipped = BuildFolder.repositoryFile("deploy/examples")
        let capabilities = ["summarize": "agent-server", "gone": "no-such-server"].map { tool, server in
            #"{"name":"agent.\#(tool)","command":["\#(shipped)/agent-tool","\#(tool)","\#(shipped)/\#(server)"],"#
                + #""environment":["PATH","MICROS_PER_TOKEN=3"],"output":"report"}"#
        }
        let bench = try Bench(capabilities.joined(separator: ","))
        let good = try bench.run("agent.summarize", #"{"text":"one two three four five six"}"#)
        #expect(good.status == .success && good.usage?.tokensUsed == 11 && good.cost == 33)
        #expect(good.output.map { JSONValue($0)["summary"]?.stringValue } == "one two three four five")
        let empty = try bench.run("agent.summarize", #"{"text":" "}"#)
        #expect(empty.status == .failed && empty.error?.code.rawValue == "tool_failed" && empty.cost == 15)
        let wrong = try bench.run("agent.summarize", #"{"words":1}"#)
        #expect(wrong.error?.code == .invalidField && wrong.error?.errorClass == .permanent)
        let gone = try bench.run("agent.gone", "{}")
        #expect(gone.error?.code == .notFound && gone.error?.errorClass == .permanent)
        await bench.end()
    }

    @Test func theShippedAdaptersDoWhatTheySay() async throws {
        let shipped = BuildFolder.repositoryFile("deploy/executors")
        let checksum = #"{"name":"file.checksum","command":["\#(shipped)/adapters/file-checksum"],"#
        let bench = try Bench(
            checksum + #""environment":["PATH","FILES=\#(shipped)/files"]},"#
                + #"{"name":"text.count","command":["\#(shipped)/adapters/text-count"]},"#
                + #"{"name":"host.load","command":["\#(shipped)/adapters/host-load"]}"#)
        let sum = try bench.run("file.checksum", #"{"path":"hello.txt"}"#)
        #expect(
            sum.output.map { JSONValue($0)["sha256"]?.stringValue }
                == "aae3a9962b5e70343e587c81a3e7c23bef4b55e3847deed3472c6647dda4edbf")
        let count = try bench.run("text.count", #"{"text":"one two\nthree\n"}"#)
        #expect(count.output.map { JSONValue($0)["words"]?.intValue } == 3)
        #expect(try bench.run("host.load").output.map { JSONValue($0)["load_1"]?.intValue != nil } == true)
        for (number, path) in ["../demo.json", "/etc/passwd", "hello.txt/..", ".", "\\u0000", "a;id"].enumerated() {
            try bench.assign("bad-\(number)", epoch: 9, "file.checksum", "{\"path\":\"\(path)\"}")
            let report = try bench.report("bad-\(number)")
            #expect(report.status == .failed, "\(path)")
            #expect(report.error?.code.rawValue != "program_failed", "\(path)")
        }
        await bench.end()
    }
}
