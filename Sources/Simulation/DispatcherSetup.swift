import Contract
import Determinism
import DispatcherCore
import Wire

/// How the dispatcher of a run is configured: what a seed draws.
struct DispatcherSetup {
    /// The configuration.
    private(set) var configuration = DispatcherConfiguration()
    /// Why its text was not legal; then nothing is limited, and the run says so.
    private(set) var fault: String?
    /// Whether some tasks need an approval.
    private(set) var hasPolicy = false

    /// Nothing is limited.
    init() { configuration.taskEvents = true }

    /// A configuration of one's own.
    init(_ text: RawJSON) {
        self.init()
        do {
            configuration = try DispatcherConfiguration(decoding: text.bytes)
        } catch {
            fault = "the configuration \(String(decoding: text.bytes, as: UTF8.self)) is not legal: \(error)"
        }
        configuration.taskEvents = true
    }

    /// What a seed draws for a run with these capabilities.
    init(drawnFrom random: inout SeededGenerator, capabilities: [String]) {
        var source = random
        let asks = source.chance(1, of: 3)
        let text = RawJSON { writer in
            writer.object { object in
                DispatcherSetup.writeLimits(&object, &source, capabilities)
                DispatcherSetup.writeChoice(&object, &source, capabilities)
                if asks { object.field("policy") { DispatcherSetup.writePolicy(&$0, capabilities[0]) } }
            }
        }
        random = source
        self.init(text)
        hasPolicy = asks
    }

    private static func writeLimits(
        _ writer: inout JSONWriter, _ random: inout SeededGenerator, _ capabilities: [String]
    ) {
        writer.key("rates")
        writer.beginArray()
        if random.chance(1, of: 3) {
            writer.beginObject()
            writer.field("capability", random.chance(1, of: 2) ? capabilities[0] : "c*")
            if random.chance(1, of: 3) { writer.field("executor", "e*") }
            writer.field("per_s", random.uniform(1...3))
            writer.field("burst", random.uniform(1...5))
            writer.endObject()
        }
        if random.chance(1, of: 6) {
            writer.beginObject()
            writer.field("owner", "*")
            writer.field("per_s", random.uniform(2...5))
            writer.field("burst", random.uniform(2...10))
            writer.endObject()
        }
        writer.endArray()
        guard random.chance(1, of: 3) else { return }
        writer.key("budgets")
        writer.beginArray()
        writer.beginObject()
        writer.field("workspace", Names.defaultWorkspace)
        if random.chance(1, of: 2) { writer.field("owner", "p0") }
        writer.field("period_ms", random.uniform(5...30) * 1000)
        writer.field("amount", random.uniform(100...1500))
        writer.endObject()
        writer.endArray()
    }

    private static func writeChoice(
        _ writer: inout JSONWriter, _ random: inout SeededGenerator, _ capabilities: [String]
    ) {
        if random.chance(1, of: 3) {
            writer.key("key_limits")
            writer.beginArray()
            writer.object {
                $0.field("key", "k1")
                $0.field("limit", 2)
            }
            writer.endArray()
        }
        if random.chance(1, of: 3) {
            let (failures, sample) = (random.uniform(2...4), random.uniform(4...8))
            writer.key("circuits")
            writer.beginArray()
            writer.object {
                $0.field("capability", capabilities[0])
                $0.field("failures", failures)
                $0.field("sample", sample)
            }
            writer.endArray()
        }
        if random.chance(1, of: 4) {
            let wait = random.uniform(100...3000)
            writer.field("push_wait_ms") { $0.field(named: capabilities[0]) { $0.value(wait) } }
        }
        if random.chance(1, of: 4) { writer.field("routing", "cost_first") }
        if random.chance(1, of: 4) {
            let weight = random.uniform(1...4)
            writer.field("weights") { $0.field("p0", weight) }
        }
        if random.chance(1, of: 8) {
            let tasks = random.uniform(10...40)
            writer.field("limits") { $0.field("tasks", tasks) }
        }
    }

    /// An operator may all; one publisher needs approval for a capability, another may not use `c4`.
    private static func writePolicy(_ writer: inout JSONWriter, _ capability: String) {
        let rules: [(id: String, priority: Int, effect: String, principals: [String], capabilities: [String])] = [
            ("operator", 100, "allow", ["op"], []), ("ask", 50, "require_approval", ["p0"], [capability]),
            ("no", 40, "deny", ["p1"], ["c4"]), ("rest", 1, "allow", [], []),
        ]
        writer.key(named: Names.defaultWorkspace)
        writer.beginArray()
        for rule in rules {
            writer.object {
                $0.field("id", rule.id)
                $0.field("priority", rule.priority)
                $0.field("effect", rule.effect)
                if !rule.principals.isEmpty { $0.field("principals", rule.principals) }
                if !rule.capabilities.isEmpty { $0.field("capabilities", rule.capabilities) }
            }
        }
        writer.endArray()
    }

    /// A planted bug: the same without what a mutant leaves out.
    func without(_ mutant: Mutant?) -> DispatcherConfiguration {
        var changed = configuration
        switch mutant {
        case .ignoresRates: changed.rates = []
        case .ignoresBudgets: changed.budgets = []
        case .favorsOne: changed.weights = ["p0": 2]
        case .starvesOthers: changed.weights = ["p0": 1000]
        default: break
        }
        return changed
    }
}
