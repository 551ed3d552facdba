import Contract
import Foundation
import TestSupport
import Testing

@testable import Console

/// The broker's rights and configuration.
@Suite struct BrokerFolderTests {
    @Test func theAccessListHasALiteralBlockForEachAccount() {
        var file = AccountFile()
        file.put(BrokerAccount(name: "zoe", workspace: "main", roles: ["publisher"]))
        file.put(BrokerAccount(name: "dispatcher", workspace: nil, roles: ["dispatcher"]))
        let list = file.accessList
        #expect(list.contains("user zoe\ntopic write main/martlet1/intent/zoe/#\n"))
        #expect(list.contains("topic read +/martlet1/intent/#\n"))
        #expect(!list.contains("%u"))
        #expect(AccountFile.problem(inAccessList: list) == nil)
    }

    @Test(arguments: ["topic read a\n", "user a b\n", "user a\ntopic readwrite x\n", "user a\ntopic read\n", "junk\n"])
    func aBrokenAccessListIsSeen(_ text: String) { #expect(AccountFile.problem(inAccessList: text) != nil) }

    @Test func noWebSocketListenerWithoutADashboard() {
        let text = BrokerConfiguration(folder: "/b", listeners: BrokerListeners(port: 1883, socket: "/b/s")).text
        #expect(text.contains("\nlistener 1883 127.0.0.1\n"))
        #expect(text.contains("\nlistener 0 /b/s\n"))
        #expect(!text.contains("websockets"))
        #expect(text.contains("allow_anonymous false"))
    }

    @Test func browsersGetAListenerOnLoopbackAlone() {
        let web = WebListener(port: 9001, files: "/d")
        let text = BrokerConfiguration(folder: "/b", listeners: BrokerListeners(port: 1883, web: web)).text
        let lines = ["listener 9001 127.0.0.1", "socket_domain ipv4", "protocol websockets", "max_connections 1000"]
        #expect(text.hasSuffix("\n" + lines.joined(separator: "\n") + "\nhttp_dir /d\n"))
        #expect(WebListener(port: 9001).lines.suffix(4) == lines[...])
    }

    @Test func aNewFolderHoldsNoPasswordInClearButSecrets() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/b"
        let made = try await martlet(["broker", "init", "--dir", path, "--port", "1"], folder)
        #expect(made.status == 0, "\(made.errors)")
        let added = try await martlet(["broker", "account", "add", "zoe", "--role", "operator", "--dir", path], folder)
        let password = added.output.trimmingCharacters(in: .newlines)
        #expect(password.count == 19)
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) where !name.hasPrefix("secrets/") {
            let text = (try? String(contentsOfFile: path + "/" + name, encoding: .utf8)) ?? ""
            #expect(!text.contains(password), "\(name)")
        }
        let hashes = try String(contentsOfFile: path + "/passwords", encoding: .utf8)
        #expect(hashes.split(separator: "\n").count == 5)
        #expect(hashes.split(separator: "\n").allSatisfy { $0.contains(":$") })
        let mode = try FileManager.default.attributesOfItem(atPath: path + "/secrets/dispatcher")[.posixPermissions]
        #expect(mode as? Int == 0o600)
        let removed = try await martlet(["broker", "account", "remove", "zoe", "--dir", path], folder)
        #expect(removed.status == 0)
        let listed = try await martlet(["broker", "account", "list", "--dir", path], folder)
        #expect(!listed.output.contains("zoe"))
        let again = try await martlet(["broker", "init", "--dir", path], folder)
        #expect(again.status == 4)
    }
}
