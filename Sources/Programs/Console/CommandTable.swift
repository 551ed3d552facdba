import Contract

/// The one table of commands. Parser, help, completions and manual page follow from it.
enum CommandTable {
    /// Every command, in the order of the help.
    static let commands: [Command] =
        start + tasks + capabilities + circuits + executors + schedules + checks + history + watching + doctor
        + brokers + bridges + settings + help

    /// Commands that begin something.
    private static let start: [Command] = [
        Command(
            "up", "starts a private broker, the services and a demo executor, and runs one task",
            flags: [
                Flag("dir", .text("FOLDER"), "where everything is kept; ~/.local/state/martlet/up"),
                Flag("fresh", .none, "forgets what an earlier run kept"),
                Flag("once", .none, "stops everything after the first result"),
                Flag("broker", .text("URL"), "a broker that runs already, instead of a private one"),
                Flag("user", .text("NAME"), "with --broker: the account of everything that is started"),
                Flag("password-file", .text("FILE"), "with --broker: the file with that account's password"),
            ],
            shared: [.json],
            examples: [
                Example("martlet up", "Start; Ctrl-C stops everything. What was accepted is kept for the next time."),
                Example("martlet up --once --dir /tmp/martlet", "Run one task, print its result, stop."),
                Example("martlet up --broker mqtt://127.0.0.1:1883", "Use a broker that runs already."),
            ],
            details: [
                "The private broker is a mosquitto on loopback and a Unix socket, with the shipped configuration, rights "
                    + "and random passwords. The context \"up\" is written, so that other terminals need no flags.",
                "A service that dies is started again. One that is not ready within 10 s ends the command with its last "
                    + "log lines.",
            ], action: Up.run),
        Command(
            "run", "runs a capability: publishes an intent, waits, prints the output",
            arguments: capabilityAndInput,
            flags: intentFlags + [Flag("progress", .none, "prints each change of state, and progress, as a line")],
            shared: [.bus, .json],
            examples: [
                Example("martlet run demo.echo '{\"hello\":2}'", "Run a capability with an input; print its output."),
                Example(
                    "martlet run print.label @label.json --priority high --timeout 30s --id order-7f3a",
                    "Input from a file, a lane, a time limit for each attempt, an id of one's own."),
                Example("martlet run plan @plan.json --progress", "Run a plan and watch it."),
                Example("martlet run print.label --dry-run", "Show who could take it now, and why the others not."),
            ],
            details: [
                "The intent is sent again with the same id until it is answered. With --id a repeated command is the same "
                    + "task. Ctrl-C ends the wait, not the task."
            ], action: RunCommands.run),
        Command(
            "publish", "publishes an intent and prints its id once it is accepted",
            arguments: capabilityAndInput,
            flags: intentFlags + [
                Flag("wait", .none, "waits for the result, as run does"),
                Flag("progress", .none, "with --wait: prints each change of state as a line"),
            ],
            shared: [.bus, .json],
            examples: [
                Example("martlet publish report.daily '{\"day\":\"2026-11-20\"}'", "Hand over, do not wait."),
                Example("martlet publish cache.trim --delay 5m --dedup nightly", "Later, and once only."),
            ], action: RunCommands.publish),
        Command(
            "explain", "says why a task is not running, and what would change that", arguments: [taskID],
            flags: [ownerFlag],
            examples: [Example("martlet explain order-7f3a", "Why is it waiting?")], action: TaskCommands.explain),
    ]

    /// The task that is meant.
    static let taskID = Argument("ID", "the task")
    /// Whose task it is.
    static let ownerFlag = Flag("principal", .text("NAME"), "whose task it is, when not one's own")
    /// How many elements of a list.
    static let pageFlags = [
        Flag("limit", .integer(1), "at most so many; 100"),
        Flag("after", .text("CURSOR"), "goes on behind an earlier list's end"),
    ]
    /// The executor of a pair.
    static let pairFlag = Flag("executor", .text("NAME"), "for this executor only")
    /// How long a state is held.
    static let forFlag = Flag("for", .duration, "for how long; else until it is undone")

    private static let capabilityAndInput = [
        Argument("CAPABILITY", "what is to be run", live: .capability),
        Argument("INPUT", "JSON, @FILE, or - for standard input; {} when absent", isOptional: true),
    ]

    private static let intentFlags = [
        Flag("id", .text("ID"), "the task's id; random when absent"),
        Flag("action", .text("NAME"), "which of the capability's actions"),
        Flag("priority", .word(["low", "normal", "high", "critical"]), "the lane"),
        Flag("timeout", .duration, "time limit of one attempt"),
        Flag("deadline", .duration, "time limit of the whole task"),
        Flag("delay", .duration, "not before so long from now"),
        Flag("retry", .integer(0), "further attempts after a failed one; 2"),
        Flag("dedup", .text("KEY"), "tasks with the same key at the same time are one"),
        Flag("key", .text("KEY"), "tasks with the same key run one after the other"),
        Flag("requires", .text("LABEL"), "a label that the executor must have (agent:...)", repeats: true),
        Flag("mode", .word(["undecided", "push", "pull"]), "how it is given out"),
        Flag("executor", .text("NAME"), "only this executor"),
        Flag("max-cost", .integer(0), "the most an attempt may cost, in micro-units"),
        Flag("at-most-once", .none, "never give it out again once it may have started"),
        Flag("keep", .duration, "how long the result stays on its topic"),
        Flag("dry-run", .none, "asks who could take it, and runs nothing"),
    ]
}
