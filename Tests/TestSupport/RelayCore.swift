public import Machine
public import TimeModel

/// A small service for tests: it records each message on `in/…` once and publishes its last level on `out/…`. Its own record `up` is the last thing
/// it subscribes to; once that came back it says so on `ready`.
public struct RelayCore: Service {
    /// What was recorded, in order.
    /// What it heard of the archive.
    public var archived: [ArchiveEvent] = []
    public var seen: [String] = []
    private var known: Set<String> = []
    /// How often a run began.
    public var starts = 0
    /// Tokens of what the broker acknowledged.
    public var delivered: [Int] = []
    /// What was told of the journal.
    public var writable: [Bool] = []
    /// How children ended.
    public var children: [Int: ChildOutcome] = [:]
    /// How often it was woken.
    public var wakes = 0
    /// When it wants to be woken.
    public var wakeAt: MonotonicTime?
    /// Blanks behind each record.
    public var recordPadding = 0
    /// A child that is started with the service.
    public var startsChild: ChildRequest?
    /// Topics and losses of the connection, in order.
    public var order: [String] = []
    /// Configurations that came while it ran.
    public var reloads: [[UInt8]] = []

    /// What it publishes, retained, on `numbers`.
    public var numbers: [UInt8] = []

    /// A relay that has seen nothing.
    public init() {}

    public var nextWake: MonotonicTime? { wakeAt }

    public mutating func handle(_ input: ServiceInput, at now: Now, emitting effects: inout [ServiceEffect]) {
        switch input {
        case .started:
            starts += 1
            effects.append(.append(Array("start".utf8)))
            if let startsChild { effects.append(.startChild(startsChild)) }
        case .connected:
            effects.append(.publish(OutboundMessage(topic: "up", payload: Array("online".utf8), retain: true)))
            effects.append(.subscribe([Subscription(filter: "in/#", wantsRetained: false)]))
            effects.append(.subscribe([Subscription(filter: "up", wantsRetained: true)]))
            if !numbers.isEmpty {
                effects.append(.publish(OutboundMessage(topic: "numbers", payload: numbers, retain: true)))
            }
            for (index, id) in seen.enumerated() { effects.append(relay(id, token: index)) }
        case .disconnected: order.append("disconnected")
        case .sessionLost: break
        case .archive(let event): archived.append(event)
        case .message(let message): take(message, emitting: &effects)
        case .delivered(let token): delivered.append(token)
        case .wake:
            wakes += 1
            wakeAt = nil
        case .childEnded(let id, let outcome): children[id] = outcome
        case .journalWritable(let flag): writable.append(flag)
        case .terminate:
            effects.append(.publish(OutboundMessage(topic: "up", payload: Array("offline".utf8), retain: true)))
            effects.append(.quit(status: 0, reason: "asked to"))
        case .reload(let text):
            reloads.append(text)
            effects.append(.publish(OutboundMessage(topic: "reloaded", payload: text, retain: true)))
        }
    }

    private mutating func take(_ message: InboundMessage, emitting effects: inout [ServiceEffect]) {
        order.append(message.topic)
        if message.topic == "up" {
            effects.append(.ready)
            effects.append(.publish(OutboundMessage(topic: "ready", payload: message.payload, retain: true)))
            return
        }
        if message.topic == "in/quit" { return effects.append(.quit(status: 3, reason: "told to")) }
        let id = String(message.topic.dropFirst(3))
        guard known.insert(id).inserted else { return }
        seen.append(id)
        effects.append(.append(Array(id.utf8) + [UInt8](repeating: 0x20, count: recordPadding)))
        effects.append(relay(id, token: seen.count - 1))
    }

    private func relay(_ id: String, token: Int) -> ServiceEffect {
        .publish(OutboundMessage(topic: "out/\(id)", payload: [], token: token))
    }

    public mutating func replay(_ record: [UInt8]) throws(JournalError) {
        let text = String(decoding: record.prefix { $0 != 0x20 }, as: UTF8.self)
        if text == "bad" { throw JournalError("a bad record") }
        if text == "start" {
            starts += 1
        } else if known.insert(text).inserted {
            seen.append(text)
        }
    }

    public func snapshot(_ emit: ([UInt8]) -> Void) {
        for _ in 0..<starts { emit(Array("start".utf8)) }
        for id in seen { emit(Array(id.utf8)) }
    }

    public func will() -> OutboundMessage? {
        OutboundMessage(topic: "up", payload: Array("lost".utf8), retain: true)
    }

    public func checkInvariants() -> [String] { [] }
}
