import Foundation
import TestSupport

/// Runs the program with a home of its own.
func martlet(_ words: [String], _ home: TemporaryFolder, input: String = "") async throws -> CommandOutcome {
    let program = try BuildFolder.program("martlet").path(percentEncoded: false)
    return try await ChildCommand.run([program] + words, environment: surroundings(home), input: input)
}

/// The environment of a home of its own.
func surroundings(_ home: TemporaryFolder) -> [String: String] {
    [
        "HOME": home.path, "XDG_CONFIG_HOME": home.path + "/config", "XDG_STATE_HOME": home.path + "/state",
        "NO_COLOR": "1",
    ]
}
