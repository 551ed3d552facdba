import Contract
import Determinism
import Machine
import TimeModel
import Timing
import Wire

/// What is heard of executors, and what is said of them.
extension HeartbeatCore {
    /// Takes note of a message; checks are the engine's business.
    mutating func listen(_ message: InboundMessage, _ now: Now) {
        guard let topic = Topic(message.topic) else { return }
        // Until the own record is back after a connect, what comes with the retain flag is a replay: no sign of life.
        let isReplay = message.retained && !engine.isReady
        switch topic.place {
        case .beat(let name):
            guard !message.retained, let beat = try? Beat(decoding: message.payload) else { return }
            takeBeat(beat, ExecutorKey(workspace: topic.workspace, name: name), now)
        case .status(let name):
            takeStatus(message.payload, ExecutorKey(workspace: topic.workspace, name: name), isReplay, now)
        case .card(let name):
            takeCard(message.payload, ExecutorKey(workspace: topic.workspace, name: name), isReplay, now)
        case .liveness(let name):
            takeView(message.payload, ExecutorKey(workspace: topic.workspace, name: name), now)
        case .service(let name, let instance):
            services.take(name, instance, message.payload, own: clock.elapsed, now: now.wall)
        case .metrics(let name, let instance):
            if name == settings.engine.role.service, instance == settings.engine.cell {
                takeOwnMetrics(message.payload, now)
            }
            services.takeMetrics(instance ?? name, isReplay: isReplay, own: clock.elapsed)
        case .alert(let key): takeAlert(topic.workspace, key, message.payload)
        default: return
        }
    }

    private mutating func takeBeat(_ beat: Beat, _ key: ExecutorKey, _ now: Now) {
        guard var pulse = known(key, now), pulse.take(beat) else { return }
        pulse.hear(own: clock.elapsed, now: now.wall)
        pulse.hasBeaten = true
        executors[key] = pulse
        if beaten[key] != beat.boot, isJournalWritable {
            beaten[key] = beat.boot
            effects.append(.append(BeatenEntry(key: key, boot: beat.boot).encoded))
        }
        judge(key, now)
    }

    private mutating func takeStatus(_ payload: [UInt8], _ key: ExecutorKey, _ isReplay: Bool, _ now: Now) {
        if payload.isEmpty {
            executors[key]?.forgetStatus()
            return forgetIfGone(key, now)
        }
        guard let status = try? ExecutorStatus(decoding: payload), var pulse = known(key, now) else { return }
        pulse.take(status, own: clock.elapsed)
        if let boot = pulse.boot, beaten[key] == boot { pulse.hasBeaten = true }
        if !isReplay, status.status != .lost { pulse.hear(own: clock.elapsed, now: now.wall) }
        executors[key] = pulse
        judge(key, now)
    }

    private mutating func takeCard(_ payload: [UInt8], _ key: ExecutorKey, _ isReplay: Bool, _ now: Now) {
        if payload.isEmpty {
            executors[key]?.hasCard = false
            executors[key]?.periodMs = Defaults.beatMs
            return forgetIfGone(key, now)
        }
        guard let card = try? Card(decoding: payload), var pulse = known(key, now) else { return }
        pulse.take(card)
        if let boot = pulse.boot, beaten[key] == boot { pulse.hasBeaten = true }
        if !isReplay { pulse.hear(own: clock.elapsed, now: now.wall) }
        executors[key] = pulse
        judge(key, now)
    }

    /// What is known of an executor, or a new entry; `nil` at the limit.
    private mutating func known(_ key: ExecutorKey, _ now: Now) -> ExecutorPulse? {
        if let pulse = executors[key] { return pulse }
        guard Names.isName(key.name), executors.count < Limits.executors else { return nil }
        places.insert(key.workspace)
        var pulse = ExecutorPulse(own: clock.elapsed, now: now.wall)
        pulse.rev = highestRev[key] ?? 0
        return pulse
    }

    /// Without card and status an executor is forgotten, and its verdict cleared.
    private mutating func forgetIfGone(_ key: ExecutorKey, _ now: Now) {
        guard let pulse = executors[key] else { return }
        guard !pulse.hasCard, pulse.status == nil else { return judge(key, now) }
        executors[key] = nil
        highestRev[key] = pulse.rev
        looks.remove(key)
        wills.remove(key)
        views.remove(key)
        forgetBeaten(key)
        if engine.isConnected { clearView(key) }
    }

    /// Who is known by beats alone is forgotten when these have stopped for good.
    private mutating func forgetIfMute(_ key: ExecutorKey, _ now: Now) {
        guard let pulse = executors[key], pulse.verdict == .offline, !pulse.hasCard, pulse.status == nil else { return }
        forgetIfGone(key, now)
    }

    mutating func forgetBeaten(_ key: ExecutorKey) {
        guard beaten[key] != nil, isJournalWritable else { return }
        beaten[key] = nil
        effects.append(.append(BeatenEntry(key: key, boot: nil).encoded))
    }

    // Judging.

    private func circumstances(_ key: ExecutorKey) -> Circumstances {
        Circumstances(
            own: willsUntil, silentUntil: judgedUntil, widenedMs: clock.widenedMs,
            hasFailingCheck: failing.contains(key),
            lowBattery: settings.lowBattery)
    }

    /// Judges all executors whose time has come.
    mutating func judgeDue(_ now: Now) {
        guard clock.isRunning else { return }
        if drainsAfter == nil {
            willsUntil = clock.elapsed
            while let look = wills.first, look.priority <= willsUntil {
                wills.remove(look.key)
                judge(look.key, now)
            }
        }
        if isSure {
            judgedUntil = clock.elapsed
            while let look = looks.first, look.priority <= judgedUntil {
                looks.remove(look.key)
                judge(look.key, now)
                forgetIfMute(look.key, now)
            }
        }
        if let look = nextRestLook, look <= now.monotonic {
            nextRestLook = now.monotonic + HeartbeatCore.restLookMs
            for key in executors.keys.sorted() {
                if executors[key]?.atRest != settings.isAtRest(key.name, at: now.wall) { judge(key, now) }
            }
        }
    }

    /// How often it is looked whether an executor is at rest.
    static let restLookMs = 10_000

    /// Judges one executor and queues its verdict if it says something new.
    mutating func judge(_ key: ExecutorKey, _ now: Now) {
        guard var pulse = executors[key] else { return }
        let circumstances = circumstances(key)
        pulse.judge(circumstances, now: now.wall)
        pulse.atRest = settings.isAtRest(key.name, at: now.wall)
        executors[key] = pulse
        if let look = pulse.silenceLook(circumstances) { looks.set(key, look) } else { looks.remove(key) }
        if let look = pulse.willLook(circumstances) { wills.set(key, look) } else { wills.remove(key) }
        guard engine.isReady else { return }
        if pulse.isTold(pulse.view(widenedMs: 0)) {
            views.remove(key)
        } else if views.priority(of: key) == nil {
            let soonest = pulse.publishedAt.map { $0 + HeartbeatCore.viewEveryMs } ?? now.monotonic
            views.set(key, max(now.monotonic, soonest))
        }
    }

    /// A verdict is published at most that often.
    static let viewEveryMs = 1000

    // Publishing.

    /// Publishes verdicts and alerts that are due.
    mutating func flush(_ now: Now) {
        guard engine.isReady else { return }
        // A verdict that waited while this process stopped may be refuted by what has not been read yet.
        while drainsAfter == nil, let top = views.first, top.priority <= now.monotonic {
            views.remove(top.key)
            guard var pulse = executors[top.key] else { continue }
            pulse.rev += 1
            var view = pulse.view(widenedMs: clock.widenedMs)
            view.rev = pulse.rev
            pulse.published = view
            pulse.publishedAt = now.monotonic
            pulse.isEchoed = false
            executors[top.key] = pulse
            publish(viewTopic(top.key), view.encoded)
        }
        flushServices(now)
    }

    func viewTopic(_ key: ExecutorKey) -> String { Topic(key.workspace, .liveness(executor: key.name)).name }

    mutating func publish(_ topic: String, _ payload: [UInt8]) {
        effects.append(.publish(OutboundMessage(topic: topic, payload: payload, retain: true)))
    }

    mutating func clearView(_ key: ExecutorKey) { publish(viewTopic(key), []) }

    /// A verdict that came from the broker: an echo, a stranger's, or one on an executor that nobody knows.
    private mutating func takeView(_ payload: [UInt8], _ key: ExecutorKey, _ now: Now) {
        let view = payload.isEmpty ? nil : try? LivenessView(decoding: payload)
        if !engine.isReady {
            if let rev = view?.rev, rev > highestRev[key] ?? 0, highestRev.count < Limits.executors {
                highestRev[key] = rev
                if let known = executors[key]?.rev, known < rev { executors[key]?.rev = rev }
            }
            if !payload.isEmpty, strangers.count < Limits.executors { strangers.insert(key) }
            return
        }
        guard let published = executors[key]?.published else {
            if executors[key] == nil, !payload.isEmpty { clearView(key) }
            return
        }
        if published.encoded == payload {
            executors[key]?.isEchoed = true
        } else if executors[key]?.isEchoed == true {
            // It came after the own one: a stranger's, to be put right. What comes before is overwritten already.
            executors[key]?.published = nil
            judge(key, now)
        }
    }

    /// The own metric is back: until then the inbox was not known to be drained.
    private mutating func takeOwnMetrics(_ payload: [UInt8], _ now: Now) {
        guard let sent = probe, let raw = try? RawJSON(validating: payload) else { return }
        let value = JSONValue(raw)
        guard value["term"]?.intValue == engine.term, value["seq"]?.intValue == sent.number else { return }
        clock.noteLag(now.monotonic - sent.sentAt, now.monotonic)
        probe = nil
        if let number = drainsAfter, sent.number > number { drainsAfter = nil }
    }
}
