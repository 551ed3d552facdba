import Contract
import Glibc
import Machine
import TimeModel
import Timing
import Wire

/// What a scheduler with many schedules takes by itself, in this process: no broker, no disk, one thread.
struct BenchEngine {
    private let zones: ZoneCatalog
    private let now: WallTime
    private let count: Int

    /// Measures so many schedules with these zones, around this moment.
    init(zones: ZoneCatalog, now: WallTime, count: Int) {
        self.zones = zones
        self.now = now
        self.count = count
    }

    /// What was measured; times in ms.
    struct Figures: Hashable, Sendable {
        /// Schedules.
        var count: Int
        /// From the document to the journal record.
        var putsPerSecond = 0
        /// Memory in use per schedule, and the part of it that is the document as it was put.
        var bytesEach = 0
        var payloadEach = 0
        /// Reading all records of the journal, and what comes after the last one until all are armed.
        var records = 0
        var replayMs = 0
        var replayArmedMs = 0
        /// Taking over all retained documents, and what comes after the last one until all are armed.
        var adoptMs = 0
        var adoptArmedMs = 0
    }

    private static let zoneNames = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Sydney"]

    /// Half of them cron expressions, half intervals of an hour that share it evenly.
    private func document(_ index: Int) -> RawJSON {
        RawJSON {
            $0.object { writer in
                writer.field("type", index % 2 == 0 ? "cron" : "interval")
                writer.field("spec") {
                    if index % 2 == 0 {
                        $0.field("expr", "\(index / 2 % 60) \(index / 120 % 24) * * 1-5")
                        $0.field("timezone", BenchEngine.zoneNames[index / 2 % BenchEngine.zoneNames.count])
                    } else {
                        $0.field("every_ms", 3_600_000)
                        $0.field("start_at", WallTime(milliseconds: now.milliseconds + index % 3_600_000))
                    }
                }
                writer.field("target") {
                    $0.field("workspace_id", Names.defaultWorkspace)
                    $0.field("agent_id", ScheduleDocument.anyAgent)
                }
                writer.field("work") {
                    $0.field("capability", "bench.tick")
                    $0.field("input") { $0.field("number", index) }
                }
            }
        }
    }

    /// One life of an engine, at one moment.
    private struct Life {
        var engine: ScheduleEngine
        var effects: [ServiceEffect] = []
        var at: Now
        /// Whether its own record comes back at once.
        var answersItself = true

        init(_ zones: ZoneCatalog, _ wall: WallTime, adopts: Bool = false) {
            var settings = EngineSettings()
            settings.boot = "bench"
            settings.zones = zones
            settings.adopts = adopts
            engine = ScheduleEngine(settings: settings)
            at = Now(wall: wall, monotonic: MonotonicTime(milliseconds: 1_000_000))
        }

        /// Hands an input over and keeps nothing of what it asks for but its events, which are acknowledged.
        mutating func give(_ input: ServiceInput, _ published: (OutboundMessage) -> Void = { _ in }) {
            engine.handle(input, at: at, emitting: &effects)
            var answers: [ServiceInput] = []
            for case .publish(let message) in effects {
                if let token = message.token { answers.append(.delivered(token: token)) }
                // The own record comes back, which says that all that is retained has come.
                if message.topic.contains("/service/"), answersItself {
                    answers.append(.message(InboundMessage(topic: message.topic, payload: message.payload)))
                }
                published(message)
            }
            effects.removeAll(keepingCapacity: true)
            for answer in answers { give(answer, published) }
        }
    }

    /// Resident memory of this process.
    private static var memory: Int { ProcessUsage.of(getpid()).residentKiB * 1024 }

    private static func passed(since began: Int) -> Int { (BenchClock.now - began) / 1000 }

    /// Measures.
    func measure() -> Figures {
        var figures = Figures(count: count)
        let documents = (0..<count).map { document($0).bytes }
        figures.payloadEach = documents.reduce(0) { $0 + $1.count } / max(1, count)
        var views: [(topic: String, payload: [UInt8])] = []
        var records: [[UInt8]] = []
        do {
            let before = BenchEngine.memory
            var life = Life(zones, now)
            life.give(.started)
            life.give(.connected)
            let began = BenchClock.now
            for (index, document) in documents.enumerated() {
                let place = Topic.Place.command(
                    principal: "bench", noun: "schedule", verb: "put", id: "schedule-\(index)")
                life.give(.message(InboundMessage(topic: Topic(Names.defaultWorkspace, place).name, payload: document)))
            }
            figures.putsPerSecond = count * 1000 / max(1, BenchEngine.passed(since: began))
            life.give(.disconnected)
            figures.bytesEach = (BenchEngine.memory - before) / max(1, count)
            life.engine.snapshot { records.append($0) }
            life.give(.connected)
            for _ in 0...count / 500 {
                life.at = Now(wall: life.at.wall, monotonic: life.at.monotonic + 1000)
                life.give(.wake) {
                    if $0.retain, $0.topic.contains("/schedule/") { views.append(($0.topic, $0.payload)) }
                }
            }
        }
        replay(records, &figures)
        adopt(views, &figures)
        return figures
    }

    private func replay(_ records: [[UInt8]], _ figures: inout Figures) {
        figures.records = records.count
        var life = Life(zones, now)
        let began = BenchClock.now
        for record in records { try? life.engine.replay(record) }
        figures.replayMs = BenchEngine.passed(since: began)
        let last = BenchClock.now
        life.give(.started)
        figures.replayArmedMs = BenchEngine.passed(since: last)
    }

    private func adopt(_ views: [(topic: String, payload: [UInt8])], _ figures: inout Figures) {
        var life = Life(zones, now, adopts: true)
        var record: OutboundMessage?
        life.answersItself = false
        life.give(.started)
        life.give(.connected) { if $0.topic.contains("/service/") { record = $0 } }
        let began = BenchClock.now
        for view in views.dropLast() {
            life.give(.message(InboundMessage(topic: view.topic, payload: view.payload, retained: true)))
        }
        let last = BenchClock.now
        if let view = views.last {
            life.give(.message(InboundMessage(topic: view.topic, payload: view.payload, retained: true)))
        }
        if let record { life.give(.message(InboundMessage(topic: record.topic, payload: record.payload))) }
        life.give(.wake)
        figures.adoptArmedMs = BenchEngine.passed(since: last)
        figures.adoptMs = BenchEngine.passed(since: began)
    }
}
