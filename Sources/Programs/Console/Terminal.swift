import Glibc
import TimeModel

/// Where a command writes: data to standard output, messages to standard error.
struct Terminal: Sendable {
    /// How points in time are shown.
    enum TimeStyle: String, Sendable { case relative, local, utc }
    /// The colours in use.
    enum Color: String, Sendable {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case dim = "2"
        case bold = "1"
    }

    /// Whether colour goes to standard output.
    var colorsOutput = false
    /// Whether colour goes to standard error.
    var colorsMessages = false
    /// Whether standard output is a terminal.
    var isTerminal = false
    /// Whether messages other than errors are left out.
    var isQuiet = false
    /// Whether there are more messages.
    var isVerbose = false
    /// How points in time are shown.
    var timeStyle = TimeStyle.relative

    /// The terminal of a process: `--color` beats NO_COLOR beats CLICOLOR_FORCE; off for TERM=dumb.
    init(color: String?, environment: [String: String], outputIsTerminal: Bool, messagesAreTerminal: Bool) {
        func wanted(_ terminal: Bool) -> Bool {
            switch color {
            case "always": return true
            case "never": return false
            default: break
            }
            if let set = environment["NO_COLOR"], !set.isEmpty { return false }
            if let force = environment["CLICOLOR_FORCE"], !force.isEmpty, force != "0" { return true }
            return terminal && environment["TERM"] != "dumb"
        }
        isTerminal = outputIsTerminal
        colorsOutput = wanted(outputIsTerminal)
        colorsMessages = wanted(messagesAreTerminal)
    }

    /// Writes one line of data.
    func print(_ line: String) { Terminal.write(1, Array(line.utf8) + [0x0A]) }
    /// Writes JSON, with a line end.
    func print(_ bytes: [UInt8]) { Terminal.write(1, Terminal.escapeJSON(bytes) + [0x0A]) }
    /// Writes a message unless `--quiet`.
    func say(_ line: String) {
        if !isQuiet { Terminal.write(2, Array(line.utf8) + [0x0A]) }
    }
    /// Writes a message with `--verbose` only.
    func detail(_ line: String) {
        if isVerbose && !isQuiet { Terminal.write(2, Array(line.utf8) + [0x0A]) }
    }
    /// Writes an error.
    func complain(_ line: String) {
        let prefix = paint(.red, "martlet:", on: colorsMessages)
        Terminal.write(2, Array("\(prefix) \(line)\n".utf8))
    }

    /// Text in a colour, if standard output has colours.
    func paint(_ color: Color, _ text: String) -> String { paint(color, text, on: colorsOutput) }

    private func paint(_ color: Color, _ text: String, on: Bool) -> String {
        on ? "\u{1B}[\(color.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// A state or status in its colour.
    func paintState(_ word: String) -> String {
        switch word {
        case "success", "online", "closed", "active", "ready", "up", "ok": paint(.green, word)
        case "failed", "timeout", "rejected", "lost", "open", "disabled", "down", "error": paint(.red, word)
        case "canceled", "delayed", "half_open", "draining", "paused", "awaiting_approval", "warning":
            paint(.yellow, word)
        default: word
        }
    }

    /// Text from the network with its control characters, and those that turn the direction, made visible.
    static func escape(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars {
            if isActive(scalar) {
                shown += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            } else {
                shown.unicodeScalars.append(scalar)
            }
        }
        return shown
    }

    /// What a terminal acts upon, or what turns or hides text.
    private static func isActive(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00..<0x20, 0x7F..<0xA0, 0x061C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF,
            0xFFF9...0xFFFB:
            true
        default: false
        }
    }

    /// JSON with the same characters as JSON's own escapes: they can only stand within its texts.
    static func escapeJSON(_ bytes: [UInt8]) -> [UInt8] {
        if bytes.allSatisfy({ $0 < 0x7F }) { return bytes }
        var shown = ""
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            if scalar.value >= 0x7F, isActive(scalar) {
                let digits = String(scalar.value, radix: 16)
                shown += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            } else {
                shown.unicodeScalars.append(scalar)
            }
        }
        return Array(shown.utf8)
    }

    /// A point in time for people.
    func time(_ time: WallTime, now: WallTime) -> String {
        switch timeStyle {
        case .relative:
            let distance = time - now
            if abs(distance) < 1000 { return "now" }
            return distance > 0 ? "in \(Durations.text(distance))" : "\(Durations.text(-distance)) ago"
        case .utc: return Terminal.utc(time)
        case .local: return Terminal.local(time)
        }
    }

    /// The same for a column: of a relative time the greatest unit only.
    func age(_ time: WallTime, now: WallTime) -> String {
        guard timeStyle == .relative, abs(time - now) >= 1000 else { return self.time(time, now: now) }
        return time > now ? "in \(Durations.short(time - now))" : "\(Durations.short(now - time)) ago"
    }

    /// `2026-11-20 09:00:00 UTC`.
    static func utc(_ time: WallTime) -> String {
        let text = time.rfc3339
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8)) UTC"
    }

    /// `2026-11-20 10:00:00 CET`, in the zone of this process.
    static func local(_ time: WallTime) -> String {
        var seconds = time_t(floorDivide(time.milliseconds, 1000))
        var parts = tm()
        guard localtime_r(&seconds, &parts) != nil else { return utc(time) }
        var buffer = [CChar](repeating: 0, count: 64)
        let count = strftime(&buffer, buffer.count, "%Y-%m-%d %H:%M:%S %Z", &parts)
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Writes all bytes; a reader that has gone away ends the program.
    static func write(_ descriptor: Int32, _ bytes: [UInt8]) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done)
            }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                if errno == EPIPE { exit(ExitStatus.done.rawValue) }
                return
            }
            done += count
        }
    }

    /// Columns of the terminal that output goes to; `nil` where it goes elsewhere.
    var columns: Int? { isTerminal ? Terminal.width : nil }

    /// Columns of the terminal, 80 when unknown.
    static var width: Int { size.columns }

    /// Columns and rows of the terminal, 80 by 24 when unknown.
    static var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// The columns that a line takes; its colours take none.
    static func visibleWidth(_ line: String) -> Int {
        var count = 0
        var isEscape = false
        for character in line {
            if character == "\u{1B}" { isEscape = true }
            if !isEscape { count += 1 } else if character.isLetter { isEscape = false }
        }
        return count
    }

    /// The first so many columns of a line; its colours take none, and are ended where it is cut.
    static func cut(_ line: String, _ columns: Int) -> String {
        var shown = ""
        var room = columns
        var isColored = false
        var isEscape = false
        for character in line {
            if character == "\u{1B}" { isEscape = true }
            if isEscape {
                shown.append(character)
                guard character.isLetter else { continue }
                isColored = !shown.hasSuffix("[0m")
                isEscape = false
            } else {
                guard room > 0 else { return isColored ? shown + "\u{1B}[0m" : shown }
                shown.append(character)
                room -= 1
            }
        }
        return shown
    }
}
