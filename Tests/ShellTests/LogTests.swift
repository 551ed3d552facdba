import Glibc
import Machine
import TestSupport
import Testing

@testable import Shell

@Suite struct LogTests {
    private func lines(_ format: LogWriter.Format, underJournal: Bool = false, _ events: [LogEvent]) throws -> [String]
    {
        let scratch = try Scratch()
        let path = "\(scratch.path)/log"
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        let log = LogWriter(format: format, level: .info, descriptor: file, underJournal: underJournal)
        for event in events { log.write(event) }
        close(file)
        let text = String(decoding: try readFile(path), as: UTF8.self)
        return text.split(separator: "\n").map(String.init)
    }

    private let event = LogEvent(
        .warning, "lease_revoked", "The lease is over",
        [LogField("task", "t1"), LogField("text", "a \"b\"\n\u{1B}[2J")])

    @Test func textHasOneLineAnEvent() throws {
        let found = try lines(.text, [event, LogEvent(.debug, "x", "not shown")])
        #expect(found.count == 1)
        let line = try #require(found.first)
        #expect(
            line.contains("Z warning lease_revoked: The lease is over task=t1 text=\"a \\\"b\\\"\\u{a}\\u{1b}[2J\""))
    }

    @Test func underTheJournalThePriorityComesFirst() throws {
        let found = try lines(.text, underJournal: true, [event])
        #expect(found.first?.hasPrefix("<4>lease_revoked: The lease is over") == true)
    }

    @Test func jsonIsOneObjectALine() throws {
        let found = try lines(.json, [event])
        #expect(found.count == 1)
        let line = try #require(found.first)
        #expect(line.hasPrefix("{\"at\":\"20"))
        #expect(
            line.contains(
                "\"level\":\"warning\",\"event\":\"lease_revoked\",\"text\":\"The lease is over\",\"task\":\"t1\""))
    }

    @Test func theServiceManagerIsTold() throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/notify"
        let descriptor = try datagramSocket(path)
        defer { close(descriptor) }
        let notifier = ServiceNotifier(path: path, watchdogMicroseconds: "30000000")
        #expect(notifier.watchdogInterval == 15_000)
        notifier.status("ready\nfor work")
        notifier.ready()
        #expect(receive(descriptor) == "STATUS=ready for work")
        #expect(receive(descriptor) == "READY=1")
        #expect(ServiceNotifier(path: nil, watchdogMicroseconds: "5").watchdogInterval == nil)
    }

    private func datagramSocket(_ path: String) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
        }
        try #require(code == 0)
        return descriptor
    }

    private func receive(_ descriptor: Int32) -> String {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 5000) == 1 else { return "" }
        var bytes = [UInt8](repeating: 0, count: 1000)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}
