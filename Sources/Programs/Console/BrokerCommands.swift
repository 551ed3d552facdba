import Contract
import Foundation
import Glibc
import Wire

/// `martlet broker`: the broker's configuration, accounts and rights.
enum BrokerCommands {
    /// The folder that a command means.
    static func folder(_ session: Session) throws(Failure) -> BrokerFolder {
        let standard =
            geteuid() == 0 ? "/etc/martlet/broker" : "\(UserFolders.configuration(session.environment))/broker"
        let path = session.invocation.text("dir") ?? standard
        let absolute = path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
        guard !absolute.contains(where: { $0.isWhitespace || $0.isNewline }) else {
            throw .usage("the folder \(Terminal.escape(absolute)) has a blank in its path, which mosquitto cannot read")
        }
        return BrokerFolder(path: absolute, environment: session.environment)
    }

    private static func existing(_ session: Session) throws(Failure) -> BrokerFolder {
        let folder = try folder(session)
        guard folder.isThere else {
            throw Failure(
                .notFound, "there is no broker folder at \(folder.path)", code: .notFound,
                tries: ["martlet broker init --dir \(folder.path)"])
        }
        return folder
    }

    /// `broker init`: the folder with the services' accounts.
    static func initialize(_ session: Session) throws(Failure) -> ExitStatus {
        let folder = try folder(session)
        guard !folder.isThere else {
            throw Failure(
                .refused, "\(folder.path) has a broker already",
                tries: ["martlet broker account list --dir \(folder.path)"])
        }
        let port = session.invocation.integer("port") ?? 1883
        guard (1...65_535).contains(port) else { throw .usage("--port \(port): a port is from 1 to 65535") }
        let socket = "\(folder.path)/run/broker.sock"
        let listeners = BrokerListeners(
            port: port, socket: socket.utf8.count < 108 ? socket : nil, secure: try secureListener(session),
            web: try webListener(session, besides: port))
        try folder.write(listeners)
        let services = UpPrograms.serviceNames
        try put(services.map { BrokerAccount(name: $0, workspace: nil, roles: [$0]) }, into: folder)
        if session.wantsJSON {
            session.terminal.print(
                RawJSON { writer in
                    writer.object {
                        $0.field("folder", folder.path)
                        $0.field("configuration", folder.configurationFile)
                        $0.field("accounts", services)
                    }
                }.bytes)
        } else {
            session.terminal.print(folder.configurationFile)
        }
        session.terminal.say("Accounts: \(services.joined(separator: ", ")); passwords in \(folder.path)/secrets.")
        session.terminal.say("Start it:  mosquitto -c \(folder.configurationFile)")
        session.terminal.say("Then:      martlet broker account add NAME --role operator --dir \(folder.path)")
        return .done
    }

    /// The listener for clients from outside, when certificates are given.
    private static func secureListener(_ session: Session) throws(Failure) -> SecureListener? {
        let invocation = session.invocation
        let files = ["certificate", "key", "client-authority"].map { invocation.text($0) }
        guard files.contains(where: { $0 != nil }) || invocation.integer("tls-port") != nil else { return nil }
        guard let certificate = files[0], let key = files[1] else {
            throw .usage("a listener with TLS needs --certificate and --key")
        }
        for file in files.compactMap(\.self) where !file.hasPrefix("/") || file.contains(where: \.isWhitespace) {
            throw .usage("\(Terminal.escape(file)) is not the full path of a file, without blanks")
        }
        let port = invocation.integer("tls-port") ?? 8883
        guard (1...65_535).contains(port) else { throw .usage("--tls-port \(port): a port is from 1 to 65535") }
        return SecureListener(port: port, certificate: certificate, key: key, clientAuthority: files[2])
    }

    /// What `--web-port` asks for.
    private static func webListener(_ session: Session, besides port: Int) throws(Failure) -> WebListener? {
        guard let web = session.invocation.integer("web-port") else { return nil }
        guard (1...65_535).contains(web), web != port else {
            throw .usage("--web-port \(web): a port from 1 to 65535, and another than \(port)")
        }
        let dashboard = UpPrograms.dashboard
        session.terminal.say(
            dashboard == nil
                ? "The dashboard's files are not installed: the port speaks WebSockets alone."
                : "Dashboard: http://127.0.0.1:\(web)/ once the broker runs.")
        return WebListener(port: web, files: dashboard)
    }

    /// Adds accounts that keep their generated passwords in the folder.
    static func put(_ accounts: [BrokerAccount], into folder: BrokerFolder) throws(Failure) {
        var file = try folder.accounts()
        let hashed =
            FileText.exists(folder.passwordsFile)
            ? String(decoding: try FileText.read(folder.passwordsFile), as: UTF8.self) : ""
        let known = Set(hashed.split(separator: "\n").compactMap { $0.split(separator: ":").first.map(String.init) })
        var passwords: [String: String] = [:]
        for account in accounts {
            file.put(account)
            let (password, isNew) = try folder.secret(account.name)
            if isNew || !known.contains(account.name) { passwords[account.name] = password }
        }
        try folder.setPasswords(passwords, keeping: file.accounts.map(\.name))
        try folder.write(file)
    }

    /// `broker account add`: a new account, or other roles for one that exists.
    static func add(_ session: Session) throws(Failure) -> ExitStatus {
        let folder = try existing(session)
        let name = try session.nameArgument(0)
        let roleTry = "--role " + Role.allCases.map(\.rawValue).joined(separator: "|")
        let roles = session.invocation.texts("role").flatMap { $0.split(separator: ",").map(String.init) }
        guard !roles.isEmpty else { throw .usage("broker account add needs --role", tries: [roleTry]) }
        for role in roles where Role(rawValue: role) == nil {
            throw .usage(
                "\"\(Terminal.escape(role))\" is no role",
                meant: Nearest.name(to: role, in: Role.allCases.map(\.rawValue)), tries: [roleTry])
        }
        let isService = roles.contains { Role(rawValue: $0)?.isService ?? false }
        guard isService || !(Role(rawValue: name)?.isService ?? false) else {
            throw .usage(
                "\"\(name)\" is the name of a service, whose word the dispatcher believes; a person, an application or an "
                    + "executor needs another name")
        }
        let given = session.invocation.text("workspace")
        if let given, !Names.isName(given) { throw .usage("\"\(Terminal.escape(given))\" is no workspace") }
        let workspace = isService ? given : given ?? Names.defaultWorkspace
        let account = BrokerAccount(name: name, workspace: workspace, roles: roles)
        var file = try folder.accounts()
        var made: String?
        let isNew = !file.accounts.contains { $0.name == name }
        if isService {
            try put([account], into: folder)
            session.terminal.say("The password of \(name) is in \(folder.secretFile(name)).")
        } else {
            file.put(account)
            let names = file.accounts.map(\.name)
            if session.invocation.has("no-password") {
                try folder.setPasswords([:], keeping: names.filter { $0 != name })
            } else if isNew || session.invocation.text("password-file") != nil {
                let (password, isMade) = try password(session)
                try folder.setPasswords([name: password], keeping: names)
                made = isMade ? password : nil
            }
            try folder.write(file)
        }
        return apply(folder, session, account: name, password: made)
    }

    /// The password from the file that was given, or one that is made.
    private static func password(_ session: Session) throws(Failure) -> (text: String, isMade: Bool) {
        guard let path = session.invocation.text("password-file") else { return (RandomText.password, true) }
        let text = String(decoding: try FileText.read(path, limit: 4096), as: UTF8.self).prefix { $0 != "\n" }
        guard !text.isEmpty else { throw .usage("the password file is empty") }
        return (String(text), false)
    }

    /// `broker account rotate`: another password; whoever is connected with the old one is put out.
    static func rotate(_ session: Session) throws(Failure) -> ExitStatus {
        let folder = try existing(session)
        let name = try session.nameArgument(0)
        let file = try folder.accounts()
        guard file.accounts.contains(where: { $0.name == name }) else { throw unknown(name, file) }
        let (password, isMade) = try password(session)
        var made: String?
        if FileText.exists(folder.secretFile(name)) {
            try FileText.replace(folder.secretFile(name), Array("\(password)\n".utf8), mode: 0o600)
            session.terminal.say("The new password of \(name) is in \(folder.secretFile(name)).")
        } else if isMade {
            made = password
        }
        try folder.setPasswords([name: password], keeping: file.accounts.map(\.name))
        return apply(folder, session, account: name, password: made)
    }

    private static func unknown(_ name: String, _ file: AccountFile) -> Failure {
        Failure(
            .notFound, "there is no account \(name)", code: .notFound,
            meant: Nearest.name(to: name, in: file.accounts.map(\.name)), tries: ["martlet broker account list"])
    }

    /// `broker account remove`: the broker cuts it off at once.
    static func remove(_ session: Session) throws(Failure) -> ExitStatus {
        let folder = try existing(session)
        let name = try session.nameArgument(0)
        var file = try folder.accounts()
        guard file.accounts.contains(where: { $0.name == name }) else { throw unknown(name, file) }
        file.accounts.removeAll { $0.name == name }
        try folder.setPasswords([:], keeping: file.accounts.map(\.name))
        try folder.write(file)
        unlink(folder.secretFile(name))
        return apply(folder, session, account: name)
    }

    /// `broker account list`.
    static func list(_ session: Session) throws(Failure) -> ExitStatus {
        let file = try existing(session).accounts()
        if session.wantsJSON {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            for account in file.accounts {
                guard let data = try? encoder.encode(account) else { continue }
                session.terminal.print([UInt8](data))
            }
            return .done
        }
        var table = TextTable(["ACCOUNT", "WORKSPACE", "ROLES"])
        for account in file.accounts {
            table.add([account.name, account.workspace ?? "all", account.roles.joined(separator: ", ")])
        }
        for line in table.lines() { session.terminal.print(line) }
        return .done
    }

    /// `broker apply`: writes access list and configuration anew from the accounts and makes the broker read them.
    static func apply(_ session: Session) throws(Failure) -> ExitStatus {
        let folder = try existing(session)
        let file = try folder.accounts()
        try folder.setPasswords([:], keeping: file.accounts.map(\.name))
        try folder.write(file)
        return apply(folder, session)
    }

    /// Makes the broker read its files; then a password that was made is told, the only time.
    private static func apply(
        _ folder: BrokerFolder, _ session: Session, account: String? = nil, password: String? = nil
    ) -> ExitStatus {
        let isReloaded = folder.reload()
        if session.wantsJSON {
            session.terminal.print(
                RawJSON { writer in
                    writer.object {
                        $0.field("folder", folder.path)
                        $0.field("account", account)
                        $0.field("password", password)
                        $0.field("reloaded", isReloaded)
                    }
                }.bytes)
        } else if let password {
            session.terminal.print(password)
        }
        session.terminal.say(
            isReloaded
                ? "The broker reads its accounts again."
                : "No broker runs from this folder; it reads its accounts when it starts.")
        return .done
    }
}
