import Contract
import Wire

/// I2: a grant's epoch exceeds all earlier ones; a task's epoch never falls; one epoch is one task and one executor.
func checkI2(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var highest = 0
    var granted: Set<Int> = []
    var ofTask: [Int: Int] = [:]
    for entry in history.lines where entry.line.kind == "t" || entry.line.kind == "e" {
        let line = entry.line
        if line.epoch < ofTask[line.number] ?? 0 {
            breaches.append(Breach(entry.time, "the epoch of task \(line.number) fell to \(line.epoch)"))
        }
        ofTask[line.number] = line.epoch
        if let lease = line.lease, granted.insert(lease.epoch).inserted {
            if lease.epoch <= highest {
                breaches.append(Breach(entry.time, "epoch \(lease.epoch) was granted after \(highest)"))
            }
            highest = max(highest, lease.epoch)
        }
    }
    var holders: [Int: (History.Key, String)] = [:]
    for said in history.said {
        guard case .assign(let assignment, let executor, _) = said.saying else { continue }
        let key = history.key(of: assignment)
        if let (other, holder) = holders[assignment.epoch], other != key || holder != executor {
            breaches.append(Breach(said.time, "epoch \(assignment.epoch) names two tasks or two executors"))
        }
        holders[assignment.epoch] = (key, executor)
    }
    return breaches
}

/// I3: terminal states never change; one terminal transition per task; revisions rise.
func checkI3(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var revs: [Int: Int] = [:]
    var ended: Set<Int> = []
    for entry in history.lines {
        let line = entry.line
        guard line.kind == "a" || line.kind == "t" || line.kind == "e" else { continue }
        if ended.contains(line.number) {
            breaches.append(Breach(entry.time, "task \(line.number) changed after its end"))
        }
        if line.kind == "e" {
            ended.insert(line.number)
            // An end is a change; other records may only say more of the same revision.
            if let last = revs[line.number], line.rev <= last {
                breaches.append(Breach(entry.time, "task \(line.number) ended at revision \(line.rev) after \(last)"))
            }
        } else if line.rev < revs[line.number] ?? 0 {
            breaches.append(Breach(entry.time, "the revision of task \(line.number) fell to \(line.rev)"))
        }
        revs[line.number] = line.rev
    }
    return breaches + checkSayings(history)
}

/// The part of I3 that senders see.
private func checkSayings(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var results: [History.Key: [UInt8]] = [:]
    var states: [History.Key: [Int: TaskState]] = [:]
    var ends: [History.Key: TaskState] = [:]
    for said in history.said {
        switch said.saying {
        case .result(let key, let result, let payload):
            guard result.acceptedAt != nil else { continue }
            if let known = results[key], known != payload {
                breaches.append(Breach(said.time, "two different results of \(key.principal)/\(key.id)"))
            }
            results[key] = payload
            ends[key] = TaskState(result.status)
        case .update(let key, let update) where update.type == .state:
            if let known = states[key]?[update.rev], known != update.state {
                let text = "revision \(update.rev) of \(key.id) was \(known.rawValue), then \(update.state.rawValue)"
                breaches.append(Breach(said.time, text))
            }
            states[key, default: [:]][update.rev] = update.state
            if let end = ends[key], update.state != end {
                let text = "\(key.id) is \(update.state.rawValue) after it was \(end.rawValue)"
                breaches.append(Breach(said.time, text))
            }
        default: break
        }
    }
    return breaches
}

/// I4: a success comes from the last holder, under the newest epoch of that moment, and was really reported by it.
func checkI4(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var newest: [Int: JournalLine.Lease] = [:]
    var reported: [Int: (time: Int, executor: String)] = [:]
    for heard in history.reports where heard.report.type == .outcome && heard.report.status == .success {
        if reported[heard.report.epoch] == nil { reported[heard.report.epoch] = (heard.time, heard.executor) }
    }
    let keys = history.keys
    for entry in history.lines {
        let line = entry.line
        if line.kind == "t", let lease = line.lease { newest[line.number] = lease }
        guard line.kind == "e", line.state == "success", line.attachedTo == nil, let lease = newest[line.number],
            let id = keys[line.number]?.id
        else { continue }
        if line.epoch != lease.epoch || line.holder?.epoch != lease.epoch || line.holder?.executor != lease.executor {
            breaches.append(Breach(entry.time, "\(id): epoch \(line.epoch) decided, the newest is \(lease.epoch)"))
        }
        if reported[lease.epoch].map({ $0.executor != lease.executor || $0.time > entry.time }) ?? true {
            breaches.append(Breach(entry.time, "\(id): \(lease.executor) never reported epoch \(lease.epoch)"))
        }
        let output = line.result.flatMap { JSONValue($0)["output"]?["by"]?.stringValue }
        if let output, output != lease.executor {
            breaches.append(Breach(entry.time, "\(id): \(output) did the work, \(lease.executor) is its holder"))
        }
    }
    return breaches
}

/// I5: at_most_once: no second assign or grant unless the last was refused, or released or failed safe; no epoch
/// starts twice.
func checkI5(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var last: [History.Key: Int] = [:]
    for grant in history.grants where grant.assignment.delivery == .atMostOnce {
        if let before = last[grant.key], !history.safeEpochs.contains(before) {
            breaches.append(Breach(grant.time, "\(grant.key.id) was granted again after epoch \(before)"))
        }
        last[grant.key] = grant.assignment.epoch
    }
    var started: [Int: String] = [:]
    for start in history.starts {
        if let first = started[start.epoch] {
            let text = "epoch \(start.epoch) was started twice, by \(first) and \(start.executor)"
            breaches.append(Breach(start.time, text))
        }
        started[start.epoch] = start.executor
    }
    return breaches
}

/// I6: when a lease ends by its time, its worker's own deadline is over.
func checkI6(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    for said in history.said {
        guard case .event(let event) = said.saying, event.event == .leaseRevoked,
            let data = event.data.map({ JSONValue($0) }), data["code"]?.stringValue == "lease_expired",
            let epoch = data["epoch"]?.intValue, let executor = data["executor"]?.stringValue
        else { continue }
        if let stop = history.stopped[epoch], stop <= said.time { continue }
        guard let held = history.deadlines[epoch]?.last(where: { $0.time <= said.time }), held.executor == executor,
            !held.isLiar
        else { continue }
        if held.deadline > said.time {
            let early = held.deadline - said.time
            breaches.append(
                Breach(said.time, "the lease of epoch \(epoch) ended \(early) ms before \(executor)'s deadline"))
        }
    }
    return breaches
}

/// I7: no side effect after a worker's deadline.
func checkI7(_ history: History) -> [Breach] {
    history.effects.filter { !$0.isLiar && $0.time > $0.deadline }.map {
        Breach($0.time, "\($0.executor) ended epoch \($0.epoch) \($0.time - $0.deadline) ms after its deadline")
    }
}

/// I20: terms rise from start to start, no two dispatchers share one, and workers never act on a lower one.
func checkI20(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var last = 0
    for entry in history.lines where entry.line.kind == "T" {
        if entry.line.value <= last { breaches.append(Breach(entry.time, "term \(entry.line.value) after \(last)")) }
        last = max(last, entry.line.value)
    }
    var boots: [Int: String] = [:]
    for said in history.said {
        guard case .service(let record) = said.saying else { continue }
        if let other = boots[record.term], other != record.boot {
            breaches.append(Breach(said.time, "term \(record.term) is shared by \(other) and \(record.boot)"))
        }
        boots[record.term] = record.boot
    }
    var highest: [String: Int] = [:]
    for start in history.starts {
        if start.term < highest[start.executor] ?? 0, !start.isLiar {
            breaches.append(Breach(start.time, "\(start.executor) acted on term \(start.term)"))
        }
        highest[start.executor] = max(start.term, highest[start.executor] ?? 0)
    }
    return breaches
}

/// I24: after a cancel of a waiting task no assign is published; after an end nothing is given out.
func checkI24(_ history: History) -> [Breach] {
    var breaches: [Breach] = []
    var ended: [History.Key: Int] = [:]
    let keys = history.keys
    for (index, entry) in history.lines.enumerated() where entry.line.kind == "e" && entry.line.attachedTo == nil {
        if let key = keys[entry.line.number], entry.line.state == "canceled" { ended[key] = index }
    }
    for said in history.said {
        guard case .assign(let assignment, let executor, _) = said.saying,
            let end = ended[history.key(of: assignment)], end < said.durable
        else { continue }
        // What one turn grants and ends is said in that order, and both are durable by then.
        if history.lines[end].time == said.time { continue }
        breaches.append(Breach(said.time, "\(assignment.task) was given to \(executor) after its cancel"))
    }
    return breaches
}
