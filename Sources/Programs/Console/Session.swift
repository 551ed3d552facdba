import Contract
import Foundation
import Glibc
import Shell
import TimeModel
import Wire

/// What one command works with: what was typed, where to write, and the connection once it is needed.
final class Session {
    /// What was typed.
    let invocation: Invocation
    /// Where to write.
    let terminal: Terminal
    /// The environment of the process.
    let environment: [String: String]
    /// Ctrl-C, caught from the first use on.
    lazy var interrupts = Interrupts.caught()
    private var open: BusClient?

    /// A session of an invocation.
    init(_ invocation: Invocation, environment: [String: String]) {
        self.invocation = invocation
        self.environment = environment
        var terminal = Terminal(
            color: invocation.text("color"), environment: environment, outputIsTerminal: isatty(1) == 1,
            messagesAreTerminal: isatty(2) == 1)
        terminal.isQuiet = invocation.has("quiet")
        terminal.isVerbose = invocation.has("verbose")
        terminal.timeStyle = invocation.text("time").flatMap(Terminal.TimeStyle.init) ?? .relative
        self.terminal = terminal
    }

    /// Whether output is for programs.
    var wantsJSON: Bool { invocation.has("json") }

    /// How long an answer may take, in ms. Where `--timeout` is that of an attempt, it says nothing of the answer.
    var answerMs: Int {
        guard invocation.command.shared.contains(.answer),
            !invocation.command.flags.contains(where: { $0.name == "timeout" })
        else { return Session.defaultAnswerMs }
        return invocation.duration("timeout") ?? Session.defaultAnswerMs
    }
    /// How long an answer may take unless said otherwise, in ms.
    static let defaultAnswerMs = 10_000

    /// The connection; made at the first use.
    func client() throws(Failure) -> BusClient {
        if let open { return open }
        let settings = try ConnectionSettings(invocation, environment: environment)
        terminal.detail("connecting to \(settings.address) as \(settings.principal)")
        let made = try BusClient(settings, interrupts: interrupts)
        open = made
        return made
    }

    /// Leaves the broker, if it was reached.
    func close() { open?.close() }

    /// A positional argument that must be there; the parser has seen to it.
    func argument(_ index: Int) -> String { invocation.argument(index) ?? "" }

    /// An argument that goes into a topic.
    func nameArgument(_ index: Int, long: Bool = false) throws(Failure) -> String {
        let text = argument(index)
        guard long ? Names.isID(text) : Names.isName(text) else {
            throw .usage(
                "\"\(Terminal.escape(text))\" is no name: letters, digits, '.', '_', '~', '-', at most "
                    + "\(long ? Names.idLimit : Names.limit), the first a letter or digit")
        }
        return text
    }

    /// JSON given as text, `@file` or `-`.
    func json(_ text: String, what: String) throws(Failure) -> RawJSON {
        let bytes: [UInt8]
        if text == "-" {
            bytes = FileText.readInput()
        } else if text.hasPrefix("@") {
            bytes = try FileText.read(String(text.dropFirst()))
        } else {
            bytes = Array(text.utf8)
        }
        do throws(WireError) { return try RawJSON(validating: bytes) } catch {
            throw .usage(
                "the \(what) is no JSON: \(error.message)", tries: ["'{\"key\":\"value\"}', '\"text\"', @FILE or -"])
        }
    }

    /// Asks before something grave: `--yes` skips it; without a terminal there is nobody to ask.
    func confirm(_ question: String) throws(Failure) {
        if invocation.has("yes") { return }
        guard isatty(0) == 1 else {
            throw .usage("\(question) Nobody can be asked here", tries: ["the same with --yes"])
        }
        Terminal.write(2, Array("\(question) [y/N] ".utf8))
        interrupts.wait(ms: .max, others: [0])
        if interrupts.take() { throw Failure(.interrupted, "nothing was done") }
        let answer = readLine() ?? ""
        guard answer.lowercased() == "y" || answer.lowercased() == "yes" else {
            throw Failure(.interrupted, "nothing was done")
        }
    }
}
