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

    /// How much is retained in the workspace, as far as this account sees it.
    mutating func examineRetained(_ client: ClientSession) {
        guard let reader = try? connectedSession(settings.options) else { return }
        defer { reader.close() }
        let all = Subscription(filter: topic("#"), wantsRetained: true, atLeastOnce: false)
        guard (try? reader.subscribe([all], timeoutMs: 5000)) != nil else { return }
        var count = 0
        while count < 200_000, let message = reader.nextMessage(timeoutMs: 300) { count += message.retained ? 1 : 0 }
        if count <= 20_000 { return add(.ok, "retained", "\(count) retained messages in \(settings.workspace)") }
        add(
            .warning, "retained", "\(count) retained messages in \(settings.workspace): starts become slow",
            remedy: "look for what nobody owns any more: martlet capability list, mosquitto_sub --retained-only")
    }

    private func connectedSession(_ options: ConnectionOptions) throws(ClientError) -> ClientSession {
        let made = ClientSession(options)
        try made.connect(timeoutMs: 3000)
        return made
    }
}
