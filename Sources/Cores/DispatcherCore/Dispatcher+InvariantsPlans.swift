import Contract
import Determinism
import Machine
import TimeModel
import Wire

/// What must hold of plans and of what is spent.
extension Dispatcher {
    /// I25: steps start with their needs met and the input that follows from them; I21: the plan's costs are theirs.
    func checkPlan(_ number: Int, _ faults: inout [String]) {
        guard let state = plans[number] else { return }
        guard let plan = tasks[number] else { return faults.append("I25: plan \(number) has ended and runs") }
        var spent = 0
        for (index, step) in state.run.plan.steps.enumerated() {
            let name = "step \(index) of plan \(number)"
            let id = Plan.taskID(plan.spec.key.id, step.name)
            let own = ids[TaskKey(plan.spec.key.workspace, plan.spec.key.principal, id)]
            if let own { spent += runs[own]?.spent ?? ended[own]?.spent ?? 0 }
            guard let live = state.steps[index] else {
                if state.ending == nil, state.run.end(of: index) == nil { faults.append("I25: \(name) is lost") }
                continue
            }
            if live != own { faults.append("I25: \(name) is another task") }
            guard let task = tasks[live] else {
                faults.append("I25: \(name) has ended and is live")
                continue
            }
            if task.spec.deadlineAt > plan.spec.deadlineAt { faults.append("I26: \(name) may end after its plan") }
            if task.state == .blocked || state.ending != nil { continue }
            if !state.run.isReady(index) || !state.run.shouldRun(index) {
                faults.append("I25: \(name) started without its needs")
            } else if (try? state.run.arguments(of: index)) != task.spec.input {
                faults.append("I25: \(name) has another input than its references give")
            }
        }
        if spent != state.spent { faults.append("I21: plan \(number) spent \(state.spent), its steps \(spent)") }
    }

    /// I21: what budgets have set aside is what the attempts under way are expected to cost; I25: no step outlives its
    /// plan.
    func checkBudgets(_ faults: inout [String]) {
        if let name = spending.fault(tasks, leases, configuration, at: now.wall) {
            faults.append("I21: the budget \(name) has set aside another sum than its attempts")
        }
        for number in tasks.keys.sorted() {
            guard let step = tasks[number]?.spec.step, plans[step.plan]?.steps[step.index] != number else { continue }
            faults.append("I25: task \(number) is a step of no plan")
        }
    }
}
