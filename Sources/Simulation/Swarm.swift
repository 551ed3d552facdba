import Determinism
import HeartbeatCore
import MonitorCore
import SchedulerCore
import Timing

/// Runs by service and seed.
public enum Swarm {
    /// Plays one run; `tell` gets a line for everything that happens.
    public static func run(
        service: String, seed: UInt64, mutant: Mutant? = nil, tell: ((String) -> Void)? = nil
    ) -> RunReport {
        if service == "scheduler" { return runScheduler(seed: seed, tell: tell) }
        if service == "heartbeat" { return runHeartbeat(seed: seed, tell: tell) }
        if service == "monitor" { return runMonitor(seed: seed, tell: tell) }
        // Every hundredth seed measures shares under a load that never lets up.
        if mutant?.isOfShares ?? (seed % 100 == 0) { return SharesRun.report(seed: seed, mutant: mutant) }
        let run = DispatcherRun(seed: seed, mutant: mutant)
        run.world.tell = tell
        return run.run()
    }

    /// What the standard seeds of the dispatcher must have met, at least once in a thousand runs.
    public static let required = [
        "lease expired", "late outcome taken", "event TASK_STALE_RESULT", "duplicate intent",
        "kill between accept and dispatch", "crash beforeAppend", "crash beforeSync", "crash beforePublish",
        "sync failed", "disk full", "take-over", "take-over of the dispatcher", "broker restart clean",
        "broker restart oldState", "broker restart empty", "Will after birth", "overflow", "probe lost", "zombie",
        "clock step", "event APPROVAL_EXPIRED", "event APPROVAL_GRANTED", "event APPROVAL_DENIED", "attached", "plan",
        "step", "executor sleeps", "self-fence", "outcome repeated late", "result code poison",
        "result code lease_expired", "result code budget_exceeded", "result code circuit_open", "refused busy",
        "refused rate_limited", "refused policy_rejected", "command task.assign", "command executor.drain",
        "command circuit.open", "command task.redrive", "probe of a kill", "probe of a freeze",
        "circuit open after the faults", "replay compared", "shares measured",
    ]

    /// Plays one run of the scheduler.
    public static func runScheduler(
        seed: UInt64, mutant: SchedulerMutant? = nil, tell: ((String) -> Void)? = nil
    ) -> RunReport {
        let run = SchedulerRun(seed: seed, mutant: mutant) { seed in
            var settings = SchedulerSettings()
            settings.boot = "s\(seed % 1_000_000_007)"
            settings.operators = ["op"]
            return SchedulerCore(settings: settings)
        }
        run.world.tell = tell
        return run.run()
    }

    /// Plays one run of heartbeat. With `pausedForMs` nothing happens for so long but that heartbeat's process stops now
    /// and then: no executor may be called silent.
    public static func runHeartbeat(
        seed: UInt64, mutant: HeartbeatMutant? = nil, pausedForMs: Int? = nil, tell: ((String) -> Void)? = nil
    ) -> RunReport {
        if mutant == .judgesBeforeReading {
            let run = HeartbeatRun(seed: seed, mutant: mutant, pausedForMs: pausedForMs) { seed in
                ImpatientHeartbeat(heartbeat(seed))
            }
            run.world.tell = tell
            return run.run()
        }
        let run = HeartbeatRun(seed: seed, mutant: mutant, pausedForMs: pausedForMs) { heartbeat($0) }
        run.world.tell = tell
        return run.run()
    }

    /// Plays one run of the monitor.
    public static func runMonitor(
        seed: UInt64, mutant: MonitorMutant? = nil, tell: ((String) -> Void)? = nil
    ) -> RunReport {
        let run = MonitorRun(seed: seed, mutant: mutant) { seed in
            var settings = MonitorSettings()
            settings.boot = "m\(seed % 1_000_000_007)"
            settings.operators = [MonitorRun<MonitorCore>.asker]
            return MonitorCore(settings: settings)
        }
        run.world.tell = tell
        return run.run()
    }

    private static func heartbeat(_ seed: UInt64) -> HeartbeatCore {
        var settings = HeartbeatSettings()
        settings.engine.boot = "h\(seed % 1_000_000_007)"
        settings.engine.operators = ["op"]
        return HeartbeatCore(settings: settings)
    }
}

/// What came of many runs.
public struct SwarmSummary: Sendable {
    /// Runs that were played.
    public private(set) var runs = 0
    /// Runs in which something was violated.
    public private(set) var violated = 0
    private var events = 0
    private var intents = 0
    private var counters = SortedDictionary<String, (total: Int, runs: Int)>()

    /// Of no runs.
    public init() {}

    /// Adds a run.
    public mutating func add(_ report: RunReport) {
        runs += 1
        if !report.violations.isEmpty { violated += 1 }
        events += report.events
        intents += report.intents
        for (name, count) in report.sometimes {
            counters.update(name, initial: (0, 0)) { $0 = ($0.total + count, $0.runs + 1) }
        }
    }

    /// What of `required` never happened.
    public func missing(_ required: [String]) -> [String] { required.filter { counters[$0] == nil } }

    /// A table of what happened how often, and in how many runs.
    public var text: String {
        var lines = ["\(runs) runs, \(events) events, \(intents) requests, \(violated) runs with violations"]
        for (name, counter) in counters {
            let dots = String(repeating: ".", count: max(1, 44 - name.count))
            lines.append("  \(name) \(dots) \(counter.total) in \(counter.runs) runs")
        }
        return lines.joined(separator: "\n")
    }
}
