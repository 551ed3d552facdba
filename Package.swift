// swift-tools-version: 6.2
import PackageDescription

/// The language rules of every Swift target: Swift 6 mode, explicit existentials and imports, and warnings as errors.
let common: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// Targets that touch no C additionally mark every unsafe use.
let pure: [SwiftSetting] = common + [.strictMemorySafety()]

let base: [Target.Dependency] = ["TimeModel", "Wire", "Determinism"]
let machines: [Target.Dependency] = base + ["Contract", "Machine"]
let shell: [Target.Dependency] = machines + ["Shell", "CPlatform"]

func program(_ name: String, _ own: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: shell + own, path: "Sources/Programs/\(name)", swiftSettings: common)
}

func tests(_ name: String, _ own: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: base + own, path: "Tests/\(name)", swiftSettings: common)
}

let package = Package(
    name: "martlet",
    products: [
        .executable(name: "martlet", targets: ["martlet"]),
        .executable(name: "martlet-dispatcher", targets: ["martlet-dispatcher"]),
        .executable(name: "martlet-scheduler", targets: ["martlet-scheduler"]),
        .executable(name: "martlet-heartbeat", targets: ["martlet-heartbeat"]),
        .executable(name: "martlet-monitor", targets: ["martlet-monitor"]),
        .executable(name: "martlet-executor", targets: ["martlet-executor"]),
        .executable(name: "martlet-simulate", targets: ["martlet-simulate"]),
        .library(name: "Martlet", targets: ["Martlet", "Contract", "Wire"]),
        // For `.ci/fuzz`, which links it with libFuzzer.
        .library(name: "FuzzTargets", type: .static, targets: ["FuzzTargets"]),
    ],
    targets: [
        // Floor 0: C.
        .systemLibrary(
            name: "CMosquitto", path: "Sources/Platform/CMosquitto", pkgConfig: "libmosquitto",
            providers: [.apt(["libmosquitto-dev"])]),
        .target(name: "CPlatform", path: "Sources/Platform/CPlatform"),
        // Floor 1: values.
        .target(name: "TimeModel", path: "Sources/Base/TimeModel", swiftSettings: pure),
        .target(name: "Wire", path: "Sources/Base/Wire", swiftSettings: pure),
        .target(name: "Determinism", path: "Sources/Base/Determinism", swiftSettings: pure),
        // Floor 2: the wire contract and the machine protocol.
        .target(name: "Contract", dependencies: base, path: "Sources/Contract", swiftSettings: pure),
        .target(name: "Machine", dependencies: base + ["Contract"], path: "Sources/Machines", swiftSettings: pure),
        // Floor 3: decisions.
        .target(
            name: "Timing", dependencies: machines, path: "Sources/Cores/Timing", exclude: ["README.md"],
            swiftSettings: pure),
        .target(
            name: "DispatcherCore", dependencies: machines, path: "Sources/Cores/DispatcherCore",
            exclude: ["README.md"],
            swiftSettings: pure),
        .target(
            name: "SchedulerCore", dependencies: machines + ["Timing"], path: "Sources/Cores/SchedulerCore",
            exclude: ["README.md"], swiftSettings: pure),
        .target(
            name: "HeartbeatCore", dependencies: machines + ["Timing"], path: "Sources/Cores/HeartbeatCore",
            exclude: ["README.md"], swiftSettings: pure),
        .target(
            name: "MonitorCore", dependencies: machines, path: "Sources/Cores/MonitorCore", exclude: ["README.md"],
            swiftSettings: pure),
        .target(
            name: "ExecutorCore", dependencies: machines, path: "Sources/Cores/ExecutorCore", exclude: ["README.md"],
            swiftSettings: pure),
        // Floor 4: the simulator, and the shell that talks.
        .target(
            name: "Simulation",
            dependencies: machines + [
                "Timing", "DispatcherCore", "SchedulerCore", "HeartbeatCore", "MonitorCore", "ExecutorCore",
            ],
            path: "Sources/Simulation", exclude: ["README.md"], swiftSettings: pure),
        .target(
            name: "Shell", dependencies: machines + ["CMosquitto", "CPlatform"], path: "Sources/Shell",
            exclude: ["README.md"], swiftSettings: common),
        // Floor 5: programs.
        program("martlet-dispatcher", ["DispatcherCore"]),
        program("martlet-scheduler", ["SchedulerCore", "Timing"]),
        program("martlet-heartbeat", ["HeartbeatCore", "Timing"]),
        program("martlet-monitor", ["MonitorCore"]),
        program("martlet-executor", ["ExecutorCore"]),
        .target(
            name: "Martlet", dependencies: shell + ["ExecutorCore"], path: "Sources/Programs/Martlet",
            swiftSettings: common),
        .target(
            name: "Console", dependencies: shell + ["Timing"], path: "Sources/Programs/Console", swiftSettings: common),
        program("martlet", ["Console"]),
        .executableTarget(
            name: "martlet-simulate", dependencies: machines + ["Simulation"],
            path: "Sources/Programs/martlet-simulate", swiftSettings: common),
        // Tests.
        tests("SimulationTests", ["Contract", "Machine", "Simulation", "DispatcherCore", "Shell", "TestSupport"]),
        tests(
            "MartletTests", ["Contract", "Martlet", "Shell", "TestSupport", "martlet-dispatcher"]),
        tests("ExecutorCoreTests", ["Contract", "Machine", "ExecutorCore"]),
        tests(
            "ExecutorProgramTests",
            ["Contract", "Machine", "Shell", "TestSupport", "martlet-executor", "martlet-dispatcher"]),
        tests("DeterminismTests", []),
        tests("WireTests", []),
        tests("TimeModelTests", []),
        tests("ContractTests", ["Contract", "DispatcherCore", "Timing"]),
        .testTarget(
            name: "StrangerTests", dependencies: ["TestSupport"], path: "Tests/StrangerTests", swiftSettings: common),
        tests("DispatcherCoreTests", ["Contract", "Machine", "DispatcherCore"]),
        tests(
            "ConsoleTests",
            [
                "Contract", "Console", "Machine", "Shell", "TestSupport", "martlet", "martlet-dispatcher",
                "martlet-scheduler", "martlet-heartbeat", "martlet-monitor",
                "martlet-executor",
            ]),
        tests(
            "BrokerSecurityTests",
            [
                "Contract", "Machine", "Console", "Shell", "TestSupport", "martlet", "martlet-dispatcher",
                "martlet-scheduler", "martlet-heartbeat", "martlet-monitor",
            ]),
        .testTarget(
            name: "UpgradeTests",
            dependencies: [
                "TestSupport", "martlet", "martlet-dispatcher", "martlet-scheduler", "martlet-heartbeat",
                "martlet-monitor", "martlet-executor",
            ],
            path: "Tests/UpgradeTests", exclude: ["Fixtures", "record"], swiftSettings: common),
        .testTarget(
            name: "TidyTests", path: "Tests/TidyTests", exclude: ["Requirements.json"], swiftSettings: common),
        .testTarget(
            name: "TimingTests", dependencies: base + ["Contract", "Timing"], path: "Tests/TimingTests",
            exclude: ["Fixtures"], swiftSettings: common),
        tests("MonitorCoreTests", ["Contract", "Machine", "MonitorCore", "Simulation"]),
        tests("MonitorProgramTests", ["Contract", "Machine", "Shell", "TestSupport", "martlet-monitor"]),
        tests(
            "SchedulerCoreTests",
            ["Contract", "Machine", "Timing", "SchedulerCore", "DispatcherCore", "Simulation"]),
        tests("HeartbeatCoreTests", ["Contract", "Machine", "Timing", "SchedulerCore", "HeartbeatCore"]),
        .target(
            name: "TestSupport", dependencies: machines + ["Shell", "CPlatform"], path: "Tests/TestSupport",
            swiftSettings: common),
        .executableTarget(
            name: "martlet-relay", dependencies: shell + ["TestSupport"], path: "Tests/RelayProgram",
            swiftSettings: common),
        .target(
            name: "FuzzTargets",
            dependencies: shell + [
                "Timing", "DispatcherCore", "SchedulerCore", "HeartbeatCore", "MonitorCore", "ExecutorCore", "Console",
            ],
            path: "Tests/FuzzTargets", swiftSettings: common),
        .testTarget(
            name: "FuzzTests", dependencies: ["Determinism", "FuzzTargets"], path: "Tests/FuzzTests",
            exclude: ["Corpora", "driver"], swiftSettings: common),
        tests("ShellTests", ["Contract", "Machine", "Shell", "CPlatform", "TestSupport"]),
    ],
)
