import Contract
import Foundation
import Glibc
import Machine
import Shell
import TimeModel
import Wire

/// `martlet report`: one archive for the one who is asked for help.
enum ReportCommand {
    /// A file of the archive.
    struct Part {
        var name: String
        var content: [UInt8]
    }

    /// The command.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        let parts = try collect(session)
        for part in parts {
            if session.wantsJSON {
                session.terminal.print(
                    RawJSON {
                        $0.object {
                            $0.field("file", part.name)
                            $0.field("bytes", part.content.count)
                        }
                    }.bytes)
            } else {
                session.terminal.print(
                    "\(part.name.padding(toLength: 24, withPad: " ", startingAt: 0)) \(part.content.count) bytes")
            }
        }
        if session.invocation.has("list") { return .done }
        let given = session.invocation.text("output") ?? "martlet-report.tar"
        let path = given.hasPrefix("/") ? given : "\(FileManager.default.currentDirectoryPath)/\(given)"
        let now = SystemClock.wall
        var archive: [UInt8] = []
        for part in parts { archive += TarFile.entry("martlet-report/\(part.name)", part.content, at: now) }
        archive += [UInt8](repeating: 0, count: 1024)
        try FileText.replace(path, archive, mode: 0o600)
        session.terminal.say("Written: \(Terminal.escape(path)). It holds no inputs, no outputs and no passwords.")
        return .done
    }

    private static func collect(_ session: Session) throws(Failure) -> [Part] {
        var parts = [Part(name: "version.txt", content: Array(version(session).utf8))]
        parts.append(text("configuration.txt", try ConfigCommands.listings(session)))
        let health: [HealthLine]
        do throws(Failure) {
            health = try HealthCommand.report(session, HealthPart.whole).lines(HealthPart.whole)
        } catch {
            if error.status == .interrupted { throw error }
            health = [HealthLine(part: "broker", level: .unknown, text: error.text)]
        }
        let plain = Terminal(color: "never", environment: [:], outputIsTerminal: false, messagesAreTerminal: false)
        parts.append(text("health.txt", HealthFormat.text.lines(health, plain)))
        parts.append(text("doctor.txt", try Doctor.lines(session)))
        parts += try views(session)
        for (name, request) in [
            ("statistics.json", CommandRequest(.history, "stats")), ("cost.json", CommandRequest(.history, "cost")),
            ("gaps.json", CommandRequest(.history, "query", payload: Array(#"{"record":"gap"}"#.utf8))),
        ] {
            // Without a monitor the rest is still worth having.
            let content: [UInt8]
            do throws(Failure) {
                content = try request.reply(try session.client(), withinMs: min(session.answerMs, 3000)).bytes
            } catch {
                if error.status == .interrupted { throw error }
                content = Array(error.text.utf8)
            }
            parts.append(Part(name: name, content: content + [0x0A]))
        }
        return parts
    }

    private static func text(_ name: String, _ lines: [String]) -> Part {
        Part(name: name, content: Array(lines.map { $0 + "\n" }.joined().utf8))
    }

    private static func version(_ session: Session) -> String {
        var system = utsname()
        uname(&system)
        let release = withUnsafePointer(to: &system.release) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 65) { String(cString: $0) }
        }
        let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        return
            "martlet \(Console.version)\nlinux \(release)\nprocessors \(processors)\nat \(SystemClock.wall.rfc3339)\n"
    }

    /// The retained views that hold no input and no output, each class in a file: topic, a blank, the message.
    private static func views(_ session: Session) throws(Failure) -> [Part] {
        let client = try session.client()
        let workspace = client.settings.workspace
        let system = Names.systemWorkspace
        let classes: [(file: String, filter: String)] = [
            ("services.txt", Topic.filter(system, "service", "+", "+")),
            ("metrics.txt", Topic.filter(system, "metrics", "+")),
            ("alerts.txt", Topic.filter(workspace, "alert", "+")),
            ("capabilities.txt", Topic.filter(workspace, "capability", "+")),
            ("circuits.txt", Topic.filter(workspace, "circuit", "#")),
            ("executors.txt", Topic.filter(workspace, "executor", "+", "status")),
            ("liveness.txt", Topic.filter(workspace, "liveness", "+")),
            ("summaries.txt", Topic.filter(workspace, "summary", "+", "+")),
        ]
        var parts: [Part] = []
        for (file, filter) in classes {
            try client.subscribe([filter], retained: true)
            var lines: Set<String> = []
            let deadline = SystemClock.monotonic + 2000
            while let message = try client.next(until: min(deadline, SystemClock.monotonic + 150)) {
                guard let topic = Topic(message.topic), belongs(topic, file) else { continue }
                lines.insert("\(message.topic) \(String(decoding: message.payload, as: UTF8.self))")
            }
            let text = lines.sorted().map { Terminal.escape($0) + "\n" }.joined()
            parts.append(Part(name: file, content: Array(text.utf8)))
        }
        return parts
    }

    /// Whether a message belongs into a file: views of earlier filters go on coming.
    private static func belongs(_ topic: Topic, _ file: String) -> Bool {
        switch topic.place {
        case .service: file == "services.txt"
        case .metrics: file == "metrics.txt"
        case .alert: file == "alerts.txt"
        case .capability: file == "capabilities.txt"
        case .circuit: file == "circuits.txt"
        case .status: file == "executors.txt"
        case .liveness: file == "liveness.txt"
        case .summary: file == "summaries.txt"
        default: false
        }
    }
}

/// The oldest form of tar archives, which every tar reads.
enum TarFile {
    /// One file with its header, filled up to whole blocks.
    static func entry(_ name: String, _ content: [UInt8], at time: WallTime) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, _ at: Int) { header.replaceSubrange(at..<at + text.utf8.count, with: text.utf8) }
        func octal(_ number: Int, _ digits: Int) -> String {
            let text = String(number, radix: 8)
            return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
        }
        put(String(name.prefix(99)), 0)
        put(octal(0o600, 7), 100)
        put(octal(0, 7), 108)
        put(octal(0, 7), 116)
        put(octal(content.count, 11), 124)
        put(octal(max(0, time.milliseconds / 1000), 11), 136)
        put("        ", 148)
        put("0", 156)
        put("ustar\u{0}00", 257)
        put(octal(header.reduce(0) { $0 + Int($1) }, 6) + "\u{0} ", 148)
        let padding = (512 - content.count % 512) % 512
        return header + content + [UInt8](repeating: 0, count: padding)
    }
}
