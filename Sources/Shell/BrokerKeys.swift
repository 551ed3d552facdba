/// The configuration keys of everybody who speaks to a broker, and what they make of it.
public enum BrokerKeys {
    /// The keys: the shared section `broker`, and the account in the program's own section.
    public static func keys(section: String, defaultUser: String?) -> [ConfigurationKey] {
        [
            ConfigurationKey(
                "broker.address", .text, standard: BrokerAddress.standard.description,
                help: "The broker: mqtt://host:port, mqtts://host:port or unix:/path.", flag: "broker",
                needsRestart: true),
            ConfigurationKey(
                "\(section).user", .text, standard: defaultUser,
                help: "The broker account, which is the principal's name.", flag: "user", needsRestart: true),
            ConfigurationKey(
                "\(section).password_file", .text,
                help: "File whose first line is the account's password; the file password in CREDENTIALS_DIRECTORY "
                    + "if that is there.",
                flag: "password-file", isSecretFile: true, needsRestart: true),
            ConfigurationKey(
                "broker.ca_file", .text, help: "File with the authorities that may sign the broker's certificate.",
                needsRestart: true),
            ConfigurationKey(
                "broker.certificate_file", .text, help: "File with a client certificate.", needsRestart: true),
            ConfigurationKey(
                "broker.key_file", .text, help: "File with the key of the client certificate.", isSecretFile: true,
                needsRestart: true),
            ConfigurationKey(
                "broker.keepalive_ms", .duration(5000...65_535_000), standard: "30s",
                help: "Time without traffic after which the connection is checked.", needsRestart: true),
            ConfigurationKey(
                "broker.message_expiry", .bool, standard: "false",
                help: "Whether messages carry an expiry; only for mosquitto from 2.0.15 on, earlier ones may strand "
                    + "valid messages behind expired ones.", needsRestart: true),
        ]
    }

    /// The address as configured, or the problem with it.
    public static func address(_ configuration: Configuration) -> Result<BrokerAddress, ConfigurationProblem> {
        let entry = configuration.entry("broker.address")
        let text = configuration.text("broker.address") ?? ""
        if let address = BrokerAddress(text) { return .success(address) }
        return .failure(
            ConfigurationProblem(
                origin: entry.origin.description, key: "broker.address",
                text: "expected mqtt://host:port, mqtts://host:port or unix:/path, found \"\(text)\""))
    }

    /// Fills in account and certificates of connection options.
    public static func apply(_ configuration: Configuration, section: String, to options: inout ConnectionOptions) {
        options.username = configuration.text("\(section).user")
        options.passwordFile = configuration.text("\(section).password_file") ?? credential("password")
        options.authorityFile = configuration.text("broker.ca_file")
        options.certificateFile = configuration.text("broker.certificate_file")
        options.keyFile = configuration.text("broker.key_file")
        options.keepaliveSeconds = configuration.integer("broker.keepalive_ms") / 1000
        options.messageExpiry = configuration.bool("broker.message_expiry")
    }

    /// A file that the service manager hands over as a credential.
    private static func credential(_ name: String) -> String? {
        guard let directory = environmentValue("CREDENTIALS_DIRECTORY") else { return nil }
        let path = "\(directory)/\(name)"
        return (try? readFile(path, limit: 4096)) == nil ? nil : path
    }
}
