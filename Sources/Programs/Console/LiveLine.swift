import Contract
import Glibc
import Shell
import TimeModel

/// The state of a task that somebody waits for, on one line of the terminal that is written over and over.
final class LiveLine {
    /// Nothing is shown for a task that ends before, in ms.
    static let patienceMs = 500

    private let id: String
    private let begin = SystemClock.monotonic
    private var since = SystemClock.monotonic
    private var state = ""
    private var detail = ""
    private var isShown = false

    /// A line, where messages go to a terminal that can be written over and nobody asked for quiet.
    init?(_ terminal: Terminal, id: String) {
        guard isatty(2) == 1, !terminal.isQuiet, getenv("TERM").map({ String(cString: $0) }) != "dumb" else {
            return nil
        }
        self.id = id
    }

    /// Takes an update in.
    func take(_ update: Update) {
        let word = update.state.rawValue
        if word != state { since = SystemClock.monotonic }
        state = word
        let percent = update.percent.map { "\($0) %" }
        detail = [percent, update.message, update.code?.rawValue].compactMap(\.self).joined(separator: " ")
        if isShown { paint() }
    }

    /// Shows how things stand.
    func paint() {
        let now = SystemClock.monotonic
        guard now - begin >= LiveLine.patienceMs, !state.isEmpty else { return }
        let line = LiveLine.text(id, state, detail, sinceMs: now - since)
        var size = winsize()
        let columns = ioctl(2, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
        Terminal.write(2, Array("\r\u{1B}[K\(Terminal.cut(line, columns - 1))".utf8))
        isShown = true
    }

    /// Takes the line away.
    func clear() {
        guard isShown else { return }
        isShown = false
        Terminal.write(2, Array("\r\u{1B}[K".utf8))
    }

    /// `order-7f3a queued 12 s   why: martlet explain order-7f3a`.
    static func text(_ id: String, _ state: String, _ detail: String, sinceMs: Int) -> String {
        let rounded = sinceMs < 1000 ? 0 : sinceMs / 1000 * 1000
        let line = "\(id) \(state) \(rounded == 0 ? "" : Durations.text(rounded))"
        let waits = ["accepted", "queued", "delayed", "blocked", "awaiting_approval"].contains(state)
        let more = detail.isEmpty ? (waits && rounded >= 3000 ? "why: martlet explain \(id)" : "") : detail
        return Terminal.escape(more.isEmpty ? line : "\(line)   \(more)")
    }
}
