public import TimeModel
import Wire

/// The line forms of `martlet schedule preview --batch` and `martlet schedule zone --batch`: one JSON object in, one
/// out, nothing kept in between (`topics/schedules.md`).
public struct BatchLines: Sendable {
    /// The zones that lines may name.
    public var zones: ZoneCatalog

    /// How many slots a preview line gives.
    static let slots = 5
    /// Seconds that lines may name: the years 0000 to 9999.
    static let seconds =
        WallTime.earliestText.milliseconds / 1000...WallTime.latestText.milliseconds / 1000

    /// Answers lines about these zones.
    public init(zones: ZoneCatalog) { self.zones = zones }

    /// Answers `{"id","expr","tz","start","seed","dst_gap","dst_overlap"}` with `{"id","next":[…]}` or
    /// `{"id","reject":"code"}`. `start` is in epoch seconds and exclusive; `tz` absent is UTC, `seed` the id for `H`.
    public func preview(_ line: [UInt8]) -> [UInt8] {
        guard let reader = try? JSONReader(line), reader.kind == .object else {
            return BatchLines.line {
                $0.field("id", RawJSON.null); $0.field("reject", "invalid_json")
            }
        }
        let id = BatchLines.raw("id", reader) ?? .null
        let answer: PreviewAnswer
        do { answer = try slots(PreviewLine(reader)) } catch { answer = .refused("invalid_field") }
        return BatchLines.line { writer in
            writer.field("id", id)
            switch answer {
            case .refused(let code): writer.field("reject", code)
            case .slots(let slots):
                writer.key("next")
                writer.beginArray()
                for slot in slots { writer.value(floorDivide(slot.milliseconds, 1000)) }
                writer.endArray()
            }
        }
    }

    /// Answers `{"tz","at"}` with `{"tz","at","off","dst","abbr"}` or `{"tz","at","reject":"code"}`; `at` is in epoch
    /// seconds, `off` in seconds east of UTC.
    public func zone(_ line: [UInt8]) -> [UInt8] {
        guard let reader = try? JSONReader(line), reader.kind == .object else {
            return BatchLines.line {
                $0.field("tz", RawJSON.null); $0.field("reject", "invalid_json")
            }
        }
        return BatchLines.line { writer in
            writer.field("tz", BatchLines.raw("tz", reader) ?? .null)
            writer.field("at", BatchLines.raw("at", reader) ?? .null)
            guard let question = try? ZoneLine(reader) else { return writer.field("reject", "invalid_field") }
            guard let zone = zones.zone(named: question.zone) else { return writer.field("reject", "invalid_spec") }
            let offset = zone.offset(at: question.second)
            writer.field("off", offset.seconds)
            writer.field("dst", offset.isDaylight)
            writer.field("abbr", offset.abbreviation)
        }
    }

    private enum PreviewAnswer {
        case refused(String)
        case slots([WallTime])
    }

    private func slots(_ line: PreviewLine) -> PreviewAnswer {
        guard let zone = zones.zone(named: line.zone),
            let expression = try? CronExpression(line.expression, seed: line.seed)
        else { return .refused("invalid_spec") }
        guard expression.everFires else { return .slots([]) }
        let cron = CronTimeline(expression, zone: zone, gap: line.gap, overlap: line.overlap)
        return .slots(Timeline(.cron(cron)).next(BatchLines.slots, after: WallTime(milliseconds: line.start * 1000)))
    }

    private static func raw(_ name: String, _ document: JSONReader) -> RawJSON? {
        var reader = document
        guard (try? reader.beginObject()) != nil else { return nil }
        while let key = reader.nextKey() {
            if key == name { return reader.raw() }
            reader.skip()
        }
        return nil
    }

    private static func line(_ body: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter()
        writer.object(body)
        return writer.bytes
    }
}

private struct PreviewLine {
    var expression = ""
    var zone = "UTC"
    var start = 0
    var seed = ""
    var gap = GapRule.automatic
    var overlap = OverlapRule.automatic

    init(_ document: JSONReader) throws(WireError) {
        var reader = document
        var seen: Set<String> = []
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            seen.insert(key)
            switch key {
            case "expr": expression = try reader.string()
            case "tz": zone = try reader.string()
            case "start": start = try reader.int(in: BatchLines.seconds)
            case "seed": seed = try reader.string()
            case "dst_gap": gap = try reader.word()
            case "dst_overlap": overlap = try reader.word()
            default: reader.skip()
            }
        }
        guard seen.contains("expr"), seen.contains("start") else { throw reader.refused("expr and start are needed") }
    }
}

private struct ZoneLine {
    var zone = ""
    var second = 0

    init(_ document: JSONReader) throws(WireError) {
        var reader = document
        var found = 0
        try reader.beginObject()
        while let key = reader.nextKey() {
            switch key {
            case "tz":
                zone = try reader.string()
                found += 1
            case "at":
                second = try reader.int(in: BatchLines.seconds)
                found += 1
            default: reader.skip()
            }
        }
        guard found == 2 else { throw reader.refused("tz and at are needed") }
    }
}
