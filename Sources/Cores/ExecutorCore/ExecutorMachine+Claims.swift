import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// One slot of a pull executor: it asks, waits, and asks again.
struct ClaimSlot: Hashable, Sendable {
    /// The last level of its topics.
    var name: String
    /// The number of the claim that is out, or was the last.
    var sequence = 0
    /// When the claim that waits for its answer was sent first.
    var firstSentAt: MonotonicTime?
    /// When it is sent again, for lack of an answer.
    var againAt: MonotonicTime?
    /// Before then no new claim is made.
    var notBefore: MonotonicTime?
    /// Whether a task that it was granted is under way.
    var isBusy = false
}

extension ExecutorMachine {
    /// One claiming slot for each slot of the manifest.
    mutating func resizeClaims() {
        let count = manifest.pulls ? manifest.slots : 0
        claims.removeLast(max(0, claims.count - count))
        while claims.count < count { claims.append(ClaimSlot(name: String(claims.count + 1))) }
    }

    /// Asks for work with every slot that is free and may ask.
    mutating func sendClaims() {
        guard isConnected, state == .online, !claims.isEmpty else { return }
        var room = freeSlots - claims.count { $0.firstSentAt != nil }
        for index in claims.indices {
            let claim = claims[index]
            if claim.firstSentAt != nil {
                if claim.againAt ?? now.monotonic <= now.monotonic { send(index) }
            } else if !claim.isBusy, room > 0, claim.notBefore ?? now.monotonic <= now.monotonic {
                claims[index].sequence += 1
                claims[index].firstSentAt = now.monotonic
                send(index)
                room -= 1
            }
        }
    }

    private mutating func send(_ index: Int) {
        claims[index].againAt = now.monotonic + manifest.waitMs + Defaults.claimRetryMs
        var claim = Claim()
        claim.seq = claims[index].sequence
        claim.boot = boot
        claim.waitMs = manifest.waitMs
        claim.leaseMs = min(Limits.claimMs, manifest.waitMs + max(Defaults.leaseMs, 3 * manifest.beatMs))
        let topic = topic(.claim(executor: settings.name, slot: claims[index].name))
        effects.append(.publish(OutboundMessage(topic: topic, payload: claim.encoded)))
    }

    /// When a slot has something to do by itself.
    func claimDue(_ claim: ClaimSlot) -> MonotonicTime? {
        guard state == .online else { return nil }
        if claim.firstSentAt != nil { return claim.againAt }
        return claim.isBusy || freeSlots == 0 ? nil : claim.notBefore
    }

    /// The answer to a claim.
    mutating func receive(_ grant: Grant, for slot: String) {
        guard let index = claims.firstIndex(where: { $0.name == slot }) else {
            if case .task(let assignment) = grant { take(assignment, slot: slot) }
            return
        }
        let sentAt = claims[index].firstSentAt
        claims[index].firstSentAt = nil
        claims[index].againAt = nil
        switch grant {
        case .none(let retryAfterMs, _): claims[index].notBefore = now.monotonic + min(60_000, max(100, retryAfterMs))
        case .task(let assignment):
            claims[index].isBusy = true
            claims[index].notBefore = now.monotonic + 1000
            take(assignment, slot: slot, sentAt: sentAt)
            claims[index].isBusy = attempts.values.contains { $0.claimSlot == slot }
        }
    }

    /// The task of a slot has ended, or was not taken: it may ask again.
    mutating func freeClaim(_ slot: String, retryAfterMs: Int) {
        guard let index = claims.firstIndex(where: { $0.name == slot }) else { return }
        claims[index].isBusy = false
        claims[index].notBefore = now.monotonic + retryAfterMs
    }
}
