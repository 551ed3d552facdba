import Contract
import ExecutorCore
import Glibc
import Shell

/// The manifest that the configuration names: by `executor.manifest`, or as the one word of the command line.
struct ManifestFile {
    let path: String

    init(_ configuration: Configuration) {
        path = configuration.arguments.first ?? configuration.text("executor.manifest") ?? ""
    }

    /// Where the relative paths in it begin; absolute, because programs run in other directories.
    var folder: String {
        let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        if path.hasPrefix("/") { return parent.isEmpty ? "/" : parent }
        let own = ManifestFile.workingDirectory
        return parent == "." ? own : "\(own)/\(parent)"
    }

    /// Its text; `nil` when it cannot be read.
    var bytes: [UInt8]? { try? readFile(path, limit: 4 << 20) }

    func read() throws -> Manifest { try Manifest(reading: try readFile(path, limit: 4 << 20), folder: folder) }

    /// Everything that is wrong with the words of the command line, the names and the manifest.
    static func problems(_ configuration: Configuration) -> [ConfigurationProblem] {
        var problems: [ConfigurationProblem] = []
        for word in configuration.arguments.dropFirst() {
            problems.append(ConfigurationProblem(origin: word, key: "", text: "unexpected word", isUsage: true))
        }
        for key in ["executor.user", "executor.workspace"] where !Names.isName(configuration.text(key) ?? "") {
            let text = "expected a name: letters, digits, '.', '_', '~', '-', at most \(Names.limit) bytes"
            problems.append(ConfigurationProblem(origin: "\(configuration.entry(key).origin)", key: key, text: text))
        }
        let file = ManifestFile(configuration)
        guard !file.path.isEmpty else {
            let text = "name the file that says what is offered, such as demo.json"
            return problems + [ConfigurationProblem(origin: "", key: "executor.manifest", text: text)]
        }
        do {
            _ = try file.read()
        } catch let error as ManifestError {
            problems += error.problems.map { ConfigurationProblem(origin: file.path, key: "", text: $0.text) }
        } catch {
            problems.append(ConfigurationProblem(origin: file.path, key: "", text: "\(error)"))
        }
        return problems
    }

    private static var workingDirectory: String {
        guard let path = getcwd(nil, 0) else { return "." }
        defer { free(path) }
        return String(cString: path)
    }

    /// This process's environment, `NAME=value`.
    static var surroundings: [String] {
        let bytes = (try? readFile("/proc/self/environ", limit: 4 << 20)) ?? []
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}
