import Contract
import Foundation
import Glibc
import Shell
import TimeModel

/// The broker of `martlet up`: a private mosquitto, or one that runs already.
final class UpBroker {
    /// How services connect: address, and for an account its password file; `nil` where none is asked for.
    private(set) var address: BrokerAddress
    /// What people type.
    private(set) var shownAddress: BrokerAddress
    /// The program to run; `nil` for a foreign broker.
    let process: ManagedProcess?
    /// `mosquitto 2.0.11`, or what the broker is otherwise.
    let title: String
    /// The port of the dashboard; `nil` where it is not served.
    private(set) var webPort: Int?
    private let folder: BrokerFolder?
    private let user: String?
    private let passwordFile: String?

    /// The accounts of a private broker besides the services'.
    static let person = "me"
    /// The account that only looks.
    static let viewer = "viewer"
    /// The demo executor's account.
    static let executor = "demo"
    /// The port that is tried first.
    static let usualPort = 18_830
    /// The port that is tried first for the dashboard.
    static let usualWebPort = 18_831

    /// A broker that runs already; one account for all when it asks for one, else each goes by its own name.
    init(existing text: String, user: String?, passwordFile: String?) throws(Failure) {
        guard let address = BrokerAddress(text) else {
            throw .usage(
                "\"\(Terminal.escape(text))\" is no broker address: mqtt://HOST:PORT, mqtts://HOST:PORT, unix:/PATH")
        }
        if user == nil, passwordFile != nil { throw .usage("--password-file needs --user") }
        self.address = address
        self.user = user
        self.passwordFile = passwordFile
        shownAddress = address
        process = nil
        title = user.map { "yours, account \($0)" } ?? "yours, without accounts"
        folder = nil
    }

    /// A private mosquitto under a folder, with the shipped configuration.
    init(
        privateUnder path: String, environment: [String: String], accounts: [BrokerAccount] = UpBroker.accounts
    ) throws(Failure) {
        guard let program = FileText.program("mosquitto", environment: environment) else {
            throw BrokerFolder.missingMosquitto
        }
        guard !path.contains(where: \.isWhitespace) else {
            throw .usage("the folder \(Terminal.escape(path)) has a blank in its path, which mosquitto cannot read")
        }
        let folder = BrokerFolder(path: "\(path)/broker", environment: environment)
        let port = UpBroker.port(before: "\(folder.path)/port", usual: UpBroker.usualPort)
        let web = UpBroker.port(before: "\(folder.path)/web-port", usual: UpBroker.usualWebPort)
        (address, shownAddress, webPort) = try UpBroker.configure(folder, port: port, web: web ?? UpBroker.free(0))
        try BrokerCommands.put(accounts, into: folder)
        process = ManagedProcess(
            "broker", [program, "-c", folder.configurationFile], environment: environment,
            log: "\(path)/log/broker.log")
        title = UpBroker.version(program, environment: environment, scratch: "\(path)/log/version")
        self.folder = folder
        user = nil
        passwordFile = nil
    }

    /// Writes the configuration with a port, any free one for `nil`, and one for the dashboard, `nil` for none; returns
    /// how services and people connect, and the dashboard's port.
    private static func configure(
        _ folder: BrokerFolder, port wanted: Int?, web: Int?
    ) throws(Failure) -> (BrokerAddress, BrokerAddress, Int?) {
        guard let port = wanted ?? free(0) else { throw Failure(.ownFault, "no port is free on 127.0.0.1") }
        let socket = "\(folder.path)/run/broker.sock"
        let fits = socket.utf8.count < 108
        let dashboard = web.flatMap { web in UpPrograms.dashboard.map { WebListener(port: web, files: $0) } }
        try folder.write(
            BrokerListeners(
                port: port, socket: fits ? socket : nil, runAs: geteuid() == 0 ? "root" : nil, web: dashboard))
        try FileText.replace("\(folder.path)/port", Array("\(port)\n".utf8), mode: 0o600)
        if let dashboard {
            try FileText.replace("\(folder.path)/web-port", Array("\(dashboard.port)\n".utf8), mode: 0o600)
        }
        let tcp = BrokerAddress(transport: .tcp, host: "127.0.0.1", port: port)
        return (fits ? BrokerAddress(transport: .unix, host: socket, port: 0) : tcp, tcp, dashboard?.port)
    }

    /// The accounts of `martlet up`.
    static let accounts = [
        BrokerAccount(name: "dispatcher", workspace: nil, roles: [Role.dispatcher.rawValue]),
        BrokerAccount(name: "scheduler", workspace: nil, roles: [Role.scheduler.rawValue]),
        BrokerAccount(name: "heartbeat", workspace: nil, roles: [Role.heartbeat.rawValue]),
        BrokerAccount(name: "monitor", workspace: nil, roles: [Role.monitor.rawValue]),
        BrokerAccount(name: executor, workspace: Names.defaultWorkspace, roles: [Role.executor.rawValue]),
        BrokerAccount(name: person, workspace: Names.defaultWorkspace, roles: [Role.operator.rawValue]),
        BrokerAccount(name: viewer, workspace: Names.defaultWorkspace, roles: [Role.viewer.rawValue]),
    ]

    /// How one of the programs connects, as its flags say it.
    func flags(for account: String) -> [String] {
        var flags = ["--broker", address.description, "--user", user ?? account]
        if let folder { flags += ["--password-file", folder.secretFile(account)] }
        if let passwordFile { flags += ["--password-file", passwordFile] }
        return flags
    }

    /// How the command line connects.
    var settings: ConnectionSettings { settings(for: UpBroker.person) }

    /// How one of the accounts connects; on a foreign broker without accounts it goes by its name alone.
    func settings(for account: String) -> ConnectionSettings {
        ConnectionSettings(
            address: address, user: user ?? account, passwordFile: folder?.secretFile(account) ?? passwordFile)
    }

    /// The connection that other terminals use.
    var context: ConnectionContext {
        ConnectionContext(broker: shownAddress.description, user: personName, passwordFile: personFile)
    }

    /// The name of the person's account.
    var personName: String { user ?? UpBroker.person }
    /// Its password file.
    var personFile: String? { folder?.secretFile(UpBroker.person) ?? passwordFile }
    /// Its password, if this program made it.
    var personPassword: String? {
        get throws(Failure) { try folder?.secret(UpBroker.person).password }
    }
    /// The dashboard's address, and the password of the account that only looks; `nil` where it is not served.
    var dashboard: (address: String, viewerPassword: String)? {
        get throws(Failure) {
            guard let webPort, let folder else { return nil }
            return ("http://127.0.0.1:\(webPort)/", try folder.secret(UpBroker.viewer).password)
        }
    }
    /// The name of the demo executor.
    var executorName: String { user ?? UpBroker.executor }

    /// Starts the private broker and connects; a foreign one is only connected to. A port that somebody else took in
    /// the meantime is given up for another one.
    func connected(_ interrupts: Interrupts, withinMs: Int) throws(Failure) -> BusClient {
        guard let process, let folder else { return try BusClient(settings, interrupts: interrupts) }
        try process.start()
        let deadline = SystemClock.monotonic + withinMs
        var attempts = 1
        while true {
            if process.reap() {
                guard attempts < 3 else { throw process.endedEarly }
                attempts += 1
                // The last try does without the dashboard: a mosquitto built without WebSockets ends at once.
                (address, shownAddress, webPort) = try UpBroker.configure(
                    folder, port: nil, web: attempts < 3 ? UpBroker.free(0) : nil)
                try process.start()
            }
            if let client = try connectedNow(interrupts, isLast: SystemClock.monotonic >= deadline) { return client }
            interrupts.wait(ms: 20)
            if interrupts.take() { throw Failure(.interrupted, "interrupted") }
        }
    }

    /// A connection, or `nil` when nobody listens yet.
    private func connectedNow(_ interrupts: Interrupts, isLast: Bool) throws(Failure) -> BusClient? {
        do throws(Failure) { return try BusClient(settings, interrupts: interrupts, withinMs: 500) } catch {
            if error.status != .unreachable || isLast { throw error }
            return nil
        }
    }

    /// The port of the last time if it is free, else the usual one.
    private static func port(before file: String, usual: Int) -> Int? {
        let last = (try? FileText.read(file)).flatMap { Int(String(decoding: $0, as: UTF8.self).filter(\.isNumber)) }
        return [last, usual].compactMap(\.self).first { free($0) != nil }
    }

    /// The port itself if it can be had on the loopback address; 0: any; `nil`: taken.
    static func free(_ port: Int) -> Int? {
        let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0, let number = UInt16(exactly: port) else { return nil }
        defer { close(descriptor) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = number.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, size) == 0 && listen(descriptor, 1) == 0
                    && getsockname(descriptor, generic, &size) == 0
            }
        }
        return bound ? Int(UInt16(bigEndian: address.sin_port)) : nil
    }

    /// `mosquitto 2.0.11`, as the program itself says.
    private static func version(_ program: String, environment: [String: String], scratch: String) -> String {
        unlink(scratch)
        defer { unlink(scratch) }
        let process = ManagedProcess("mosquitto", [program, "-h"], environment: environment, log: scratch)
        guard (try? process.start()) != nil, process.waitForEnd(ms: 5000) else { return "mosquitto" }
        let words = process.lastLines(100).first?.split(separator: " ") ?? []
        guard words.count >= 3, words[1] == "version" else { return "mosquitto" }
        return "mosquitto \(words[2])"
    }
}
