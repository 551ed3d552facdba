import Contract
import Foundation

/// One account of the broker: who, where, and what it may do. Never a password.
struct BrokerAccount: Codable, Hashable, Sendable {
    /// The username, which is the principal.
    var name: String
    /// The workspace; absent for services, which see all of them.
    var workspace: String?
    /// What it may do.
    var roles: [String]

    /// The roles as the contract has them.
    var contractRoles: [Role] { roles.compactMap(Role.init(rawValue:)) }

    /// The lines of the broker's access list, each once.
    var rules: [AccessRule] {
        var seen: Set<AccessRule> = []
        return contractRoles.flatMap { $0.rules(workspace: workspace ?? "+", principal: name) }
            .filter { seen.insert($0).inserted }
    }
}

/// The file of accounts, from which access list and password file follow.
struct AccountFile: Codable, Hashable, Sendable {
    /// The accounts, sorted by name.
    var accounts: [BrokerAccount] = []

    /// Adds an account, or changes the one of its name.
    mutating func put(_ account: BrokerAccount) {
        accounts.removeAll { $0.name == account.name }
        accounts.append(account)
        accounts.sort { $0.name < $1.name }
    }

    /// The broker's access list: a literal block for each account.
    var accessList: String {
        var text = "# Written by martlet broker from accounts.json; a change here is lost.\n"
        for account in accounts {
            let place = account.workspace.map { "workspace \($0)" } ?? "every workspace"
            text += "\n# \(account.roles.joined(separator: ", ")) in \(place)\nuser \(account.name)\n"
            for rule in account.rules { text += "topic \(rule.access.rawValue) \(rule.filter)\n" }
        }
        return text
    }

    /// What is wrong with an access list; a broken one would be loaded in part.
    static func problem(inAccessList text: String) -> String? {
        var hasUser = false
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.isEmpty || line.hasPrefix("#") { continue }
            let words = line.split(separator: " ")
            switch words.first {
            case "user" where words.count == 2 && Names.isName(String(words[1])): hasUser = true
            case "topic" where hasUser && words.count == 3 && (words[1] == "read" || words[1] == "write"): continue
            default: return "line \(index + 1) of the access list is not of its form: \(line)"
            }
        }
        return nil
    }
}

/// Where the broker listens, and as whom it runs.
struct BrokerListeners: Codable, Hashable, Sendable {
    /// Port on the loopback address.
    var port: Int
    /// Unix socket; absent where the path would be too long for one.
    var socket: String?
    /// The system's user to run as; absent: mosquitto's own choice.
    var runAs: String?
    /// For clients from outside; absent: nobody from outside.
    var secure: SecureListener?
    /// Where browsers connect; absent: nowhere.
    var web: WebListener?
}

/// A listener with TLS on all addresses.
struct SecureListener: Codable, Hashable, Sendable {
    /// Its port.
    var port: Int
    /// File with the broker's certificate.
    var certificate: String
    /// File with its key.
    var key: String
    /// File with the authorities that sign the certificates of clients; where it is given, a certificate takes the place
    /// of a password, and its common name is the account.
    var clientAuthority: String?

    /// Its lines in the configuration.
    var lines: [String] {
        let lines = [
            "", "listener \(port)", "certfile \(certificate)", "keyfile \(key)", "tls_version tlsv1.2",
            "max_connections 10000",
        ]
        guard let clientAuthority else { return lines }
        return lines + ["cafile \(clientAuthority)", "require_certificate true", "use_identity_as_username true"]
    }
}

/// A listener for browsers on the loopback address: MQTT over WebSockets, and the dashboard's files.
struct WebListener: Codable, Hashable, Sendable {
    /// Its port.
    var port: Int
    /// The folder of the dashboard; absent: WebSockets alone.
    var files: String?

    /// The lines of the configuration. Without `socket_domain` it would listen on every interface.
    var lines: [String] {
        ["", "listener \(port) 127.0.0.1", "socket_domain ipv4", "protocol websockets", "max_connections 1000"]
            + (files.map { ["http_dir \($0)"] } ?? [])
    }
}

/// The shipped configuration of mosquitto (`topics/broker.md`).
struct BrokerConfiguration: Hashable, Sendable {
    /// The folder of all its files.
    var folder: String
    /// Where it listens.
    var listeners: BrokerListeners

    /// The text of `mosquitto.conf`.
    var text: String {
        var lines = [
            "# Written by martlet broker; a change here is lost.",
            "per_listener_settings false",
            "allow_anonymous false",
            "password_file \(folder)/passwords",
            "acl_file \(folder)/acl",
            "check_retain_source true",
            "pid_file \(folder)/run/mosquitto.pid",
            "persistence true",
            "persistence_location \(folder)/data/",
            "autosave_interval 60",
            "autosave_on_changes false",
            "persistent_client_expiration 7d",
            "max_queued_messages 100000",
            "max_queued_bytes 33554432",
            "max_inflight_messages 100",
            "max_keepalive 120",
            "max_packet_size 1048576",
            "memory_limit 1073741824",
            "set_tcp_nodelay true",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_timestamp_format %Y-%m-%dT%H:%M:%S",
        ]
        if let user = listeners.runAs { lines.append("user \(user)") }
        lines += ["", "listener \(listeners.port) 127.0.0.1", "max_connections 20000"]
        if let socket = listeners.socket { lines += ["", "listener 0 \(socket)", "max_connections 20000"] }
        lines += listeners.secure?.lines ?? []
        lines += listeners.web?.lines ?? []
        return lines.joined(separator: "\n") + "\n"
    }
}
