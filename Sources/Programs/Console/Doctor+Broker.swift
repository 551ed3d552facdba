import Contract
import Glibc
import Machine
import Shell
import TimeModel

/// What a client can find out about a broker.
extension Doctor {
    /// Known holes of mosquitto: the version that closes each, and what it is.
    private static let holes: [(fixed: [Int], text: String)] = [
        ([2, 0, 8], "a PUBLISH with an empty topic ends the broker (CVE-2021-34432)"),
        ([2, 0, 10], "a crafted CONNACK from a client ends the broker (CVE-2021-28166)"),
        ([2, 0, 12], "many user properties in a CONNECT keep the broker busy (CVE-2021-41039)"),
        ([2, 0, 15], "20 expired messages in a queue hold back the valid ones behind them; no reason at a take-over"),
        ([2, 0, 16], "memory without an account (CVE-2023-0809, CVE-2023-3592), leak at QoS 2 (CVE-2023-28366)"),
        ([2, 0, 19], "crash or leak by a series of packets (CVE-2024-8376), by bridges (CVE-2024-3935)"),
    ]

    /// Whether somebody without account gets in.
    mutating func examineAnonymous() {
        var options = ConnectionOptions.client(settings.address, name: "martlet")
        options.authorityFile = settings.authorityFile
        let stranger = ClientSession(options)
        defer { stranger.close() }
        let isIn = settings.user == nil || (try? stranger.connect(timeoutMs: 3000)) != nil
        if isIn {
            add(
                .fault, "anonymous", "anybody gets in without an account",
                remedy: "allow_anonymous false, with a password file; or let martlet broker init write a configuration")
        } else {
            add(.ok, "anonymous", "nobody gets in without an account")
        }
    }

    /// Which broker it is, and what is known to be wrong with it.
    mutating func examineVersion(_ client: ClientSession) {
        var text = system(client, "version")
        if text == nil, isLocal { text = localVersion() }
        guard let text else {
            return add(
                .note, "version", "the broker does not say what it is",
                remedy: "look at its version on its machine; mosquitto from 2.0.19 on has no hole known here")
        }
        let words = text.split(separator: " ")
        guard let number = words.last, words.contains("mosquitto") || words.contains("version") else {
            return add(.note, "version", text, remedy: "see topics/broker.md on brokers other than mosquitto")
        }
        let version = number.split(separator: ".").compactMap { Int($0.prefix(while: \.isNumber)) }
        let open = Doctor.holes.filter { version.lexicographicallyPrecedes($0.fixed) }
        guard let latest = open.last else { return add(.ok, "version", "mosquitto \(number): no known hole") }
        let list = open.map(\.text).joined(separator: "; ")
        add(
            .warning, "version", "mosquitto \(number), unless your distribution has patched it: \(list)",
            remedy:
                "upgrade to \(latest.fixed.map(String.init).joined(separator: ".")) or later, or see to it that the "
                + "distribution's security updates are installed")
    }

    /// One of the broker's own topics; `nil` when this account may not read it.
    private func system(_ client: ClientSession, _ name: String) -> String? {
        let topic = "$SYS/broker/\(name)"
        guard (try? client.subscribe([Subscription(filter: topic, wantsRetained: true)], timeoutMs: 3000)) != nil,
            let message = try? client.wait(timeoutMs: 300, for: { $0.topic == topic })
        else { return nil }
        return String(decoding: message.payload, as: UTF8.self)
    }

    /// What the program on this machine says of itself.
    private func localVersion() -> String? {
        guard let program = FileText.program("mosquitto", environment: session.environment) else { return nil }
        let scratch = "\(UserFolders.state(session.environment))/scratch"
        guard (try? FileText.makeFolder(scratch)) != nil else { return nil }
        let log = "\(scratch)/\(RandomText.id())"
        defer { unlink(log) }
        let process = ManagedProcess("mosquitto", [program, "-h"], environment: session.environment, log: log)
        guard (try? process.start()) != nil, process.waitForEnd(ms: 5000) else { return nil }
        return process.lastLines(100).first
    }

    /// What the broker says when it accepts a connection.
    mutating func examineLimits(_ limits: BrokerLimits) {
        let needed = Limits.payload + Limits.envelope
        if let bytes = limits.packetBytes, bytes < needed {
            add(
                .fault, "packet_limit", "packets of at most \(bytes) bytes; \(needed) are needed",
                remedy: "max_packet_size 1048576")
        } else {
            add(.ok, "packet_limit", "packets of \(limits.packetBytes.map { "at most \($0) bytes" } ?? "any size")")
        }
        let inflight = limits.inflight ?? 65_535
        if inflight < 100 {
            add(
                .warning, "inflight", "\(inflight) messages under way at a time: slow under load",
                remedy: "max_inflight_messages 100")
        } else {
            add(.ok, "inflight", "\(inflight) messages under way at a time")
        }
        let missing =
            (limits.qualityOfService < 1 ? ["QoS 1"] : []) + (limits.keepsRetained ? [] : ["retained messages"])
            + (limits.takesWildcards ? [] : ["filters with wildcards"])
        if missing.isEmpty { return add(.ok, "features", "QoS 1, retained messages, wildcards") }
        add(
            .fault, "features", "the broker has no \(missing.joined(separator: ", no "))",
            remedy: "switch it on, or take another broker: topics/broker.md")
    }

    /// What this account must be allowed, and whether there are rights at all.
    mutating func examineOwnRights(_ client: ClientSession) {
        let own = topic("command/\(settings.principal)/task/list/doctor-\(RandomText.id(6))")
        switch refusal(client, own) {
        case nil: add(.ok, "rights_own", "\(settings.principal) may send commands in \(settings.workspace)")
        case let reason?:
            add(
                .warning, "rights_own",
                "\(settings.principal) may send no commands in \(settings.workspace): \(reason)",
                remedy: "martlet broker account add \(settings.principal) --role operator --workspace "
                    + "\(settings.workspace); a viewer cannot")
        }
    }

    /// What this account must not be allowed. A SUBACK proves nothing, so only what arrives counts.
    mutating func examineForeignRights(_ client: ClientSession) {
        let name = RandomText.id(8)
        let foreign = topic("intent/doctor.\(name)/doctor.probe/\(name)")
        let elsewhere = "doctor-\(name)/\(Names.protocolLevel)/intent/doctor.\(name)/doctor.probe/\(name)"
        let free = topic("doctor/\(name)")
        let open = [foreign, elsewhere].filter { refusal(client, $0) == nil }
        if open.isEmpty {
            add(.ok, "rights_foreign", "it may not write as somebody else, nor in another workspace")
        } else {
            add(
                .fault, "rights_foreign", "it may write as somebody else: \(open.joined(separator: " and "))",
                remedy: "an access list with a block for each account: martlet broker init, martlet broker apply")
        }
        let watched = [Subscription(filter: free, wantsRetained: false)]
        guard (try? client.subscribe(watched, timeoutMs: 3000)) != nil, refusal(client, free) == nil else { return }
        hasFreeTopic = (try? client.wait(timeoutMs: 1000, for: { $0.topic == free })) != nil
    }

    /// Why a publish is refused; `nil`: it is not.
    func refusal(_ client: ClientSession, _ topic: String) -> String? {
        do throws(ClientError) {
            try client.publish(OutboundMessage(topic: topic, payload: Array("{}".utf8)), timeoutMs: 3000)
            return nil
        } catch {
            if case .refused(_, let reason) = error { return reason }
            return "\(error)"
        }
    }
}
