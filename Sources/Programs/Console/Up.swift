import Contract
import Foundation
import Glibc
import Machine
import Shell
import TimeModel
import Wire

/// `martlet up`: broker, services, a demo executor and one task, by one command.
final class Up {
    private let session: Session
    private let directory: String
    private let broker: UpBroker
    private var services: [ManagedProcess] = []
    private var executor: ManagedProcess?
    private let leftovers: LeftoverProcesses
    private var restarts: [String: (count: Int, dueAt: MonotonicTime)] = [:]

    /// How long a service may take to be ready, in ms.
    static let readyMs = 10_000
    /// What the first task gets.
    static let firstInput = "{\"hello\":1}"
    /// What the first task runs.
    static let firstCapability = "demo.echo"

    private init(_ session: Session, _ directory: String, _ leftovers: LeftoverProcesses) throws(Failure) {
        self.session = session
        self.directory = directory
        self.leftovers = leftovers
        let invocation = session.invocation
        if let address = invocation.text("broker") {
            broker = try UpBroker(
                existing: address, user: invocation.text("user"), passwordFile: invocation.text("password-file"))
        } else {
            if invocation.has("user") || invocation.has("password-file") {
                throw .usage("--user and --password-file belong to --broker; the private broker has its own accounts")
            }
            broker = try UpBroker(privateUnder: directory, environment: session.environment)
        }
    }

    /// The command.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        let given = session.invocation.text("dir") ?? "\(UserFolders.state(session.environment))/up"
        let directory = given.hasPrefix("/") ? given : "\(FileManager.default.currentDirectoryPath)/\(given)"
        try FileText.makeFolder(directory)
        let lock: StateDirectory
        do throws(StateDirectory.Fault) { lock = try StateDirectory(directory) } catch {
            throw Failure(.configuration, "\(error)", tries: ["martlet up --dir ANOTHER"])
        }
        let leftovers = LeftoverProcesses(file: "\(directory)/processes")
        let ended = leftovers.end()
        if !ended.isEmpty { session.terminal.say("Ended what an earlier run left: \(ended.joined(separator: ", ")).") }
        if session.invocation.has("fresh") { try clear(directory) }
        try FileText.makeFolder("\(directory)/log")
        return try withExtendedLifetime(lock) { () throws(Failure) -> ExitStatus in
            try Up(session, directory, leftovers).run()
        }
    }

    private static func clear(_ directory: String) throws(Failure) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        for name in names where name != "lock" {
            do { try FileManager.default.removeItem(atPath: "\(directory)/\(name)") } catch {
                throw Failure(.ownFault, "cannot remove \(directory)/\(name)")
            }
        }
    }

    private var all: [ManagedProcess] { [executor].compactMap(\.self) + services + [broker.process].compactMap(\.self) }

    private func run() throws(Failure) -> ExitStatus {
        let result: Swift.Result<ExitStatus, Failure>
        do throws(Failure) { result = .success(try start()) } catch {
            for line in error.log { session.terminal.say(line) }
            result = .failure(error)
        }
        stop()
        return try result.get()
    }

    private func start() throws(Failure) -> ExitStatus {
        let terminal = session.terminal
        terminal.print("martlet \(Console.version)   everything in \(shown(directory))")
        let client = try broker.connected(session.interrupts, withinMs: Up.readyMs)
        try leftovers.note(all)
        defer { client.close() }
        terminal.print(row("broker", "\(broker.title)  \(broker.shownAddress)"))
        let readiness = try ServiceReadiness(client)
        let programs = UpPrograms(directory: directory, environment: session.environment)
        services = try programs.services(broker)
        let executor = try programs.executor(broker)
        self.executor = executor
        for process in services + [executor] { try process.start() }
        try leftovers.note(all)
        try readiness.await(services, withinMs: Up.readyMs, checking: all)
        terminal.print(row("services", services.map(\.name).joined(separator: "  ")))
        let card = try awaitCard(client)
        let names = card.capabilities.map(\.name)
        terminal.print(row("executor", "\(broker.executorName)  (\(names.joined(separator: "  ")))"))
        let status = try firstTask(client)
        if session.invocation.has("once") { return status }
        try sayHowToGoOn()
        client.close()
        try supervise()
        return .done
    }

    private func row(_ name: String, _ text: String) -> String {
        Terminal.escape(name.padding(toLength: 12, withPad: " ", startingAt: 0) + text)
    }

    private func shown(_ path: String) -> String {
        guard let home = session.environment["HOME"], home != "/", path.hasPrefix(home + "/") else { return path }
        return "~" + path.dropFirst(home.count)
    }

    /// Waits for the demo executor's own word that it is there.
    private func awaitCard(_ client: BusClient) throws(Failure) -> Card {
        let name = broker.executorName
        let topics = [Topic.Place.card(executor: name), .status(executor: name)].map {
            Topic(Names.defaultWorkspace, $0).name
        }
        try client.subscribe(topics, retained: true)
        let deadline = SystemClock.monotonic + Up.readyMs
        var card: Card?
        while SystemClock.monotonic < deadline {
            for process in all where process.reap() { throw process.endedEarly }
            guard let message = try client.next(until: min(deadline, SystemClock.monotonic + 50)) else { continue }
            if message.topic == topics[0] { card = (try? Card(decoding: message.payload)) ?? card }
            guard message.topic == topics[1], let status = try? ExecutorStatus(decoding: message.payload) else {
                continue
            }
            if status.status == .online, let card, status.boot == card.boot { return card }
        }
        throw Failure.notReady([executor].compactMap(\.self), withinMs: Up.readyMs)
    }

    private func firstTask(_ client: BusClient) throws(Failure) -> ExitStatus {
        var intent = Intent()
        intent.input = try session.json(Up.firstInput, what: "input")
        let run = IntentRun(capability: Up.firstCapability, id: RandomText.id(), intent: intent)
        let answer = try run.send(client, to: .result, answerMs: Up.readyMs, told: { _, _ in })
        guard case .result(let result, let bytes) = answer else { return .ownFault }
        if session.wantsJSON { session.terminal.print(bytes) }
        var words = ["\(run.capability) \(Up.firstInput)", result.status.rawValue]
        if let output = result.output { words[1] += " \(output.text)" }
        if let error = result.error { words[1] += " \(error.message ?? "") (\(error.code.rawValue))" }
        if let ms = result.durationMs { words.append(Durations.text(ms)) }
        session.terminal.print(row("task", words.joined(separator: "  ")))
        return ExitStatus(result.status, code: result.error?.code)
    }

    /// Writes the context and names three commands to try.
    private func sayHowToGoOn() throws(Failure) {
        let terminal = session.terminal
        var file = try ContextFile.read(session.environment)
        let before = file.current
        file.contexts["up"] = broker.context
        file.current = "up"
        try file.write(session.environment)
        let password = try broker.personPassword.map { "   password \($0)" } ?? ""
        terminal.print(row("account", "user \(broker.personName)\(password)"))
        if let dashboard = try broker.dashboard {
            let viewer = "read only: user \(UpBroker.viewer)   password \(dashboard.viewerPassword)"
            terminal.print(row("dashboard", "\(dashboard.address)   \(viewer)"))
        }
        if let before, before != "up" {
            terminal.say("The context in use is now \"up\"; back again: martlet context use \(before)")
        }
        terminal.print("Try   martlet run \(Up.firstCapability) '{\"hello\":2}'")
        terminal.print("      martlet schedule put tick --every 10s --capability \(Up.firstCapability)")
        terminal.print("      martlet top")
        terminal.print("Ctrl-C stops everything.")
    }

    /// Restarts what dies, until Ctrl-C.
    private func supervise() throws(Failure) {
        while true {
            session.interrupts.wait(ms: 250)
            if session.interrupts.take() { return }
            for process in all where process.reap() { try revive(process) }
        }
    }

    private func revive(_ process: ManagedProcess) throws(Failure) {
        let now = SystemClock.monotonic
        if let plan = restarts[process.name], plan.dueAt > process.startedAt {
            guard now >= plan.dueAt else { return }
            try process.start()
            try leftovers.note(all)
            return
        }
        let count = now - process.startedAt > 60_000 ? 1 : (restarts[process.name]?.count ?? 0) + 1
        let wait = min(250 << min(count - 1, 8), 30_000)
        restarts[process.name] = (count, now + wait)
        let how = process.ending?.text ?? "unknown"
        session.terminal.say("\(process.name) ended (\(how)); started again in \(Durations.text(wait))")
        for line in process.lastLines(3) { session.terminal.say("    \(line)") }
    }

    /// Executor, services, broker, in this order, within 5 s.
    private func stop() {
        executor?.end(graceMs: 1500)
        for service in services { service.signal(SIGTERM) }
        let deadline = SystemClock.monotonic + 2000
        for service in services where !service.waitForEnd(ms: max(0, deadline - SystemClock.monotonic)) {
            service.end(graceMs: 0)
        }
        broker.process?.end(graceMs: 1000)
        unlink(leftovers.file)
    }
}
