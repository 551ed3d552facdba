import Contract
import Wire

extension ManifestReader {
    private static let workKeys = ["command", "builtin", "output", "loaded"]

    mutating func capabilities(_ list: JSONValue, _ common: Command) -> [OfferedCapability] {
        guard case .array(let elements) = list, !elements.isEmpty, elements.count <= Limits.cardCapabilities else {
            let text = "expected a list of 1 to \(Limits.cardCapabilities) capabilities"
            problems.append(ManifestProblem("capabilities", text))
            return []
        }
        var capabilities: [OfferedCapability] = []
        for (index, element) in elements.enumerated() {
            if let capability = capability(element, "capabilities[\(index)]", common) {
                capabilities.append(capability)
            }
        }
        return capabilities
    }

    private mutating func capability(
        _ element: JSONValue, _ path: String, _ common: Command
    ) -> OfferedCapability? {
        guard case .object(let fields) = element else {
            problems.append(ManifestProblem(path, "expected an object"))
            return nil
        }
        let entry = entry(fields.filter { Self.entryKeys.contains($0.key) }, path)
        let settings = fields.filter { Self.commandKeys.contains($0.key) || Self.workKeys.contains($0.key) }
        let work = work(settings, path, common)
        let loaded = loaded(settings, path)
        for field in fields where !Self.entryKeys.contains(field.key) && !settings.contains(field) {
            unknown(field.key, at: "\(path).\(field.key)", known: Self.entryKeys + Self.commandKeys + Self.workKeys)
        }
        guard var entry, let work else { return nil }
        if case .command = work, entry.kind == nil { entry.kind = "adapter" }
        return OfferedCapability(entry, work, loaded: loaded)
    }

    /// Reads each field by itself, so that every fault is found, then all together.
    private mutating func entry(_ fields: [JSONValue.Field], _ path: String) -> CapabilityEntry? {
        guard fields.contains(where: { $0.key == "name" }) else {
            problems.append(ManifestProblem("\(path).name", "missing: the capability's name"))
            return nil
        }
        let before = problems.count
        for field in fields {
            let alone = field.key == "name" ? [field] : [JSONValue.Field("name", .string("x")), field]
            do {
                let entry = try CapabilityEntry(JSONValue.object(alone).raw)
                if entry.name == Names.planCapability {
                    problems.append(ManifestProblem("\(path).name", "\"plan\" is the dispatcher's own"))
                }
            } catch {
                problems.append(ManifestProblem("\(path).\(error.path)", error.reason))
            }
        }
        return problems.count == before ? try? CapabilityEntry(JSONValue.object(fields).raw) : nil
    }

    private mutating func work(_ fields: [JSONValue.Field], _ path: String, _ common: Command) -> Work? {
        let program = fields.first { $0.key == "command" }
        let builtin = fields.first { $0.key == "builtin" }
        switch (program, builtin) {
        case (nil, nil):
            problems.append(ManifestProblem(path, "expected either command or builtin"))
            return nil
        case (_?, _?):
            problems.append(ManifestProblem("\(path).builtin", "not together with command"))
            return nil
        case (nil, let field?):
            for other in fields where !["builtin", "loaded"].contains(other.key) {
                problems.append(ManifestProblem("\(path).\(other.key)", "is for a command"))
            }
            let word: Builtin? = word(field, "\(path).builtin")
            return word.map { .builtin($0) }
        case (let field?, nil): return command(field, fields, path, common)
        }
    }

    private mutating func command(
        _ program: JSONValue.Field, _ fields: [JSONValue.Field], _ path: String, _ common: Command
    ) -> Work? {
        var command = common
        for field in fields {
            let place = "\(path).\(field.key)"
            if Self.commandKeys.contains(field.key) { readCommand(field, place, into: &command) }
            if field.key == "output" { command.output = word(field, place) ?? .json }
        }
        guard var arguments = texts(program, "\(path).command", limit: Limits.commandArguments) else { return nil }
        guard let first = arguments.first, !first.isEmpty else {
            problems.append(ManifestProblem("\(path).command", "expected a program and its arguments"))
            return nil
        }
        if first.utf8.contains(UInt8(ascii: "/")) { arguments[0] = resolved(first) }
        command.arguments = arguments
        return .command(command)
    }

    private mutating func loaded(_ fields: [JSONValue.Field], _ path: String) -> Bool {
        guard let field = fields.first(where: { $0.key == "loaded" }) else { return true }
        guard case .bool(let flag) = field.value else {
            problems.append(ManifestProblem("\(path).loaded", "expected true or false"))
            return true
        }
        return flag
    }
}
