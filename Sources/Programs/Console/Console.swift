import Foundation
import Glibc

/// The program `martlet`: a command line over the bus (`topics/commands.md`).
public enum Console {
    /// The version of this program.
    public static let version = "0.1.0"

    /// Runs a command line, the program's own name left out, and returns the exit status.
    public static func run(_ words: [String]) -> Int32 {
        let environment = ProcessInfo.processInfo.environment
        do throws(Failure) {
            switch try Parser(table: CommandTable.commands).parse(words) {
            case .version: return show("martlet \(version)")
            case .help(let path):
                let width = isatty(1) == 1 ? Terminal.width : nil
                return show(Help(CommandTable.commands, width: width).text(path))
            case .run(let invocation): return try run(invocation, environment).rawValue
            }
        } catch {
            complain(error, words, environment)
            // A monitoring system has a number of its own for whatever is wrong with the question.
            return words.first == "health" ? HealthLevel.unknown.rawValue : error.status.rawValue
        }
    }

    /// Whether a command line can be read: it names a command, and its flags and words are that command's.
    public static func canRead(_ words: [String]) -> Bool {
        (try? Parser(table: CommandTable.commands).parse(words)) != nil
    }

    private static func run(_ invocation: Invocation, _ environment: [String: String]) throws(Failure) -> ExitStatus {
        let session = Session(invocation, environment: environment)
        let result: Swift.Result<ExitStatus, Failure>
        do throws(Failure) { result = .success(try invocation.command.action(session)) } catch {
            result = .failure(error)
        }
        session.close()
        return try result.get()
    }

    private static func show(_ text: String) -> Int32 {
        Terminal.write(1, Array((text.hasSuffix("\n") ? text : text + "\n").utf8))
        return ExitStatus.done.rawValue
    }

    private static func complain(_ failure: Failure, _ words: [String], _ environment: [String: String]) {
        let color = words.firstIndex(of: "--color").flatMap { words.indices.contains($0 + 1) ? words[$0 + 1] : nil }
        let terminal = Terminal(
            color: color, environment: environment, outputIsTerminal: isatty(1) == 1,
            messagesAreTerminal: isatty(2) == 1)
        terminal.complain(failure.text)
    }
}
