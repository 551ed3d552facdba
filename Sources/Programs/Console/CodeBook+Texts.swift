extension CodeBook {
    /// Error codes: what they say, and what to do.
    static let errorTexts: [String: (String, String)] = [
        "skill_not_loaded": (
            "no registration offers the capability any more",
            "Start an executor that has it, or load it: martlet executor load E NAME."
        ),
        "execution_timeout": (
            "an attempt took longer than its time limit", "Give it more with --timeout, or make the work shorter."
        ),
        "circuit_open": (
            "calls are held back after failures",
            "See why with martlet circuit list; after the repair martlet circuit reset C."
        ),
        "resource_exhausted": (
            "the executor met a limit of memory, processor, output or a quota",
            "Raise the limit in its manifest, or wait for the quota."
        ),
        "policy_rejected": ("a rule refuses the task", "details.rule names the rule; ask whoever keeps the rules."),
        "invalid_json": ("the payload is not JSON", "The message says at which byte; check quotes and commas."),
        "invalid_field": (
            "a field has an illegal value, or a mandatory one is missing",
            "The message names the field and what it may be."
        ),
        "invalid_name": (
            "a name breaks the grammar",
            "Letters, digits, '.', '_', '~', '-', at most 64 bytes (ids 128), the first a letter or digit."
        ),
        "payload_too_large": ("the payload is larger than 256 KiB", "Store the data elsewhere and send where it lies."),
        "retained_request": (
            "a request carried the retain flag", "Publish requests without it; it was cleared and not run."
        ),
        "unknown_capability": (
            "no executor ever offered the capability", "Check the spelling with martlet capability list."
        ),
        "unsupported_schema": (
            "the document's schema_version is not supported", "Use schema_version 1, or a newer release."
        ),
        "not_found": ("the object does not exist", "Check the id; of another's task give --principal."),
        "id_reused": (
            "the same id was used before with other content", "Choose a new id; repeat an old one only unchanged."
        ),
        "duplicate": (
            "a task with the same key exists", "That one counts; use another --dedup key if both are wanted."
        ),
        "not_assignable": (
            "the task is in a state in which it cannot be assigned",
            "Waiting tasks can; a running one with --steal, unless at_most_once."
        ),
        "wrong_mode": ("the executor does not work in this mode", "Leave --mode out, or choose another executor."),
        "wrong_kind": (
            "the capability is of another kind than asked for", "Compare the kind in martlet capability get C."
        ),
        "stale_epoch": (
            "the report comes from an attempt that no longer counts",
            "Nothing is to be done: the executor stops that attempt."
        ),
        "lease_expired": (
            "the executor said nothing for the length of its lease", "See whether it, or its network, stood still."
        ),
        "executor_lost": (
            "the executor was lost during the task", "Look at its log; at_most_once tasks are not given out again."
        ),
        "expired": ("the deadline or expires_at passed", "Give a later --deadline, or more executors."),
        "busy": ("a queue is full", "Ask again after retry_after_ms with the same id."),
        "limit_reached": (
            "a limit on the number of objects is reached", "Delete what is not needed, or raise the limit."
        ),
        "rate_limited": ("too many requests in a time", "Ask again after retry_after_ms."),
        "budget_exceeded": (
            "the cost is over what may be spent", "Raise --max-cost or the budget, or wait for its next period."
        ),
        "approval_required": (
            "the task waits for somebody's decision", "martlet task approve ID, by another than its owner."
        ),
        "approval_denied": ("the approval was denied", "Ask who denied it."),
        "approval_expired": ("nobody decided in time", "Send it again and tell somebody who may approve."),
        "permission_denied": (
            "the sender may not do this", "Use an account with the right role, or ask whoever keeps the rules."
        ),
        "conflict_rev": (
            "the object has changed since the revision named", "Read it again and repeat with the new rev."
        ),
        "invalid_spec": (
            "the schedule's type or spec is illegal", "The message says what; try martlet schedule preview."
        ),
        "invalid_misfire_policy": (
            "the misfire policy is unknown or illegal for the type", "skip, or defer_once for cron and interval."
        ),
        "missing_target": (
            "the schedule names no workspace or no agent", "Give target.workspace_id and target.agent_id, or @any."
        ),
        "invalid_condition": (
            "a condition of the schedule is illegal or does not hold", "The message gives the offset in the expression."
        ),
        "result_too_large": ("the output is larger than the limit", "Return where the data lies instead of the data."),
        "result_invalid": (
            "the output does not fit the capability's output_schema", "Repair the executor, or the schema on its card."
        ),
        "poison": (
            "three executors were lost during the task",
            "It probably ends them: try it alone, then martlet task redrive."
        ),
        "attempts_exhausted": (
            "all attempts were used up", "details.last has the last error; martlet task get ID shows all."
        ),
        "shutting_down": ("the service is stopping", "Ask again with the same id; it is back in a moment."),
        "internal": ("a fault of the service itself", "Its log has more; please report it."),
    ]

    /// Reason codes: what they say, and what to do.
    static let reasonTexts: [(String, String, String)] = [
        ("turn", "others are before it", "It runs by itself; a higher --priority goes first."),
        ("settling", "the dispatcher has just started and waits for the executors' cards", "It takes 2 s at most."),
        ("push_wait", "kept for busy push executors for a while", "The wait is configured per capability."),
        ("delay", "its delay is not over", "It runs by itself."),
        ("retry_delay", "the wait before its next attempt", "It runs by itself."),
        ("needs", "an earlier step of its plan has not ended", "Look at that step: martlet explain PLAN.STEP."),
        ("offered", "sent to an executor that has not accepted yet", "It takes its accept_ms at most."),
        ("running", "an executor works on it", "Nothing is to be done."),
        ("canceling", "an executor was asked to stop", "It takes its grace at most."),
        ("no_slot", "all slots are used", "Wait, or add executors."),
        ("reserved", "what is free is kept for critical", "Wait, or add executors."),
        ("max_concurrent", "it runs enough of this capability", "Wait, or raise max_concurrent on its card."),
        ("no_claim", "a pull executor that does not ask at the moment", "It asks by itself when it is free."),
        (
            "circuit_open", "left alone after failures, until the probe",
            "martlet circuit reset C --executor E after the repair."
        ),
        ("circuit_probe", "another task is the probe", "Its outcome decides."),
        ("pair_paused", "it asked for a pause with this capability", "It ends by itself."),
        ("rate_limited", "the rate is used up for the moment", "It refills by itself."),
        ("concurrency_key", "another task of its key runs", "It runs when that one ends."),
        ("failed_last", "it failed the task last; another one is preferred", "It gets it again if no other can."),
        ("awaiting_approval", "somebody has to approve it", "martlet task approve ID."),
        ("paused", "paused", "martlet capability resume C, or martlet executor resume E."),
        ("draining", "takes nothing new", "martlet executor resume E."),
        ("degraded", "alive, but a check says that something is wrong with it", "Repair what the check found."),
        ("offline", "gone on purpose", "Start it."),
        ("lost", "gone without a word", "Look at the machine and its network."),
        ("silent", "nothing heard for three beat times", "Look at the machine and its network."),
        ("sleeping", "asleep", "It wakes by itself."),
        ("no_executor", "nobody offers the capability now", "Start an executor that offers it."),
        (
            "label_missing", "has not all labels that the task requires",
            "Add the label to its card, or drop --requires."
        ),
        ("wrong_mode", "does not work in the mode asked for", "Leave --mode out."),
        ("not_assigned", "the task is meant for another executor", "martlet task assign ID --undo."),
        (
            "quarantined", "refused it as unsupported, or its card is in conflict with another",
            "martlet capability get C shows the conflict."
        ),
        ("shadowed", "another executor holds the name exclusively", "Only one executor may offer it."),
        ("too_expensive", "costs more than the task may", "Raise --max-cost."),
        ("budget_exceeded", "the budget is used up", "Raise it, or wait for its next period."),
        ("too_slow", "would not end before the deadline", "Give a later --deadline."),
    ]
}
