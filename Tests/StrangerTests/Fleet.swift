import Foundation
import TestSupport

/// A private broker with a dispatcher on it, for clients that know nothing but the topics.
final class Fleet: Sendable {
    let broker: BrokerFixture
    private let folder: TemporaryFolder

    /// Starts broker and dispatcher, hands them to `body`, and ends the dispatcher and the broker whatever happens.
    static func run(_ body: (Fleet, ProgramFixture) async throws -> Void) async throws {
        let fleet = try await Fleet()
        let dispatcher = try await fleet.startDispatcher()
        do {
            try await body(fleet, dispatcher)
        } catch {
            await fleet.end(dispatcher)
            throw error
        }
        await fleet.end(dispatcher)
    }

    private init() async throws {
        folder = try TemporaryFolder()
        broker = try await BrokerFixture()
    }

    private func end(_ dispatcher: ProgramFixture) async {
        await dispatcher.end()
        await broker.end()
    }

    /// Starts a dispatcher on the fleet's one state directory and waits until it is up.
    func startDispatcher() async throws -> ProgramFixture {
        let dispatcher = try ProgramFixture(
            "martlet-dispatcher",
            ["--broker", broker.address, "--state-directory", folder.path + "/dispatcher"]
                + broker.account("dispatcher"))
        try await broker.waitUntilUp("dispatcher", dispatcher)
        return dispatcher
    }

    /// Starts one of `deploy/examples` that is a shell script.
    func startScript(_ name: String, _ arguments: String...) throws -> ProgramFixture {
        let file = BuildFolder.repositoryFile("deploy/examples/\(name)")
        return try ProgramFixture("/bin/sh", [file] + arguments, environment: account(arguments.first ?? ""))
    }

    /// Runs one of `deploy/examples` that is a shell script to its end.
    func runScript(_ name: String, _ arguments: String...) async throws -> CommandOutcome {
        let file = BuildFolder.repositoryFile("deploy/examples/\(name)")
        return try await ChildCommand.run(
            ["/bin/sh", file] + arguments, environment: account(arguments.first ?? ""), seconds: 60)
    }

    /// Starts one of `deploy/examples` that is a Python program.
    func startPython(_ name: String, as executor: String) throws -> ProgramFixture {
        let file = BuildFolder.repositoryFile("deploy/examples/\(name)")
        let arguments = [file, "127.0.0.1", String(broker.clientPort), executor, try broker.passwordFile()]
        return try ProgramFixture("/usr/bin/python3", arguments, environment: ["PYTHONDONTWRITEBYTECODE": "1"])
    }

    /// The connection of the mosquitto clients, where the scripts expect it.
    private func account(_ name: String) -> [String: String] {
        let home = "\(folder.path)/account-\(name)"
        let lines = stride(from: 0, to: broker.options(as: name).count, by: 2).map {
            broker.options(as: name)[$0...].prefix(2).joined(separator: " ")
        }
        _ = try? folder.write("account-\(name)/mosquitto_rr", lines.joined(separator: "\n") + "\n")
        return ["XDG_CONFIG_HOME": home]
    }

    /// Waits until the dispatcher's view of a capability names one of its executors as free.
    func waitForSupply(of capability: String) async throws {
        _ = try await broker.read("main/martlet1/capability/\(capability)")
    }

    /// Sends an intent and returns its result.
    func result(of capability: String, _ intent: String, id: String, as principal: String = "shop") async throws
        -> String
    {
        let rest = "\(principal)/\(capability)/\(id)"
        return try await broker.ask(
            "main/martlet1/intent/\(rest)", answer: "main/martlet1/result/\(rest)", intent, as: principal) ?? "none"
    }

    /// Sends an intent and returns its first update.
    func update(of capability: String, _ intent: String, id: String, as principal: String = "shop") async throws
        -> String
    {
        let rest = "\(principal)/\(capability)/\(id)"
        return try await broker.ask(
            "main/martlet1/intent/\(rest)", answer: "main/martlet1/update/\(rest)", intent, as: principal) ?? "none"
    }
}

/// Whether Debian's Python has the MQTT client that the Python examples need.
let hasPythonClient: Bool = {
    let folders = ["/usr/lib/python3/dist-packages/paho", "/usr/local/lib/python3/dist-packages/paho"]
    return folders.contains { FileManager.default.fileExists(atPath: $0) }
}()
