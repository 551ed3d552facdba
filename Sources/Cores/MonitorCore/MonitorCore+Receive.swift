import Contract
import Machine
import TimeModel
import Wire

/// Messages that become records.
extension MonitorCore {
    mutating func receive(_ message: InboundMessage, _ now: Now) {
        guard let topic = Topic(message.topic) else { return }
        switch topic.place {
        case .command(let principal, let noun, let verb, let id):
            guard noun == Noun.history.rawValue else { return }
            command(Caller(topic, principal, verb, id, message), message, now)
        case .card(let executor): takeCard(CardKey(workspace: topic.workspace, executor: executor), message.payload)
        case .service(let name, let instance): takeService(name, instance, message.payload, now)
        case .alert(let key): takeAlert(topic.workspace, key, message)
        case .summary(let by, let name): takeSummary(topic.workspace, by, name, message)
        case .result, .dead, .event, .log, .metrics:
            // An empty payload clears a kept message; it tells nothing.
            if !message.payload.isEmpty { takeRecord(topic, message.payload, now) }
        default: return
        }
    }

    private mutating func takeRecord(_ topic: Topic, _ payload: [UInt8], _ now: Now) {
        totals.received += 1
        guard topic.illegalName == nil, let raw = MonitorCore.oneLine(payload) else { return refuse(topic) }
        switch topic.place {
        case .result(let principal, let capability, let id):
            guard let result = try? TaskResult(raw) else { return refuse(topic) }
            var record = HistoryRecord(.result, at: result.finishedAt, workspace: topic.workspace, subject: id)
            record.principal = principal
            record.capability = capability
            fill(&record, result)
            record.isCopy = isCopy(result, raw, topic.workspace)
            add(&record, raw)
        case .dead(let capability, let id):
            guard let letter = try? DeadLetter(raw) else { return refuse(topic) }
            var record = HistoryRecord(.dead, at: letter.result.finishedAt, workspace: topic.workspace, subject: id)
            record.principal = letter.principal.isEmpty ? nil : letter.principal
            record.capability = capability
            fill(&record, letter.result)
            add(&record, raw)
        case .event(_, let key): takeEvent(topic, key, raw, now)
        case .log(let request, let name): takeLog(topic, request, name, raw, now)
        case .metrics(let name, let instance):
            takeNumbers(instance ?? name, raw, now)
            if name == "monitor", instance == nil { hearOwnNumbers(JSONValue(raw), now) }
        default: return
        }
    }

    /// Something that is not what its topic says is no part of the history; it is counted.
    private mutating func refuse(_ topic: Topic) {
        totals.refused += 1
        guard totals.refused <= 10 || totals.refused % 1000 == 0 else { return }
        effects.append(
            .log(
                LogEvent(
                    .warning, "not_recorded", "A message cannot be read and was not recorded",
                    [LogField("topic", String(topic.name.prefix(300))), LogField("count", String(totals.refused))])))
    }

    /// A payload without line ends outside of its texts: a record is one line.
    private static func oneLine(_ payload: [UInt8]) -> RawJSON? {
        guard payload.count <= Limits.payload, let raw = try? RawJSON(validating: payload),
            JSONReader(raw).kind == .object
        else { return nil }
        return payload.contains(0x0A) || payload.contains(0x0D) ? JSONValue(raw).raw : raw
    }

    private func fill(_ record: inout HistoryRecord, _ result: TaskResult) {
        record.executor = result.executor
        record.status = result.status.rawValue
        record.code = result.error?.code.rawValue
        record.user = result.context?.userID
        record.request = result.context?.requestID
        record.queuedMs = result.queuedMs
        record.durationMs = result.durationMs
        record.cost = result.cost
        record.wastedCost = result.wastedCost
        record.tokens = result.usage?.tokensUsed
        guard let executor = result.executor,
            let card = cards[CardKey(workspace: record.workspace, executor: executor)]
        else { return }
        record.type = card.type
        record.kind = record.capability.flatMap { card.kinds[$0] }
    }

    /// A result that goes to several principals, with the same attempts, is one end of one task.
    private mutating func isCopy(_ result: TaskResult, _ raw: RawJSON, _ workspace: String) -> Bool {
        guard !result.attempts.isEmpty else { return false }
        return bodies.contains(MonitorCore.bodyDigest(raw, workspace))
    }

    /// Tells a result from others, whoever gets it.
    static func bodyDigest(_ raw: RawJSON, _ workspace: String) -> UInt64 {
        StableHash.of(workspace, seed: StableHash.of(raw.bytes))
    }

    /// Records a message, unless it is a copy of one that was recorded.
    private mutating func add(_ record: inout HistoryRecord, _ raw: RawJSON) {
        record.body = raw
        guard recent.insert(record.digest) else {
            totals.duplicates += 1
            return
        }
        totals.recorded += 1
        heardAt = max(heardAt ?? record.at, record.at)
        if record.record == .result {
            _ = bodies.insert(MonitorCore.bodyDigest(raw, record.workspace))
            count(record)
        }
        write(record)
    }

    /// Hands a record to the history.
    mutating func write(_ record: HistoryRecord) {
        totals.byKind[record.record, default: 0] += 1
        if record.workspace != Names.systemWorkspace, workspaces.count < Limits.summaryGroups {
            workspaces.insert(record.workspace)
        }
        effects.append(.archive(.record(record.raw)))
    }

    private mutating func count(_ record: HistoryRecord) {
        if record.isCopy {
            totals.copies += 1
            return
        }
        var sum = Aggregate()
        sum.add(record)
        let names = [
            (HistoryDimension.workspace, record.workspace), (.capability, record.capability ?? ""),
            (.executor, record.executor ?? ""), (.type, record.type ?? ""),
        ]
        window.add(sum, to: names, record.workspace, at: record.at)
        let group = SummaryGroup(workspace: record.workspace, by: .capability, name: record.capability ?? "")
        if sinceStart[group] != nil || sinceStart.count < Limits.summaryGroups {
            sinceStart[group, default: Aggregate()].add(sum)
        }
    }

    // Events, logs, numbers.

    private mutating func takeEvent(_ topic: Topic, _ key: String, _ raw: RawJSON, _ now: Now) {
        guard let event = try? Event(raw) else { return refuse(topic) }
        let kind = event.event == .checkResult ? RecordKind.check : .event
        var record = HistoryRecord(kind, at: event.at, workspace: topic.workspace, subject: event.subject)
        let service = String(key.prefix { $0 != "." })
        record.principal = event.actor
        record.type = service
        record.code = event.event.rawValue
        record.request = event.correlationID
        if let data = event.data.map({ JSONValue($0) }) {
            record.capability = data["capability"]?.stringValue
            record.executor = data["executor"]?.stringValue
            record.status = data["status"]?.stringValue
            record.durationMs = data["duration_ms"]?.intValue.map { max(0, $0) }
        }
        let before = totals.recorded
        add(&record, raw)
        if totals.recorded > before { followNumbers(service, event.seq, now) }
    }

    /// Numbers of a service's events rise by one; what is left out is stated. A smaller number is a new start.
    private mutating func followNumbers(_ service: String, _ seq: Int, _ now: Now) {
        guard cursors[service] != nil || cursors.count < 64 else { return }
        defer { cursors[service] = seq }
        guard let last = cursors[service], seq != last + 1, seq > 0 else { return }
        let first = seq > last ? last + 1 : 1
        guard first < seq else { return }
        var gap = HistoryGap(.eventsMissing)
        gap.first = first
        gap.last = seq - 1
        gap.count = seq - first
        state(gap, of: service, now)
    }

    private mutating func takeLog(_ topic: Topic, _ request: String, _ name: String, _ raw: RawJSON, _ now: Now) {
        let value = JSONValue(raw)
        let at = value["timestamp"]?.stringValue.flatMap { WallTime(rfc3339: $0) }
        var record = HistoryRecord(.log, at: at ?? now.wall, workspace: topic.workspace, subject: request)
        record.type = "dispatcher"
        record.code = name
        record.request = request
        record.status = value["status"]?.stringValue
        record.durationMs = value["duration_ms"]?.intValue.map { max(0, $0) }
        add(&record, raw)
    }

    private mutating func takeNumbers(_ name: String, _ raw: RawJSON, _ now: Now) {
        if case .object(let fields) = JSONValue(raw), fields.count <= 1000, numbers.count < 64 {
            numbers[name] = Dictionary(
                fields.compactMap { field in field.value.intValue.map { (field.key, $0) } }, uniquingKeysWith: { $1 })
        }
        let isDue = numbersAt[name].map { now.monotonic - $0 >= settings.metricsEveryMs } ?? true
        guard settings.metricsEveryMs > 0, isDue else {
            totals.sampledOut += 1
            return
        }
        numbersAt[name] = now.monotonic
        var record = HistoryRecord(.metric, at: now.wall, workspace: Names.systemWorkspace, subject: name)
        record.type = name
        record.body = raw
        totals.recorded += 1
        write(record)
    }

    // Views.

    private mutating func takeCard(_ key: CardKey, _ payload: [UInt8]) {
        guard let card = payload.isEmpty ? nil : try? Card(decoding: payload) else {
            if payload.isEmpty { cards[key] = nil }
            return
        }
        guard cards[key] != nil || cards.count < Limits.executors else { return }
        var face = CardFace(type: card.type)
        for capability in card.capabilities { face.kinds[capability.name] = capability.kind ?? "skill" }
        cards[key] = face
    }

    private mutating func takeService(_ name: String, _ instance: String, _ payload: [UInt8], _ now: Now) {
        let record = payload.isEmpty ? nil : try? ServiceRecord(decoding: payload)
        let key = ServiceInstance(name: name, instance: instance)
        if services[key] != nil || services.count < 64 { services[key] = record }
        guard name == "monitor" else { return }
        if let record, let reason = ownRecord(.up).verdict(on: record, instance: instance, service: "monitor") {
            guard !isEnding else { return }
            isEnding = true
            publishRecord(state: .down, reason: "superseded")
            effects.append(.quit(status: 78, reason: reason))
        } else if let record, record.boot == settings.boot, record.state == .up {
            if !isReady {
                isReady = true
                effects.append(.ready)
            }
        } else if instance == settings.instance, isConnected, !isEnding {
            // A late Will, or a stranger's word.
            publishRecord(state: .up)
        }
    }
}

/// Names one instance of a service.
struct ServiceInstance: Hashable, Comparable, Sendable {
    var name: String
    var instance: String

    static func < (a: ServiceInstance, b: ServiceInstance) -> Bool {
        a.name == b.name ? a.instance < b.instance : a.name < b.name
    }
}

extension Aggregate {
    /// Adds one result.
    mutating func add(_ record: HistoryRecord) {
        var names = NameTable()
        add(HistoryRow(record, names: &names, offset: 0, length: 0))
    }
}
