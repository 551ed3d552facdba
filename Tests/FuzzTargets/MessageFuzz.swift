import Contract
import Wire

/// Every message with a codec: what is read is written as something that is written alike the second time. Fields that
/// must be there are judged by whoever uses the message, so what lacks them may be read once and not again.
enum MessageFuzz {
    private typealias Check = @Sendable ([UInt8]) -> String?

    private static func check<Message: WireReadable & WireWritable & SendableMetatype>(
        _ type: Message.Type
    ) -> Check {
        { bytes in
            guard let message = try? Message(decoding: bytes) else { return nil }
            let written = message.encoded
            guard let again = try? Message(decoding: written) else { return nil }
            return again.encoded == written ? nil : "\(type): it is written otherwise the second time"
        }
    }

    private static let checks: [Check] = [
        check(Intent.self), check(Update.self), check(TaskResult.self), check(DeadLetter.self), check(Reply.self),
        check(Card.self), check(ExecutorStatus.self), check(WorkMessage.self), check(Grant.self), check(Offer.self),
        check(Claim.self), check(Report.self), check(Beat.self), check(BeatAck.self), check(CapabilityView.self),
        check(CircuitView.self), check(Event.self), check(Alert.self), check(ServiceRecord.self),
        check(ScheduleView.self), check(LivenessView.self), check(HistorySummary.self), check(HistoryRecord.self),
        check(HistoryGap.self), check(DispatcherCommand.self), check(ScheduleCommand.self), check(HistoryCommand.self),
        check(CheckRun.self),
    ]

    /// The first byte chooses the message; a `{` is an input for all of them.
    static func run(_ bytes: [UInt8]) -> String? {
        guard let first = bytes.first else { return nil }
        if first == UInt8(ascii: "{") {
            for check in checks { if let flaw = check(bytes) { return flaw } }
            return nil
        }
        return checks[Int(first) % checks.count](Array(bytes.dropFirst()))
    }
}
