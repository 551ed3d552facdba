import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing
import TimeModel

@testable import Console

/// Certificates in the place of passwords, and passwords that change.
@Suite(.serialized) struct CertificateTests {
    /// Makes an authority, and certificates for the broker and for one account.
    private func certificates(_ folder: TemporaryFolder) async throws {
        let place = folder.path
        let key = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
        _ = try folder.write("server.ext", "subjectAltName=IP:127.0.0.1\n")
        let commands = [
            key + [
                "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "\(place)/ca.key", "-out",
                "\(place)/ca.crt",
            ],
            key + ["-subj", "/CN=127.0.0.1", "-keyout", "\(place)/server.key", "-out", "\(place)/server.csr"],
            key + ["-subj", "/CN=label-1", "-keyout", "\(place)/client.key", "-out", "\(place)/client.csr"],
            signing("server", place) + ["-extfile", "\(place)/server.ext"], signing("client", place),
        ]
        for command in commands {
            let outcome = try await ChildCommand.run(command)
            try #require(outcome.status == 0, "\(outcome.errors)")
        }
        for name in ["server.key", "client.key"] {
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: "\(place)/\(name)")
        }
    }

    private func signing(_ name: String, _ place: String) -> [String] {
        [
            "openssl", "x509", "-req", "-days", "2", "-in", "\(place)/\(name).csr", "-CA", "\(place)/ca.crt", "-CAkey",
            "\(place)/ca.key", "-CAcreateserial", "-out", "\(place)/\(name).crt",
        ]
    }

    @Test func aCertificateIsTheAccount() async throws {
        let files = try TemporaryFolder()
        try await certificates(files)
        let port = try FreePort.take()
        let listener = SecureListener(
            port: port, certificate: "\(files.path)/server.crt", key: "\(files.path)/server.key",
            clientAuthority: "\(files.path)/ca.crt")
        try await SecureFleet.run(secure: listener) { fleet in
            func options(_ user: String?) -> ConnectionOptions {
                var options = ConnectionOptions.client(
                    BrokerAddress(transport: .tls, host: "127.0.0.1", port: port), name: "device")
                options.authorityFile = "\(files.path)/ca.crt"
                options.username = user
                return options
            }
            let stranger = ClientSession(options("label-1"))
            #expect(throws: ClientError.self) { try stranger.connect(timeoutMs: 2000) }
            stranger.abort()
            for user in [nil, "label-1", "olga"] {
                var known = options(user)
                known.certificateFile = "\(files.path)/client.crt"
                known.keyFile = "\(files.path)/client.key"
                let device = Client(session: ClientSession(known), name: "label-1")
                try device.session.connect(timeoutMs: 5000)
                #expect(try !device.isRefused("main/martlet1/beat/label-1"), "\(user ?? "-")")
                #expect(try device.isRefused("main/martlet1/beat/label-2"))
                #expect(try device.isRefused("main/martlet1/command/olga/task/list/x"))
                device.leave()
            }
        }
    }

    @Test func anOldPasswordIsWorthNothingAtOnce() async throws {
        try await SecureFleet.run { fleet in
            let shop = try fleet.client("shop")
            let other = try fleet.client("mallory")
            let before = try fleet.brokerFolder.secret("shop").password
            let words = ["broker", "account", "rotate", "shop", "--dir", fleet.brokerFolder.path]
            let rotated = try await fleet.martlet(words)
            #expect(rotated.status == 0 && rotated.errors.contains("reads its accounts again"), "\(rotated.errors)")
            #expect(try fleet.brokerFolder.secret("shop").password != before)
            let deadline = SystemClock.monotonic + 10_000
            var ending: String?
            while ending == nil, SystemClock.monotonic < deadline {
                if case .disconnected(let text) = shop.session.next(timeoutMs: 1000) { ending = text }
            }
            #expect(ending != nil, "who is connected with the old password is put out")
            shop.session.abort()
            let password = ["-u", "shop", "-P", before, "-t", "main/martlet1/intent/shop/c/1", "-m", "{}", "-q", "1"]
            let old = try await ChildCommand.run(
                ["mosquitto_pub", "-h", "127.0.0.1", "-p", String(fleet.port)] + password, seconds: 10)
            #expect(old.status != 0)
            try fleet.client("shop").publish("main/martlet1/intent/shop/c/1", "{}")
            #expect(try !other.isRefused("main/martlet1/intent/mallory/c/1") && other.session.isConnected)
        }
    }
}
