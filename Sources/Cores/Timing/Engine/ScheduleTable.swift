/// All schedules by name. Each lies in a box of its own, so that the table stays small however much it grows.
struct ScheduleTable: Sendable {
    private indirect enum Box: Sendable {
        case record(ScheduleRecord)
    }

    private var boxes: [ScheduleKey: Box] = [:]

    /// How many.
    var count: Int { boxes.count }

    /// Their names, in no order.
    var keys: some Sequence<ScheduleKey> { boxes.keys }

    /// One schedule.
    subscript(key: ScheduleKey) -> ScheduleRecord? {
        get {
            guard case .record(let record)? = boxes[key] else { return nil }
            return record
        }
        set { boxes[key] = newValue.map { .record($0) } }
    }

    /// Takes one out.
    mutating func removeValue(forKey key: ScheduleKey) -> ScheduleRecord? {
        guard case .record(let record)? = boxes.removeValue(forKey: key) else { return nil }
        return record
    }
}
