import Contract
import Wire

/// Decodes a message and encodes it again.
typealias RoundTrip = @Sendable ([UInt8]) throws -> [UInt8]

/// The codec of each message that the contract's code reads and writes, by the name of its schema.
enum Codecs {
    static func roundTrip(_ message: String) -> RoundTrip? {
        if let codec = plain[message] { return codec }
        switch message {
        case "assign", "cancel", "revoke", "load", "unload", "beat_ack", "error": return of(WorkMessage.self)
        case "command_executor_load", "command_executor_unload":
            return { try DispatcherCommand(decoding: $0).raw.bytes }
        case "command_schedule_put", "command_schedule_preview", "command_check_put":
            return nil  // documents: see `ServiceTests`
        case let command where command.hasPrefix("command_schedule_") || command.hasPrefix("command_check_"):
            return of(ScheduleCommand.self)
        case let command where command.hasPrefix("command_history_"): return of(HistoryCommand.self)
        default:
            let dispatchers = Noun.allCases.filter { $0.service == "dispatcher" }
            let isCommand = dispatchers.contains { message.hasPrefix("command_\($0.rawValue)_") }
            return isCommand ? of(DispatcherCommand.self) : nil
        }
    }

    private static let plain: [String: RoundTrip] = [
        "intent": of(Intent.self), "update": of(Update.self), "result": of(TaskResult.self),
        "dead": of(DeadLetter.self),
        "reply": of(Reply.self), "card": of(Card.self), "executor_status": of(ExecutorStatus.self),
        "grant": of(Grant.self), "offer": of(Offer.self), "claim": of(Claim.self), "report": of(Report.self),
        "beat": of(Beat.self), "capability": of(CapabilityView.self), "circuit": of(CircuitView.self),
        "event": of(Event.self), "alert": of(Alert.self), "service": of(ServiceRecord.self),
        "schedule_view": of(ScheduleView.self), "check_view": of(ScheduleView.self), "liveness": of(LivenessView.self),
        "summary": of(HistorySummary.self), "history_record": of(HistoryRecord.self),
        "history_gap": of(HistoryGap.self),
    ]

    private static func of<Message: WireReadable & WireWritable & SendableMetatype>(_ type: Message.Type) -> RoundTrip {
        { try Message(decoding: $0).encoded }
    }

    /// The code by which a payload is refused, or `nil` when it is read.
    static func refusal(_ payload: [UInt8], by codec: RoundTrip) -> String? {
        do {
            _ = try codec(payload)
            return nil
        } catch let error as WireError {
            switch error.kind {
            case .syntax: return Code.invalidJSON.rawValue
            case .field: return Code.invalidField.rawValue
            }
        } catch { return "\(error)" }
    }
}
