import Contract
import Foundation
import Machine
import Shell
import TestSupport
import Testing
import TimeModel

@testable import Console

/// A broker as `martlet broker init` sets it up, with an account for everybody who plays a part, and our services on it.
final class SecureFleet: Sendable {
    /// Who plays, in which workspace, with which roles.
    static let people = [
        BrokerAccount(name: "shop", workspace: "main", roles: ["publisher"]),
        BrokerAccount(name: "mallory", workspace: "main", roles: ["publisher", "executor"]),
        BrokerAccount(name: "label-1", workspace: "main", roles: ["executor"]),
        BrokerAccount(name: "label-2", workspace: "main", roles: ["executor"]),
        BrokerAccount(name: "vera", workspace: "main", roles: ["viewer"]),
        BrokerAccount(name: "olga", workspace: "main", roles: ["operator"]),
        BrokerAccount(name: "eve", workspace: "other", roles: ["executor", "operator"]),
    ]
    /// An account of the tests that may do everything; no role has that.
    static let tester = "tester"

    /// Everything of this fleet.
    let folder: TemporaryFolder
    /// The broker's loopback port.
    let port: Int
    private let process: ProgramFixture

    /// The broker's folder.
    var brokerFolder: BrokerFolder { BrokerFolder(path: folder.path + "/broker", environment: [:]) }
    /// Where the broker listens.
    var address: BrokerAddress { BrokerAddress(transport: .tcp, host: "127.0.0.1", port: port) }

    /// Sets up and starts a broker; `dispatcher` is the section of that name in the services' configuration.
    init(dispatcher: String = "{}", secure: SecureListener? = nil) async throws {
        folder = try TemporaryFolder()
        port = try FreePort.take()
        let path = folder.path + "/broker"
        let certificates = secure.map { listener in
            [
                "--tls-port", String(listener.port), "--certificate", listener.certificate, "--key", listener.key,
                "--client-authority", listener.clientAuthority ?? "",
            ]
        }
        let made = try await SecureFleet.martlet(
            ["broker", "init", "--dir", path, "--port", String(port)] + (certificates ?? []), folder)
        try #require(made.status == 0, "\(made.errors)")
        let broker = BrokerFolder(path: path, environment: ProcessInfo.processInfo.environment)
        try BrokerCommands.put(SecureFleet.people, into: broker)
        try SecureFleet.addTester(broker)
        _ = try folder.write("martlet.json", "{\"dispatcher\":\(dispatcher)}\n")
        process = try ProgramFixture(BrokerFixture.executable, ["-c", broker.configurationFile])
        let deadline = SystemClock.monotonic + 10_000
        while (try? client(SecureFleet.tester)) == nil {
            guard process.isRunning, SystemClock.monotonic < deadline else {
                throw Missing(what: "mosquitto", output: process.output)
            }
        }
    }

    /// Gives the tests' own account a block that no role would give.
    private static func addTester(_ broker: BrokerFolder) throws {
        let password = try broker.secret(tester).password
        let names = try broker.accounts().accounts.map(\.name)
        try broker.setPasswords([tester: password], keeping: names + [tester])
        let file = FileHandle(forWritingAtPath: broker.accessFile)
        try file?.seekToEnd()
        try file?.write(contentsOf: Data("\nuser \(tester)\ntopic readwrite #\n".utf8))
        try file?.close()
    }

    /// Hands a fleet to `body` and ends it whatever happens.
    static func run(
        dispatcher: String = "{}", secure: SecureListener? = nil, _ body: (SecureFleet) async throws -> Void
    ) async throws {
        let fleet = try await SecureFleet(dispatcher: dispatcher, secure: secure)
        do { try await body(fleet) } catch {
            await fleet.process.end()
            throw error
        }
        await fleet.process.end()
    }

    /// The same with a dispatcher.
    static func withDispatcher(
        _ section: String = "{}", _ body: (SecureFleet, ProgramFixture) async throws -> Void
    ) async throws {
        try await run(dispatcher: section) { fleet in
            let dispatcher = try fleet.start("dispatcher")
            try fleet.waitUntilUp("dispatcher", dispatcher)
            do { try await body(fleet, dispatcher) } catch {
                await dispatcher.end()
                throw error
            }
            #expect(dispatcher.isRunning, "the dispatcher has ended: \(dispatcher.output)")
            await dispatcher.end()
        }
    }

    /// The same with all four services.
    static func withServices(
        _ section: String = "{}", _ body: (SecureFleet, [String: ProgramFixture]) async throws -> Void
    ) async throws {
        try await run(dispatcher: section) { fleet in
            var services: [String: ProgramFixture] = [:]
            for name in ["dispatcher", "scheduler", "heartbeat", "monitor"] { services[name] = try fleet.start(name) }
            do {
                for (name, service) in services { try fleet.waitUntilUp(name, service) }
                try await body(fleet, services)
            } catch {
                for service in services.values { await service.end() }
                throw error
            }
            for (name, service) in services {
                #expect(service.isRunning, "\(name) has ended: \(service.output)")
                await service.end()
            }
        }
    }

    /// The flags with which a program connects as an account.
    func connection(_ account: String) -> [String] {
        [
            "--broker", address.description, "--user", account, "--password-file",
            brokerFolder.secretFile(account),
        ]
    }

    /// Starts one of the services.
    func start(_ service: String) throws -> ProgramFixture {
        try ProgramFixture(
            "martlet-\(service)",
            connection(service) + [
                "--config", folder.path + "/martlet.json", "--state-directory", folder.path + "/state-\(service)",
            ])
    }

    /// Waits until a service answers a command. Its record may say "up" an instant before it hears requests.
    func waitUntilUp(_ service: String, _ program: ProgramFixture) throws {
        let asker = try client("olga")
        defer { asker.leave() }
        let commands = ["scheduler": "schedule/list", "heartbeat": "check/list", "monitor": "history/query"]
        let rest = "olga/\(commands[service] ?? "capability/list")/ready"
        try asker.subscribe("main/martlet1/reply/\(rest)")
        let deadline = SystemClock.monotonic + 15_000
        while SystemClock.monotonic < deadline, program.isRunning {
            try asker.publish("main/martlet1/command/\(rest)", "{}")
            if asker.session.nextMessage(timeoutMs: 100) != nil { return }
        }
        throw Missing(what: service, output: program.output)
    }

    /// A connected client.
    func client(_ account: String, id: String? = nil, will: OutboundMessage? = nil) throws -> Client {
        var options = ConnectionOptions.client(address, name: account)
        options.username = account
        options.passwordFile = brokerFolder.secretFile(account)
        if let id { (options.clientID, options.cleanStart) = (id, false) }
        let session = ClientSession(options, will: will)
        try session.connect(timeoutMs: 2000)
        return Client(session: session, name: account)
    }

    /// Runs `martlet` as an account of this fleet.
    func console(_ words: [String], as account: String) async throws -> CommandOutcome {
        try await martlet(words + connection(account))
    }

    /// Runs `martlet` with a home of its own.
    func martlet(_ words: [String]) async throws -> CommandOutcome { try await SecureFleet.martlet(words, folder) }

    private static func martlet(_ words: [String], _ folder: TemporaryFolder) async throws -> CommandOutcome {
        let program = try BuildFolder.program("martlet").path(percentEncoded: false)
        let home = folder.path + "/home"
        return try await ChildCommand.run(
            [program] + words,
            environment: ["HOME": home, "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home, "NO_COLOR": "1"])
    }

    /// Runs one of mosquitto's clients, which speak 3.1.1 unless told otherwise, as an account.
    func mosquitto(_ words: [String], as account: String) async throws -> CommandOutcome {
        let password = try brokerFolder.secret(account).password
        let connection = ["-h", "127.0.0.1", "-p", String(port), "-u", account, "-P", password, "-q", "1"]
        return try await ChildCommand.run(Array(words.prefix(1)) + connection + words.dropFirst(), seconds: 20)
    }
}

/// One account's connection.
struct Client {
    /// The connection.
    let session: ClientSession
    /// The account.
    let name: String

    /// Subscribes; without what is retained unless asked for.
    func subscribe(_ filters: String..., retained: Bool = false) throws {
        try session.subscribe(
            filters.map { Subscription(filter: $0, wantsRetained: retained) }, timeoutMs: 5000)
    }

    /// Publishes and waits for the broker's word; throws what it refuses.
    func publish(_ topic: String, _ payload: String, retain: Bool = false) throws {
        try publish(topic, Array(payload.utf8), retain: retain)
    }

    /// The same with bytes.
    func publish(_ topic: String, _ payload: [UInt8], retain: Bool = false) throws {
        try session.publish(OutboundMessage(topic: topic, payload: payload, retain: retain), timeoutMs: 5000)
    }

    /// Whether the broker refuses a publish.
    func isRefused(_ topic: String, _ payload: String = "{}", retain: Bool = false) throws -> Bool {
        do { try publish(topic, payload, retain: retain) } catch ClientError.refused { return true }
        return false
    }

    /// The first message on topics that begin like this, others being dropped.
    func wait(_ prefix: String, seconds: Int = 10, containing part: String = "") throws -> InboundMessage {
        var others: [String] = []
        do {
            return try session.wait(timeoutMs: seconds * 1000) {
                if $0.topic.hasPrefix(prefix), part.isEmpty || $0.text.contains(part) { return true }
                others.append("\($0.topic) \($0.text.prefix(200))")
                return false
            }
        } catch {
            let seen = others.suffix(10).joined(separator: "\n")
            throw Missing(what: "\(prefix) with \(part) for \(name): \(error)", output: seen)
        }
    }

    /// All that came up to the first message on a topic, without it.
    func messages(upTo topic: String, seconds: Int = 15) throws -> [InboundMessage] {
        var list: [InboundMessage] = []
        _ = try session.wait(timeoutMs: seconds * 1000) { message in
            if message.topic == topic { return true }
            list.append(message)
            return false
        }
        return list
    }

    /// What is retained under filters; the end is told apart by a message of one's own.
    func retained(_ filters: String...) throws -> [String: String] {
        let mark = "main/martlet1/mark/\(name)/\(UInt32.random(in: 0 ... .max))"
        try session.subscribe(
            filters.map { Subscription(filter: $0, wantsRetained: true) }
                + [Subscription(filter: mark, wantsRetained: false)], timeoutMs: 5000)
        try publish(mark, "")
        return try messages(upTo: mark).filter(\.retained).reduce(into: [:]) { $0[$1.topic] = $1.text }
    }

    /// Sends an intent and returns its result.
    func result(of capability: String, _ intent: String = "{}", id: String) throws -> String {
        let rest = "\(name)/\(capability)/\(id)"
        try subscribe("main/martlet1/result/\(rest)")
        try publish("main/martlet1/intent/\(rest)", intent)
        return try wait("main/martlet1/result/\(rest)").text
    }

    /// Sends a command and returns its reply.
    func reply(_ command: String, _ payload: String = "{}") throws -> String {
        try subscribe("main/martlet1/reply/\(name)/\(command)")
        try publish("main/martlet1/command/\(name)/\(command)", payload)
        return try wait("main/martlet1/reply/\(name)/\(command)").text
    }

    /// Leaves in an orderly way.
    func leave() { session.close() }
}

extension InboundMessage {
    /// The payload as text.
    var text: String { String(decoding: payload, as: UTF8.self) }
}

/// An executor by hand: it has a card, beats once, and does what a test tells it.
struct HandExecutor {
    /// Its connection.
    let client: Client

    /// Connects and announces itself.
    init(_ fleet: SecureFleet, _ name: String, capability: String, leaseMs: Int = 30_000) throws {
        let slots = 4
        let will = OutboundMessage(
            topic: "main/martlet1/executor/\(name)/status",
            payload: Array("{\"status\":\"lost\",\"boot\":\"b1\",\"conn\":1}".utf8), retain: true)
        client = try fleet.client(name, will: will)
        try client.subscribe("main/martlet1/work/+/\(name)")
        let base = "main/martlet1"
        try client.publish(
            "\(base)/executor/\(name)/card",
            "{\"boot\":\"b1\",\"rev\":1,\"slots\":\(slots),\"capabilities\":["
                + "{\"name\":\"\(capability)\",\"lease_ms\":\(leaseMs)}]}",
            retain: true)
        try client.publish(
            "\(base)/executor/\(name)/status", "{\"status\":\"online\",\"boot\":\"b1\",\"conn\":1}", retain: true)
        try client.publish("\(base)/beat/\(name)", "{\"boot\":\"b1\",\"seq\":1,\"free_slots\":\(slots)}")
    }

    /// The next assignment: task and epoch.
    func assignment() throws -> (task: String, epoch: Int) {
        let message = try client.wait("main/martlet1/work/", containing: "\"assign\"")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(message.payload)) as? [String: Any])
        return (try #require(object["task"] as? String), try #require(object["epoch"] as? Int))
    }

    /// Leaves in an orderly way.
    func leave() { client.leave() }

    /// Sends a report.
    func report(_ task: String, _ payload: String) throws {
        try client.publish("main/martlet1/report/\(client.name)/\(task)", payload)
    }

    /// Ends an attempt well.
    func succeed(_ work: (task: String, epoch: Int)) throws {
        try report(work.task, "{\"epoch\":\(work.epoch),\"type\":\"outcome\",\"status\":\"success\",\"output\":1}")
    }
}

/// Something that should have happened.
struct Missing: Error, CustomStringConvertible {
    /// What.
    var what: String
    /// What is known about it.
    var output: String

    /// Both.
    var description: String { "missing: \(what)\n\(output)" }
}
