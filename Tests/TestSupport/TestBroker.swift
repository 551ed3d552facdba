import CPlatform
import Glibc
public import Shell
import TimeModel

/// A private mosquitto for one test: on a Unix socket in a directory of its own, ended with the test.
public final class TestBroker {
    /// The directory of the broker, removed at the end; tests may put files there.
    public let directory: String
    /// Where the broker listens.
    public let address: BrokerAddress
    private let settings: [String]
    private var process: pid_t = 0

    /// Why a broker cannot be had.
    public struct Fault: Error, CustomStringConvertible {
        /// What went wrong.
        public var description: String
    }

    /// Starts a broker and waits until it answers. `settings` are further lines of its configuration; `%D` in them is the
    /// broker's directory.
    public init(_ settings: [String] = ["allow_anonymous true"]) throws {
        let directory = try TestBroker.temporaryDirectory()
        self.directory = directory
        address = BrokerAddress(transport: .unix, host: "\(directory)/socket", port: 0)
        self.settings = settings.map { $0.replacing("%D", with: directory) }
        try start()
    }

    deinit {
        kill(SIGKILL)
        removeTree(directory)
    }

    /// A new empty directory, readable by everybody, since the broker may run under an account of its own.
    public static func temporaryDirectory() throws -> String {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/martlet-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Fault(description: "cannot make a directory in \(base)") }
        let path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
        chmod(path, 0o755)
        return path
    }

    /// Starts the broker again after `kill`.
    public func start() throws {
        var lines = ["listener 0 \(directory)/socket", "set_tcp_nodelay true", "log_type error", "log_dest stderr"]
        if getuid() == 0 { lines.append("user root") }
        let text = (lines + settings).joined(separator: "\n") + "\n"
        let file = "\(directory)/mosquitto.conf"
        try write(text, to: file)
        let places: [String] = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
        let program = places.first { access($0, X_OK) == 0 } ?? "mosquitto"
        process = try spawn([program, "-c", file], output: "\(directory)/log")
        try waitUntilItAnswers()
    }

    /// Ends the broker with a signal and waits until it is gone.
    public func kill(_ signal: Int32) {
        guard process > 0 else { return }
        Glibc.kill(process, signal)
        var ending = platform_ending()
        while platform_reap(process, &ending) == 0 { poll(nil, 0, 1) }
        process = 0
    }

    /// Sends the broker a signal, such as SIGHUP or SIGSTOP.
    public func send(_ signal: Int32) {
        if process > 0 { Glibc.kill(process, signal) }
    }

    /// Options of a client of this broker with a clean session.
    public func client(_ name: String = "test") -> ConnectionOptions { .client(address, name: name) }

    /// A connected client session.
    public func session(_ name: String = "test") throws -> ClientSession {
        let session = ClientSession(client(name))
        try session.connect(timeoutMs: 5000)
        return session
    }

    private func waitUntilItAnswers() throws {
        let deadline = SystemClock.monotonic + 10_000
        while SystemClock.monotonic < deadline {
            let session = ClientSession(client("probe"))
            if (try? session.connect(timeoutMs: 500)) != nil {
                session.close()
                return
            }
            var refused = false
            do { try session.connect(timeoutMs: 1) } catch { if case .notAdmitted = error { refused = true } }
            session.abort()
            if refused { return }
        }
        let log = (try? readFile("\(directory)/log")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        throw Fault(description: "the broker does not answer: \(log)")
    }

    private func write(_ text: String, to path: String) throws {
        guard let file = fopen(path, "w") else { throw Fault(description: "cannot write \(path)") }
        defer { fclose(file) }
        fputs(text, file)
    }

    private func spawn(_ arguments: [String], output path: String) throws -> pid_t {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        let log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        defer {
            close(null)
            close(log)
        }
        var started: pid_t = 0
        let code = ProgramStart(arguments: arguments, environment: []).start(&started, null, log, log)
        guard code == 0 else { throw Fault(description: "cannot start \(arguments[0]): error \(code)") }
        return started
    }
}

/// Removes a directory with all that is in it.
public func removeTree(_ path: String) {
    guard let stream = opendir(path) else {
        unlink(path)
        return
    }
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { removeTree("\(path)/\(name)") }
    }
    closedir(stream)
    rmdir(path)
}
