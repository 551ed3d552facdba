import Contract
import Glibc
import Shell
import Wire

/// `martlet config`: what the programs are configured to, and whether a file is right.
enum ConfigCommands {
    /// Programs that have a configuration of their own, in the order in which they are shown.
    private static let programs = ["dispatcher", "scheduler", "heartbeat", "monitor"]

    /// `config show [PROGRAM]`.
    static func show(_ session: Session) throws(Failure) -> ExitStatus {
        let asked = session.invocation.argument(0)
        let withOrigin = session.invocation.has("origin")
        if asked == nil || asked == "client" {
            let configuration = try ClientConfiguration.read(session.invocation, environment: session.environment)
            show(configuration.listing, withOrigin, session)
        }
        for name in programs where asked == nil || asked == name {
            show(try listing(name, session), withOrigin, session)
        }
        return .done
    }

    /// What everything here is configured to, secrets left out; of a program that is not installed here, that.
    static func listings(_ session: Session) throws(Failure) -> [String] {
        let own = try ClientConfiguration.read(session.invocation, environment: session.environment).listing
        var lines = own.split(separator: "\n").map(String.init)
        for name in programs {
            do throws(Failure) { lines += try listing(name, session).split(separator: "\n").map(String.init) } catch {
                lines.append("\(name): \(error.text)")
            }
        }
        var seen: Set<String> = []
        return lines.filter { seen.insert($0).inserted }.map(Terminal.escape)
    }

    private static func show(_ listing: String, _ withOrigin: Bool, _ session: Session) {
        for line in listing.split(separator: "\n") {
            if session.wantsJSON {
                session.terminal.print(json(line))
                continue
            }
            let text =
                withOrigin
                ? String(line) : line.firstRange(of: "  ").map { String(line[..<$0.lowerBound]) } ?? String(line)
            session.terminal.print(Terminal.escape(text))
        }
    }

    /// A line of a listing, `KEY VALUE UNIT  ORIGIN`, as an object.
    private static func json(_ line: Substring) -> [UInt8] {
        let gap = line.firstRange(of: "  ")
        let shown = line[..<(gap?.lowerBound ?? line.endIndex)].split(separator: " ", maxSplits: 1)
        return RawJSON { writer in
            writer.object {
                $0.field("key", String(shown.first ?? ""))
                $0.field("value", shown.count > 1 ? String(shown[1]) : "")
                $0.field("origin", gap.map { String(line[$0.upperBound...]) })
            }
        }.bytes
    }

    private static func listing(_ name: String, _ session: Session) throws(Failure) -> String {
        let file = session.invocation.text("config").map { ["--config", $0] } ?? []
        let (status, output) = try run(name, ["--show-config"] + file, session)
        guard status == 0 else {
            throw Failure(.configuration, Terminal.escape(output.replacing("\n", with: "; ")))
        }
        return output
    }

    /// `config check FILE`: every program looks at its own sections.
    static func check(_ session: Session) throws(Failure) -> ExitStatus {
        let file = session.argument(0)
        guard access(file, R_OK) == 0 else {
            throw Failure(.notFound, "\(Terminal.escape(file)) cannot be read", code: .notFound)
        }
        let own = ConfigurationParser(section: "client", keys: ClientConfiguration.keys).parse(["--config", file])
        var problems = own.problems.map(\.description)
        for name in programs {
            let (status, output) = try run(name, ["--check", "--config", file], session)
            if status != 0 { problems += output.split(separator: "\n").map(String.init) }
        }
        var seen: Set<String> = []
        for problem in problems {
            let text = programs.reduce(problem) { $0.replacing("martlet-\($1): ", with: "") }
            guard seen.insert(text).inserted else { continue }
            if session.wantsJSON {
                session.terminal.print(RawJSON { $0.object { $0.field("problem", text) } }.bytes)
            } else {
                session.terminal.print(Terminal.escape(text))
            }
        }
        if problems.isEmpty { session.terminal.say("The configuration is good.") }
        return problems.isEmpty ? .done : .configuration
    }

    private static func run(_ name: String, _ words: [String], _ session: Session) throws(Failure) -> (Int, String) {
        let folder = "\(UserFolders.state(session.environment))/scratch"
        try FileText.makeFolder(folder)
        let log = "\(folder)/\(RandomText.id())"
        defer { unlink(log) }
        let program = try UpPrograms(directory: folder, environment: session.environment).find("martlet-\(name)")
        let process = ManagedProcess(name, [program] + words, environment: session.environment, log: log)
        try process.start()
        guard process.waitForEnd(ms: 10_000), case .exited(let status)? = process.ending else {
            process.end(graceMs: 0)
            throw Failure(.ownFault, "\(program) does not say what its configuration is")
        }
        return (status, String(decoding: try FileText.read(log), as: UTF8.self))
    }
}
