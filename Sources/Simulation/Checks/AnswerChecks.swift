import Contract
import Wire

/// I15: every delivery of an intent is answered in its turn, every command by the end; bounds are the core's.
func checkI15(_ history: History) -> [Breach] {
    var breaches = Check.coreBreaches("I15", history)
    breaches += history.unanswered.map { Breach($0.time, "\($0.topic) was not answered") }
    guard history.isComplete else { return breaches }
    for (request, time) in history.asked.sorted(by: { ($0.value, $0.key) < ($1.value, $1.key) })
    where !history.answered.contains(request) {
        breaches.append(Breach(time, "command \(request) was never answered"))
    }
    return breaches
}

/// I16: one id is one task; one dedup key has in its mode at most one that is no duplicate.
func checkI16(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var numbers: [History.Key: Int] = [:]
    for entry in history.lines where entry.line.kind == "a" || entry.line.kind == "x" {
        let line = entry.line
        let key = History.Key(workspace: line.workspace, principal: line.principal, id: line.id)
        if let other = numbers[key], other != line.number {
            breaches.append(Breach(entry.time, "\(key.id) is task \(other) and task \(line.number)"))
        }
        numbers[key] = line.number
        let plan = line.id.split(separator: ".").first.map(String.init) ?? line.id
        let sent = plan.split(separator: "~").first.map(String.init) ?? plan
        let original = History.Key(workspace: line.workspace, principal: line.principal, id: sent)
        if !history.sent.contains(original) { breaches.append(Breach(entry.time, "\(key.id) was never sent")) }
    }
    return breaches + checkDedup(history)
}

private func checkDedup(_ history: History) -> [Breach] {
    struct First {
        var number: Int
        var intent: Intent
        var acceptedAt: Int
        var hasStarted = false
        var status: String?
    }
    var breaches: [Breach] = []
    var firsts: [String: First] = [:]
    var places: [Int: String] = [:]
    for entry in history.lines {
        let line = entry.line
        switch line.kind {
        case "a":
            let name = History.Key(workspace: line.workspace, principal: line.principal, id: line.id)
            guard let intent = history.intents[name], let key = intent.dedupKey else { continue }
            let place = "\(line.capability)/\(key)"
            if let first = firsts[place],
                stands(first.intent, first.hasStarted, first.status, line.at - first.acceptedAt)
            {
                breaches.append(
                    Breach(entry.time, "\(line.id) is a task beside task \(first.number), which has the key \(key)"))
            }
            firsts[place] = First(number: line.number, intent: intent, acceptedAt: line.at)
            places[line.number] = place
        case "t", "e":
            guard let place = places[line.number], firsts[place]?.number == line.number else { continue }
            // An offer whose first word is an outcome starts and ends in one turn: its record shows no lease any more.
            if line.attempts > 0 { firsts[place]?.hasStarted = true }
            if line.kind == "e" { firsts[place]?.status = line.state }
        default: break
        }
    }
    return breaches
}

/// Whether a first still has its key when another one comes.
private func stands(_ intent: Intent, _ hasStarted: Bool, _ status: String?, _ age: Int) -> Bool {
    if let status {
        return intent.dedup == .window && status == "success" && age < intent.dedupWindowMs ?? 0 && age >= 0
    }
    return intent.dedup == .untilStart ? !hasStarted : true
}

/// I17: each attached sender gets the equal terminal result.
func checkI17(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    let keys = history.keys
    var firsts: [Int: Int] = [:]
    var results: [Int: [UInt8]] = [:]
    for entry in history.lines {
        let line = entry.line
        if line.kind == "x" { firsts[line.number] = line.attachedTo }
        guard line.kind == "e", let result = line.result else { continue }
        results[line.number] = result.bytes
        if let first = firsts[line.number], line.code != "canceled", line.attachedTo == first,
            let known = results[first], known != result.bytes
        {
            breaches.append(Breach(entry.time, "\(keys[line.number]?.id ?? "") has another result than its first"))
        }
    }
    var expected: [History.Key: [UInt8]] = [:]
    for (number, _) in firsts.sorted(by: { $0.key < $1.key }) {
        if let key = keys[number], let result = results[number] { expected[key] = result }
    }
    var told: Set<History.Key> = []
    for said in history.said {
        guard case .result(let key, let what, let payload) = said.saying, what.acceptedAt != nil,
            let result = expected[key]
        else { continue }
        told.insert(key)
        if payload != result { breaches.append(Breach(said.time, "\(key.id) was told another result than its first")) }
    }
    guard history.isComplete else { return breaches }
    for key in expected.keys.sorted() where !told.contains(key) {
        breaches.append(Breach(0, "\(key.id) was attached and never got the result"))
    }
    return breaches
}

/// I19: what is said has its cause among the records that are durable at that moment.
func checkI19(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var epochs: [Int: Int] = [:]
    var accepted: [History.Key: Int] = [:]
    var ended: [History.Key: Int] = [:]
    let keys = history.keys
    for (index, entry) in history.lines.enumerated() {
        let line = entry.line
        if let lease = line.lease, epochs[lease.epoch] == nil { epochs[lease.epoch] = index }
        guard let key = keys[line.number] else { continue }
        if line.kind == "a" || line.kind == "x", accepted[key] == nil { accepted[key] = index }
        if line.kind == "e", ended[key] == nil { ended[key] = index }
    }
    for said in history.said {
        let cause: Int?
        let what: String
        switch said.saying {
        case .assign(let assignment, _, _): (cause, what) = (epochs[assignment.epoch], "epoch \(assignment.epoch)")
        case .update(let key, let update) where update.type == .accepted || update.type == .duplicate:
            (cause, what) = (accepted[key], "\(update.type.rawValue) of \(key.id)")
        case .result(let key, let result, _) where result.acceptedAt != nil:
            (cause, what) = (ended[key], "the result of \(key.id)")
        default: continue
        }
        if cause.map({ $0 >= said.durable }) ?? true {
            breaches.append(Breach(said.time, "\(what) was said before it was durable"))
        }
    }
    return breaches
}
