import Contract
import Wire

/// What every error code and reason code means, and what to do about it.
enum CodeBook {
    /// One code.
    struct Entry: Hashable, Sendable {
        /// The word on the wire.
        let code: String
        /// What it says, as a clause.
        let meaning: String
        /// What to do.
        let remedy: String
    }

    /// Why a request was refused or a task failed.
    static let errors: [Entry] = Code.all.map { code in
        let text = errorTexts[code.rawValue] ?? ("", "")
        return Entry(code: code.rawValue, meaning: text.0, remedy: text.1)
    }

    /// Why a task waits.
    static let reasons: [Entry] = reasonTexts.map { Entry(code: $0.0, meaning: $0.1, remedy: $0.2) }

    /// The entries of a word; some words are both.
    static func entries(_ word: String) -> [Entry] { (errors + reasons).filter { $0.code == word } }

    /// What a reason says.
    static func meaning(_ word: String) -> String {
        reasons.first { $0.code == word }?.meaning ?? errors.first { $0.code == word }?.meaning ?? word
    }

    /// What would end a reason, as a clause; `nil` when nothing that can be named would.
    static func runsWhen(_ code: String, executor: String) -> String? {
        switch code {
        case "no_slot": "a slot of \(executor) frees"
        case "reserved": "a slot of \(executor) frees that is not kept for critical"
        case "max_concurrent": "\(executor) ends a task of this capability"
        case "no_claim": "\(executor) asks for work"
        case "circuit_open", "circuit_probe": "the probe of \(executor) succeeds"
        case "pair_paused": "the pause of \(executor) is over"
        case "rate_limited": "the rate allows it"
        case "concurrency_key": "the task that holds its key ends"
        case "paused": "\(executor) is resumed"
        case "draining": "\(executor) is resumed"
        case "offline", "lost", "silent": "\(executor) comes back"
        case "sleeping": "\(executor) wakes"
        case "degraded": "\(executor) recovers"
        case "budget_exceeded": "the next period of the budget begins"
        case "awaiting_approval": "somebody approves it"
        case "needs": "the steps it needs have ended"
        case "delay", "retry_delay": "its wait is over"
        case "turn": "those before it have been given out"
        case "settling": "the dispatcher has seen all executors"
        case "push_wait": "a push executor frees a slot"
        default: nil
        }
    }

    /// `martlet code`.
    static func command(_ session: Session) throws(Failure) -> ExitStatus {
        guard let word = session.invocation.argument(0) else {
            if session.wantsJSON { return json(errors + reasons, session) }
            var table = TextTable()
            for entry in errors + reasons { table.add([entry.code, entry.meaning]) }
            for line in table.lines() { session.terminal.print(line) }
            return .done
        }
        let found = entries(word)
        guard !found.isEmpty else {
            throw Failure(
                .notFound, "\"\(Terminal.escape(word))\" is no code of the contract; an executor may use its own",
                meant: Nearest.name(to: word, in: (errors + reasons).map(\.code)), tries: ["martlet code"])
        }
        if session.wantsJSON { return json(found, session) }
        for entry in found {
            session.terminal.print("\(entry.code): \(entry.meaning).")
            session.terminal.print("    \(entry.remedy)")
        }
        return .done
    }

    private static func json(_ entries: [Entry], _ session: Session) -> ExitStatus {
        for entry in entries {
            session.terminal.print(
                RawJSON { writer in
                    writer.object {
                        $0.field("code", entry.code)
                        $0.field("meaning", entry.meaning)
                        $0.field("remedy", entry.remedy)
                    }
                }.bytes)
        }
        return .done
    }
}
