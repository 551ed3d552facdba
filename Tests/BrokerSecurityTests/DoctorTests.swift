import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing
import TimeModel
import Wire

@testable import Console

/// `martlet doctor` on a broker of ours, on one as Debian ships it, and on one that takes everybody.
@Suite(.serialized) struct DoctorTests {
    private func levels(_ outcome: CommandOutcome) throws -> [String: String] {
        try outcome.output.split(separator: "\n").reduce(into: [:]) { found, line in
            let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String])
            found[try #require(object["code"])] = object["level"]
            if object["level"] == "fault" || object["level"] == "warning" {
                #expect(object["remedy"] != nil, "\(line)")
            }
        }
    }

    private func order(_ outcome: CommandOutcome) -> [String] {
        outcome.output.split(separator: "\n").compactMap { line in
            (try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String])?["code"]
        }
    }

    @Test func ourBrokerHasNoFault() async throws {
        try await SecureFleet.withServices { fleet, _ in
            let outcome = try await fleet.console(
                ["doctor", "--json", "--dir", fleet.brokerFolder.path], as: "olga")
            let found = try levels(outcome)
            #expect(outcome.status == 0, "\(outcome.output)")
            for code in [
                "configuration", "listening", "anonymous", "rights_own", "rights_foreign", "dispatcher", "scheduler",
                "heartbeat", "monitor", "snapshot", "clock", "take_over", "releases", "zone_data",
            ] {
                #expect(found[code] == "ok", "\(code): \(outcome.output)")
            }
            #expect(!found.values.contains("fault"))
            let codes = order(outcome)
            let sorted = ["configuration", "connection", "rights_own", "dispatcher", "snapshot", "round_trip", "clock"]
            #expect(codes.filter(sorted.contains) == sorted, "\(codes)")
        }
    }

    /// A viewer may do little: it is told so, and nothing of it is a fault of the broker.
    @Test func aViewerIsToldWhatItCannotSee() async throws {
        try await SecureFleet.run { fleet in
            let outcome = try await fleet.console(["doctor", "--json", "--dir", fleet.brokerFolder.path], as: "vera")
            let found = try levels(outcome)
            #expect(outcome.status == 0 && found["rights_own"] == "warning" && found["dispatcher"] == "note")
            #expect(found["records"] == "note" && found["snapshot"] == "note")
        }
    }

    /// The broker as Debian ships it: port 1883 of the loopback address, everybody may do everything.
    @Test func debiansBrokerHasFaultsWithRemedies() async throws {
        let folder = try TemporaryFolder()
        let port = try FreePort.take()
        let file = try folder.write(
            "mosquitto.conf",
            "pid_file \(folder.path)/pid\npersistence true\npersistence_location \(folder.path)/\nlog_dest stderr\n"
                + "include_dir \(folder.path)/conf.d\n" + (getuid() == 0 ? "user root\n" : ""))
        _ = try folder.write("conf.d/README", "nothing\n")
        let broker = try ProgramFixture(BrokerFixture.executable, ["-c", file, "-p", String(port)])
        let session = ClientSession(
            .client(BrokerAddress(transport: .tcp, host: "127.0.0.1", port: port), name: "waits"))
        let deadline = SystemClock.monotonic + 10_000
        while (try? session.connect(timeoutMs: 500)) == nil, SystemClock.monotonic < deadline {}
        session.close()
        // No file is named: the running broker's own is found.
        let program = try BuildFolder.program("martlet").path(percentEncoded: false)
        let outcome = try await ChildCommand.run(
            [program, "doctor", "--json", "--broker", "mqtt://127.0.0.1:\(port)"],
            environment: ["HOME": folder.path, "XDG_CONFIG_HOME": folder.path, "XDG_STATE_HOME": folder.path])
        await broker.end()
        let found = try levels(outcome)
        #expect(outcome.status == 1 && outcome.output.contains(file), "\(outcome.output)")
        for code in ["file_anonymous", "file_rights", "anonymous", "rights_foreign"] {
            #expect(found[code] == "fault", "\(code): \(outcome.output)")
        }
        for code in ["file_queue", "file_bounds", "file_nagle", "inflight", "queue"] {
            #expect(found[code] == "warning", "\(code): \(outcome.output)")
        }
    }

    @Test func anOpenBrokerHasFaultsWithRemedies() async throws {
        let broker = try await BrokerFixture()
        let home = try TemporaryFolder()
        let file = try home.write(
            "open.conf", "listener 9001 127.0.0.1\nprotocol websockets\nmax_queued_messages 0\nlistener 1883\n")
        let program = try BuildFolder.program("martlet").path(percentEncoded: false)
        let outcome = try await ChildCommand.run(
            [program, "doctor", "--json", "--broker", broker.address, "--configuration", file],
            environment: ["HOME": home.path, "XDG_CONFIG_HOME": home.path, "XDG_STATE_HOME": home.path])
        await broker.end()
        let found = try levels(outcome)
        #expect(outcome.status == 1)
        for code in ["anonymous", "rights_foreign", "file_rights", "file_queue", "file_websockets", "file_plain"] {
            #expect(found[code] == "fault", "\(code): \(outcome.output)")
        }
        #expect(found["queue"] == "warning" && found["inflight"] == "warning")
    }

    /// A browser's listener that says 127.0.0.1 and listens everywhere: the kernel's table shows it.
    @Test func theKernelKnowsWhoMayConnect() throws {
        let table = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
               1: 00000000:2329 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2
               2: 0100007F:2329 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 3
            """
        #expect(ListeningSockets.addresses(table, port: 1883) == ["0100007F"])
        #expect(ListeningSockets.addresses(table, port: 9001) == ["00000000"])
        #expect(ListeningSockets.addresses(table, port: 80).isEmpty)
    }

    @Test func aPageNamesItsFiles() {
        let page =
            "<link rel=\"stylesheet\" href=\"style.css?1\"><script src=\"app.js\"></script><a href=\"http://x/y.js\">"
        #expect(LocalPage.files(in: page) == ["style.css", "app.js"])
        #expect(LocalPage.content(Array("HTTP/1.1 200 OK\r\nA: b\r\n\r\n<p>".utf8)) == "<p>")
        #expect(LocalPage.content(Array("HTTP/1.1 404 Not Found\r\n\r\n<p>".utf8)) == nil)
    }

    /// What the services say of themselves is compared.
    @Test func servicesAreCompared() throws {
        func message(_ topic: String, _ payload: String) -> InboundMessage {
            InboundMessage(topic: "_sys/martlet1/\(topic)", payload: Array(payload.utf8), retained: true)
        }
        var board = ServiceBoard()
        let since = "2026-11-20T08:00:00.000Z"
        let now = try #require(WallTime(rfc3339: "2026-11-20T09:00:00.000Z"))
        for (name, version, zones) in [("dispatcher", "0.1.0", ""), ("scheduler", "0.2.0", ",\"tzdb\":\"2020a\"")] {
            board.take(
                message(
                    "service/\(name)/main",
                    "{\"state\":\"up\",\"version\":\"\(version)\",\"term\":1,\"boot\":\"b\",\"since\":\"\(since)\",\"features\":[]\(zones)}"
                ))
        }
        board.take(message("metrics/dispatcher", #"{"uptime_ms":3590000}"#))
        board.take(message("metrics/scheduler", #"{"uptime_ms":3700000}"#))
        let found = board.findings(zones: "2025b", now: now)
        #expect(found.map(\.code) == ["releases", "zone_data", "clocks"])
        #expect(found.allSatisfy { $0.level == .warning && $0.remedy != nil }, "\(found)")
        #expect(found[2].text.contains("scheduler is 1 min 40 s ahead"), "\(found[2].text)")
    }
}
