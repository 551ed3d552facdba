import Contract
import Wire

/// One record of the dispatcher's journal as the checkers read it: written anew from the page that describes it
/// (`topics/promises.md`), not with the dispatcher's own reader, and only the fields they need.
struct JournalLine: Sendable {
    /// A lease, as a record carries it.
    struct Lease: Hashable, Sendable {
        /// Who has it.
        var executor = ""
        /// Of which boot.
        var boot: String?
        /// Its epoch.
        var epoch = 0
        /// When it was granted, by the dispatcher's calendar.
        var grantedAt = 0
        /// What the attempt is expected to cost.
        var estimate = 0
        /// Whether circuit and reserve were passed over.
        var isForced = false
        /// When the attempt began.
        var startedAt: Int?
        /// Whether the attempt has begun.
        var isStarted: Bool { startedAt != nil }
    }

    /// What kind of record; a letter.
    var kind = ""
    /// The number of the task.
    var number = 0
    /// The workspace.
    var workspace = ""
    /// Whose task.
    var principal = ""
    /// Who pays for it, if that is another.
    var owner: String?
    /// Its id, or the name of a budget.
    var id = ""
    /// What is run.
    var capability = ""
    /// Which executor.
    var executor: String?
    /// The state, or the status of an end.
    var state = ""
    /// The revision.
    var rev = 0
    /// Why it is in this state.
    var code: String?
    /// Entries to running.
    var attempts = 0
    /// The task's epoch.
    var epoch = 0
    /// Its lease.
    var lease: Lease?
    /// The epoch of the last holder.
    var holder: Lease?
    /// What its attempts have cost; `nil` when the record says nothing.
    var spent: Int?
    /// The number of the plan of a step.
    var plan: Int?
    /// Which step of it.
    var step = 0
    /// The intent.
    var intent: RawJSON?
    /// The result.
    var result: RawJSON?
    /// To which task an intent is attached.
    var attachedTo: Int?
    /// A number: a term, an amount, a count.
    var value = 0
    /// When: the deadline of a task, the end of a zombie.
    var deadlineAt = 0
    /// When it was accepted, or has ended.
    var at = 0
    /// A circuit; absent in a record of kind `c`: it is gone.
    var circuit: RawJSON?

    /// Reads a record; `nil` when it is none.
    init?(_ record: [UInt8]) {
        do throws(WireError) {
            var reader = try JSONReader(record)
            try reader.beginObject()
            while let key = reader.nextKey() {
                if reader.takeNull() { continue }
                if try readName(key, &reader) { continue }
                try readRest(key, &reader)
            }
        } catch { return nil }
    }

    private mutating func readName(_ key: String, _ reader: inout JSONReader) throws(WireError) -> Bool {
        switch key {
        case "k": kind = try reader.string()
        case "n": number = try reader.int()
        case "w": workspace = try reader.string()
        case "p": principal = try reader.string()
        case "o": owner = try reader.string()
        case "i": id = try reader.string()
        case "c": capability = try reader.string()
        case "e": executor = try reader.string()
        case "s": state = try reader.string()
        case "cd": code = try reader.string()
        default: return false
        }
        return true
    }

    private mutating func readRest(_ key: String, _ reader: inout JSONReader) throws(WireError) {
        switch key {
        case "r": rev = try reader.int()
        case "ep": epoch = try reader.int()
        case "ac": attempts = try reader.int()
        case "l": lease = try JournalLine.lease(&reader)
        case "ho": holder = try JournalLine.lease(&reader)
        case "ru":
            try reader.beginObject()
            spent = spent ?? 0
            while let key = reader.nextKey() {
                if key == "sp" { spent = try reader.int() } else { reader.skip() }
            }
        case "sp": spent = try reader.int()
        case "pl": plan = try reader.int()
        case "si": step = try reader.int()
        case "in": intent = reader.raw()
        case "re": result = reader.raw()
        case "of": attachedTo = try reader.int()
        case "v": value = try reader.int()
        case "dl": deadlineAt = try reader.int()
        case "aa", "at": at = try reader.int()
        case "cv": circuit = reader.raw()
        default: reader.skip()
        }
    }

    private static func lease(_ reader: inout JSONReader) throws(WireError) -> Lease {
        var lease = Lease()
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "e": lease.executor = try reader.string()
            case "b": lease.boot = try reader.string()
            case "ep": lease.epoch = try reader.int()
            case "ga": lease.grantedAt = try reader.int()
            case "es": lease.estimate = try reader.int()
            case "fo": lease.isForced = try reader.bool()
            case "sa": lease.startedAt = try reader.int()
            default: reader.skip()
            }
        }
        return lease
    }
}
