import Foundation

/// A private mosquitto on a free loopback port. It takes any account at its word: no passwords, no rights; what it is
/// asked beyond that goes into `settings`. With MARTLET_TEST_BROKER in the environment it is the broker at that
/// `mqtt://HOST:PORT` instead, or two nodes of one, parted by a comma: services and readers then use the first, all
/// others the second. MARTLET_TEST_PASSWORD_FILE names the file with the password of all its accounts.
public final class BrokerFixture: Sendable {
    /// The loopback port of services and readers.
    public let port: Int
    /// The loopback port of publishers and executors.
    public let clientPort: Int
    private let host: String
    private let password: String?
    private let folder: TemporaryFolder
    private let program: ProgramFixture?

    /// The address for our programs: `mqtt://127.0.0.1:PORT`.
    public var address: String { "mqtt://\(host):\(port)" }

    /// Options of the mosquitto clients for publishers and executors with an account.
    public func options(as user: String) -> [String] { options(user, clientPort) }

    private func options(_ user: String, _ port: Int) -> [String] {
        ["-h", host, "-p", String(port), "-u", user] + (password.map { ["-P", $0] } ?? [])
    }

    /// The account's options of our programs besides `--broker`.
    public func account(_ user: String) throws -> [String] {
        ["--user", user, "--password-file", try passwordFile()]
    }

    /// A file with the password of every account; a private broker asks for none.
    public func passwordFile() throws -> String { try folder.write("password", (password ?? "unused") + "\n") }

    /// Starts a broker, or finds the one that runs, and waits until it answers.
    public init(settings: [String] = []) async throws {
        folder = try TemporaryFolder()
        let environment = ProcessInfo.processInfo.environment
        if let addresses = environment["MARTLET_TEST_BROKER"] {
            let places = addresses.split(separator: ",").compactMap { URL(string: String($0)) }
            guard let first = places.first, let last = places.last, let port = first.port, let clients = last.port
            else {
                throw NotReady(what: "the broker at \(addresses)", output: "")
            }
            (host, self.port, clientPort) = (first.host() ?? "127.0.0.1", port, clients)
            password = try environment["MARTLET_TEST_PASSWORD_FILE"].map {
                try String(contentsOfFile: $0, encoding: .utf8).trimmingCharacters(in: .newlines)
            }
            program = nil
            try await waitUntilItAnswers()
            try await clear()
            return
        }
        (host, password) = ("127.0.0.1", nil)
        port = try FreePort.take()
        clientPort = port
        let lines = [
            "per_listener_settings false", "allow_anonymous true", "set_tcp_nodelay true", "persistence false",
            "listener \(port) 127.0.0.1",
        ]
        let user = getuid() == 0 ? ["user root"] : []
        let file = try folder.write("broker.conf", (lines + user + settings).joined(separator: "\n") + "\n")
        program = try ProgramFixture(BrokerFixture.executable, ["-c", file])
        try await waitUntilItAnswers()
    }

    /// Where mosquitto is: on Debian outside of the path of ordinary users.
    public static let executable =
        ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"]
        .first { FileManager.default.isExecutableFile(atPath: $0) } ?? "/usr/sbin/mosquitto"

    /// Ends the broker; one that ran before goes on, without what the test left retained.
    public func end() async {
        await program?.end()
        if program == nil { try? await clear() }
    }

    /// Takes away what an earlier test left retained, on every node.
    private func clear() async throws {
        for place in Set([port, clientPort]) {
            let seen = try await ChildCommand.run(
                ["mosquitto_sub"] + options("watcher", place) + [
                    "-q", "1", "--retained-only", "-W", "1", "-F", "%t", "-t", "#",
                ])
            for topic in seen.output.split(separator: "\n") {
                _ = try await ChildCommand.run(
                    ["mosquitto_pub"] + options("watcher", place) + ["-q", "1", "-r", "-n", "-t", String(topic)])
            }
        }
    }

    private func waitUntilItAnswers() async throws {
        for _ in 0..<1000 {
            guard program?.isRunning ?? true else { break }
            let answer = try await publish("ready", "", as: "fixture")
            if answer.status == 0 { return }
        }
        throw NotReady(what: "the broker", output: program?.output ?? "")
    }

    /// Publishes a message at QoS 1.
    @discardableResult
    public func publish(
        _ topic: String, _ payload: String, as user: String, options: [String] = []
    ) async throws -> CommandOutcome {
        let arguments = ["mosquitto_pub"] + self.options(as: user) + ["-q", "1", "-t", topic, "-m", payload]
        return try await ChildCommand.run(arguments + options, seconds: 20)
    }

    /// Sends a request and returns the first message on the answer's topic; nothing after `seconds`.
    public func ask(
        _ topic: String, answer: String, _ payload: String, as user: String, seconds: Int = 30
    ) async throws -> String? {
        let arguments =
            ["mosquitto_rr"] + options(as: user) + [
                "-q", "1", "-W", String(seconds), "-t", topic, "-e", answer, "-m", payload,
            ]
        let outcome = try await ChildCommand.run(arguments, seconds: seconds + 10)
        return outcome.status == 0 ? outcome.output.trimmingCharacters(in: .newlines) : nil
    }

    /// Returns the next messages of a filter, retained ones first: as many as asked for, fewer when `seconds` have passed.
    public func read(_ filter: String, count: Int = 1, as user: String = "watcher", seconds: Int = 15) async throws
        -> [String]
    {
        let arguments =
            ["mosquitto_sub"] + options(user, port) + [
                "-q", "1", "-C", String(count), "-W", String(seconds), "-t", filter,
            ]
        let outcome = try await ChildCommand.run(arguments, seconds: seconds + 10)
        return outcome.output.split(separator: "\n").map(String.init)
    }

    /// Waits until a service of this name says that it is up; throws when it has not in time, or has ended.
    public func waitUntilUp(_ service: String, _ program: ProgramFixture) async throws {
        for count in 1...5 where program.isRunning {
            let records = try await read("_sys/martlet1/service/\(service)/+", count: count, seconds: 10)
            if records.last?.contains("\"state\":\"up\"") == true { return }
        }
        throw NotReady(what: service, output: program.output)
    }
}

/// A program that did not come up.
public struct NotReady: Error, CustomStringConvertible {
    /// Its name.
    public var what: String
    /// What it wrote.
    public var output: String

    /// The name and what it wrote.
    public var description: String { "\(what) is not ready:\n\(output)" }
}

/// Loopback ports nobody listens on.
public enum FreePort {
    /// Takes one from the system. Another program could take it before it is used; with loopback ports of the ephemeral
    /// range that is as good as never.
    public static func take() throws -> Int {
        let descriptor = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, size) == 0 && getsockname(descriptor, generic, &size) == 0
            }
        }
        guard bound else { throw NotReady(what: "a free port", output: String(cString: strerror(errno))) }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
