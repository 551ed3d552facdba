import Contract
public import Machine
public import TimeModel
import Wire

/// The monitor's decisions (`topics/history.md`): what of the bus becomes a record, what is a copy, what was missed, and
/// what is told of it.
///
/// It never asks anybody to send anything again: what its session brings is recorded, what the session lost is stated
/// as a gap.
public struct MonitorCore: Service {
    /// What the shell tells.
    public typealias Input = ServiceInput
    /// What the shell is asked for.
    public typealias Effect = ServiceEffect

    var settings: MonitorSettings
    var term = 0
    var startedAt = WallTime(milliseconds: 0)
    var isConnected = false
    var isReady = false
    var isEnding = false

    /// Digests of the newest records.
    var recent = RecentDigests(limit: Limits.historyDigests)
    /// Digests of the newest results without who got them.
    var bodies = RecentDigests(limit: 4096)
    /// The last number of each service's events.
    var cursors: [String: Int] = [:]
    /// What the latest recorded message told of, or when the first connection stood: nothing before is missing.
    var heardAt: WallTime?
    /// When the first connection of all stood, in the journal: whoever dies before it has recorded anything has still
    /// told that it is up.
    var firstUpAt: WallTime?
    /// Whether the broker kept everything while this was away.
    var session = SessionDoubt()
    /// Since when records are gone that the disk did not take.
    var writing = WriteDoubt()
    /// The turn in which a gap was handed to the history last.
    var statedAt = MonotonicTime(milliseconds: 0)
    /// What could not be written, until that can be stated.
    var unwritten: Unwritten?
    /// What the cards say.
    var cards: [CardKey: CardFace] = [:]
    /// The services' records.
    var services: [ServiceInstance: ServiceRecord] = [:]
    /// The services' last numbers.
    var numbers: [String: [String: Int]] = [:]
    /// When a service's numbers were recorded last.
    var numbersAt: [String: MonotonicTime] = [:]

    var window: RollingWindow
    /// Published summaries, with the moment.
    var published: [SummaryGroup: MonotonicTime] = [:]
    var summaryCount = 0
    /// Alerts that stand.
    var alerts: [AlertKey: Alert] = [:]
    /// Workspaces that were met.
    var workspaces: Set<String> = []
    /// Sums since the start, by capability.
    var sinceStart: [SummaryGroup: Aggregate] = [:]
    /// How much the history holds, as it said last.
    var size = HistorySize()

    /// Questions to the history that are not answered yet.
    var questions: [Int: Question] = [:]
    var lastQuestion = 0
    var totals = MonitorTotals()
    var nextTick = MonotonicTime(milliseconds: 0)
    var nextNumbers = MonotonicTime(milliseconds: 0)
    var effects: [ServiceEffect] = []

    /// A monitor that knows nothing yet.
    public init(settings: MonitorSettings) {
        self.settings = settings
        window = RollingWindow(windowMs: settings.windowMs)
    }

    /// Until when nothing is due.
    public var nextWake: MonotonicTime? { term > 0 ? nextTick : nil }

    /// Takes one input and appends what is to be done.
    public mutating func handle(_ input: ServiceInput, at now: Now, emitting output: inout [ServiceEffect]) {
        if session.isStated || writing.isStated { confirmStatements(input, now) }
        switch input {
        case .started: start(now)
        case .connected: connect(now)
        case .sessionLost: sessionLost()
        case .disconnected:
            isConnected = false
            isReady = false
        case .message(let message): receive(message, now)
        case .archive(let event): take(event, now)
        case .delivered, .wake, .childEnded, .journalWritable: break
        case .terminate: terminate()
        case .reload(let configuration): reload(configuration)
        }
        if term > 0, now.monotonic >= nextTick { tick(now) }
        output += effects
        effects.removeAll(keepingCapacity: true)
    }

    private mutating func start(_ now: Now) {
        term += 1
        startedAt = now.wall
        nextTick = now.monotonic
        nextNumbers = now.monotonic
        let number = term
        effects.append(.append(MonitorCore.termRecord(number)))
    }

    private mutating func reload(_ configuration: [UInt8]) {
        let before = settings
        settings.apply(configuration)
        // The window keeps its span until the next start: its slots cannot be cut anew.
        settings.windowMs = before.windowMs
    }

    /// Once a second: what is due.
    private mutating func tick(_ now: Now) {
        nextTick = now.monotonic + 1000
        window.advance(now.wall)
        guard isConnected else { return }
        publishSummaries(now)
        guard now.monotonic >= nextNumbers else { return }
        nextNumbers = now.monotonic + MonitorCore.numbersEveryMs
        judge(now)
        publishNumbers(now)
        ask(HistoryQuestion(.size), .size)
        export(now)
    }

    /// Between two publications of the monitor's own numbers, of one summary, and of the text file.
    static let numbersEveryMs = 10_000

    // The journal: the number of the start, the moment of the first connection, and since when something may be missing,
    // are all that must be remembered besides the history.

    private static func termRecord(_ term: Int) -> [UInt8] {
        RawJSON { writer in
            writer.object {
                $0.field("k", "term")
                $0.field("term", term)
            }
        }.bytes
    }

    /// Takes one record of the journal.
    public mutating func replay(_ record: [UInt8]) throws(JournalError) {
        guard let value = (try? RawJSON(validating: record)).map({ JSONValue($0) }) else {
            throw JournalError("an unknown form")
        }
        switch value["k"]?.stringValue {
        case "term":
            guard let number = value["term"]?.intValue else { throw JournalError("a term without its number") }
            term = number
        case "unwritten": writing.since = value["since"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
        case "first": firstUpAt = value["since"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
        case "session": session.since = value["since"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
        default: throw JournalError("an unknown form")
        }
    }

    /// Since when the session is in doubt; without a time: it is not.
    static func sessionRecord(_ since: WallTime?) -> [UInt8] { doubtRecord("session", since) }

    /// Since when records are gone; without a time: that is stated.
    static func writingRecord(_ since: WallTime?) -> [UInt8] { doubtRecord("unwritten", since) }

    /// Since when something can be missing at all.
    static func firstRecord(_ at: WallTime) -> [UInt8] { doubtRecord("first", at) }

    private static func doubtRecord(_ kind: String, _ since: WallTime?) -> [UInt8] {
        RawJSON { writer in
            writer.object {
                $0.field("k", kind)
                $0.field("since", since)
            }
        }.bytes
    }

    /// Writes what gives this state again.
    public func snapshot(_ emit: ([UInt8]) -> Void) {
        emit(MonitorCore.termRecord(term))
        if let firstUpAt { emit(MonitorCore.firstRecord(firstUpAt)) }
        if let since = session.since { emit(MonitorCore.sessionRecord(since)) }
        if let since = writing.since { emit(MonitorCore.writingRecord(since)) }
    }

    /// A sentence for each invariant that does not hold.
    public func checkInvariants() -> [String] {
        var broken: [String] = []
        if questions.count > MonitorCore.questionLimit { broken.append("\(questions.count) questions wait") }
        if published.count > Limits.summaryGroups { broken.append("\(published.count) summaries are published") }
        if cards.count > Limits.executors { broken.append("\(cards.count) cards are held") }
        if totals.received != totals.recorded + totals.duplicates + totals.refused + totals.sampledOut {
            broken.append(
                "of \(totals.received) messages \(totals.recorded) were recorded, \(totals.duplicates) copies, "
                    + "\(totals.refused) refused, \(totals.sampledOut) left out")
        }
        return broken
    }
}

/// What is known of the broker's session: whether it had all subscriptions since the last recorded message. That a
/// session is there proves nothing, for its owner may have died, or its connection may have broken, before the
/// subscriptions reached the broker.
struct SessionDoubt: Hashable, Sendable {
    /// From when on something may be missing; in the journal until that is cleared up.
    var since: WallTime?
    /// Whether this connection can show that nothing is missing: the one before was sure, and the session is there.
    var canBeCleared = false
    /// Whether the broker said that there is no session.
    var isLost = false
    /// Connections of this process, and for how many of them subscriptions were sent.
    var connections = 0
    var subscriptions = 0
    /// Whether the gap was handed to the history, and it is not known yet whether it holds it.
    var isStated = false
}

/// Whether records are gone that nobody has stated.
struct WriteDoubt: Hashable, Sendable {
    /// From when on; in the journal until it is stated.
    var since: WallTime?
    /// Whether the gap was handed to the history, and it is not known yet whether it holds it.
    var isStated = false
}

/// A time in which records could not be written.
struct Unwritten: Hashable, Sendable {
    var since: WallTime
    var count: Int
    var reason: String
}

/// Whose card it is.
struct CardKey: Hashable, Sendable {
    var workspace: String
    var executor: String
}

/// What of a card a record tells.
struct CardFace: Hashable, Sendable {
    var type: String?
    var kinds: [String: String] = [:]
}

/// How much the history holds.
struct HistorySize: Hashable, Sendable {
    var records = 0
    var dataBytes = 0
    var indexBytes = 0
    var segments = 0
}

/// Numbers since the start of the process.
struct MonitorTotals: Hashable, Sendable {
    /// Messages of the classes that are recorded.
    var received = 0
    var recorded = 0
    var duplicates = 0
    var refused = 0
    /// Numbers of services between two that are recorded.
    var sampledOut = 0
    var copies = 0
    var lost = 0
    var gaps = 0
    var questions = 0
    var byKind: [RecordKind: Int] = [:]
}
