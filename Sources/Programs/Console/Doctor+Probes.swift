import Contract
import Machine
import Shell
import TimeModel
import Wire

/// Experiments with the broker and the services on it.
extension Doctor {
    /// One harmless command to each service.
    mutating func examineServices(_ client: ClientSession) {
        let asked = [
            ("dispatcher", "capability/list"), ("scheduler", "schedule/list"), ("heartbeat", "check/list"),
            ("monitor", "history/query"),
        ]
        for (service, command) in asked {
            if let ms = answer(client, command, timeoutMs: 1500) {
                if service == "dispatcher" { hasDispatcher = true }
                add(.ok, service, "answers in \(ms) ms")
            } else {
                add(
                    .note, service, "does not answer, or this account may not ask it",
                    remedy: "start martlet-\(service); martlet broker account list shows the roles")
            }
        }
    }

    /// How long the reply to a command took; `nil`: none came.
    private func answer(_ client: ClientSession, _ command: String, timeoutMs: Int) -> Int? {
        let rest = "\(settings.principal)/\(command)/doctor-\(RandomText.id(6))"
        let reply = topic("reply/\(rest)")
        guard (try? client.subscribe([Subscription(filter: reply, wantsRetained: false)], timeoutMs: 3000)) != nil
        else { return nil }
        let begin = SystemClock.monotonic
        let message = OutboundMessage(topic: topic("command/\(rest)"), payload: Array("{\"limit\":1}".utf8))
        guard (try? client.post(message)) != nil,
            (try? client.wait(timeoutMs: timeoutMs, for: { $0.topic == reply })) != nil
        else { return nil }
        return SystemClock.monotonic - begin
    }

    /// The time there and back; 40 ms on one machine is Nagle's algorithm.
    mutating func examineRoundTrip(_ client: ClientSession) {
        var times: [Int] = []
        for _ in 0..<7 {
            let ms =
                hasFreeTopic ? echo(client) : hasDispatcher ? answer(client, "capability/list", timeoutMs: 2000) : nil
            if let ms { times.append(ms) }
        }
        times.sort()
        guard times.count >= 5 else {
            return add(
                .note, "round_trip",
                "not measured: this account reads nothing that it writes, and no dispatcher answers")
        }
        let median = times[times.count / 2]
        guard isLocal, median >= 20 else { return add(.ok, "round_trip", "\(median) ms there and back") }
        add(
            .warning, "nagle", "\(median) ms there and back on one machine: the broker holds small packets back",
            remedy: "set_tcp_nodelay true")
    }

    private func echo(_ client: ClientSession) -> Int? {
        let own = topic("doctor/echo-\(RandomText.id(8))")
        guard (try? client.subscribe([Subscription(filter: own, wantsRetained: false)], timeoutMs: 3000)) != nil
        else { return nil }
        let begin = SystemClock.monotonic
        guard (try? client.post(OutboundMessage(topic: own, payload: []))) != nil,
            (try? client.wait(timeoutMs: 2000, for: { $0.topic == own })) != nil
        else { return nil }
        return SystemClock.monotonic - begin
    }

    /// How much the broker keeps for a session that is away: a burst that is longer than mosquitto's usual queue.
    mutating func examineQueue() {
        guard hasFreeTopic else { return }
        let sent = 1500
        let own = topic("doctor/queue-\(RandomText.id(8))")
        var options = settings.options
        (options.cleanStart, options.sessionExpirySeconds) = (false, 60)
        let sleeper = ClientSession(options)
        guard (try? sleeper.connect(timeoutMs: 3000)) != nil,
            (try? sleeper.subscribe([Subscription(filter: own, wantsRetained: true)], timeoutMs: 3000)) != nil
        else { return }
        sleeper.close()
        guard let writer = try? connectedSession(settings.options) else { return }
        for _ in 0..<sent {
            while (try? writer.post(OutboundMessage(topic: own, payload: []))) == nil { writer.pump() }
        }
        writer.close(timeoutMs: 5000)
        guard let again = try? connectedSession(options) else { return }
        var kept = 0
        while kept < sent, again.nextMessage(timeoutMs: 500) != nil { kept += 1 }
        again.close()
        options.cleanStart = true
        (try? connectedSession(options))?.close()
        if kept >= sent { return add(.ok, "queue", "keeps \(sent) messages for a session that is away") }
        add(
            .warning, "queue", "of \(sent) acknowledged messages it kept \(kept) for a session that was away",
            remedy: "max_queued_messages 100000")
    }

    /// What happens to a session whose client id somebody else uses.
    mutating func examineTakeOver() {
        let options = settings.options
        guard let first = try? connectedSession(options), let second = try? connectedSession(options) else { return }
        defer { second.close() }
        var reason: String?
        while reason == nil, let event = first.next(timeoutMs: 1000) {
            if case .disconnected(let text) = event { reason = text }
        }
        first.abort()
        guard let reason else {
            return add(
                .fault, "take_over", "two clients with one client id stay connected side by side",
                remedy: "take a broker that follows MQTT 5.0 §3.1.4: services rely on one session for each client id")
        }
        let told = reason.contains("taken over") ? "the owner is told why" : "the owner is not told why"
        add(
            .ok, "take_over",
            "who knows a client id takes its session; \(told). The services' ids have 128 random bits "
                + "and are told to nobody")
    }

    /// The clock of the machine with the dispatcher against the one here.
    mutating func examineClock(_ client: ClientSession) {
        guard hasDispatcher else { return }
        let rest = "\(settings.principal)/doctor.probe/\(RandomText.id())"
        let result = topic("result/\(rest)")
        guard (try? client.subscribe([Subscription(filter: result, wantsRetained: false)], timeoutMs: 3000)) != nil
        else { return }
        let before = SystemClock.wall
        let intent = OutboundMessage(topic: topic("intent/\(rest)"), payload: Array("{}".utf8))
        guard (try? client.post(intent)) != nil,
            let message = try? client.wait(timeoutMs: 2000, for: { $0.topic == result }),
            let answer = try? TaskResult(decoding: message.payload)
        else { return }
        let after = SystemClock.wall
        let early = before - answer.finishedAt
        let late = answer.finishedAt - after
        let offset = max(early, late, 0)
        if offset < 1000 { return add(.ok, "clock", "the dispatcher's clock is within a second of this one") }
        add(
            .warning, "clock", "the dispatcher's clock is \(Durations.text(offset)) \(early > 0 ? "behind" : "ahead")",
            remedy: "a time service on both machines; leases and schedules do not depend on it, what people read does")
    }

    /// What a service gets when it starts: every retained view, and its own message last. At QoS 1 a queue that is too
    /// short cuts it off.
    mutating func examineSnapshot() {
        guard let whole = retainedCount(atLeastOnce: false), let kept = retainedCount(atLeastOnce: true) else {
            return add(
                .note, "snapshot", "not tried: this account reads nothing that it writes",
                remedy: "only a broker without rights, or a service's account, can show it")
        }
        if kept < whole {
            add(
                .fault, "snapshot",
                "of \(whole) retained messages \(kept) come at QoS 1: starts get half of the picture",
                remedy: "max_queued_messages 100000")
        } else if whole > 20_000 {
            add(
                .warning, "retained", "\(whole) retained messages in \(settings.workspace): starts become slow",
                remedy: "look for what nobody owns any more: martlet capability list, mosquitto_sub --retained-only")
        } else {
            add(.ok, "snapshot", "complete: \(whole) retained messages that this account may read, one's own last")
        }
    }

    /// How many retained messages of the workspace come before an own one, sent after the subscription.
    private func retainedCount(atLeastOnce: Bool) -> Int? {
        guard let reader = try? connectedSession(settings.options) else { return nil }
        defer { reader.close() }
        // A command's reply is what every account that may act can have sent to itself; else a free topic.
        let rest = "\(settings.principal)/capability/list/doctor-\(RandomText.id(6))"
        let mark = hasFreeTopic ? topic("doctor/mark-\(RandomText.id(8))") : topic("reply/\(rest)")
        let all = Subscription(filter: topic("#"), wantsRetained: true, atLeastOnce: atLeastOnce)
        guard hasFreeTopic || hasDispatcher, (try? reader.subscribe([all], timeoutMs: 5000)) != nil else { return nil }
        let sent = OutboundMessage(
            topic: hasFreeTopic ? mark : topic("command/\(rest)"), payload: Array("{\"limit\":1}".utf8))
        guard (try? reader.post(sent)) != nil else { return nil }
        var count = 0
        while let message = reader.nextMessage(timeoutMs: 5000) {
            if message.topic == mark { return count }
            count += message.retained ? 1 : 0
        }
        return nil
    }

    /// The services' own records and metrics, as operators may read them: releases, zone data, clocks.
    mutating func examineRecords() {
        guard let reader = try? connectedSession(settings.options) else { return }
        defer { reader.close() }
        let filters = ["service/+/+", "metrics/+"].map {
            Subscription(filter: "\(Names.systemWorkspace)/\(Names.protocolLevel)/\($0)", wantsRetained: true)
        }
        guard (try? reader.subscribe(filters, timeoutMs: 3000)) != nil else { return }
        var board = ServiceBoard()
        while let message = reader.nextMessage(timeoutMs: 500) { board.take(message) }
        if board.records.isEmpty {
            return add(
                .note, "records", "no service's record: none is there, or this account may not read them",
                remedy: "look as an operator: martlet broker account add NAME --role operator")
        }
        let zones = (try? ZoneFolder(nil))?.catalog.version ?? "unknown"
        for finding in board.findings(zones: zones, now: SystemClock.wall) {
            add(finding.level, finding.code, finding.text, remedy: finding.remedy)
        }
    }

    private func connectedSession(_ options: ConnectionOptions) throws(ClientError) -> ClientSession {
        let made = ClientSession(options)
        try made.connect(timeoutMs: 3000)
        return made
    }
}
