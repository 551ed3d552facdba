import Contract

extension CommandTable {
    private static let spanFlags = [
        Flag("since", .duration, "not older than this"),
        Flag("from", .text("TIME"), "not before this date or RFC 3339 time"),
        Flag("to", .text("TIME"), "not after this date or RFC 3339 time"),
    ]
    private static let whoFlags = [
        Flag("capability", .text("NAME"), "only of this capability"),
        Flag("executor", .text("NAME"), "only of this executor"),
        Flag("type", .text("NAME"), "only of this type of executor, or from this service"),
        Flag("principal", .text("NAME"), "only of this principal"),
    ]
    private static let recordFlag = Flag(
        "record", .word(RecordKind.allCases.map(\.rawValue)), "only records of this kind")
    private static let byFlag = Flag(
        "by", .word(HistoryDimension.allCases.map(\.rawValue)), "by what the results are split; capability")
    private static let limitFlag = Flag("limit", .integer(1), "at most so many; 100")

    /// `history`.
    static let history: [Command] = [
        Command(
            "history query", "lists what has happened, the newest first",
            flags: [
                recordFlag, Flag("subject", .text("ID"), "only about this task, schedule, check, executor or service"),
            ] + whoFlags + [
                Flag("status", .text("WORD"), "only with this status"),
                Flag("code", .text("CODE"), "only with this error code, or this event"),
                Flag("for-user", .text("ID"), "only with this context.user_id"),
                Flag("request", .text("ID"), "only with this context.request_id"),
                Flag("bodies", .none, "with --json: the messages themselves, too"),
            ] + spanFlags + pageFlags,
            examples: [
                Example("martlet history query --capability print.label --status failed", "The last failures."),
                Example("martlet history query --record event --since 2h", "What was changed of late, and by whom."),
                Example("martlet history query --record gap", "What the monitor knows to be missing."),
            ],
            details: [
                "Principals that the monitor's configuration names as operators see their whole workspace; others see "
                    + "their own results. Values may be combined; all must hold."
            ], action: HistoryCommands.query),
        Command(
            "history get", "shows every record about one task, or about anything else that has an id",
            arguments: [Argument("ID", "the task, schedule, check, executor or service")],
            flags: [recordFlag] + spanFlags + pageFlags,
            examples: [Example("martlet history get order-7f3a", "One task, with its messages.")],
            action: HistoryCommands.get),
        Command(
            "history stats", "adds results up: success, latency, cost",
            flags: [byFlag, limitFlag] + whoFlags + spanFlags,
            examples: [
                Example("martlet history stats --since 1d", "Each capability, of the last day."),
                Example("martlet history stats --by executor --capability print.label", "Who is slow, who fails."),
            ],
            details: ["SUCCESS is success among success, failed and timeout. Times are at most a sixteenth too high."],
            action: HistoryCommands.stats),
        Command(
            "history cost", "adds costs up, in micro-units", flags: [byFlag, limitFlag] + whoFlags + spanFlags,
            examples: [
                Example("martlet history cost --by type", "By type of executor."),
                Example("martlet history cost --by day --principal shop", "By day, of one principal."),
            ],
            details: ["WASTED is what attempts cost that did not decide the result."], action: HistoryCommands.cost),
        Command(
            "report", "puts what a person needs who is asked for help into one archive",
            flags: [
                Flag("output", .text("FILE"), "the archive; martlet-report.tar in this folder"),
                Flag("list", .none, "names the files only"),
            ],
            shared: [.bus, .answer, .json],
            examples: [Example("martlet report --output /tmp/report.tar", "Versions, settings, records, numbers.")],
            details: [
                "It lists its files first. It holds versions, settings without secrets, what health and doctor say, service "
                    + "records, metrics with those of the journals, alerts, summaries, circuits and statistics; no "
                    + "inputs, no outputs, no passwords."
            ], action: ReportCommand.run),
    ]
}
