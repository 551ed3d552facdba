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

    /// Where the broker listens, by one `listener` line and those below it.
    struct Listener: Hashable {
        /// Its port; 0 for a Unix socket.
        let port: Int
        /// The address it is bound to; absent: all.
        let host: String?
        /// As the file has it.
        let text: String
        /// The settings below it.
        let lines: [Line]

        /// Whether a setting has a value.
        func has(_ name: String, _ value: String) -> Bool { lines.contains { $0.name == name && $0.value == value } }
        /// The value of a setting.
        func value(_ name: String) -> String? { lines.last { $0.name == name }?.value }
        /// Whether only this machine can reach it.
        var isLocal: Bool { port == 0 || host?.hasPrefix("127.") ?? false || host == "localhost" || host == "::1" }
        /// Whether browsers connect to it.
        var isForBrowsers: Bool { has("protocol", "websockets") }
    }

    private(set) var lines: [Line] = []

    /// Reads a file and what it includes.
    init?(_ path: String) {
        guard read(path, isIncluded: false) else { return nil }
    }

    private mutating func read(_ path: String, isIncluded: Bool) -> Bool {
        guard let bytes = try? FileText.read(path) else { return false }
        for raw in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let line = raw.trimmingCharacters(in: .whitespaces)
            guard let name = line.split(separator: " ").first.map(String.init), !name.hasPrefix("#") else { continue }
            let value = line.dropFirst(name.count).trimmingCharacters(in: .whitespaces)
            let above = lines.last?.listener ?? 0
            let begins = name == "listener" || (name == "port" && value != "0")
            lines.append(Line(name: name, value: value, listener: begins ? above + 1 : above))
            if name == "include_dir", !isIncluded {
                let files = ((try? FileManager.default.contentsOfDirectory(atPath: value)) ?? []).sorted()
                for file in files where file.hasSuffix(".conf") { _ = read("\(value)/\(file)", isIncluded: true) }
            }
        }
        return true
    }

    /// The last value of a setting.
    func value(_ name: String) -> String? { lines.last { $0.name == name }?.value }

    /// Where the broker listens. Without any such line it is port 1883 of the loopback address.
    var listeners: [Listener] {
        let count = lines.last?.listener ?? 0
        if count == 0 { return [Listener(port: 1883, host: "127.0.0.1", text: "1883", lines: [])] }
        return (1...count).compactMap { number in
            let own = lines.filter { $0.listener == number }
            guard let first = own.first else { return nil }
            let words = first.value.split(separator: " ").map(String.init)
            let host = words.count > 1 ? words[1] : own.last { $0.name == "bind_address" }?.value
            return Listener(
                port: words.first.flatMap { Int($0) } ?? 0, host: host, text: first.value, lines: Array(own.dropFirst())
            )
        }
    }
}

/// What the broker's own files say; a client sees only a part of it.
extension Doctor {
    /// The file that is meant: the one that was named, the one of the broker that runs here, or that of the usual folder.
    private var configurationFile: String? {
        if let named = session.invocation.text("configuration") { return named }
        guard isLocal else { return nil }
        if session.invocation.text("dir") == nil, let running = runningConfiguration() { return running }
        guard let folder = try? BrokerCommands.folder(session), folder.isThere else { return nil }
        return folder.configurationFile
    }

    /// Reads the file, if there is one.
    mutating func examineConfiguration() {
        guard let file = configurationFile else {
            return add(
                .note, "configuration", "the broker's own file is not here",
                remedy: "run it on the broker's machine, or name the file: --configuration FILE")
        }
        guard let settings = BrokerSettings(file) else {
            return add(.note, "configuration", "\(file) cannot be read", remedy: "run it as root")
        }
        add(.ok, "configuration", file)
        examineAccess(settings)
        examineRoom(settings)
        examineListeners(settings)
        if isLocal {
            examineSockets(settings)
            examineDashboard(settings)
        }
    }

    private mutating func examineAccess(_ settings: BrokerSettings) {
        let hasListener = settings.lines.contains { $0.listener > 0 }
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
            add(.ok, "file_rights", "a literal block for each account, no patterns")
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
        for listener in settings.listeners {
            if listener.isForBrowsers, listener.isLocal, !listener.has("socket_domain", "ipv4") {
                add(
                    .fault, "file_websockets", "the WebSocket listener \(listener.text) listens everywhere",
                    remedy: "socket_domain ipv4 below it")
            }
            if !listener.isLocal, listener.value("certfile") == nil, listener.value("psk_hint") == nil {
                add(
                    .fault, "file_plain", "the listener \(listener.text) takes passwords from outside in clear",
                    remedy: "certfile and keyfile, or the address 127.0.0.1")
            }
        }
    }
}
