import Contract
import Foundation
import Glibc
import Shell

/// The folder of a broker: configuration, accounts, access list, password file, secrets of the services.
struct BrokerFolder: Sendable {
    /// Its path, absolute.
    let path: String
    /// The environment, for the programs of mosquitto.
    let environment: [String: String]

    /// What lies in it.
    var configurationFile: String { "\(path)/mosquitto.conf" }
    /// The accounts.
    var accountsFile: String { "\(path)/accounts.json" }
    /// The access list.
    var accessFile: String { "\(path)/acl" }
    /// The hashes of the passwords.
    var passwordsFile: String { "\(path)/passwords" }
    /// The broker's process id.
    var processFile: String { "\(path)/run/mosquitto.pid" }
    /// The generated password of an account that keeps it here.
    func secretFile(_ account: String) -> String { "\(path)/secrets/\(account)" }

    /// Whether a broker folder is there.
    var isThere: Bool { FileText.exists(accountsFile) }

    /// Makes the folders and writes the configuration.
    func write(_ listeners: BrokerListeners) throws(Failure) {
        for folder in [path, "\(path)/run", "\(path)/data"] { try FileText.makeFolder(folder, mode: 0o755) }
        try FileText.makeFolder("\(path)/secrets")
        let text = BrokerConfiguration(folder: path, listeners: listeners).text
        try FileText.replace(configurationFile, Array(text.utf8), mode: 0o644)
    }

    /// The accounts; none when the folder is new.
    func accounts() throws(Failure) -> AccountFile {
        guard isThere else { return AccountFile() }
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: accountsFile)),
            let file = try? JSONDecoder().decode(AccountFile.self, from: data)
        else { throw Failure(.configuration, "\(accountsFile) is no file of accounts") }
        for account in file.accounts {
            guard Names.isName(account.name), account.workspace.map(Names.isName) ?? true else {
                throw Failure(.configuration, "\(accountsFile) has an illegal name: \(Terminal.escape(account.name))")
            }
            for role in account.roles where Role(rawValue: role) == nil {
                throw Failure(
                    .configuration, "\(accountsFile) gives \(account.name) the unknown role \(Terminal.escape(role))",
                    meant: Nearest.name(to: role, in: Role.allCases.map(\.rawValue)))
            }
        }
        return file
    }

    /// Writes accounts and access list, checked before they take their places.
    func write(_ file: AccountFile) throws(Failure) {
        let list = file.accessList
        if let problem = AccountFile.problem(inAccessList: list) { throw Failure(.ownFault, problem) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(file) else { throw Failure(.ownFault, "the accounts cannot be encoded") }
        try FileText.replace(accessFile, Array(list.utf8), mode: secretMode)
        try FileText.replace(accountsFile, [UInt8](data) + [0x0A], mode: 0o644)
        try handOver()
    }

    /// Sets the passwords of accounts and drops those of accounts that are gone. The hashes come from mosquitto's own
    /// program, which gets the passwords in a file.
    func setPasswords(_ passwords: [String: String], keeping names: [String]) throws(Failure) {
        var lines: [String: String] = [:]
        if FileText.exists(passwordsFile) {
            let text = String(decoding: try FileText.read(passwordsFile), as: UTF8.self)
            for line in text.split(separator: "\n") {
                guard let colon = line.firstIndex(of: ":") else { continue }
                lines[String(line[..<colon])] = String(line)
            }
        }
        for line in try hashed(passwords) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            lines[String(line[..<colon])] = line
        }
        let wanted = Set(names)
        let text = lines.keys.filter(wanted.contains).sorted().compactMap { lines[$0] }.joined(separator: "\n")
        try FileText.replace(passwordsFile, Array((text + "\n").utf8), mode: secretMode)
        try handOver()
    }

    private func hashed(_ passwords: [String: String]) throws(Failure) -> [String] {
        if passwords.isEmpty { return [] }
        guard let program = FileText.program("mosquitto_passwd", environment: environment) else {
            throw BrokerFolder.missingMosquitto
        }
        let clear = "\(path)/passwords.\(getpid()).clear"
        let text = passwords.keys.sorted().compactMap { name in passwords[name].map { "\(name):\($0)\n" } }.joined()
        defer { unlink(clear) }
        try FileText.replace(clear, Array(text.utf8), mode: 0o600)
        let process = ManagedProcess("mosquitto_passwd", [program, "-U", clear], environment: environment, log: nil)
        try process.start()
        guard process.waitForEnd(ms: 20_000), process.ending == .exited(0) else {
            throw Failure(.ownFault, "mosquitto_passwd did not make the password file")
        }
        let lines = String(decoding: try FileText.read(clear), as: UTF8.self).split(separator: "\n").map(String.init)
        guard lines.count == passwords.count, lines.allSatisfy({ $0.contains(":$") }) else {
            throw Failure(.ownFault, "mosquitto_passwd left a password in clear")
        }
        return lines
    }

    /// The password of an account that keeps it in this folder; made at the first call.
    func secret(_ account: String) throws(Failure) -> (password: String, isNew: Bool) {
        let file = secretFile(account)
        if FileText.exists(file) {
            let text = String(decoding: try FileText.read(file), as: UTF8.self)
            return (String(text.prefix { $0 != "\n" }), false)
        }
        let password = RandomText.password
        try FileText.replace(file, Array("\(password)\n".utf8), mode: 0o600)
        return (password, true)
    }

    /// Makes the running broker read access list and passwords again. False when none runs.
    func reload() -> Bool {
        guard let bytes = try? FileText.read(processFile), FileText.exists(processFile) else { return false }
        let text = String(decoding: bytes, as: UTF8.self).filter(\.isNumber)
        guard let process = pid_t(text), process > 1 else { return false }
        let name = (try? FileText.read("/proc/\(process)/comm")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return name.hasPrefix("mosquitto") && kill(process, SIGHUP) == 0
    }

    /// As root the files belong to mosquitto's own user, unless the broker runs as root.
    private func handOver() throws(Failure) {
        guard geteuid() == 0, !runsAsRoot, let user = getpwnam("mosquitto") else { return }
        for file in ["", "/run", "/data", "/acl", "/passwords", "/mosquitto.conf"] where FileText.exists(path + file) {
            guard chown(path + file, user.pointee.pw_uid, user.pointee.pw_gid) == 0 else {
                throw FileText.fault("hand over", path + file)
            }
        }
    }

    private var runsAsRoot: Bool {
        let text = (try? FileText.read(configurationFile)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return text.split(separator: "\n").contains("user root")
    }

    private var secretMode: mode_t { 0o600 }

    /// What to say when there is no mosquitto.
    static let missingMosquitto = Failure(
        .unreachable, "mosquitto is not installed", tries: ["apt-get install mosquitto (as root or with sudo)"])
}
