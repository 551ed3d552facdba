import Contract
import Foundation
import Glibc
import Machine
import Shell
import TimeModel
import Wire

/// `martlet bench queue`: many tasks that wait, for many capabilities; then a thousand executors come at once. Says how
/// long all take to be matched, whether any waits for the others, and what a decision costs with so many in the queue.
final class BenchQueue: GroundedBench {
    private let session: Session
    private let folder: String
    let broker: UpBroker
    private let shape: BenchFleet.Shape
    private let queued: Int

    /// The one account that speaks for all executors: no shipped role may, so this broker has a line of its own for it.
    private static let fleet = "bench-fleet"

    init(_ session: Session, _ folder: String) throws(Failure) {
        self.session = session
        self.folder = folder
        let invocation = session.invocation
        queued = invocation.integer("queued") ?? Limits.tasks
        guard queued <= Limits.tasks else { throw .usage("--queued \(queued): the dispatcher takes \(Limits.tasks)") }
        var shape = BenchFleet.Shape(publishers: max(4, (queued + 14_999) / 15_000))
        shape.capabilities = invocation.integer("capabilities") ?? shape.capabilities
        shape.executors = invocation.integer("executors") ?? shape.executors
        shape.slots = invocation.integer("slots") ?? shape.slots
        guard shape.executors <= 20_000, shape.capabilities <= 10_000, shape.slots <= Limits.slots else {
            throw .usage("at most 20000 executors, 10000 capabilities and \(Limits.slots) slots")
        }
        guard shape.executors * BenchFleet.offers >= shape.capabilities else {
            throw .usage(
                "\(shape.executors) executors offer at most \(shape.executors * BenchFleet.offers) capabilities")
        }
        self.shape = shape
        let main = Names.defaultWorkspace
        let services = [
            BrokerAccount(name: "dispatcher", workspace: nil, roles: [Role.dispatcher.rawValue]),
            BrokerAccount(name: UpBroker.person, workspace: main, roles: [Role.operator.rawValue]),
        ]
        let publishers = (shape.publisherNames + [BenchQueue.fleet]).map {
            BrokerAccount(name: $0, workspace: main, roles: [Role.publisher.rawValue])
        }
        broker = try UpBroker(
            privateUnder: folder, environment: session.environment, accounts: services + publishers)
        let list = "\(folder)/broker/acl"
        let line = "\nuser \(BenchQueue.fleet)\ntopic readwrite \(main)/\(Names.protocolLevel)/#\n"
        try FileText.replace(list, try FileText.read(list) + Array(line.utf8), mode: 0o600)
    }

    func measure() throws(Failure) -> ExitStatus {
        let client = try broker.connected(session.interrupts, withinMs: 10_000)
        defer { client.close() }
        let program = try UpPrograms(directory: folder, environment: session.environment).find("martlet-dispatcher")
        let process = ManagedProcess(
            "dispatcher",
            [program] + broker.flags(for: "dispatcher") + ["--state-directory", "\(folder)/dispatcher"],
            environment: session.environment, log: "\(folder)/log/dispatcher.log")
        defer { process.end(graceMs: 10_000) }
        let readiness = try ServiceReadiness(client)
        try process.start()
        try readiness.await([process], withinMs: 15_000, checking: [process])
        let report = BenchQueueReport(session)
        report.head(broker.title, shape)
        let fleet = try BenchFleet(shape, account: BenchQueue.fleet, session.interrupts) { broker.settings(for: $0) }
        defer { fleet.close() }
        for count in Set([1000, 10_000, queued].filter { $0 <= queued }).sorted() {
            report.row(try figures(count, fleet, process))
        }
        return .done
    }

    private func figures(
        _ count: Int, _ fleet: BenchFleet, _ process: ManagedProcess
    ) throws(Failure) -> BenchQueueReport.Figures {
        let empty = ProcessUsage.of(process.process).residentKiB
        let accepted = try fleet.queue(count)
        let full = ProcessUsage.of(process.process)
        let watched = [process.process, broker.process?.process ?? 0, getpid()]
        let before = watched.map { ProcessUsage.of($0).cpuMs }
        let drain = try fleet.drain()
        let after = watched.map { ProcessUsage.of($0).cpuMs }
        return BenchQueueReport.Figures(
            tasks: count, acceptedPerSecond: accepted, residentKiB: full.residentKiB,
            bytesEach: (full.residentKiB - empty) * 1024 / count, drain: drain,
            cpuMs: zip(after, before).map { $0 - $1 })
    }
}

/// Publishers that fill the queue, and executors that empty it: a few connections for all of them.
final class BenchFleet {
    /// How much of it.
    struct Shape: Hashable, Sendable {
        /// Connections that publish; each is an owner with its own turn.
        var publishers: Int
        /// Capabilities that tasks wait for.
        var capabilities = 100
        /// Executors.
        var executors = 1000
        /// Slots of each.
        var slots = 4

        /// The accounts of the publishers.
        var publisherNames: [String] { (0..<publishers).map { "bench-p\($0)" } }
    }

    /// What emptying the queue showed.
    struct Drain {
        /// From the first executor's word to the last assignment, in microseconds.
        var matchedUs = 0
        /// To the last result.
        var endedUs = 0
        /// Until the last capability had its first assignment.
        var lastFirstUs = 0
        /// Ended tasks of the capability with the fewest and the most, when half of all had ended.
        var leastAtHalf = 0
        var mostAtHalf = 0
    }

    /// Capabilities on each card.
    static let offers = 5
    /// Connections of the executors.
    private static let connections = 4

    private let loop: BenchLoop
    private let shape: Shape
    private var publishers: [Int] = []
    private var workers: [BenchWorker] = []
    private var index: [Substring: Int] = [:]
    private var phase = 0
    private var tasks = 0
    private var accepted = 0
    private var ended = 0
    private var failures = 0
    private var assigned = 0
    private var began = 0
    private var endedOf: [Int] = []
    private var hasFirst: [Bool] = []
    private var drained = Drain()

    /// Connects everything; the executors are there, and paused.
    init(
        _ shape: Shape, account: String, _ interrupts: Interrupts, settings: (String) -> ConnectionSettings
    ) throws(Failure) {
        self.shape = shape
        loop = BenchLoop(interrupts: interrupts)
        for name in shape.publisherNames {
            let connection = loop.add(settings(name)) { [unowned self] message in answer(message) }
            loop.subscribe(connection, ["main/martlet1/result/\(name)/#", "main/martlet1/update/\(name)/#"])
            publishers.append(connection)
        }
        for part in 0..<BenchFleet.connections {
            let connection = loop.add(settings(account)) { [unowned self] message in work(message) }
            var filters: [String] = []
            for number in stride(from: part, to: shape.executors, by: BenchFleet.connections) {
                let name = "bench-e\(number)"
                let worker = BenchWorker(
                    name, slots: shape.slots, loop, capabilities: offers(of: number), beatMs: 10_000,
                    firstBeat: number * 10_000_000 / shape.executors)
                worker.connection = connection
                index[Substring(name)] = workers.count
                workers.append(worker)
                filters.append("main/martlet1/work/+/\(name)")
            }
            loop.subscribe(connection, filters)
        }
        try loop.settle(withinMs: 30_000)
        for worker in workers {
            worker.sayHello(.paused)
            worker.beat(at: 0)
        }
        try loop.settle(withinMs: 30_000)
    }

    private func capability(_ number: Int) -> String { "bench.queue-\(number % shape.capabilities)" }

    /// What an executor offers: spread so that each capability has as many executors as any other.
    private func offers(of executor: Int) -> [String] {
        let step = max(1, shape.capabilities / BenchFleet.offers)
        return Set((0..<BenchFleet.offers).map { capability(executor + $0 * step) }).sorted()
    }

    private func answer(_ message: InboundMessage) {
        let levels = message.topic.split(separator: "/")
        guard levels.count == 6 else { return }
        guard levels[2] == "result" else {
            accepted += 1
            return
        }
        ended += 1
        if message.payload.firstRange(of: Array("\"status\":\"success\"".utf8)) == nil { failures += 1 }
        if let number = Int(levels[4].drop { $0 != "-" }.dropFirst()) { endedOf[number] += 1 }
        if ended == tasks / 2 {
            drained.leastAtHalf = endedOf.min() ?? 0
            drained.mostAtHalf = endedOf.max() ?? 0
        }
    }

    private func work(_ message: InboundMessage) {
        let levels = message.topic.split(separator: "/")
        guard levels.count == 5, let worker = index[levels[4]] else { return }
        if let number = Int(levels[3].drop { $0 != "-" }.dropFirst()) {
            assigned += 1
            let now = BenchClock.now - began
            drained.matchedUs = now
            if !hasFirst[number] {
                hasFirst[number] = true
                drained.lastFirstUs = now
            }
        }
        workers[worker].take(message)
    }

    /// Lets so many tasks wait; returns how many were accepted per second.
    func queue(_ count: Int) throws(Failure) -> Int {
        for worker in workers { worker.say(.paused) }
        try loop.settle(withinMs: 30_000)
        phase += 1
        tasks = count
        (accepted, ended, failures, assigned) = (0, 0, 0, 0)
        endedOf = [Int](repeating: 0, count: shape.capabilities)
        let payload = Array("{\"priority\":\"critical\",".utf8) + BenchLoad.intent(bytes: 300).dropFirst()
        let start = BenchClock.now
        var sent = 0
        try wait(for: count, "intents are accepted", { accepted }) {
            while sent < count, sent - accepted < 2000 {
                let publisher = sent / shape.capabilities % publishers.count
                loop.publish(
                    publishers[publisher],
                    "main/martlet1/intent/\(shape.publisherNames[publisher])/\(capability(sent))/q\(phase)-\(sent)",
                    payload)
                sent += 1
            }
        }
        guard ended == 0 else { throw Failure(.refused, "\(ended) of \(count) intents were refused") }
        return count * 1_000_000 / max(1, BenchClock.now - start)
    }

    /// Lets all executors work until nothing waits.
    func drain() throws(Failure) -> Drain {
        drained = Drain()
        hasFirst = [Bool](repeating: false, count: shape.capabilities)
        began = BenchClock.now
        for worker in workers { worker.say(.online) }
        try wait(for: tasks, "tasks have ended", { ended }) {}
        drained.endedUs = BenchClock.now - began
        guard failures == 0 else { throw Failure(.failed, "\(failures) of \(tasks) tasks did not succeed") }
        return drained
    }

    private func wait(
        for count: Int, _ what: String, _ reached: () -> Int, _ feed: () -> Void
    ) throws(Failure) {
        var last = (reached(), BenchClock.now)
        while reached() < count {
            feed()
            try loop.turn(waitMs: 20)
            let now = BenchClock.now
            for worker in workers { worker.beat(at: now) }
            if reached() != last.0 { last = (reached(), now) }
            guard now - last.1 < 20_000_000 else {
                throw Failure(.noAnswer, "nothing happened for 20 s; \(reached()) of \(count) \(what)")
            }
        }
    }

    /// Leaves the broker.
    func close() { loop.close() }
}

/// The figures as a table, or as JSON lines.
struct BenchQueueReport {
    /// What one length of the queue gave.
    struct Figures {
        var tasks: Int
        var acceptedPerSecond: Int
        var residentKiB: Int
        var bytesEach: Int
        var drain: BenchFleet.Drain
        /// Of dispatcher, broker and load while the queue was emptied.
        var cpuMs: [Int]
    }

    private let session: Session
    private static let widths = [9, 10, 16, 9, 9, 9, 13]

    /// A report for a session.
    init(_ session: Session) { self.session = session }

    /// What was measured on.
    func head(_ broker: String, _ shape: BenchFleet.Shape) {
        #if DEBUG
            session.terminal.say("This is a debug build: its figures say little. Build with: deploy/build")
        #endif
        if session.wantsJSON { return }
        session.terminal.print(
            "broker  \(broker)   \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) processors, shared by all programs")
        session.terminal.print(
            "load    \(shape.capabilities) capabilities, \(shape.executors) executors of \(shape.slots) slots and "
                + "\(BenchFleet.offers) capabilities each, \(shape.publishers) owners, intents of 300 bytes")
        session.terminal.print("")
        line(["QUEUED", "ACCEPT/S", "MEMORY, EACH", "MATCHED", "TASKS/S", "FIRSTS", "HALF WAY", "CPU us/task"])
    }

    private func line(_ cells: [String]) {
        var text = ""
        for (index, cell) in cells.enumerated() {
            text += index == cells.count - 1 ? cell : cell.padded(to: BenchQueueReport.widths[index] + 2)
        }
        session.terminal.print(text)
    }

    /// One length of the queue.
    func row(_ figures: Figures) {
        if session.wantsJSON { return session.terminal.print(json(figures)) }
        let drain = figures.drain
        line([
            String(figures.tasks), String(figures.acceptedPerSecond),
            "\(figures.residentKiB / 1024) MiB, \(figures.bytesEach)", Durations.text(drain.matchedUs / 1000),
            String(rate(figures)), Durations.text(drain.lastFirstUs / 1000),
            "\(drain.leastAtHalf) to \(drain.mostAtHalf)",
            figures.cpuMs.map { String($0 * 1000 / figures.tasks) }.joined(separator: ", "),
        ])
    }

    private func rate(_ figures: Figures) -> Int { figures.tasks * 1_000_000 / max(1, figures.drain.endedUs) }

    private func json(_ figures: Figures) -> [UInt8] {
        RawJSON {
            $0.object { writer in
                writer.field("queued", figures.tasks)
                writer.field("accepted_per_second", figures.acceptedPerSecond)
                writer.field("resident_kib", figures.residentKiB)
                writer.field("bytes_each", figures.bytesEach)
                writer.field("matched_ms", figures.drain.matchedUs / 1000)
                writer.field("tasks_per_second", rate(figures))
                writer.field("last_first_ms", figures.drain.lastFirstUs / 1000)
                writer.field("least_half_way", figures.drain.leastAtHalf)
                writer.field("most_half_way", figures.drain.mostAtHalf)
                for (name, ms) in zip(["cpu_ms", "broker_cpu_ms", "load_cpu_ms"], figures.cpuMs) {
                    writer.field(named: name) { $0.value(ms) }
                }
            }
        }.bytes
    }
}
