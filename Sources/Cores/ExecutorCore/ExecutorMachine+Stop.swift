import Contract
import Determinism
import Machine
import TimeModel

// MARK: - Stopping

extension ExecutorMachine {
    /// Begins the end of an attempt; the first reason counts.
    mutating func stop(_ key: AttemptKey, _ reason: Attempt.Stop) {
        guard let attempt = attempts[key], attempt.stop == nil else { return }
        attempts[key]?.stop = reason
        attempts[key]?.deadline = nil
        attempts[key]?.progressAt = nil
        if case .child(let id) = attempt.phase {
            effects.append(.stopChild(id: id))
        } else if reason == .canceled {
            finish(key, Ending(status: .canceled))
        } else {
            giveBack(key)
        }
    }

    /// The lease is over by this executor's own clock: the work stops, whatever the dispatcher thinks.
    mutating func stopWhatRanOut() {
        for (key, attempt) in attempts {
            guard let deadline = attempt.deadline, deadline <= now.monotonic else { continue }
            log(.warning, "lease_expired", "no answer renewed the lease in time: the work is stopped", key)
            stop(key, .fenced)
        }
    }

    /// The dispatcher wants the outcome `canceled`. An attempt that is unknown, or has ended, is not touched.
    mutating func cancel(_ key: AttemptKey, reason: String?) {
        guard attempts[key] != nil else { return }
        log(.info, "attempt_canceled", reason.map { "canceled: \($0)" } ?? "canceled", key)
        stop(key, .canceled)
    }

    /// The right is gone: work stops, an outcome is forgotten.
    mutating func revoke(_ pair: LeasePair) {
        settle(pair)
        for key in attempts.keys where key.pair == pair {
            log(.info, "lease_revoked", "the dispatcher took it back", key)
            stop(key, .revoked)
        }
    }
}

// MARK: - Leaving

extension ExecutorMachine {
    /// SIGTERM: nothing new; what runs may end within `drain_ms`. A second one stops it at once.
    mutating func terminate() {
        if drainUntil == nil {
            drainUntil = now.monotonic + manifest.drainMs
            publishStatus()
            log(.info, "draining", "\(attempts.count) tasks under way, at most \(manifest.drainMs) ms are left to them")
        } else {
            drainUntil = now.monotonic
        }
    }

    mutating func leaveWhenDone() {
        guard let drainUntil else { return }
        if leaveAt == nil, drainUntil <= now.monotonic, !attempts.isEmpty {
            let grace = attempts.values.map(\.stopGraceMs).max() ?? 0
            leaveAt = now.monotonic + grace + 500
            for key in attempts.keys { stop(key, .leaving) }
        }
        if let leaveAt, leaveAt <= now.monotonic {
            for key in attempts.keys { giveBack(key) }
        }
        guard attempts.isEmpty else { return }
        if isConnected { effects.append(.publish(statusMessage(.offline, connection: connection))) }
        effects.append(.quit(status: 0, reason: "asked to stop"))
        hasLeft = true
    }
}

extension Attempt {
    /// Between asking its program to stop and ending it.
    fileprivate var stopGraceMs: Int {
        if case .command(let command) = capability.work { command.stopGraceMs } else { 0 }
    }
}
