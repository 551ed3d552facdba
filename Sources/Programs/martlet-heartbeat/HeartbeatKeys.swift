import Contract
import Shell

/// What can be configured of a heartbeat.
enum HeartbeatKeys {
    static let all = [
        ConfigurationKey(
            "heartbeat.workspaces", .list,
            help: "Workspaces that are served, where this is one of several cells; none: all.", needsRestart: true),
        ConfigurationKey(
            "heartbeat.environment", .text, standard: "production",
            help: "The word that conditions.environment of a check is compared with."),
        ConfigurationKey(
            "heartbeat.operators", .list,
            help: "Principals that may change every check, besides its owner; * is everybody."),
        ConfigurationKey("heartbeat.enabled", .bool, standard: "true", help: "False: no check is run by time."),
        ConfigurationKey(
            "heartbeat.shortest_interval_ms", .duration(1...86_400_000), standard: "\(Limits.shortestIntervalMs)",
            help: "The shortest interval that is accepted."),
        ConfigurationKey(
            "heartbeat.default_every_ms", .duration(1000...86_400_000), standard: "\(Limits.checkEveryMs)",
            help: "The interval of checks that give none."),
        ConfigurationKey(
            "heartbeat.checks_per_workspace", .integer(0...1_000_000), standard: "\(Limits.checksPerWorkspace)",
            help: "Checks of one workspace; 0: no limit."),
        ConfigurationKey(
            "heartbeat.rest", .json,
            help: "When checks run: a list of agent_id (* for all), active_hours, days_of_week; outside they rest."),
        ConfigurationKey(
            "heartbeat.default_actions", .json, help: "Actions of every check, before its own; a list of at most 8."),
        ConfigurationKey(
            "heartbeat.low_battery", .integer(0...100), standard: "10",
            help: "Below this percentage a battery makes its executor degraded."),
        ConfigurationKey(
            "heartbeat.tzdir", .text, standard: ZoneDirectory.standardPath,
            help: "The directory with the zone data."),
    ]
}
