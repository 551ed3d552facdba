import Contract
import DispatcherCore
import Shell

/// Accepts intents and gives tasks to executors.
@main struct Program {
    nonisolated static func main() {
        var description = ServiceDescription(
            role: "dispatcher", version: "0.1.0", summary: "Accepts intents and gives tasks to executors."
        ) { configuration, start in
            var settings = (try? DispatcherConfiguration(section: configuration.encoded)) ?? DispatcherConfiguration()
            settings.instance = Names.isName(start.instance) ? start.instance : "main"
            settings.version = "0.1.0"
            settings.messageExpiry = configuration.bool("broker.message_expiry")
            return Dispatcher(configuration: settings, seed: start.seed)
        }
        description.keys = DispatcherKeys.all
        description.isMetrics = { Topic.word(of: $0) == "metrics" }
        let start = StartCheck()
        description.check = { start.problems($0) }
        description.servedFirst = { topic in
            switch Topic.word(of: topic) {
            case "beat", "report", "executor": true
            default: false
            }
        }
        description.examples = [
            ("martlet-dispatcher --state-directory state", "Keeps its tasks in the directory state."),
            ("martlet-dispatcher --task-events", "Tells the life of every task in events."),
            ("martlet-dispatcher --workspaces lab,shop", "Is one of several cells, and serves these two workspaces."),
        ]
        ServiceRunner(description).main()
    }
}

/// A rule set that is wrong keeps the dispatcher from starting. On a reload the core judges it: the old set stays, and
/// an alert tells.
final class StartCheck {
    private var isDone = false

    func problems(_ configuration: Configuration) -> [ConfigurationProblem] {
        defer { isDone = true }
        return DispatcherConfiguration.problems(section: configuration.encoded, withRules: !isDone).map {
            ConfigurationProblem(origin: "dispatcher", key: "", text: $0)
        }
    }
}
