import Glibc
import Machine
import TimeModel

/// The steps of a turn.
extension EventLoop {
    /// Lets the core handle everything that has come.
    func handleInputs(clockSet: Bool, at now: Now) {
        for event in archive.takeEvents() { core.handle(.archive(event), at: now, emitting: &effects) }
        deliver(parts.link.takeEvents(), at: now)
        for (id, outcome) in children.takeEnded() {
            core.handle(.childEnded(id: id, outcome), at: now, emitting: &effects)
        }
        if clockSet || (Self.nextWake(of: &core).map { $0 <= now.monotonic } ?? false) {
            core.handle(.wake, at: now, emitting: &effects)
        }
    }

    /// Messages that are served first go before others, but not past a change of the connection.
    private func deliver(_ events: [LinkEvent], at now: Now) {
        var later: [InboundMessage] = []
        for event in events {
            if case .message(let message) = event {
                if parts.servedFirst(message.topic) {
                    core.handle(.message(message), at: now, emitting: &effects)
                } else {
                    later.append(message)
                }
                continue
            }
            switch event {
            case .connected, .disconnected, .sessionLost:
                for message in later { core.handle(.message(message), at: now, emitting: &effects) }
                later.removeAll()
            default: break
            }
            note(event, at: now)
        }
        for message in later { core.handle(.message(message), at: now, emitting: &effects) }
    }

    private func note(_ event: LinkEvent, at now: Now) {
        switch event {
        case .message, .subscribed: break
        case .sessionLost: core.handle(.sessionLost, at: now, emitting: &effects)
        case .connected:
            toldConnected = true
            everConnected = true
            lastFailure = nil
            log(.info, "connected", "Connected to \(parts.link.options.address)")
            core.handle(.connected, at: now, emitting: &effects)
        case .disconnected(let reason):
            toldConnected = false
            log(.warning, "connection_lost", "The connection to the broker is lost: \(reason)")
            core.handle(.disconnected, at: now, emitting: &effects)
        case .attemptFailed(let reason, let forbidden): noteFailure(reason, forbidden: forbidden)
        case .delivered(let token): core.handle(.delivered(token: token), at: now, emitting: &effects)
        case .refused(let topic, let reason, _):
            log(.warning, "publish_refused", "The broker refused \(topic): \(reason)")
        case .evictedRepeatedly:
            log(
                .warning, "evicted",
                "The broker closed the connection \(EvictionWatch.limit) times within a minute: another client "
                    + "probably uses the same client id")
        }
    }

    /// An unchanged reason is said once. An account that the broker never accepted will not become right by waiting.
    private func noteFailure(_ reason: String, forbidden: Bool) {
        let level: LogLevel = reason == lastFailure ? .debug : .warning
        lastFailure = reason
        log(level, "connection_failed", "Cannot connect to \(parts.link.options.address): \(reason)")
        forbiddenAttempts = forbidden ? forbiddenAttempts + 1 : 0
        if !everConnected, forbiddenAttempts >= LoopTiming.forbiddenAttempts {
            let account = parts.link.options.username ?? "an anonymous client"
            quit(status: 77, reason: "the broker at \(parts.link.options.address) does not admit \(account)")
        }
    }

    /// Makes this turn's records durable and encodes its messages; false when that failed, and then nothing of the turn
    /// leaves.
    func commit(at now: Now) -> Bool {
        for effect in effects {
            if case .append(let record) = effect { parts.journal.append(record) }
        }
        archive.commit(effects, at: now)
        let slowest = parts.journal.slowestSync
        do throws(SystemError) {
            try parts.journal.commit { encodeMessages(at: now) }
        } catch {
            fail(error, at: now.monotonic)
            return false
        }
        if parts.journal.slowestSync > max(slowest, LoopTiming.slowSync) {
            log(.warning, "journal_slow", "A sync of the journal took long", ["ms": parts.journal.slowestSync])
        }
        return true
    }

    /// Gives the link what is to be sent, in the core's order. Nothing is written before `flush`.
    private func encodeMessages(at now: Now) {
        for effect in effects {
            switch effect {
            case .publish(let message): publish(message)
            case .subscribe(let subscriptions):
                if toldConnected, !parts.link.subscribe(subscriptions) { queueFull("a subscription") }
            default: break
            }
        }
        parts.link.encode(at: now.monotonic)
    }

    /// Carries out what the core wants besides records and messages.
    func perform(at now: Now) {
        var wanted: [ServiceEffect] = []
        swap(&wanted, &effects)
        for effect in wanted {
            switch effect {
            case .append, .publish, .subscribe: break
            case .archive(let request): archive.perform(request, at: now)
            case .startChild(let request): children.start(request, at: now.monotonic)
            case .stopChild(let id): children.stop(id, at: now.monotonic)
            case .log(let event): parts.log.write(event)
            case .status(let text): parts.notifier.status(text)
            case .ready: parts.notifier.ready()
            case .quit(let status, let reason): quit(status: status, reason: reason, at: now.monotonic)
            }
        }
    }

    private func publish(_ message: OutboundMessage) {
        guard toldConnected else {
            unsent += 1
            log(.debug, "publish_unsent", "Not connected: not published", ["count": unsent])
            return
        }
        let isNumbers = message.retain && parts.isMetrics(message.topic)
        if !parts.link.publish(isNumbers ? withOwnNumbers(message) : message) { queueFull(message.topic) }
    }

    /// The service's numbers with those of its journal and its connection at the end.
    private func withOwnNumbers(_ message: OutboundMessage) -> OutboundMessage {
        guard message.payload.last == UInt8(ascii: "}"), message.payload.count > 2 else { return message }
        var numbers = ",\"journal_bytes\":\(parts.journal.size),\"journal_sync_ms\":\(parts.journal.slowestLately)"
        numbers += ",\"publish_dropped_total\":\(dropped)"
        if let space = parts.journal.space {
            numbers += ",\"journal_disk_bytes\":\(space.all),\"journal_disk_free_bytes\":\(space.free)"
        }
        var message = message
        message.payload.removeLast()
        message.payload += Array("\(numbers)}".utf8)
        return message
    }

    /// Said for the first message, and then for every thousandth.
    private func queueFull(_ what: String) {
        if dropped % 1000 == 0 {
            log(
                .error, "publish_queue_full", "Too much waits for the broker; dropped: \(what)",
                ["dropped": dropped + 1])
        }
        dropped += 1
    }

    /// Compacts the journal when it has grown, and looks at the free space once a second.
    func maintain(at now: Now) {
        if parts.journal.wantsCompaction { compact() }
        checkForChanges(at: now)
        guard now.monotonic >= nextSpaceCheck else { return }
        nextSpaceCheck = now.monotonic + LoopTiming.spaceCheckInterval
        let writable = toldWritable ? parts.journal.hasFreeSpace : parts.journal.hasAmpleSpace
        if writable != toldWritable { tellWritable(writable, at: now) }
    }

    /// Reads everything again when something outside has changed.
    private func checkForChanges(at now: Now) {
        let due = nextChangeCheck ?? now.monotonic + LoopTiming.changeCheckInterval
        nextChangeCheck = now.monotonic < due ? due : now.monotonic + LoopTiming.changeCheckInterval
        guard now.monotonic >= due, parts.hasChanged() else { return }
        reload(at: now)
        if commit(at: now) { perform(at: now) }
    }

    private func tellWritable(_ writable: Bool, at now: Now) {
        toldWritable = writable
        if writable {
            log(.info, "journal_space", "The disk of the journal has room again")
        } else {
            log(.warning, "journal_space", "The disk of the journal is nearly full: nothing new is accepted")
        }
        core.handle(.journalWritable(writable), at: now, emitting: &effects)
        if commit(at: now) { perform(at: now) }
    }

    private func compact() {
        let before = parts.journal.size
        do throws(SystemError) {
            try parts.journal.compact { emit in core.snapshot(emit) }
            log(.info, "journal_compacted", "The journal was compacted", ["from": before, "to": parts.journal.size])
        } catch {
            log(.warning, "journal_not_compacted", "\(error)")
        }
    }

    /// Tells the service manager that the loop is alive.
    func keepAlive(at now: MonotonicTime) {
        guard let interval = parts.notifier.watchdogInterval, let due = nextAlive, now >= due else { return }
        nextAlive = now + interval
        parts.notifier.alive()
    }

    /// Writes a log line of the shell's own.
    func log(_ level: LogLevel, _ name: String, _ text: String, _ numbers: KeyValuePairs<String, Int> = [:]) {
        parts.log.write(LogEvent(level, name, text, numbers.map { LogField($0.key, String($0.value)) }))
    }
}

/// The loop's own times and numbers.
enum LoopTiming {
    /// Milliseconds between two looks at the free space.
    static let spaceCheckInterval = 1000
    /// Milliseconds between two looks at what is outside.
    static let changeCheckInterval = 60_000
    /// A sync of more ms is worth a warning.
    static let slowSync = 1000
    /// Milliseconds from SIGTERM, or from the core's wish to quit, to the end.
    static let leaveTime = 5000
    /// Refusals of the account, before it was ever accepted, that end the program.
    static let forbiddenAttempts = 3
}
