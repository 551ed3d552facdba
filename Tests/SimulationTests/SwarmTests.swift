import Foundation
import Simulation
import TestSupport
import Testing

/// Runs with faults: nothing may be violated, and each planted bug must be found.
@Suite struct Swarms {
    @Test(arguments: KnownBadSeeds.all) func aSeedThatOnceFoundABugFindsNoneNow(_ entry: KnownBadSeeds.Entry) {
        #expect(Swarm.run(service: entry.service, seed: entry.seed).violations == [])
    }

    @Test(arguments: [UInt64](1...5)) func theDispatcherKeepsItsRules(_ seed: UInt64) {
        #expect(Swarm.run(service: "dispatcher", seed: seed).violations == [])
    }

    @Test func eachInvariantHasItsCheckerByName() {
        #expect(Check.all.map(\.id) == (1...32).map { "I\($0)" } + ["G-15"])
        // The invariants of the core's state have their planted bugs in the core's own tests.
        let ofTheCore: Set = ["I1", "I8", "I9", "I11", "I12", "I13", "I22", "I23"]
        let planted = Set(Mutant.allCases.map(\.target))
        #expect(Set(Check.all.map(\.id)).subtracting(planted) == ofTheCore)
    }

    @Test(arguments: [UInt64](1...4)) func everySlotEndsOnce(_ seed: UInt64) {
        #expect(Swarm.run(service: "scheduler", seed: seed).violations == [])
    }

    @Test(
        "S2-44 H9: heartbeat keeps its rules: verdicts, slots, results, alerts",
        arguments: [UInt64](1...6) + [258, 319])
    func heartbeat(_ seed: UInt64) { #expect(Swarm.runHeartbeat(seed: seed).violations == []) }

    @Test("H9, B8: a planted bug of the scheduler is found", arguments: SchedulerMutant.allCases)
    func aPlantedBugOfTheScheduler(_ mutant: SchedulerMutant) {
        let seed = PlantedSeeds.scheduler(mutant)
        let report = Swarm.runScheduler(seed: seed, mutant: mutant)
        #expect(!report.violations.isEmpty, "\(mutant.rawValue) went unnoticed by seed \(seed)")
    }

    @Test(
        "S3-16: in an hour in which only heartbeat's process stops, nobody is called silent", arguments: [UInt64](1...2)
    )
    func pausedHeartbeat(_ seed: UInt64) {
        #expect(Swarm.runHeartbeat(seed: seed, pausedForMs: 3_600_000).violations == [])
    }

    @Test(arguments: HeartbeatMutant.allCases) func aPlantedBugOfHeartbeatIsFound(_ mutant: HeartbeatMutant) {
        let seed = PlantedSeeds.heartbeat(mutant)
        let report = Swarm.runHeartbeat(seed: seed, mutant: mutant)
        #expect(!report.violations.isEmpty, "\(mutant.rawValue) went unnoticed by seed \(seed)")
    }

    /// Seed 12 found a session that the broker kept without its subscriptions, 49 a copy that was counted after a restart,
    /// 267 records that a full disk did not take, and that nobody stated after a kill.
    @Test(arguments: [UInt64](1...10) + [12, 49, 267]) func theHistoryHoldsWhatWasSentOrStatesItAsMissing(
        _ seed: UInt64
    ) {
        #expect(Swarm.run(service: "monitor", seed: seed).violations == [])
    }

    @Test(arguments: MonitorMutant.allCases) func aPlantedBugOfTheMonitorIsFound(_ mutant: MonitorMutant) {
        let seed = PlantedSeeds.monitor(mutant)
        let report = Swarm.runMonitor(seed: seed, mutant: mutant)
        #expect(!report.violations.isEmpty, "\(mutant.rawValue) went unnoticed by seed \(seed)")
    }

    @Test(arguments: Mutant.allCases) func aPlantedBugIsFoundByItsChecker(_ mutant: Mutant) {
        let seed = PlantedSeeds.dispatcher(mutant)
        let report = Swarm.run(service: "dispatcher", seed: seed, mutant: mutant)
        #expect(mutant.isFound(in: report), "\(mutant.rawValue) went unnoticed by \(mutant.target) in seed \(seed)")
    }

    @Test func twoProcessesPlayASeedAlike() async throws {
        let program = try BuildFolder.program("martlet-simulate").path(percentEncoded: false)
        let arguments = [program, "--from", "1", "--seeds", "3", "--hashes"]
        let one = try await ChildCommand.run(arguments, seconds: 300)
        let two = try await ChildCommand.run(arguments, seconds: 300)
        #expect(one.status == 0)
        #expect(one.output.contains("trace"))
        #expect(one.output == two.output)
    }
}
