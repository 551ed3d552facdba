import Glibc
import Simulation

/// The arguments, taken apart.
struct Options {
    var first: UInt64 = 1
    var count: UInt64 = 100
    var isStandard = true
    var trace = false
    var mutant: Mutant?
    var allMutants = false
    var heartbeatMutant: HeartbeatMutant?
    var monitorMutant: MonitorMutant?
    var pausedForMs: Int?
    var schedulerMutant: SchedulerMutant?
    var service = "dispatcher"
    var hashes = false

    /// The planted bug of the service that is played.
    var planted: String? {
        switch service {
        case "heartbeat": heartbeatMutant?.rawValue
        case "monitor": monitorMutant?.rawValue
        case "scheduler": schedulerMutant?.rawValue
        default: mutant?.rawValue
        }
    }

    static let usage = """
        martlet-simulate --seeds 1000                 a thousand runs of the dispatcher, counters at the end
        martlet-simulate --seed 42 --trace            one run, every message printed
        martlet-simulate --seeds 500 --service scheduler
        martlet-simulate --seeds 500 --service heartbeat
        martlet-simulate --seeds 200 --mutant NAME    with a planted bug; exits 0 when its checker finds it
        martlet-simulate --seeds 1000 --mutant all    all planted bugs of the service, one line each

        --seeds N    how many runs (100)         --from N    first seed (1)
        --seed N     only this one               --trace     print what happens
        --hashes     print each run's trace hash, for comparing two processes
        --service    dispatcher, scheduler, heartbeat or monitor
        --mutant     all, or one of: \(Mutant.allCases.map(\.rawValue).joined(separator: " "))
                     of scheduler: \(SchedulerMutant.allCases.map(\.rawValue).joined(separator: " "))
                     of heartbeat: \(HeartbeatMutant.allCases.map(\.rawValue).joined(separator: " "))
                     of the monitor: \(MonitorMutant.allCases.map(\.rawValue).joined(separator: " "))
        --paused MS  heartbeat only: for so long nothing happens but that its process stops now and then

        Without --seed and --from the seeds that once found a bug are played first.
        Exit 0: nothing was violated. 1: something was, and the first lines repeat it; or, in a thousand runs of the
        dispatcher or more, something that should happen now and then never did. 64: usage.
        """

    static func fail(_ text: String) -> Never {
        let message = Array("\(text)\n\n\(usage)\n".utf8)
        _ = message.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
        exit(64)
    }

    init(_ arguments: [String]) {
        var rest = arguments[...]
        func value(_ name: String) -> String {
            guard let value = rest.popFirst() else { Options.fail("\(name) needs a value") }
            return value
        }
        func number(_ name: String) -> UInt64 {
            guard let number = UInt64(value(name)) else { Options.fail("\(name) needs a number") }
            return number
        }
        while let argument = rest.popFirst() {
            switch argument {
            case "--seeds": count = number(argument)
            case "--from": (first, isStandard) = (number(argument), false)
            case "--seed": (first, count, isStandard) = (number(argument), 1, false)
            case "--trace": trace = true
            case "--hashes": hashes = true
            case "--service":
                service = value(argument)
                if !["dispatcher", "scheduler", "heartbeat", "monitor"].contains(service) {
                    Options.fail("no service '\(service)'")
                }
            case "--mutant": takeMutant(value(argument))
            case "--paused": pausedForMs = Int(number(argument))
            case "--help":
                print(Options.usage)
                exit(0)
            default: Options.fail("unknown argument '\(argument)'")
            }
        }
    }

    private mutating func takeMutant(_ name: String) {
        if name == "all" {
            allMutants = true
            return
        }
        (mutant, heartbeatMutant) = (Mutant(rawValue: name), HeartbeatMutant(rawValue: name))
        monitorMutant = MonitorMutant(rawValue: name)
        schedulerMutant = SchedulerMutant(rawValue: name)
        if mutant == nil, heartbeatMutant == nil, monitorMutant == nil, schedulerMutant == nil {
            Options.fail("no mutant '\(name)'")
        }
    }
}

/// Plays seeds until the checker of a planted bug finds it; `nil` when it does not.
func hunt(_ mutant: Mutant, _ options: Options) -> UInt64? {
    (options.first..<options.first + options.count).first {
        mutant.isFound(in: Swarm.run(service: "dispatcher", seed: $0, mutant: mutant))
    }
}

/// A planted bug of any service: the rule that must be broken, its name, and whether a seed finds it.
typealias Planted = (target: String, name: String, isFound: (UInt64) -> Bool)

/// The planted bugs of a service.
func planted(_ service: String) -> [Planted] {
    switch service {
    case "scheduler":
        SchedulerMutant.allCases.map { mutant in
            ("-", mutant.rawValue, { !Swarm.runScheduler(seed: $0, mutant: mutant).violations.isEmpty })
        }
    case "heartbeat":
        HeartbeatMutant.allCases.map { mutant in
            ("-", mutant.rawValue, { !Swarm.runHeartbeat(seed: $0, mutant: mutant).violations.isEmpty })
        }
    case "monitor":
        MonitorMutant.allCases.map { mutant in
            ("-", mutant.rawValue, { !Swarm.runMonitor(seed: $0, mutant: mutant).violations.isEmpty })
        }
    default:
        Mutant.allCases.map { mutant in
            (
                mutant.target, mutant.rawValue,
                { mutant.isFound(in: Swarm.run(service: "dispatcher", seed: $0, mutant: mutant)) }
            )
        }
    }
}

/// All planted bugs of a service, one line each.
func huntAll(_ options: Options) -> Never {
    var missed = 0
    for mutant in planted(options.service) {
        let name = mutant.name + String(repeating: ".", count: max(1, 24 - mutant.name.count))
        if let seed = (options.first..<options.first + options.count).first(where: mutant.isFound) {
            print("\(mutant.target)\t\(name) found by seed \(seed), after \(seed - options.first + 1) runs")
        } else {
            print("\(mutant.target)\t\(name) NOT found in \(options.count) runs")
            missed += 1
        }
        fflush(nil)
    }
    exit(missed == 0 ? 0 : 1)
}

/// Prints what came of a run.
func tell(_ report: RunReport, _ options: Options) {
    if options.hashes {
        print("seed \(report.seed) trace \(String(report.trace, radix: 16)) events \(report.events)")
    }
    for violation in report.violations {
        let command = "martlet-simulate --service \(options.service) --seed \(report.seed) --trace"
        print(
            "seed \(report.seed): \(violation)\n    faults: \(report.faults.joined(separator: " "))\n    again: \(command)"
        )
    }
    fflush(nil)
}

let options = Options(Array(CommandLine.arguments.dropFirst()))
if options.allMutants { huntAll(options) }
if let mutant = options.mutant, options.service == "dispatcher" {
    if let seed = hunt(mutant, options) {
        tell(Swarm.run(service: "dispatcher", seed: seed, mutant: mutant), options)
        print("\(mutant.target) found \(mutant.rawValue) after \(seed - options.first + 1) runs")
        exit(0)
    }
    print("\(mutant.target) did NOT find \(mutant.rawValue)")
    exit(1)
}
var summary = SwarmSummary()
var seeds = Array(options.first..<options.first + options.count)
if options.isStandard, options.planted == nil {
    seeds = KnownBadSeeds.all.filter { $0.service == options.service }.map(\.seed) + seeds
}
for seed in seeds {
    let printer: ((String) -> Void)? = options.trace ? { print($0) } : nil
    let report =
        switch options.service {
        case "heartbeat":
            Swarm.runHeartbeat(
                seed: seed, mutant: options.heartbeatMutant, pausedForMs: options.pausedForMs, tell: printer)
        case "monitor": Swarm.runMonitor(seed: seed, mutant: options.monitorMutant, tell: printer)
        case "scheduler": Swarm.runScheduler(seed: seed, mutant: options.schedulerMutant, tell: printer)
        default: Swarm.run(service: options.service, seed: seed, tell: printer)
        }
    summary.add(report)
    tell(report, options)
    if !report.violations.isEmpty && (options.planted != nil || summary.violated >= 10) { break }
}
print(summary.text)
if let planted = options.planted {
    print(summary.violated > 0 ? "found \(planted) after \(summary.runs) runs" : "\(planted) was NOT found")
    exit(summary.violated > 0 ? 0 : 1)
}
var missing: [String] = []
if options.service == "dispatcher", options.count >= 1000 { missing = summary.missing(Swarm.required) }
for name in missing { print("never happened: \(name)") }
exit(summary.violated > 0 || !missing.isEmpty ? 1 : 0)
