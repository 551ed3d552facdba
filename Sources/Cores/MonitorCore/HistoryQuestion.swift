import Contract
import TimeModel
import Wire

/// What the monitor's core asks of its history.
struct HistoryQuestion: Hashable, Sendable, WireReadable, WireWritable {
    enum What: String, CaseIterable, Hashable, Sendable {
        /// Records, the newest first.
        case query
        /// All records about one subject, the newest first, with their messages.
        case get
        /// Sums of results by a dimension.
        case stats
        /// Sums of results by all dimensions at once.
        case groups
        /// How much there is.
        case size
    }

    var what: What
    /// Only of this workspace; absent: of all.
    var workspace: String?
    /// With `workspace`: also what belongs to the services.
    var includesSystem = false
    var command = HistoryCommand()

    init(_ what: What) { self.what = what }

    init(from reader: inout JSONReader) throws(WireError) {
        self.init(.size)
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "what": what = try reader.word()
            case "workspace": workspace = try reader.string(limit: Limits.key)
            case "system": includesSystem = try reader.bool()
            case "command": command = try HistoryCommand(from: &reader)
            default: reader.skip()
            }
        }
    }

    func write(to writer: inout JSONWriter) {
        writer.object {
            $0.field("what", what)
            $0.field("workspace", workspace)
            $0.field("system", includesSystem)
            $0.field("command", command)
        }
    }
}

/// The conditions of a question, in the numbers of one segment's names; `nil` asks for nothing.
struct RowFilter: Sendable {
    private var record: UInt8?
    private var status: UInt8?
    private var workspaces: [UInt32] = []
    private let anyWorkspace: Bool
    private let from: Int64
    private let to: Int64
    private var principal: UInt32?
    private var capability: UInt32?
    private var executor: UInt32?
    private var type: UInt32?
    private var code: UInt32?
    private let subject: UInt32?
    private let user: UInt32?
    private let request: UInt32?

    /// The filter of a question; `nil` when a name does not occur in the segment, so that nothing can match.
    init?(_ question: HistoryQuestion, _ names: NameTable) {
        let command = question.command
        record = command.record.map { HistoryRow.number(of: $0) }
        status = command.status.map { HistoryRow.number(ofStatus: $0) }
        from = command.from.map { Int64($0.milliseconds) } ?? .min
        to = command.to.map { Int64($0.milliseconds) } ?? .max
        subject = command.subject.map { StableHash.short($0) }
        user = command.user.map { StableHash.short($0) }
        request = command.request.map { StableHash.short($0) }
        anyWorkspace = question.workspace == nil
        if let workspace = question.workspace {
            workspaces = [workspace, question.includesSystem ? Names.systemWorkspace : nil].compactMap { $0 }
                .compactMap { names.number(of: $0) }
            if workspaces.isEmpty { return nil }
        }
        let wanted = [command.principal, command.capability, command.executor, command.type, command.code]
        let numbers = wanted.map { $0.flatMap { names.number(of: $0) } }
        for (name, number) in zip(wanted, numbers) where name != nil && number == nil { return nil }
        principal = numbers[0]
        capability = numbers[1]
        executor = numbers[2]
        type = numbers[3]
        code = numbers[4]
    }

    func accepts(_ row: HistoryRow) -> Bool {
        if let status, row.status != status { return false }
        if let capability, row.capability != capability { return false }
        if let record, row.record != record { return false }
        if let executor, row.executor != executor { return false }
        if let principal, row.principal != principal { return false }
        guard row.at >= from, row.at <= to else { return false }
        guard anyWorkspace || workspaces.contains(row.workspace) else { return false }
        if let subject, row.subject != subject { return false }
        if let type, row.type != type { return false }
        if let code, row.code != code { return false }
        if let user, row.user != user { return false }
        if let request, row.request != request { return false }
        return true
    }
}

extension HistoryCommand {
    /// The keys of the postings that a matching row must have.
    var postingKeys: [UInt32] {
        var keys: [UInt32] = []
        func add(_ field: PostingField, _ text: String?, _ status: UInt8 = 0) {
            if let text { keys.append(field.key(StableHash.short(text), status)) }
        }
        add(.subject, subject)
        add(.user, user)
        add(.request, request)
        let number = HistoryRow.number(ofStatus: status)
        if number > 1 {
            add(.capabilityStatus, capability, number)
            add(.executorStatus, executor, number)
        } else {
            add(.capability, capability)
            add(.executor, executor)
        }
        add(.principal, principal)
        return keys
    }

    /// Whether a record fulfils what a row's hashes can only suggest.
    func confirms(_ record: HistoryRecord) -> Bool {
        (subject == nil || record.subject == subject) && (user == nil || record.user == user)
            && (request == nil || record.request == request) && (status == nil || record.status == status)
    }
}
