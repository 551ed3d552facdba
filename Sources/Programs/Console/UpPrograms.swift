import Foundation
import Glibc
import Shell
import TimeModel
import Wire

/// What `martlet up` starts besides the broker, and where it finds it.
struct UpPrograms {
    /// The folder of everything.
    let directory: String
    /// The environment for the programs: without settings meant for the command line.
    let environment: [String: String]

    /// The services of this release, in the order in which they are started.
    static let serviceNames = ["dispatcher", "scheduler", "heartbeat", "monitor"]

    /// A set of programs.
    init(directory: String, environment: [String: String]) {
        self.directory = directory
        self.environment = environment.filter { !$0.key.hasPrefix("MARTLET_") }
    }

    /// The services.
    func services(_ broker: UpBroker) throws(Failure) -> [ManagedProcess] {
        var services: [ManagedProcess] = []
        let configuration = "\(directory)/martlet.json"
        let settings = RawJSON { writer in
            writer.object {
                $0.field("dispatcher") { $0.field("task_events", true) }
                $0.field("monitor") { $0.field("operators", [broker.personName]) }
            }
        }
        let text = "// Written by martlet up; a change here is lost.\n\(settings.text)\n"
        try FileText.replace(configuration, Array(text.utf8), mode: 0o600)
        for name in UpPrograms.serviceNames {
            let program = try find("martlet-\(name)")
            let flags =
                broker.flags(for: name) + ["--state-directory", "\(directory)/\(name)", "--config", configuration]
            services.append(
                ManagedProcess(name, [program] + flags, environment: environment, log: "\(directory)/log/\(name).log"))
        }
        return services
    }

    /// The demo executor.
    func executor(_ broker: UpBroker) throws(Failure) -> ManagedProcess {
        let program = try find("martlet-executor")
        let flags =
            broker.flags(for: UpBroker.executor) + [
                "--state-directory", "\(directory)/executor", "--manifest", try manifest(),
            ]
        return ManagedProcess(
            "executor", [program] + flags, environment: environment, log: "\(directory)/log/executor.log")
    }

    /// A program of this release: beside this one, or in `PATH`.
    func find(_ name: String) throws(Failure) -> String {
        let beside = "\(FileText.ownFolder)/\(name)"
        if access(beside, X_OK) == 0 { return beside }
        if let path = FileText.program(name, environment: environment) { return path }
        throw Failure(.ownFault, "\(name) is neither beside martlet nor in PATH", tries: ["swift build"])
    }

    /// The demo executor's manifest.
    private func manifest() throws(Failure) -> String {
        if let file = UpPrograms.shipped("executors/demo.json") { return file }
        throw Failure(.ownFault, "the demo executor's manifest, executors/demo.json, is not installed")
    }

    /// The folder of the dashboard; `nil` when it is not there, or has a blank in its path, which mosquitto cannot read.
    static var dashboard: String? {
        guard let page = shipped("dashboard/index.html"), !page.contains(where: \.isWhitespace) else { return nil }
        return (page as NSString).deletingLastPathComponent
    }

    /// A file that ships with the programs: of an installation, or of the source tree that this program was built in.
    private static func shipped(_ name: String) -> String? {
        var folder = FileText.ownFolder
        for _ in 0..<6 {
            for path in ["share/martlet/\(name)", "deploy/\(name)"] {
                let file = folder == "/" ? "/\(path)" : "\(folder)/\(path)"
                if access(file, R_OK) == 0 { return file }
            }
            folder = (folder as NSString).deletingLastPathComponent
        }
        return nil
    }
}

/// The processes of a run that was killed, so that the next one can end them: process id and its start time, which
/// together name one process for ever.
struct LeftoverProcesses {
    /// The file that keeps them.
    let file: String

    /// Notes those that run now.
    func note(_ processes: [ManagedProcess]) throws(Failure) {
        let lines = processes.filter(\.isRunning).compactMap { process in
            LeftoverProcesses.startTime(process.process).map { "\(process.process) \($0) \(process.name)\n" }
        }
        try FileText.replace(file, Array(lines.joined().utf8), mode: 0o600)
    }

    /// Ends those of the last run that are still there; returns their names.
    func end() -> [String] {
        guard let bytes = try? FileText.read(file) else { return [] }
        var ended: [String] = []
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, let process = pid_t(words[0]), process > 1,
                LeftoverProcesses.startTime(process) == String(words[1])
            else { continue }
            kill(-process, SIGKILL)
            ended.append(String(words[2]))
            let deadline = SystemClock.monotonic + 2000
            while LeftoverProcesses.startTime(process) == String(words[1]), SystemClock.monotonic < deadline {
                usleep(10_000)
            }
        }
        unlink(file)
        return ended
    }

    /// When a process started, in ticks since the machine did; `nil` when there is none, or it is a zombie.
    private static func startTime(_ process: pid_t) -> String? {
        guard let bytes = try? FileText.read("/proc/\(process)/stat", limit: 4096) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z" else { return nil }
        return String(fields[19])
    }
}
