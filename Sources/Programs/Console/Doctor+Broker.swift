import Contract
import Glibc
import Machine
import Shell
import TimeModel

/// What a client can find out about a broker.
extension Doctor {
    /// Known holes of mosquitto: the version that closes each, and what it is.
    private static let holes: [(fixed: [Int], text: String, name: String?)] = [
        ([2, 0, 8], "a PUBLISH with an empty topic ends the broker", "CVE-2021-34432"),
        ([2, 0, 10], "a crafted CONNACK from a client ends the broker", "CVE-2021-28166"),
        ([2, 0, 12], "many user properties in a CONNECT keep the broker busy", "CVE-2021-41039"),
        ([2, 0, 15], "20 expired messages in a queue hold back the valid ones behind them", nil),
        ([2, 0, 15], "no reason is told at a take-over", nil),
        ([2, 0, 16], "memory is taken without an account", "CVE-2023-0809"),
        ([2, 0, 16], "a crafted Will takes memory", "CVE-2023-3592"),
        ([2, 0, 16], "QoS 2 messages of equal ids leak", "CVE-2023-28366"),
        ([2, 0, 19], "a series of packets ends the broker", "CVE-2024-8376"),
        ([2, 0, 19], "a bridge may end the broker", "CVE-2024-3935"),
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
        let patches = isLocal ? distributionPatches() : nil
        let open = Doctor.holes.filter { hole in
            guard version.lexicographicallyPrecedes(hole.fixed) else { return false }
            return hole.name.map { patches?.contains($0) != true } ?? true
        }
        let patched = patches == nil ? "" : ", with the patches of the installed package"
        guard let latest = open.last else { return add(.ok, "version", "mosquitto \(number)\(patched): no known hole") }
        let list = open.map { hole in hole.text + (hole.name.map { " (\($0))" } ?? "") }.joined(separator: "; ")
        let fixed = latest.fixed.map(String.init).joined(separator: ".")
        if open.allSatisfy({ $0.name == nil }) {
            return add(
                .note, "version", "mosquitto \(number)\(patched): no known hole; \(list)",
                remedy: "nothing has to be done: the services know of it. Gone from \(fixed) on")
        }
        add(
            .warning, "version",
            "mosquitto \(number)\(patches == nil ? ", unless your distribution has patched it" : patched): \(list)",
            remedy: "upgrade to \(fixed) or later, or install the distribution's security updates")
    }

    /// What Debian's package says that it has patched: its changelog names each hole.
    private func distributionPatches() -> String? {
        let changelog = "/usr/share/doc/mosquitto/changelog.Debian.gz"
        guard FileText.exists(changelog), let program = FileText.program("gzip", environment: session.environment)
        else { return nil }
        return output(of: [program, "-dc", changelog])
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
        return output(of: [program, "-h"])?.split(separator: "\n").first.map(String.init)
    }

    /// What a program prints.
    private func output(of words: [String]) -> String? {
        let scratch = "\(UserFolders.state(session.environment))/scratch"
        guard (try? FileText.makeFolder(scratch)) != nil else { return nil }
        let log = "\(scratch)/\(RandomText.id())"
        defer { unlink(log) }
        let process = ManagedProcess(words[0], words, environment: session.environment, log: log)
        guard (try? process.start()) != nil, process.waitForEnd(ms: 5000), let bytes = try? FileText.read(log)
        else { return nil }
        return String(decoding: bytes, as: UTF8.self)
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
                .fault, "rights_foreign",
                "it may write \(open[0] == foreign ? "as somebody else" : "in another workspace"): \(open.joined(separator: " and "))",
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
