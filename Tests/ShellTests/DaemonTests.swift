import Glibc
import Machine
import Shell
import TestSupport
import Testing

/// A service as a process of its own.
@Suite struct DaemonTests {
    private func daemon(_ broker: TestBroker, _ scratch: Scratch, _ more: [String] = []) throws -> ProgramFixture {
        try ProgramFixture(
            "martlet-relay",
            ["--broker", broker.address.description, "--state-directory", "\(scratch.path)/state"] + more,
            environment: ["HOME": scratch.path, "XDG_CONFIG_HOME": scratch.path])
    }

    private func waitForState(_ state: String, _ session: ClientSession) throws {
        var relayed: Set<String> = []
        try waitForState(state, session, &relayed)
    }

    /// Waits for a state of the relay and notes what it relays meanwhile.
    private func waitForState(_ state: String, _ session: ClientSession, _ relayed: inout Set<String>) throws {
        let topic = state == "online" ? "ready" : "up"
        _ = try session.wait(timeoutMs: 10_000) { message in
            if message.topic.hasPrefix("out/") { relayed.insert(message.topic) }
            return message.topic == topic && message.payload == Array(state.utf8)
        }
    }

    private func observer(_ broker: TestBroker) throws -> ClientSession {
        let session = try broker.session("observer")
        let filters = ["up", "ready", "out/#", "reloaded"].map { Subscription(filter: $0, wantsRetained: true) }
        try session.subscribe(filters, timeoutMs: 5000)
        return session
    }

    @Test("G-01 G-28 killed and ended by signals, it loses nothing") func signals() async throws {
        let broker = try TestBroker()
        let scratch = try Scratch()
        let session = try observer(broker)
        var relayed: Set<String> = []
        for round in 0..<5 {
            let program = try daemon(broker, scratch)
            try waitForState("online", session, &relayed)
            for number in 0..<100 {
                try session.post(OutboundMessage(topic: "in/\(round * 100 + number)", payload: []))
            }
            session.pump()
            if round < 4 {
                await program.end(SIGKILL)
                try waitForState("lost", session, &relayed)
                continue
            }
            while relayed.count < 500, let message = session.nextMessage(timeoutMs: 10_000) {
                if message.topic.hasPrefix("out/") { relayed.insert(message.topic) }
            }
            #expect(relayed.count == 500, "\(program.output)")
            #expect(await program.end(SIGTERM) == 0)
            try waitForState("offline", session)
        }
    }

    @Test("G-27 a second instance is told and ends with 78") func secondInstance() async throws {
        let broker = try TestBroker()
        let scratch = try Scratch()
        let session = try observer(broker)
        let first = try daemon(broker, scratch)
        try waitForState("online", session)
        let second = try daemon(broker, scratch)
        #expect(await second.ended() == 78)
        #expect(second.output.contains("process \(first.processID) already runs on the state directory"))
        #expect(await first.end(SIGINT) == 0)
    }

    @Test func reloadReadsTheFileAgain() async throws {
        let broker = try TestBroker()
        let scratch = try Scratch()
        let session = try observer(broker)
        let file = "\(scratch.path)/relay.json"
        try write(#"{"relay":{"padding":5}}"#, to: file)
        let program = try daemon(broker, scratch, ["--config", file])
        try waitForState("online", session)
        try write(#"{"relay":{"pading":6}}"#, to: file)
        program.signal(SIGHUP)
        while !program.output.contains("did you mean relay.padding?"), program.isRunning { poll(nil, 0, 5) }
        try write(#"{"relay":{"padding":7}}"#, to: file)
        program.signal(SIGHUP)
        let answer = try session.wait(timeoutMs: 10_000) { $0.topic == "reloaded" }
        #expect(String(decoding: answer.payload, as: UTF8.self).contains(#""padding":7"#))
        await program.end()
    }

    @Test func statusesOfABadStart() async throws {
        let broker = try TestBroker(["allow_anonymous false"])
        let scratch = try Scratch()
        let cases: [(arguments: [String], status: Int32, text: String)] = [
            (["--paddin", "3"], 64, "--paddin: unknown flag; did you mean --padding?"),
            (["--config", "/no/such/file"], 78, "cannot open /no/such/file: No such file or directory"),
            (["--help"], 0, "martlet-relay --broker unix:/run/mosquitto.sock"),
            (["--version"], 0, "martlet-relay 0.0.1"),
            (["--show-config", "--padding", "3"], 0, "relay.padding 3  flag --padding"),
            ([], 77, "does not admit relay"),
        ]
        for (arguments, status, text) in cases {
            let program = try daemon(broker, scratch, arguments)
            #expect(await program.ended(seconds: 20) == status, "\(arguments)")
            #expect(program.output.contains(text), "\(program.output)")
        }
    }

    @Test("G-20 a damaged journal stops the start") func damagedJournal() async throws {
        let broker = try TestBroker()
        let scratch = try Scratch()
        let session = try observer(broker)
        let program = try daemon(broker, scratch)
        try waitForState("online", session)
        for number in 0..<3 {
            try session.publish(OutboundMessage(topic: "in/\(number)", payload: []), timeoutMs: 5000)
        }
        _ = try session.wait(timeoutMs: 5000) { $0.topic == "out/2" }
        await program.end()
        let file = open("\(scratch.path)/state/journal", O_WRONLY)
        #expect(pwrite(file, [0xFF], 1, 40) == 1)
        close(file)
        let again = try daemon(broker, scratch)
        #expect(await again.ended() == 78)
        #expect(again.output.contains("is damaged at byte"))
    }

    private func write(_ text: String, to path: String) throws {
        let file = try #require(fopen(path, "w"))
        fputs(text, file)
        fclose(file)
    }
}
