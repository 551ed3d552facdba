import Contract
public import Wire

extension DispatcherConfiguration: WireReadable {
    /// Reads the section's object. Unknown keys are passed over: the program checks its file before.
    public init(from reader: inout JSONReader) throws(WireError) {
        self.init()
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "workspaces": workspaces = try reader.names(count: Limits.page)
            case "instance": instance = try reader.name()
            case "services": services = try reader.names(count: Limits.labels)
            case "policy": policy = reader.raw()
            case "rates": rates = try reader.list(count: Limits.page)
            case "budgets": budgets = try reader.list(count: Limits.page)
            case "weights": weights = try reader.numbers(1...1000)
            case "key_limits": keyLimits = try reader.list(count: Limits.page)
            case "circuits": circuits = try reader.list(count: Limits.page)
            case "push_wait_ms": pushWaitMs = try reader.numbers(0...3_600_000)
            case "routing": routing = try reader.word()
            case "task_events": taskEvents = try reader.bool()
            case "timeout_cap_ms": timeoutCapMs = try reader.int(in: 1...86_400_000)
            case "message_expiry": messageExpiry = try reader.bool()
            case "limits": try readLimits(&reader)
            case "quotas": try readQuotas(&reader)
            default: reader.skip()
            }
        }
    }

    private mutating func readQuotas(_ reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let workspace = reader.nextKey() {
            guard workspace == "*" || Names.isName(workspace) else {
                throw reader.refused("'\(workspace)' is not a workspace's name")
            }
            var quota = WorkspaceQuota()
            try reader.beginObject()
            while let key = reader.nextKey() {
                switch key {
                case "tasks": quota.tasks = try reader.int(in: 1...Limits.tasks)
                case "task_bytes": quota.taskBytes = try reader.int(in: 1...Limits.taskBytes)
                default: throw reader.refused("'\(key)' is no quota: there are tasks and task_bytes")
                }
            }
            quotas[workspace] = quota
        }
    }

    private mutating func readLimits(_ reader: inout JSONReader) throws(WireError) {
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "tasks": tasks = try reader.int(in: 1...Limits.tasks)
            case "task_bytes": taskBytes = try reader.int(in: 1...Limits.taskBytes)
            case "tasks_per_owner": tasksPerOwner = try reader.int(in: 1...Limits.tasks)
            case "tasks_per_capability": tasksPerCapability = try reader.int(in: 1...Limits.tasks)
            case "id_memory": idMemory = try reader.int(in: 1...Limits.idMemory)
            default: reader.skip()
            }
        }
    }
}

extension JSONReader {
    /// An object of names and numbers.
    fileprivate mutating func numbers(_ range: ClosedRange<Int>) throws(WireError) -> [String: Int] {
        var numbers: [String: Int] = [:]
        try beginObject()
        while let key = nextKey() { numbers[key] = try int(in: range) }
        return numbers
    }
}

extension RateRule: WireReadable {
    /// Reads a rate.
    public init(from reader: inout JSONReader) throws(WireError) {
        let refusal = reader.refused("a rate needs per_s, burst and one of owner, capability and workspace")
        self.init(perSecond: 0, burst: 0)
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "owner": owner = try reader.string(limit: Names.limit)
            case "capability": capability = try reader.string(limit: Names.limit)
            case "executor": executor = try reader.string(limit: Names.limit)
            case "workspace": workspace = try reader.string(limit: Names.limit)
            case "per_s": perSecond = try reader.int(in: 1...1_000_000)
            case "burst": burst = try reader.int(in: 1...1_000_000)
            default: reader.skip()
            }
        }
        let isOfOwner = owner != nil && capability == nil && executor == nil
        let isOfCapability = owner == nil && capability != nil
        let isOfWorkspace = owner == nil && capability == nil && executor == nil && workspace != nil
        guard perSecond > 0, burst > 0, isOfOwner || isOfCapability || isOfWorkspace else { throw refusal }
        if workspace == "*", !isOfWorkspace { workspace = nil }
        guard workspace.map({ $0 == "*" || Names.isName($0) }) ?? true else { throw refusal }
    }
}

extension BudgetRule: WireReadable {
    /// Reads a budget.
    public init(from reader: inout JSONReader) throws(WireError) {
        let refusal = reader.refused("a budget needs amount, period_ms and workspace or owner")
        self.init(periodMs: 0, amount: -1)
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "workspace": workspace = try reader.name()
            case "owner": owner = try reader.name()
            case "period_ms": periodMs = try reader.int(in: 1000...Limits.longestMs)
            case "amount": amount = try reader.cost()
            default: reader.skip()
            }
        }
        guard periodMs > 0, amount >= 0, workspace != nil || owner != nil else { throw refusal }
    }
}

extension KeyLimit: WireReadable {
    /// Reads a limit.
    public init(from reader: inout JSONReader) throws(WireError) {
        let refusal = reader.refused("a key limit needs key and limit")
        self.init(pattern: "", limit: 0)
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "key": pattern = try reader.string(limit: Limits.key)
            case "limit": limit = try reader.int(in: 1...Limits.tasks)
            default: reader.skip()
            }
        }
        guard !pattern.isEmpty, limit > 0 else { throw refusal }
    }
}

extension CircuitThresholds: WireReadable {
    /// Reads thresholds.
    public init(from reader: inout JSONReader) throws(WireError) {
        let refusal = reader.refused("thresholds need a capability")
        self.init(capability: "")
        try reader.beginObject()
        while let key = reader.nextKey() {
            if reader.takeNull() { continue }
            switch key {
            case "capability": capability = try reader.string(limit: Names.limit)
            case "failures": failures = try reader.int(in: 1...20)
            case "sample": sample = try reader.int(in: 1...20)
            default: reader.skip()
            }
        }
        if capability.isEmpty { throw refusal }
    }
}

extension DispatcherConfiguration {
    /// Reads the section `dispatcher` of a whole configuration. Throws what is wrong with it; no section: the defaults.
    public init(section whole: [UInt8]) throws(WireError) {
        self.init()
        var reader = try JSONReader(whole)
        try reader.beginObject()
        while let key = reader.nextKey() {
            if key == "dispatcher" { self = try DispatcherConfiguration(from: &reader) } else { reader.skip() }
        }
    }

    /// All that is wrong with the section, `withRules` the policy too: one sentence each; none: it can be used.
    public static func problems(section whole: [UInt8], withRules: Bool) -> [String] {
        do throws(WireError) {
            let read = try DispatcherConfiguration(section: whole)
            if !withRules { return [] }
            do throws(PolicyRefusal) {
                _ = try Policy(read.policy)
                return []
            } catch {
                return error.problems
            }
        } catch {
            return [error.message]
        }
    }
}
