import Console
import DispatcherCore
import ExecutorCore
import Shell
import Wire

/// What people write: configuration, command lines, manifests, rule sets. All of it is read or refused with problems.
enum SettingsFuzz {
    private static let keys = [
        ConfigurationKey("test.word", .word(["one", "two"]), help: "A word."),
        ConfigurationKey("test.number", .integer(0...100), help: "A number."),
        ConfigurationKey("test.time_ms", .duration(1...1000), help: "A duration."),
        ConfigurationKey("test.flag", .bool, help: "A flag."), ConfigurationKey("test.list", .list, help: "A list."),
        ConfigurationKey("test.text", .text, help: "A text."), ConfigurationKey("test.any", .json, help: "Anything."),
    ]

    private static var parser: ConfigurationParser {
        var parser = ConfigurationParser(section: "test", keys: keys)
        parser.sharedFile = "/nonexistent"
        parser.environment = { _ in nil }
        return parser
    }

    static func configuration(_ bytes: [UInt8]) -> String? {
        guard let folder = FuzzFolder(holding: "martlet.json") else { return nil }
        folder.write(bytes)
        let outcome = parser.parse(["--config", folder.file])
        guard outcome.problems.isEmpty else { return nil }
        return (try? RawJSON(validating: outcome.configuration.encoded)) == nil ? "a good one encodes to no JSON" : nil
    }

    static func commandLine(_ bytes: [UInt8]) -> String? {
        let words = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).prefix(32).map {
            String(decoding: $0, as: UTF8.self)
        }
        // A configuration file that it names would be read: none of the files there is one.
        _ = parser.parse(words.map { $0.contains("/") ? "x" : $0 })
        _ = Console.canRead(words)
        return nil
    }

    static func manifest(_ bytes: [UInt8]) -> String? {
        do throws(ManifestError) {
            let manifest = try Manifest(reading: bytes, folder: "/tmp")
            return manifest.slots < 1 ? "no slots" : nil
        } catch {
            return error.problems.isEmpty ? "refused without a word" : nil
        }
    }

    /// The dispatcher's section, the rule sets in it.
    static func policy(_ bytes: [UInt8]) -> String? {
        let problems = DispatcherConfiguration.problems(section: bytes, withRules: true)
        let isRead = (try? DispatcherConfiguration(section: bytes)) != nil
        return problems.isEmpty && !isRead ? "refused without a word" : nil
    }
}
