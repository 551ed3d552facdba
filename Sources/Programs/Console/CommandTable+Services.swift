import Contract

extension CommandTable {
    /// `task`.
    static let tasks: [Command] = [
        Command(
            "task get", "shows a task with its input, attempts and result", arguments: [taskID], flags: [ownerFlag],
            examples: [Example("martlet task get order-7f3a", "One task; the beginning of its id is enough.")],
            action: TaskCommands.get),
        Command(
            "task list", "lists tasks",
            flags: [
                Flag("state", .word(TaskState.allCases.map(\.rawValue)), "only those in this state"),
                Flag("capability", .text("NAME"), "only those of this capability"),
                Flag("principal", .text("NAME"), "whose; '*' is everybody's, absent one's own"),
                Flag("dead", .none, "dead letters instead"),
            ] + pageFlags,
            examples: [
                Example("martlet task list --state queued", "What waits."),
                Example("martlet task list --dead --principal '*'", "Dead letters of everybody."),
            ], action: TaskCommands.list),
        Command(
            "task explain", "says why a task is not running", arguments: [taskID], flags: [ownerFlag],
            examples: [Example("martlet task explain order-7f3a", "The same as martlet explain.")],
            action: TaskCommands.explain),
        Command(
            "task cancel", "cancels a task; asks before it stops one that runs", arguments: [taskID],
            flags: [
                ownerFlag, Flag("reason", .text("TEXT"), "why; the executor is told"),
                Flag("grace", .duration, "how long the executor may take to stop; 10s"),
            ],
            shared: [.request, .yes],
            examples: [Example("martlet task cancel order-7f3a --reason 'wrong address'", "Cancel it.")],
            action: TaskCommands.cancel),
        Command(
            "task assign", "gives a task to one executor only", arguments: [taskID],
            flags: [
                ownerFlag, Flag("executor", .text("NAME"), "the executor"),
                Flag("undo", .none, "any executor may take it again"),
                Flag("mode", .word(["push", "pull"]), "how it is given out"),
                Flag("if-rev", .integer(0), "only if the task has this revision"),
                Flag("force", .none, "passes circuit and reserve, never slots"),
                Flag("steal", .none, "takes it from who has it"),
            ],
            examples: [
                Example("martlet task assign order-7f3a --executor label-2", "Only label-2 gets it."),
                Example("martlet task assign order-7f3a --undo", "Anybody again."),
            ], action: TaskCommands.assign),
        Command(
            "task redrive", "sends a dead letter again, as a new task", arguments: [taskID],
            flags: [
                ownerFlag, Flag("executor", .text("NAME"), "only this executor"),
                Flag("priority", .word(["low", "normal", "high", "critical"]), "another lane"),
                Flag("retry", .integer(0), "further attempts after a failed one"),
            ],
            examples: [Example("martlet task redrive order-7f3a --priority high", "Try a dead letter again.")],
            action: TaskCommands.redrive),
        Command(
            "task approve", "approves a task that waits for it", arguments: [taskID], flags: [ownerFlag],
            examples: [Example("martlet task approve order-7f3a --principal shop", "Let a task of shop run.")],
            action: TaskCommands.approve),
        Command(
            "task deny", "denies a task that waits for approval", arguments: [taskID],
            flags: [ownerFlag, Flag("reason", .text("TEXT"), "why")],
            examples: [Example("martlet task deny order-7f3a --principal shop --reason 'not today'", "Refuse it.")],
            action: TaskCommands.deny),
    ]

    private static let capabilityName = Argument("CAPABILITY", "the capability", live: .capability)
    private static let executorName = Argument("EXECUTOR", "the executor", live: .executor)

    /// `capability`.
    static let capabilities: [Command] = [
        Command(
            "capability get", "shows who offers a capability, and who could take work now",
            arguments: [capabilityName],
            examples: [Example("martlet capability get print.label", "One capability.")],
            action: FleetCommands.capability),
        Command(
            "capability list", "lists the capabilities with supply and demand", flags: pageFlags,
            examples: [Example("martlet capability list", "What can be run here.")],
            action: FleetCommands.capabilities),
        Command(
            "capability can_execute", "says whether a task could start now, and why not", arguments: [capabilityName],
            flags: [
                Flag("executor", .text("NAME"), "only this executor"),
                Flag("requires", .text("LABEL"), "a label that the executor must have", repeats: true),
                Flag("mode", .word(["undecided", "push", "pull"]), "how it is given out"),
                Flag("max-cost", .integer(0), "the most an attempt may cost, in micro-units"),
                Flag("priority", .word(["low", "normal", "high", "critical"]), "the lane"),
                Flag("deadline", .duration, "time limit of the whole task"),
            ],
            shared: [.bus, .json, .time],
            examples: [Example("martlet capability can_execute print.label --priority critical", "Could it start?")],
            action: FleetCommands.canExecute),
        Command(
            "capability pause", "gives out no new work of a capability", arguments: [capabilityName],
            flags: [pairFlag, forFlag],
            examples: [Example("martlet capability pause print.label --for 10m", "Ten minutes of peace.")],
            action: FleetCommands.pauseCapability),
        Command(
            "capability resume", "ends a pause", arguments: [capabilityName], flags: [pairFlag],
            examples: [Example("martlet capability resume print.label", "Go on.")],
            details: [
                "With --executor, for one in a conflict of contracts, it makes that executor's card the reference."
            ],
            action: FleetCommands.resumeCapability),
    ]

    /// `circuit`.
    static let circuits: [Command] = [
        Command(
            "circuit get", "shows the circuit of a capability, or of a pair", arguments: [capabilityName],
            flags: [pairFlag],
            examples: [Example("martlet circuit get print.label --executor label-2", "One pair.")],
            action: FleetCommands.circuit),
        Command(
            "circuit list", "lists the circuits that are or were not closed", flags: pageFlags,
            examples: [Example("martlet circuit list", "What is held back after failures.")],
            action: FleetCommands.circuits),
        Command(
            "circuit reset", "closes a circuit and forgets its failures", arguments: [capabilityName],
            flags: [pairFlag],
            examples: [Example("martlet circuit reset print.label --executor label-2", "After the repair.")],
            action: FleetCommands.reset),
        Command(
            "circuit open", "holds a circuit open: nothing is given out", arguments: [capabilityName],
            flags: [pairFlag, forFlag], shared: [.request, .yes],
            examples: [Example("martlet circuit open print.label --for 1h --yes", "Nothing for an hour.")],
            action: FleetCommands.open),
        Command(
            "circuit close", "holds a circuit closed, whatever fails", arguments: [capabilityName],
            flags: [pairFlag, forFlag], shared: [.request, .yes],
            examples: [Example("martlet circuit close print.label --executor label-2 --yes", "Hold it closed.")],
            action: FleetCommands.close),
    ]

    /// `executor`.
    static let executors: [Command] = [
        Command(
            "executor get", "shows an executor with its card and what it works on", arguments: [executorName],
            examples: [Example("martlet executor get label-2", "One executor.")], action: FleetCommands.executor),
        Command(
            "executor list", "lists the executors", flags: pageFlags,
            examples: [Example("martlet executor list", "Who is there.")], action: FleetCommands.executors),
        Command(
            "executor drain", "gives an executor nothing new", arguments: [executorName],
            flags: [Flag("now", .none, "takes away what it has, too")],
            examples: [Example("martlet executor drain label-2", "Before work on the machine.")],
            action: FleetCommands.drain),
        Command(
            "executor resume", "lets an executor take work again", arguments: [executorName],
            examples: [Example("martlet executor resume label-2", "After work on the machine.")],
            action: FleetCommands.resumeExecutor),
        Command(
            "executor load", "lets an executor load a capability",
            arguments: [
                executorName, Argument("CAPABILITY", "what to load"),
                Argument("INPUT", "an object with what the executor asks for", isOptional: true),
            ],
            examples: [
                Example("martlet executor load edge-1 print.label --timeout 30s", "Load it; the reply is its new card.")
            ],
            action: FleetCommands.load),
        Command(
            "executor unload", "lets an executor unload a capability",
            arguments: [executorName, Argument("CAPABILITY", "what to unload")],
            examples: [Example("martlet executor unload edge-1 print.label", "Unload it.")],
            action: FleetCommands.unload),
    ]

    /// `context`, `code`, `version`, `help`.
    static let settings: [Command] = [
        Command(
            "config show", "shows every configuration key with its value",
            arguments: [
                Argument(
                    "PROGRAM", "client, dispatcher, scheduler, heartbeat or monitor; all when absent", isOptional: true,
                    words: ["client", "dispatcher", "scheduler", "heartbeat", "monitor"])
            ],
            flags: [
                Flag("origin", .none, "with where the value comes from"),
                Flag("config", .text("FILE"), "this file in place of the user's"),
            ], shared: [.json],
            examples: [Example("martlet config show dispatcher --origin", "Keys, values, units, and where from.")],
            details: [
                "Values come from flags, then MARTLET_ and the key in capitals, then --config or "
                    + "~/.config/martlet/martlet.json, then "
                    + "/etc/martlet/martlet.json, then defaults. Lines that begin with // are comments."
            ], action: ConfigCommands.show),
        Command(
            "config check", "names everything that is wrong with a configuration file",
            arguments: [Argument("FILE", "the file")], shared: [.json],
            examples: [Example("martlet config check /etc/martlet/martlet.json", "All faults at once; 78 if any.")],
            action: ConfigCommands.check),
        Command(
            "context list", "lists the named connections", shared: [.json],
            examples: [Example("martlet context list", "The star marks the one in use.")], action: ContextCommands.list),
        Command(
            "context use", "chooses the connection that commands use",
            arguments: [Argument("NAME", "the context", live: .context)], shared: [.json],
            examples: [Example("martlet context use up", "Use the broker of martlet up.")], action: ContextCommands.use),
        Command(
            "context show", "shows the connection that a command would use here", shared: [.bus, .json],
            examples: [Example("martlet context show", "Broker, user, workspace.")], action: ContextCommands.show),
    ]

    /// What explains the rest.
    static let help: [Command] = [
        Command(
            "code", "explains the codes of refusals, failures and waits",
            arguments: [
                Argument(
                    "CODE", "one code; all when absent", isOptional: true,
                    offers: Set((CodeBook.errors + CodeBook.reasons).map(\.code)).sorted())
            ], shared: [.json],
            examples: [Example("martlet code circuit_open", "Cause and remedy of one code.")],
            action: CodeBook.command),
        Command(
            "completion", "prints the completions for a shell",
            arguments: [
                Argument(
                    "SHELL", "bash, zsh or fish; names for the scripts themselves", words: Completion.shells + ["names"]
                ),
                Argument("KIND", "with names: capability, executor, schedule, check or context", isOptional: true),
            ], shared: [.bus],
            examples: [Example("martlet completion bash", "Load it with: source <(martlet completion bash)")],
            details: ["Names of live objects complete within 300 ms or not at all."], action: Completion.run),
        Command(
            "help", "shows help for a command",
            arguments: [Argument("TOPIC", "the words of a command, or: examples", isOptional: true, repeats: true)],
            flags: [Flag("man", .none, "the manual page, as roff")], shared: [],
            examples: [
                Example("martlet help task", "The verbs of one noun."),
                Example("martlet help examples", "Every example."),
                Example("martlet help --man", "The manual page: martlet help --man | man -l -"),
            ], action: HelpCommands.help),
        Command(
            "version", "prints the version", shared: [.json],
            examples: [Example("martlet version", "The version.")], action: HelpCommands.version),
    ]
}
