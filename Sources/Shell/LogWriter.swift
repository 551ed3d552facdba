import Glibc
public import Machine
import TimeModel
import Wire

/// Writes log events to a descriptor, one line each, with one `write`. Lines never hold payloads: events carry none.
public final class LogWriter {
    /// The form of a line.
    public enum Format: String, Hashable, Sendable, CaseIterable {
        /// For people: time, level, name, sentence, fields.
        case text
        /// For programs: one JSON object.
        case json
    }

    /// A line of more bytes is cut.
    static let lineLimit = 8192

    private let format: Format
    /// The least grave level that is written.
    private let level: LogLevel
    private let descriptor: Int32
    private let prefixed: Bool

    /// A writer to standard error. `underJournal`: lines begin with the priority prefix of the service manager's journal
    /// and carry no time of their own; by default found out from `JOURNAL_STREAM`.
    public init(format: Format, level: LogLevel, descriptor: Int32 = 2, underJournal: Bool? = nil) {
        self.format = format
        self.level = level
        self.descriptor = descriptor
        prefixed = underJournal ?? LogWriter.isJournal(descriptor)
    }

    /// Writes one event, if it is grave enough.
    public func write(_ event: LogEvent) {
        guard event.level <= level else { return }
        var line: [UInt8] = []
        if prefixed { line += Array("<\(event.level.rawValue)>".utf8) }
        switch format {
        case .text: appendText(event, to: &line)
        case .json: appendJSON(event, to: &line)
        }
        line.append(0x0A)
        _ = line.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }

    private func appendText(_ event: LogEvent, to line: inout [UInt8]) {
        if !prefixed {
            SystemClock.wall.appendRFC3339(to: &line)
            line += Array(" \(event.level.name) ".utf8)
        }
        var text = "\(event.name): \(event.text)"
        for field in event.fields { text += " \(field.key)=\(LogWriter.quotedIfNeeded(field.value))" }
        line += LogWriter.clean(text)
        if line.count > LogWriter.lineLimit { line.removeSubrange((LogWriter.lineLimit - 1)...) }
    }

    private func appendJSON(_ event: LogEvent, to line: inout [UInt8]) {
        var writer = JSONWriter()
        writer.object { object in
            object.field("at", SystemClock.wall.rfc3339)
            object.field("level", event.level.name)
            object.field("event", event.name)
            object.field("text", LogWriter.short(event.text))
            for field in event.fields { object.field(named: field.key) { $0.value(LogWriter.short(field.value)) } }
        }
        line += writer.bytes
    }

    private static func short(_ text: String) -> String {
        text.utf8.count <= 2048 ? text : String(decoding: text.utf8.prefix(2048), as: UTF8.self)
    }

    private static func quotedIfNeeded(_ value: String) -> String {
        let plain = !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x3D && $0 < 0x7F }
        guard !plain else { return value }
        var quoted = "\""
        for character in value.unicodeScalars {
            if character == "\"" || character == "\\" { quoted += "\\" }
            quoted.unicodeScalars.append(character)
        }
        return quoted + "\""
    }

    /// Control characters could forge lines or command a terminal; they are shown as `\u{…}`.
    private static func clean(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            let value = scalar.value
            let harmful =
                value < 0x20 || (0x7F...0x9F).contains(value) || (0x202A...0x202E).contains(value)
                || (0x2066...0x2069).contains(value)
            bytes += harmful ? Array("\\u{\(String(value, radix: 16))}".utf8) : Array(String(scalar).utf8)
        }
        return bytes
    }

    /// Whether the descriptor is the stream that the service manager's journal reads.
    private static func isJournal(_ descriptor: Int32) -> Bool {
        guard let stream = environmentValue("JOURNAL_STREAM") else { return false }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return false }
        return stream == "\(status.st_dev):\(status.st_ino)"
    }
}

extension LogLevel {
    /// The level's word: `error`, `warning`, `info`, `debug`.
    public var name: String {
        switch self {
        case .error: return "error"
        case .warning: return "warning"
        case .info: return "info"
        case .debug: return "debug"
        }
    }
}
