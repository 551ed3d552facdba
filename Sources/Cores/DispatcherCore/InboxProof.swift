import TimeModel

/// Whether everything that was sent to the dispatcher up to a moment has been read (`topics/tasks.md`, under load).
///
/// The broker hands a session's messages over in their order. Under load an outcome may stand in that row for longer than
/// its offer or lease lasts; to end the attempt then would make the next one late, too, and so on. So a message of our
/// own is sent into the same row, and what is due waits until it is back. While few messages come there is no row.
struct InboxProof: Hashable, Sendable {
    /// So many messages in a second, this one or the one before, and there may be a row.
    static let busyPerSecond = 500
    /// What is due waits no longer than this for the proof: a flood must not keep the dead alive.
    static let patienceMs = 30_000

    private var second = 0
    private var counted = 0
    private var before = 0
    /// When the message that is under way was sent.
    private(set) var sentAt: MonotonicTime?
    /// When the last one that came back had been sent.
    private var provenTo: MonotonicTime?

    /// A message came.
    mutating func count(at now: MonotonicTime) {
        turn(to: now)
        counted += 1
    }

    /// Whether what was due at a moment must wait for the proof.
    mutating func isNeeded(for due: MonotonicTime, at now: MonotonicTime) -> Bool {
        turn(to: now)
        guard max(counted, before) >= InboxProof.busyPerSecond, now - due < InboxProof.patienceMs else {
            sentAt = nil
            return false
        }
        return provenTo.map { $0 < due } ?? true
    }

    /// The message goes out; false when one is under way.
    mutating func send(at now: MonotonicTime) -> Bool {
        guard sentAt == nil else { return false }
        sentAt = now
        return true
    }

    /// It is back.
    mutating func returned() {
        guard let sent = sentAt else { return }
        provenTo = sent
        sentAt = nil
    }

    /// The connection is gone, and with it the message.
    mutating func forget() { sentAt = nil }

    private mutating func turn(to now: MonotonicTime) {
        let present = now.milliseconds / 1000
        guard present != second else { return }
        before = present == second + 1 ? counted : 0
        counted = 0
        second = present
    }
}
