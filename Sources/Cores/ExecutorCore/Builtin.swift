import Contract
import TimeModel
import Wire

/// Work that an executor does itself: for first steps, demonstrations and tests.
public enum Builtin: String, CaseIterable, Hashable, Sendable {
    /// Gives its input back.
    case echo
    /// Waits for `ms` milliseconds or `seconds` seconds, with progress every second.
    case sleep
    /// Fails with `code`, `class`, `message`, `retry_after_ms`, `safe`; with `times` only the first attempts.
    case fail

    /// The longest `demo.sleep` in ms: one day.
    static let longestSleepMs = 86_400_000

    /// What it comes to.
    enum Course: Hashable, Sendable {
        /// It has ended.
        case ended(Ending)
        /// It ends after this many ms.
        case takes(Int)
    }

    /// What it does with an input in its `attempt`th attempt.
    func course(of input: RawJSON, attempt: Int) -> Course {
        switch self {
        case .echo: .ended(.success(input))
        case .sleep: Builtin.sleepCourse(JSONValue(input))
        case .fail: .ended(Builtin.failure(JSONValue(input), input, attempt: attempt))
        }
    }

    private static func sleepCourse(_ input: JSONValue) -> Course {
        let ms = input["ms"].map(\.intValue) ?? input["seconds"].map { seconds($0) } ?? 1000
        guard let ms, ms >= 0, ms <= longestSleepMs else {
            let text = "expected {\"ms\": N} or {\"seconds\": N}, at most one day"
            return .ended(.failed(ErrorBody(.invalidField, text, errorClass: .permanent, safe: true)))
        }
        return ms == 0 ? .ended(slept(0)) : .takes(ms)
    }

    private static func seconds(_ value: JSONValue) -> Int? {
        guard let whole = value.intValue, whole <= longestSleepMs else { return nil }
        return whole * 1000
    }

    /// How a sleep of this many ms ends.
    static func slept(_ ms: Int) -> Ending { .success(RawJSON { $0.object { $0.field("slept_ms", ms) } }) }

    private static func failure(_ input: JSONValue, _ raw: RawJSON, attempt: Int) -> Ending {
        if let times = input["times"]?.intValue, attempt > times { return .success(raw) }
        var error = ErrorBody(Code(rawValue: "demo_failure"), "failed as the input asks")
        if let code = input["code"]?.stringValue, Names.isName(code) { error.code = Code(rawValue: code) }
        if let word = input["class"]?.stringValue { error.errorClass = ErrorClass(rawValue: word) }
        if let text = input["message"]?.stringValue { error.message = String(text.prefix(1000)) }
        if let wait = input["retry_after_ms"]?.intValue, wait >= 0, wait <= Limits.longestMs {
            error.retryAfterMs = wait
        }
        if case .bool(let safe)? = input["safe"] { error.safe = safe }
        return .failed(error)
    }
}
