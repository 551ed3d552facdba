import Contract
import Machine
import Wire

/// What an executor writes to its journal. A record of another form is refused: an older program does not guess.
enum JournalRecord: Hashable, Sendable {
    /// A run of the program began; what was under way before is lost.
    case run(boot: String)
    /// A dispatcher with this term was heard.
    case term(Int)
    /// Work begins.
    case begun(AttemptKey)
    /// Work ended without an outcome.
    case dropped(AttemptKey)
    /// Work ended with an outcome, to be sent until it is settled.
    case outcome(AttemptKey, RawJSON)
    /// An outcome is confirmed or counts no more.
    case settled(AttemptKey)
    /// Highest epochs, from a compaction.
    case epochs([AttemptKey])
    /// A capability was loaded or unloaded.
    case loaded(String, Bool)

    private enum Kind: String, CaseIterable {
        case run, term, begun, dropped, outcome, settled, epochs, loaded
    }

    private var kind: Kind {
        switch self {
        case .run: .run
        case .term: .term
        case .begun: .begun
        case .dropped: .dropped
        case .outcome: .outcome
        case .settled: .settled
        case .epochs: .epochs
        case .loaded: .loaded
        }
    }

    var bytes: [UInt8] {
        var writer = JSONWriter()
        writer.object {
            $0.field("record", kind.rawValue)
            switch self {
            case .run(let boot): $0.field("boot", boot)
            case .term(let term): $0.field("term", term)
            case .begun(let key), .dropped(let key), .settled(let key): $0.field("key", Written(key))
            case .outcome(let key, let report):
                $0.field("key", Written(key))
                $0.field("report", report)
            case .epochs(let keys): $0.field("keys", keys.map(Written.init))
            case .loaded(let name, let flag):
                $0.field("name", name)
                $0.field("loaded", flag)
            }
        }
        return writer.bytes
    }

    init(_ bytes: [UInt8]) throws(JournalError) {
        do {
            self = try JournalRecord.read(JSONReader(bytes))
        } catch {
            throw JournalError(error.message)
        }
    }

    private static func read(_ reader: JSONReader) throws(WireError) -> JournalRecord {
        var reader = reader
        let unknown = reader.refused("a record of no known form")
        var kind: Kind?
        var (boot, term, report) = ("", 0, RawJSON.null)
        var (name, flag) = ("", false)
        var keys: [AttemptKey] = []
        try reader.beginObject()
        while let field = reader.nextKey() {
            switch field {
            case "record": kind = try reader.word()
            case "boot": boot = try reader.name()
            case "term": term = try reader.int()
            case "key": keys = [try Written(from: &reader).key]
            case "keys": keys = try reader.list(Written.self, count: Limits.executorEpochs).map(\.key)
            case "report": report = reader.raw()
            case "name": name = try reader.name()
            case "loaded": flag = try reader.bool()
            default: throw unknown
            }
        }
        switch (kind, keys.first) {
        case (.run?, _): return .run(boot: boot)
        case (.term?, _): return .term(term)
        case (.loaded?, _): return .loaded(name, flag)
        case (.epochs?, _): return .epochs(keys)
        case (.begun?, let key?): return .begun(key)
        case (.dropped?, let key?): return .dropped(key)
        case (.settled?, let key?): return .settled(key)
        case (.outcome?, let key?): return .outcome(key, report)
        default: throw unknown
        }
    }
}

/// The form of a key in a record: `[principal, task, epoch]`.
private struct Written: WireReadable, WireWritable {
    var key: AttemptKey

    init(_ key: AttemptKey) { self.key = key }

    init(from reader: inout JSONReader) throws(WireError) {
        let refusal = reader.refused("expected [principal, task, epoch]")
        try reader.beginArray()
        guard reader.nextElement() else { throw refusal }
        let principal = try reader.string(limit: Names.limit)
        guard reader.nextElement() else { throw refusal }
        let task = try reader.id()
        guard reader.nextElement() else { throw refusal }
        key = AttemptKey(principal: principal, task: task, epoch: try reader.int())
        if reader.nextElement() { throw refusal }
    }

    func write(to writer: inout JSONWriter) {
        writer.beginArray()
        writer.value(key.task.principal)
        writer.value(key.task.task)
        writer.value(key.epoch)
        writer.endArray()
    }
}
