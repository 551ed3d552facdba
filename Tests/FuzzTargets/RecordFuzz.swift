import Contract
import DispatcherCore
import ExecutorCore
import HeartbeatCore
import Machine
import MonitorCore
import SchedulerCore
import TimeModel

/// What a service may find in its journal, and what may come to it over the bus: each is taken or refused, and the
/// service goes on.
enum RecordFuzz {
    private static let now = Now(
        wall: WallTime(milliseconds: 1_772_000_000_000), monotonic: MonotonicTime(milliseconds: 1000))
    private static let later = Now(wall: now.wall + 60_000, monotonic: now.monotonic + 60_000)

    private static var dispatcher: Dispatcher { Dispatcher(configuration: DispatcherConfiguration(), seed: 1) }
    private static var scheduler: SchedulerCore { SchedulerCore(settings: SchedulerSettings()) }
    private static var heartbeat: HeartbeatCore { HeartbeatCore(settings: HeartbeatSettings()) }
    private static var monitor: MonitorCore { MonitorCore(settings: MonitorSettings()) }
    private static var executor: ExecutorMachine {
        let settings = ExecutorSettings(workspace: "main", name: "e", seed: 1)
        return ExecutorMachine(Manifest(capabilities: []), settings: settings)
    }

    /// Records, one on a line: what is taken can be started with and written down again.
    static func run(_ bytes: [UInt8]) -> String? {
        let records = bytes.split(separator: 0x0A).prefix(64).map { Array($0) }
        replay(records, dispatcher)
        replay(records, scheduler)
        replay(records, heartbeat)
        replay(records, monitor)
        replay(records, executor)
        return nil
    }

    private static func replay(_ records: [[UInt8]], _ empty: some Service) {
        var core = empty
        for record in records {
            do throws(JournalError) { try core.replay(record) } catch { continue }
        }
        var effects: [ServiceEffect] = []
        core.handle(.started, at: now, emitting: &effects)
        core.snapshot { _ in }
        core.handle(.connected, at: now, emitting: &effects)
        core.handle(.wake, at: later, emitting: &effects)
    }

    /// A topic and a payload, live and retained.
    static func inbound(_ bytes: [UInt8]) -> String? {
        let parts = bytes.split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false)
        let topic = String(decoding: parts.first ?? [], as: UTF8.self)
        let payload = parts.count > 1 ? Array(parts[1]) : []
        return receive(topic, payload, dispatcher, { $0.checkInvariants() })
            ?? receive(topic, payload, scheduler, { $0.checkInvariants() })
            ?? receive(topic, payload, heartbeat, { $0.checkInvariants() })
            ?? receive(topic, payload, monitor, { $0.checkInvariants() })
            ?? receive(topic, payload, executor, { $0.checkInvariants() })
    }

    private static func receive<Core: Service>(
        _ topic: String, _ payload: [UInt8], _ empty: Core, _ faults: (Core) -> [String]
    ) -> String? {
        var core = empty
        var effects: [ServiceEffect] = []
        core.handle(.started, at: now, emitting: &effects)
        core.handle(.connected, at: now, emitting: &effects)
        for isRetained in [false, true] {
            let message = InboundMessage(topic: topic, payload: payload, retained: isRetained)
            core.handle(.message(message), at: now, emitting: &effects)
        }
        core.handle(.wake, at: later, emitting: &effects)
        return faults(core).first
    }

    /// A document, put as a schedule and as a check.
    static func documents(_ bytes: [UInt8]) -> String? {
        receive("main/martlet1/command/shop/schedule/put/s", bytes, scheduler, { $0.checkInvariants() })
            ?? receive("main/martlet1/command/shop/check/put/s", bytes, heartbeat, { $0.checkInvariants() })
    }
}
