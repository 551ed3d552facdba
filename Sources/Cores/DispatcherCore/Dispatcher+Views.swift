import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// A retained view as it was published last.
struct PublishedView: Hashable, Sendable {
    /// The payload; empty: cleared.
    var payload: [UInt8] = []
    /// Rises with each publication.
    var rev = 0
}

/// Retained views (`topics/README.md`, views): published from the state, put right when a stranger changes them.
extension Dispatcher {
    /// Publishes a view.
    mutating func publishView(_ topic: String, _ payload: [UInt8]) {
        var view = views[topic] ?? PublishedView()
        view.payload = payload
        view.rev += 1
        views[topic] = view
        publish(OutboundMessage(topic: topic, payload: payload, retain: true))
    }

    /// Clears a view.
    mutating func clearView(_ topic: String) {
        guard views.removeValue(forKey: topic) != nil else { return }
        publish(OutboundMessage(topic: topic, payload: [], retain: true))
    }

    /// One of our own views came: an echo, or a stranger's.
    mutating func receiveView(_ message: InboundMessage) {
        guard let view = views[message.topic] else {
            guard !message.payload.isEmpty else { return }
            if isSettled {
                publish(OutboundMessage(topic: message.topic, payload: [], retain: true))
            } else if foreignViews.count < Limits.capabilities * 2 {
                foreignViews.insert(message.topic)
            }
            return
        }
        if view.payload == message.payload {
            doubtful.remove(message.topic)
        } else {
            doubtful.insert(message.topic)
            if !timers.contains(TimerKey(.view)) { timers.set(TimerKey(.view), now.monotonic + 1000) }
        }
    }

    /// Views whose last echo was not ours are published again.
    mutating func checkViews() {
        for topic in doubtful.sorted() {
            guard let view = views[topic] else { continue }
            publish(OutboundMessage(topic: topic, payload: view.payload, retain: true))
        }
        doubtful.removeAll()
    }

    /// At the end of an input: views that changed are published, at most so often.
    mutating func finishTurn() {
        judgeConflicts()
        if dirtyCapabilities.isEmpty { return dirtyExecutors.isEmpty ? () : decide() }
        for capability in dirtyCapabilities.count == 1 ? Array(dirtyCapabilities) : dirtyCapabilities.sorted() {
            schedule(TimerKey(.capability, capability), capabilities[capability].viewDue)
            let isOffered = capabilities[capability].queued != capabilities[capability].offered
            if isOffered { schedule(TimerKey(.offer, capability), capabilities[capability].offerDue) }
        }
        dirtyCapabilities.removeAll(keepingCapacity: true)
        if !dirtyExecutors.isEmpty { decide() }
    }

    private mutating func schedule(_ key: TimerKey, _ due: MonotonicTime) {
        if !timers.contains(key) { timers.set(key, max(due, now.monotonic)) }
    }

    /// Publishes how many tasks wait for a capability; cleared when none do.
    mutating func publishOffer(_ capability: Int) {
        guard isConnected, isSettled else { return }
        let name = capabilities[capability].name
        let open = capabilities[capability].queued
        guard open != capabilities[capability].offered else { return }
        capabilities[capability].offered = open
        capabilities[capability].offerDue = now.monotonic + 100
        capabilities[capability].offerRev += 1
        let topic = Topic(name.workspace, .offer(capability: name.name)).name
        if open == 0 {
            clearView(topic)
        } else {
            publishView(topic, Offer(open: open, rev: rising(capabilities[capability].offerRev)).encoded)
        }
    }

    /// Publishes the view of a capability; cleared when nobody offers it and nothing waits.
    mutating func publishCapability(_ capability: Int) {
        guard isConnected, isSettled else { return }
        capabilities[capability].viewDue = now.monotonic + 1000
        let name = capabilities[capability].name
        guard name.name != Names.planCapability else { return }
        let topic = Topic(name.workspace, .capability(name.name)).name
        if capabilities[capability].executors.isEmpty, capabilities[capability].live == 0 { return clearView(topic) }
        var view = capabilityView(capability)
        let last = capabilities[capability].viewRev
        view.rev = rising(last)
        let payload = view.encoded
        if let known = views[topic], known.payload == payload { return }
        view.rev = rising(last + 1)
        capabilities[capability].viewRev = last + 1
        publishView(topic, view.encoded)
    }

    /// The registry's view of a capability.
    func capabilityView(_ capability: Int) -> CapabilityView {
        var view = CapabilityView()
        for executor in capabilities[capability].executors {
            guard let registration = registrations[Pair(executor, capability)] else { continue }
            let isPush = executors[executor].card?.takesPush ?? false
            let isPull = takes(.pull, executors[executor])
            let obstacle = standing(Pair(executor, capability), registration, isPush ? .push : .pull)
            let cost = price(registration, units: 1)
            if executors[executor].isLost { continue }
            view.executors.append(
                CapabilityView.Registration(
                    executor: executors[executor].name.name,
                    modes: (isPush ? [Mode.push] : []) + (isPull ? [Mode.pull] : []),
                    state: executors[executor].status?.rawValue ?? "unknown", cost: cost,
                    freeSlots: max(0, executors[executor].slots - executors[executor].used),
                    code: obstacle?.code.rawValue))
            guard obstacle == nil else { continue }
            view.costMin = min(cost, view.costMin ?? cost)
            view.costMax = max(cost, view.costMax ?? cost)
        }
        view.queued = capabilities[capability].queued
        view.running = capabilities[capability].running
        view.circuit = circuits[capabilityCircuitKey(capability)]?.state ?? .closed
        view.conflicts = capabilities[capability].conflicts
        view.rev = rising(capabilities[capability].viewRev)
        return view
    }

    /// A count of this run as a revision: those of a later run are greater, so that views rise over restarts.
    private func rising(_ count: Int) -> Int { term << 32 | count }

    /// What keeps a registration from any task at the moment, slots aside.
    private func standing(_ pair: Pair, _ registration: Registration, _ mode: Mode) -> Obstacle? {
        if let obstacle = obstacle(pair.executor, registration) { return obstacle }
        if capabilityPause(pair.capability) != nil { return Obstacle(WaitCode.paused) }
        if let obstacle = livenessObstacle(pair.executor, mode, isCheck: false) { return obstacle }
        if let until = registration.pausedUntil, until > now.monotonic { return Obstacle(WaitCode.pairPaused) }
        if pairPause(pair) != nil { return Obstacle(WaitCode.pairPaused) }
        if executors[pair.executor].used + registration.slotCost > executors[pair.executor].slots {
            return Obstacle(WaitCode.noSlot)
        }
        let permission = circuits[circuitKey(pair)]?.permission(isPreferred: true)
        return permission?.code.map { Obstacle($0) }
    }

    // MARK: - Alerts

    /// Raises an alert until it is lowered.
    mutating func raiseAlert(_ key: String, _ severity: Severity, _ text: String, in workspace: String? = nil) {
        let scope = workspace ?? configuration.workspaces.first ?? Names.defaultWorkspace
        let since = alerts[key]?.alert.since ?? now.wall
        let alert = Alert(severity: severity, since: since, text: text)
        alerts[key] = RaisedAlert(workspace: scope, alert: alert)
        publish(OutboundMessage(topic: Topic(scope, .alert(key: key)).name, payload: alert.encoded, retain: true))
    }

    /// Lowers an alert.
    mutating func lowerAlert(_ key: String) {
        guard let raised = alerts.removeValue(forKey: key) else { return }
        publish(OutboundMessage(topic: raised.topic(key), payload: [], retain: true))
    }

    /// An executor went while it held leases: an alert until it is back.
    mutating func alertLost(_ executor: Int, isOnline: Bool) {
        let name = executors[executor].name
        let key = "dispatcher.offline.\(name.workspace).\(name.name)"
        guard key.utf8.count <= Names.idLimit else { return }
        if isOnline { return lowerAlert(key) }
        let count = executors[executor].tasks.count
        guard count > 0 else { return }
        raiseAlert(key, .warning, "\(name.name) is gone with \(count) leases", in: name.workspace)
        alerts[key]?.alert.count = count
        if let raised = alerts[key] {
            publish(OutboundMessage(topic: raised.topic(key), payload: raised.alert.encoded, retain: true))
        }
    }
}

/// An alert that is up.
struct RaisedAlert: Hashable, Sendable {
    /// Where.
    var workspace: String
    /// What.
    var alert: Alert

    /// Its topic.
    func topic(_ key: String) -> String { Topic(workspace, .alert(key: key)).name }
}
