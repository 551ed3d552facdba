import Contract

extension CommandTable {
    private static let checkName = Argument("CHECK", "the health check", live: .check)

    /// `check` and `health`.
    static let checks: [Command] =
        [
            Command(
                "check put", "creates or replaces a health check",
                arguments: [
                    checkName, Argument("DOCUMENT", "JSON, @FILE or -; instead of flags", isOptional: true),
                ],
                flags: checkFlags, shared: [.bus, .json, .time],
                examples: [
                    Example("martlet check put load --capability check.load --agent desk", "Every 30 s."),
                    Example(
                        "martlet check put disk --every 5m --capability check.disk --agent desk --input '{\"path\":\"/var\"}' "
                            + "--above used_percent=80,90 --fail-after 2",
                        "A warning beyond 80, an error beyond 90, after two such results in a row."),
                    Example("martlet check put shop @shop.json --if-rev 0", "A document; only if there is none."),
                ], action: CheckCommands.put),
            Command(
                "check get", "shows a check with its state and its last runs", arguments: [checkName],
                flags: [
                    Flag("history", .integer(0), "so many runs; 20, at most 200"),
                    Flag("status", .word(CheckStatus.allCases.map(\.rawValue)), "only runs with this status"),
                ],
                examples: [
                    Example("martlet check get disk", "One check."),
                    Example("martlet check get disk --history 200 --status error", "All failures that are remembered."),
                ], action: CheckCommands.get),
            Command(
                "check list", "lists the checks with their status", flags: pageFlags,
                examples: [Example("martlet check list", "What is well, and what is not.")],
                action: CheckCommands.list),
        ] + checkVerbs + [health]

    private static let checkFlags = [
        Flag("cron", .text("EXPR"), "runs by a cron expression"),
        Flag("every", .duration, "runs at this distance; 30s when there is no rule"),
        Flag("at", .text("TIME"), "runs once, at an RFC 3339 time; without offset local in --tz"),
        Flag("tz", .text("ZONE"), "zone of the rule; UTC"),
        Flag("start-at", .text("TIME"), "with --every: the first time"),
        Flag("capability", .text("NAME"), "what looks"),
        Flag("action", .text("NAME"), "which of the capability's actions"),
        Flag("input", .text("JSON"), "its input: JSON, @FILE or -"),
        Flag("agent", .text("NAME"), "the executor that is looked at; anybody when absent"),
        Flag("timeout", .duration, "time limit of one attempt"),
        Flag("priority", .word(["low", "normal", "high", "critical"]), "the lane"),
        Flag("above", .text("FIELD=W,E"), "a number of the output: warning beyond W, error beyond E", repeats: true),
        Flag("below", .text("FIELD=W,E"), "the same for numbers that are too small", repeats: true),
        Flag("fail-after", .integer(1), "so many bad results in a row turn the status; 1"),
        Flag("recover-after", .integer(1), "so many good results in a row turn it back; 1"),
        Flag("liveness", .none, "an error makes the executor degraded"),
        Flag("note", .text("TEXT"), "for people"),
        Flag("disabled", .none, "begins paused"),
        Flag("if-rev", .integer(0), "0: only if new; N: only if unchanged since N"),
    ]

    private static let checkVerbs = [
        Command(
            "check delete", "deletes a check and its alert", arguments: [checkName],
            flags: [Flag("if-rev", .integer(0), "only if unchanged since this revision")], shared: [.request, .yes],
            examples: [Example("martlet check delete disk --yes", "Delete it.")], action: CheckCommands.delete),
        Command(
            "check pause", "pauses a check; its alert is cleared", arguments: [checkName],
            flags: [
                Flag("note", .text("TEXT"), "why"), Flag("until", .text("TIME"), "resumes by itself, RFC 3339"),
            ],
            examples: [Example("martlet check pause disk --note 'new disk'", "No runs, no alert.")],
            action: CheckCommands.pause),
        Command(
            "check resume", "lets a paused check go on", arguments: [checkName],
            flags: [Flag("catch-up", .none, "runs the latest slot that was missed in the pause")],
            examples: [Example("martlet check resume disk", "From now on again.")], action: CheckCommands.resume),
        Command(
            "check run", "runs a check now and waits for what it finds", arguments: [checkName],
            flags: [Flag("request-id", .text("NAME"), "the same name is the same run; random when absent")],
            examples: [Example("martlet check run disk", "Now, whatever the rule says.")],
            details: ["The exit status is 0 for ok, 1 for warning and error. With --json: the run as its log has it."],
            action: CheckCommands.run),
    ]

    private static let health = Command(
        "health", "says whether broker, services, executors and the rest are well, with Nagios exit codes",
        arguments: [
            Argument(
                "WHAT", "one part; all when absent", isOptional: true,
                words: HealthPart.allCases.map(\.rawValue)),
            Argument("NAME", "of the executor or the capability", isOptional: true),
        ],
        flags: [Flag("format", .word(HealthFormat.allCases.map(\.rawValue)), "text unless said otherwise")],
        shared: [.bus, .json],
        examples: [
            Example("martlet health", "Everything, one line each."),
            Example("martlet health dispatcher --format nagios", "For a monitoring system."),
            Example("martlet health executor label-2", "One executor."),
        ],
        details: [
            "The exit status is that of Nagios plug-ins: 0 all is well, 1 warning, 2 critical, 3 unknown. A broker that "
                + "cannot be reached is 2 for health broker and 3 for all else; a wrong command line is 3.",
            "It reads retained views and asks each service one harmless command; the account needs the role operator.",
        ], action: HealthCommand.run)
}
