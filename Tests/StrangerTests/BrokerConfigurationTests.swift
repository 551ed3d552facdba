import Foundation
import TestSupport
import Testing

/// `deploy/mosquitto/martlet.conf`: what it says, and that a broker takes it.
@Suite struct BrokerConfigurationTests {
    private func repositoryText(_ path: String) throws -> String {
        try String(contentsOfFile: BuildFolder.repositoryFile(path), encoding: .utf8)
    }

    /// The settings with a value that the page names in backticks.
    @Test func saysWhatThePageSays() throws {
        let page = try repositoryText("topics/broker.md")
        let section = page.components(separatedBy: "## The configuration that ships").last?
            .components(separatedBy: "\n## ").first
        let rows = (section ?? "").components(separatedBy: "\n").filter { $0.hasPrefix("| `") }
        let named = rows.flatMap { row -> [String] in
            let cell = row.components(separatedBy: "|")[1]
            return cell.components(separatedBy: "`").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
        }
        let settings = named.filter { $0.contains(" ") }
        #expect(settings.count >= 14)
        let lines = try repositoryText("deploy/mosquitto/martlet.conf").components(separatedBy: "\n")
            .map { $0.hasPrefix("#") ? String($0.dropFirst()) : $0 }
        for setting in settings {
            #expect(lines.contains(setting), "\(setting)")
        }
    }

    @Test func brokerTakesIt() async throws {
        let folder = try TemporaryFolder()
        let ports = (try FreePort.take(), try FreePort.take())
        let text = try repositoryText("deploy/mosquitto/martlet.conf")
            .replacingOccurrences(of: "/etc/mosquitto/martlet/", with: folder.path + "/")
            .replacingOccurrences(of: "/var/lib/mosquitto/", with: folder.path + "/")
            .replacingOccurrences(of: "/run/mosquitto/", with: folder.path + "/")
            .replacingOccurrences(of: "listener 1883 ", with: "listener \(ports.0) ")
            .replacingOccurrences(of: "listener 9001 ", with: "listener \(ports.1) ")
        let file = try folder.write("broker.conf", text + (getuid() == 0 ? "user root\n" : ""))
        _ = try folder.write("acl", "user shop\ntopic write main/martlet1/intent/shop/#\ntopic read main/#\n")
        let passwords = folder.path + "/passwords"
        let account = try await ChildCommand.run(["mosquitto_passwd", "-b", "-c", passwords, "shop", "secret"])
        try #require(account.status == 0, "\(account)")

        let broker = try ProgramFixture(BrokerFixture.executable, ["-c", file])
        let topic = "main/martlet1/intent/shop/print.label/a-1"
        let publish = [
            "mosquitto_pub", "--unix", folder.path + "/martlet.sock", "-V", "5", "-q", "1", "-t", topic, "-m", "{}",
        ]
        var known = try await ChildCommand.run(publish + ["-u", "shop", "-P", "secret"])
        for _ in 0..<1000 where known.status != 0 && broker.isRunning {
            known = try await ChildCommand.run(publish + ["-u", "shop", "-P", "secret"])
        }
        #expect(known.status == 0, "\(known) \(broker.output)")
        #expect(try await ChildCommand.run(publish).status != 0)
        #expect(try await ChildCommand.run(publish + ["-u", "shop", "-P", "wrong"]).status != 0)
        let loopback = ["mosquitto_pub", "-h", "127.0.0.1", "-p", String(ports.0), "-t", topic, "-m", "{}", "-q", "1"]
        #expect(try await ChildCommand.run(loopback + ["-u", "shop", "-P", "secret"]).status == 0)
        await broker.end()
    }
}
