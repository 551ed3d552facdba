import Contract
public import Machine
import TimeModel
import Wire

/// The journal. Each record is one JSON object whose `k` says what it is:
///
/// | k | holds |
/// | --- | --- |
/// | `term` | the number of a start |
/// | `def` | a schedule's definition |
/// | `state` | everything else of a schedule; its runs by id |
/// | `run` | one run with its intent, written once |
/// | `del` | the end of a schedule |
/// | `ran` | one run of a check, for its log |
/// | `event`, `sent` | an event to be published; up to which one the broker has them |
/// | `adopt` | retained views are being taken over, or have been |
extension ScheduleEngine {
    mutating func journal(_ body: (inout JSONWriter) -> Void) {
        // A heartbeat that cannot write goes on; all of it is written later.
        guard isJournalWritable || settings.role == .scheduler else { return }
        var writer = JSONWriter()
        writer.object(body)
        effects.append(.append(writer.bytes))
    }

    mutating func journal(_ run: Run, _ key: ScheduleKey) { journal { ScheduleEngine.write(run, key, &$0) } }

    mutating func journalDefinition(_ record: ScheduleRecord) {
        journal { ScheduleEngine.writeDefinition(record, &$0) }
    }

    mutating func journalSent() {
        let seq = outbox.doneUpTo
        outbox.journaledUpTo = seq
        journal {
            $0.field("k", "sent")
            $0.field("seq", seq)
        }
    }

    /// Views are taken over from now on, or have all been.
    mutating func journalTakeOver(_ isOpen: Bool) {
        isTakingOver = isOpen
        journal { ScheduleEngine.writeTakeOver(isOpen, &$0) }
    }

    private static func writeTakeOver(_ isOpen: Bool, _ writer: inout JSONWriter) {
        writer.field("k", "adopt")
        writer.field("open", isOpen)
    }

    /// Journals the state of every schedule that changed in this turn.
    mutating func journalDirty() {
        guard !dirty.isEmpty else { return }
        var written: Set<ScheduleKey> = []
        for key in dirty where written.insert(key).inserted {
            guard let record = schedules[key] else { continue }
            journal { ScheduleEngine.writeState(record, &$0) }
        }
        dirty.removeAll(keepingCapacity: true)
        if outbox.doneUpTo - outbox.journaledUpTo >= Outbox.journalWithOthersEvery { journalSent() }
    }

    /// Writes records that give this state again.
    public func snapshot(_ emit: ([UInt8]) -> Void) {
        func write(_ body: (inout JSONWriter) -> Void) {
            var writer = JSONWriter()
            writer.object(body)
            emit(writer.bytes)
        }
        write {
            $0.field("k", "term")
            $0.field("term", term)
        }
        if isTakingOver { write { ScheduleEngine.writeTakeOver(true, &$0) } }
        for key in schedules.keys.sorted() {
            guard let record = schedules[key] else { continue }
            write { ScheduleEngine.writeDefinition(record, &$0) }
            for run in record.runs { write { ScheduleEngine.write(run, key, &$0) } }
            write { ScheduleEngine.writeState(record, &$0) }
            for run in record.health.log { write { ScheduleEngine.write(run, key, &$0) } }
        }
        write {
            $0.field("k", "sent")
            $0.field("seq", (outbox.items.first?.seq ?? outbox.lastSeq + 1) - 1)
        }
        for item in outbox.items {
            write {
                $0.field("k", "event")
                $0.field("seq", item.seq)
                $0.field("topic", item.topic)
                $0.field("event", try? RawJSON(validating: item.payload))
            }
        }
    }

    private static func write(_ key: ScheduleKey, _ writer: inout JSONWriter) {
        writer.field("w", key.workspace)
        writer.field("s", key.name)
    }

    private static func writeDefinition(_ record: ScheduleRecord, _ writer: inout JSONWriter) {
        writer.field("k", "def")
        write(record.key, &writer)
        writer.field("rev", record.definition.rev)
        writer.field("owner", record.definition.owner)
        writer.field("anchor", record.definition.anchor.milliseconds)
        writer.field("doc", record.definition.text)
    }

    private static func write(_ run: Run, _ key: ScheduleKey, _ writer: inout JSONWriter) {
        writer.field("k", "run")
        write(key, &writer)
        writer.field("id", run.id)
        writer.field("kind", run.kind)
        writer.field("slot", run.slot.milliseconds)
        writer.field("deferred", run.deferred)
        writer.field("repeat", run.isRepeat)
        writer.field("sent", run.sentAt.milliseconds)
        writer.field("expires", run.expiresAt.milliseconds)
        writer.field("capability", run.capability)
        writer.field("body", try? RawJSON(validating: run.body))
    }

    mutating func journalRun(_ run: CheckRun, _ key: ScheduleKey) {
        journal { ScheduleEngine.write(run, key, &$0) }
    }

    private static func write(_ run: CheckRun, _ key: ScheduleKey, _ writer: inout JSONWriter) {
        writer.field("k", "ran")
        write(key, &writer)
        writer.field("entry", run)
    }

    private static func writeState(_ record: ScheduleRecord, _ writer: inout JSONWriter) {
        writer.field("k", "state")
        write(record.key, &writer)
        writer.field("rev", record.rev)
        writer.field("status", record.status)
        writer.field("reason", record.reason)
        writer.field("note", record.note)
        writer.field("until", record.until?.milliseconds)
        writer.field("cursor", record.cursor.milliseconds)
        writer.field("highest", record.highest.milliseconds)
        if let open = record.open { writer.field("open") { write(open, &$0) } }
        var counts = record.counts
        counts.pending = 0
        writer.field("counts", counts)
        writer.key("numbers")
        writer.beginArray()
        for number in record.numbers { writer.value(number) }
        writer.endArray()
        writer.field("last", record.last)
        writer.field("last_run", record.lastRunAt?.milliseconds)
        writer.field("last_result", record.lastResultAt?.milliseconds)
        writer.field("last_missed", record.lastMissedAt?.milliseconds)
        writer.field("ran", record.lastSlotRan)
        if record.hasUncounted { writer.field("uncounted", true) }
        writer.field("created", record.createdAt.milliseconds)
        writer.field("updated", record.updatedAt.milliseconds)
        writer.field("disabled", record.disabledAt?.milliseconds)
        writer.field("confirmed", record.runs.filter(\.isConfirmed).map(\.id))
        writer.field("unconfirmed", record.runs.filter { !$0.isConfirmed }.map(\.id))
        writer.field("answered", record.requests.filter(\.isConfirmed).map(\.run))
        writer.field("asked", record.requests.filter { !$0.isConfirmed }.map(\.run))
        writer.field("notes", record.notes)
        if record.definition.check != nil { writer.field("health") { record.health.write(to: &$0) } }
    }

    private static func write(_ open: OpenSlot, _ writer: inout JSONWriter) {
        writer.field("slot", open.slot.milliseconds)
        writer.field("due", open.due.milliseconds)
        writer.field("deferred", open.deferred)
        writer.field("since", open.since.milliseconds)
        writer.field("repeat", open.isRepeat)
        if open.isEarly { writer.field("early", true) }
    }

    // Reading.

    /// Takes one record of the journal.
    public mutating func replay(_ record: [UInt8]) throws(JournalError) {
        do {
            let raw = try RawJSON(validating: record)
            try replay(JournalFields(raw))
        } catch { throw JournalError(error.message) }
    }

    private mutating func replay(_ fields: JournalFields) throws(WireError) {
        let key = ScheduleKey(workspace: fields.text("w"), name: fields.text("s"))
        let kind = fields.text("k")
        // Starts alone are no history, nor that nothing was ever told.
        if kind != "term", kind != "sent" || fields.int("seq") > 0 { hasHistory = true }
        switch kind {
        case "term": term = fields.int("term")
        case "adopt": isTakingOver = fields.flag("open")
        case "def": try replayDefinition(fields, key)
        case "state": try replayState(fields, key)
        case "run":
            let before = schedules[key].map(ScheduleFace.init)
            guard var record = schedules[key] else { return }
            let id = fields.text("id")
            record.runs.removeAll { $0.id == id }
            record.runs.append(fields.run)
            put(&record, before: before)
        case "ran":
            let run = try CheckRun(fields.raw("entry") ?? .emptyObject)
            guard let known = schedules[key]?.health.log, !known.contains(where: { $0.run == run.run }) else { return }
            schedules[key]?.health.add(run)
            schedules[key]?.health.shown.last = run
        case "del":
            if var record = schedules[key] { forget(&record) }
            setStalled(key, false, Now(wall: WallTime(milliseconds: 0), monotonic: MonotonicTime(milliseconds: 0)))
        case "event":
            guard fields.int("seq") > outbox.lastSeq, let event = fields.raw("event") else { return }
            outbox.add(Outbox.Item(seq: fields.int("seq"), topic: fields.text("topic"), payload: event.bytes))
        case "sent":
            let seq = fields.int("seq")
            outbox.items.removeAll { $0.seq <= seq }
            outbox.lastSeq = max(outbox.lastSeq, seq)
            outbox.doneUpTo = seq
            outbox.journaledUpTo = seq
        default: throw WireError(.field, path: "k", reason: "unknown kind of journal record")
        }
    }

    /// A definition whose zone this machine lacks keeps a timeline without slots, until the start disables it.
    private mutating func replayDefinition(_ fields: JournalFields, _ key: ScheduleKey) throws(WireError) {
        let reader = settings.reader(fields.raw("doc") ?? .emptyObject, shortestIntervalMs: 1)
        let anchor = WallTime(milliseconds: fields.int("anchor"))
        var compiler = settings.compiler(key.name)
        let compiled = compiler.compile(reader.document, anchor: anchor)
        guard compiled != nil || compiler.lacksZone || compiler.neverFires else {
            throw WireError(.field, path: "doc", reason: compiler.problems.first?.why ?? "cannot be read")
        }
        var worked =
            compiled
            ?? WorkedDefinition(
                document: reader.document, anchor: anchor, timeline: .init(.once(.earliestText)), window: nil,
                zone: .utc, custom: nil)
        if compiled == nil { worked.flaw = compiler.lacksZone ? .zoneUnknown : .neverFires }
        let definition = worked.named(rev: fields.int("rev"), owner: fields.text("owner"))
        if var record = schedules[key] {
            let before = ScheduleFace(record)
            record.definition = definition
            put(&record, before: before)
        } else {
            var record = ScheduleRecord(key: key, definition: definition, cursor: anchor, now: anchor)
            workspaceCounts[key.workspace, default: 0] += 1
            put(&record, before: nil)
        }
    }

    private mutating func replayState(_ fields: JournalFields, _ key: ScheduleKey) throws(WireError) {
        guard var record = schedules[key] else { return }
        let before = ScheduleFace(record)
        record.rev = fields.int("rev")
        record.status = ScheduleStatus(rawValue: fields.text("status")) ?? .active
        record.reason = fields.optionalText("reason")
        record.note = fields.optionalText("note")
        record.until = fields.time("until")
        record.cursor = fields.time("cursor") ?? record.cursor
        record.highest = fields.time("highest") ?? record.cursor
        record.open = try fields.open()
        record.counts = try fields.raw("counts").map { (raw) throws(WireError) in try SlotCounts(raw) } ?? SlotCounts()
        record.numbers = try fields.list("numbers") { (reader) throws(WireError) in try reader.int() }
        record.last = try fields.raw("last").map { (raw) throws(WireError) in try LastRun(raw) }
        record.lastRunAt = fields.time("last_run")
        record.lastResultAt = fields.time("last_result")
        record.lastMissedAt = fields.time("last_missed")
        record.lastSlotRan = fields.flag("ran")
        record.hasUncounted = fields.flag("uncounted")
        record.createdAt = fields.time("created") ?? record.createdAt
        record.updatedAt = fields.time("updated") ?? record.updatedAt
        record.disabledAt = fields.time("disabled")
        let confirmed = Set(try fields.ids("confirmed"))
        let alive = confirmed.union(try fields.ids("unconfirmed"))
        record.runs.removeAll { !alive.contains($0.id) }
        for index in record.runs.indices { record.runs[index].isConfirmed = confirmed.contains(record.runs[index].id) }
        record.requests =
            try fields.ids("answered").map { ManualRequest(run: $0, isConfirmed: true) }
            + fields.ids("asked").map { ManualRequest(run: $0, isConfirmed: false) }
        record.notes = try fields.list("notes") { (reader) throws(WireError) in reader.raw() }
        if let health = fields.raw("health") { record.health.read(JSONValue(health)) }
        record.health.isAlerting = record.status != .paused && record.health.isBad
        put(&record, before: before)
        // A later record of the same schedule may say that its runs end again.
        setStalled(
            key, record.overlapSkips >= ScheduleEngine.stalledAfter,
            Now(wall: record.lastMissedAt ?? record.updatedAt, monotonic: MonotonicTime(milliseconds: 0)))
    }

    /// Puts a replayed schedule back; nothing is queued but its timers.
    private mutating func put(_ record: inout ScheduleRecord, before: ScheduleFace?) {
        record.isDirty = false
        settle(
            &record, before: before,
            Now(wall: record.updatedAt, monotonic: MonotonicTime(milliseconds: 0)))
    }
}

extension ScheduleRecord {
    /// Its plain counters, in the order of the journal.
    var numbers: [Int] {
        get { [runCount, manual, failures, overlapSkips, day, dayRuns, usedRuns] }
        set {
            guard newValue.count >= 7 else { return }
            runCount = newValue[0]
            manual = newValue[1]
            failures = newValue[2]
            overlapSkips = newValue[3]
            day = newValue[4]
            dayRuns = newValue[5]
            usedRuns = newValue[6]
        }
    }
}

/// The fields of one journal record, read in one pass; there are few, so that a walk finds them faster than a table.
private struct JournalFields {
    private enum Value {
        case text(String)
        case number(Int)
        case other(RawJSON)
    }

    private var fields: [(key: String, value: Value)] = []

    init(_ raw: RawJSON) throws(WireError) {
        var reader = JSONReader(raw)
        try self.init(from: &reader)
    }

    private init(from reader: inout JSONReader) throws(WireError) {
        fields.reserveCapacity(32)
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch reader.kind {
            case .string: fields.append((key, .text(try reader.string(limit: .max))))
            case .number: fields.append((key, .number(try reader.int())))
            case .bool: fields.append((key, .number(try reader.bool() ? 1 : 0)))
            default: fields.append((key, .other(reader.raw())))
            }
        }
    }

    private func value(_ key: String) -> Value? {
        for field in fields where field.key == key { return field.value }
        return nil
    }

    func text(_ key: String) -> String { optionalText(key) ?? "" }

    func optionalText(_ key: String) -> String? {
        if case .text(let text)? = value(key) { return text }
        return nil
    }

    func int(_ key: String) -> Int { number(key) ?? 0 }
    func flag(_ key: String) -> Bool { number(key) == 1 }
    func time(_ key: String) -> WallTime? { number(key).map { WallTime(milliseconds: $0) } }

    private func number(_ key: String) -> Int? {
        if case .number(let number)? = value(key) { return number }
        return nil
    }

    func raw(_ key: String) -> RawJSON? {
        if case .other(let raw)? = value(key) { return raw }
        return nil
    }

    func list<Element>(
        _ key: String, _ element: (inout JSONReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        guard let raw = raw(key) else { return [] }
        var reader = JSONReader(raw)
        var list: [Element] = []
        try reader.beginArray()
        while reader.nextElement() { list.append(try element(&reader)) }
        return list
    }

    func ids(_ key: String) throws(WireError) -> [String] {
        try list(key) { (reader) throws(WireError) in try reader.string() }
    }

    var run: Run {
        var run = Run(
            id: text("id"), kind: Run.Kind(rawValue: text("kind")) ?? .slot,
            slot: WallTime(milliseconds: int("slot")), sentAt: WallTime(milliseconds: int("sent")),
            expiresAt: WallTime(milliseconds: int("expires")), capability: text("capability"),
            body: raw("body")?.bytes ?? [])
        run.deferred = flag("deferred")
        run.isRepeat = flag("repeat")
        return run
    }

    func open() throws(WireError) -> OpenSlot? {
        guard let raw = raw("open") else { return nil }
        let fields = try JournalFields(raw)
        guard let slot = fields.time("slot"), let due = fields.time("due"), let since = fields.time("since") else {
            return nil
        }
        var open = OpenSlot(
            slot: slot, due: due, deferred: fields.optionalText("deferred").flatMap(SkipReason.init(rawValue:)),
            since: since)
        open.isRepeat = fields.flag("repeat")
        open.isEarly = fields.flag("early")
        return open
    }
}
