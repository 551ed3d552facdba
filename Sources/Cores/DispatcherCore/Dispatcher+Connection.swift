import Contract
import Determinism
public import Machine
import TimeModel
import Wire

/// Start, connection, end (`topics/promises.md`, `topics/broker.md`).
extension Dispatcher {
    /// The journal has been read: a new term begins.
    mutating func start() {
        term += 1
        startedAt = now.wall
        heldSince = now.monotonic
        journal(.term(term))
        restoreTimes()
        rates = RateTable(emptyAt: term > 1 ? now.monotonic : nil)
        spending.restore(replayedSpending, configuration, at: now.wall)
        replayedSpending = [:]
        for number in leases.keys.sorted() {
            guard let lease = leases[number], let spec = tasks[number]?.spec else { continue }
            spending.reserve(lease.estimate, spec, configuration, grantedAt: lease.grantedAt, at: now.wall)
        }
        timers.set(TimerKey(.metrics), now.monotonic + 10_000)
        limitMemory()
        restorePlans()
        refuseLeftOut()
        log(
            .info, "started", "The dispatcher has read its journal",
            [LogField("term", String(term)), LogField("tasks", String(tasks.count))])
    }

    /// After each connection: views, then subscriptions, then the own record: when it comes back all that is retained
    /// has come. A kept session still hears the own record, so it must not be published before the subscriptions.
    mutating func connected() {
        isConnected = true
        if isSettled { heldSince = now.monotonic }
        isSettled = false
        republish()
        subscribe(viewsAtLeastOnce: true)
        publishService(.up, reason: nil)
        timers.set(TimerKey(.settle), now.monotonic + Defaults.settleMs)
    }

    private mutating func subscribe(viewsAtLeastOnce: Bool) {
        let scopes = configuration.workspaces.isEmpty ? ["+"] : configuration.workspaces
        var list: [Subscription] = []
        func add(_ word: String, _ levels: [String], retained: Bool) {
            for scope in scopes {
                let filter = ([scope, Names.protocolLevel, word] + levels).joined(separator: "/")
                list.append(
                    Subscription(
                        filter: filter, wantsRetained: retained, atLeastOnce: !retained || viewsAtLeastOnce))
            }
        }
        add("executor", ["+", "+"], retained: true)
        add("liveness", ["+"], retained: true)
        add("capability", ["+"], retained: true)
        add("circuit", ["#"], retained: true)
        add("offer", ["+"], retained: true)
        if viewsAtLeastOnce {
            add("report", ["+", "+"], retained: false)
            add("beat", ["+"], retained: false)
            add("claim", ["+", "+"], retained: false)
            add("intent", ["+", "+", "+"], retained: false)
            for noun in Noun.allCases where noun.service == "dispatcher" {
                add("command", ["+", noun.rawValue, "+", "+"], retained: false)
            }
        }
        let system = "\(Names.systemWorkspace)/\(Names.protocolLevel)/service"
        list.append(Subscription(filter: "\(system)/heartbeat/+", wantsRetained: true))
        list.append(Subscription(filter: "\(system)/dispatcher/+", wantsRetained: true))
        out.append(.subscribe(list))
    }

    /// Publishes again all that must not be missed: results, first updates, dead letters, offers, views.
    private mutating func republish() {
        for token in undelivered.sorted() {
            let number = Token.number(token)
            switch Token.kind(token) {
            case 0: if tasks[number] != nil { tellAccepted(number) } else { tellAttached(number) }
            case 1: publishResult(number)
            case 2: publishDead(number)
            default: publishLog(number)
            }
        }
        for number in endedOrder.all where ended[number]?.keptUntil != nil { publishResult(number) }
        for (topic, view) in views.sorted(by: { $0.key < $1.key }) where !view.payload.isEmpty {
            publish(OutboundMessage(topic: topic, payload: view.payload, retain: true))
        }
        for key in circuits.keys.sorted() {
            guard circuits[key]?.hasView == true, configuration.serves(key.capability.workspace) else { continue }
            let place = Topic.Place.circuit(capability: key.capability.name, executor: key.executor)
            if views[Topic(key.capability.workspace, place).name] == nil { publishCircuit(key, again: true) }
        }
        for (key, alert) in alerts.sorted(by: { $0.key < $1.key }) {
            publish(OutboundMessage(topic: alert.topic(key), payload: alert.alert.encoded, retain: true))
        }
    }

    /// The connection is gone: nobody can be heard, so nobody is held to be dead.
    mutating func disconnected() {
        isConnected = false
        inbox.forget()
        if isSettled { heldSince = now.monotonic }
        isSettled = false
        timers.remove(TimerKey(.settle))
    }

    /// Its own record came back, or the wait for it is over.
    mutating func settle(complete: Bool) {
        guard isConnected, !isSettled else { return }
        timers.remove(TimerKey(.settle))
        isSettled = true
        raiseTerm()
        if let since = heldSince { shiftHeld(by: now.monotonic - since) }
        heldSince = nil
        for number in leases.keys.sorted() where tasks[number]?.state == .offered { sendAssign(number) }
        judgeConflicts()
        clearOrphans()
        for plan in plans.keys.sorted() { advancePlan(plan) }
        for capability in capabilities.indices { touch(capability: capability) }
        for executor in executors.indices { dirtyExecutors.insert(executor) }
        if complete {
            lowerAlert("dispatcher.snapshot")
            if !isReady { out.append(.ready) }
            isReady = true
        } else {
            raiseAlert(
                "dispatcher.snapshot", .warning, "the retained views did not come in \(Defaults.settleMs) ms")
            subscribe(viewsAtLeastOnce: false)
        }
    }

    /// What stands retained and is none of ours any more is cleared; of the capabilities that we know also what we did
    /// not see: a broker whose queue for us is full leaves out retained messages, and sends our own record all the same.
    private mutating func clearOrphans() {
        var orphans = foreignViews
        for capability in capabilities where capability.name.name != Names.planCapability {
            orphans.insert(Topic(capability.name.workspace, .offer(capability: capability.name.name)).name)
            guard capability.executors.isEmpty, capability.live == 0 else { continue }
            orphans.insert(Topic(capability.name.workspace, .capability(capability.name.name)).name)
        }
        for topic in orphans.sorted() where views[topic] == nil {
            publish(OutboundMessage(topic: topic, payload: [], retain: true))
        }
        foreignViews.removeAll()
    }

    /// A service's record: heartbeat's says whether verdicts count; our own ends the settling; a newer one ends us.
    mutating func receiveService(_ name: String, _ instance: String, _ message: InboundMessage) {
        let record = message.payload.isEmpty ? nil : try? ServiceRecord(decoding: message.payload)
        if name == "heartbeat" {
            let served = record?.state == .up ? record?.workspaces : nil
            if served != heartbeats[instance] {
                if served == nil || heartbeats[instance] != nil || heartbeats.count < Dispatcher.heartbeatCells {
                    heartbeats[instance] = served
                }
                for executor in executors.indices { dirtyExecutors.insert(executor) }
            }
            return
        }
        guard name == "dispatcher" else { return }
        if let record, record.boot != boot {
            meet(record, instance)
        } else if let record, record.state == .up {
            if record.term == term {
                inbox.returned()
                settle(complete: true)
            }
        } else if instance == configuration.instance, isConnected, !isTerminating {
            // A late Will, or a stranger's word.
            publishService(.up, reason: nil)
        }
    }

    /// The record of this service.
    func service(_ state: ServiceRecord.State, reason: String?) -> ServiceRecord {
        var record = ServiceRecord(
            state: state, version: configuration.version, term: term, boot: boot, since: startedAt)
        record.reason = reason
        record.limits = RawJSON { writer in
            writer.object {
                $0.field("payload", Limits.payload)
                $0.field("tasks", configuration.tasks)
                $0.field("timeout_ms", configuration.timeoutCapMs)
            }
        }
        if configuration.taskEvents { record.features.append("task_events") }
        record.workspaces = configuration.workspaces
        return record
    }

    var serviceTopic: String {
        Topic.system(.service(name: "dispatcher", instance: configuration.instance)).name
    }

    /// Publishes the record of this service.
    mutating func publishService(_ state: ServiceRecord.State, reason: String?) {
        publish(OutboundMessage(topic: serviceTopic, payload: service(state, reason: reason).encoded, retain: true))
    }

    /// The record that the broker publishes when this service is lost.
    public func will() -> OutboundMessage? {
        OutboundMessage(topic: serviceTopic, payload: service(.down, reason: "lost").encoded, retain: true)
    }

    /// SIGTERM: nothing new is begun; claims are answered; what was published gets its time.
    mutating func terminate() {
        guard !isTerminating else { return }
        isTerminating = true
        flushNotes()
        for executor in executors.indices {
            for claim in executors[executor].claims {
                let payload = Grant.none(retryAfterMs: Defaults.claimRetryMs, code: .shuttingDown).encoded
                answerClaim(executor, claim, payload, task: nil)
            }
            executors[executor].claims = []
            setClaimTimer(executor)
        }
        publishService(.down, reason: "stopped")
        out.append(.quit(status: 0, reason: "stopped"))
    }

    /// The journal's disk is full, or has room again.
    mutating func journalWritable(_ flag: Bool) {
        guard flag != isWritable else { return }
        isWritable = flag
        if flag {
            lowerAlert("dispatcher.journal")
        } else {
            raiseAlert("dispatcher.journal", .critical, "the journal has no room: nothing new is accepted")
        }
    }

    /// SIGHUP: the configuration was read again.
    mutating func reload(_ bytes: [UInt8]) {
        guard let read = try? DispatcherConfiguration(section: bytes) else {
            return log(.warning, "configuration_refused", "The new configuration is not taken over")
        }
        var next = read
        (next.instance, next.version) = (configuration.instance, configuration.version)
        next.workspaces = configuration.workspaces
        next.messageExpiry = configuration.messageExpiry
        let keepsRates = next.rates == configuration.rates
        let old = rates
        configuration = next
        applyConfiguration()
        if keepsRates { rates = old }
        requeue()
        for capability in capabilities.indices { changedConflicts.insert(capability) }
        for executor in executors.indices { dirtyExecutors.insert(executor) }
        log(.info, "configuration_read", "The configuration was read again")
    }

    /// Takes over what is derived from the configuration. A set of rules that is wrong is refused as a whole; the old
    /// one stays, and where there is none nothing is allowed.
    mutating func applyConfiguration() {
        do throws(PolicyRefusal) {
            policy = try Policy(configuration.policy)
            hasPolicy = true
            lowerAlert("dispatcher.policy")
        } catch {
            let text = error.problems.joined(separator: "; ")
            log(.warning, "policy_refused", text)
            raiseAlert("dispatcher.policy", .critical, "rule set refused: " + String(text.prefix(1000)))
        }
        for workspace in workspaces { _ = lanes.change(workspace) { $0.weights = configuration.weights } }
        rates = RateTable(emptyAt: term > 0 ? now.monotonic : nil)
        spending = spending.keeping(configuration)
        orders.removeAll()
        orderIndex.removeAll()
        for capability in capabilities.indices { capabilities[capability].orders.removeAll() }
    }
}
