import Shell
import TestSupport

/// The relay of the tests as a daemon.
@main struct Program {
    nonisolated static func main() {
        var description = ServiceDescription(role: "relay", version: "0.0.1", summary: "Relays in/ID to out/ID.") {
            configuration, _ in
            var core = RelayCore()
            core.recordPadding = configuration.integer("relay.padding")
            return core
        }
        description.keys = [
            ConfigurationKey("relay.padding", .integer(0...10_000), standard: "0", help: "Blanks behind each record.")
        ]
        description.examples = [("martlet-relay --broker unix:/run/mosquitto.sock", "Use a local socket.")]
        ServiceRunner(description).main()
    }
}
