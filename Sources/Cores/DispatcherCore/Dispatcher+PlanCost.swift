import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// What a plan may cost (`topics/plans.md`, max_cost): what is spent, what its running steps are expected to cost, and
/// what a further step costs must fit, at each start.
extension Dispatcher {
    /// The plan of a step, if it bounds the costs of its steps.
    func boundedPlan(_ spec: TaskSpec) -> Int? {
        guard let plan = spec.step?.plan, tasks[plan]?.spec.maxCost != nil else { return nil }
        return plan
    }

    /// What a further step of a plan may cost; `nil`: anything.
    func planLeft(_ plan: Int) -> Int? {
        guard let most = tasks[plan]?.spec.maxCost, let state = plans[plan] else { return nil }
        return most - state.spent - state.steps.values.reduce(0) { $0 + (leases[$1]?.estimate ?? 0) }
    }

    /// Whether a further step would cost more than the plan may, whoever ran it.
    func exceedsPlan(_ plan: Int, _ spec: TaskSpec) -> Bool {
        guard let left = planLeft(plan) else { return false }
        var least = 0
        if let index = capabilityIndex[ScopedName(spec.key.workspace, spec.capability)] {
            let prices = capabilities[index].executors.compactMap { executor in
                registrations[Pair(executor, index)].map { price($0, units: spec.units) }
            }
            least = prices.min() ?? 0
        }
        return least > left
    }

    /// No further step may start: the plan ends.
    mutating func overspend(_ plan: Int) {
        // The journal must know why it stops while its steps are still being canceled.
        if plans[plan]?.ending == nil { transition(plan, to: .running, code: .budgetExceeded) }
        stopPlan(plan, Dispatcher.overspent, reason: "budget_exceeded")
    }

    /// How a plan ends that may not cost more.
    static let overspent = Ending(
        .failed, ErrorBody(.budgetExceeded, "the plan's max_cost allows no further step"))

    /// A step has ended, or one of its attempts: others may cost more now than before.
    mutating func wakeSteps(of plan: Int) {
        for (_, step) in (plans[plan]?.steps ?? [:]).sorted(by: { $0.key < $1.key }) {
            guard let task = tasks[step], task.state == .queued, let demand = demands[task.demand] else { continue }
            for order in demand.orders { orders[order]?.noteChange() }
            wake(demand: task.demand, task.spec.key.workspace)
            if capabilities[task.capability].aside.contains(step) { wakeAside(task.capability) }
        }
    }
}
