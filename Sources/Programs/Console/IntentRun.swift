import Contract
import Machine
import Shell
import TimeModel
import Wire

/// An intent on its way: sent until it is answered, then watched until its result.
struct IntentRun {
    /// What is asked.
    let capability: String
    /// The task's id.
    let id: String
    /// The message.
    let intent: Intent

    /// How far to go.
    enum Goal: Hashable, Sendable { case accepted, result }
    /// What came of it.
    enum Answer {
        case accepted(Update, [UInt8])
        case result(TaskResult, [UInt8])
    }

    /// Sends it and waits. `answerMs` bounds the wait for the first answer only; `told` gets each update, and
    /// `everySecond` a call at least that often.
    func send(
        _ client: BusClient, to goal: Goal, answerMs: Int, everySecond: (() -> Void)? = nil,
        told: (Update, [UInt8]) -> Void
    ) throws(Failure) -> Answer {
        let settings = client.settings
        let levels = (settings.workspace, settings.principal)
        let topic = Topic(levels.0, .intent(principal: levels.1, capability: capability, id: id))
        let update = Topic(levels.0, .update(principal: levels.1, capability: capability, id: id)).name
        let result = Topic(levels.0, .result(principal: levels.1, capability: capability, id: id)).name
        try client.subscribe([update, result], retained: false)
        try client.subscribe([ServiceWatch.filter("dispatcher")], retained: true)
        let payload = intent.encoded
        try client.publish(topic, payload)
        var watch = ServiceWatch(workspace: settings.workspace)
        var repetition = Repetition(client)
        var deadline: MonotonicTime? = SystemClock.monotonic + answerMs
        while true {
            let now = SystemClock.monotonic
            if let deadline, now >= deadline { throw noAnswer(watch, answerMs) }
            var wake = deadline.map { min($0, repetition.nextWake) } ?? repetition.nextWake
            if let everySecond {
                everySecond()
                wake = min(wake, now + 1000)
            }
            if let message = try client.next(until: wake), !watch.take(message) {
                if message.topic == result, let read = try? TaskResult(decoding: message.payload) {
                    return .result(read, message.payload)
                }
                if message.topic == update, let read = try? Update(decoding: message.payload) {
                    deadline = nil
                    if goal == .accepted { return .accepted(read, message.payload) }
                    told(read, message.payload)
                }
            }
            if repetition.isDue(client) { try client.publish(topic, payload) }
        }
    }

    private func noAnswer(_ watch: ServiceWatch, _ ms: Int) -> Failure {
        if watch.isDown {
            return Failure(
                .unreachable, "the dispatcher is down; \(id) will be taken up when it is back",
                tries: ["martlet task get \(id)"])
        }
        return Failure(
            .noAnswer, "no answer to \(id) within \(Durations.text(ms)): whether it was accepted is unknown",
            tries: ["the same with --id \(id)"])
    }
}

/// `martlet run` and `martlet publish`.
enum RunCommands {
    /// How long the first answer may take, in ms.
    static let answerMs = 30_000

    /// `run C [INPUT]`: waits and prints the output.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        if session.invocation.has("dry-run") { return try dryRun(session) }
        let run = try request(session, updates: .all)
        return try wait(run, session)
    }

    /// `publish C [INPUT]`: returns at `accepted` and prints the id.
    static func publish(_ session: Session) throws(Failure) -> ExitStatus {
        if session.invocation.has("dry-run") { return try dryRun(session) }
        if session.invocation.has("wait") { return try wait(request(session, updates: .all), session) }
        let run = try request(session, updates: .accepted)
        switch try run.send(session.client(), to: .accepted, answerMs: answerMs, told: { _, _ in }) {
        case .accepted(let update, let bytes):
            if session.wantsJSON { session.terminal.print(bytes) } else { session.terminal.print(run.id) }
            if let first = update.of { session.terminal.say("\(run.id) shares the result of \(first)") }
            return .done
        case .result(let result, let bytes): return try finish(result, bytes, run, session)
        }
    }

    /// The intent that the flags describe.
    static func request(_ session: Session, updates: UpdateLevel) throws(Failure) -> IntentRun {
        let invocation = session.invocation
        let capability = try session.nameArgument(0)
        let id = invocation.text("id") ?? RandomText.id()
        guard Names.isID(id) else { throw .usage("--id \(Terminal.escape(id)) is no id: letters, digits, . _ ~ -") }
        var intent = try intent(session)
        intent.updates = updates
        if let text = invocation.argument(1) { intent.input = try session.json(text, what: "input") }
        return IntentRun(capability: capability, id: id, intent: intent)
    }

    /// Everything but the input.
    static func intent(_ session: Session) throws(Failure) -> Intent {
        let invocation = session.invocation
        var intent = Intent()
        intent.action = invocation.text("action")
        intent.priority = invocation.word("priority")
        intent.timeoutMs = invocation.duration("timeout")
        intent.deadlineMs = invocation.duration("deadline")
        intent.delayMs = invocation.duration("delay")
        intent.retry = invocation.integer("retry").map { RetryRule(count: $0) }
        intent.dedupKey = invocation.text("dedup")
        intent.concurrencyKey = invocation.text("key")
        if invocation.has("requires") { intent.requires = invocation.texts("requires") }
        intent.mode = invocation.text("mode").flatMap(Mode.init(word:))
        intent.executor = invocation.text("executor")
        intent.maxCost = invocation.integer("max-cost")
        if invocation.has("at-most-once") { intent.delivery = .atMostOnce }
        intent.keepMs = invocation.duration("keep")
        if let executor = intent.executor, !Names.isName(executor) {
            throw .usage("--executor \(Terminal.escape(executor)) is no name")
        }
        return intent
    }

    private static func wait(_ run: IntentRun, _ session: Session) throws(Failure) -> ExitStatus {
        let shows = session.invocation.has("progress") || session.terminal.isVerbose
        let live = shows || session.wantsJSON ? nil : LiveLine(session.terminal, id: run.id)
        defer { live?.clear() }
        do throws(Failure) {
            let answer = try run.send(
                session.client(), to: .result, answerMs: answerMs, everySecond: live.map { line in { line.paint() } }
            ) { update, bytes in
                if shows, session.wantsJSON {
                    session.terminal.print(bytes)
                } else if update.type == .state, update.state.isTerminal {
                    // The result says it, and more.
                } else if shows || update.type == .accepted || update.code == .approvalRequired {
                    live?.clear()
                    session.terminal.say(line(update))
                }
                live?.take(update)
            }
            live?.clear()
            guard case .result(let result, let bytes) = answer else { return .ownFault }
            return try finish(result, bytes, run, session)
        } catch  where error.status == .interrupted {
            throw Failure(
                .interrupted, "the task \(run.id) goes on without you",
                tries: ["the same with --id \(run.id) to wait again", "martlet task cancel \(run.id)"])
        }
    }

    /// One update as a line.
    static func line(_ update: Update) -> String {
        var words = [update.task, update.type == .state ? update.state.rawValue : update.type.rawValue]
        if update.type == .duplicate { words.append(update.of.map { "of \($0)" } ?? update.state.rawValue) }
        if let code = update.code { words.append("(\(code.rawValue))") }
        if let percent = update.percent { words.append("\(percent) %") }
        if let message = update.message { words.append(message) }
        let line = words.joined(separator: " ")
        return Terminal.escape(line + (update.timeoutMs.map { ", time limit \(Durations.text($0))" } ?? ""))
    }

    /// Prints a result: the output on standard output, how it ended as a message.
    static func finish(
        _ result: TaskResult, _ bytes: [UInt8], _ run: IntentRun, _ session: Session
    ) throws(Failure) -> ExitStatus {
        let status = ExitStatus(result.status, code: result.error?.code)
        if session.wantsJSON {
            session.terminal.print(bytes)
            return status
        }
        if let output = result.output { session.terminal.print(Terminal.escape(output.text)) }
        guard result.status != .success else {
            session.terminal.say(summary(result))
            return .done
        }
        throw failure(result, run, session, status)
    }

    /// `order-7f3a success 170 ms, label-2, attempt 1, cost 12`.
    static func summary(_ result: TaskResult) -> String {
        var words: [String] = []
        if let ms = result.durationMs { words.append(Durations.text(ms)) }
        if let executor = result.executor { words.append(executor) }
        if let last = result.attempts.last, last.number > 1 { words.append("attempt \(last.number)") }
        if let cost = result.cost, cost > 0 { words.append("cost \(cost)") }
        let tail = words.isEmpty ? "" : "  \(words.joined(separator: ", "))"
        return Terminal.escape("\(result.task) \(result.status.rawValue)\(tail)")
    }

    private static func failure(
        _ result: TaskResult, _ run: IntentRun, _ session: Session, _ status: ExitStatus
    ) -> Failure {
        let why = result.error?.message.map { ": \(Terminal.escape($0))" } ?? ""
        var failure = Failure(status, "\(run.id) \(result.status.rawValue)\(why)", code: result.error?.code)
        switch result.error?.code {
        case .unknownCapability:
            failure.message = "cannot run \"\(run.capability)\": no executor ever offered it"
            failure.meant = (try? session.client()).flatMap {
                LiveObjects.nearest(.capability, to: run.capability, $0)
            }
            failure.tries = ["martlet capability list"]
        case .skillNotLoaded:
            failure.tries = ["martlet capability get \(run.capability)"]
        case .circuitOpen:
            failure.tries = ["martlet circuit list", "martlet explain \(run.id)"]
        case let code?:
            failure.tries = ["martlet code \(code.rawValue)"]
            if !result.attempts.isEmpty { failure.tries.append("martlet task get \(run.id)") }
        case nil: failure.tries = ["martlet task get \(run.id)"]
        }
        return failure
    }
}
