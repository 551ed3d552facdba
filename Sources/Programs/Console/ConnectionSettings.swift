import Contract
import Foundation
import Shell

/// A named connection, kept in the file of contexts.
struct ConnectionContext: Codable, Hashable, Sendable {
    /// The broker's address.
    var broker: String
    /// The account.
    var user: String?
    /// File with its password.
    var passwordFile: String?
    /// File with the authorities that may sign the broker's certificate.
    var authorityFile: String?
    /// The workspace.
    var workspace: String?

    private enum CodingKeys: String, CodingKey {
        case broker, user, workspace
        case passwordFile = "password_file"
        case authorityFile = "authority_file"
    }
}

/// The file of contexts: `contexts.json` in the user's configuration folder.
struct ContextFile: Codable, Hashable, Sendable {
    /// The name of the one in use.
    var current: String?
    /// All of them by name.
    var contexts: [String: ConnectionContext] = [:]

    /// Where it lies.
    static func path(_ environment: [String: String]) -> String {
        "\(UserFolders.configuration(environment))/contexts.json"
    }

    /// Reads it; an absent file has no contexts.
    static func read(_ environment: [String: String]) throws(Failure) -> ContextFile {
        let path = path(environment)
        guard FileManager.default.fileExists(atPath: path) else { return ContextFile() }
        do {
            return try JSONDecoder().decode(ContextFile.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw Failure(.configuration, "\(path) is not a file of contexts", tries: ["rm \(path)"])
        }
    }

    /// Writes it, as a whole or not at all.
    func write(_ environment: [String: String]) throws(Failure) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else { throw Failure(.ownFault, "the contexts cannot be encoded") }
        try FileText.replace(ContextFile.path(environment), [UInt8](data) + [0x0A], mode: 0o600)
    }
}

/// The user's folders by the XDG rules.
enum UserFolders {
    /// `$XDG_CONFIG_HOME/martlet`, or `~/.config/martlet`.
    static func configuration(_ environment: [String: String]) -> String {
        folder(environment, "XDG_CONFIG_HOME", ".config")
    }

    /// `$XDG_STATE_HOME/martlet`, or `~/.local/state/martlet`.
    static func state(_ environment: [String: String]) -> String {
        folder(environment, "XDG_STATE_HOME", ".local/state")
    }

    private static func folder(_ environment: [String: String], _ variable: String, _ standard: String) -> String {
        if let base = environment[variable], base.hasPrefix("/") { return "\(base)/martlet" }
        return "\(environment["HOME"] ?? "/tmp")/\(standard)/martlet"
    }
}

/// How to reach the broker, and as whom: flags before environment before context before the default.
struct ConnectionSettings: Hashable, Sendable {
    /// Where the broker listens.
    var address = BrokerAddress.standard
    /// The account, or none.
    var user: String?
    /// File with its password.
    var passwordFile: String?
    /// File with the authorities that may sign the broker's certificate.
    var authorityFile: String?
    /// File with a client certificate.
    var certificateFile: String?
    /// File with its key.
    var keyFile: String?
    /// The workspace.
    var workspace = Names.defaultWorkspace

    /// The name that stands in topics: the account, or `anonymous` on a broker that asks for none.
    var principal: String { user ?? "anonymous" }

    /// Settings of a known broker.
    init(address: BrokerAddress, user: String?, passwordFile: String?) {
        self.address = address
        self.user = user
        self.passwordFile = passwordFile
    }

    /// What an invocation means.
    init(_ invocation: Invocation, environment: [String: String]) throws(Failure) {
        let configuration = try ClientConfiguration.read(invocation, environment: environment)
        let file = try ContextFile.read(environment)
        let asked = configuration.text("client.context")
        let name = asked ?? file.current
        if let name, let context = file.contexts[name] {
            try take(context, name)
        } else if let asked {
            throw Failure(
                .configuration, "there is no context \"\(Terminal.escape(asked))\"",
                meant: Nearest.name(to: asked, in: Array(file.contexts.keys)), tries: ["martlet context list"])
        } else {
            try takeBroker(configuration.text("broker.address") ?? "")
            user = configuration.text("client.user")
            passwordFile = configuration.text("client.password_file")
        }
        try takeNearer(configuration)
        authorityFile = authorityFile ?? configuration.text("broker.ca_file")
        certificateFile = configuration.text("broker.certificate_file")
        keyFile = configuration.text("broker.key_file")
        try check()
    }

    /// What flags and the environment say goes before the context.
    private mutating func takeNearer(_ configuration: Configuration) throws(Failure) {
        func nearer(_ path: String) -> String? {
            switch configuration.entry(path).origin {
            case .flag, .environment: configuration.text(path)
            case .file, .standard: nil
            }
        }
        if let text = nearer("broker.address") { try takeBroker(text) }
        if let given = nearer("client.user") {
            if given != user { passwordFile = nil }
            user = given
        }
        passwordFile = nearer("client.password_file") ?? passwordFile
        workspace = nearer("client.workspace") ?? workspace
    }

    private mutating func take(_ context: ConnectionContext, _ name: String) throws(Failure) {
        guard let address = BrokerAddress(context.broker) else {
            throw Failure(.configuration, "the context \"\(name)\" names no broker: \(context.broker)")
        }
        self.address = address
        user = context.user
        passwordFile = context.passwordFile
        authorityFile = context.authorityFile
        workspace = context.workspace ?? workspace
    }

    /// Another broker than the context's needs its own account.
    private mutating func takeBroker(_ text: String) throws(Failure) {
        guard let address = BrokerAddress(text) else {
            throw .usage(
                "\"\(Terminal.escape(text))\" is no broker address: mqtt://HOST:PORT, mqtts://HOST:PORT, unix:/PATH")
        }
        if address != self.address { (user, passwordFile, authorityFile) = (nil, nil, nil) }
        self.address = address
    }

    private func check() throws(Failure) {
        for name in [user, workspace].compactMap(\.self) where !Names.isName(name) {
            throw .usage("\"\(Terminal.escape(name))\" is no name: letters, digits, '.', '_', '~', '-', at most 64")
        }
        if let passwordFile, access(passwordFile, R_OK) != 0 {
            throw Failure(.configuration, "the password file \(passwordFile) cannot be read")
        }
    }

    /// How to connect.
    var options: ConnectionOptions {
        var options = ConnectionOptions.client(address, name: "martlet")
        options.username = user
        options.passwordFile = passwordFile
        options.authorityFile = authorityFile
        options.certificateFile = certificateFile
        options.keyFile = keyFile
        return options
    }
}

/// The part of the configuration that the command line has for itself: sections `broker` and `client`.
enum ClientConfiguration {
    /// The keys.
    static let keys =
        BrokerKeys.keys(section: "client", defaultUser: nil) + [
            ConfigurationKey(
                "client.workspace", .text, standard: Names.defaultWorkspace, help: "The workspace.", flag: "workspace"),
            ConfigurationKey("client.context", .text, help: "The named connection to use.", flag: "context"),
        ]

    /// Reads it: flags, environment, files.
    static func read(_ invocation: Invocation, environment: [String: String]) throws(Failure) -> Configuration {
        var words: [String] = []
        for flag in ["broker", "user", "password-file", "workspace", "context", "config"] {
            if let value = invocation.text(flag) { words += ["--\(flag)", value] }
        }
        var parser = ConfigurationParser(section: "client", keys: keys)
        parser.environment = { name in environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        let outcome = parser.parse(words)
        guard outcome.problems.isEmpty else {
            let list = outcome.problems.map(\.description).joined(separator: "; ")
            throw Failure(outcome.exitStatus == 64 ? .usage : .configuration, Terminal.escape(list))
        }
        return outcome.configuration
    }
}
