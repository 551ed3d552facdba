import Contract
import Machine
import TimeModel
import Wire

/// A command, its fields read.
struct CommandCall: Sendable {
    /// Which, and whose.
    var place: CommandPlace
    /// Its payload.
    var fields = DispatcherCommand()
    /// Where the reply goes, when the command says.
    var answer: AnswerPlace?

    /// Where it was sent.
    var workspace: String { place.workspace }
    /// Who sent it.
    var principal: String { place.principal }
    /// What is to be done.
    var verb: String { place.verb }
    /// The object's id, or a name of the sender's choice.
    var id: String { place.id }
    /// The topic of the reply.
    var reply: Topic.Place {
        .reply(principal: place.principal, noun: place.noun.rawValue, verb: place.verb, id: place.id)
    }
    /// The id as the name of something in the workspace.
    var object: ScopedName { ScopedName(place.workspace, place.id) }
}

/// Why a command is not carried out.
struct CommandRefusal: Error, Hashable, Sendable {
    /// What is told.
    var reply: Reply

    /// A refusal; `data` is the object as it is, where that helps.
    init(_ code: Code, _ message: String, data: RawJSON? = nil) { reply = .refused(code, message, data: data) }

    /// A refusal for now.
    init(_ code: Code, _ message: String, retryAfterMs: Int) {
        reply = .refused(code, message, retryAfterMs: retryAfterMs)
    }

    /// The refusal of an intent that a command would have made.
    init(_ refusal: Refusal) {
        let wait = refusal.details.flatMap { JSONValue($0)["retry_after_ms"]?.intValue }
        if let wait {
            self.init(refusal.code, refusal.message, retryAfterMs: wait)
        } else {
            self.init(refusal.code, refusal.message, data: refusal.details)
        }
    }
}

/// Commands (`topics/commands.md`): one reply each. What is already so is `ok` and changes nothing, so that a command
/// may be repeated.
extension Dispatcher {
    /// Takes a command as it came.
    mutating func receiveCommand(_ place: CommandPlace, _ message: InboundMessage) {
        metrics.commands += 1
        if message.retained {
            if message.payload.isEmpty { return }
            publish(OutboundMessage(topic: message.topic, payload: [], retain: true))
        }
        var call = CommandCall(place: place)
        let own = "\(place.workspace)/\(Names.protocolLevel)/reply/\(place.principal)/"
        call.answer = AnswerPlace(message, below: [own])
        do throws(CommandRefusal) {
            try read(message, into: &call)
            if let reply = try execute(call) { send(reply, to: call) }
        } catch {
            send(error.reply, to: call)
        }
    }

    /// Publishes the reply.
    mutating func send(_ reply: Reply, to call: CommandCall) {
        publish(call.workspace, call.reply, reply.encoded, to: call.answer)
    }

    /// Names, retain flag, size, JSON, fields, the state of the service.
    private func read(_ message: InboundMessage, into call: inout CommandCall) throws(CommandRefusal) {
        if !Names.isName(call.principal) { throw CommandRefusal(.invalidName, "'\(call.principal)' is not a name") }
        let isLegal = call.place.noun == .task ? Names.isID(call.id) : Names.isName(call.id)
        if !isLegal { throw CommandRefusal(.invalidName, "'\(call.id)' is not a name") }
        if message.retained { throw CommandRefusal(.retainedRequest, "a command must not be retained") }
        if message.payload.count > Limits.payload {
            let text = "\(message.payload.count) bytes; the limit is \(Limits.payload)"
            throw CommandRefusal(.payloadTooLarge, text)
        }
        if !message.payload.isEmpty {
            do throws(WireError) {
                call.fields = try DispatcherCommand(decoding: message.payload)
            } catch {
                throw CommandRefusal(error.kind == .syntax ? .invalidJSON : .invalidField, error.message)
            }
        }
        if !call.place.noun.verbs.contains(call.verb) {
            let verbs = call.place.noun.verbs.joined(separator: ", ")
            throw CommandRefusal(.invalidField, "'\(call.place.noun.rawValue)' has the verbs \(verbs)")
        }
        if isTerminating {
            var refusal = CommandRefusal(.shuttingDown, "the dispatcher is stopping")
            refusal.reply.retry = .same
            throw refusal
        }
        if !isWritable, Dispatcher.changes(call) {
            throw CommandRefusal(.busy, "the journal has no room", retryAfterMs: Defaults.claimRetryMs)
        }
    }

    /// Whether a command changes anything.
    private static func changes(_ call: CommandCall) -> Bool {
        !["get", "list", "explain", "can_execute"].contains(call.verb)
    }

    /// Carries a command out; `nil` when its reply comes later.
    private mutating func execute(_ call: CommandCall) throws(CommandRefusal) -> Reply? {
        switch call.place.noun {
        case .task: try taskCommand(call)
        case .capability: try capabilityCommand(call)
        case .circuit: try circuitCommand(call)
        case .executor: try executorCommand(call)
        case .schedule, .check, .history: nil
        }
    }

    /// Asks the policy for a command.
    func permit(_ call: CommandCall, capability: String?, isOwn: Bool? = nil) throws(CommandRefusal) {
        let verb = "\(call.place.noun.rawValue).\(call.verb)"
        guard hasPolicy else { throw CommandRefusal(.internal, "the rules cannot be read") }
        let answer = policy.answer(
            PolicyQuestion(
                workspace: call.workspace, principal: call.principal, verb: verb, capability: capability,
                isOwn: isOwn, at: now.wall))
        guard answer.effect == .deny else { return }
        let rule = answer.rule.map { "rule \($0)" } ?? "no rule allows it"
        throw CommandRefusal(.permissionDenied, "\(call.principal) may not \(verb): \(rule)")
    }

    // MARK: - Lists

    /// One page of a list: `items` in the order of `keys`, those after `after`, within limit and size.
    func page(
        _ call: CommandCall, _ keys: [String], _ item: (String) -> RawJSON?
    ) -> Reply {
        let limit = call.fields.limit ?? Defaults.page
        var items: [RawJSON] = []
        var size = 0
        var last: String?
        var hasMore = false
        for key in keys {
            guard let raw = item(key) else { continue }
            if items.count >= limit || (!items.isEmpty && size + raw.bytes.count > Limits.payload - Limits.envelope) {
                hasMore = true
                break
            }
            items.append(raw)
            size += raw.bytes.count + 1
            last = key
        }
        return .done(
            data: RawJSON {
                $0.object {
                    $0.field("items", items)
                    $0.field("after", hasMore ? last : nil)
                }
            })
    }
}
