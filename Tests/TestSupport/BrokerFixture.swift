import Foundation

/// A private mosquitto on a free loopback port and a Unix socket. It takes any account at its word: no passwords, no
/// rights; what it is asked beyond that goes into `settings`.
public final class BrokerFixture: Sendable {
    /// The loopback port.
    public let port: Int
    /// The path of the Unix socket.
    public let socket: String
    private let folder: TemporaryFolder
    private let program: ProgramFixture

    /// The address for our programs: `mqtt://127.0.0.1:PORT`.
    public var address: String { "mqtt://127.0.0.1:\(port)" }

    /// Starts a broker and waits until it answers.
    public init(settings: [String] = []) async throws {
        folder = try TemporaryFolder()
        port = try FreePort.take()
        socket = folder.path + "/broker.sock"
        let lines = [
            "per_listener_settings false", "allow_anonymous true", "set_tcp_nodelay true", "persistence false",
            "listener \(port) 127.0.0.1", "listener 0 \(socket)",
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

    /// Ends the broker.
    public func end() async { await program.end() }

    private func waitUntilItAnswers() async throws {
        for _ in 0..<1000 {
            guard program.isRunning else { break }
            let answer = try await publish("ready", "", as: "fixture")
            if answer.status == 0 { return }
        }
        throw NotReady(what: "mosquitto", output: program.output)
    }

    /// Publishes a message at QoS 1.
    @discardableResult
    public func publish(
        _ topic: String, _ payload: String, as user: String, options: [String] = []
    ) async throws -> CommandOutcome {
        let arguments = ["mosquitto_pub", "--unix", socket, "-u", user, "-q", "1", "-t", topic, "-m", payload]
        return try await ChildCommand.run(arguments + options, seconds: 20)
    }

    /// Sends a request and returns the first message on the answer's topic; nothing after `seconds`.
    public func ask(
        _ topic: String, answer: String, _ payload: String, as user: String, seconds: Int = 30
    ) async throws -> String? {
        let arguments = [
            "mosquitto_rr", "--unix", socket, "-u", user, "-q", "1", "-W", String(seconds), "-t", topic, "-e", answer,
            "-m", payload,
        ]
        let outcome = try await ChildCommand.run(arguments, seconds: seconds + 10)
        return outcome.status == 0 ? outcome.output.trimmingCharacters(in: .newlines) : nil
    }

    /// Returns the next messages of a filter, retained ones first: as many as asked for, fewer when `seconds` have passed.
    public func read(_ filter: String, count: Int = 1, as user: String = "watcher", seconds: Int = 15) async throws
        -> [String]
    {
        let arguments = [
            "mosquitto_sub", "--unix", socket, "-u", user, "-q", "1", "-C", String(count), "-W", String(seconds), "-t",
            filter,
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
