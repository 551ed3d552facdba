import Contract
import ExecutorCore
import Shell

/// Offers what a manifest says: programs, and a few demonstrations.
@main struct Program {
    nonisolated static func main() {
        var description = ServiceDescription(
            role: "executor", version: "0.1.0", summary: "Runs programs for tasks, as its manifest says."
        ) { configuration, start in
            let file = ManifestFile(configuration)
            let settings = ExecutorSettings(
                workspace: configuration.text("executor.workspace") ?? Names.defaultWorkspace,
                name: configuration.text("executor.user") ?? "", seed: start.seed,
                environment: ManifestFile.surroundings,
                folder: file.folder)
            return ExecutorMachine((try? file.read()) ?? Manifest(capabilities: []), settings: settings)
        }
        description.keys = [
            ConfigurationKey(
                "executor.manifest", .text,
                help: "The manifest: what is offered and how it is done. A word does as well."),
            ConfigurationKey(
                "executor.workspace", .text, standard: Names.defaultWorkspace, help: "The workspace it works in.",
                needsRestart: true),
        ]
        description.takesArguments = true
        description.check = ManifestFile.problems
        description.reloaded = { ManifestFile($0).bytes }
        description.leaveTime = { (try? ManifestFile($0).read())?.leaveMs ?? 5000 }
        description.examples = [
            ("martlet-executor --user demo demo.json", "Offers what demo.json says, as the principal demo."),
            ("martlet-executor --check demo.json", "Names everything that is wrong with demo.json."),
        ]
        ServiceRunner(description).main()
    }
}
