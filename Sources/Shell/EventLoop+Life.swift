import Glibc
import Machine
import TimeModel

/// Beginning anew, and ending.
extension EventLoop {
    /// The journal cannot be written. What this turn decided must not leave: the connection is dropped unwritten, so that
    /// the broker publishes the Will and delivers again, and the state is read back from what is on the disk.
    func fail(_ error: SystemError, at now: MonotonicTime) {
        log(.error, "journal_failed", "The journal cannot be written: \(error). Nothing is accepted until it can be.")
        parts.notifier.status("journal not writable: \(error)")
        parts.link.drop()
        children.abandonAll()
        effects.removeAll()
        parts.journal.forgetPending()
        toldConnected = false
        toldWritable = true
        recoverAt = now + recoveryBackoff.next()
    }

    /// Reads the journal again and, if the disk takes a write, goes on from there as after a start.
    func recoverIfDue(at now: Now) {
        guard let due = recoverAt, now.monotonic >= due, ending == nil else { return }
        do throws(JournalFault) {
            core = parts.makeCore()
            _ = try parts.journal.recover { (record) throws(JournalError) in try core.replay(record) }
            do throws(SystemError) { try parts.journal.probe() } catch { throw .system(error) }
        } catch {
            recoverAt = now.monotonic + recoveryBackoff.next()
            if case .system = error { return }
            quit(status: 78, reason: "\(error)")
            return
        }
        recoverAt = nil
        archive.startAgain()
        recoveryBackoff = ReconnectBackoff(seed: RandomSource.seed)
        log(.info, "journal_recovered", "The journal can be written again")
        core.handle(.started, at: now, emitting: &effects)
        guard commit(at: now) else { return }
        perform(at: now)
        parts.link.restart(at: now.monotonic)
    }

    /// SIGTERM or SIGINT: the core finishes what it must; a second signal ends at once.
    func terminate(_ number: Int32, at now: Now) {
        if leaveBy != nil || recoverAt != nil {
            ending = ending ?? Ending(status: 0, reason: "ended by signal \(number)")
            leaveBy = now.monotonic
            return
        }
        log(.info, "stopping", "Stopping", ["signal": Int(number)])
        parts.notifier.stopping()
        leaveBy = now.monotonic + parts.leaveTime
        core.handle(.terminate, at: now, emitting: &effects)
    }

    /// SIGHUP: the configuration is read again; a refused one changes nothing.
    func reload(at now: Now) {
        guard recoverAt == nil, let text = parts.reload() else { return }
        log(.info, "reloaded", "The configuration was read again")
        core.handle(.reload(text), at: now, emitting: &effects)
    }

    /// Begins to leave: what was published is still delivered, for a while.
    func quit(status: Int, reason: String, at now: MonotonicTime = SystemClock.monotonic) {
        guard ending == nil else { return }
        ending = Ending(status: status, reason: reason)
        let latest = now + LoopTiming.leaveTime
        leaveBy = leaveBy.map { min($0, latest) } ?? latest
    }

    /// Ends the run when the core wants it and the broker has everything, or when the time is over.
    func endIfDue(at now: MonotonicTime) -> Ending? {
        guard let leaveBy else { return nil }
        let done = ending != nil && (!parts.link.isOpen || parts.link.unacknowledged == 0)
        guard done || now >= leaveBy else { return nil }
        children.abandonAll()
        parts.link.leave(at: now)
        let last = SystemClock.monotonic + 1000
        while !parts.link.isClosed, SystemClock.monotonic < last {
            let interest = parts.link.interest
            var entry = pollfd(fd: interest.descriptor, events: interest.events, revents: 0)
            poll(&entry, 1, 50)
            parts.link.flush(at: SystemClock.monotonic)
            parts.link.advance(at: SystemClock.monotonic, will: { nil })
        }
        return ending ?? Ending(status: 0, reason: "the time to stop was over")
    }
}
