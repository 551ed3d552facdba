import Contract
import Glibc
import Machine
import Shell
import TimeModel
import Wire

/// `martlet top`: the fleet on one screen, painted once a second.
final class TopCommand {
    private let session: Session
    private let client: BusClient
    private var state: TopState
    private var chosen = 0
    private var details: [String] = []
    private var typed: [UInt8] = []

    private init(_ session: Session) throws(Failure) {
        self.session = session
        client = try session.client()
        state = TopState(workspace: client.settings.workspace)
        try client.subscribe(TopState.filters(client.settings.workspace), retained: true)
    }

    /// The command.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        let top = try TopCommand(session)
        if session.invocation.has("once") || session.wantsJSON || !session.terminal.isTerminal || isatty(0) != 1 {
            return try top.once()
        }
        return try top.live()
    }

    /// One frame, once nothing more has come for a while.
    private func once() throws(Failure) -> ExitStatus {
        let deadline = SystemClock.monotonic + 1000
        while let message = try client.next(until: min(deadline, SystemClock.monotonic + 150)) {
            state.take(message, at: SystemClock.wall)
        }
        if session.wantsJSON {
            session.terminal.print(state.json(client.settings.workspace, at: SystemClock.wall))
            return .done
        }
        let size = session.terminal.columns.map { (columns: $0, rows: Int.max) }
        let lines = state.frame(
            client.settings.workspace, at: SystemClock.wall, chosen: nil, size: size, session.terminal)
        for line in lines { session.terminal.print(line) }
        return .done
    }

    private func live() throws(Failure) -> ExitStatus {
        var before = termios()
        tcgetattr(0, &before)
        var raw = before
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        tcsetattr(0, TCSANOW, &raw)
        Terminal.write(1, Array("\u{1B}[?1049h\u{1B}[?25l".utf8))
        defer {
            tcsetattr(0, TCSANOW, &before)
            Terminal.write(1, Array("\u{1B}[?25h\u{1B}[?1049l".utf8))
        }
        do throws(Failure) {
            while true {
                paint()
                let next = SystemClock.monotonic + 1000
                while SystemClock.monotonic < next {
                    if let message = try client.next(until: min(next, SystemClock.monotonic + 50)) {
                        state.take(message, at: SystemClock.wall)
                    }
                    guard let key = key() else { continue }
                    if try !obey(key) { return .done }
                    paint()
                }
            }
        } catch  where error.status == .interrupted { return .done }
    }

    private func paint() {
        let size = Terminal.size
        let below = details.prefix(size.rows / 2).map { Terminal.cut($0, size.columns) }
        let room = max(4, size.rows - 1 - below.count)
        var lines = state.frame(
            client.settings.workspace, at: SystemClock.wall, chosen: chosen, size: (size.columns, room),
            session.terminal)
        while lines.count < room { lines.append("") }
        lines += below
        lines.append(Terminal.cut("arrows choose   Enter shows it   p pauses or resumes it   q leaves", size.columns))
        let text = lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n")
        Terminal.write(1, Array(("\u{1B}[H" + text + "\u{1B}[J").utf8))
    }

    private enum Key { case up, down, enter, pause, quit }

    /// The next key that does something, of what was typed so far; several may have come at once.
    private func key() -> Key? {
        var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        if poll(&entry, 1, 0) > 0 {
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = read(0, &bytes, bytes.count)
            if count == 0 { return .quit }
            typed += bytes.prefix(max(0, count))
        }
        while let first = typed.first {
            let sequence = Array(typed.prefix(3))
            typed.removeFirst(sequence.starts(with: [0x1B, 0x5B]) ? sequence.count : 1)
            switch (sequence, first) {
            case ([0x1B, 0x5B, 0x41], _): return .up
            case ([0x1B, 0x5B, 0x42], _): return .down
            case (_, 0x0A), (_, 0x0D): return .enter
            case (_, UInt8(ascii: "p")): return .pause
            case (_, UInt8(ascii: "q")): return .quit
            default: continue
            }
        }
        return nil
    }

    /// Does what a key says; false to leave.
    private func obey(_ key: Key) throws(Failure) -> Bool {
        let names = state.names
        switch key {
        case .up: (chosen, details) = (max(0, chosen - 1), [])
        case .down: (chosen, details) = (min(max(0, names.count - 1), chosen + 1), [])
        case .quit: return false
        case .enter, .pause:
            guard names.indices.contains(chosen) else { return true }
            details = try act(key, names[chosen])
        }
        return true
    }

    private func act(_ key: Key, _ name: String) throws(Failure) -> [String] {
        do throws(Failure) {
            if key == .enter { return try whoCanTake(name) }
            let isPaused = pausedHere.contains(name)
            let verb = isPaused ? "resume" : "pause"
            let reply = try CommandRequest(.capability, verb, name).reply(client, withinMs: 5000).reply
            guard reply.ok else { return [Terminal.escape(reply.message ?? "refused")] }
            if isPaused { pausedHere.remove(name) } else { pausedHere.insert(name) }
            return [isPaused ? "\(name) goes on" : "\(name) is paused; p again resumes it"]
        } catch  where error.status != .interrupted { return [error.text] }
    }

    /// Who could take a task of the capability now, and why the others not.
    private func whoCanTake(_ name: String) throws(Failure) -> [String] {
        let reply = try CommandRequest(.capability, "can_execute", name).reply(client, withinMs: 5000).reply
        guard reply.ok, let data = reply.data.map({ JSONValue($0) }) else {
            return [Terminal.escape(reply.message ?? "refused")]
        }
        let code = TaskText.field(data, "code")
        let candidates = ExplainText.candidates(data)
        let first = FleetCommands.verdict(name, code, candidates.count, can: code.isEmpty)
        let text = ExplainText(session.terminal, SystemClock.wall)
        return [first] + text.candidateLines(candidates, data)
    }

    private var pausedHere: Set<String> = []
}
