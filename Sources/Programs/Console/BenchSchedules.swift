import Contract
import Foundation
import Glibc
import Machine
import Shell
import TimeModel
import Timing
import Wire

/// `martlet bench schedules`: the timing engine by itself, then the scheduler with many schedules on a private broker.
final class BenchSchedules: GroundedBench {
    private let session: Session
    private let folder: String
    let broker: UpBroker
    private let schedules: Int
    private let seconds: Int

    /// The account that puts, and sees intents arrive.
    private static let owner = UpBroker.person
    /// The account that answers as the dispatcher would.
    private static let answerer = "dispatcher"
    /// Distance between two slots of a schedule, in ms.
    static let everyMs = 60_000
    /// Puts on their way at one time.
    private static let putsAtATime = 400

    init(_ session: Session, _ folder: String) throws(Failure) {
        self.session = session
        self.folder = folder
        schedules = session.invocation.integer("schedules") ?? 10_000
        seconds = session.invocation.integer("seconds") ?? 20
        guard schedules <= Limits.schedulesPerWorkspace else {
            throw .usage("--schedules \(schedules): a workspace has at most \(Limits.schedulesPerWorkspace)")
        }
        broker = try UpBroker(
            privateUnder: folder, environment: session.environment,
            accounts: [
                BrokerAccount(name: "scheduler", workspace: nil, roles: [Role.scheduler.rawValue]),
                BrokerAccount(name: BenchSchedules.answerer, workspace: nil, roles: [Role.dispatcher.rawValue]),
                BrokerAccount(
                    name: BenchSchedules.owner, workspace: Names.defaultWorkspace, roles: [Role.operator.rawValue]),
            ])
    }

    /// The command: the engine by itself, then the rest.
    static func runWithEngine(_ session: Session) throws(Failure) -> ExitStatus {
        let report = BenchScheduleReport(session)
        report.head()
        let directory = ZoneDirectory(session.invocation.text("tzdir") ?? ZoneDirectory.standardPath)
        let zones = directory.catalog()
        let many = session.invocation.integer("schedules") ?? 10_000
        // First, while the memory of this process is its own.
        let engine = BenchEngine(zones: zones, now: SystemClock.wall, count: many).measure()
        report.timing(BenchTiming(zones: zones, now: SystemClock.wall))
        report.engine(engine)
        if session.invocation.has("no-broker") { return .done }
        return try run(session)
    }

    /// What so many schedules gave.
    struct Figures: Hashable {
        var schedules: Int
        var putsPerSecond: Int
        /// Resident memory of the scheduler above that of an empty one, by schedule.
        var bytesEach: Int
        var lateness: BenchLatencies
        var slots: Int
        var seconds: Int
        /// Processor time while slots were due, in ms.
        var ownMs: Int
        var brokerMs: Int
        var loadMs: Int
        var restartMs: Int
        /// With `--adopt`, from the retained documents; only with all schedules.
        var adoptMs: Int?
    }

    func measure() throws(Failure) -> ExitStatus {
        let report = BenchScheduleReport(session)
        let client = try broker.connected(session.interrupts, withinMs: 10_000)
        defer { client.close() }
        let process = try schedulerProcess()
        defer { process.end(graceMs: 10_000) }
        try start(process, client)
        let empty = ProcessUsage.of(process.process).residentKiB
        let load = try BenchScheduleLoad(
            session.interrupts, owner: BenchSchedules.owner, answerer: BenchSchedules.answerer
        ) { broker.settings(for: $0) }
        defer { load.close() }
        report.columns()
        var known = 0
        for count in Set([min(schedules, 10_000), schedules]).sorted() {
            let rate = try load.put(known..<count, atATime: BenchSchedules.putsAtATime)
            known = count
            try load.run(seconds: 12)
            var figures = try lateness(load, process, count)
            figures.putsPerSecond = rate
            figures.bytesEach = (ProcessUsage.of(process.process).residentKiB - empty) * 1024 / count
            figures.restartMs = try restart(process, process, client)
            if count == schedules {
                let heir = try schedulerProcess(["--adopt"], state: "heir")
                defer { heir.end(graceMs: 10_000) }
                figures.adoptMs = try restart(process, heir, client)
            }
            report.row(figures)
        }
        return .done
    }

    private func lateness(
        _ load: BenchScheduleLoad, _ process: ManagedProcess, _ count: Int
    ) throws(Failure) -> Figures {
        let watched = [process.process, broker.process?.process ?? 0, getpid()]
        let before = watched.map { ProcessUsage.of($0).cpuMs }
        load.latenesses.removeAll(keepingCapacity: true)
        try load.run(seconds: seconds)
        let after = watched.map { ProcessUsage.of($0).cpuMs }
        return Figures(
            schedules: count, putsPerSecond: 0, bytesEach: 0, lateness: BenchLatencies(load.latenesses),
            slots: load.latenesses.count, seconds: seconds, ownMs: after[0] - before[0], brokerMs: after[1] - before[1],
            loadMs: after[2] - before[2], restartMs: 0, adoptMs: nil)
    }

    private func schedulerProcess(
        _ more: [String] = [], state: String = "scheduler"
    ) throws(Failure) -> ManagedProcess {
        let program = try UpPrograms(directory: folder, environment: session.environment).find("martlet-scheduler")
        let flags = broker.flags(for: "scheduler") + ["--state-directory", "\(folder)/\(state)"]
        return ManagedProcess(
            "scheduler", [program] + flags + more, environment: session.environment, log: "\(folder)/log/scheduler.log")
    }

    private func start(_ process: ManagedProcess, _ client: BusClient) throws(Failure) {
        let readiness = try ServiceReadiness(client)
        try process.start()
        try readiness.await([process], withinMs: 60_000, checking: [process])
    }

    /// From the start of the process until it says that it is up, with everything armed.
    private func restart(
        _ old: ManagedProcess, _ new: ManagedProcess, _ client: BusClient
    ) throws(Failure) -> Int {
        old.end(graceMs: 10_000)
        let readiness = try ServiceReadiness(client)
        let began = BenchClock.now
        try new.start()
        try readiness.await([new], withinMs: 180_000, checking: [new])
        return (BenchClock.now - began) / 1000
    }
}

/// Puts schedules, answers their runs as the dispatcher would, and notes how late they arrive.
final class BenchScheduleLoad {
    /// Microseconds from due to arrival.
    var latenesses: [Int] = []
    private let loop: BenchLoop
    private let owner: String
    private var putter = 0
    private var answerer = 0
    private var answered = 0
    private var refused = ""
    /// Schedules for which the scheduler had no room yet.
    private var again: [Int] = []
    private let start = SystemClock.wall.milliseconds / 60_000 * 60_000

    /// Connects both accounts.
    init(
        _ interrupts: Interrupts, owner: String, answerer name: String, settings: (String) -> ConnectionSettings
    ) throws(Failure) {
        self.owner = owner
        loop = BenchLoop(interrupts: interrupts)
        putter = loop.add(settings(owner)) { [unowned self] message in reply(message) }
        loop.subscribe(putter, [Topic.filter(Names.defaultWorkspace, "reply", owner, "#")])
        answerer = loop.add(settings(name)) { [unowned self] message in intent(message) }
        loop.subscribe(answerer, [Topic.filter("+", "intent", "#")])
        try loop.settle(withinMs: 10_000)
    }

    private func reply(_ message: InboundMessage) {
        if let reply = try? Reply(decoding: message.payload), !reply.ok {
            if reply.code == .busy, let index = BenchScheduleLoad.index(message.topic) { return again.append(index) }
            refused = "\(reply.code?.rawValue ?? ""): \(reply.message ?? "")"
        }
        answered += 1
    }

    /// Which schedule a reply is about.
    private static func index(_ topic: String) -> Int? {
        guard case .reply(_, _, _, let id)? = Topic(topic)?.place else { return nil }
        return Int(id.dropFirst())
    }

    private static let mark = Array("\"due_at\":\"".utf8)

    private func intent(_ message: InboundMessage) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        if let place = message.payload.firstRange(of: BenchScheduleLoad.mark),
            let due = WallTime(rfc3339: message.payload[place.upperBound...].prefix(24))
        {
            latenesses.append(time.tv_sec * 1_000_000 + time.tv_nsec / 1000 - due.milliseconds * 1000)
        }
        guard let topic = Topic(message.topic), case .intent(let principal, let capability, let id) = topic.place else {
            return
        }
        let wall = SystemClock.wall
        let update = Update(.accepted, task: id, state: .queued, rev: 1, at: wall)
        publish(.update(principal: principal, capability: capability, id: id), update.encoded)
        let result = TaskResult(task: id, status: .success, finishedAt: wall)
        publish(.result(principal: principal, capability: capability, id: id), result.encoded)
    }

    private func publish(_ place: Topic.Place, _ payload: [UInt8]) {
        loop.publish(answerer, Topic(Names.defaultWorkspace, place).name, payload)
    }

    /// A schedule every minute; all of them share the minute evenly.
    private func document(_ index: Int) -> [UInt8] {
        let first = WallTime(milliseconds: start + index * 37_813 % BenchSchedules.everyMs).rfc3339
        return Array(
            """
            {"type":"interval","spec":{"every_ms":\(BenchSchedules.everyMs),"start_at":"\(first)"},\
            "target":{"workspace_id":"\(Names.defaultWorkspace)","agent_id":"\(ScheduleDocument.anyAgent)"},\
            "work":{"capability":"bench.tick","input":{"number":\(index)}}}
            """.utf8)
    }

    private func put(_ index: Int) {
        let place = Topic.Place.command(principal: owner, noun: "schedule", verb: "put", id: "s\(index)")
        loop.publish(putter, Topic(Names.defaultWorkspace, place).name, document(index))
    }

    /// Puts schedules and returns how many were put per second.
    func put(_ range: Range<Int>, atATime: Int) throws(Failure) -> Int {
        answered = 0
        let began = BenchClock.now
        var next = range.lowerBound
        var last = (answered, BenchClock.now)
        while answered < range.count {
            while next < range.upperBound, next - range.lowerBound - answered < atATime {
                put(next)
                next += 1
            }
            try loop.turn(waitMs: 100)
            let refusedForNow = again
            again.removeAll()
            for index in refusedForNow { put(index) }
            guard refused.isEmpty else { throw Failure(.refused, "a schedule was refused: \(refused)") }
            if answered != last.0 { last = (answered, BenchClock.now) }
            guard BenchClock.now - last.1 < 20_000_000 else {
                throw Failure(.noAnswer, "no reply for 20 s; \(answered) of \(range.count) schedules are put")
            }
        }
        return range.count * 1_000_000 / max(1, BenchClock.now - began)
    }

    /// Answers runs for so many seconds.
    func run(seconds: Int) throws(Failure) {
        let end = BenchClock.now + seconds * 1_000_000
        while BenchClock.now < end { try loop.turn(waitMs: 20) }
    }

    /// Leaves the broker.
    func close() { loop.close() }
}

/// The figures as a table, or as JSON lines.
struct BenchScheduleReport {
    private let session: Session
    private var terminal: Terminal { session.terminal }
    private static let widths = [11, 8, 12, 22, 9, 32, 9]

    /// A report for a session.
    init(_ session: Session) { self.session = session }

    /// What a debug build says first.
    func head() {
        #if DEBUG
            terminal.say("This is a debug build: its figures say little. Build with: deploy/build")
        #endif
    }

    /// The engine by itself.
    func timing(_ timing: BenchTiming) {
        let floor = timing.timerFloor()
        let parse = timing.parse()
        let next = timing.next()
        let adds = timing.addsPerSecond(100_000)
        let year = timing.year()
        if session.wantsJSON {
            return terminal.print(
                RawJSON {
                    $0.object { writer in
                        writer.field("timer_p50_us", floor.percentile(50))
                        writer.field("timer_p99_us", floor.percentile(99))
                        writer.field("parse_p50_ns", parse.median)
                        writer.field("parse_worst_ns", parse.worst)
                        writer.field("next_p50_ns", next.median)
                        writer.field("next_worst_ns", next.worst)
                        writer.field("adds_per_second", adds)
                        writer.field("year_zones", year.zones)
                        writer.field("year_slots", year.slots)
                        writer.field("year_runs", year.runs)
                        writer.field("year_ms", year.passedMs)
                    }
                }.bytes)
        }
        terminal.print("timer   \(pair(floor)) late after a wait of 1 ms: no schedule can be more exact")
        terminal.print("parse   \(pair(parse)), \(BenchTiming.expressions.count) expressions")
        terminal.print("next    \(pair(next)), \(next.cases) cases")
        terminal.print("add     \(adds) per second: next slot and place in the agenda")
        terminal.print(
            "year    \(year.zones) zones whose clocks change, \(year.slots) slots, \(year.runs) runs, "
                + Durations.text(year.passedMs))
    }

    /// A whole scheduler by itself.
    func engine(_ figures: BenchEngine.Figures) {
        if session.wantsJSON {
            return terminal.print(
                RawJSON {
                    $0.object { writer in
                        writer.field("schedules", figures.count)
                        writer.field("puts_per_second", figures.putsPerSecond)
                        writer.field("bytes_each", figures.bytesEach)
                        writer.field("payload_bytes_each", figures.payloadEach)
                        writer.field("records", figures.records)
                        writer.field("replay_ms", figures.replayMs)
                        writer.field("replay_armed_ms", figures.replayArmedMs)
                        writer.field("adopt_ms", figures.adoptMs)
                        writer.field("adopt_armed_ms", figures.adoptArmedMs)
                    }
                }.bytes)
        }
        terminal.print(
            "put     \(figures.putsPerSecond) per second, \(figures.count) schedules: document to journal record")
        terminal.print(
            "memory  \(figures.bytesEach - figures.payloadEach) bytes a schedule, and \(figures.payloadEach) of document"
        )
        terminal.print(
            "replay  \(figures.records) records in \(Durations.text(figures.replayMs)), all armed "
                + "\(Durations.text(figures.replayArmedMs)) after the last")
        terminal.print(
            "adopt   \(figures.count) retained documents in \(Durations.text(figures.adoptMs)), all armed "
                + "\(Durations.text(figures.adoptArmedMs)) after the last")
    }

    private func pair(_ times: BenchTiming.Nanoseconds) -> String {
        "\(BenchTiming.Nanoseconds.text(times.median)) median, \(BenchTiming.Nanoseconds.text(times.worst)) worst"
    }

    private func pair(_ latencies: BenchLatencies) -> String {
        [50, 99].map { BenchLatencies.text(latencies.percentile($0)) }.joined(separator: ", ")
    }

    /// The head of the table.
    func columns() {
        if session.wantsJSON { return }
        terminal.print("")
        line([
            "SCHEDULES", "PUT/S", "BYTES EACH", "LATE p50, p99", "SLOTS/S", "CPU us/slot: own, broker, load", "RESTART",
            "ADOPT",
        ])
    }

    private func line(_ cells: [String]) {
        var text = ""
        for (index, cell) in cells.enumerated() {
            text += index == cells.count - 1 ? cell : cell.padded(to: BenchScheduleReport.widths[index] + 2)
        }
        terminal.print(text)
    }

    /// One number of schedules.
    func row(_ figures: BenchSchedules.Figures) {
        if session.wantsJSON { return terminal.print(json(figures)) }
        let cpu = [figures.ownMs, figures.brokerMs, figures.loadMs].map {
            String($0 * 1000 / max(1, figures.slots))
        }
        line([
            String(figures.schedules), String(figures.putsPerSecond), String(figures.bytesEach), pair(figures.lateness),
            String(figures.slots / max(1, figures.seconds)), cpu.joined(separator: ", "),
            Durations.text(figures.restartMs), figures.adoptMs.map(Durations.text) ?? "-",
        ])
    }

    private func json(_ figures: BenchSchedules.Figures) -> [UInt8] {
        RawJSON {
            $0.object { writer in
                writer.field("schedules", figures.schedules)
                writer.field("puts_per_second", figures.putsPerSecond)
                writer.field("bytes_each", figures.bytesEach)
                writer.field("late_p50_us", figures.lateness.percentile(50))
                writer.field("late_p99_us", figures.lateness.percentile(99))
                writer.field("slots_per_second", figures.slots / max(1, figures.seconds))
                writer.field("cpu_ms", figures.ownMs)
                writer.field("broker_cpu_ms", figures.brokerMs)
                writer.field("load_cpu_ms", figures.loadMs)
                writer.field("restart_ms", figures.restartMs)
                writer.field("adopt_ms", figures.adoptMs)
            }
        }.bytes
    }
}
