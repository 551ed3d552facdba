import Contract
import Machine
import TimeModel
import Wire

/// Who asks, for what, and where the reply goes.
struct Caller: Hashable, Sendable {
    var key: ScheduleKey
    var principal: String
    var verb: String
    /// The name of the level that breaks the grammar, if one does.
    var illegalName: String?
    var replyTopic: String
    var correlation: [UInt8]?

    /// `nil` when the message is no command.
    init?(_ topic: Topic, _ message: InboundMessage) {
        guard case .command(let principal, let noun, let verb, let id) = topic.place else { return nil }
        key = ScheduleKey(workspace: topic.workspace, name: id)
        self.principal = principal
        self.verb = verb
        illegalName = topic.illegalName ?? (Names.isName(id) ? nil : id)
        let own = "\(topic.workspace)/\(Names.protocolLevel)/reply/\(principal)/"
        if let response = message.responseTopic, response.hasPrefix(own), response.utf8.count > own.utf8.count {
            replyTopic = response
        } else {
            replyTopic =
                Topic(
                    topic.workspace,
                    .reply(principal: principal, noun: noun, verb: verb, id: id)
                ).name
        }
        correlation = message.correlation
    }
}

/// A `trigger` whose reply waits for the dispatcher's first answer.
struct PendingReply: Hashable, Sendable {
    var at: MonotonicTime
    var key: ScheduleKey
    var run: String
    var topic: String
    var correlation: [UInt8]?
}

/// Commands (`topics/commands.md`, schedule).
extension ScheduleEngine {
    mutating func command(_ caller: Caller, _ message: InboundMessage, _ now: Now) {
        if message.retained {
            if message.payload.isEmpty { return }
            effects.append(.publish(OutboundMessage(topic: message.topic, payload: [], retain: true)))
        }
        reply(caller, answer(caller, message, now))
    }

    /// The reply, or `nil` when it is sent later.
    private mutating func answer(_ caller: Caller, _ message: InboundMessage, _ now: Now) -> Reply? {
        let hasDocument = caller.verb == "put" || caller.verb == "preview"
        let limit = hasDocument ? Limits.scheduleDocument : Limits.payload
        if message.payload.count > limit {
            return .refused(.payloadTooLarge, "the payload is larger than \(limit) bytes")
        }
        if message.retained { return .refused(.retainedRequest, "a request is never retained") }
        let raw: RawJSON
        do throws(WireError) {
            raw = message.payload.isEmpty ? .emptyObject : try RawJSON(validating: message.payload)
        } catch { return .refused(.invalidJSON, error.message) }
        guard JSONReader(raw).kind == .object else { return .refused(.invalidField, "the payload must be an object") }
        let needsName = caller.verb != "list" && caller.verb != "preview"
        if let name = caller.illegalName, needsName || name != caller.key.name {
            return .refused(.invalidName, "\(name.prefix(80)) is not a name")
        }
        if isEnding {
            var reply = Reply.refused(.shuttingDown, "the service is stopping")
            reply.retry = .same
            return reply
        }
        guard isJournalWritable || ["get", "list", "preview"].contains(caller.verb) else {
            return .refused(.busy, "the journal cannot be written", retryAfterMs: 5000)
        }
        return verb(caller, raw, now)
    }

    func notFound(_ caller: Caller) -> Reply {
        .refused(.notFound, "no \(settings.role.noun.rawValue) \(caller.key.name)")
    }

    private mutating func verb(_ caller: Caller, _ raw: RawJSON, _ now: Now) -> Reply? {
        let noun = settings.role.noun
        guard noun.verbs.contains(caller.verb) else {
            return .refused(.invalidField, "\(noun.rawValue) has no verb \(caller.verb.prefix(40))")
        }
        switch caller.verb {
        case "put": return putDocument(caller, raw, now)
        case "preview": return preview(caller, raw, now)
        default: break
        }
        let command: ScheduleCommand
        do throws(WireError) { command = try ScheduleCommand(raw) } catch {
            return .refused(.invalidField, error.message)
        }
        if caller.verb == "list" { return list(caller, command, now) }
        guard var record = schedules[caller.key] else { return notFound(caller) }
        if caller.verb == "get" { return get(record, command, now) }
        guard caller.principal == record.definition.owner || settings.isOperator(caller.principal) else {
            return .refused(.permissionDenied, "only the owner and operators may do that")
        }
        if caller.verb == "delete" { return delete(caller, record, command, now) }
        let before = ScheduleFace(record)
        let reply = change(&record, caller, command, now)
        settle(&record, before: before, now)
        return reply
    }

    private mutating func change(
        _ record: inout ScheduleRecord, _ caller: Caller, _ command: ScheduleCommand, _ now: Now
    ) -> Reply? {
        decideSlots(&record, now)
        switch caller.verb {
        case "pause": return pause(&record, caller, command, now)
        case "resume": return resume(&record, caller, command, now)
        case "enable": return enable(&record, caller, now)
        default: return triggerNow(&record, caller, command, now)
        }
    }

    // Replies.

    mutating func reply(_ caller: Caller, _ reply: Reply?) {
        guard let reply else { return }
        effects.append(
            .publish(
                OutboundMessage(topic: caller.replyTopic, payload: reply.encoded, correlation: caller.correlation)))
    }

    /// Answers everybody who waits for this run.
    mutating func answer(_ run: String, _ key: ScheduleKey, confirmed: Bool) {
        for reply in replies where reply.run == run && reply.key == key { send(reply, confirmed: confirmed) }
        replies.removeAll { $0.run == run && $0.key == key }
    }

    /// Answers those who have waited long enough.
    mutating func answerLate(_ now: Now) {
        while let first = replies.first, first.at <= now.monotonic {
            send(first, confirmed: false)
            replies.removeFirst()
        }
    }

    /// Without a connection there is nobody to tell: who asked asks again.
    mutating func send(_ reply: PendingReply, confirmed: Bool) {
        guard isConnected else { return }
        let answer = Reply.done(data: ScheduleEngine.task(reply.run, confirmed: confirmed))
        effects.append(
            .publish(OutboundMessage(topic: reply.topic, payload: answer.encoded, correlation: reply.correlation)))
    }

    static func task(_ run: String, confirmed: Bool) -> RawJSON {
        RawJSON { writer in
            writer.object {
                $0.field("task", run)
                $0.field("confirmed", confirmed)
            }
        }
    }

    // Lists.

    private func list(_ caller: Caller, _ command: ScheduleCommand, _ now: Now) -> Reply {
        let names = schedules.keys.filter {
            $0.workspace == caller.key.workspace && $0.name > (command.after ?? "")
        }.sorted()
        let limit = command.limit ?? Defaults.page
        var last: String?
        let data = RawJSON { writer in
            writer.object {
                $0.key("items")
                $0.beginArray()
                var count = 0
                var next: String?
                for key in names {
                    if count == limit || $0.bytes.count > Limits.payload - Limits.scheduleView - 1024 {
                        last = next
                        break
                    }
                    guard let record = schedules[key] else { continue }
                    var view = view(record, now.wall)
                    if settings.role == .scheduler { view.schedule = key.name } else { view.check = key.name }
                    $0.value(view)
                    next = key.name
                    count += 1
                }
                $0.endArray()
                $0.field("after", last)
            }
        }
        return .done(data: data)
    }
}
