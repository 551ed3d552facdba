import Contract
import Machine
import Shell
import TimeModel
import Wire

/// Publishes results as the dispatcher would, and asks the monitor about them, one question at a time.
final class BenchHistoryLoad {
    /// Capabilities, executors and principals that the results are of.
    static let capabilities = 20
    private static let executors = 50
    private static let principals = 8
    /// Publishes on their way to the broker.
    private static let unacknowledged = 400

    private let loop: BenchLoop
    private let asker: String
    private var publisher = 0
    private var asking = 0
    private var answer: Reply?
    private var awaited = ""
    private var questions = 0
    private(set) var published = 0
    /// The number of the newest record that the monitor told of.
    private var recorded = 0

    /// Connects both accounts.
    init(
        _ interrupts: Interrupts, publisher name: String, asker: String, settings: (String) -> ConnectionSettings
    ) throws(Failure) {
        self.asker = asker
        loop = BenchLoop(interrupts: interrupts)
        publisher = loop.add(settings(name)) { _ in }
        asking = loop.add(settings(asker)) { [unowned self] message in
            if message.topic == awaited { answer = try? Reply(decoding: message.payload) }
        }
        loop.subscribe(asking, [Topic.filter(Names.defaultWorkspace, "reply", asker, "#")])
        try loop.settle(withinMs: 10_000)
    }

    /// Leaves the broker.
    func close() { loop.close() }

    // Publishing.

    /// The id of a result.
    static func id(_ index: Int) -> String { "bench-\(index)" }
    /// The capability of a result.
    static func capability(_ index: Int) -> String { "bench.work-\(index * 7 % capabilities)" }

    private func publish(_ index: Int) {
        let at = SystemClock.wall
        let (status, code): (Status, Code?) =
            switch index % 25 {
            case 3: (.failed, .attemptsExhausted)
            case 11: (.timeout, .executionTimeout)
            case 19: (.canceled, nil)
            default: (.success, nil)
            }
        var result = TaskResult(task: BenchHistoryLoad.id(index), status: status, finishedAt: at)
        let executor = "executor-\(index * 31 % BenchHistoryLoad.executors)"
        var attempt = AttemptRecord(number: 1, executor: executor, epoch: index + 1, mode: .push, startedAt: at - 40)
        (attempt.durationMs, attempt.outcome, attempt.cost) = (40, status.rawValue, 12)
        result.attempts = [attempt]
        result.executor = executor
        result.mode = .push
        result.cost = 12 + index % 90
        result.wastedCost = index % 25 == 3 ? 40 : 0
        result.queuedMs = index % 400
        result.durationMs = 10 + index % 1500
        result.acceptedAt = at - 40 - index % 400
        result.output = RawJSON { $0.object { $0.field("number", index) } }
        if let code { result.error = ErrorBody(code) }
        result.context = Context(requestID: "request-\(index / 3)", userID: "user-\(index % 500)")
        let principal = "person-\(index % BenchHistoryLoad.principals)"
        let place = Topic.Place.result(
            principal: principal, capability: BenchHistoryLoad.capability(index), id: BenchHistoryLoad.id(index))
        loop.publish(publisher, Topic(Names.defaultWorkspace, place).name, result.encoded)
    }

    /// Publishes so many more results, at most `ahead` of what is recorded, and waits until all are; `during` is called
    /// in every turn.
    func publish(_ count: Int, ahead: Int, during: () throws(Failure) -> Void) throws(Failure) {
        let end = published + count
        let first = recorded
        let before = published
        try ask("query", #"{"limit":1}"#)
        var progressAt = BenchClock.now
        while published < end || recorded - first < end - before {
            while published < end, published - before - (recorded - first) < ahead,
                loop.unacknowledged(publisher) < BenchHistoryLoad.unacknowledged
            {
                publish(published)
                published += 1
            }
            try loop.turn(waitMs: 20)
            try during()
            if let reply = take() {
                let number = BenchHistoryLoad.items(reply).first?["n"]?.intValue ?? 0
                if number > recorded { (recorded, progressAt) = (number, BenchClock.now) }
                try ask("query", #"{"limit":1}"#)
            }
            let quiet = BenchClock.now - progressAt
            // A monitor that was killed never answers what it had been asked.
            if quiet > 1_000_000, isDue() { try ask("query", #"{"limit":1}"#) }
            // Its answers stand behind what it has not recorded yet.
            guard quiet < 180_000_000 else {
                throw Failure(.noAnswer, "the monitor recorded nothing for 3 min; \(recorded) records are held")
            }
        }
        while take() == nil, !isDue() { try loop.turn(waitMs: 20) }
    }

    // Asking.

    private var askedAt = 0

    private func isDue() -> Bool { BenchClock.now - askedAt > 1_000_000 }

    private func ask(_ verb: String, _ payload: String, id: String? = nil) throws(Failure) {
        questions += 1
        let id = id ?? "q\(questions)"
        awaited = Topic(Names.defaultWorkspace, .reply(principal: asker, noun: "history", verb: verb, id: id)).name
        answer = nil
        askedAt = BenchClock.now
        let place = Topic.Place.command(principal: asker, noun: "history", verb: verb, id: id)
        loop.publish(asking, Topic(Names.defaultWorkspace, place).name, Array(payload.utf8))
    }

    private func take() -> Reply? {
        defer { answer = nil }
        return answer
    }

    private static func items(_ reply: Reply) -> [JSONValue] {
        guard let data = reply.data, case .array(let items)? = JSONValue(data)["items"] else { return [] }
        return items
    }

    /// A question and its reply, which must be good.
    private func reply(_ verb: String, _ payload: String, id: String? = nil) throws(Failure) -> Reply {
        try ask(verb, payload, id: id)
        while true {
            try loop.turn(waitMs: 1000)
            if let reply = take() {
                guard reply.ok else { throw Failure(.refused, "history/\(verb): \(reply.message ?? "refused")") }
                return reply
            }
            guard BenchClock.now - askedAt < 60_000_000 else {
                throw Failure(.noAnswer, "history/\(verb) was not answered within 60 s")
            }
        }
    }

    /// How long so many questions of a kind took, each asked when the one before was answered.
    func latencies(_ question: BenchHistoryQuestion, _ count: Int) throws(Failure) -> BenchLatencies {
        var times: [Int] = []
        for _ in 0..<count {
            let (verb, payload, id) = question.make()
            _ = try reply(verb, payload, id: id)
            times.append(BenchClock.now - askedAt)
        }
        return BenchLatencies(times)
    }

    /// What of the published results the history holds.
    struct Holdings: Hashable {
        var published = 0
        var once = 0
        var twice = 0
        var gaps = 0
        var readMs = 0

        var missing: Int { published - once - twice }
        var isWhole: Bool { once == published && gaps == 0 }
    }

    /// Reads the whole history page by page.
    func holdings() throws(Failure) -> Holdings {
        var times = [UInt8](repeating: 0, count: published)
        var held = Holdings()
        held.published = published
        let began = BenchClock.now
        var after: String?
        repeat {
            let cursor = after.map { #","after":"\#($0)""# } ?? ""
            let reply = try reply("query", #"{"limit":1000\#(cursor)}"#)
            for item in BenchHistoryLoad.items(reply) {
                if item["record"]?.stringValue == RecordKind.gap.rawValue { held.gaps += 1 }
                guard item["record"]?.stringValue == RecordKind.result.rawValue,
                    let index = item["subject"]?.stringValue?.split(separator: "-").last.flatMap({ Int($0) }),
                    index < published
                else { continue }
                times[index] = min(times[index] + 1, 2)
            }
            after = reply.data.flatMap { JSONValue($0)["after"]?.stringValue }
        } while after != nil
        held.readMs = (BenchClock.now - began) / 1000
        held.once = times.count { $0 == 1 }
        held.twice = times.count { $0 == 2 }
        return held
    }
}

/// A kind of question whose time is measured.
struct BenchHistoryQuestion {
    /// What it asks for, as the report says it.
    var name: String
    /// Whether it looks at the whole history, so that fewer of it are enough.
    var isBroad: Bool
    /// One of its kind: verb, payload and id.
    var make: () -> (verb: String, payload: String, id: String?)

    /// All kinds, about what a load has published.
    static func all(_ load: BenchHistoryLoad) -> [BenchHistoryQuestion] {
        func index() -> Int { Int.random(in: 0..<max(1, load.published)) }
        func capability() -> String { BenchHistoryLoad.capability(Int.random(in: 0..<BenchHistoryLoad.capabilities)) }
        return [
            BenchHistoryQuestion(name: "one task by id", isBroad: false) {
                ("get", "{}", BenchHistoryLoad.id(index()))
            },
            BenchHistoryQuestion(name: "last 100 failures of a capability", isBroad: false) {
                ("query", #"{"capability":"\#(capability())","status":"failed","limit":100}"#, nil)
            },
            BenchHistoryQuestion(name: "one user's last 100 of a capability", isBroad: false) {
                let index = index()
                let capability = BenchHistoryLoad.capability(index)
                return ("query", #"{"user":"user-\#(index % 500)","capability":"\#(capability)"}"#, nil)
            },
            BenchHistoryQuestion(name: "statistics of all capabilities", isBroad: true) { ("stats", "{}", nil) },
            BenchHistoryQuestion(name: "cost by executor", isBroad: true) { ("cost", #"{"by":"executor"}"#, nil) },
        ]
    }
}
