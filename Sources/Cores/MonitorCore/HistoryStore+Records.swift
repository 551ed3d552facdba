public import Contract
public import Machine
import Wire

extension HistoryStore {
    /// All records that are held, the newest first, page by page: for checkers that look at a history as a whole.
    public func records(at now: Now) -> [HistoryRecord] {
        var records: [HistoryRecord] = []
        var question = HistoryQuestion(.query)
        question.command.bodies = true
        question.command.limit = Limits.page
        while true {
            let answer = JSONValue(answer(question.raw, at: now))
            if case .array(let items)? = answer["items"] {
                for item in items { if let record = try? HistoryRecord(item.raw) { records.append(record) } }
            }
            guard let after = answer["after"]?.stringValue else { return records }
            question.command.after = after
        }
    }
}
