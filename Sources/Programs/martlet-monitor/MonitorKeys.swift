import Contract
import MonitorCore
import Shell

/// What can be configured of a monitor.
enum MonitorKeys {
    static let all = [
        ConfigurationKey(
            "monitor.operators", .list,
            help: "Principals that may read the history of their whole workspace; * is everybody. Others read what is "
                + "their own."),
        ConfigurationKey(
            "monitor.keep_ms", .duration(60_000...Limits.longestMs * 10), standard: "90d",
            help: "How long records are kept; whole segments go.", needsRestart: true),
        ConfigurationKey(
            "monitor.keep_bytes", .integer(1 << 20...(1 << 50)), standard: "10737418240",
            help: "Bytes that the history may take; the oldest segments go.", needsRestart: true),
        ConfigurationKey(
            "monitor.segment_records", .integer(100...1_000_000), standard: "\(Limits.segmentRecords)",
            help: "Records of one segment of the history.", needsRestart: true),
        ConfigurationKey(
            "monitor.metrics_every_ms", .duration(0...86_400_000), standard: "1m",
            help: "Between two records of one service's numbers; 0: none."),
        ConfigurationKey(
            "monitor.window_ms", .duration(60_000...7 * 86_400_000), standard: "1h",
            help: "The span of rolling numbers.", needsRestart: true),
        ConfigurationKey(
            "monitor.success_floor_permille", .integer(0...1000), standard: "0",
            help: "Fewer thousandths of success of a capability raise an alert; 0: never."),
        ConfigurationKey(
            "monitor.success_floor_count", .integer(1...1_000_000), standard: "20",
            help: "So many results are needed before a capability is judged."),
        ConfigurationKey(
            "monitor.run_ceiling_ms", .duration(0...Limits.longestMs), standard: "0ms",
            help: "A longer p99 of a capability's runs raises an alert; 0: never."),
        ConfigurationKey(
            "monitor.cost_ceiling", .integer(0...Limits.largestCost), standard: "0",
            help: "A higher cost of a workspace within the window, in micro-units, raises an alert; 0: never."),
        ConfigurationKey(
            "monitor.prometheus_file", .text, help: "Where the text file for Prometheus is written; unset: nowhere.",
            flag: "prometheus-file"),
        ConfigurationKey(
            "monitor.prometheus_executors", .bool, standard: "false",
            help: "Whether that file has lines for each executor."),
    ]

    /// The limits of the history.
    static func limits(_ configuration: Configuration) -> HistoryLimits {
        var limits = HistoryLimits()
        limits.segmentRecords = configuration.integer("monitor.segment_records")
        limits.keepMs = configuration.integer("monitor.keep_ms")
        limits.keepBytes = configuration.integer("monitor.keep_bytes")
        limits.freeBytes = configuration.integer("journal.free_space_bytes")
        return limits
    }
}
