/// A stable word that says why something was refused or failed (`topics/README.md`, codes). The texts beside it are
/// free; programs look at the code alone. An executor may use names of its own.
public struct Code: RawRepresentable, Hashable, Sendable, Comparable {
    /// The word on the wire.
    public let rawValue: String

    /// A code by its word.
    public init(rawValue: String) { self.rawValue = rawValue }
    private init(_ word: String) { rawValue = word }

    /// In the order of their words.
    public static func < (a: Code, b: Code) -> Bool { a.rawValue < b.rawValue }

    /// No registration offers the capability any more, or all refused it as unsupported.
    public static let skillNotLoaded = Code("skill_not_loaded")
    /// One attempt took longer than its time limit.
    public static let executionTimeout = Code("execution_timeout")
    /// A circuit is open.
    public static let circuitOpen = Code("circuit_open")
    /// The executor met its memory, processor or output limit, or a quota.
    public static let resourceExhausted = Code("resource_exhausted")
    /// A policy rule refuses the task.
    public static let policyRejected = Code("policy_rejected")
    /// The payload is not JSON.
    public static let invalidJSON = Code("invalid_json")
    /// A known field has an illegal value, or a required one is missing.
    public static let invalidField = Code("invalid_field")
    /// A level of the topic, or a name in the payload, breaks the grammar.
    public static let invalidName = Code("invalid_name")
    /// The payload is larger than the limit.
    public static let payloadTooLarge = Code("payload_too_large")
    /// A request carried the retain flag.
    public static let retainedRequest = Code("retained_request")
    /// No executor ever offered the capability.
    public static let unknownCapability = Code("unknown_capability")
    /// The document's `schema_version` is not supported.
    public static let unsupportedSchema = Code("unsupported_schema")
    /// The object does not exist.
    public static let notFound = Code("not_found")
    /// The same id was used before with other content.
    public static let idReused = Code("id_reused")
    /// A task with the same key exists.
    public static let duplicate = Code("duplicate")
    /// The task is in a state in which it cannot be assigned.
    public static let notAssignable = Code("not_assignable")
    /// The executor does not work in this mode.
    public static let wrongMode = Code("wrong_mode")
    /// The capability is of another kind than the request needs.
    public static let wrongKind = Code("wrong_kind")
    /// The epoch is not the newest, or the sender does not hold it.
    public static let staleEpoch = Code("stale_epoch")
    /// The lease ran out.
    public static let leaseExpired = Code("lease_expired")
    /// The executor was lost during the task.
    public static let executorLost = Code("executor_lost")
    /// The deadline, or `expires_at`, passed.
    public static let expired = Code("expired")
    /// A queue is full; see `retry_after_ms`.
    public static let busy = Code("busy")
    /// A limit on the number of objects is reached.
    public static let limitReached = Code("limit_reached")
    /// Too many requests in a time; see `retry_after_ms`.
    public static let rateLimited = Code("rate_limited")
    /// The cost is over what the task, its plan or its owner may spend.
    public static let budgetExceeded = Code("budget_exceeded")
    /// The task waits for an approval.
    public static let approvalRequired = Code("approval_required")
    /// The approval was denied.
    public static let approvalDenied = Code("approval_denied")
    /// Nobody decided on the approval in time.
    public static let approvalExpired = Code("approval_expired")
    /// The sender may not do this.
    public static let permissionDenied = Code("permission_denied")
    /// The object has changed since the revision named in the request.
    public static let conflictRev = Code("conflict_rev")
    /// The schedule's type or spec is illegal.
    public static let invalidSpec = Code("invalid_spec")
    /// The misfire policy is unknown, or illegal for the type.
    public static let invalidMisfirePolicy = Code("invalid_misfire_policy")
    /// The schedule names no workspace or no agent.
    public static let missingTarget = Code("missing_target")
    /// A condition of the schedule is illegal.
    public static let invalidCondition = Code("invalid_condition")
    /// The output is larger than the limit.
    public static let resultTooLarge = Code("result_too_large")
    /// The output does not fit the capability's `output_schema`.
    public static let resultInvalid = Code("result_invalid")
    /// Three executors were lost during the task.
    public static let poison = Code("poison")
    /// All attempts were used up.
    public static let attemptsExhausted = Code("attempts_exhausted")
    /// The service is stopping; ask again.
    public static let shuttingDown = Code("shutting_down")
    /// A fault of the service itself.
    public static let `internal` = Code("internal")

    /// Every code of the contract.
    public static let all: [Code] = [
        skillNotLoaded, executionTimeout, circuitOpen, resourceExhausted, policyRejected, invalidJSON, invalidField,
        invalidName, payloadTooLarge, retainedRequest, unknownCapability, unsupportedSchema, notFound, idReused,
        duplicate, notAssignable, wrongMode, wrongKind, staleEpoch, leaseExpired, executorLost, expired, busy,
        limitReached, rateLimited, budgetExceeded, approvalRequired, approvalDenied, approvalExpired,
        permissionDenied, conflictRev, invalidSpec, invalidMisfirePolicy, missingTarget, invalidCondition,
        resultTooLarge, resultInvalid, poison, attemptsExhausted, shuttingDown, `internal`,
    ]
}
