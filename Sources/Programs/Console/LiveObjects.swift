import Contract
import Machine
import Shell
import TimeModel

/// Names of what lives on the bus, read from the retained views: for suggestions and completions.
enum LiveObjects {
    /// How long reading them may take, in ms; what has not come by then does not exist.
    static let patienceMs = 300

    /// The names of one kind, sorted.
    static func names(_ kind: LiveNames, _ client: BusClient) throws(Failure) -> [String] {
        let word =
            switch kind {
            case .capability: "capability"
            case .executor: "executor"
            case .schedule: "schedule"
            case .check: "check"
            case .context: ""
            }
        let filter =
            kind == .executor
            ? Topic.filter(client.settings.workspace, word, "+", "card")
            : Topic.filter(client.settings.workspace, word, "+")
        let deadline = SystemClock.monotonic + patienceMs
        try client.subscribe([filter], retained: true)
        var names: Set<String> = []
        while let message = try client.next(until: deadline) {
            guard let topic = Topic(message.topic), !message.payload.isEmpty else { continue }
            switch (kind, topic.place) {
            case (.capability, .capability(let name)), (.executor, .card(let name)), (.schedule, .schedule(let name)),
                (.check, .check(let name)):
                names.insert(name)
            default: continue
            }
            if !message.retained { break }
        }
        return names.sorted()
    }

    /// The one that was probably meant.
    static func nearest(_ kind: LiveNames, to name: String, _ client: BusClient) -> String? {
        (try? names(kind, client)).flatMap { Nearest.name(to: name, in: $0) }.flatMap { $0 == name ? nil : $0 }
    }

    /// What the objects of a noun are called by.
    static func kind(of noun: Noun) -> LiveNames? {
        switch noun {
        case .capability, .circuit: .capability
        case .executor: .executor
        case .schedule: .schedule
        case .check: .check
        default: nil
        }
    }
}
