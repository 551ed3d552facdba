import Contract
import Glibc
import Machine
import Shell
import TimeModel
import Wire

/// One thing that `martlet doctor` found.
struct Finding: Hashable, Sendable {
    /// How grave it is.
    enum Level: String, Hashable, Sendable {
        /// As it should be.
        case ok
        /// Worth knowing.
        case note
        /// Works, and will fail one day.
        case warning
        /// Must be put right before use.
        case fault
    }

    /// A stable word for programs.
    let code: String
    /// How grave it is.
    let level: Level
    /// One sentence without its full stop.
    let text: String
    /// What to do; none where all is well.
    let remedy: String?

    /// A finding.
    init(_ level: Level, _ code: String, _ text: String, remedy: String? = nil) {
        self.code = code
        self.level = level
        self.text = text
        self.remedy = remedy
    }

    /// The object for programs.
    var encoded: [UInt8] {
        var writer = JSONWriter()
        writer.object {
            $0.field("code", code)
            $0.field("level", level.rawValue)
            $0.field("text", text)
            $0.field("remedy", remedy)
        }
        return writer.bytes
    }
}

/// `martlet doctor`: looks at a broker as a client sees it, and at its configuration file where that can be read.
struct Doctor {
    let session: Session
    let settings: ConnectionSettings
    private(set) var findings: [Finding] = []
    /// Whether this account may write and read a topic of its own choice, which only a broker without rights lets it.
    var hasFreeTopic = false
    /// Whether a dispatcher has answered.
    var hasDispatcher = false

    /// Whether each finding is told at once.
    private let tells: Bool

    init(_ session: Session, tells: Bool = true) throws(Failure) {
        self.session = session
        self.tells = tells
        settings = try ConnectionSettings(session.invocation, environment: session.environment)
    }

    /// Runs every examination in order; 1 when there is a fault.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        var doctor = try Doctor(session)
        doctor.examineAll()
        let faults = doctor.findings.count { $0.level == .fault }
        let warnings = doctor.findings.count { $0.level == .warning }
        if !session.wantsJSON { session.terminal.say("\(faults) faults, \(warnings) warnings") }
        return faults > 0 ? .failed : .done
    }

    /// The lines of a whole examination, for the one who is asked for help.
    static func lines(_ session: Session) throws(Failure) -> [String] {
        var doctor = try Doctor(session, tells: false)
        doctor.examineAll()
        return doctor.findings.flatMap { doctor.lines($0) }
    }

    private mutating func examineAll() {
        examineConfiguration()
        guard let client = connected() else { return }
        examine(client)
        client.close()
    }

    /// A finding as text; on a terminal broken where it ends.
    private func lines(_ finding: Finding) -> [String] {
        let indent = 28
        let remedy = finding.remedy.map { ["remedy: \($0)"] } ?? []
        let parts = ([finding.text] + remedy).flatMap { text in
            guard let columns = session.terminal.columns, columns > indent * 2 else { return [text] }
            return Help.wrap(text, indent: 0, width: columns - indent)
        }
        let head = finding.level.rawValue.padding(to: 8) + finding.code.padding(to: 20)
        return parts.enumerated().map { ($0 == 0 ? head : "".padding(to: indent)) + $1 }
    }

    /// Tells a finding as soon as it is there.
    mutating func add(_ level: Finding.Level, _ code: String, _ text: String, remedy: String? = nil) {
        let finding = Finding(level, code, Terminal.escape(text), remedy: remedy)
        findings.append(finding)
        guard tells else { return }
        if session.wantsJSON { return session.terminal.print(finding.encoded) }
        let color: Terminal.Color = level == .fault ? .red : level == .warning ? .yellow : .green
        for (index, line) in lines(finding).enumerated() {
            let word = level.rawValue
            session.terminal.print(
                index == 0 ? session.terminal.paint(color, word) + line.dropFirst(word.count) : line)
        }
    }

    /// A connection, or what stands in its way.
    private mutating func connected() -> ClientSession? {
        let client = ClientSession(settings.options)
        let begin = SystemClock.monotonic
        do throws(ClientError) {
            try client.connect(timeoutMs: 5000)
            add(
                .ok, "connection",
                "\(settings.address) takes \(settings.principal) in \(SystemClock.monotonic - begin) ms")
            return client
        } catch {
            if case .notAdmitted(let reason) = error {
                add(
                    .fault, "account_refused", "\(settings.address) refuses \(settings.principal): \(reason)",
                    remedy: "--user NAME --password-file FILE, or: martlet broker account list")
            } else {
                add(
                    .fault, "unreachable", "\(settings.address): \(error)",
                    remedy: "start the broker, or name another one with --broker")
            }
            return nil
        }
    }

    private mutating func examine(_ client: ClientSession) {
        examineLimits(client.limits)
        examineVersion(client)
        examineAnonymous()
        examineOwnRights(client)
        examineForeignRights(client)
        examineServices(client)
        examineSnapshot()
        examineRoundTrip(client)
        examineQueue()
        examineTakeOver()
        examineClock(client)
        examineRecords()
    }

    /// A topic below the workspace.
    func topic(_ rest: String) -> String { "\(settings.workspace)/\(Names.protocolLevel)/\(rest)" }

    /// Whether the broker is on this machine.
    var isLocal: Bool {
        settings.address.transport == .unix || settings.address.host.hasPrefix("127.")
            || settings.address.host == "localhost" || settings.address.host == "::1"
    }
}

extension String {
    /// The text with blanks behind it, at least one.
    fileprivate func padding(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
