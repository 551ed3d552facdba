import Foundation
import TestSupport
import Testing

/// Cells: several dispatchers and schedulers on one broker, each with workspaces of its own.
@Suite(.serialized) struct CellTests {
    /// A broker with whatever is started on it.
    private final class Cells {
        let broker: BrokerFixture
        let folder: TemporaryFolder
        private var programs: [ProgramFixture] = []

        init() async throws {
            broker = try await BrokerFixture()
            folder = try TemporaryFolder()
        }

        func start(_ program: String, _ state: String, _ arguments: String...) throws -> ProgramFixture {
            let connection = ["--broker", broker.address, "--state-directory", "\(folder.path)/\(state)"]
            let account = try broker.account(program == "executor" ? "desk" : program)
            let started = try ProgramFixture("martlet-\(program)", connection + account + arguments)
            programs.append(started)
            return started
        }

        func martlet(_ words: String..., workspace: String) async throws -> CommandOutcome {
            let program = try BuildFolder.program("martlet").path(percentEncoded: false)
            return try await ChildCommand.run(
                [program] + words + ["--broker", broker.address, "--workspace", workspace] + broker.account("me"),
                environment: ["HOME": folder.path, "NO_COLOR": "1"], seconds: 60)
        }

        /// Waits until a dispatcher offers the demo's capabilities in a workspace.
        func waitForSupply(in workspace: String) async throws {
            _ = try await broker.read("\(workspace)/martlet1/capability/demo.echo")
        }

        func end() async {
            for program in programs.reversed() { await program.end() }
            await broker.end()
        }
    }

    private let manifest = BuildFolder.repositoryFile("deploy/executors/demo.json")

    @Test("G-27 cells with disjoint workspaces live side by side; one that overlaps ends with 78 and says whom it met")
    func cells() async throws {
        let cells = try await Cells()
        let lab = try cells.start("dispatcher", "lab", "--workspaces", "lab")
        try await cells.broker.waitUntilUp("dispatcher", lab)
        let shop = try cells.start("dispatcher", "shop", "--workspaces", "shop,store")
        for workspace in ["lab", "shop"] {
            _ = try cells.start("executor", "e-\(workspace)", "--workspace", workspace, manifest)
            try await cells.waitForSupply(in: workspace)
            let done = try await cells.martlet("run", "demo.echo", #"{"n":1}"#, workspace: workspace)
            #expect(done.status == 0, "\(done)")
        }

        let third = try cells.start("dispatcher", "third", "--workspaces", "office,store")
        #expect(await third.ended(seconds: 20) == 78)
        for word in ["the workspace store", "term 1", "dispatcher-"] {
            #expect(third.output.contains(word), "\(third.output)")
        }
        let everything = try cells.start("dispatcher", "all")
        #expect(await everything.ended(seconds: 20) == 78)
        #expect(lab.isRunning && shop.isRunning)

        await shop.end()
        let healths = [("lab", 0), ("shop", 2), ("office", 2)]
        for (workspace, status) in healths {
            let health = try await cells.martlet("health", "dispatcher", workspace: workspace)
            #expect(health.status == Int32(status), "\(workspace): \(health)")
        }
        let top = try await cells.martlet("top", "--once", workspace: "lab")
        #expect(top.output.contains("up: dispatcher") && !top.output.contains("down:"), "\(top)")

        // Another cell takes a workspace over: the executor, which refuses lower terms, works for it.
        let heir = try cells.start("dispatcher", "heir", "--workspaces", "shop")
        let done = try await cells.martlet("run", "demo.echo", #"{"n":2}"#, workspace: "shop")
        #expect(done.status == 0, "\(done) \(heir.output)")
        await cells.end()
    }

    @Test("G-27 schedulers as cells are guarded likewise")
    func schedulers() async throws {
        let cells = try await Cells()
        let lab = try cells.start("scheduler", "lab", "--workspaces", "lab")
        try await cells.broker.waitUntilUp("scheduler", lab)
        let shop = try cells.start("scheduler", "shop", "--workspaces", "shop")
        for workspace in ["lab", "shop"] {
            let put = try await cells.martlet(
                "schedule", "put", "tick", "--every", "1h", "--capability", "demo.echo", workspace: workspace)
            #expect(put.status == 0, "\(put)")
            let list = try await cells.broker.read("\(workspace)/martlet1/schedule/+")
            #expect(list.count == 1)
        }
        let third = try cells.start("scheduler", "third", "--workspaces", "shop")
        #expect(await third.ended(seconds: 20) == 78)
        #expect(third.output.contains("the workspace shop"), "\(third.output)")
        #expect(lab.isRunning && shop.isRunning)
        await cells.end()
    }
}
