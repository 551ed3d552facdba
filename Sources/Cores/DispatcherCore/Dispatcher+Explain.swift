import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// Why a task waits (`topics/tasks.md`): from the functions that decide.
extension Dispatcher {
    /// One executor as `candidates` shows it.
    struct Shown: Sendable {
        /// Its index.
        var executor: Int
        /// How it would get the task.
        var mode: Mode
        /// How it was judged.
        var judgement: Judgement
        /// Why it does not get the task; absent: it could.
        var code: Code? { judgement.obstacle?.code }
    }

    /// The explanation of a task.
    func explain(_ found: FoundTask) -> RawJSON {
        switch found {
        case .live(let task): explain(task)
        case .ended(_, let record):
            RawJSON {
                $0.object {
                    $0.field("code", record.code?.rawValue ?? record.status.rawValue)
                    $0.field("since", record.endedAt)
                }
            }
        case .attached(let attachment):
            RawJSON {
                $0.object {
                    $0.field("code", Code.duplicate.rawValue)
                    $0.field("since", attachment.spec.acceptedAt)
                    $0.field("of", attachedUpdate(attachment).of)
                }
            }
        }
    }

    private func explain(_ task: TaskRecord) -> RawJSON {
        let isOpen = task.state == .queued || task.state == .delayed
        let shown = isOpen && !task.spec.isPlan ? candidates(for: task) : []
        let lanes = lanes[task.spec.key.workspace]
        return RawJSON {
            $0.object {
                $0.field("code", waitCode(task, shown).rawValue)
                $0.field("since", since(task))
                $0.field("lane", task.spec.priority)
                $0.field("position", lanes?.position(of: task.number))
                writeCandidates(shown, of: task, to: &$0)
                $0.field("next_possible_at", nextPossible(task, shown))
                $0.field("deadline_at", task.spec.deadlineAt)
            }
        }
    }

    /// `counts` and `candidates`: those that could first, then by name; 50 at most.
    func writeCandidates(_ shown: [Shown], of task: TaskRecord, to writer: inout JSONWriter) {
        var counts: [String: Int] = [:]
        for candidate in shown { if let code = candidate.code { counts[code.rawValue, default: 0] += 1 } }
        writer.field("counts") {
            for (code, count) in counts.sorted(by: { $0.key < $1.key }) { $0.field(named: code) { $0.value(count) } }
        }
        writer.key("candidates")
        writer.beginArray()
        for candidate in shown.prefix(Limits.candidates) { write(candidate, of: task, to: &writer) }
        writer.endArray()
    }

    /// One element of `candidates`.
    func write(_ candidate: Shown, of task: TaskRecord, to writer: inout JSONWriter) {
        let judgement = candidate.judgement
        writer.object {
            $0.field("executor", executors[candidate.executor].name.name)
            $0.field("mode", candidate.mode)
            $0.field("code", candidate.code?.rawValue)
            $0.field("until", judgement.obstacle?.until.map(now.calendar))
            $0.field("cost", judgement.cost)
            $0.field("latency_ms", judgement.latencyMs)
            $0.field("success", judgement.success)
            $0.field("score", judgement.score)
            writeFacts(candidate, task, to: &$0)
        }
    }

    /// Every executor that offers the task's capability, judged; of one that works in both modes the better.
    func candidates(for task: TaskRecord) -> [Shown] {
        guard let index = capabilityIndex[ScopedName(task.spec.key.workspace, task.spec.capability)] else { return [] }
        var shown: [Shown] = []
        for executor in capabilities[index].executors {
            let pair = Pair(executor, index)
            guard let registration = registrations[pair] else { continue }
            let modes = [Mode.push, .pull].filter { takes($0, executors[executor]) }
            var best: Shown?
            for mode in modes.isEmpty ? [.push] : modes {
                let candidate = Candidate(task: task, pair: pair, mode: mode)
                var judgement = judge(candidate)
                appraise(&judgement, candidate, registration)
                if let known = best, known.judgement.passed >= judgement.passed { continue }
                best = Shown(executor: executor, mode: mode, judgement: judgement)
            }
            if let best { shown.append(best) }
        }
        preferOthers(&shown, failedLast: runs[task.number]?.failedLast)
        return shown.sorted { a, b in
            if (a.code == nil) != (b.code == nil) { return a.code == nil }
            if a.code == nil, a.judgement.score != b.judgement.score { return a.judgement.score < b.judgement.score }
            return executors[a.executor].name < executors[b.executor].name
        }
    }

    /// The one that failed the task last gives way if another could take it.
    private func preferOthers(_ shown: inout [Shown], failedLast: String?) {
        guard let failedLast,
            let position = shown.firstIndex(where: { executors[$0.executor].name.name == failedLast && $0.code == nil }
            ),
            shown.contains(where: { $0.code == nil && executors[$0.executor].name.name != failedLast })
        else { return }
        shown[position].judgement.obstacle = Obstacle(WaitCode.failedLast)
    }

    /// The one reason that is told.
    func waitCode(_ task: TaskRecord, _ shown: [Shown]) -> Code {
        switch task.state {
        case .awaitingApproval: return Code(rawValue: "awaiting_approval")
        case .blocked: return WaitCode.needs
        case .delayed where task.code == .busy: return .busy
        case .delayed: return task.attempts > 0 || task.offers > 0 ? WaitCode.retryDelay : WaitCode.delay
        case .queued: break
        default: return Code(rawValue: task.state.rawValue)
        }
        if !isSettled { return WaitCode.settling }
        let capability = capabilityIndex[ScopedName(task.spec.key.workspace, task.spec.capability)]
        if let capability, capabilityPause(capability) != nil { return WaitCode.paused }
        let able = shown.filter { $0.code == nil }
        if !able.isEmpty { return isHeldForPush(task, able) ? WaitCode.pushWait : WaitCode.turn }
        return Dispatcher.nearest(shown) ?? WaitCode.noExecutor
    }

    /// The code of the candidate that passed most filters; among equals the first by name.
    static func nearest(_ shown: [Shown]) -> Code? {
        var best: Shown?
        for candidate in shown where candidate.judgement.passed > best?.judgement.passed ?? -1 { best = candidate }
        return best?.code
    }

    /// Whether only claims could take the task and it is kept for busy push executors.
    private func isHeldForPush(_ task: TaskRecord, _ able: [Shown]) -> Bool {
        guard let wait = configuration.pushWaitMs[task.spec.capability] else { return false }
        return able.allSatisfy { $0.mode == .pull } && task.queued + wait > now.monotonic
    }

    /// Since when the task is in its state.
    private func since(_ task: TaskRecord) -> WallTime {
        if let lease = leases[task.number] { return lease.startedAt ?? lease.grantedAt }
        if task.state == .queued { return task.queuedAt ?? task.spec.acceptedAt }
        if let last = runs[task.number]?.history.last { return last.startedAt + (last.durationMs ?? 0) }
        return task.spec.acceptedAt
    }

    /// The next known moment at which something may open.
    private func nextPossible(_ task: TaskRecord, _ shown: [Shown]) -> WallTime? {
        if let ready = task.readyAt { return task.state == .delayed ? ready : nil }
        guard task.state == .queued else { return nil }
        let known = shown.compactMap { $0.judgement.obstacle?.until }
        return known.min().map(now.calendar)
    }
}
