import CMosquitto
import CPlatform
import Determinism
import Glibc
public import Machine
public import TimeModel

/// What a link has to tell, in the order in which it happened.
public enum LinkEvent: Sendable {
    /// The broker kept nothing of an earlier connection; told before `connected`.
    case sessionLost
    /// The broker has accepted the connection.
    case connected
    /// An accepted connection is gone, for this reason.
    case disconnected(String)
    /// An attempt to connect failed; the link goes on trying. `forbidden`: the broker refuses the account.
    case attemptFailed(String, forbidden: Bool)
    /// A message came.
    case message(InboundMessage)
    /// The broker took the publish with this token.
    case delivered(token: Int)
    /// The broker refused a publish or a subscription: its topic and the reason. `token` is that of the publish.
    case refused(topic: String, reason: String, token: Int?)
    /// The broker granted a subscription.
    case subscribed(filter: String)
    /// Closed by the broker this often within a minute: another client probably uses the same client id.
    case evictedRepeatedly
}

/// One MQTT 5 connection over libmosquitto with an external loop: it never blocks, it writes nothing but in `flush`, and
/// it connects anew in every case of a loss.
///
/// Incoming messages are acknowledged by libmosquitto as soon as they are read, but with `mosquitto_threaded_set` those
/// acknowledgements stay in its queue until `flush`. Who syncs a journal between `read` and `flush` therefore loses
/// nothing that was acknowledged; who drops the link instead gets everything again.
public final class Link {
    /// How far the connection is.
    enum State: Hashable {
        case waiting(until: MonotonicTime)
        case probing(descriptor: Int32, until: MonotonicTime)
        case opening(until: MonotonicTime)
        case open(since: MonotonicTime)
        case leaving(until: MonotonicTime)
        case closed
    }

    /// A request that waits for its turn, or for the acknowledgement of the last connection's ones.
    enum Queued {
        case publish(OutboundMessage)
        case subscribe(Subscription)
    }

    /// A publish or subscription on its way.
    struct Pending {
        var topic: String
        var token: Int?
        var since: MonotonicTime
    }

    let options: ConnectionOptions
    var state: State
    var handle: OpaquePointer?
    /// What has happened since `takeEvents`.
    var events: [LinkEvent] = []
    /// Bytes of payload in `events`.
    var inboxBytes = 0
    var queue = PublishQueue()
    var inflight: [Int32: Pending] = [:]
    var subscribing: [Int32: Pending] = [:]
    /// After a reconnect libmosquitto first repeats what was unacknowledged; nothing may overtake it.
    var settling = false
    /// Publishes that may be on their way at a time: our own limit or the broker's, if that is lower.
    var window = Link.largestWindow
    /// What the broker said of itself when it accepted the last connection.
    var limits = BrokerLimits()
    /// Whether all that was given to libmosquitto in the last flush has been written.
    var wroteAll = true
    /// When that was last so.
    var wroteAllAt = MonotonicTime(milliseconds: 0)
    /// Connections in a row that ended before anything repeated was acknowledged.
    var fruitlessRepeats = 0
    /// Counts the callbacks, to see whether a read made progress.
    var callbacks = 0
    var lastReason: String?
    var lastLibraryError: String?
    var refusedCode: Int32 = 0
    var backoff: ReconnectBackoff
    var evictions = EvictionWatch()
    private var nextMaintenance = MonotonicTime(milliseconds: 0)

    /// A link that is not yet connected; `advance` makes the first attempt. `seed` feeds the jitter of reconnecting.
    public init(_ options: ConnectionOptions, seed: UInt64) {
        _ = Link.libraryStarted
        self.options = options
        backoff = ReconnectBackoff(seed: seed)
        state = .waiting(until: MonotonicTime(milliseconds: 0))
    }

    deinit { drop() }

    private static let libraryStarted: Int32 = mosquitto_lib_init()

    /// Whether the broker has accepted the connection.
    public var isOpen: Bool {
        if case .open = state { return true }
        return false
    }

    /// Publishes and subscriptions that the broker has not acknowledged, sent or still waiting.
    public var unacknowledged: Int { queue.count + inflight.count + subscribing.count }

    /// Whether the connection was left for good.
    public var isClosed: Bool { state == .closed }

    /// The descriptor to poll, -1 when there is none, and the events to wait for.
    public var interest: (descriptor: Int32, events: Int16) {
        switch state {
        case .waiting, .closed: return (-1, 0)
        case .probing(let descriptor, _): return (descriptor, Int16(POLLOUT))
        case .opening, .open, .leaving:
            guard let handle else { return (-1, 0) }
            // While a TLS handshake waits for the broker the library always wants to write.
            let wantsWrite = mosquitto_want_write(handle) && !needsWrite
            let reads = pausesReading(at: SystemClock.monotonic) ? 0 : POLLIN
            return (mosquitto_socket(handle), Int16(wantsWrite ? reads | POLLOUT : reads))
        }
    }

    /// Until when nothing is due.
    public var nextWake: MonotonicTime? {
        switch state {
        case .waiting(let until): return until
        case .probing(_, let until): return until
        case .opening(let until), .leaving(let until): return min(until, nextMaintenance)
        case .open: return nextMaintenance
        case .closed: return nil
        }
    }

    /// Whether something has happened since `takeEvents`.
    public var hasEvents: Bool { !events.isEmpty }

    /// What has happened, in order; the link forgets it.
    public func takeEvents() -> [LinkEvent] {
        defer {
            events.removeAll(keepingCapacity: true)
            inboxBytes = 0
        }
        return events
    }

    /// Attempts a connection that is due, gives up what takes too long, and does libmosquitto's own chores once a
    /// second. `will` is asked for before each connection.
    public func advance(at now: MonotonicTime, will: () -> OutboundMessage?) {
        switch state {
        case .waiting(let until) where now >= until: begin(at: now, will: will)
        case .probing(let descriptor, let until): probe(descriptor, until: until, at: now, will: will)
        case .opening(let until) where now >= until: lose("no answer to the connection request", at: now)
        case .leaving(let until) where now >= until: drop()
        default: break
        }
        if now >= nextMaintenance, let handle, hasSocket {
            nextMaintenance = now + Link.maintenanceInterval
            let code = mosquitto_loop_misc(handle)
            check(code, at: now)
        }
    }

    /// Whether there is a connection to keep alive and to write to, or one that is being made. Between two attempts there
    /// is none: a chore or a write that found that out would put off the next attempt each time.
    private var hasSocket: Bool {
        switch state {
        case .opening, .open, .leaving: true
        case .waiting, .probing, .closed: false
        }
    }

    /// Reads what has arrived, at most so much as one turn may take, without writing anything.
    public func read(at now: MonotonicTime) {
        guard let handle, hasSocket, !pausesReading(at: now) else { return }
        let start = callbacks
        while callbacks - start < Link.packetsPerTurn, inboxBytes < Link.bytesPerTurn {
            let before = callbacks
            let code = mosquitto_loop_read(handle, 1)
            if code != 0 || mosquitto_socket(handle) < 0 {
                check(code == 0 ? Int32(MOSQ_ERR_CONN_LOST.rawValue) : code, at: now)
                return
            }
            // A packet without a callback is rare; what is behind it waits for the next turn.
            if callbacks == before { return }
        }
    }

    /// Encodes what the window allows, for the next `flush`.
    func encode(at now: MonotonicTime) {
        if hasSocket { _ = handOver(at: now) }
    }

    /// Sends what waits: acknowledgements first, then publishes and subscriptions as far as the window allows.
    public func flush(at now: MonotonicTime) {
        guard let handle, hasSocket else { return }
        while true {
            if mosquitto_want_write(handle) || needsWrite {
                let code = mosquitto_loop_write(handle, 1)
                if code != 0 || mosquitto_socket(handle) < 0 {
                    check(code == 0 ? Int32(MOSQ_ERR_CONN_LOST.rawValue) : code, at: now)
                    return
                }
                wroteAll = !mosquitto_want_write(handle)
                if !wroteAll { return }
                wroteAllAt = now
            }
            guard handOver(at: now) else { return }
        }
    }

    /// Ends the connection in an orderly way, after all that was given to libmosquitto: the Will is not published.
    public func leave(at now: MonotonicTime) {
        guard isOpen, let handle else { return drop() }
        state = .leaving(until: now + 1000)
        mosquitto_disconnect_v5(handle, 0, nil)
        flush(at: now)
    }

    /// Drops the connection and all that waits, unwritten; the broker publishes the Will and delivers again what was not
    /// acknowledged. The link stays closed until `restart`.
    public func drop() {
        if case .probing(let descriptor, _) = state { close(descriptor) }
        destroyHandle()
        queue = PublishQueue()
        inflight.removeAll()
        subscribing.removeAll()
        events.removeAll()
        inboxBytes = 0
        settling = false
        wroteAll = true
        state = .closed
    }

    /// Lets a dropped link connect again, from this moment on.
    public func restart(at now: MonotonicTime) {
        if state == .closed { state = .waiting(until: now) }
    }

    func destroyHandle() {
        guard let old = handle else { return }
        handle = nil
        mosquitto_destroy(old)
    }

    /// While the broker does not take what is written, acknowledgements pile up behind it and would all leave together.
    /// For a second at most: a broker might wait for us as well.
    private func pausesReading(at now: MonotonicTime) -> Bool {
        queue.count > Link.congestion && !wroteAll && isOpen && now - wroteAllAt < Link.longestPause
    }

    /// The TLS handshake needs calls of the write side although nothing waits.
    private var needsWrite: Bool {
        if case .opening = state { return options.address.transport == .tls }
        return false
    }

    /// Looks at the outcome of a library call.
    func check(_ code: Int32, at now: MonotonicTime) {
        guard let handle else { return }
        if code == 0, mosquitto_socket(handle) >= 0 { return }
        var reason = lastReason ?? Link.text(ofError: code)
        if let detail = lastLibraryError { reason += " (\(detail))" }
        lose(reason, at: now)
    }

    /// The connection is gone, or an attempt has failed: tells it and plans the next attempt.
    func lose(_ reason: String, at now: MonotonicTime) {
        lastReason = nil
        lastLibraryError = nil
        switch state {
        case .leaving, .closed:
            drop()
            return
        case .open(let since):
            backoff.connectionLasted(now - since)
            events.append(.disconnected(reason))
            if evictions.evicted(at: now) { events.append(.evictedRepeatedly) }
            if settling { fruitlessRepeats += 1 }
        case .waiting, .probing, .opening:
            events.append(.attemptFailed(reason, forbidden: refusedCode == 0x86 || refusedCode == 0x87))
        }
        refusedCode = 0
        if case .probing(let descriptor, _) = state { close(descriptor) }
        closeSocket()
        if fruitlessRepeats >= Link.repeatLimit { abandonRepeats() }
        subscribing.removeAll()
        wroteAll = true
        queue.removeSubscriptions()
        state = .waiting(until: now + backoff.next())
    }

    /// Keeps libmosquitto's unacknowledged messages, unless there are none, when a new handle is cleaner.
    private func closeSocket() {
        guard let handle else { return }
        if inflight.isEmpty {
            destroyHandle()
        } else if mosquitto_socket(handle) >= 0 {
            shutdown(mosquitto_socket(handle), Int32(SHUT_RDWR))
        }
    }

    /// A message that makes the broker hang up each time would do so for ever.
    private func abandonRepeats() {
        for pending in inflight.values.sorted(by: { $0.topic < $1.topic }) {
            events.append(
                .refused(
                    topic: pending.topic, reason: "given up: the connection was lost at each attempt",
                    token: pending.token))
        }
        inflight.removeAll()
        fruitlessRepeats = 0
        destroyHandle()
    }

    /// Milliseconds between two calls for keep-alive.
    static let maintenanceInterval = 1000
    /// Packets read in one turn.
    static let packetsPerTurn = 200
    /// Payload bytes read in one turn, the last packet apart.
    static let bytesPerTurn = 4 << 20
    /// Publishes on their way at a time. libmosquitto searches its list for each, so that a longer one is slower.
    static let largestWindow = 100
    /// Milliseconds without reading while the broker takes nothing.
    static let longestPause = 1000
    /// When more than this waits to be published, nothing is read that would add to it while the broker takes nothing.
    static let congestion = 1000
    /// Milliseconds to wait for a connection or for the broker's answer to the request.
    static let openTimeout = 10_000
    /// Connections that may be lost over the same unacknowledged messages.
    static let repeatLimit = 3

    /// The library's text for one of its error codes.
    static func text(ofError code: Int32) -> String {
        if code == Int32(MOSQ_ERR_ERRNO.rawValue) { return systemErrorText(errno) }
        return mosquitto_strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}
