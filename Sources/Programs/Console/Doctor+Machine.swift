import Foundation
import Glibc
import Shell

/// What the broker's machine shows besides the broker's files: its process, its sockets, what browsers get.
extension Doctor {
    /// The configuration file of the mosquitto that runs here and listens where this command connects.
    func runningConfiguration() -> String? {
        let processes = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int($0) }
        for process in processes.sorted() {
            guard let name = try? FileText.read("/proc/\(process)/comm"), name.starts(with: Array("mosquitto".utf8)),
                let line = try? FileText.read("/proc/\(process)/cmdline")
            else { continue }
            let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            func value(_ flags: String...) -> String? {
                words.firstIndex(where: flags.contains).flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
            }
            guard let file = value("-c", "--config-file"), file.hasPrefix("/"), let settings = BrokerSettings(file)
            else { continue }
            let isOurs = settings.listeners.contains { listener in
                listener.port == 0
                    ? self.settings.address.transport == .unix && listener.host == self.settings.address.host
                    : self.settings.address.transport != .unix && listener.port == self.settings.address.port
            }
            if isOurs || value("-p", "--port") == String(self.settings.address.port) { return file }
        }
        return nil
    }

    /// Listeners that the file keeps on this machine are on this machine alone: the file says so, the kernel knows.
    mutating func examineSockets(_ settings: BrokerSettings) {
        let local = settings.listeners.filter { $0.isLocal && $0.port > 0 }
        let open = local.filter { ListeningSockets.isOpenToOthers($0.port) == true }
        for listener in open {
            add(
                .fault, "listening",
                "port \(listener.port) takes connections from other machines, whatever the file says",
                remedy: listener.isForBrowsers
                    ? "socket_domain ipv4 below the listener" : "listener \(listener.port) 127.0.0.1, then restart it")
        }
        if open.isEmpty, !local.isEmpty {
            let ports = local.map { String($0.port) }.joined(separator: " and ")
            add(.ok, "listening", "port \(ports): this machine only")
        }
    }

    /// Whether browsers get the dashboard: the page, and each file that it names.
    mutating func examineDashboard(_ settings: BrokerSettings) {
        for listener in settings.listeners where listener.isForBrowsers {
            guard let folder = listener.value("http_dir") else {
                add(
                    .note, "dashboard", "port \(listener.port) speaks WebSockets but serves no dashboard",
                    remedy: "http_dir below the listener; martlet broker init --web-port writes it")
                continue
            }
            let page = LocalPage.fetch("/", port: listener.port)
            let files = page.map { LocalPage.files(in: $0) } ?? []
            let missing = files.filter { LocalPage.fetch("/\($0)", port: listener.port) == nil }
            if page != nil, missing.isEmpty, !files.isEmpty {
                add(.ok, "dashboard", "http://127.0.0.1:\(listener.port)/ with \(files.count) files")
            } else {
                let what = page == nil ? "nothing" : "not \(missing.isEmpty ? "the dashboard" : missing[0])"
                add(
                    .warning, "dashboard", "http://127.0.0.1:\(listener.port)/ serves \(what)",
                    remedy: "http_dir is \(folder): the dashboard's files must be there, readable for the broker")
            }
        }
    }
}

/// The TCP ports of this machine that are listened on, as the kernel has them.
enum ListeningSockets {
    private static let loopback: Set = [
        "0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F",
    ]

    /// Whether others can reach a port; `nil` when nobody listens there.
    static func isOpenToOthers(_ port: Int) -> Bool? {
        var found: Bool?
        for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
            guard let bytes = try? FileText.read(file) else { continue }
            for address in addresses(String(decoding: bytes, as: UTF8.self), port: port) {
                found = (found ?? false) || !loopback.contains(address)
            }
        }
        return found
    }

    /// The addresses on which a port is listened on, in a table of the kernel.
    static func addresses(_ table: String, port: Int) -> [String] {
        let digits = String(port, radix: 16, uppercase: true)
        let wanted = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        return table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 3, fields[3] == "0A" else { return nil }
            let parts = fields[1].split(separator: ":")
            return parts.count == 2 && parts[1] == wanted ? String(parts[0]) : nil
        }
    }
}

/// A page of a server on this machine.
enum LocalPage {
    /// The content at a path, at most a megabyte; `nil` when there is none, or it takes longer than two seconds.
    static func fetch(_ path: String, port: Int) -> String? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 2, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        let request = Array("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n\r\n".utf8)
        guard connected == 0, send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count
        else { return nil }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while answer.count < 1 << 20, !isComplete(answer) {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            answer += buffer[..<count]
        }
        return content(answer)
    }

    /// The body of an answer with status 200.
    static func content(_ answer: [UInt8]) -> String? {
        let text = String(decoding: answer, as: UTF8.self)
        guard text.hasPrefix("HTTP/1."), text.split(separator: " ").dropFirst().first == "200",
            let end = text.firstRange(of: "\r\n\r\n")
        else { return nil }
        return String(text[end.upperBound...])
    }

    /// Whether as much of the body is there as its length says.
    private static func isComplete(_ answer: [UInt8]) -> Bool {
        let text = String(decoding: answer.prefix(4096), as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else { return false }
        let head = text[..<end.lowerBound].lowercased()
        guard let field = head.firstRange(of: "content-length:"),
            let length = Int(head[field.upperBound...].prefix { $0 != "\r\n" }.filter(\.isNumber))
        else { return false }
        return answer.count >= text[..<end.upperBound].utf8.count + length
    }

    /// The scripts and style sheets that a page names.
    static func files(in page: String) -> [String] {
        page.split(separator: "\"").compactMap { word in
            let name = String(word.prefix { $0 != "?" })
            let isOwn = !name.contains(where: \.isWhitespace) && !name.contains("//")
            return isOwn && (name.hasSuffix(".js") || name.hasSuffix(".css")) ? name : nil
        }
    }
}
