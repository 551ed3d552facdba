import Contract

extension CommandTable {
    private static let scheduleName = Argument("SCHEDULE", "the schedule", live: .schedule)
    private static let zoneFolderFlag = Flag("tzdir", .text("FOLDER"), "zone files; /usr/share/zoneinfo")

    /// `schedule`.
    static let schedules: [Command] = [
        Command(
            "schedule put", "creates or replaces a schedule",
            arguments: [
                scheduleName, Argument("DOCUMENT", "JSON, @FILE or -; instead of flags", isOptional: true),
            ],
            flags: [
                Flag("cron", .text("EXPR"), "fires by a cron expression"),
                Flag("every", .duration, "fires at this distance"),
                Flag("at", .text("TIME"), "fires once, at an RFC 3339 time; without offset local in --tz"),
                Flag("tz", .text("ZONE"), "zone of the rule; UTC"),
                Flag("start-at", .text("TIME"), "with --every: the first time"),
                Flag("capability", .text("NAME"), "what is run"),
                Flag("action", .text("NAME"), "which of the capability's actions"),
                Flag("input", .text("JSON"), "its input: JSON, @FILE or -"),
                Flag("agent", .text("NAME"), "the executor that runs it; anybody when absent"),
                Flag("timeout", .duration, "time limit of one attempt"),
                Flag("priority", .word(["low", "normal", "high", "critical"]), "the lane"),
                Flag("misfire", .word(["skip", "defer_once"]), "what happens to a missed run; skip"),
                Flag("note", .text("TEXT"), "for people"),
                Flag("disabled", .none, "begins paused"),
                Flag("if-rev", .integer(0), "0: only if new; N: only if unchanged since N"),
            ],
            shared: [.bus, .json, .time],
            examples: [
                Example("martlet schedule put tick --every 10s --capability demo.echo", "Every ten seconds."),
                Example(
                    "martlet schedule put report --cron '0 9 * * 1-5' --tz Europe/Berlin --capability report.daily "
                        + "--misfire defer_once", "Working days at nine; once late rather than never."),
                Example("martlet schedule put backup @backup.json --if-rev 0", "A document; only if there is none."),
            ], action: ScheduleCommands.put),
        Command(
            "schedule get", "shows a schedule with its state", arguments: [scheduleName],
            examples: [Example("martlet schedule get tick", "One schedule.")], action: ScheduleCommands.get),
        Command(
            "schedule list", "lists the schedules", flags: pageFlags,
            examples: [Example("martlet schedule list", "What runs when.")], action: ScheduleCommands.list),
        Command(
            "schedule delete", "deletes a schedule; runs that are live go on", arguments: [scheduleName],
            flags: [Flag("if-rev", .integer(0), "only if unchanged since this revision")], shared: [.request, .yes],
            examples: [Example("martlet schedule delete tick --yes", "Delete it.")], action: ScheduleCommands.delete),
        Command(
            "schedule pause", "pauses a schedule", arguments: [scheduleName],
            flags: [
                Flag("note", .text("TEXT"), "why"), Flag("until", .text("TIME"), "resumes by itself, RFC 3339"),
            ],
            examples: [Example("martlet schedule pause tick --note maintenance", "No more runs.")],
            action: ScheduleCommands.pause),
        Command(
            "schedule resume", "lets a paused schedule go on", arguments: [scheduleName],
            flags: [Flag("catch-up", .none, "runs the latest slot that was missed in the pause")],
            examples: [Example("martlet schedule resume tick", "From now on again.")],
            action: ScheduleCommands.resume),
        Command(
            "schedule enable", "makes a disabled schedule active again", arguments: [scheduleName],
            examples: [Example("martlet schedule enable tick", "After it has ended or failed too often.")],
            action: ScheduleCommands.enable),
        Command(
            "schedule trigger", "runs a schedule's work now", arguments: [scheduleName],
            flags: [Flag("request-id", .text("NAME"), "the same name is the same run; random when absent")],
            examples: [Example("martlet schedule trigger report", "Now, whatever the rule says; prints the task.")],
            action: ScheduleCommands.trigger),
        Command(
            "schedule preview", "shows the next times of an expression, a document or a schedule",
            arguments: [Argument("WHAT", "a cron expression, @FILE, or a schedule", isOptional: true, live: .schedule)],
            flags: [
                Flag("tz", .text("ZONE"), "zone of an expression; UTC"),
                Flag("from", .text("TIME"), "from this date or RFC 3339 time on; now"),
                Flag("count", .integer(1), "so many; 5"),
                Flag("seed", .text("ID"), "the schedule's id, for H in an expression"),
                Flag("dst-gap", .word(["auto", "after", "skip"]), "local times that do not exist"),
                Flag("dst-overlap", .word(["auto", "first", "last", "both"]), "local times that come twice"),
                Flag("batch", .none, "answers JSON lines from standard input"), zoneFolderFlag,
            ],
            examples: [
                Example(
                    "martlet schedule preview '30 2 * * *' --tz Europe/Berlin --from 2026-03-28 --count 3",
                    "Around a change of the clock."),
                Example("martlet schedule preview report --count 10", "The next ten of a schedule that exists."),
            ],
            details: [
                "An expression is answered here, without a broker, by the functions that fire it; a document or a schedule "
                    + "by the scheduler. With --batch each line {\"id\",\"expr\",\"tz\",\"start\"} is answered by one "
                    + "{\"id\",\"next\"} or {\"id\",\"reject\"}."
            ], action: PreviewCommands.preview),
        Command(
            "schedule zone", "shows a zone's offset from UTC",
            arguments: [Argument("ZONE", "an IANA name", isOptional: true)],
            flags: [
                Flag("at", .text("TIME"), "at this date or RFC 3339 time; now"),
                Flag("batch", .none, "answers JSON lines from standard input"), zoneFolderFlag,
            ], shared: [.json],
            examples: [Example("martlet schedule zone Europe/Berlin --at 2026-07-01", "Offset and abbreviation.")],
            action: PreviewCommands.zone),
    ]

    /// What watches.
    static let watching: [Command] = [
        Command(
            "tail", "prints events, alerts and results as they come",
            flags: [
                Flag("task", .text("ID"), "only of this task"),
                Flag("capability", .text("NAME"), "only of this capability"),
                Flag("executor", .text("NAME"), "only of this executor"),
                Flag("event", .text("NAME"), "only these events; or: alert, result"),
                Flag("principal", .text("NAME"), "only of this principal"),
                Flag("count", .integer(1), "ends after so many"),
            ],
            shared: [.bus, .json, .time],
            examples: [
                Example("martlet tail", "Everything this account may read, until Ctrl-C."),
                Example("martlet tail --capability print.label --json", "The messages themselves."),
            ],
            details: [
                "Events need the operator role; results are those of one's own tasks. Events of a task's life need "
                    + "task_events in the dispatcher's configuration; martlet up has it on."
            ], action: TailCommand.run),
        Command(
            "top", "shows the fleet on one screen, painted once a second",
            flags: [Flag("once", .none, "prints one frame and ends")], shared: [.bus, .json],
            examples: [
                Example("martlet top", "Services, counts, capabilities, circuits; q leaves."),
                Example("martlet top --once", "One frame, for a script."),
            ], action: TopCommand.run),
        Command(
            "bench", "measures tasks per second, latencies, processor time and memory beside a do-nothing relay",
            flags: [
                Flag("tasks", .integer(100), "tasks under full load; 20000"),
                Flag("at-a-time", .integer(1), "tasks under way at one time under full load; 400"),
                Flag("publishers", .integer(1), "connections that publish; 4"),
                Flag("executors", .integer(1), "connections that work; 4"),
                Flag("slots", .integer(1), "slots of each executor; 256"),
                Flag("payload", .integer(32), "bytes of an intent; 300"),
                Flag("queued", .integer(1), "measures the dispatcher's memory with so many queued tasks, too"),
                Flag("dir", .text("FOLDER"), "where the state lies meanwhile; ~/.local/state/martlet/bench"),
                Flag("broker", .text("URL"), "a broker without accounts that runs already, instead of a private one"),
            ],
            shared: [.json],
            examples: [
                Example("martlet bench", "The dispatcher beside this program on a private broker."),
                Example("martlet bench --queued 100000", "The memory of a hundred thousand queued tasks, too."),
            ],
            details: [
                "The relay gets the same load over the same broker with the same five messages a task: intent, accepted, "
                    + "assign, outcome, result. It keeps nothing and decides nothing, so that the ratio says what the "
                    + "dispatcher costs. Latencies are from intent to result."
            ], action: Bench.run),
        Command(
            "bench schedules", "measures the timing engine, and a scheduler with many schedules on a private broker",
            flags: [
                Flag("schedules", .integer(1), "so many, after 10000 of them; 10000"),
                Flag("seconds", .integer(1), "how long their slots are watched; 20"),
                Flag("no-broker", .none, "only the timing engine, and a scheduler by itself"),
                Flag("dir", .text("FOLDER"), "where the state lies meanwhile; ~/.local/state/martlet/bench"),
                zoneFolderFlag,
            ],
            shared: [.json],
            examples: [
                Example("martlet bench schedules", "Ten thousand, one slot a minute each."),
                Example("martlet bench schedules --schedules 100000 --seconds 60", "A hundred thousand, too."),
                Example("martlet bench schedules --no-broker --json", "Parsing, searching, a year over all zones."),
            ],
            details: [
                "Lateness is from the moment a run is due to its intent's arrival at a subscriber, on the same clock. The "
                    + "subscriber answers each run as the dispatcher would. Bytes are resident memory of the scheduler "
                    + "above that of an empty one; restart is from its start until it says that it is up, adopt the same "
                    + "with an empty journal and --adopt. Without a broker, memory is that of this process, less the "
                    + "documents."
            ], action: BenchSchedules.runWithEngine),
        Command(
            "bench history", "measures a monitor on a private broker: records, disk, memory, questions, kills",
            flags: [
                Flag("results", .integer(1), "so many, before it is killed; 100000"),
                Flag("kills", .integer(0), "how often it is killed under load; 5"),
                Flag("queries", .integer(1), "questions of each kind; 1000"),
                Flag("dir", .text("FOLDER"), "where the state lies meanwhile; ~/.local/state/martlet/bench"),
            ],
            shared: [.json],
            examples: [
                Example("martlet bench history", "A hundred thousand results."),
                Example("martlet bench history --results 1000000 --kills 20", "A million, and more kills."),
            ],
            details: [
                "Results are sent as the dispatcher would, at most 20000 ahead of what is recorded, so that the rate is the "
                    + "monitor's. Latencies are from question to reply, over the broker. At the end the whole history is "
                    + "read: exit status 0 says that it holds each result once, 1 that it does not."
            ], action: BenchHistory.run),
        Command(
            "bench queue", "measures a long queue for many capabilities and executors on a private broker",
            flags: [
                Flag("queued", .integer(1), "so many waiting tasks, after 1000 and 10000 of them; 100000"),
                Flag("capabilities", .integer(1), "capabilities they wait for; 100"),
                Flag("executors", .integer(1), "executors that come all at once; 1000"),
                Flag("slots", .integer(1), "slots of each executor; 4"),
                Flag("dir", .text("FOLDER"), "where the state lies meanwhile; ~/.local/state/martlet/bench"),
            ],
            shared: [.json],
            examples: [
                Example(
                    "martlet bench queue", "A hundred thousand tasks, a hundred capabilities, a thousand executors."),
                Example("martlet bench queue --queued 10000 --executors 50", "A smaller fleet."),
            ],
            details: [
                "Tasks wait while all executors are paused; then all are there at once and answer each task at once. "
                    + "Memory is what the dispatcher has resident with all in the queue, and what each task adds. Matched "
                    + "is the time until the last task was given out, firsts the time until each capability had one. Half "
                    + "way says how many tasks had ended of the capability with the fewest and the most when half of all "
                    + "had. CPU is per task while the queue gets empty: of the dispatcher, the broker and the load."
            ], action: BenchQueue.run),
        Command(
            "bench relay", "the relay that bench measures; bench starts it itself",
            arguments: [Argument("EXECUTOR", "executors that get the work in turn", repeats: true)], shared: [.bus],
            examples: [Example("martlet bench relay bench-e0 bench-e1 --user relay", "Pass messages on until Ctrl-C.")],
            action: BenchRelay.run),
    ]
}
