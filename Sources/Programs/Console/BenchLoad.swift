import Contract
import Machine
import Shell
import TimeModel
import Wire

/// The load: publishers that count results, and executors that answer each assignment at once. Each has a connection of
/// its own, all in one loop.
final class BenchLoad {
    /// How much of it.
    struct Shape: Hashable, Sendable {
        /// Connections that publish intents.
        var publishers = 4
        /// Connections that work.
        var executors = 4
        /// Slots on each executor's card.
        var slots = 256
        /// Bytes of an intent.
        var payload = 300

        /// The accounts of the publishers.
        var publisherNames: [String] { (0..<publishers).map { "bench-p\($0)" } }
        /// The accounts of the executors.
        var executorNames: [String] { (0..<executors).map { "bench-e\($0)" } }
    }

    /// The capability that is run.
    static let capability = "bench.work"
    /// Capabilities that nobody works for, so that tasks queue.
    static let waiting = ["bench.wait-0", "bench.wait-1", "bench.wait-2"]

    private let loop: BenchLoop
    private let shape: Shape
    private let round: Int
    private let payload: [UInt8]
    private var publishers: [Int] = []
    private var workers: [BenchWorker] = []
    private var startedAt: [Int] = []
    private var latencies: [Int] = []
    private var finished = 0
    private(set) var accepted = 0
    private(set) var failures = 0
    private var phase = 0
    private var onResult: () -> Void = {}

    /// Connects everything. The round tells its tasks from those of others.
    init(
        _ shape: Shape, _ round: Int, interrupts: Interrupts, settings: (String) -> ConnectionSettings
    ) throws(Failure) {
        self.shape = shape
        self.round = round
        loop = BenchLoop(interrupts: interrupts)
        payload = BenchLoad.intent(bytes: shape.payload)
        for name in shape.publisherNames {
            let connection = loop.add(settings(name)) { [unowned self] message in take(message) }
            loop.subscribe(connection, ["main/martlet1/result/\(name)/#", "main/martlet1/update/\(name)/#"])
            publishers.append(connection)
        }
        for name in shape.executorNames {
            let worker = BenchWorker(name, slots: shape.slots, loop)
            worker.connection = loop.add(settings(name)) { [unowned worker] message in worker.take(message) }
            loop.subscribe(worker.connection, ["main/martlet1/work/+/\(name)"])
            workers.append(worker)
        }
        try loop.settle(withinMs: 10_000)
        for worker in workers { worker.sayHello() }
        try loop.settle(withinMs: 10_000)
    }

    /// An intent of so many bytes, as near as its frame allows.
    static func intent(bytes: Int) -> [UInt8] {
        let frame = "{\"input\":{\"text\":\"\"}}".utf8.count
        let text = String(repeating: "x", count: max(0, bytes - frame))
        return Array("{\"input\":{\"text\":\"\(text)\"}}".utf8)
    }

    private func take(_ message: InboundMessage) {
        let topic = message.topic.utf8
        guard topic.dropFirst(14).first == UInt8(ascii: "r") else {
            accepted += 1
            return
        }
        var index = 0
        var scale = 1
        for byte in topic.reversed() {
            guard byte >= 0x30, byte <= 0x39 else { break }
            index += Int(byte - 0x30) * scale
            scale *= 10
        }
        guard index < startedAt.count, startedAt[index] > 0 else { return }
        latencies.append(BenchClock.now - startedAt[index])
        startedAt[index] = 0
        finished += 1
        if message.payload.firstRange(of: Array("\"status\":\"success\"".utf8)) == nil { failures += 1 }
        onResult()
    }

    private func start(_ index: Int) {
        let publisher = index % publishers.count
        let name = shape.publisherNames[publisher]
        startedAt[index] = BenchClock.now
        loop.publish(
            publishers[publisher], "main/martlet1/intent/\(name)/\(BenchLoad.capability)/r\(round).\(phase)-\(index)",
            payload)
    }

    private func begin(_ count: Int) {
        phase += 1
        startedAt = [Int](repeating: 0, count: count)
        latencies = []
        latencies.reserveCapacity(count)
        finished = 0
        failures = 0
    }

    /// What a phase measured.
    struct Outcome {
        /// From the first intent to the last result, in microseconds.
        var microseconds: Int
        /// From intent to result.
        var latencies: BenchLatencies
        /// Tasks.
        var tasks: Int
        /// Tasks per second.
        var rate: Int { tasks * 1_000_000 / max(1, microseconds) }
    }

    /// So many tasks, as many at a time as said; 1 is one after the other.
    func run(_ count: Int, atATime: Int) throws(Failure) -> Outcome {
        begin(count)
        var next = 0
        onResult = { [unowned self] in
            if next < count {
                start(next)
                next += 1
            }
        }
        let began = BenchClock.now
        while next < min(count, atATime) {
            start(next)
            next += 1
        }
        try finish(count)
        return Outcome(microseconds: BenchClock.now - began, latencies: BenchLatencies(latencies), tasks: count)
    }

    /// So many tasks at a steady rate, whether results come or not.
    func run(_ count: Int, perSecond rate: Int) throws(Failure) -> Outcome {
        begin(count)
        onResult = {}
        let began = BenchClock.now
        var next = 0
        while next < count {
            let due = min(count, (BenchClock.now - began) * rate / 1_000_000 + 1)
            while next < due {
                start(next)
                next += 1
            }
            try turn(waitMs: 1)
        }
        try finish(count)
        return Outcome(microseconds: BenchClock.now - began, latencies: BenchLatencies(latencies), tasks: count)
    }

    /// Sends single tasks until one is answered: whoever is to answer may still be connecting.
    func awaitAnswer(withinMs: Int) throws(Failure) {
        let deadline = SystemClock.monotonic + withinMs
        while SystemClock.monotonic < deadline {
            begin(1)
            onResult = {}
            start(0)
            let patience = SystemClock.monotonic + 300
            while finished == 0, SystemClock.monotonic < patience { try turn(waitMs: 50) }
            if finished > 0 { return }
        }
        throw Failure(.unreachable, "no answer to the first task within \(Durations.text(withinMs))")
    }

    private func finish(_ count: Int) throws(Failure) {
        var last = (finished, BenchClock.now)
        while finished < count {
            try turn(waitMs: 100)
            if finished != last.0 { last = (finished, BenchClock.now) }
            guard BenchClock.now - last.1 < 20_000_000 else {
                throw Failure(.noAnswer, "no result for 20 s; \(count - finished) of \(count) tasks are missing")
            }
        }
        guard failures == 0 else { throw Failure(.failed, "\(failures) of \(count) tasks did not succeed") }
    }

    private func turn(waitMs: Int) throws(Failure) {
        try loop.turn(waitMs: waitMs)
        let now = BenchClock.now
        for worker in workers { worker.beat(at: now) }
    }

    /// Accepted tasks that wait: intents for capabilities that a paused executor offers. Returns the seconds it took.
    func queue(_ count: Int) throws(Failure) -> Outcome {
        workers.first?.offerWaiting()
        try loop.settle(withinMs: 10_000)
        begin(count)
        accepted = 0
        let began = BenchClock.now
        var sent = 0
        var last = (0, BenchClock.now)
        while accepted + finished < count {
            while sent < count, sent - accepted - finished < 2000 {
                let publisher = sent % publishers.count
                let capability = BenchLoad.waiting[sent / publishers.count % BenchLoad.waiting.count]
                let name = shape.publisherNames[publisher]
                startedAt[sent] = BenchClock.now
                loop.publish(
                    publishers[publisher], "main/martlet1/intent/\(name)/\(capability)/q\(round).\(phase)-\(sent)",
                    waitingPayload)
                sent += 1
            }
            try turn(waitMs: 100)
            if accepted + finished != last.0 { last = (accepted + finished, BenchClock.now) }
            guard BenchClock.now - last.1 < 20_000_000 else {
                throw Failure(.noAnswer, "no answer for 20 s; \(accepted) of \(count) intents are accepted")
            }
        }
        guard finished == 0 else { throw Failure(.refused, "\(finished) of \(count) intents were refused") }
        return Outcome(microseconds: BenchClock.now - began, latencies: BenchLatencies([]), tasks: count)
    }

    /// Critical, since that lane alone may fill the whole queue.
    private var waitingPayload: [UInt8] { Array("{\"priority\":\"critical\",".utf8) + payload.dropFirst() }

    /// Leaves the broker.
    func close() {
        for worker in workers { worker.sayGoodbye() }
        try? loop.settle(withinMs: 2000)
        loop.close()
    }
}

/// An executor that does nothing, at once.
final class BenchWorker {
    /// Its connection in the loop.
    var connection = 0
    private let name: String
    private let slots: Int
    private let boot = RandomText.id()
    private unowned let loop: BenchLoop
    private var unconfirmed: Set<LeasePair> = []
    private var seq = 0
    private var beatAt = 0
    private var revision = 1
    private let capabilities: [String]
    private let beatMs: Int
    private let firstBeat: Int

    /// An executor of this name; `firstBeat` microseconds after its first beat comes the next, then one each `beatMs`.
    init(
        _ name: String, slots: Int, _ loop: BenchLoop, capabilities: [String] = [BenchLoad.capability],
        beatMs: Int = 1000, firstBeat: Int = 1_000_000
    ) {
        self.name = name
        self.slots = slots
        self.loop = loop
        self.capabilities = capabilities
        self.beatMs = beatMs
        self.firstBeat = firstBeat
    }

    private func publish(_ place: Topic.Place, _ payload: [UInt8], retain: Bool = false) {
        loop.publish(connection, Topic(Names.defaultWorkspace, place).name, payload, retain: retain)
    }

    private func card(_ capabilities: [String]) -> [UInt8] {
        var card = Card(boot: boot, rev: revision, capabilities: capabilities.map { CapabilityEntry(name: $0) })
        card.slots = slots
        card.reserved = 0
        card.beatMs = beatMs
        return card.encoded
    }

    /// Card and status.
    func sayHello(_ state: ExecutorState = .online) {
        publish(.card(executor: name), card(capabilities), retain: true)
        say(state)
    }

    /// Its status.
    func say(_ state: ExecutorState) {
        publish(.status(executor: name), ExecutorStatus(state, boot: boot, conn: 1).encoded, retain: true)
    }

    /// Offers what it will not do: it is paused.
    func offerWaiting() {
        revision += 1
        say(.paused)
        publish(.card(executor: name), card(capabilities + BenchLoad.waiting), retain: true)
    }

    /// It leaves in good order, and takes its views with it.
    func sayGoodbye() {
        publish(.status(executor: name), [], retain: true)
        publish(.card(executor: name), [], retain: true)
    }

    /// Answers an assignment by its input; minds what is confirmed.
    func take(_ message: InboundMessage) {
        guard let work = try? WorkMessage(decoding: message.payload) else { return }
        switch work {
        case .assign(let assignment):
            var report = Report(.outcome, epoch: assignment.epoch)
            report.status = .success
            report.output = assignment.input
            report.principal = assignment.principal
            unconfirmed.insert(LeasePair(assignment.task, assignment.epoch))
            publish(.report(executor: name, id: assignment.task), report.encoded)
        case .beatAck(let ack):
            for pair in ack.confirmed + ack.revoked { unconfirmed.remove(pair) }
        case .cancel, .revoke, .load, .unload, .error: return
        }
    }

    /// Beats each second; more often than once if there is more to confirm than a beat may hold.
    func beat(at now: Int) {
        guard now >= beatAt else { return }
        beatAt = seq == 0 ? now + firstBeat : now + beatMs * 1000
        let pairs = unconfirmed.sorted { ($0.epoch, $0.task) < ($1.epoch, $1.task) }
        var at = 0
        repeat {
            let end = min(pairs.count, at + 1000)
            seq += 1
            var beat = Beat(boot: boot, seq: seq)
            beat.freeSlots = slots
            beat.unconfirmed = Array(pairs[at..<end])
            publish(.beat(executor: name), beat.encoded)
            at = end
        } while at < pairs.count
    }
}

extension BenchLoad.Outcome {
    /// Several phases as one.
    init(merging parts: [Self]) {
        self.init(
            microseconds: parts.reduce(0) { $0 + $1.microseconds },
            latencies: BenchLatencies(merging: parts.map(\.latencies)),
            tasks: parts.reduce(0) { $0 + $1.tasks })
    }
}
