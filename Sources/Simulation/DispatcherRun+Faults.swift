import Contract
import Determinism
import DispatcherCore

/// What goes wrong.
extension DispatcherRun {
    func saveBroker() {
        world.saveBroker()
        world.after(20_000) { [weak self] in self?.saveBroker() }
    }

    func fault() {
        guard !isHealing else { return }
        let kinds = faults.sorted
        strike(kinds[world.random.uniform(0...kinds.count - 1)])
        world.after(world.random.uniform(1...2 * faults.everyMs)) { [weak self] in self?.fault() }
    }

    private func strike(_ kind: Faults.Kind) {
        switch kind {
        case .dispatcherKill, .dispatcherCrash, .dispatcherFreeze, .syncFails: strikeDispatcher(kind)
        case .executorKill, .executorFreeze: strikeExecutor(kind)
        case .cut: cut()
        case .brokerRestart: restartBroker(.clean)
        case .brokerOldState: restartBroker(.oldState)
        case .brokerEmpty: restartBroker(.empty)
        case .clockSteps:
            history.saw("clock step")
            history.clockWasSet = true
            dispatcher.step(clockBy: world.random.uniform(-7_200_000...7_200_000))
        case .fullDisk: fillDisk()
        case .duplicates, .slowLinks, .badExecutors, .garbage, .overflow: break
        }
    }

    private func fillDisk() {
        history.saw("disk full")
        dispatcher.setWritable(false)
        world.after(world.random.uniform(500...10_000)) { [dispatcher] in dispatcher.setWritable(true) }
    }

    private func restartBroker(_ kind: FakeBroker.Restart) {
        history.saw("broker restart \(kind)")
        world.restartBroker(kind, downMs: world.random.uniform(10...8000))
    }

    private func strikeDispatcher(_ kind: Faults.Kind) {
        switch kind {
        case .dispatcherKill:
            history.saw("dispatcher killed")
            if history.waiting > 0 { history.saw("kill between accept and dispatch") }
            dispatcher.kill(noticeMs: world.random.chance(1, of: 2) ? 0 : world.random.uniform(0...4000))
            restartDispatcher()
        case .dispatcherCrash:
            let points: [ServiceNode<Dispatcher>.CrashPoint] = [.beforeAppend, .beforeSync, .beforePublish]
            let point = points[world.random.uniform(0...2)]
            history.saw("crash \(point)")
            dispatcher.crashNext = point
            restartDispatcher()
        case .syncFails:
            history.saw("sync failed")
            dispatcher.crashNext = .syncFails
            restartDispatcher()
        default:
            history.saw("dispatcher frozen")
            dispatcher.freeze()
            world.after(world.random.uniform(500...40_000)) { [dispatcher] in dispatcher.thaw() }
        }
    }

    private func restartDispatcher() {
        world.after(world.random.uniform(50...8000)) { [weak self] in
            guard let self else { return }
            if self.dispatcher.core != nil { return self.dispatcher.crashNext == nil ? () : self.restartDispatcher() }
            self.dispatcher.start()
        }
    }

    private func strikeExecutor(_ kind: Faults.Kind) {
        let executor = executors[world.random.uniform(0...executors.count - 1)]
        if kind == .executorKill {
            history.saw("executor killed")
            executor.kill(noticeMs: world.random.chance(1, of: 2) ? 0 : world.random.uniform(1...20_000))
            world.after(world.random.uniform(100...30_000)) { executor.start() }
        } else {
            history.saw("executor frozen")
            executor.freeze()
            // Once all faults have ended everybody runs; whom a probe freezes then must stay frozen.
            world.after(world.random.uniform(1000...60_000)) { [weak self] in
                if self?.isHealing == false { executor.thaw() }
            }
        }
    }

    private func cut() {
        let connections = world.connections
        guard !connections.isEmpty else { return }
        history.saw("cut")
        world.drop(
            connections[world.random.uniform(0...connections.count - 1)], noticeMs: world.random.uniform(0...15_000))
    }

    /// All faults end: everybody runs and behaves, and what the operator held is released.
    func heal() {
        isHealing = true
        world.note("all faults end")
        world.duplicateOneIn = 0
        world.delay = 0...3
        dispatcher.crashNext = nil
        dispatcher.thaw()
        dispatcher.start()
        dispatcher.setWritable(true)
        for executor in executors {
            executor.heal()
            executor.isWatched = true
        }
        // Who lost a message to a full queue is a slow reader: the broker would have dropped it.
        if world.broker.lost > 0 { for connection in world.connections { world.drop(connection) } }
    }

    /// What the operator held is released; again once its older commands have all been answered, since one of those
    /// may have come last.
    func release() {
        guard releases < 2, op.openCommands == 0 || releases == 0 else { return }
        releases += 1
        for executor in executors { op.send(DispatcherCommand(), .executor, "resume", executor.name) }
        for capability in capabilities {
            op.send(DispatcherCommand(), .capability, "resume", capability)
        }
        for (principal, id) in assigned {
            var command = DispatcherCommand()
            command.principal = principal
            command.executorIsNull = true
            op.send(command, .task, "assign", id)
        }
    }
}
