import Contract
import Glibc
import Machine
import Shell
import TimeModel
import Timing
import Wire

/// What the timing engine takes by itself: no broker, no journal, one thread.
struct BenchTiming {
    private let zones: ZoneCatalog
    private let now: WallTime

    /// Measures with these zones, around this moment.
    init(zones: ZoneCatalog, now: WallTime) {
        self.zones = zones
        self.now = now
    }

    /// Expressions of every form.
    static let expressions = [
        "* * * * *", "*/5 * * * *", "0 9 * * 1-5", "30 2 * * *", "0 0 1 * *", "0 0 29 2 *", "0 0 13 * 5", "0 0 L * *",
        "0 12 15W * *", "0 8 * * 5L", "15 10 * * 1#1", "H H * * *", "H/15 * * * *", "*/10 * * * * *",
        "0 22-2 * * FRI-MON",
        "0 0 LW * ?", "5,35 8-18/2 * MAR-OCT +1-5", "0 0 31 */2 *", "59 59 23 31 12 *", "0 0 29 2 +1",
    ]

    /// Microseconds with two digits.
    struct Nanoseconds: Hashable, Sendable {
        /// The median, and the slowest case; each case counts with its best of five.
        var median: Int
        var worst: Int
        /// Cases.
        var cases: Int

        init(_ times: [Int]) {
            let sorted = times.sorted()
            median = sorted.isEmpty ? 0 : sorted[sorted.count / 2]
            worst = sorted.last ?? 0
            cases = sorted.count
        }

        /// `0.21 us`.
        static func text(_ nanoseconds: Int) -> String {
            let hundredths = nanoseconds % 1000 / 10
            return "\(nanoseconds / 1000).\(hundredths < 10 ? "0" : "")\(hundredths) us"
        }
    }

    private static var nanoseconds: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    /// The best of five, so that what else the machine does is not measured.
    private static func best(_ body: () -> Void) -> Int {
        var best = Int.max
        for _ in 0..<5 {
            let began = nanoseconds
            body()
            best = min(best, nanoseconds - began)
        }
        return best
    }

    /// Reading an expression.
    func parse() -> Nanoseconds {
        var sink = 0
        let times = BenchTiming.expressions.flatMap { text in
            (0..<50).map { _ in
                BenchTiming.best { if (try? CronExpression(text, seed: "bench")) != nil { sink += 1 } }
            }
        }
        return Nanoseconds(sink > 0 ? times : [])
    }

    private func timelines() -> [Timeline] {
        let names = [
            "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca",
        ]
        return names.compactMap { zones.zone(named: $0) }.flatMap { zone in
            BenchTiming.expressions.compactMap { text in
                (try? CronExpression(text, seed: "bench")).map { Timeline(.cron(CronTimeline($0, zone: zone))) }
            }
        }
    }

    /// Finding the next slot, at moments spread over twenty years.
    func next() -> Nanoseconds {
        var sink = 0
        var times: [Int] = []
        for timeline in timelines() {
            for number in 0..<200 {
                let moment = now + number * 3_155_692_607
                times.append(BenchTiming.best { if timeline.next(after: moment) != nil { sink += 1 } })
            }
        }
        return Nanoseconds(sink > 0 ? times : [])
    }

    /// Schedules per second that get their next slot and their place in the agenda.
    func addsPerSecond(_ count: Int) -> Int {
        let timelines = timelines()
        let keys = (0..<count).map { "schedule-\($0)" }
        var agenda = Agenda<String>()
        let began = BenchTiming.nanoseconds
        for (number, key) in keys.enumerated() {
            agenda.set(key, timelines[number % timelines.count].next(after: now + number))
        }
        let passed = BenchTiming.nanoseconds - began
        return agenda.count * 1_000_000_000 / max(1, passed)
    }

    /// How late a wait of one millisecond ends: no schedule can be more exact. In microseconds.
    func timerFloor() -> BenchLatencies {
        BenchLatencies(
            (0..<300).map { _ in
                let began = BenchClock.now
                _ = poll(nil, 0, 1)
                return max(0, BenchClock.now - began - 1000)
            })
    }

    /// What a year of daily schedules gave.
    struct Year: Hashable, Sendable {
        /// Zones whose clocks change in it, one schedule each.
        var zones: Int
        /// Runs that were sent, and slots by the calendar.
        var runs: Int
        var slots: Int
        /// Real time in ms.
        var passedMs: Int
    }

    /// A scheduler lives through a year in steps of a quarter of an hour: one daily schedule at half past two in each
    /// zone whose clocks change.
    func year() -> Year {
        let begin = WallTime(milliseconds: now.milliseconds / 86_400_000 * 86_400_000)
        let end = begin + 365 * 86_400_000
        let changing = zones.names.filter { name in
            guard let zone = zones.zone(named: name) else { return false }
            return zone.span(at: begin.milliseconds / 1000).end < end.milliseconds / 1000
        }
        var life = BenchLife(zones: zones, begin: begin)
        let began = BenchClock.now
        for name in changing { life.put(zone: name) }
        while life.wall < end { life.pass(900_000) }
        var slots = 0
        for name in changing {
            guard let zone = zones.zone(named: name), let daily = try? CronExpression(BenchLife.rule) else { continue }
            let timeline = Timeline(.cron(CronTimeline(daily, zone: zone)))
            slots += timeline.slots(after: begin, before: end + 1, limit: .max)?.count ?? 0
        }
        return Year(
            zones: changing.count, runs: life.runs.count, slots: slots, passedMs: (BenchClock.now - began) / 1000)
    }
}

/// A scheduler with a clock that is moved, and a dispatcher that does everything at once.
private struct BenchLife {
    static let rule = "30 2 * * *"
    private(set) var wall: WallTime
    private(set) var runs: Set<String> = []
    private var engine: ScheduleEngine
    private var effects: [ServiceEffect] = []

    init(zones: ZoneCatalog, begin: WallTime) {
        var settings = EngineSettings()
        settings.boot = "bench"
        settings.zones = zones
        engine = ScheduleEngine(settings: settings)
        wall = begin
        give(.started)
        give(.connected)
    }

    private mutating func give(_ input: ServiceInput) {
        let now = Now(wall: wall, monotonic: MonotonicTime(milliseconds: wall.milliseconds))
        engine.handle(input, at: now, emitting: &effects)
        let wanted = effects
        effects.removeAll(keepingCapacity: true)
        for case .publish(let message) in wanted {
            if let token = message.token { give(.delivered(token: token)) }
            guard let topic = Topic(message.topic) else { continue }
            if case .service = topic.place {
                give(.message(InboundMessage(topic: message.topic, payload: message.payload)))
            }
            guard case .intent(let principal, let capability, let id) = topic.place else { continue }
            runs.insert(id)
            let result = TaskResult(task: id, status: .success, finishedAt: wall)
            let answer = Topic(topic.workspace, .result(principal: principal, capability: capability, id: id)).name
            give(.message(InboundMessage(topic: answer, payload: result.encoded)))
        }
    }

    mutating func put(zone: String) {
        let name = String(zone.map { $0 == "/" || $0 == "+" ? "." : $0 })
        let body = RawJSON {
            $0.object { writer in
                writer.field("type", "cron")
                writer.field("spec") {
                    $0.field("expr", BenchLife.rule)
                    $0.field("timezone", zone)
                }
                writer.field("target") {
                    $0.field("workspace_id", Names.defaultWorkspace)
                    $0.field("agent_id", ScheduleDocument.anyAgent)
                }
            }
        }
        let topic = Topic(Names.defaultWorkspace, .command(principal: "bench", noun: "schedule", verb: "put", id: name))
        give(.message(InboundMessage(topic: topic.name, payload: body.bytes)))
    }

    mutating func pass(_ ms: Int) {
        wall = wall + ms
        give(.wake)
    }
}
