/// Every limit and default of the contract (`topics/README.md`, values). Times are in ms, sizes in bytes.
public enum Limits {
    /// Payload of any message.
    public static let payload = 256 * 1024
    /// What an envelope around an output may need; an output is at most `payload` less this.
    public static let envelope = 16 * 1024
    /// Levels of nesting in JSON.
    public static let depth = 64
    /// Free texts: messages, reasons, notes.
    public static let text = 4096
    /// `dedup_key`, `concurrency_key`.
    public static let key = 256
    /// Labels on a card, requirements of an intent.
    public static let labels = 64
    /// Principals that get the same result.
    public static let listeners = 16
    /// Publishers attached to one task.
    public static let attached = 256
    /// Capabilities on one card.
    public static let cardCapabilities = 256
    /// Pairs of task and epoch in one beat.
    public static let beatPairs = 1024
    /// Slots of one executor.
    public static let slots = 4096
    /// Registered executors, and known capabilities, of one dispatcher.
    public static let executors = 20_000
    /// An executor without card, work and sign of life is forgotten after so many ms.
    public static let executorMemoryMs = 3_600_000
    /// Known capabilities of one dispatcher.
    public static let capabilities = 20_000
    /// Different capabilities that one executor may ever offer under its name.
    public static let seenCapabilities = 1024
    /// Attempts kept in a result.
    public static let attemptRecords = 32
    /// Steps of a plan.
    public static let planSteps = 100
    /// Further attempts an intent may ask for.
    public static let retryCount = 20
    /// Longest `timeout_ms` that applies, unless configured.
    public static let timeoutCapMs = 300_000
    /// Longest delay, deadline or kept time: one year.
    public static let longestMs = 31_536_000_000
    /// Longest `wait_ms` and `lease_ms` of a claim.
    public static let claimMs = 600_000
    /// Live tasks of one dispatcher.
    public static let tasks = 100_000
    /// Bytes of live tasks.
    public static let taskBytes = 256 * 1024 * 1024
    /// Live tasks of one owner.
    public static let tasksPerOwner = 20_000
    /// Live tasks of one capability.
    public static let tasksPerCapability = 50_000
    /// Task ids that are remembered after their end.
    public static let idMemory = 100_000
    /// How long they are remembered.
    public static let idMemoryMs = 86_400_000
    /// Bytes of outputs kept with them.
    public static let outputBytes = 64 * 1024 * 1024
    /// Dead letters.
    public static let deadLetters = 10_000
    /// How long dead letters are kept.
    public static let deadLetterMs = 7 * 86_400_000
    /// Circuits that have left `closed`.
    public static let circuits = 10_000
    /// Candidates shown by `task/explain`.
    public static let candidates = 50
    /// Elements of one page of a list.
    public static let page = 1000
    /// Parked claims of one executor.
    public static let claimsPerExecutor = 4096
    /// Rates that are not full at one time.
    public static let buckets = 20_000
}

/// Every default of the contract.
public enum Defaults {
    /// Time limit of one attempt.
    public static let timeoutMs = 30_000
    /// Further attempts after the first.
    public static let retryCount = 2
    /// First bound of the random wait before a retry.
    public static let retryDelayMs = 500
    /// Greatest bound of that wait.
    public static let retryMaxDelayMs = 30_000
    /// A lease without renewal.
    public static let leaseMs = 30_000
    /// Between two beats.
    public static let beatMs = 10_000
    /// Between `assign` and `accept`.
    public static let acceptMs = 2_000
    /// Between a Will and its effect.
    public static let willGraceMs = 1_000
    /// Missed beats that make an executor silent.
    public static let missedBeats = 3
    /// `deadline_ms` after the delay.
    public static let deadlineMs = 86_400_000
    /// Between `cancel` and giving up on the executor's answer.
    public static let cancelGraceMs = 10_000
    /// A claim's next try when nothing is known.
    public static let claimRetryMs = 5_000
    /// Pause of a pair after `rate_limited`.
    public static let rateLimitedMs = 5_000
    /// Opening of a pair after `quota`.
    public static let quotaMs = 300_000
    /// No free slot after `busy`, unless a beat comes first.
    public static let busyMs = 5_000
    /// Lifetime of an approval.
    public static let approvalMs = 1_800_000
    /// A page of a list.
    public static let page = 100
    /// At the start, how long retained cards are awaited before anything is granted.
    public static let settleMs = 2_000
    /// Losses after which a task is poison.
    public static let poisonLosses = 3
    /// Offers after which a pause is made.
    public static let offersBeforeBackoff = 4
}
