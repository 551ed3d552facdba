import Contract
import Determinism
import Machine
import Wire

extension ExecutorMachine {
    /// Puts a capability of the manifest on the card. Whatever it comes to, a card is the answer.
    mutating func load(_ payload: RawJSON) { change(payload, loaded: true) }

    /// Takes a capability off the card; what runs goes on.
    mutating func unload(_ payload: RawJSON) { change(payload, loaded: false) }

    private mutating func change(_ payload: RawJSON, loaded: Bool) {
        let value = JSONValue(payload)
        if let problem = problem(value, loaded: loaded) {
            log(.warning, "load_refused", problem)
        } else if let name = value["name"]?.stringValue, let capability = manifest.capability(name),
            isLoaded(capability) != loaded
        {
            loading[name] = loaded
            append(.loaded(name, loaded))
            rev += 1
            log(.info, loaded ? "capability_loaded" : "capability_unloaded", name)
        }
        publishCard()
    }

    /// Why a request to load or unload changes nothing: only what the manifest holds can be offered, and other fields
    /// than the name must be those of the manifest.
    private func problem(_ payload: JSONValue, loaded: Bool) -> String? {
        guard let name = payload["name"]?.stringValue else { return "a capability is named by \"name\"" }
        guard let capability = manifest.capability(name) else { return "\(name) is not in the manifest" }
        guard loaded, case .object(let fields) = payload else { return nil }
        let own = JSONValue(capability.entry.raw)
        for field in fields where ManifestReader.entryKeys.contains(field.key) {
            if own[field.key]?.raw.canonical != field.value.raw.canonical {
                return "\(name) has another \(field.key) in the manifest"
            }
        }
        return nil
    }

    /// SIGHUP: takes a new manifest, which the program has checked. Work under way keeps what it began with.
    mutating func reload(_ text: [UInt8]) {
        do {
            let before = card
            manifest = try Manifest(reading: text, folder: settings.folder)
            resizeClaims()
            if card != before {
                rev += 1
                publishCard()
            }
            log(.info, "reloaded", "\(card.capabilities.count) capabilities")
        } catch {
            let text = error.problems.map(\.text).joined(separator: "; ")
            log(.warning, "reload_refused", "the manifest stays as it was: \(text)", code: .invalidSpec)
        }
    }
}
