import Foundation
import Glibc

/// A mosquitto configuration file as `martlet doctor` reads it: settings in order, with the listener they stand under.
struct BrokerSettings {
    /// One line: the setting, its value, and which listener it belongs to; 0 is none.
    struct Line: Hashable {
        let name: String
        let value: String
        let listener: Int
    }

    private(set) var lines: [Line] = []

    /// Reads a file and what it includes.
    init?(_ path: String, depth: Int = 0) {
        guard let bytes = try? FileText.read(path) else { return nil }
        var listener = 0
        for raw in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = raw.split(separator: " ", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            guard let name = words.first, !name.hasPrefix("#") else { continue }
            if name == "listener" || name == "port" { listener += 1 }
            lines.append(Line(name: name, value: words.count > 1 ? words[1] : "", listener: listener))
            if name == "include_dir", words.count > 1, depth == 0 {
                let files = ((try? FileManager.default.contentsOfDirectory(atPath: words[1])) ?? []).sorted()
                for file in files where file.hasSuffix(".conf") {
                    lines += BrokerSettings("\(words[1])/\(file)", depth: 1)?.lines ?? []
                }
            }
        }
    }

    /// The last value of a setting.
    func value(_ name: String) -> String? { lines.last { $0.name == name }?.value }
}

/// What the broker's own files say; a client sees only a part of it.
extension Doctor {
    /// The file that is meant: the one that was named, or the one of the usual folder.
    private var configurationFile: String? {
        if let named = session.invocation.text("configuration") { return named }
        guard isLocal, let folder = try? BrokerCommands.folder(session), folder.isThere else { return nil }
        return folder.configurationFile
    }

    /// Reads the file, if there is one.
    mutating func examineConfiguration() {
        guard let file = configurationFile else { return }
        guard let settings = BrokerSettings(file) else {
            return add(.note, "configuration", "\(file) cannot be read", remedy: "run it as root")
        }
        add(.ok, "configuration", file)
        examineAccess(settings)
        examineRoom(settings)
        examineListeners(settings)
    }

    private mutating func examineAccess(_ settings: BrokerSettings) {
        let hasListener = settings.lines.contains { $0.name == "listener" || $0.name == "port" }
        if settings.value("allow_anonymous") == "true" || (settings.value("allow_anonymous") == nil && !hasListener) {
            add(.fault, "file_anonymous", "accounts are not asked for", remedy: "allow_anonymous false")
        }
        guard let file = settings.value("acl_file") else {
            return add(
                .fault, "file_rights", "there is no access list: every account may do everything",
                remedy: "acl_file; martlet broker init writes one")
        }
        guard let text = try? FileText.read(file) else {
            return add(.note, "file_rights", "\(file) cannot be read", remedy: "run it as root")
        }
        let patterns = String(decoding: text, as: UTF8.self).split(separator: "\n").filter { $0.hasPrefix("pattern") }
        if patterns.isEmpty {
            add(.ok, "file_rights", "a literal block for each account")
        } else {
            add(
                .fault, "file_patterns", "\(patterns.count) pattern lines: %u also fits a username with / in it",
                remedy: "literal user blocks; martlet broker apply writes them")
        }
        if settings.value("check_retain_source") == "false" {
            add(
                .warning, "file_retain_source", "retained messages of removed accounts stay",
                remedy: "check_retain_source true")
        }
    }

    private mutating func examineRoom(_ settings: BrokerSettings) {
        let queued = Int(settings.value("max_queued_messages") ?? "1000") ?? 1000
        if queued == 0 {
            add(
                .fault, "file_queue", "max_queued_messages 0 makes mosquitto 2.0 drop clients whose publish it refuses",
                remedy: "max_queued_messages 100000")
        } else if queued < 20_000 {
            add(
                .warning, "file_queue", "queues of \(queued) messages: the snapshot of a large fleet does not fit",
                remedy: "max_queued_messages 100000")
        }
        if settings.value("max_packet_size") == nil || settings.value("memory_limit") == nil {
            add(
                .warning, "file_bounds", "one client can fill the broker's memory",
                remedy: "max_packet_size 1048576 and memory_limit 1073741824")
        }
        if settings.value("autosave_on_changes") == "true" {
            add(
                .warning, "file_autosave", "the broker writes its whole store at each change: slower by a factor of 70",
                remedy: "autosave_on_changes false and autosave_interval 60")
        }
        if settings.value("set_tcp_nodelay") != "true" {
            add(.warning, "file_nagle", "small packets are held back for 40 ms", remedy: "set_tcp_nodelay true")
        }
    }

    private mutating func examineListeners(_ settings: BrokerSettings) {
        for (index, listener) in settings.lines.filter({ $0.name == "listener" }).enumerated() {
            let own = settings.lines.filter { $0.listener == index + 1 }
            func has(_ name: String, _ value: String) -> Bool { own.contains { $0.name == name && $0.value == value } }
            let isLoopback = listener.value.contains("127.0.0.1") || listener.value.contains("/")
            if has("protocol", "websockets"), isLoopback, !has("socket_domain", "ipv4") {
                add(
                    .fault, "file_websockets", "the WebSocket listener \(listener.value) listens everywhere",
                    remedy: "socket_domain ipv4 below it")
            }
            if !isLoopback, !own.contains(where: { $0.name == "certfile" || $0.name == "psk_hint" }) {
                add(
                    .fault, "file_plain", "the listener \(listener.value) takes passwords from outside in clear",
                    remedy: "certfile and keyfile, or the address 127.0.0.1")
            }
        }
    }
}
