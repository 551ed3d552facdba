import Machine
import TimeModel

/// A small service for tests: it records each message on `in/…` once and publishes its last level on `out/…`.
struct RelayCore: Service {
    /// What was recorded, in order.
    var seen: [String] = []
    var starts = 0
    var delivered: [Int] = []
    var writable: [Bool] = []
    var children: [Int: ChildOutcome] = [:]
    var wakes = 0
    var wakeAt: MonotonicTime?
    var recordPadding = 0
    var startsChild: ChildRequest?
    var order: [String] = []
    var reloads: [[UInt8]] = []

    var nextWake: MonotonicTime? { wakeAt }

    mutating func handle(_ input: ServiceInput, at now: Now, emitting effects: inout [ServiceEffect]) {
        switch input {
        case .started:
            starts += 1
            effects.append(.append(Array("start".utf8)))
            if let startsChild { effects.append(.startChild(startsChild)) }
        case .connected:
            effects.append(.publish(OutboundMessage(topic: "up", payload: Array("online".utf8), retain: true)))
            effects.append(.subscribe([Subscription(filter: "in/#", wantsRetained: false)]))
            effects.append(.subscribe([Subscription(filter: "up", wantsRetained: true)]))
            for (index, id) in seen.enumerated() { effects.append(relay(id, token: index)) }
        case .disconnected: order.append("disconnected")
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
        case .reload(let text): reloads.append(text)
        }
    }

    private mutating func take(_ message: InboundMessage, emitting effects: inout [ServiceEffect]) {
        order.append(message.topic)
        if message.topic == "up" { return effects.append(.ready) }
        if message.topic == "in/quit" { return effects.append(.quit(status: 3, reason: "told to")) }
        let id = String(message.topic.dropFirst(3))
        guard !seen.contains(id) else { return }
        seen.append(id)
        effects.append(.append(Array(id.utf8) + [UInt8](repeating: 0x20, count: recordPadding)))
        effects.append(relay(id, token: seen.count - 1))
    }

    private func relay(_ id: String, token: Int) -> ServiceEffect {
        .publish(OutboundMessage(topic: "out/\(id)", payload: [], token: token))
    }

    mutating func replay(_ record: [UInt8]) throws(JournalError) {
        let text = String(decoding: record.prefix { $0 != 0x20 }, as: UTF8.self)
        if text == "bad" { throw JournalError("a bad record") }
        if text == "start" { starts += 1 } else { seen.append(text) }
    }

    func snapshot(_ emit: ([UInt8]) -> Void) {
        for _ in 0..<starts { emit(Array("start".utf8)) }
        for id in seen { emit(Array(id.utf8)) }
    }

    func will() -> OutboundMessage? {
        OutboundMessage(topic: "up", payload: Array("lost".utf8), retain: true)
    }

    func checkInvariants() -> [String] { [] }
}
