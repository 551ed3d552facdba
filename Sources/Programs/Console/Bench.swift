import Contract
import Foundation
import Glibc
import Shell
import TimeModel
import Wire

/// `martlet bench`: tasks per second, latencies, processor time and memory, beside a relay that does nothing.
final class Bench: GroundedBench {
    private let session: Session
    private let folder: String
    let broker: UpBroker
    private let shape: BenchLoad.Shape
    private let tasks: Int
    private let atATime: Int
    private let queued: Int

    /// The person that watches.
    private static let watcher = UpBroker.person
    /// The account of the relay, with the dispatcher's rights.
    private static let relayAccount = "relay"
    /// Relay and dispatcher take turns so often, each with a part of the tasks: what else the machine does meanwhile, or
    /// its clock, then weighs alike on both.
    static let rounds = 4
    /// Tasks that are run one after the other, in all.
    private static let aloneTasks = 1000
    /// Appends by which the disk is measured, and the microseconds between two: the disk and the processor are as idle
    /// then as when a task that is alone comes.
    private static let syncs = 400
    private static let syncPause: UInt32 = 500
    /// Tasks before anything is measured, in each round.
    private static let warmUpTasks = 500

    init(_ session: Session, _ folder: String) throws(Failure) {
        self.session = session
        self.folder = folder
        let invocation = session.invocation
        queued = invocation.integer("queued") ?? 0
        guard queued <= Limits.tasks else { throw .usage("--queued \(queued): the dispatcher takes \(Limits.tasks)") }
        var shape = BenchLoad.Shape()
        shape.publishers = invocation.integer("publishers") ?? max(4, (queued + 14_999) / 15_000)
        shape.executors = invocation.integer("executors") ?? shape.executors
        shape.slots = invocation.integer("slots") ?? shape.slots
        shape.payload = invocation.integer("payload") ?? shape.payload
        guard shape.publishers <= 64, shape.executors <= 64, shape.slots <= Limits.slots else {
            throw .usage("at most 64 publishers, 64 executors and \(Limits.slots) slots")
        }
        guard shape.payload <= Limits.payload / 2 else { throw .usage("--payload: at most \(Limits.payload / 2)") }
        self.shape = shape
        tasks = invocation.integer("tasks") ?? 20_000
        atATime = invocation.integer("at-a-time") ?? 400
        if let address = invocation.text("broker") {
            broker = try UpBroker(existing: address, user: nil, passwordFile: nil)
        } else {
            broker = try UpBroker(
                privateUnder: folder, environment: session.environment, accounts: Bench.accounts(shape))
        }
    }

    private static func accounts(_ shape: BenchLoad.Shape) -> [BrokerAccount] {
        let main = Names.defaultWorkspace
        return [
            BrokerAccount(name: "dispatcher", workspace: nil, roles: [Role.dispatcher.rawValue]),
            BrokerAccount(name: relayAccount, workspace: nil, roles: [Role.dispatcher.rawValue]),
            BrokerAccount(name: watcher, workspace: main, roles: [Role.operator.rawValue]),
        ]
            + shape.publisherNames.map { BrokerAccount(name: $0, workspace: main, roles: [Role.publisher.rawValue]) }
            + shape.executorNames.map { BrokerAccount(name: $0, workspace: main, roles: [Role.executor.rawValue]) }
    }

    func measure() throws(Failure) -> ExitStatus {
        let client = try broker.connected(session.interrupts, withinMs: 10_000)
        defer { client.close() }
        let report = BenchReport(session)
        report.head(broker.title, shape, atATime: atATime)
        var relays: [Figures] = []
        var dispatchers: [Figures] = []
        for round in 1...Bench.rounds {
            relays.append(try measure("relay", try relayProcess(), nil, round))
            let readiness = try ServiceReadiness(client)
            dispatchers.append(try measure("dispatcher", try dispatcherProcess(), readiness, round))
            try endSession()
        }
        let (relay, dispatcher) = (Figures("relay", relays), Figures("dispatcher", dispatchers))
        report.row(relay)
        report.row(dispatcher)
        report.end(relay, dispatcher, syncs: try measureSyncs())
        return .done
    }

    /// What the disk under the state takes for one append of a journal, the dispatcher's own way: a task that is alone
    /// waits for two of them, which the relay does not.
    private func measureSyncs() throws(Failure) -> BenchLatencies {
        try FileText.makeFolder("\(folder)/syncs")
        let journal = Journal(directory: "\(folder)/syncs")
        do {
            _ = try journal.recover { _ in }
            var latencies: [Int] = []
            for _ in 0..<Bench.syncs {
                usleep(Bench.syncPause)
                journal.append([UInt8](repeating: 0x20, count: 2 * shape.payload))
                let began = BenchClock.now
                try journal.commit()
                latencies.append(BenchClock.now - began)
            }
            return BenchLatencies(latencies)
        } catch { throw Failure(.ownFault, "the disk under \(folder) cannot be measured: \(error)") }
    }

    private func relayProcess() throws(Failure) -> ManagedProcess {
        let words = ["bench", "relay"] + shape.executorNames + broker.flags(for: Bench.relayAccount)
        return ManagedProcess(
            "relay", ["\(FileText.ownFolder)/martlet"] + words, environment: session.environment,
            log: "\(folder)/log/relay.log")
    }

    private func dispatcherProcess() throws(Failure) -> ManagedProcess {
        let program = try UpPrograms(directory: folder, environment: session.environment).find("martlet-dispatcher")
        let flags = broker.flags(for: "dispatcher") + ["--state-directory", "\(folder)/dispatcher"]
        return ManagedProcess(
            "dispatcher", [program] + flags, environment: session.environment, log: "\(folder)/log/dispatcher.log")
    }

    /// While the relay has its turn, the broker would keep all intents for the dispatcher's return.
    private func endSession() throws(Failure) {
        let identity = try FileText.read("\(folder)/dispatcher/identity", limit: 256)
        var options = broker.settings(for: "dispatcher").options
        options.clientID = String(decoding: identity.prefix { $0 != 0x0A }, as: UTF8.self)
        let session = ClientSession(options)
        do throws(ClientError) { try session.connect(timeoutMs: 3000) } catch {
            throw Failure(.unreachable, "the dispatcher's session at the broker cannot be ended: \(error)")
        }
        session.close()
    }

    /// What one program in the middle reached.
    struct Figures {
        var name: String
        var alone: BenchLoad.Outcome
        var half: BenchLoad.Outcome
        var full: BenchLoad.Outcome
        /// Processor time during the full load, in ms.
        var cpuMs: Int
        var brokerMs: Int
        var loadMs: Int
        var restKiB: Int
        var peakKiB: Int
        var queue: (outcome: BenchLoad.Outcome, beforeKiB: Int, afterKiB: Int)?
    }

    private func measure(
        _ name: String, _ process: ManagedProcess, _ readiness: ServiceReadiness?, _ round: Int
    ) throws(Failure) -> Figures {
        try process.start()
        defer { process.end(graceMs: 6000) }
        if let readiness {
            try readiness.await([process], withinMs: 15_000, checking: [process])
        }
        let rest = ProcessUsage.of(process.process)
        let load = try BenchLoad(shape, round, interrupts: session.interrupts) { broker.settings(for: $0) }
        defer { load.close() }
        do throws(Failure) { return try figures(name, process, load, rest, isLast: round == Bench.rounds) } catch {
            if process.reap() { throw process.endedEarly }
            var failure = error
            failure.log = process.lastLines()
            throw failure
        }
    }

    private func figures(
        _ name: String, _ process: ManagedProcess, _ load: BenchLoad, _ rest: ProcessUsage, isLast: Bool
    ) throws(Failure) -> Figures {
        let tasks = max(1, tasks / Bench.rounds)
        try load.awaitAnswer(withinMs: 15_000)
        _ = try load.run(Bench.warmUpTasks, atATime: 50)
        let alone = try load.run(min(tasks, Bench.aloneTasks / Bench.rounds), atATime: 1)
        let watched = [process.process, broker.process?.process ?? 0, getpid()]
        let before = watched.map { $0 == 0 ? ProcessUsage() : ProcessUsage.of($0) }
        let full = try load.run(tasks, atATime: atATime)
        let after = watched.map { $0 == 0 ? ProcessUsage() : ProcessUsage.of($0) }
        let half = try load.run(max(100, min(tasks, full.rate / 2)), perSecond: max(1, full.rate / 2))
        var figures = Figures(
            name: name, alone: alone, half: half, full: full, cpuMs: after[0].cpuMs - before[0].cpuMs,
            brokerMs: after[1].cpuMs - before[1].cpuMs, loadMs: after[2].cpuMs - before[2].cpuMs,
            restKiB: rest.residentKiB, peakKiB: ProcessUsage.of(process.process).peakKiB, queue: nil)
        if queued > 0, isLast, name == "dispatcher" {
            let empty = ProcessUsage.of(process.process).residentKiB
            let outcome = try load.queue(queued)
            figures.queue = (outcome, empty, ProcessUsage.of(process.process).residentKiB)
        }
        return figures
    }
}

extension Bench.Figures {
    /// All rounds of a program as one.
    init(_ name: String, _ rounds: [Self]) {
        self.init(
            name: name, alone: BenchLoad.Outcome(merging: rounds.map(\.alone)),
            half: BenchLoad.Outcome(merging: rounds.map(\.half)),
            full: BenchLoad.Outcome(merging: rounds.map(\.full)), cpuMs: rounds.reduce(0) { $0 + $1.cpuMs },
            brokerMs: rounds.reduce(0) { $0 + $1.brokerMs }, loadMs: rounds.reduce(0) { $0 + $1.loadMs },
            restKiB: rounds.first?.restKiB ?? 0, peakKiB: rounds.map(\.peakKiB).max() ?? 0, queue: rounds.last?.queue)
    }
}

/// The figures as a table, or as JSON lines.
struct BenchReport {
    private let session: Session
    private var terminal: Terminal { session.terminal }
    private static let columns = [10, 9, 19, 19, 19, 24]

    /// A report for a session.
    init(_ session: Session) { self.session = session }

    /// What was measured on.
    func head(_ broker: String, _ shape: BenchLoad.Shape, atATime: Int) {
        #if DEBUG
            terminal.say("This is a debug build: its figures say little. Build with: deploy/build")
        #endif
        if session.wantsJSON { return }
        terminal.print("broker  \(broker)   \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) processors, shared by all programs")
        terminal.print(
            "load    \(shape.publishers) publishers, \(shape.executors) executors of \(shape.slots) slots, "
                + "intents of \(shape.payload) bytes, QoS 1, \(atATime) tasks at a time under full load, "
                + "\(Bench.rounds) turns each")
        terminal.print("")
        line([
            "", "TASKS/S", "ALONE p50, p99", "HALF LOAD p50, p99", "FULL LOAD p50, p99",
            "CPU us/task: own, broker, load",
        ])
    }

    private func line(_ cells: [String]) {
        var text = ""
        for (index, cell) in cells.enumerated() {
            text += index == cells.count - 1 ? cell : cell.padded(to: BenchReport.columns[index])
        }
        terminal.print(text)
    }

    /// One program's figures.
    func row(_ figures: Bench.Figures) {
        if session.wantsJSON { return terminal.print(json(figures)) }
        func pair(_ outcome: BenchLoad.Outcome) -> String {
            [50, 99].map { BenchLatencies.text(outcome.latencies.percentile($0)) }.joined(separator: ", ")
        }
        let cpu = [figures.cpuMs, figures.brokerMs, figures.loadMs].map {
            String($0 * 1000 / max(1, figures.full.tasks))
        }
        line([
            figures.name, String(figures.full.rate), pair(figures.alone), pair(figures.half), pair(figures.full),
            cpu.joined(separator: ", "),
        ])
    }

    /// The ratio, the disk, and the memory.
    func end(_ relay: Bench.Figures, _ dispatcher: Bench.Figures, syncs: BenchLatencies) {
        let percent = dispatcher.full.rate * 100 / max(1, relay.full.rate)
        if session.wantsJSON {
            terminal.print(
                RawJSON {
                    $0.object {
                        $0.field("ratio_percent", percent)
                        $0.field("sync_p50_us", syncs.percentile(50))
                        $0.field("sync_p99_us", syncs.percentile(99))
                    }
                }.bytes)
            return
        }
        terminal.print("")
        terminal.print("ratio   the dispatcher reaches \(percent) % of the relay, which keeps and decides nothing")
        let (usual, slow) = (BenchLatencies.text(syncs.percentile(50)), BenchLatencies.text(syncs.percentile(99)))
        terminal.print("disk    an append takes \(usual), \(slow) at p99; a task that is alone waits for two")
        terminal.print(
            "memory  dispatcher \(dispatcher.restKiB / 1024) MiB at rest, \(dispatcher.peakKiB / 1024) MiB at most; "
                + "relay \(relay.peakKiB / 1024) MiB")
        if let queue = dispatcher.queue {
            let each = (queue.afterKiB - queue.beforeKiB) * 1024 / max(1, queue.outcome.tasks)
            terminal.print(
                "queued  \(queue.outcome.tasks) tasks, \(queue.outcome.rate) accepted per second, dispatcher "
                    + "\(queue.beforeKiB / 1024) to \(queue.afterKiB / 1024) MiB, \(each) bytes per task")
        }
    }

    private func json(_ figures: Bench.Figures) -> [UInt8] {
        RawJSON {
            $0.object { writer in
                writer.field("program", figures.name)
                writer.field("tasks", figures.full.tasks)
                writer.field("tasks_per_second", figures.full.rate)
                for (key, outcome) in [
                    ("alone", figures.alone), ("half_load", figures.half), ("full_load", figures.full),
                ] {
                    for percent in [50, 99] {
                        writer.field(named: "\(key)_p\(percent)_us") { $0.value(outcome.latencies.percentile(percent)) }
                    }
                }
                writer.field("cpu_ms", figures.cpuMs)
                writer.field("broker_cpu_ms", figures.brokerMs)
                writer.field("load_cpu_ms", figures.loadMs)
                writer.field("rest_kib", figures.restKiB)
                writer.field("peak_kib", figures.peakKiB)
                if let queue = figures.queue {
                    writer.field("queued", queue.outcome.tasks)
                    writer.field("queued_per_second", queue.outcome.rate)
                    writer.field("queued_before_kib", queue.beforeKiB)
                    writer.field("queued_after_kib", queue.afterKiB)
                }
            }
        }.bytes
    }
}
