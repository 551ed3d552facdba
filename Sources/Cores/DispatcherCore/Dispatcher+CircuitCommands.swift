import Contract
import Machine
import TimeModel
import Wire

/// Commands about circuits (`topics/commands.md`, circuit).
extension Dispatcher {
    mutating func circuitCommand(_ call: CommandCall) throws(CommandRefusal) -> Reply {
        if call.verb == "list" {
            try permit(call, capability: nil)
            return listCircuits(call)
        }
        try permit(call, capability: call.id)
        if call.verb == "get" {
            return .done(data: circuitObject(CircuitKey(capability: call.object, executor: call.fields.executor)))
        }
        for key in try circuitKeys(call) { set(key, call) }
        return .done(data: circuitObject(CircuitKey(capability: call.object, executor: call.fields.executor)))
    }

    /// `capability`, `executor` and the fields of the view; nothing known is `closed`.
    private func circuitObject(_ key: CircuitKey) -> RawJSON {
        var fields = [JSONValue.Field("capability", .string(key.capability.name))]
        if let executor = key.executor { fields.append(JSONValue.Field("executor", .string(executor))) }
        let circuit = circuits[key] ?? Circuit(at: now.monotonic)
        if case .object(let view) = JSONValue(circuit.view(at: now).raw) { fields += view }
        return JSONValue.object(fields).raw
    }

    /// Those that are or were not closed, by capability and executor.
    private func listCircuits(_ call: CommandCall) -> Reply {
        let after = call.fields.after ?? ""
        var keys: [String: CircuitKey] = [:]
        for (key, circuit) in circuits where key.capability.workspace == call.workspace && circuit.hasView {
            let name = "\(key.capability.name)/\(key.executor ?? "")"
            if name > after { keys[name] = key }
        }
        return page(call, keys.keys.sorted()) { keys[$0].map(circuitObject) }
    }

    /// The pair's circuit, or without an executor the capability's own and every pair's.
    private func circuitKeys(_ call: CommandCall) throws(CommandRefusal) -> [CircuitKey] {
        guard let index = capabilityIndex[call.object], capabilities[index].wasSeen else {
            throw CommandRefusal(.notFound, "no executor ever offered \(call.id)")
        }
        guard let executor = call.fields.executor else {
            // That of an executor that only claims now and then is there without it.
            let known = circuits.keys.filter { $0.capability == call.object }.compactMap(\.executor)
            let pairs = Set(known).union(capabilities[index].executors.map { executors[$0].name.name })
            return [CircuitKey(capability: call.object, executor: nil)]
                + pairs.sorted().map { CircuitKey(capability: call.object, executor: $0) }
        }
        let key = CircuitKey(capability: call.object, executor: executor)
        let number = executorIndex[ScopedName(call.workspace, executor)]
        guard circuits[key] != nil || number.map({ registrations[Pair($0, index)] != nil }) ?? false else {
            throw CommandRefusal(.notFound, "\(executor) does not offer \(call.id)")
        }
        return [key]
    }

    private mutating func set(_ key: CircuitKey, _ call: CommandCall) {
        var circuit = circuits[key] ?? Circuit(at: now.monotonic)
        let change: CircuitChange? =
            switch call.verb {
            case "open": circuit.force(.open, by: call.principal, for: call.fields.forMs, at: now.monotonic)
            case "close": circuit.force(.closed, by: call.principal, for: call.fields.forMs, at: now.monotonic)
            default: circuit.reset(at: now.monotonic)
            }
        guard let change else { return }
        circuits[key] = circuit
        afterChange(key, change)
    }
}
