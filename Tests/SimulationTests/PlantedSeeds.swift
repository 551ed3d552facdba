import Simulation

/// For each planted bug a seed that is known to find it, so that the plain test run plays one run and not a hunt.
/// `.ci/nightly` hunts all of them; when a change of the draws makes one go unnoticed here,
/// `martlet-simulate --service NAME --mutant all` says the new seed.
enum PlantedSeeds {
    private static let ofTheDispatcher: [Mutant: UInt64] = [
        .takesStale: 10, .hurries: 3, .forgetsDeadline: 4, .skipsHalfOpen: 2, .ignoresPlanCost: 3, .starvesOthers: 3,
        .ignoresRates: 2, .ignoresWills: 3, .neverRepublishes: 3,
    ]
    private static let ofTheScheduler: [SchedulerMutant: UInt64] = [
        .forgetsAppend: 3, .forgetsCursor: 3, .speaksBeforeSync: 42, .neverRepublishes: 2,
    ]
    private static let ofHeartbeat: [HeartbeatMutant: UInt64] = [
        .forgetsAppend: 3, .dropsAlerts: 2, .judgesBeforeReading: 14,
    ]
    private static let ofTheMonitor: [MonitorMutant: UInt64] = [
        .forgetsGap: 7, .forgetsLoss: 118, .forgetsDigests: 19, .keepsTornEnd: 3, .speaksBeforeSync: 13,
        .forgetsWindow: 3, .trustsSession: 212,
    ]

    /// Most are found by the first.
    static func dispatcher(_ mutant: Mutant) -> UInt64 { ofTheDispatcher[mutant] ?? 1 }
    static func scheduler(_ mutant: SchedulerMutant) -> UInt64 { ofTheScheduler[mutant] ?? 1 }
    static func heartbeat(_ mutant: HeartbeatMutant) -> UInt64 { ofHeartbeat[mutant] ?? 1 }
    static func monitor(_ mutant: MonitorMutant) -> UInt64 { ofTheMonitor[mutant] ?? 1 }
}
