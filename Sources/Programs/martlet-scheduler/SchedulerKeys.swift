import Contract
import Shell

/// What can be configured of a scheduler.
enum SchedulerKeys {
    static let all = [
        ConfigurationKey(
            "scheduler.workspaces", .list,
            help: "Workspaces that are served, where this is one of several cells; none: all.", needsRestart: true),
        ConfigurationKey(
            "scheduler.environment", .text, standard: "production",
            help: "The word that conditions.environment of a schedule is compared with."),
        ConfigurationKey(
            "scheduler.operators", .list,
            help: "Principals that may change every schedule, besides its owner; * is everybody."),
        ConfigurationKey(
            "scheduler.enabled", .bool, standard: "true", help: "False: nothing is triggered by time."),
        ConfigurationKey(
            "scheduler.shortest_interval_ms", .duration(1...86_400_000), standard: "\(Limits.shortestIntervalMs)",
            help: "The shortest interval that is accepted."),
        ConfigurationKey(
            "scheduler.schedules_per_agent", .integer(0...1_000_000), standard: "\(Limits.schedulesPerAgent)",
            help: "Schedules of one named agent that are not disabled; 0: no limit."),
        ConfigurationKey(
            "scheduler.schedules_per_workspace", .integer(0...10_000_000),
            standard: "\(Limits.schedulesPerWorkspace)", help: "Schedules of one workspace; 0: no limit."),
        ConfigurationKey(
            "scheduler.tzdir", .text, standard: ZoneDirectory.standardPath,
            help: "The directory with the zone data."),
        ConfigurationKey(
            "scheduler.adopt", .bool, standard: "false",
            help: "With a journal that never had a schedule: begin from the retained views.", needsRestart: true),
    ]
}
