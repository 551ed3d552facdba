import Contract
import Foundation
import Glibc
import Machine
import Shell
import TimeModel
import Wire

/// `martlet bench history`: a monitor on a private broker takes many results in, is killed meanwhile, is asked, and
/// must hold each result once.
final class BenchHistory: GroundedBench {
    private let session: Session
    private let folder: String
    let broker: UpBroker
    private let results: Int
    private let kills: Int
    private let queries: Int

    /// The account that publishes results as the dispatcher would.
    private static let publisher = "dispatcher"
    /// The account that asks; an operator of the monitor.
    private static let asker = UpBroker.person
    /// Results that may be ahead of the history: less than the broker keeps for a monitor that is away.
    private let ahead: Int

    init(_ session: Session, _ folder: String) throws(Failure) {
        self.session = session
        self.folder = folder
        results = session.invocation.integer("results") ?? 100_000
        kills = session.invocation.integer("kills") ?? 5
        ahead = min(20_000, max(1000, results))
        queries = session.invocation.integer("queries") ?? 1000
        guard results <= 100_000_000 else { throw .usage("--results: at most 100000000") }
        broker = try UpBroker(
            privateUnder: folder, environment: session.environment,
            accounts: [
                BrokerAccount(name: "monitor", workspace: nil, roles: [Role.monitor.rawValue]),
                BrokerAccount(name: BenchHistory.publisher, workspace: nil, roles: [Role.dispatcher.rawValue]),
                BrokerAccount(
                    name: BenchHistory.asker, workspace: Names.defaultWorkspace, roles: [Role.operator.rawValue]),
            ])
    }

    func measure() throws(Failure) -> ExitStatus {
        let report = BenchHistoryReport(session)
        report.head(broker.title, results)
        let client = try broker.connected(session.interrupts, withinMs: 10_000)
        defer { client.close() }
        let process = try monitorProcess()
        defer { process.end(graceMs: 10_000) }
        try start(process, client)
        let load = try BenchHistoryLoad(
            session.interrupts, publisher: BenchHistory.publisher, asker: BenchHistory.asker
        ) { broker.settings(for: $0) }
        defer { load.close() }
        var figures = BenchHistoryFigures(results: results)
        try ingest(load, process, &figures)
        report.ingested(figures)
        try killUnderLoad(load, process, client, &figures)
        report.recovered(figures)
        for question in BenchHistoryQuestion.all(load) {
            let latencies = try load.latencies(question, question.isBroad ? max(1, queries / 20) : queries)
            report.asked(question, latencies)
        }
        figures.usage = ProcessUsage.of(process.process)
        figures.held = try load.holdings()
        report.end(figures)
        return figures.held.isWhole ? .done : .failed
    }

    /// So many results as fast as the monitor records them.
    private func ingest(
        _ load: BenchHistoryLoad, _ process: ManagedProcess, _ figures: inout BenchHistoryFigures
    ) throws(Failure) {
        let watched = [process.process, broker.process?.process ?? 0, getpid()]
        let before = watched.map { ProcessUsage.of($0).cpuMs }
        let began = BenchClock.now
        try load.publish(results, ahead: ahead, during: { () throws(Failure) in })
        figures.microseconds = BenchClock.now - began
        let after = watched.map { ProcessUsage.of($0).cpuMs }
        figures.cpuMs = zip(after, before).map { $0 - $1 }
        figures.usage = ProcessUsage.of(process.process)
        let history = "\(folder)/monitor/history"
        for name in (try? FileManager.default.contentsOfDirectory(atPath: history)) ?? [] {
            var status = stat()
            guard stat("\(history)/\(name)", &status) == 0 else { continue }
            if name.hasSuffix(".jsonl") { figures.dataBytes += Int(status.st_size) }
            if name.hasSuffix(".index") { figures.indexBytes += Int(status.st_size) }
        }
    }

    /// More results, while the monitor is killed again and again at random moments.
    private func killUnderLoad(
        _ load: BenchHistoryLoad, _ process: ManagedProcess, _ client: BusClient, _ figures: inout BenchHistoryFigures
    ) throws(Failure) {
        for _ in 0..<kills {
            let at = BenchClock.now + Int.random(in: 50_000...700_000)
            var isDead = false
            try load.publish(
                2 * ahead, ahead: ahead,
                during: { () throws(Failure) in
                    guard !isDead, BenchClock.now >= at else { return }
                    isDead = true
                    process.signal(SIGKILL)
                    _ = process.waitForEnd(ms: 5000)
                    let began = BenchClock.now
                    try self.start(process, client)
                    figures.recoveries.append(BenchClock.now - began)
                })
        }
    }

    private func monitorProcess() throws(Failure) -> ManagedProcess {
        let program = try UpPrograms(directory: folder, environment: session.environment).find("martlet-monitor")
        let configuration = "\(folder)/martlet.json"
        let settings = RawJSON { writer in
            writer.object { $0.field("monitor") { $0.field("operators", [BenchHistory.asker]) } }
        }
        try FileText.replace(configuration, settings.bytes, mode: 0o600)
        let flags =
            broker.flags(for: "monitor") + ["--state-directory", "\(folder)/monitor", "--config", configuration]
        return ManagedProcess(
            "monitor", [program] + flags, environment: session.environment, log: "\(folder)/log/monitor.log")
    }

    private func start(_ process: ManagedProcess, _ client: BusClient) throws(Failure) {
        let readiness = try ServiceReadiness(client)
        try process.start()
        try readiness.await([process], withinMs: 60_000, checking: [process])
    }
}

/// What was measured.
struct BenchHistoryFigures {
    /// Results of the first load.
    var results: Int
    var microseconds = 0
    /// Processor time of monitor, broker and load during it, in ms.
    var cpuMs = [0, 0, 0]
    var usage = ProcessUsage()
    var dataBytes = 0
    var indexBytes = 0
    /// From each start after a kill until it said that it is up, in microseconds.
    var recoveries: [Int] = []
    var held = BenchHistoryLoad.Holdings()

    init(results: Int) { self.results = results }

    var rate: Int { results * 1_000_000 / max(1, microseconds) }
}

/// The figures as lines for people, or as JSON lines.
struct BenchHistoryReport {
    private let session: Session
    private var terminal: Terminal { session.terminal }

    /// A report for a session.
    init(_ session: Session) { self.session = session }

    /// What was measured on.
    func head(_ broker: String, _ results: Int) {
        #if DEBUG
            terminal.say("This is a debug build: its figures say little. Build with: deploy/build")
        #endif
        if session.wantsJSON { return }
        terminal.print("broker  \(broker)   \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) processors, shared by all programs")
        terminal.print("load    \(results) results, QoS 1, from \(BenchHistoryLoad.capabilities) capabilities")
    }

    /// The first load.
    func ingested(_ figures: BenchHistoryFigures) {
        let each = figures.cpuMs.map { $0 * 1000 / max(1, figures.results) }
        if session.wantsJSON {
            return json { writer in
                writer.field("results", figures.results)
                writer.field("results_per_second", figures.rate)
                writer.field("cpu_ms", figures.cpuMs[0])
                writer.field("broker_cpu_ms", figures.cpuMs[1])
                writer.field("load_cpu_ms", figures.cpuMs[2])
                writer.field("data_bytes", figures.dataBytes)
                writer.field("index_bytes", figures.indexBytes)
                writer.field("resident_kib", figures.usage.residentKiB)
                writer.field("peak_kib", figures.usage.peakKiB)
            }
        }
        terminal.print(
            "in      \(figures.rate) results/s recorded; CPU us/result: own \(each[0]), broker \(each[1]), load \(each[2])"
        )
        terminal.print(
            "disk    \(figures.dataBytes / max(1, figures.results)) bytes a result, and "
                + "\(figures.indexBytes / max(1, figures.results)) of index")
        terminal.print(memory(figures))
    }

    private func memory(_ figures: BenchHistoryFigures) -> String {
        "memory  \(figures.usage.residentKiB / 1024) MiB, \(figures.usage.peakKiB / 1024) MiB at most"
    }

    /// The starts after kills.
    func recovered(_ figures: BenchHistoryFigures) {
        guard !figures.recoveries.isEmpty else { return }
        let times = BenchLatencies(figures.recoveries)
        if session.wantsJSON {
            return json { writer in
                writer.field("kills", figures.recoveries.count)
                writer.field("recovery_p50_us", times.percentile(50))
                writer.field("recovery_max_us", times.percentile(100))
            }
        }
        terminal.print(
            "killed  \(figures.recoveries.count) times under load; up again after "
                + "\(BenchLatencies.text(times.percentile(50))), \(BenchLatencies.text(times.percentile(100))) at most")
    }

    /// One kind of question.
    func asked(_ question: BenchHistoryQuestion, _ latencies: BenchLatencies) {
        if session.wantsJSON {
            return json { writer in
                writer.field("query", question.name)
                writer.field("p50_us", latencies.percentile(50))
                writer.field("p99_us", latencies.percentile(99))
            }
        }
        terminal.print(
            "query   \(question.name.padded(to: 34))"
                + [50, 99].map { "p\($0) \(BenchLatencies.text(latencies.percentile($0)))" }.joined(separator: ", "))
    }

    /// Whether each result is held once.
    func end(_ figures: BenchHistoryFigures) {
        let held = figures.held
        if session.wantsJSON {
            return json { writer in
                writer.field("published", held.published)
                writer.field("held_once", held.once)
                writer.field("missing", held.missing)
                writer.field("held_twice", held.twice)
                writer.field("gaps", held.gaps)
                writer.field("read_ms", held.readMs)
                writer.field("resident_kib", figures.usage.residentKiB)
                writer.field("peak_kib", figures.usage.peakKiB)
            }
        }
        if !figures.recoveries.isEmpty { terminal.print(memory(figures)) }
        terminal.print(
            "held    \(held.once) of \(held.published) once, \(held.missing) missing, \(held.twice) twice, "
                + "\(held.gaps) gaps stated; all read page by page in \(Durations.text(held.readMs))")
    }

    private func json(_ body: @escaping (inout JSONWriter) -> Void) {
        terminal.print(RawJSON { $0.object { body(&$0) } }.bytes)
    }
}
