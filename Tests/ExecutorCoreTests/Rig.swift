import Contract
import ExecutorCore
import Machine
import Testing
import TimeModel
import Wire

/// A machine with a clock that the test sets, what it has published, and a journal that survives a restart.
final class Rig {
    private(set) var machine: ExecutorMachine
    private(set) var now = 1000
    private(set) var published: [OutboundMessage] = []
    private(set) var events: [LogEvent] = []
    private(set) var children: [ChildRequest] = []
    private(set) var stopped: [Int] = []
    private(set) var hasQuit = false
    private(set) var isReady = false
    private(set) var subscriptions: [Subscription] = []
    private(set) var journal: [[UInt8]] = []
    private let manifest: Manifest
    private var seed: UInt64

    init(_ text: String = Rig.standard, seed: UInt64 = 1, connected: Bool = true) throws {
        manifest = try Manifest(reading: Array(text.utf8), folder: "/opt/adapters")
        self.seed = seed
        machine = Rig.machine(manifest, seed)
        give(.started)
        if connected { connect() }
    }

    private static func machine(_ manifest: Manifest, _ seed: UInt64) -> ExecutorMachine {
        let settings = ExecutorSettings(
            workspace: "main", name: "e1", seed: seed, environment: ["PATH=/bin", "SECRET=x", "TZ=UTC"], folder: "/opt")
        return ExecutorMachine(manifest, settings: settings)
    }

    static let standard = """
        {"slots": 2, "beat_ms": 1000, "capabilities": [
          {"name": "demo.echo", "builtin": "echo", "lease_ms": 10000},
          {"name": "demo.sleep", "builtin": "sleep", "lease_ms": 10000},
          {"name": "demo.fail", "builtin": "fail", "lease_ms": 10000},
          {"name": "run", "command": ["./run", "-x"], "lease_ms": 10000, "memory_limit_mb": 64},
          {"name": "heavy", "command": ["run"], "slot_cost": 2, "lease_ms": 10000},
          {"name": "single", "command": ["run"], "max_concurrent": 1, "lease_ms": 10000},
          {"name": "later", "builtin": "echo", "loaded": false, "version": "2", "lease_ms": 10000}
        ]}
        """

    var boot: String { machine.boot }

    func give(_ input: ServiceInput) {
        var effects: [ServiceEffect] = []
        let wall = WallTime(milliseconds: 1_700_000_000_000 + now)
        machine.handle(input, at: Now(wall: wall, monotonic: MonotonicTime(milliseconds: now)), emitting: &effects)
        for effect in effects { carryOut(effect) }
        #expect(machine.checkInvariants() == [])
    }

    private func carryOut(_ effect: ServiceEffect) {
        switch effect {
        case .append(let record): journal.append(record)
        case .publish(let message): published.append(message)
        case .subscribe(let list): subscriptions += list
        case .startChild(let request): children.append(request)
        case .stopChild(let id): stopped.append(id)
        case .log(let event): events.append(event)
        case .status, .archive: break
        case .ready: isReady = true
        case .quit: hasQuit = true
        }
    }

    func connect() { give(.connected) }

    /// Lets time pass, stopping wherever the machine wants to be woken.
    func pass(_ ms: Int) {
        let end = now + ms
        while let wake = machine.nextWake?.milliseconds, wake <= end {
            now = max(now, wake)
            give(.wake)
        }
        now = end
    }

    /// Lets time pass without the machine noticing, as for a frozen process.
    func freeze(_ ms: Int) { now += ms }

    /// The process dies and starts again; what it appended is still there.
    func restart(connected: Bool = true) {
        seed += 1
        machine = Rig.machine(manifest, seed)
        for record in journal { #expect(throws: Never.self) { try machine.replay(record) } }
        published.removeAll()
        children.removeAll()
        stopped.removeAll()
        give(.started)
        if connected { connect() }
    }

    func work(_ message: WorkMessage, capability: String = "_") {
        give(.message(InboundMessage(topic: "main/martlet1/work/\(capability)/e1", payload: message.encoded)))
    }

    /// An assignment for this boot.
    func assignment(
        _ task: String, epoch: Int, capability: String = "run", input: String = "{}", principal: String = "me"
    ) -> Assignment {
        var assignment = Assignment(
            task: task, epoch: epoch, term: 1, attempt: 1, capability: capability, principal: principal)
        assignment.input = try? RawJSON(validating: Array(input.utf8))
        assignment.leaseMs = 10_000
        assignment.timeoutMs = 5000
        assignment.acceptMs = 2000
        assignment.boot = boot
        return assignment
    }

    func assign(_ task: String, epoch: Int, capability: String = "run", input: String = "{}") {
        work(.assign(assignment(task, epoch: epoch, capability: capability, input: input)), capability: capability)
    }

    func grant(_ grant: Grant, slot: String = "1") {
        give(.message(InboundMessage(topic: "main/martlet1/grant/e1/\(slot)", payload: grant.encoded)))
    }

    /// Answers the last beat.
    func acknowledge(revoked: [LeasePair] = [], confirmed: [LeasePair] = [], resend: [LeasePair] = []) {
        let ack = BeatAck(seq: beats.last?.seq, revoked: revoked, confirmed: confirmed, resend: resend)
        work(.beatAck(ack))
    }

    /// Ends the child that was started last, or the one with a number.
    func end(_ end: ChildOutcome.End, output: String = "", errors: String = "", id: Int? = nil) {
        guard let id = id ?? children.last?.id else { return }
        let outcome = ChildOutcome(
            end: end, output: Array(output.utf8), errorTail: Array(errors.utf8), cpuTimeMs: 7, maxResidentKiB: 2049,
            durationMs: 12)
        give(.childEnded(id: id, outcome))
    }

    func forget() { published.removeAll() }

    /// What was published on topics of one class, read.
    private func read<Value: WireReadable>(_ word: String, _ type: Value.Type) -> [Value] {
        published.filter { $0.topic.contains("/martlet1/\(word)/") && !$0.payload.isEmpty }
            .compactMap { try? Value(decoding: $0.payload) }
    }

    var reports: [Report] { read("report", Report.self) }
    var beats: [Beat] { read("beat", Beat.self) }
    var claims: [Claim] { read("claim", Claim.self) }
    var cards: [Card] {
        published.filter { $0.topic == "main/martlet1/executor/e1/card" }
            .compactMap { try? Card(decoding: $0.payload) }
    }
    var states: [ExecutorState] { statusMessages.map(\.status) }

    var statusMessages: [ExecutorStatus] {
        published.filter { $0.topic == "main/martlet1/executor/e1/status" }
            .compactMap { try? ExecutorStatus(decoding: $0.payload) }
    }

    /// The last outcome that was published.
    var outcome: Report? { reports.last { $0.type == .outcome } }

    func count(_ kind: Report.Kind, epoch: Int? = nil) -> Int {
        reports.count { $0.type == kind && $0.epoch == epoch ?? $0.epoch }
    }
}
