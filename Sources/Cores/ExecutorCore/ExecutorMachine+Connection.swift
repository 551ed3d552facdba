import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// A beat that waits for its answer.
struct SentBeat: Hashable, Sendable {
    var sequence: Int
    var sentAt: MonotonicTime
    var leases: [AttemptKey]
}

// MARK: - Connecting

extension ExecutorMachine {
    /// The first thing of every run: what an earlier run left open is lost, and said so.
    mutating func begin() {
        for key in open.keys {
            log(.warning, "work_lost", "an earlier run of this executor ended in the middle of this work", key)
        }
        open.removeAll()
        append(.run(boot: boot))
        let inherited = outcomes.isEmpty ? "" : ", \(outcomes.count) outcomes to send again"
        log(.info, "started", "boot \(boot), \(card.capabilities.count) capabilities\(inherited)")
    }

    /// In this order: an outcome of an earlier run counts only while the dispatcher still knows that run's boot, so it
    /// goes before the card; one of this run after it.
    mutating func connect() {
        connection += 1
        isConnected = true
        let (workspace, name) = (settings.workspace, settings.name)
        effects.append(
            .subscribe([
                Subscription(filter: Topic.filter(workspace, "work", "+", name), wantsRetained: false),
                Subscription(filter: Topic.filter(workspace, "grant", name, "+"), wantsRetained: false),
            ]))
        for (key, kept) in outcomes where kept.isInherited { publish(kept, key) }
        publishCard()
        publishStatus(token: 1)
        for (key, kept) in outcomes where !kept.isInherited { publish(kept, key) }
        for (key, safe) in owedReleases { release(key, safe: safe) }
        owedReleases.removeAll()
        for index in claims.indices where claims[index].firstSentAt != nil { claims[index].againAt = now.monotonic }
        beat()
        effects.append(.status("connected, boot \(boot), \(attempts.count) tasks under way"))
    }

    mutating func disconnect() {
        isConnected = false
        beats.removeAll()
        effects.append(.status("not connected, \(attempts.count) tasks under way"))
    }

    mutating func becomeReady() {
        guard !isReady else { return }
        isReady = true
        effects.append(.ready)
    }

    mutating func publishCard() {
        guard isConnected else { return }
        let topic = topic(.card(executor: settings.name))
        effects.append(.publish(OutboundMessage(topic: topic, payload: card.encoded, retain: true)))
    }

    mutating func publishStatus(token: Int? = nil) {
        guard isConnected else { return }
        var message = statusMessage(state, connection: connection)
        message.token = token
        effects.append(.publish(message))
    }

    /// Without a journal nothing can be promised, so nothing is taken.
    mutating func setJournal(writable: Bool) {
        guard writable != journalIsWritable else { return }
        journalIsWritable = writable
        publishStatus()
        if writable {
            log(.info, "resumed", "the journal can be written again")
        } else {
            log(.warning, "paused", "the journal cannot be written: no work is taken until it can")
        }
    }
}

// MARK: - Beats

extension ExecutorMachine {
    /// Says that it is there, what it holds and what it waits for. More pairs than one beat may name go into several.
    mutating func beat() {
        beatAt = now.monotonic + manifest.beatMs
        guard isConnected else { return }
        let leases = attempts.filter { $0.1.stop == nil }.map(\.0)
        let unconfirmed = outcomes.keys
        var from = 0
        repeat {
            beatSequence += 1
            let part = leases.dropFirst(from).prefix(Limits.beatPairs)
            var beat = Beat(boot: boot, seq: beatSequence)
            beat.freeSlots = freeSlots
            beat.leases = part.map(\.pair)
            beat.unconfirmed = unconfirmed.dropFirst(from).prefix(Limits.beatPairs).map(\.pair)
            beat.load = min(1_000_000, usedSlots * 100 / manifest.slots)
            beats.append(SentBeat(sequence: beatSequence, sentAt: now.monotonic, leases: Array(part)))
            let topic = topic(.beat(executor: settings.name))
            effects.append(.publish(OutboundMessage(topic: topic, payload: beat.encoded)))
            from += Limits.beatPairs
        } while from < max(leases.count, unconfirmed.count)
        if beats.count > Limits.beatsInFlight { beats.removeFirst(beats.count - Limits.beatsInFlight) }
    }

    /// The answer to a beat: what is gone, what is safe, what is to be sent again; what it does not name is renewed.
    mutating func receive(_ ack: BeatAck) {
        for pair in ack.revoked { revoke(pair) }
        for pair in ack.confirmed { settle(pair) }
        for pair in ack.resend {
            for (key, kept) in outcomes where key.pair == pair { publish(kept, key) }
        }
        if let sequence = ack.seq, let index = beats.firstIndex(where: { $0.sequence == sequence }) {
            renew(beats.remove(at: index))
        }
        if ack.code == .notFound {
            publishCard()
            publishStatus()
        }
    }

    private mutating func renew(_ beat: SentBeat) {
        for key in beat.leases {
            guard var attempt = attempts[key], attempt.stop == nil else { continue }
            let deadline = attempt.deadline(from: beat.sentAt)
            guard deadline > now.monotonic else { continue }
            attempt.deadline = attempt.needsRenewal ? deadline : max(deadline, attempt.deadline ?? deadline)
            attempt.needsRenewal = false
            attempts[key] = attempt
        }
    }
}
