import Contract
import Determinism
import Machine
import Wire

/// What a scripted executor says by itself: beats, claims, sleep.
extension ScriptedExecutor {
    func beatLater(_ generation: Int) {
        world.after(beatMs) { [weak self] in
            guard let self, self.generation == generation, self.isUp else { return }
            if !self.isFrozen, !self.isAsleep { self.beat() }
            self.beatLater(generation)
        }
    }

    func beat() {
        guard let client, client.isUp else { return }
        seq += 1
        var beat = Beat(boot: boot, seq: seq)
        beat.freeSlots = max(0, slots - attempts.count)
        beat.leases = attempts.keys.sorted().compactMap { epoch in
            attempts[epoch].map { LeasePair($0.assignment.task, epoch) }
        }
        beat.unconfirmed = unconfirmed.keys.sorted().compactMap { epoch in
            unconfirmed[epoch].map { LeasePair($0.topicID, epoch) }
        }
        client.publish(OutboundMessage(topic: topic(.beat(executor: name)), payload: beat.encoded))
        beatTimes[seq] = world.time
        if pulls { claimAll() }
    }

    // MARK: Sleep

    /// Goes to sleep when there is nothing to do: it says so and leaves in good order.
    func sleepLater(_ generation: Int) {
        world.after(2000) { [weak self] in
            guard let self, self.generation == generation, self.isUp else { return }
            guard !self.isFrozen, !self.isAsleep, self.attempts.isEmpty, self.unconfirmed.isEmpty,
                let client = self.client, client.isUp
            else { return self.sleepLater(generation) }
            self.history.saw("executor sleeps")
            self.isAsleep = true
            let status = ExecutorStatus(.sleeping, boot: self.boot, conn: self.conn)
            client.publish(
                OutboundMessage(topic: self.topic(.status(executor: self.name)), payload: status.encoded, retain: true))
            client.disconnect()
            self.wakeLater(generation)
        }
    }

    private func wakeLater(_ generation: Int) {
        world.after(card.wakeEveryMs ?? 1000) { [weak self] in
            guard let self, self.generation == generation, self.isUp else { return }
            self.isAsleep = false
            self.connect()
            self.sleepLater(generation)
        }
    }

    /// What it holds that nobody has confirmed, for the end of a run.
    public var unsettled: [String] { unconfirmed.keys.sorted().map { "the outcome of epoch \($0) at \(name)" } }
    /// Claims that had no answer in their time.
    var overdueClaims: [History.ParkedClaim] {
        parked.values.filter { $0.until < world.time }.sorted { $0.slot < $1.slot }
    }

    func claimAll() {
        guard pulls, let client, client.isUp else { return }
        for slot in attempts.count..<max(slots, attempts.count) { claim(slot) }
    }

    func claim(_ slot: Int) {
        guard let client, client.isUp, attempts.count < slots else { return }
        claimSeq[slot, default: 0] += 1
        var claim = Claim()
        claim.seq = claimSeq[slot]
        claim.boot = boot
        if world.random.chance(1, of: 2) {
            // The lease counts from the sending of the claim, so that it must outlast the wait.
            let wait = world.random.uniform(1000...20_000)
            claim.waitMs = wait
            claim.leaseMs = wait + max(10_000, 3 * beatMs)
        }
        claimTimes[slot] = world.time
        parked[slot] = nil
        if isWatched, let wait = claim.waitMs {
            parked[slot] = History.ParkedClaim(
                time: world.time, executor: name, slot: "s\(slot)", until: world.time + wait + 5000)
        }
        client.publish(
            OutboundMessage(topic: topic(.claim(executor: name, slot: "s\(slot)")), payload: claim.encoded))
    }
}
