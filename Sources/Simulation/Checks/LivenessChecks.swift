import Contract
import Machine
import Wire

/// I27: every accepted task and plan ends; no claim outlives its timer.
func checkI27(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var open: [Int: Int] = [:]
    for entry in history.lines {
        switch entry.line.kind {
        case "a", "x": open[entry.line.number] = entry.time
        case "e": open[entry.line.number] = nil
        default: break
        }
    }
    let keys = history.keys
    for (number, time) in open.sorted(by: { $0.key < $1.key }) {
        breaches.append(Breach(time, "\(keys[number]?.principal ?? "")/\(keys[number]?.id ?? "") never ended"))
    }
    breaches += history.open.map { Breach(0, "\($0) has no answer though all is well") }
    for claim in history.parked {
        breaches.append(Breach(claim.time, "the claim of \(claim.executor)/\(claim.slot) outlived \(claim.until) ms"))
    }
    return breaches
}

/// I30: zombies end within their lease; no outcome stays unsettled.
func checkI30(_ history: History) -> [Breach] {
    var zombies: [String: Int] = [:]
    for entry in history.lines {
        let name = "\(entry.line.executor ?? "") of epoch \(entry.line.epoch)"
        if entry.line.kind == "z" { zombies[name] = entry.time }
        if entry.line.kind == "y" { zombies[name] = nil }
    }
    var breaches = zombies.sorted { $0.key < $1.key }.map { Breach($0.value, "a zombie at \($0.key) never ended") }
    breaches += history.unconfirmed.map { Breach(0, "\($0) was neither confirmed nor revoked") }
    return breaches
}

/// G-15: every capability on a retained card has a view that names the executor; no offer is left.
func checkViews(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    let byTopic = Dictionary(history.retained.map { ($0.topic, $0) }, uniquingKeysWith: { first, _ in first })
    for message in history.retained {
        guard let topic = Topic(message.topic) else { continue }
        if case .offer(let capability) = topic.place {
            breaches.append(Breach(0, "offer/\(capability) is still retained though nothing waits"))
        }
        guard case .card(let executor) = topic.place, let card = try? Card(decoding: message.payload) else { continue }
        for entry in card.capabilities {
            let name = Topic(topic.workspace, .capability(entry.name)).name
            let view = byTopic[name].flatMap { try? CapabilityView(decoding: $0.payload) }
            if view?.executors.contains(where: { $0.executor == executor }) != true {
                breaches.append(Breach(0, "\(name) does not show \(executor)"))
            }
        }
    }
    return breaches
}
