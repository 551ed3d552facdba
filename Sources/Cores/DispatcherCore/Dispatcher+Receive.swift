import Contract
import Machine
import TimeModel

/// Where messages go.
extension Dispatcher {
    /// Takes one message; what is none of the contract, or of a workspace that is not served, is passed over.
    mutating func receive(_ message: InboundMessage) {
        guard !isSuperseded, let topic = Topic(message.topic) else { return }
        if topic.workspace == Names.systemWorkspace {
            if case .service(let name, let instance) = topic.place { receiveService(name, instance, message) }
            return
        }
        guard configuration.serves(topic.workspace), Names.isName(topic.workspace) else { return }
        let workspace = topic.workspace
        switch topic.place {
        case .intent(let principal, let capability, let id):
            receiveIntent(TaskKey(workspace, principal, id), capability, message)
        case .report(let executor, let id): receiveReport(workspace, executor, id, message)
        case .beat(let executor): receiveBeat(ScopedName(workspace, executor), message)
        case .claim(let executor, let slot): receiveClaim(ScopedName(workspace, executor), slot, message)
        case .card(let executor): receiveCard(ScopedName(workspace, executor), message)
        case .status(let executor): receiveStatus(ScopedName(workspace, executor), message)
        case .liveness(let executor): receiveVerdict(ScopedName(workspace, executor), message)
        case .command(let principal, let noun, let verb, let id):
            guard let noun = Noun(rawValue: noun), noun.service == "dispatcher" else { return }
            let place = CommandPlace(workspace: workspace, principal: principal, noun: noun, verb: verb, id: id)
            receiveCommand(place, message)
        case .capability, .circuit, .offer: receiveView(message)
        default: break
        }
    }
}

/// Which command, and whose.
struct CommandPlace: Hashable, Sendable {
    /// The workspace.
    var workspace: String
    /// Who asks.
    var principal: String
    /// Of what.
    var noun: Noun
    /// What is to be done.
    var verb: String
    /// The object, or any correlation.
    var id: String
}
