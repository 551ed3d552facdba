import Glibc
import Simulation

/// The arguments, taken apart.
struct Options {
    var first: UInt64 = 1
    var count: UInt64 = 100
    var trace = false
    var mutant: Mutant?
    var heartbeatMutant: HeartbeatMutant?
    var monitorMutant: MonitorMutant?
    var pausedForMs: Int?
    var service = "dispatcher"
    var hashes = false

    /// The planted bug of the service that is played.
    var planted: String? {
        switch service {
        case "heartbeat": heartbeatMutant?.rawValue
        case "monitor": monitorMutant?.rawValue
        default: mutant?.rawValue
        }
    }

    static let usage = """
        martlet-simulate --seeds 1000                 a thousand runs of the dispatcher, counters at the end
        martlet-simulate --seed 42 --trace            one run, every message printed
        martlet-simulate --seeds 500 --service scheduler
        martlet-simulate --seeds 500 --service heartbeat
        martlet-simulate --seeds 200 --mutant NAME    with a planted bug; exits 0 when it is found

        --seeds N    how many runs (100)         --from N    first seed (1)
        --seed N     only this one               --trace     print what happens
        --hashes     print each run's trace hash, for comparing two processes
        --service    dispatcher, scheduler, heartbeat or monitor
        --mutant     one of: \(Mutant.allCases.map(\.rawValue).joined(separator: " "))
                     of heartbeat: \(HeartbeatMutant.allCases.map(\.rawValue).joined(separator: " "))
                     of the monitor: \(MonitorMutant.allCases.map(\.rawValue).joined(separator: " "))
        --paused MS  heartbeat only: for so long nothing happens but that its process stops now and then

        Exit 0: nothing was violated. 1: something was; the first lines repeat it. 64: usage.
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
            case "--from": first = number(argument)
            case "--seed": (first, count) = (number(argument), 1)
            case "--trace": trace = true
            case "--hashes": hashes = true
            case "--service":
                service = value(argument)
                if !["dispatcher", "scheduler", "heartbeat", "monitor"].contains(service) {
                    Options.fail("no service '\(service)'")
                }
            case "--mutant":
                let name = value(argument)
                (mutant, heartbeatMutant) = (Mutant(rawValue: name), HeartbeatMutant(rawValue: name))
                monitorMutant = MonitorMutant(rawValue: name)
                if mutant == nil, heartbeatMutant == nil, monitorMutant == nil { Options.fail("no mutant '\(name)'") }
            case "--paused": pausedForMs = Int(number(argument))
            case "--help":
                print(Options.usage)
                exit(0)
            default: Options.fail("unknown argument '\(argument)'")
            }
        }
    }
}

let options = Options(Array(CommandLine.arguments.dropFirst()))
var summary = SwarmSummary()
for seed in options.first..<options.first + options.count {
    let printer: ((String) -> Void)? = options.trace ? { print($0) } : nil
    let report =
        switch options.service {
        case "heartbeat":
            Swarm.runHeartbeat(
                seed: seed, mutant: options.heartbeatMutant, pausedForMs: options.pausedForMs, tell: printer)
        case "monitor": Swarm.runMonitor(seed: seed, mutant: options.monitorMutant, tell: printer)
        default: Swarm.run(service: options.service, seed: seed, mutant: options.mutant, tell: printer)
        }
    summary.add(report)
    if options.hashes { print("seed \(seed) trace \(String(report.trace, radix: 16)) events \(report.events)") }
    for violation in report.violations {
        let command = "martlet-simulate --service \(options.service) --seed \(seed) --trace"
        print("seed \(seed): \(violation)\n    faults: \(report.faults.joined(separator: " "))\n    again: \(command)")
    }
    if !report.violations.isEmpty && (options.planted != nil || summary.violated >= 10) { break }
}
print(summary.text)
if let planted = options.planted {
    print(summary.violated > 0 ? "found \(planted) after \(summary.runs) runs" : "\(planted) was NOT found")
    exit(summary.violated > 0 ? 0 : 1)
}
exit(summary.violated > 0 ? 1 : 0)
