import Contract
import Foundation
import Shell
import TimeModel
import Timing
import Wire

/// The next times of a cron expression, by the functions that fire it.
struct SchedulePreview {
    let timeline: CronTimeline
    let zone: Zone

    /// An expression in a zone; `seed` is the schedule's id, for `H`.
    init(_ expression: String, zone: Zone, seed: String, gap: GapRule, overlap: OverlapRule) throws(Failure) {
        self.zone = zone
        let parsed: CronExpression
        do throws(CronError) { parsed = try CronExpression(expression, seed: seed) } catch {
            let hint = error.hint.map { "; \($0)" } ?? ""
            throw Failure(
                .refused,
                "at character \(error.offset + 1) of \"\(Terminal.escape(expression))\": \(error.reason)\(hint)",
                code: .invalidSpec, tries: ["martlet help schedule preview"])
        }
        guard parsed.everFires else {
            throw Failure(.refused, "\"\(Terminal.escape(expression))\" never fires", code: .invalidSpec)
        }
        timeline = CronTimeline(parsed, zone: zone, gap: gap, overlap: overlap)
    }

    /// One slot as it is shown.
    struct Row: Hashable {
        /// The instant.
        let slot: WallTime
        /// What clocks in the zone show.
        let local: String
        /// What is odd about it, or nothing.
        let note: String
    }

    /// So many slots from an instant on.
    func rows(_ count: Int, from: WallTime) -> [Row] {
        let slots = Timeline(.cron(timeline)).next(count, after: from - 1)
        let showsSeconds = slots.contains { zone.local(at: floorDivide($0.milliseconds, 1000)).second != 0 }
        return slots.map { slot in
            let second = floorDivide(slot.milliseconds, 1000)
            let offset = zone.offset(at: second)
            let local = zone.local(at: second)
            let text = "\(local.date.text) \(SchedulePreview.clock(local, showsSeconds)) \(offset.abbreviation)"
            return Row(slot: slot, local: text, note: note(slot, second, showsSeconds))
        }
    }

    private func note(_ slot: WallTime, _ second: Int, _ showsSeconds: Bool) -> String {
        switch timeline.note(at: slot) {
        case .gapShifted?:
            // What the wall would have shown: the expression's first time in the gap, read without a zone.
            let span = zone.span(at: second)
            let plain = CronTimeline(timeline.expression, zone: .utc)
            guard let missing = plain.next(after: WallTime(milliseconds: (span.seenUntil - 1) * 1000)) else {
                return ""
            }
            let local = CivilTime(seconds: floorDivide(missing.milliseconds, 1000))
            return "\(SchedulePreview.clock(local, showsSeconds)) does not exist that day"
        case .repeatedFirst?: return "comes twice; this is the first"
        default: return ""
        }
    }

    private static func clock(_ local: CivilTime, _ showsSeconds: Bool) -> String {
        let parts = [local.hour, local.minute] + (showsSeconds ? [local.second] : [])
        return parts.map { $0 < 10 ? "0\($0)" : String($0) }.joined(separator: ":")
    }
}

/// `martlet schedule preview` and `martlet schedule zone`.
enum PreviewCommands {
    /// `schedule preview`: an expression is answered here, a document or a schedule by the scheduler.
    static func preview(_ session: Session) throws(Failure) -> ExitStatus {
        let invocation = session.invocation
        if invocation.has("batch") {
            guard invocation.arguments.isEmpty else { throw .usage("--batch reads its lines from standard input") }
            return try batch(session) { lines, line in lines.preview(line) }
        }
        guard let what = invocation.argument(0) else {
            throw .usage(
                "schedule preview needs an expression, @FILE or a schedule",
                tries: ["martlet schedule preview '0 9 * * 1-5'"])
        }
        guard isExpression(what) else { return try ScheduleCommands.previewByScheduler(session, what) }
        var folder = try ZoneFolder(invocation.text("tzdir"))
        let zone = try folder.zone(invocation.text("tz") ?? "UTC")
        let preview = try SchedulePreview(
            what, zone: zone, seed: invocation.text("seed") ?? "",
            gap: invocation.word("dst-gap") ?? .automatic, overlap: invocation.word("dst-overlap") ?? .automatic)
        let now = SystemClock.wall
        let from = try invocation.text("from").map { text throws(Failure) in try start(text, zone) } ?? now
        let count = invocation.integer("count") ?? 5
        guard count <= 100 else { throw .usage("--count \(count): at most 100") }
        let rows = preview.rows(count, from: from)
        show(rows, session)
        for warning in preview.timeline.warnings(now: now) { session.terminal.say("warning: \(warning.text)") }
        return .done
    }

    private static func show(_ rows: [SchedulePreview.Row], _ session: Session) {
        var table = TextTable()
        for row in rows {
            let second = row.slot.milliseconds % 1000 == 0
            let text = row.slot.rfc3339
            let instant = second ? "\(text.prefix(19))Z" : text
            table.add([row.local, instant, row.note].filter { !$0.isEmpty })
            guard session.wantsJSON else { continue }
            session.terminal.print(
                RawJSON {
                    $0.object { writer in
                        writer.field("slot", row.slot)
                        writer.field("local", row.local)
                        writer.field("note", row.note.isEmpty ? nil : row.note)
                    }
                }.bytes)
        }
        if !session.wantsJSON {
            for line in table.lines() { session.terminal.print(line.replacing("  ", with: "   ")) }
        }
    }

    /// A cron expression has blanks; a macro is a word of a closed list.
    static func isExpression(_ text: String) -> Bool {
        let macros = ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"]
        return macros.contains(text) || text.contains(" ") || text.contains("\t")
    }

    /// A date is its midnight in the zone; else an instant.
    private static func start(_ text: String, _ zone: Zone) throws(Failure) -> WallTime {
        if let instant = WallTime(rfc3339: text) { return instant }
        if let local = TimeText("\(text)T00:00:00".utf8)?.local {
            switch zone.resolve(local) {
            case .once(let second), .missing(let second), .repeated(let second, _):
                return WallTime(milliseconds: second * 1000)
            }
        }
        throw .usage("--from \(Terminal.escape(text)): a date such as 2026-03-28, or RFC 3339")
    }

    /// `schedule zone`.
    static func zone(_ session: Session) throws(Failure) -> ExitStatus {
        if session.invocation.has("batch") {
            guard session.invocation.arguments.isEmpty else {
                throw .usage("--batch reads its lines from standard input")
            }
            return try batch(session) { lines, line in lines.zone(line) }
        }
        guard let name = session.invocation.argument(0) else {
            throw .usage("schedule zone needs a zone", tries: ["martlet schedule zone Europe/Berlin"])
        }
        var folder = try ZoneFolder(session.invocation.text("tzdir"))
        let zone = try folder.zone(name)
        let at =
            try session.invocation.text("at").map { text throws(Failure) in try start(text, zone) } ?? SystemClock.wall
        let offset = zone.offset(at: floorDivide(at.milliseconds, 1000))
        if session.wantsJSON {
            session.terminal.print(
                RawJSON { writer in
                    writer.object {
                        $0.field("tz", name)
                        $0.field("at", at)
                        $0.field("off", offset.seconds)
                        $0.field("dst", offset.isDaylight)
                        $0.field("abbr", offset.abbreviation)
                        $0.field("tzdb", folder.catalog.version)
                    }
                }.bytes)
            return .done
        }
        let minutes = abs(offset.seconds) / 60
        let clock = [minutes / 60, minutes % 60].map { $0 < 10 ? "0\($0)" : String($0) }.joined(separator: ":")
        let daylight = offset.isDaylight ? "   daylight saving" : ""
        session.terminal.print(
            "\(name)   \(offset.abbreviation)   UTC\(offset.seconds < 0 ? "-" : "+")\(clock)\(daylight)   "
                + "zone data \(folder.catalog.version)")
        return .done
    }

    /// Answers each line of standard input in its order.
    private static func batch(
        _ session: Session, _ answer: (BatchLines, [UInt8]) -> [UInt8]
    ) throws(Failure) -> ExitStatus {
        var folder = try ZoneFolder(session.invocation.text("tzdir"))
        var lines = BatchLines(zones: folder.catalog)
        var output: [UInt8] = []
        while let text = readLine() {
            let line = Array(text.utf8)
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x0D }) { continue }
            if let name = zoneName(line), lines.zones.zone(named: name) == nil {
                folder.load(name)
                lines.zones = folder.catalog
            }
            output += answer(lines, line)
            output.append(0x0A)
            if output.count > 65_536 {
                Terminal.write(1, output)
                output.removeAll(keepingCapacity: true)
            }
        }
        Terminal.write(1, output)
        return .done
    }

    private static func zoneName(_ line: [UInt8]) -> String? {
        guard var reader = try? JSONReader(line), (try? reader.beginObject()) != nil else { return nil }
        while let key = reader.nextKey() {
            if key == "tz" { return try? reader.string() }
            reader.skip()
        }
        return nil
    }
}
