import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing
import TimeModel
import Wire

/// Health checks and liveness with the real programs and a real broker.
@Suite(.serialized) struct CheckTests {
    private let failing = #"{"status":"error","message":"the disk is full"}"#

    private func put(_ name: String, _ input: String, _ home: TemporaryFolder, _ more: [String] = []) async throws {
        let words = ["check", "put", name, "--every", "1h", "--capability", "demo.echo", "--agent", "demo"]
        let outcome = try await martlet(words + ["--input", input] + more, home)
        #expect(outcome.output.hasPrefix("\(name) is active"), "\(outcome.output)\(outcome.errors)")
    }

    @Test("S0-05 S0-14 S0-26 S2-43: a check that fails alerts, and resolves when it is well again")
    func alertsAndResolves() async throws {
        let home = try TemporaryFolder()
        let up = try await RunningUp(home)
        try await put("disk", failing, home)
        let alerted = try await Await.condition { try await martlet(["health", "alerts"], home).status == 2 }
        #expect(alerted)
        let alerts = try await martlet(["health", "alerts"], home)
        #expect(alerts.output == "CRITICAL  alerts heartbeat.check.disk: the disk is full\n", "\(alerts.errors)")
        let found = try await martlet(["check", "run", "disk"], home)
        #expect(found.status == 1, "\(found.errors)")
        #expect(found.output.hasPrefix("disk error: the disk is full"), "\(found.output)")
        try await look(home)
        try await put("disk", #"{"status":"ok"}"#, home)
        let well = try await martlet(["check", "run", "disk", "--json"], home)
        #expect(well.status == 0)
        #expect(well.output.contains(#""status":"ok""#))
        #expect(try await Await.condition { try await martlet(["health", "alerts"], home).status == 0 })
        try await thresholds(home)
        try await health(home)
        try await verbs(home)
        #expect(await up.program.end(SIGINT) == 0)
    }

    private func look(_ home: TemporaryFolder) async throws {
        let list = try await martlet(["check", "list"], home)
        #expect(list.output.contains("every 1 h"))
        #expect(list.output.contains("the disk is full"))
        let get = try await martlet(["check", "get", "disk"], home)
        #expect(get.output.hasPrefix("disk   error since "), "\(get.output)")
        #expect(get.output.contains("RAN AT"))
        let json = try await martlet(["check", "list", "--json"], home)
        #expect(json.output.contains(#""check":"disk""#))
        #expect(json.output.contains(#""consecutive_failures":2"#))
    }

    private func thresholds(_ home: TemporaryFolder) async throws {
        try await put("room", #"{"used_percent":85}"#, home, ["--above", "used_percent=80,90"])
        let found = try await martlet(["check", "run", "room"], home)
        #expect(found.status == 1, "\(found.errors)")
        #expect(found.output.hasPrefix("room warning: used_percent is 85, above 80"), "\(found.output)")
        #expect(try await martlet(["health", "alerts"], home).status == 1)
        let bad = try await martlet(["check", "put", "x", "--capability", "c", "--above", "used"], home)
        #expect(bad.status == 64)
    }

    private func health(_ home: TemporaryFolder) async throws {
        let all = try await martlet(["health"], home)
        for part in ["broker", "dispatcher", "scheduler", "heartbeat", "queue", "executors", "circuits", "schedules"] {
            #expect(all.output.contains("OK       \(part) "), "\(all.output)\(all.errors)")
        }
        #expect(all.status == 1, "the alert of room")
        #expect(try await martlet(["health", "executor", "demo"], home).output.hasPrefix("OK  executor demo ready"))
        let nagios = try await martlet(["health", "dispatcher", "--format", "nagios"], home)
        #expect(nagios.output.hasPrefix("MARTLET OK - dispatcher up "))
        let prometheus = try await martlet(["health", "--format", "prometheus"], home)
        #expect(prometheus.output.contains("martlet_health{part=\"alerts\"} 1\n"))
        #expect(try await martlet(["health", "--json"], home).output.contains(#"{"level":"ok","part":"broker""#))
        #expect(try await martlet(["health", "dispatchr"], home).status == 3)
        #expect(try await martlet(["health", "executor", "nobody"], home).status == 3)
        let nowhere = ["--broker", "mqtt://127.0.0.1:1", "--format", "nagios"]
        let lost = try await martlet(["health"] + nowhere, home)
        #expect(lost.status == 3)
        #expect(lost.output.hasPrefix("MARTLET UNKNOWN - "))
        #expect(try await martlet(["health", "broker"] + nowhere, home).status == 2)
    }

    private func verbs(_ home: TemporaryFolder) async throws {
        #expect(try await martlet(["check", "pause", "room", "--note", "new disk"], home).output == "room is paused\n")
        #expect(try await Await.condition { try await martlet(["health", "alerts"], home).status == 0 })
        #expect(try await martlet(["check", "resume", "room"], home).output == "room goes on\n")
        #expect(try await martlet(["completion", "names", "check"], home).output == "disk\nroom\n")
        #expect(try await martlet(["check", "delete", "room"], home).status == 64, "nobody can be asked")
        #expect(try await martlet(["check", "delete", "room", "--yes"], home).output == "room is deleted\n")
        #expect(try await martlet(["check", "get", "room"], home).status == 66)
        let kind = try await martlet(["check", "put", "bad", #"{"actions":[{"when":"always","kind":"shout"}]}"#], home)
        #expect(kind.status == 4)
    }
}

/// Executors that end in the ways executors end.
@Suite(.serialized) struct LivenessTests {
    @Test("S3-16: a killed executor is offline by its Will; a frozen one by silence, not before three beats")
    func killedAndFrozen() async throws {
        let fleet = try WatchedFleet()
        let killed = try fleet.executor("killed")
        let frozen = try fleet.executor("frozen")
        _ = try fleet.verdict(of: "killed") { $0.verdict == .ready && $0.freeSlots == 1 }
        let before = try fleet.verdict(of: "frozen") { $0.verdict == .ready && $0.freeSlots == 1 }
        killed.signal(SIGKILL)
        let lost = try fleet.verdict(of: "killed") { $0.verdict == .offline }
        #expect(lost.reason == .lost)
        frozen.signal(SIGSTOP)
        let silent = try fleet.verdict(of: "frozen") { $0.verdict == .offline }
        #expect(silent.reason == .silence)
        let lastSeen = try #require(silent.lastSeen)
        #expect(try #require(silent.since) - lastSeen >= 3 * WatchedFleet.beatMs)
        frozen.signal(SIGCONT)
        let back = try fleet.verdict(of: "frozen") { $0.verdict == .ready }
        #expect(back.boot == before.boot)
        frozen.signal(SIGTERM)
        let left = try fleet.verdict(of: "frozen") { $0.verdict == .offline }
        #expect(left.reason == .status)
        await fleet.end()
    }

    @Test("Own slowness first: a frozen heartbeat calls nobody silent when it wakes")
    func frozenHeartbeat() async throws {
        let fleet = try WatchedFleet()
        let executor = try fleet.executor("desk")
        _ = try fleet.verdict(of: "desk") { $0.verdict == .ready && $0.freeSlots == 1 }
        fleet.heartbeat.signal(SIGSTOP)
        // Longer than three beats, by the executor's own beats.
        try fleet.beats(of: "desk", 6)
        fleet.heartbeat.signal(SIGCONT)
        try fleet.beats(of: "desk", 4)
        #expect(!fleet.seen.contains { $0.verdict == .offline || $0.verdict == .stale })
        executor.signal(SIGKILL)
        _ = try fleet.verdict(of: "desk") { $0.verdict == .offline }
        await fleet.end()
    }
}

/// A broker, a heartbeat and executors that beat every second.
private final class WatchedFleet {
    static let beatMs = 1000
    let heartbeat: ProgramFixture
    private(set) var seen: [LivenessView] = []
    private let broker: TestBroker
    private let folder: TemporaryFolder
    private let session: ClientSession
    private var executors: [ProgramFixture] = []
    private var last: [String: LivenessView] = [:]

    init() throws {
        broker = try TestBroker()
        folder = try TemporaryFolder()
        session = try broker.session("me")
        let filters = ["main/martlet1/liveness/+", "main/martlet1/beat/+"]
        try session.subscribe(filters.map { Subscription(filter: $0, wantsRetained: true) }, timeoutMs: 5000)
        heartbeat = try ProgramFixture(
            "martlet-heartbeat",
            ["--broker", broker.address.description, "--state-directory", folder.path + "/heartbeat"])
    }

    func executor(_ name: String) throws -> ProgramFixture {
        let manifest = #"{"slots":1,"beat_ms":\#(WatchedFleet.beatMs),"capabilities":[{"name":"c","builtin":"echo"}]}"#
        let file = try folder.write("\(name).json", manifest)
        let state = folder.path + "/" + name
        let words = ["--broker", broker.address.description, "--user", name, "--state-directory", state, file]
        let program = try ProgramFixture("martlet-executor", words)
        executors.append(program)
        return program
    }

    /// Waits for a verdict.
    func verdict(of name: String, _ isWanted: (LivenessView) -> Bool) throws -> LivenessView {
        if let view = last[name], isWanted(view) { return view }
        let end = SystemClock.monotonic + 30_000
        while let message = session.nextMessage(timeoutMs: max(0, end - SystemClock.monotonic)) {
            guard take(message) == name, let view = last[name], isWanted(view) else { continue }
            return view
        }
        throw NotSeen(description: "the verdict on \(name) did not come; \(heartbeat.output)")
    }

    /// Waits for so many beats.
    func beats(of name: String, _ count: Int) throws {
        var left = count
        let end = SystemClock.monotonic + 30_000
        while left > 0, let message = session.nextMessage(timeoutMs: max(0, end - SystemClock.monotonic)) {
            _ = take(message)
            if message.topic.hasSuffix("/beat/\(name)") { left -= 1 }
        }
        if left > 0 { throw NotSeen(description: "the beats of \(name) did not come") }
    }

    private func take(_ message: InboundMessage) -> String? {
        guard let topic = Topic(message.topic), case .liveness(let name) = topic.place,
            let view = try? LivenessView(decoding: message.payload)
        else { return nil }
        last[name] = view
        seen.append(view)
        return name
    }

    func end() async {
        for program in executors { await program.end(SIGKILL) }
        await heartbeat.end(SIGTERM)
        session.close()
    }

    private struct NotSeen: Error, CustomStringConvertible { var description: String }
}
