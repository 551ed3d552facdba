import Foundation

/// A measurement with a broker and a folder of its own.
protocol GroundedBench: AnyObject {
    /// The broker.
    var broker: UpBroker { get }
    /// Starts the broker below a folder.
    init(_ session: Session, _ folder: String) throws(Failure)
    /// Measures, and tells what it has measured.
    func measure() throws(Failure) -> ExitStatus
}

extension GroundedBench {
    /// Measures in a new folder; folder and broker are gone afterwards, whatever happens.
    static func run(_ session: Session) throws(Failure) -> ExitStatus {
        let base = session.invocation.text("dir") ?? "\(UserFolders.state(session.environment))/bench"
        let absolute = base.hasPrefix("/") ? base : "\(FileManager.default.currentDirectoryPath)/\(base)"
        let folder = "\(absolute)/\(RandomText.id(6))"
        try FileText.makeFolder("\(folder)/log")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let bench = try Self(session, folder)
        let outcome: Swift.Result<ExitStatus, Failure>
        do throws(Failure) { outcome = .success(try bench.measure()) } catch {
            for line in error.log { session.terminal.say(line) }
            outcome = .failure(error)
        }
        bench.broker.process?.end(graceMs: 2000)
        return try outcome.get()
    }
}
