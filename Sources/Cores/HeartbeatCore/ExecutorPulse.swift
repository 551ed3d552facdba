import Contract
import TimeModel

/// Names an executor; ordered by workspace, then name.
struct ExecutorKey: Hashable, Comparable, Sendable {
    var workspace: String
    var name: String

    static func < (a: ExecutorKey, b: ExecutorKey) -> Bool {
        a.workspace == b.workspace ? a.name < b.name : a.workspace < b.workspace
    }
}

/// What is judged besides an executor's own messages.
struct Circumstances: Hashable, Sendable {
    /// Own time up to which a Will may take effect.
    var own: Int
    /// Own time up to which silence may be concluded.
    var silentUntil: Int
    /// By how much limits of silence are widened, in ms.
    var widenedMs: Int
    /// Whether a check that speaks for it is in `error`.
    var hasFailingCheck = false
    /// Below this percentage a battery is low.
    var lowBattery = 10
}

/// All that is known of one executor.
struct ExecutorPulse: Hashable, Sendable {
    var hasCard = false
    /// The distance of its messages, in ms: the card's `wake_every_ms`, else its `beat_ms`.
    var periodMs = Defaults.beatMs
    /// What it says of itself.
    var status: ExecutorState?
    var boot: String?
    var conn = 0
    /// The boot before; a beat of it comes too late.
    private var formerBoot: String?
    /// Whether it has beaten in its boot. Who never did is judged by status alone.
    var hasBeaten = false
    /// Own time of its Will.
    private(set) var lostAt: Int?
    /// Own time of its last message, or of the moment it became known.
    private(set) var heardAt: Int
    /// Silent before the link came back: `stale` at least, until it is heard.
    private var wasSilent = false
    /// When it was heard last.
    private(set) var lastSeen: WallTime?
    var freeSlots: Int?
    var leases: Int?
    var battery: Int?
    var atRest = false

    /// The verdict that stands, and since when.
    private(set) var verdict = Verdict.unknown
    private(set) var reason: VerdictReason?
    private(set) var since: WallTime
    /// Of the last publication.
    var rev = 0
    var published: LivenessView?
    var publishedAt: MonotonicTime?
    /// Whether the last publication has come back.
    var isEchoed = false

    /// Between a Will and its effect.
    static let willGraceMs = Defaults.willGraceMs

    init(own: Int, now: WallTime) {
        heardAt = own
        since = now
    }

    /// A message of its own came.
    mutating func hear(own: Int, now: WallTime) {
        heardAt = own
        lastSeen = now
        wasSilent = false
    }

    /// The link is back: what was sent meanwhile may be lost, so its silence counts for half a period at most. Who was
    /// called silent before stays it, but becomes `offline` only after time to be heard.
    mutating func excuse(own: Int) {
        if reason != .silence {
            heardAt = max(heardAt, own - periodMs / 2)
        } else if verdict == .stale {
            heardAt = max(heardAt, own - periodMs * 3 / 2)
            wasSilent = true
        }
    }

    /// Takes a status. A Will counts only with the current boot and no lower connection; an older connection's word not
    /// at all.
    mutating func take(_ given: ExecutorStatus, own: Int) {
        let isSameBoot = given.boot == boot
        if given.status == .lost {
            if boot != nil, !isSameBoot || (given.conn ?? 0) < conn { return }
            if status == .lost { return }
        } else if isSameBoot, (given.conn ?? 0) < conn {
            return
        }
        if !isSameBoot { begin(given.boot) }
        lostAt = given.status == .lost ? own : nil
        status = given.status
        conn = given.conn ?? 0
    }

    /// Takes a beat; `false` when it is one of an earlier boot.
    mutating func take(_ beat: Beat) -> Bool {
        if beat.boot == formerBoot { return false }
        if beat.boot != boot {
            begin(beat.boot)
            status = nil
        }
        if status == .lost {
            status = .online
            lostAt = nil
        }
        freeSlots = beat.freeSlots
        leases = beat.leases?.count
        battery = beat.battery
        return true
    }

    mutating func take(_ card: Card) {
        hasCard = true
        periodMs = card.wakeEveryMs ?? card.beatMs ?? Defaults.beatMs
        if boot == nil { boot = card.boot }
    }

    /// A new process: what the one before said is over.
    private mutating func begin(_ newBoot: String?) {
        formerBoot = boot
        boot = newBoot
        conn = 0
        hasBeaten = false
        wasSilent = false
        lostAt = nil
        freeSlots = nil
        leases = nil
        battery = nil
    }

    /// Its status was cleared.
    mutating func forgetStatus() {
        status = nil
        conn = 0
        lostAt = nil
    }

    /// The first row of the table of verdicts that holds.
    func judged(_ circumstances: Circumstances) -> (Verdict, VerdictReason?) {
        if status == nil, !hasBeaten { return (.unknown, nil) }
        if status == .offline { return (.offline, .status) }
        if let lostAt, circumstances.own - lostAt >= ExecutorPulse.willGraceMs { return (.offline, .lost) }
        let age = hasBeaten ? circumstances.silentUntil - heardAt : 0
        if age > 3 * periodMs + circumstances.widenedMs { return (.offline, .silence) }
        if status == .draining { return (.draining, .status) }
        if status == .paused { return (.paused, .status) }
        if wasSilent || age > 2 * periodMs + circumstances.widenedMs { return (.stale, .silence) }
        if circumstances.hasFailingCheck { return (.degraded, .check) }
        if let battery, battery < circumstances.lowBattery { return (.degraded, .battery) }
        if freeSlots == 0 { return (.busy, .slots) }
        if let leases, leases > 0 { return (.running, .leases) }
        return (.ready, nil)
    }

    /// Judges it anew.
    mutating func judge(_ circumstances: Circumstances, now: WallTime) {
        let (newVerdict, newReason) = judged(circumstances)
        if newVerdict != verdict { since = now }
        verdict = newVerdict
        reason = newReason
    }

    /// The own time at which its Will takes effect, if one waits.
    func willLook(_ circumstances: Circumstances) -> Int? {
        guard let lostAt, circumstances.own < lostAt + ExecutorPulse.willGraceMs else { return nil }
        return lostAt + ExecutorPulse.willGraceMs
    }

    /// The own time at which its silence may change the verdict; `nil`: never.
    func silenceLook(_ circumstances: Circumstances) -> Int? {
        guard hasBeaten, status != .offline else { return nil }
        var looks: [Int] = []
        let own = circumstances.silentUntil
        for limit in [heardAt + 2 * periodMs + 1, heardAt + 3 * periodMs + 1] {
            let widened = limit + circumstances.widenedMs
            if own < limit {
                looks.append(limit)
            } else if own < widened {
                // Put off for own slowness: looked at each second, for the slowness may be over sooner.
                looks.append(min(widened, own + 1000))
            }
        }
        return looks.min()
    }

    /// What everybody sees, but for the number.
    func view(widenedMs: Int) -> LivenessView {
        var view = LivenessView(verdict: verdict, boot: boot)
        view.reason = reason
        view.since = since
        view.status = status
        view.lastSeen = lastSeen
        view.freeSlots = freeSlots
        view.leases = leases
        view.atRest = atRest
        view.widenedMs = widenedMs
        return view
    }

    /// Whether a view says what the last one did; when it was heard, and the widening, change with every message and are
    /// told with the next change of something else.
    func isTold(_ view: LivenessView) -> Bool {
        guard var last = published else { return false }
        last.rev = view.rev
        last.lastSeen = view.lastSeen
        last.widenedMs = view.widenedMs
        return last == view
    }
}
