import Glibc
import Machine
import TestSupport
import Testing
import TimeModel

@testable import Shell

@Suite struct ChildTests {
    /// Runs children to their ends.
    private func run(
        _ requests: [ChildRequest], _ meanwhile: (ChildTable) -> Void = { _ in }
    ) -> [Int: ChildOutcome] {
        let table = ChildTable()
        for request in requests { table.start(request, at: SystemClock.monotonic) }
        var outcomes: [Int: ChildOutcome] = [:]
        let deadline = SystemClock.monotonic + 20_000
        while outcomes.count < requests.count, SystemClock.monotonic < deadline {
            meanwhile(table)
            var entries = table.pollEntries()
            let wake = table.nextWake ?? deadline
            let wait = table.hasEnded ? 0 : max(0, min(wake - SystemClock.monotonic, 20))
            _ = poll(&entries, nfds_t(entries.count), Int32(wait))
            let now = SystemClock.monotonic
            for entry in entries where entry.revents != 0 { table.handle(entry, at: now) }
            table.advance(at: now)
            for (id, outcome) in table.takeEnded() { outcomes[id] = outcome }
        }
        return outcomes
    }

    private func request(
        _ arguments: [String], input: String = "", timeoutMs: Int = 10_000, outputLimit: Int = 1 << 20,
        memoryLimit: Int = 0
    ) -> ChildRequest {
        ChildRequest(
            id: 1, arguments: arguments, input: Array(input.utf8), environment: ["PATH=/usr/bin:/bin", "WORD=x y"],
            directory: "/", timeoutMs: timeoutMs, graceMs: 100, outputLimit: outputLimit, memoryLimit: memoryLimit)
    }

    private func shell(_ script: String) -> [String] { ["/bin/sh", "-c", script] }

    @Test func readsInputAndReturnsOutput() throws {
        let text = String(repeating: "0123456789", count: 30_000)
        let outcome = try #require(run([request(["cat"], input: text)])[1])
        #expect(outcome.end == .exited(0))
        #expect(outcome.output == Array(text.utf8))
        #expect(outcome.errorTail.isEmpty)
    }

    @Test func hasItsOwnEnvironmentDirectoryAndSignals() throws {
        let outcome = try #require(
            run([request(shell("echo \"$WORD\"; pwd; grep -c . /proc/self/environ; kill -PIPE $$"))])[1])
        #expect(outcome.end == .signaled(Int(SIGPIPE)))
        #expect(String(decoding: outcome.output, as: UTF8.self).hasPrefix("x y\n/\n"))
    }

    @Test func keepsTheEndOfStandardError() throws {
        let script = "i=0; while [ $i -lt 3000 ]; do echo \"line $i\" >&2; i=$((i+1)); done; exit 3"
        let outcome = try #require(run([request(shell(script))])[1])
        #expect(outcome.end == .exited(3))
        #expect(outcome.errorTail.count == 8192)
        #expect(String(decoding: outcome.errorTail, as: UTF8.self).hasSuffix("line 2999\n"))
    }

    @Test func theWholeGroupEndsAtTheTimeLimit() throws {
        let script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; sleep 1000' & wait"
        let outcome = try #require(run([request(shell(script), timeoutMs: 200)])[1])
        #expect(outcome.end == .timedOut)
        let words = String(decoding: outcome.output, as: UTF8.self)
        let grandchild = try #require(pid_t(words.prefix { $0.isNumber }))
        #expect(isGone(grandchild))
        #expect(outcome.durationMs >= 200)
    }

    @Test func whatALeaderLeavesBehindIsKilled() throws {
        let outcome = try #require(run([request(shell("sleep 1000 & echo $!"))])[1])
        #expect(outcome.end == .exited(0))
        let words = String(decoding: outcome.output, as: UTF8.self)
        #expect(isGone(try #require(pid_t(words.prefix { $0.isNumber }))))
    }

    /// Gone, or dead and waiting for its parent.
    private func isGone(_ process: pid_t) -> Bool {
        let deadline = SystemClock.monotonic + 5000
        while SystemClock.monotonic < deadline {
            if kill(process, 0) != 0 { return true }
            let status = (try? readFile("/proc/\(process)/stat")) ?? []
            if String(decoding: status, as: UTF8.self).contains(") Z ") { return true }
            poll(nil, 0, 5)
        }
        return false
    }

    @Test func stopsWhenAsked() throws {
        let outcome = try #require(run([request(["sleep", "1000"])]) { $0.stop(1, at: SystemClock.monotonic) }[1])
        #expect(outcome.end == .stopped)
    }

    @Test func tooMuchOutputEndsIt() throws {
        let outcome = try #require(run([request(["yes"], outputLimit: 10_000)])[1])
        #expect(outcome.end == .outputLimit)
        #expect(outcome.output.count == 10_000)
        let exact = try #require(run([request(shell("printf 0123456789"), outputLimit: 10)])[1])
        #expect(exact.end == .exited(0))
    }

    @Test func tooMuchMemoryEndsIt() throws {
        let limit = 64 << 20
        let outcome = try #require(run([request(shell("tail /dev/zero"), memoryLimit: limit)])[1])
        #expect(outcome.end == .memoryLimit)
    }

    @Test func aMissingProgramIsNamed() throws {
        let outcome = try #require(run([request(["/no/such/program"])])[1])
        #expect(outcome.end == .notStarted("No such file or directory"))
        let nothing = try #require(run([request([])])[1])
        #expect(nothing.end == .notStarted("no program is named"))
    }

    @Test func closedInputIsNoFault() throws {
        let text = String(repeating: "x", count: 1 << 20)
        let outcome = try #require(run([request(["true"], input: text)])[1])
        #expect(outcome.end == .exited(0))
    }

    @Test func usageIsMeasured() throws {
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
        let outcome = try #require(run([request(shell(script))])[1])
        #expect(outcome.end == .exited(0))
        #expect(outcome.cpuTimeMs > 0)
        #expect(outcome.maxResidentKiB > 100)
    }
}
